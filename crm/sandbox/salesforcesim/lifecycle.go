package salesforcesim

import (
	"fmt"
	"strings"
)

// pick finds a live record of one of the objects.
func (g *org) pick(id string, objects ...string) (*row, error) {
	full, ok := canonicalID(id)
	r := g.find(full)
	if !ok || r == nil || r.deleted {
		return nil, errNoSuchRecord
	}
	for _, name := range objects {
		if r.object.Name == name {
			return r, nil
		}
	}
	return nil, fmt.Errorf("%s is a %s; want %s", id, r.object.Name, strings.Join(objects, " or "))
}

// ConvertLead turns a lead into a contact, as a person does in Salesforce. An
// empty accountID or contactID makes a new record. It returns the contact's id.
func (s *Server) ConvertLead(leadID, accountID, contactID string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, t := s.org, new(tx)
	lead, err := g.pick(leadID, "Lead")
	if err != nil {
		return "", err
	}
	if lead.flag("IsConverted") {
		return "", fmt.Errorf("the lead is converted already")
	}
	if accountID == "" {
		accountID = g.insert(t, g.object("Account"), map[string]any{
			"Name": lead.text("Company"), "OwnerId": lead.text("OwnerId"),
		}).id
	}
	account, err := g.pick(accountID, "Account")
	if err != nil {
		t.rollback()
		return "", err
	}
	if contactID == "" {
		vals := map[string]any{"AccountId": account.id}
		for _, name := range []string{"Name", "FirstName", "LastName", "Email", "Phone", "MobilePhone", "Title", "DoNotCall", "HasOptedOutOfEmail", "OwnerId"} {
			vals[name] = lead.vals[name]
		}
		contactID = g.insert(t, g.object("Contact"), vals).id
	}
	contact, err := g.pick(contactID, "Contact")
	if err != nil {
		t.rollback()
		return "", err
	}
	g.set(t, lead, map[string]any{
		"IsConverted": true, "Status": "Closed - Converted", "ConvertedDate": g.now().UTC().Format(dateLayout),
		"ConvertedContactId": contact.id, "ConvertedAccountId": account.id,
	})
	g.repoint(t, "WhoId", lead.id, contact.id)
	return contact.id, nil
}

// repoint moves the activities of one record to another.
func (g *org) repoint(t *tx, field, from, to string) {
	for _, name := range []string{"Task", "Event"} {
		o := g.object(name)
		for _, r := range o.byValue(o.byName[strings.ToLower(field)], from) {
			g.set(t, r, map[string]any{field: to})
		}
	}
}

// Merge puts one contact, lead or account into another of its kind. The loser
// goes into the recycle bin and names its master.
func (s *Server) Merge(masterID, loserID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, t := s.org, new(tx)
	master, err := g.pick(masterID, "Contact", "Lead", "Account")
	if err != nil {
		return err
	}
	loser, err := g.pick(loserID, master.object.Name)
	if err != nil {
		return err
	}
	if master == loser {
		return fmt.Errorf("a record cannot be merged with itself")
	}
	field := "WhoId"
	if master.object.Name == "Account" {
		field = "WhatId"
	}
	g.repoint(t, field, loser.id, master.id)
	g.set(t, loser, map[string]any{"MasterRecordId": master.id})
	g.bin(t, loser, true)
	return nil
}

// Undelete takes a record out of the recycle bin.
func (s *Server) Undelete(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	full, ok := canonicalID(id)
	r := s.org.find(full)
	if !ok || r == nil || !r.deleted {
		return errNoSuchRecord
	}
	s.org.set(new(tx), r, map[string]any{"MasterRecordId": nil})
	s.org.bin(new(tx), r, false)
	s.org.applySecurity()
	return nil
}

// AddUser adds a user who can own records, and returns the id.
func (s *Server) AddUser(email, firstName, lastName string, active bool) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.org.insert(new(tx), s.org.object("User"), map[string]any{
		"Username": email, "Email": email, "FirstName": firstName, "LastName": lastName,
		"Name": strings.TrimSpace(firstName + " " + lastName), "Alias": clipRunes(lastName, 8),
		"IsActive": active, "UserType": "Standard", "TimeZoneSidKey": "Etc/UTC",
	}).id
}
