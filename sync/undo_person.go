package sync

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// An undoPerson is what becomes of the person of a call that is undone.
type undoPerson struct {
	ref     crm.Ref
	known   store.Person // without the call's claims
	send    map[string]crm.Value
	applied map[string]store.Applied // as it stands when send is through; a zero one is dropped
	archive bool
}

// quiet is for how long after its creation a CRM changes a contact by itself:
// it counts activities and fills in what it derives.
const quiet = 15 * time.Minute

// person decides about the person the call belongs to.
func (u *undoing) person(ctx context.Context) error {
	choice := u.it.work.State.Person
	if choice == nil || choice.IsZero() {
		return nil
	}
	ref, known, err := store.Follow(ctx, u.r.loop.journal, u.r.loop.name, choice.Ref)
	if err != nil {
		return journalError("load people", err)
	}
	if len(u.it.work.State.Left) > 0 {
		u.remain("", "the call belonged to somebody else before, and what it claimed there is not taken back yet; `callsync resync` it first")
	}
	call := u.it.id()
	fields := claimedBy(&known, call)
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	created := known.Created == call
	if created {
		names = append(names, writtenNames(known.Properties)...)
	}
	u.who = undoPerson{ref: ref, known: known, send: map[string]crm.Value{}, applied: map[string]store.Applied{}}
	u.out.Person = PersonPlan{Op: None, Object: ref.Object, Ref: ref, How: choice.How}
	if len(names) == 0 && !created {
		return nil
	}
	q := reading{}
	q.want(ref, names)
	present, err := u.r.read(ctx, q)
	if err != nil {
		return err
	}
	for _, f := range fields {
		u.who.known.Stake(f.Name, store.Claim{Call: call})
	}
	snap := present[ref]
	switch {
	case snap.Gone:
		u.out.Warnings = append(u.out.Warnings, "the contact was deleted in the CRM")
		return nil
	case snap.Ref != ref:
		u.remain("", fmt.Sprintf("the contact was merged into %s; what the call wrote to it stays there", snap.Ref))
		return nil
	}
	if created {
		why, err := u.whyKeep(ctx, snap)
		if err != nil {
			return err
		}
		if why == "" {
			u.who.archive, u.out.Person.Op = true, crm.Archive
			return nil
		}
		u.remain("", "callsync created the contact for this call; it stays: "+why)
	}
	return u.restore(ctx, fields, snap.Properties)
}

func (u *undoing) remain(property, why string) {
	u.out.Left = append(u.out.Left, Remainder{Record: contactRecord, Property: property, Why: why})
}

// whyKeep is why a contact that callsync created for the call is not archived;
// "" when nothing but the call hangs on it.
func (u *undoing) whyKeep(ctx context.Context, snap crm.Snapshot) (string, error) {
	ref, known := u.who.ref, u.who.known
	var born time.Time
	for _, id := range u.it.known {
		if id.Ref == ref && (born.IsZero() || id.At.Before(born)) {
			born = id.At
		}
	}
	edited := editedNames(known.Properties, snap.Properties)
	switch {
	case len(edited) > 0:
		return "a person changed it", nil
	case born.IsZero():
		return "it is not known since when it is there", nil
	case snap.Modified.After(born.Add(quiet)):
		return "it was changed on " + snap.Modified.UTC().Format(time.RFC3339) + ", after callsync created it", nil
	}
	for _, claims := range known.Claims {
		for _, c := range claims {
			return "call " + c.Call + " belongs to it, too", nil
		}
	}
	for c, err := range u.r.loop.journal.Calls(ctx, store.CallFilter{Destination: u.r.loop.name, Damaged: true}) {
		if err != nil {
			return "", journalError("list calls", err)
		}
		if c.Damaged != nil {
			return "a call that cannot be read any more may belong to it, too", nil
		}
		p := c.States[u.r.loop.name].Person
		if p != nil && p.Ref == ref && c.ID != u.it.id() {
			return "call " + c.ID + " belongs to it, too", nil
		}
	}
	return u.relatedTo(ctx, ref)
}

// relatedTo looks for open records that people hung on a contact, of the kinds
// that the mapping knows.
func (u *undoing) relatedTo(ctx context.Context, ref crm.Ref) (string, error) {
	var queries []crm.RelatedQuery
	for _, rec := range u.it.want.Records {
		for _, rel := range rec.Links {
			if rel.Which == "open" {
				queries = append(queries, crm.RelatedQuery{Person: ref, Relation: rel})
			}
		}
	}
	if len(queries) == 0 {
		return "", nil
	}
	found, err := u.r.loop.destination.Related(ctx, queries)
	if err != nil {
		return "", err
	}
	for _, refs := range found {
		for _, r := range refs {
			return r.String() + " belongs to it", nil
		}
	}
	return "", nil
}

