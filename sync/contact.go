package sync

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// A want is the value a person's property should have: that of the claim which
// wins.
type want struct {
	field crm.Field
	call  string // whose claim it is; "" when nobody claims the property
	at    time.Time
}

// stake puts the claims of a person's calls in place, withdraws those of calls
// that left for somebody else, and returns what the properties concerned should
// now be. object is the person's type, which some fields are limited to.
func stake(p *store.Person, object string, calls, left []*item) []want {
	touched := map[string]crm.Field{}
	var order []string
	touch := func(f crm.Field) {
		if _, seen := touched[f.Name]; !seen {
			order = append(order, f.Name)
		}
		touched[f.Name] = f
	}
	for _, it := range left {
		for _, f := range claimedBy(p, it.id()) {
			touch(f)
			p.Stake(f.Name, store.Claim{Call: it.id()})
		}
	}
	for _, it := range calls {
		for _, f := range it.want.Person.Fields {
			if f.Object != "" && f.Object != object {
				continue
			}
			touch(f)
			p.Stake(f.Name, store.Claim{Value: f.Value, Write: f.Write, Call: it.id(), At: it.want.At.UTC()})
		}
	}
	wants := make([]want, len(order))
	for i, name := range order {
		f := touched[name]
		f.Value = crm.Value{}
		top, ok := p.Top(name)
		if ok {
			f.Value, f.Write = top.Value, top.Write
		}
		wants[i] = want{f, top.Call, top.At}
	}
	return wants
}

// claimedBy lists the properties that a call claims, or of which its value is the
// one last applied: its claim may be withdrawn already while the CRM was not
// told yet.
func claimedBy(p *store.Person, call string) []crm.Field {
	var fields []crm.Field
	for _, name := range slices.Sorted(maps.Keys(p.Claims)) {
		i := slices.IndexFunc(p.Claims[name], func(c store.Claim) bool { return c.Call == call })
		if i >= 0 {
			fields = append(fields, crm.Field{Name: name, Write: p.Claims[name][i].Write})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Properties)) {
		known := slices.ContainsFunc(fields, func(f crm.Field) bool { return f.Name == name })
		if p.Properties[name].Call == call && !known {
			fields = append(fields, crm.Field{Name: name, Write: crm.IfUnchanged})
		}
	}
	return fields
}

// diffWants compares what a person's properties should be with what was last
// applied.
func diffWants(wants []want, applied map[string]store.Applied, force bool) []diff {
	return compareAll(fieldsOf(wants), applied, force)
}

func fieldsOf(wants []want) []crm.Field {
	fields := make([]crm.Field, len(wants))
	for i, w := range wants {
		fields[i] = w.field
	}
	return fields
}

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
	decided := edits[:0]
	for _, ce := range edits {
		p := ce.person
		if !p.ref.IsZero() && len(ce.reads) > 0 {
			snap := present[p.ref]
			if !r.follow(p, snap) {
				continue
			}
			ce.present = snap.Properties
		}
		ce.edit = r.edit(ce.diffs, ce.present, resolved)
		ce.remember()
		for _, w := range ce.edit.warnings {
			p.each(func(it *item) { it.warn(w) })
		}
		decided = append(decided, ce)
	}
	return decided, nil
}

