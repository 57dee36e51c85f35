package sync

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// A contactEdit is one person's part in a round's writes.
type contactEdit struct {
	person *person
	wants  []want
	diffs  []diff
	reads  []string // properties whose present value is read
	edit   edit
	// present is what the CRM holds, of the properties read.
	present map[string]string
}

// remember keeps what the CRM held before callsync first wrote a property.
func (ce *contactEdit) remember() {
	for name, a := range ce.edit.applied {
		old := ce.person.applied.Properties[name]
		a.Before, a.BeforeKnown = old.Before, old.BeforeKnown
		if untouched(old) && (ce.person.ref.IsZero() || slices.Contains(ce.reads, name)) {
			a.Before, a.BeforeKnown = ce.present[name], true
		}
		if a.Value.IsNull() && a.Kept == "" {
			a.Before, a.BeforeKnown = "", false // given back
		}
		ce.edit.applied[name] = a
	}
}

// underway is how the person's properties stand while the request is out.
func (ce *contactEdit) underway(applied map[string]store.Applied) map[string]store.Applied {
	out := ce.edit.underway(applied)
	for name := range ce.edit.send {
		if a, next := out[name], ce.edit.applied[name]; !next.Value.IsNull() {
			a.Before, a.BeforeKnown = next.Before, next.BeforeKnown
			out[name] = a
		}
	}
	return out
}

// decidePeople works out what has to be written to the people of the round.
func (r *round) decidePeople(ctx context.Context) ([]*contactEdit, error) {
	r.unite()
	r.partings()
	if err := r.unlearn(ctx); err != nil {
		return nil, err
	}
	if err := r.loadPeople(ctx); err != nil {
		return nil, err
	}
	edits, asks := r.contactDiffs()
	present, err := r.read(ctx, asks)
	if err != nil {
		return nil, err
	}
	resolved, err := r.resolve(ctx, contactLookups(edits))
	if err != nil {
		return nil, err
	}
	edits = slices.DeleteFunc(edits, func(ce *contactEdit) bool {
		snap, read := present[ce.person.ref]
		ce.present = snap.Properties
		return read && !r.follow(ce.person, snap)
	})
	edits = r.undisturbed(edits)
	for _, ce := range edits {
		ce.edit = r.edit(ce.diffs, ce.present, resolved)
		ce.remember()
		for _, w := range ce.edit.warnings {
			ce.person.each(func(it *item) { it.warn(w) })
		}
	}
	return edits, nil
}

// writePeople brings the people of the round up to date, creating those who are
// missing. A value that the CRM refuses is left out, and the rest sent again.
func (r *round) writePeople(ctx context.Context) error {
	edits, err := r.decidePeople(ctx)
	if err != nil {
		return err
	}
	// Whom calls left comes first: what is taken from them may be given to others.
	var first, then []*contactEdit
	for _, ce := range edits {
		if ce.leaving() {
			first = append(first, ce)
		} else {
			then = append(then, ce)
		}
	}
	for _, part := range [][]*contactEdit{first, then} {
		for err == nil && len(part) > 0 {
			part, err = r.sendPeople(ctx, part)
		}
	}
	return err
}

// leaving reports whether something is taken from a person because calls left
// them.
func (ce *contactEdit) leaving() bool { return len(ce.person.left) > 0 && len(ce.edit.send) > 0 }

// idle reports whether nothing waits for an edit any more: all of the person's
// calls met something graver.
func (ce *contactEdit) idle() bool {
	return len(ce.person.left) == 0 && len(stillOpen(ce.person.calls)) == 0
}