// restore decides what the properties that the call claimed get back.
func (u *undoing) restore(ctx context.Context, fields []crm.Field, present map[string]string) error {
	var diffs []diff
	var tops []store.Claim
	for _, f := range fields {
		a := u.who.known.Properties[f.Name]
		top, claimed := u.who.known.Top(f.Name)
		held := a.Kept == keptWritten || f.Write == crm.IfEmpty && a.Kept == "" // the first to come stays
		f.Write = crm.IfUnchanged
		f.Value = top.Value
		switch {
		case wrote(a).IsNull() && !a.Unsure: // callsync wrote nothing there
			if !claimed {
				u.who.applied[f.Name] = store.Applied{}
			}
			continue
		case claimed && a.Call != u.it.id() && a.Kept == "" && !a.Unsure:
			continue // another call's value stands there
		case claimed && held && !a.Unsure && u.backed(f.Name, wrote(a)):
			a.Kept, a.Wrote = keptWritten, wrote(a)
			a.Value, a.Call, a.At = top.Value, top.Call, top.At
			if a.Value == a.Wrote {
				a.Kept, a.Wrote = "", crm.Value{}
			}
			u.who.applied[f.Name] = a
			continue
		case claimed:
		case a.BeforeKnown:
			f.Value = crm.Str(a.Before)
		default:
			u.remain(f.Name, "what it held before callsync wrote it is not known")
			continue
		}
		if why := u.whyFilled(f); why != "" {
			u.remain(f.Name, why)
			continue
		}
		diffs = append(diffs, diff{field: f, applied: a, step: ask})
		tops = append(tops, top)
	}
	resolved, err := u.r.resolve(ctx, diffs)
	if err != nil {
		return err
	}
	for i, d := range diffs {
		u.giveBack(d, tops[i], present[d.field.Name], resolved)
	}
	return nil
}

// backed reports whether another call claims the value that callsync wrote, so
// that it was not the undone one that brought it.
func (u *undoing) backed(name string, v crm.Value) bool {
	return slices.ContainsFunc(u.who.known.Claims[name], func(c store.Claim) bool { return c.Value == v })
}

// giveBack decides about one property that callsync wrote.
func (u *undoing) giveBack(d diff, top store.Claim, present string, resolved map[crm.Value]string) {
	name := d.field.Name
	sent, wire, ok := u.r.wire(d.field.Value, resolved)
	if !ok {
		u.remain(name, wire)
		return
	}
	next := store.Applied{}
	if top.Call != "" {
		next = store.Applied{
			Value: d.field.Value, Wire: wire, Call: top.Call, At: top.At,
			Before: d.applied.Before, BeforeKnown: d.applied.BeforeKnown,
		}
	}
	write, kept := d.answer(present, wire)
	if kept != "" {
		if kept != keptSame {
			u.remain(name, kept)
		}
		if top.Call != "" {
			next.Kept, next.Wrote = kept, wrote(d.applied)
		}
	}
	u.who.applied[name] = next
	if !write {
		return
	}
	u.who.send[name] = sent
	u.out.Person.Op = crm.Update
	u.out.Person.Changes = append(u.out.Person.Changes, PropertyChange{
		Name: name, Old: crm.Str(present), New: d.field.Value, Write: d.field.Write,
	})
}

// whyFilled is why a property is not emptied: a contact without what it is found
// by would be lost to everybody.
func (u *undoing) whyFilled(f crm.Field) string {
	match := u.it.want.Person.Match
	switch {
	case !f.Value.IsNull():
		return ""
	case len(match) == 0:
		return "the contact may be found by it: the call cannot be read any more, or not by the mapping in force"
	case slices.ContainsFunc(match, func(m crm.Match) bool { return m.Property == f.Name }):
		return "the contact is found by it"
	}
	return ""
}

// restorePerson writes what was decided, and keeps what now holds.
func (u *undoing) restorePerson(ctx context.Context) error {
	w := &u.who
	if w.ref.IsZero() {
		return nil
	}
	c := crm.Change{Op: crm.Update, Object: w.ref.Object, ID: w.ref.ID, Properties: w.send, CallID: u.it.id()}
	switch {
	case w.archive && u.it.outcome.problem != nil:
		u.remain("", "it is archived once everything else is")
		u.out.Person.Op = None
		return nil
	case w.archive:
		c.Op, c.Properties = crm.Archive, nil
	case len(w.send) == 0:
		u.personRestored()
		return nil
	default:
		before := w.known
		before.Properties = allUnderway(before.Properties, w.send)
		u.r.setPerson(w.ref, before)
	}
	if err := u.r.flush(ctx); err != nil {
		return err
	}
	res := u.r.write(ctx, []crm.Change{c})[0]
	if res.Err != nil && crm.KindOf(res.Err) != crm.Gone {
		u.left(contactRecord, res.Err)
		u.out.Person.Op = None
		return nil
	}
	u.personRestored()
	return nil
}

func (u *undoing) personRestored() {
	w := &u.who
	if w.archive {
		u.r.setPerson(w.ref, store.Person{})
		for key, id := range u.it.known {
			if id.Ref == w.ref {
				u.r.setIdentity(key, store.Identity{})
			}
		}
		return
	}
	for key, id := range u.it.known {
		if id.Call == u.it.id() {
			u.r.setIdentity(key, store.Identity{})
		}
	}
	for name, a := range w.applied {
		if a == (store.Applied{}) {
			delete(w.known.Properties, name)
			continue
		}
		w.known.Properties[name] = a
	}
	u.r.setPerson(w.ref, w.known)
}
