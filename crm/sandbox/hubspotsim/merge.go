package hubspotsim

import (
	"net/http"
	"slices"
	"strings"
)

// merge joins two contacts. The primary's values win, the other's fill the
// gaps; its email becomes an additional one, its associations move, and its id
// keeps leading to the winner. Source: HubSpot contacts guide, merge.
func (s *Server) merge(c *call) (int, any, *apiError) {
	if c.typ.name != "contacts" {
		return 0, nil, notFound("resource not found")
	}
	var in struct {
		Primary string `json:"primaryObjectId"`
		Other   string `json:"objectIdToMerge"`
	}
	if fail := c.decode(&in); fail != nil {
		return 0, nil, fail
	}
	winner, loser := c.typ.find(in.Primary), c.typ.find(in.Other)
	switch {
	case winner == nil:
		return 0, nil, noObject(in.Primary)
	case loser == nil:
		return 0, nil, noObject(in.Other)
	case winner == loser:
		return 0, nil, invalid("A contact cannot be merged with itself")
	}
	if s.settings.MergeMakesNewRecord {
		joined := s.newRecord(c.typ, c.now)
		s.absorb(joined, winner, c)
		winner = joined
	}
	s.absorb(winner, loser, c)
	return http.StatusOK, winner.show(nil, true), nil
}

// absorb moves everything of loser into winner.
func (s *Server) absorb(winner, loser *record, c *call) {
	s.release(loser)
	t := winner.typ
	props := map[string]string{}
	for name, v := range winner.props {
		props[name] = v
	}
	for name, v := range loser.props {
		p := t.properties[name]
		if p == nil || p.Modification.ReadOnlyValue {
			continue
		}
		if _, set := props[name]; !set && v != "" {
			props[name] = v
		}
	}
	emails := additionalEmails(props)
	for _, email := range append(additionalEmails(loser.props), loser.props["email"]) {
		if email != "" && email != props["email"] && !slices.Contains(emails, email) {
			emails = append(emails, email)
		}
	}
	if len(emails) > 0 {
		props["hs_additional_emails"] = strings.Join(emails, ";")
	}
	merged := append(splitMerged(props), append(splitMerged(loser.props), loser.id)...)
	props["hs_merged_object_ids"] = strings.Join(merged, ";")

	for name, holders := range t.unique {
		if v := props[name]; v != "" {
			holders[uniqueKey(name, v)] = winner
		}
	}
	for _, email := range emails {
		t.unique["email"][email] = winner
	}
	s.moveLinks(loser, winner)
	loser.mergedInto = winner
	s.enqueue(loser, c.now)
	s.store(winner, props, c.now)
}

func splitMerged(props map[string]string) []string {
	if v := props["hs_merged_object_ids"]; v != "" {
		return strings.Split(v, ";")
	}
	return nil
}

// gdprDelete removes a contact for good, with the activities that belong to
// nobody else, and keeps its emails from coming back. Source: HubSpot contacts
// guide, permanent deletion.
func (s *Server) gdprDelete(c *call) (int, any, *apiError) {
	if c.typ.name != "contacts" {
		return 0, nil, notFound("resource not found")
	}
	var in struct {
		ID         string `json:"objectId"`
		IDProperty string `json:"idProperty"`
	}
	if fail := c.decode(&in); fail != nil {
		return 0, nil, fail
	}
	r, fail := s.lookup(c.typ, in.ID, in.IDProperty)
	if fail != nil {
		return 0, nil, fail
	}
	if r == nil {
		if r = c.typ.findArchived(in.ID); r == nil || in.IDProperty != "" {
			return 0, nil, noObject(in.ID)
		}
	}
	for _, email := range append(additionalEmails(r.props), r.props["email"]) {
		if email != "" {
			c.typ.blocked[email] = true
		}
	}
	for name, others := range r.links {
		t := s.types[name]
		for id := range others {
			if a := t.find(id); a != nil && t.activity && len(a.links["contacts"]) == 1 {
				s.purge(a, c)
			}
		}
	}
	s.purge(r, c)
	for id, other := range c.typ.records {
		if other.mergedInto == r {
			delete(c.typ.records, id)
		}
	}
	return http.StatusNoContent, nil, nil
}

// purge removes a record without a trace.
func (s *Server) purge(r *record, c *call) {
	if !r.archived {
		s.remove(r, c.now)
	}
	delete(r.typ.records, r.id)
}