// writePeople brings the people of the round up to date, creating those who are
// missing.
func (r *round) writePeople(ctx context.Context) error {
	edits, err := r.decidePeople(ctx)
	if err != nil {
		return err
	}
	var changes []crm.Change
	var sent []*contactEdit
	for _, ce := range edits {
		if p := ce.person; p.ref.IsZero() || len(ce.edit.send) > 0 {
			changes = append(changes, r.contactChange(ce))
			sent = append(sent, ce)
			continue
		}
		r.contactApplied(ce)
	}
	if len(changes) == 0 {
		return nil
	}
	r.keepChoices()
	if err := r.flush(ctx); err != nil {
		return err
	}
	for i, res := range r.write(ctx, changes) {
		r.contactResult(sent[i], res)
	}
	r.keepChoices()
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

// partings finds the calls that belong to somebody else than when they were last
// synced, such as after a corrected number: their claims on the person they left
// are withdrawn.
func (r *round) partings() {
	byRef := map[crm.Ref]*person{}
	for _, p := range r.people {
		byRef[p.ref] = p
	}
	for _, it := range r.items {
		if !it.open() && (it.outcome.status != store.Skipped || it.work.State.Revision == it.work.Call.Revision) {
			continue
		}
		for _, old := range it.former() {
			p := byRef[old]
			if p == nil {
				p = &person{ref: old, keys: map[string]bool{}}
				byRef[old] = p
				r.people = append(r.people, p)
			}
			p.left = append(p.left, it)
		}
	}
}

// former lists the people the call was attached to before.
func (it *item) former() []crm.Ref {
	former := it.work.State.Left
	if old := it.work.State.Person; old != nil {
		former = append(slices.Clone(former), old.Ref)
	}
	return slices.DeleteFunc(slices.Clone(former), func(ref crm.Ref) bool {
		return ref.IsZero() || it.person != nil && it.person.ref == ref
	})
}

// keepChoices records whom calls are attached to before anything is written
// because of it, so that a later correction knows whom to take them from.
func (r *round) keepChoices() {
	for _, it := range r.items {
		p := it.person
		if !it.open() || p == nil || p.ref.IsZero() {
			continue
		}
		if old := it.state.Person; old != nil && old.Ref == p.ref {
			continue
		}
		it.state.Left, it.state.Person = it.former(), p.choice()
		s := it.work.State
		s.Left, s.Person = it.state.Left, it.state.Person
		if r.pending.States == nil {
			r.pending.States = map[string]store.State{}
		}
		r.pending.States[it.id()] = s
	}
}

func (r *round) loadPeople(ctx context.Context) error {
	known := map[crm.Ref]store.Person{}
	asked := map[crm.Ref]bool{{}: true}
	for {
		var refs []crm.Ref
		for _, p := range r.people {
			if !asked[p.ref] {
				asked[p.ref] = true
				refs = append(refs, p.ref)
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

// forward has calls that left somebody who has become another since, and took
// their claims along, leave that other one. A call that went along itself has
// left nobody.
func (r *round) forward(known map[crm.Ref]store.Person) {
	leavers := map[crm.Ref][]*item{}
	r.people = slices.DeleteFunc(r.people, func(p *person) bool {
		to := known[p.ref].MovedTo
		if len(p.calls) > 0 || to.IsZero() {
			return false
		}
		for _, it := range p.left {
			if it.person == nil || it.person.ref != to {
				leavers[to] = append(leavers[to], it)
			}
		}
		return true
	})
	for to, left := range leavers {
		i := slices.IndexFunc(r.people, func(p *person) bool { return p.ref == to })
		if i < 0 {
			i = len(r.people)
			r.people = append(r.people, &person{ref: to, keys: map[string]bool{}})
		}
		p := r.people[i]
		p.left = append(p.left, left...)
	}
}

// contactDiffs compares what the calls want of each person with what was last
// applied, and lists what has to be read to decide.
func (r *round) contactDiffs() ([]*contactEdit, reading) {
	var edits []*contactEdit
	var asks reading
	for _, p := range r.people {
		calls := slices.DeleteFunc(slices.Clone(p.calls), func(it *item) bool { return !it.open() })
		if len(calls)+len(p.left) == 0 {
			continue
		}
		before := maps.Clone(p.applied.Claims)
		ce := &contactEdit{person: p, wants: stake(&p.applied, cmp.Or(p.ref.Object, p.object), calls, p.left)}
		p.changed = p.changed || !maps.EqualFunc(before, p.applied.Claims, slices.Equal)
		force := slices.ContainsFunc(calls, func(it *item) bool { return it.work.State.Force })
		ce.diffs = diffWants(ce.wants, p.applied.Properties, force)
		p.unclaim(ce.wants, ce.diffs)
		if p.ref.IsZero() {
			for i := range ce.diffs {
				ce.diffs[i].step = write
			}
		} else if ce.reads = r.questions(ce.diffs, true); len(ce.reads) > 0 {
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
	const why = "the contact was merged into another"
	p.each(func(it *item) { it.retry(why) })
	for _, it := range p.left { // they have not been told yet
		if it.open() || it.outcome.status == store.Skipped {
			it.outcome = outcome{again: true, reason: why}
		}
	}
	return false
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
	intent := store.Identity{Ref: crm.Ref{Object: p.object}, Key: p.key, Intent: r.now}
	for key := range p.keys {
		r.setIdentity(key, intent)
	}
	r.setPerson(unborn(p.object, p.key), store.Person{Properties: ce.underway(nil), Created: newest})
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
				continue // a lookup without an answer
			}
		}
		a.Call, a.At = w.call, w.at
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

func (r *round) contactResult(ce *contactEdit, res crm.Result) {
	p := ce.person
	if res.Err == nil {
		if p.ref.IsZero() {
			r.created(p, crm.Ref{Object: p.object, ID: res.ID})
			p.applied.Properties = nil
		}
		ce.edit.leaveOut(res.Skipped)
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
		r.blame(ce, res.Err)
	default:
		p.each(func(it *item) { it.fail(r.now, "contact", res.Err) })
		for _, it := range p.left {
			it.fail(r.now, "contact", res.Err)
		}
	}
}

// blame fails the calls whose values the CRM will not have; all of the person's
// calls when the values came from none of this round.
func (r *round) blame(ce *contactEdit, err error) {
	guilty := map[string]bool{}
	for _, w := range ce.wants {
		if _, sent := ce.edit.send[w.field.Name]; sent {
			guilty[w.call] = true
		}
	}
	hit := slices.ContainsFunc(ce.person.calls, func(it *item) bool { return it.open() && guilty[it.id()] })
	ce.person.each(func(it *item) {
		if !hit || guilty[it.id()] {
			it.fail(r.now, "contact", err)
		}
	})
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
