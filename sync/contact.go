package sync

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// A claim is the value one call wants a person's property to have.
type claim struct {
	field crm.Field
	item  *item
}

// newer reports whether the claim outranks what was applied: for a property of
// a person, the newest call wins.
func (c claim) newer(a store.Applied) bool {
	if a.Call == "" || a.Call == c.item.id() {
		return true
	}
	if d := c.item.want.At.Compare(a.At); d != 0 {
		return d > 0
	}
	return c.item.id() > a.Call
}

// claims merges the fields of a person's calls, which are in call order. A call
// that wrote a property and no longer gives it a value takes it back.
func claims(calls []*item, applied map[string]store.Applied) []claim {
	retracted := map[string]bool{}
	for _, it := range calls {
		for _, f := range it.want.Person.Fields {
			if f.Value.IsNull() && applied[f.Name].Call == it.id() {
				retracted[f.Name] = true
			}
		}
	}
	best := map[string]claim{}
	var order []string
	for _, it := range calls {
		if !it.open() {
			continue
		}
		for _, f := range it.want.Person.Fields {
			a := applied[f.Name]
			c := claim{f, it}
			if f.Value.IsNull() && a.Call != it.id() {
				continue
			}
			_, seen := best[f.Name]
			if seen && f.Value.IsNull() || !c.newer(a) && !retracted[f.Name] {
				continue
			}
			best[f.Name] = c
			if !seen {
				order = append(order, f.Name)
			}
		}
	}
	out := make([]claim, 0, len(order))
	for _, name := range order {
		out = append(out, best[name])
	}
	return out
}

// A contactEdit is one person's part in a round's writes.
type contactEdit struct {
	person *person
	claims []claim
	diffs  []diff
	edit   edit
}

// writePeople brings the people of the round up to date, creating those who are
// missing.
func (r *round) writePeople(ctx context.Context) error {
	r.unite()
	if err := r.loadPeople(ctx); err != nil {
		return err
	}
	edits, asks := r.contactDiffs()
	present, err := r.read(ctx, asks)
	if err != nil {
		return err
	}
	resolved, err := r.resolve(ctx, contactLookups(edits))
	if err != nil {
		return err
	}
	var changes []crm.Change
	var sent []*contactEdit
	for _, ce := range edits {
		p := ce.person
		var values map[string]string
		if !p.ref.IsZero() && len(asked(ce.diffs)) > 0 {
			snap := present[p.ref]
			if !r.follow(p, snap) {
				continue
			}
			values = snap.Properties
		}
		ce.edit = r.edit(ce.diffs, values, resolved)
		for _, w := range ce.edit.warnings {
			p.each(func(it *item) { it.warn(w) })
		}
		if p.ref.IsZero() || len(ce.edit.send) > 0 {
			changes = append(changes, r.contactChange(ce))
			sent = append(sent, ce)
			continue
		}
		r.contactApplied(ce)
	}
	if len(changes) == 0 {
		return nil
	}
	if err := r.flush(ctx); err != nil {
		return err
	}
	for i, res := range r.write(ctx, changes) {
		r.contactResult(sent[i], res)
	}
	return nil
}

// unite makes one person of two that turned out to be the same record.
func (r *round) unite() {
	byRef := map[crm.Ref]*person{}
	r.people = slices.DeleteFunc(r.people, func(p *person) bool {
		first := byRef[p.ref]
		if p.ref.IsZero() || first == nil {
			byRef[p.ref] = p
			return false
		}
		for _, it := range p.calls {
			first.add(it)
		}
		maps.Copy(first.keys, p.keys)
		first.others = merge(first.others, p.others)
		return true
	})
}

func (r *round) loadPeople(ctx context.Context) error {
	var refs []crm.Ref
	for _, p := range r.people {
		if !p.ref.IsZero() {
			refs = append(refs, p.ref)
		}
	}
	if len(refs) == 0 {
		return nil
	}
	known, err := r.loop.journal.People(ctx, r.loop.name, refs)
	if err != nil {
		return journalError("load people", err)
	}
	for _, p := range r.people {
		if k, ok := known[p.ref]; ok {
			created := p.applied.Created
			p.applied = k
			if p.applied.Created == "" {
				p.applied.Created = created
			}
		}
		if p.applied.Properties == nil {
			p.applied.Properties = map[string]store.Applied{}
		}
	}
	return nil
}

