package salesforce

import (
	"context"
	"slices"

	"github.com/callsync/callsync/crm"
)

const (
	whoID  = "WhoId"  // a Contact or a Lead
	whatID = "WhatId" // an Account, an Opportunity and others; not together with a Lead
)

// A linkage holds what has to be read before links can be written.
type linkage struct {
	// contacts are the contacts inside Person Accounts, which WhoId takes, by
	// the account's id.
	contacts map[string]string
	// present are the links of activities that are to lose one, by the
	// activity's id: what is not there, or was replaced by a person, is not
	// taken away.
	present map[string]row
}

func (c *Connector) prepareLinks(ctx context.Context, changes []crm.Change) (linkage, error) {
	var accounts, losing []crm.Ref
	for _, ch := range changes {
		for _, r := range slices.Concat(ch.Link, ch.Unlink) {
			if r.Object == personAccount {
				accounts = append(accounts, r)
			}
		}
		if ch.Op == crm.Update && loses(ch) {
			losing = append(losing, crm.Ref{Object: ch.Object, ID: ch.ID})
		}
	}
	l := linkage{contacts: map[string]string{}, present: map[string]row{}}
	rows, err := c.load(ctx, accounts, []string{"PersonContactId"})
	if err != nil {
		return l, err
	}
	for ref, r := range rows {
		if id, ok := id18(stringOf(r.fields["PersonContactId"])); ok {
			l.contacts[ref.ID] = id
		}
	}
	rows, err = c.load(ctx, losing, []string{whoID, whatID})
	if err != nil {
		return l, err
	}
	for ref, r := range rows {
		if id, ok := id18(ref.ID); ok {
			l.present[id] = r
		}
	}
	return l, nil
}

// loses reports whether a change takes a link away without putting another in
// its place.
func loses(ch crm.Change) bool {
	for _, gone := range ch.Unlink {
		replaces := func(r crm.Ref) bool { return isPerson(r.Object) == isPerson(gone.Object) }
		if !slices.ContainsFunc(ch.Link, replaces) {
			return true
		}
	}
	return false
}

// apply puts a change's links into the item's body. A property that the mapping
// sets by itself is not overridden.
func (l linkage) apply(it *item, ch crm.Change, d *description) error {
	if len(ch.Link) == 0 && len(ch.Unlink) == 0 {
		return nil
	}
	if !isActivity(ch.Object) {
		return &crm.Error{
			Kind: crm.Permanent, Op: ch.Object + " " + string(ch.Op),
			Message: "only Task and Event can be linked to people",
			Hint:    "use Task or Event as the record's object, or set the object's lookup fields in the mapping",
		}
	}
	who, what, err := l.targets(ch)
	if err != nil {
		return err
	}
	if objectOf(who) == lead {
		what = ""
		if it.op == crm.Update {
			set(it, d, whatID, nil)
		}
	}
	for _, link := range []struct{ column, id string }{{whatID, what}, {whoID, who}} {
		if link.id == "" {
			continue
		}
		if !set(it, d, link.column, link.id) {
			return &crm.Error{
				Kind: crm.Permanent, Op: ch.Object + " " + string(ch.Op), Code: "INVALID_FIELD_FOR_INSERT_UPDATE", Property: link.column,
				Message: ch.Object + "." + link.column + " is read-only for callsync's user, or hidden from it",
				Hint:    "let callsync's user edit the field: without it a record belongs to nobody",
			}
		}
		it.parent = link.id
	}
	for _, r := range ch.Unlink {
		id, column, err := l.target(ch, r)
		if err != nil {
			continue // what is no longer there is linked to nothing
		}
		if sameID(stringOf(l.present[it.id].fields[column]), id) {
			set(it, d, column, nil)
		}
	}
	return nil
}

// targets picks the first person and the first other record among the links.
func (l linkage) targets(ch crm.Change) (who, what string, err error) {
	for _, r := range ch.Link {
		id, column, err := l.target(ch, r)
		if err != nil {
			return "", "", err
		}
		if column == whoID && who == "" {
			who = id
		}
		if column == whatID && what == "" {
			what = id
		}
	}
	return who, what, nil
}

// target returns the id and the column that link to a record.
func (l linkage) target(ch crm.Change, r crm.Ref) (id, column string, err error) {
	id, ok := id18(r.ID)
	if !ok {
		return "", "", &crm.Error{
			Kind: crm.Permanent, Op: ch.Object + " " + string(ch.Op), Code: "MALFORMED_ID",
			Message: "the id of a linked " + r.Object + " is not a Salesforce id",
		}
	}
	switch r.Object {
	case contact, lead:
		return id, whoID, nil
	case personAccount:
		if person := l.contacts[r.ID]; person != "" {
			return person, whoID, nil
		}
		return "", "", &crm.Error{
			Kind: crm.Gone, Op: ch.Object + " " + string(ch.Op), Property: whoID,
			Message: "the Person Account to link to is no longer there",
		}
	default:
		return id, whatID, nil
	}
}

// set gives a link column a value unless the mapping did. It reports whether
// the column can be written.
func set(it *item, d *description, column string, value any) bool {
	f := d.fields[column]
	if writable := it.op == crm.Create && f.Createable || it.op == crm.Update && f.Updateable; !writable {
		return false
	}
	if _, taken := it.body[column]; !taken {
		it.body[column] = value
	}
	return true
}