// sendPeople writes edits and returns those of which a refused value was taken
// out.
func (r *round) sendPeople(ctx context.Context, edits []*contactEdit) (again []*contactEdit, err error) {
	var changes []crm.Change
	var sent []*contactEdit
	for _, ce := range edits {
		if ce.idle() {
			continue
		}
		if p := ce.person; p.ref.IsZero() || len(ce.edit.send) > 0 {
			changes = append(changes, r.contactChange(ce))
			sent = append(sent, ce)
			continue
		}
		r.contactApplied(ce)
	}
	if len(changes) == 0 {
		return nil, nil
	}
	r.keepChoices()
	if err := r.flush(ctx); err != nil {
		return nil, err
	}
	for i, res := range r.write(ctx, changes) {
		if r.contactResult(sent[i], res) {
			again = append(again, sent[i])
		}
	}
	if err := r.adopt(ctx); err != nil {
		return nil, err
	}
	r.keepChoices()
	err = r.trace(ctx)
	return r.undisturbed(again), err
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
	known := map[crm.Ref]store.Person{}
	asked := map[crm.Ref]bool{}
	for {
		var refs []crm.Ref
		for _, p := range r.people {
			ref := p.ref
			if ref.IsZero() {
				ref = store.Unborn(p.object, p.key)
			}
			if !asked[ref] {
				asked[ref] = true
				refs = append(refs, ref)
			}
		}
		if len(refs) == 0 {
			break
		}
		more, err := r.loop.journal.People(ctx, r.loop.name, refs)
		if err != nil {
			return journalError("load people", err)
		}
		maps.Copy(known, more)
		r.forward(known)
	}
	for _, p := range r.people {
		if p.ref.IsZero() {
			p.attempt = known[store.Unborn(p.object, p.key)]
		}
		if k, ok := known[p.ref]; ok {
			k.Join(p.applied)
			p.applied = k
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
		calls := stillOpen(p.calls)
		if len(calls)+len(p.left) == 0 {
			continue
		}
		before := maps.Clone(p.applied.Claims)
		ce := &contactEdit{person: p, wants: stake(&p.applied, cmp.Or(p.ref.Object, p.object), calls, p.left)}
		p.changed = p.changed || !maps.EqualFunc(before, p.applied.Claims, slices.Equal)
		ce.diffs = diffWants(ce.wants, p.applied.Properties, slices.Concat(calls, p.left))
		p.unclaim(ce.wants, ce.diffs)
		if p.ref.IsZero() {
			for i := range ce.diffs {
				ce.diffs[i].step = write
			}
		} else if ce.reads = r.questions(ce.diffs, true); len(ce.reads) > 0 || slices.ContainsFunc(calls, (*item).mustStand) {
			asks.want(p.ref, ce.reads)
		}
		edits = append(edits, ce)
	}
	return edits, asks
}

// unclaim forgets whose claim brought a value that stays although nobody claims
// it any more, before anything is sent: a second attempt shall decide the same.
func (p *person) unclaim(wants []want, diffs []diff) {
	for _, w := range wants {
		name := w.field.Name
		a, applied := p.applied.Properties[name]
		undecided := slices.ContainsFunc(diffs, func(d diff) bool { return d.field.Name == name })
		if w.call == "" && a.Call != "" && applied && !undecided {
			a.Call, a.At = "", time.Time{}
			p.applied.Properties[name] = a
			p.changed = true
		}
	}
}

func contactLookups(edits []*contactEdit) []diff {
	var all []diff
	for _, ce := range edits {
		all = append(all, ce.diffs...)
	}
	return all
}

// contactChange is the request for one person; for a new one it also records the
// intent.
func (r *round) contactChange(ce *contactEdit) crm.Change {
	p := ce.person
	newest := slices.Concat(p.left, p.calls)[len(p.left)+len(p.calls)-1].id()
	if !p.ref.IsZero() {
		p.applied.Properties = ce.underway(p.applied.Properties)
		r.setPerson(p.ref, p.applied)
		return crm.Change{Op: crm.Update, Object: p.ref.Object, ID: p.ref.ID, Properties: ce.edit.send, CallID: newest}
	}
	r.conceive(ce, newest)
	return crm.Change{Op: crm.Create, Object: p.object, Key: p.key, Properties: ce.edit.send, CallID: newest}
}

// contactApplied keeps what now holds for a person, with the call it came from.
func (r *round) contactApplied(ce *contactEdit) {
	p := ce.person
	if p.applied.Properties == nil {
		p.applied.Properties = map[string]store.Applied{}
	}
	for _, w := range ce.wants {
		name := w.field.Name
		a, decided := ce.edit.applied[name]
		if !decided {
			a = p.applied.Properties[name]
			if a.Value != w.field.Value {
				continue // it stays, although nobody claims it any more
			}
		}
		if a.Kept != keptRefused || w.call != "" { // else it is still to be taken back for the call it came from
			a.Call, a.At = w.call, w.at
		} else {
			a.Call = p.applied.Properties[name].Call
		}
		if p.applied.Properties[name] != a {
			p.applied.Properties[name] = a
			p.changed = true
		}
	}
	if p.changed {
		r.setPerson(p.ref, p.applied)
		p.changed = false
	}
}

// contactResult records what came of one person's change. It reports whether the
// change is to be sent again, without a value that was refused.
func (r *round) contactResult(ce *contactEdit, res crm.Result) (again bool) {
	p := ce.person
	if res.Err == nil {
		if p.ref.IsZero() {
			r.created(p, crm.Ref{Object: p.object, ID: res.ID})
			p.applied.Properties = nil
		}
		ce.edit.leaveOut(res.Skipped)
		r.contactApplied(ce)
		return false
	}
	switch kind := crm.KindOf(res.Err); {
	case kind == crm.Exists && p.ref.IsZero() && !existing(res.Err).IsZero():
		r.adoptions = append(r.adoptions, adoption{p, existing(res.Err)})
	case kind == crm.Exists && p.ref.IsZero():
		p.retry("the CRM already has this contact, and does not say which it is")
	case kind == crm.Gone:
		r.miss(p)
	case kind == crm.Permanent || kind == crm.Exists:
		return r.takeOut(ce, res.Err) || r.blame(ce, res.Err)
	default:
		p.each(func(it *item) { it.fail(r.now, "contact", res.Err) })
		for _, it := range p.left {
			it.fail(r.now, "contact", res.Err)
		}
	}
	return false
}

// takeOut leaves the value that the CRM refused out of an edit. ok is false when
// the CRM does not say which value it is.
func (r *round) takeOut(ce *contactEdit, err error) (ok bool) {
	name := refused(ce, err)
	if _, sent := ce.edit.send[name]; !sent {
		return false
	}
	r.omit(ce, name, blaming(err, name))
	return true
}

// blaming is a refusal that names the property it is about.
func blaming(err error, name string) error {
	var e *crm.Error
	if !errors.As(err, &e) || e.Property == name {
		return err
	}
	named := *e
	named.Property = name
	return &named
}

// omit leaves a refused value out of an edit. The call that it came from, or for
// which it was to be taken back, fails in the end, when everything else of it is
// written.
func (r *round) omit(ce *contactEdit, name string, err error) {
	delete(ce.edit.send, name)
	var before store.Applied
	if i := slices.IndexFunc(ce.diffs, func(d diff) bool { return d.field.Name == name }); i >= 0 {
		before = ce.diffs[i].applied
		ce.edit.applied[name] = keep(ce.diffs[i], keptRefused)
	}
	problem := problemOf(r.now, contactRecord, err)
	problem.Kind = crm.Permanent
	i := slices.IndexFunc(ce.wants, func(w want) bool { return w.field.Name == name })
	whose := ce.wants[i].call
	for _, it := range slices.Concat(ce.person.calls, ce.person.left) {
		if it.open() && (it.id() == whose || whose == "" && it.id() == before.Call) {
			it.refuse(*problem)
		}
	}
}

// refused is the property among those sent whose value the CRM will not have: the
// one it names, the only one there is, or, when somebody else has it already, the
// one that people are found by.
func refused(ce *contactEdit, err error) string {
	var e *crm.Error
	if errors.As(err, &e) {
		if _, sent := ce.edit.send[e.Property]; sent {
			return e.Property
		}
	}
	if len(ce.edit.send) == 1 {
		for name := range ce.edit.send {
			return name
		}
	}
	if crm.KindOf(err) != crm.Exists {
		return ""
	}
	for _, it := range ce.person.calls {
		for _, m := range it.want.Person.Match {
			if _, sent := ce.edit.send[m.Property]; sent && m.Kind == crm.MatchEmail {
				return m.Property
			}
		}
	}
	return ""
}

// blame deals with a refusal that does not say which value it is about: all that
// was sent is left out, and nobody is created.
func (r *round) blame(ce *contactEdit, err error) (again bool) {
	p := ce.person
	if !p.ref.IsZero() {
		for _, name := range slices.Sorted(maps.Keys(ce.edit.send)) {
			r.omit(ce, name, err)
		}
		return true
	}
	r.answered(p, store.Identity{})
	p.each(func(it *item) { it.fail(r.now, "contact", err) })
	return false
}