// contactDiffs compares what the calls want of each person with what was last
// applied, and lists what has to be read to decide.
func (r *round) contactDiffs() ([]*contactEdit, reading) {
	var edits []*contactEdit
	var asks reading
	for _, p := range r.people {
		if !slices.ContainsFunc(p.calls, (*item).open) {
			continue
		}
		ce := &contactEdit{person: p, claims: claims(p.calls, p.applied.Properties)}
		if p.ref.IsZero() {
			ce.diffs = fresh(fieldsOf(ce.claims))
			edits = append(edits, ce)
			continue
		}
		for _, c := range ce.claims {
			a := p.applied.Properties[c.field.Name]
			step := compare(c.field, a, c.item.work.State.Force)
			if step != leave {
				ce.diffs = append(ce.diffs, diff{c.field, a, step})
			}
		}
		if names := asked(ce.diffs); len(names) > 0 {
			asks.want(p.ref, names)
		}
		edits = append(edits, ce)
	}
	return edits, asks
}

func fieldsOf(cs []claim) []crm.Field {
	fields := make([]crm.Field, len(cs))
	for i, c := range cs {
		fields[i] = c.field
	}
	return fields
}

func contactLookups(edits []*contactEdit) []diff {
	var all []diff
	for _, ce := range edits {
		all = append(all, ce.diffs...)
	}
	return all
}

// follow deals with somebody who is no longer where they were. It reports
// whether p still stands.
func (r *round) follow(p *person, snap crm.Snapshot) bool {
	if snap.Gone {
		r.dropPerson(p, "the contact was deleted in the CRM; looking for them anew")
		return false
	}
	if snap.Ref == p.ref || snap.Ref.IsZero() {
		return true
	}
	r.move(p.ref, snap.Ref)
	for key := range p.keys {
		r.setIdentity(key, store.Identity{Ref: snap.Ref, How: "merged", At: r.now})
	}
	p.each(func(it *item) { it.retry("the contact was merged into another") })
	return false
}

// contactChange is the request for one person; for a new one it also records the
// intent.
func (r *round) contactChange(ce *contactEdit) crm.Change {
	p := ce.person
	newest := p.calls[len(p.calls)-1].id()
	if !p.ref.IsZero() {
		return crm.Change{Op: crm.Update, Object: p.ref.Object, ID: p.ref.ID, Properties: ce.edit.send, CallID: newest}
	}
	intent := store.Identity{Ref: crm.Ref{Object: p.object}, Key: p.key, Intent: r.now}
	for key := range p.keys {
		r.setIdentity(key, intent)
	}
	return crm.Change{Op: crm.Create, Object: p.object, Key: p.key, Properties: ce.edit.send, CallID: newest}
}

// contactApplied keeps what now holds for a person, with the call it came from.
func (r *round) contactApplied(ce *contactEdit) {
	p := ce.person
	if p.applied.Properties == nil {
		p.applied.Properties = map[string]store.Applied{}
	}
	for _, c := range ce.claims {
		a, decided := ce.edit.applied[c.field.Name]
		if !decided {
			a = p.applied.Properties[c.field.Name]
			if a.Value != c.field.Value {
				continue // a lookup without an answer
			}
		}
		a.Call, a.At = c.item.id(), c.item.want.At
		if c.field.Value.IsNull() {
			a.Call, a.At = "", time.Time{}
		}
		if p.applied.Properties[c.field.Name] != a {
			p.applied.Properties[c.field.Name] = a
			p.changed = true
		}
	}
	if p.changed {
		r.setPerson(p)
	}
}

func (r *round) contactResult(ce *contactEdit, res crm.Result) {
	p := ce.person
	if res.Err == nil {
		if p.ref.IsZero() {
			r.created(p, crm.Ref{Object: p.object, ID: res.ID})
		}
		r.contactApplied(ce)
		return
	}
	switch kind := crm.KindOf(res.Err); {
	case kind == crm.Exists && p.ref.IsZero():
		r.adopt(p, res.Err)
	case kind == crm.Gone:
		r.dropPerson(p, "the contact was deleted or merged in the CRM; looking for them anew")
	case kind == crm.Permanent && p.ref.IsZero():
		for key := range p.keys { // refused: nobody was created
			r.setIdentity(key, store.Identity{})
		}
		p.each(func(it *item) { it.fail(r.now, "contact", res.Err) })
	case kind == crm.Permanent:
		for _, c := range ce.claims {
			if _, sent := ce.edit.send[c.field.Name]; sent && c.item.open() {
				c.item.fail(r.now, "contact", res.Err)
			}
		}
	default:
		p.each(func(it *item) { it.fail(r.now, "contact", res.Err) })
	}
}

// adopt takes the person the CRM says is there already.
func (r *round) adopt(p *person, err error) {
	if ref := existing(err); !ref.IsZero() {
		for key := range p.keys {
			r.setIdentity(key, store.Identity{Ref: ref, How: "adopted: the CRM already had them", At: r.now})
		}
	}
	p.each(func(it *item) { it.retry("the CRM already has this contact; adopted") })
}
