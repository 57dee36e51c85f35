package sync

import (
	"context"
	"maps"
	"slices"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
)

// Verified says how some calls stand in the CRM.
type Verified struct {
	Calls   int `json:"calls"`
	Records int `json:"records"` // looked at
	People  int `json:"people"`  // looked at
	Busy    int `json:"busy"`    // calls left out because they are on their way
	// Forgotten are calls of which nothing is in the CRM: what they brought is in an
	// account that was forgotten since.
	Forgotten int     `json:"forgotten"`
	Drifts    []Drift `json:"drifts,omitempty"`
}

// A Drift is a difference between what callsync last applied because of a call
// and what the CRM holds. It holds the call's values: it is for the person who
// asked, not for logs.
type Drift struct {
	CallID      string    `json:"callId"`
	Destination string    `json:"destination"`
	Record      string    `json:"record"` // its key; "contact" for the person
	Ref         crm.Ref   `json:"ref"`
	Kind        DriftKind `json:"kind"`
	Now         crm.Ref   `json:"now,omitzero"` // of Merged: who they became
	// Final, of Missing: the call's body has expired, so that nothing makes the
	// record anew.
	Final   bool             `json:"final,omitempty"`
	Changes []PropertyChange `json:"changes,omitempty"`
}

// A DriftKind says what happened to a record.
type DriftKind string

const (
	Missing DriftKind = "missing" // deleted or archived
	Changed DriftKind = "changed" // properties hold something else: Old is ours, New theirs
	Merged  DriftKind = "merged"  // answers under another id
)

// Verify compares what was last applied because of calls with what the CRM
// holds, and changes nothing. It reads in batches; a call that is synced
// meanwhile is left out. Calls that are not in the journal are no error.
func (l *Loop) Verify(ctx context.Context, callIDs []string) (*Verified, error) {
	v := &verifier{r: &round{loop: l, now: l.now()}}
	works, err := v.load(ctx, callIDs)
	if err != nil {
		return nil, err
	}
	if err := v.look(ctx, works); err != nil {
		return nil, err
	}
	return &v.out, v.recheck(ctx, works)
}

type verifier struct {
	r      *round
	people store.People
	out    Verified
}

// load leaves out the calls that are on their way and those without anything in
// the CRM.
func (v *verifier) load(ctx context.Context, ids []string) ([]store.Work, error) {
	l := v.r.loop
	works, err := l.journal.Load(ctx, l.name, ids)
	if err != nil {
		return nil, journalError("load", err)
	}
	v.out.Calls = len(works)
	works = slices.DeleteFunc(works, func(w store.Work) bool {
		if w.State.Wanted != w.State.Done || w.State.Status == store.Retrying {
			v.out.Busy++
			return true
		}
		if w.State.Forgotten != "" {
			v.out.Forgotten++
		}
		return false
	})
	v.people, err = l.peopleOf(ctx, works)
	return works, err
}

// peopleOf loads what was applied to the people of calls, under the names they
// have now.
func peopleOf(ctx context.Context, h store.History, destination string, works []store.Work) (store.People, error) {
	var refs []crm.Ref
	asked := map[crm.Ref]bool{}
	for _, w := range works {
		if c := w.State.Person; c != nil && !c.IsZero() && !asked[c.Ref] {
			asked[c.Ref] = true
			refs = append(refs, c.Ref)
		}
	}
	return store.Trace(ctx, h, destination, refs...)
}

// peopleOf is [peopleOf] by the loop's journal.
func (l *Loop) peopleOf(ctx context.Context, works []store.Work) (store.People, error) {
	people, err := peopleOf(ctx, l.journal, l.name, works)
	if err != nil {
		return nil, journalError("load people", err)
	}
	return people, nil
}

// personOf is who a call's person is now; the zero Ref when it has none.
func personOf(people store.People, w store.Work) crm.Ref {
	if w.State.Person == nil {
		return crm.Ref{}
	}
	return people.Now(w.State.Person.Ref)
}

// broughtBy are the properties of a person that hold the value of a call.
func broughtBy(p store.Person, call string) map[string]store.Applied {
	own := map[string]store.Applied{}
	for name, a := range p.Properties {
		if a.Call == call {
			own[name] = a
		}
	}
	return own
}

// look reads what the calls brought into the CRM and notes the differences. A
// person's property is looked at with the call whose value it holds.
func (v *verifier) look(ctx context.Context, works []store.Work) error {
	q := readings{}
	read := map[crm.Ref]bool{}
	for _, w := range works {
		for _, row := range w.Records {
			if exists(row) {
				v.out.Records++
				q.want(row.Ref(), writtenNames(row.Properties))
			}
		}
		ref := personOf(v.people, w)
		if names := writtenNames(broughtBy(v.people[ref], w.Call.ID)); len(names) > 0 {
			if !read[ref] {
				v.out.People++
			}
			read[ref] = true
			q.want(ref, names)
		}
	}
	present, err := v.r.readEach(ctx, q)
	if err != nil {
		return err
	}
	lost := map[crm.Ref]bool{} // people who are noted already
	for _, w := range works {
		for _, key := range slices.Sorted(maps.Keys(w.Records)) {
			if row := w.Records[key]; exists(row) {
				ref := row.Ref()
				v.note(w, key, ref, row.Properties, present[ref])
			}
		}
		ref := personOf(v.people, w)
		own := broughtBy(v.people[ref], w.Call.ID)
		if len(writtenNames(own)) == 0 || lost[ref] {
			continue
		}
		snap := present[ref]
		lost[ref] = snap.Gone || snap.Ref != ref
		v.note(w, contactRecord, ref, own, snap)
	}
	return nil
}

// contactRecord stands for the person where records are named by key.
const contactRecord = "contact"

func (v *verifier) note(w store.Work, record string, ref crm.Ref, applied map[string]store.Applied, snap crm.Snapshot) {
	d := Drift{CallID: w.Call.ID, Destination: v.r.loop.name, Record: record, Ref: ref}
	switch {
	case snap.Gone:
		d.Kind, d.Final = Missing, !w.Call.HasBody()
	case snap.Ref != ref:
		d.Kind, d.Now = Merged, snap.Ref
	default:
		d.Kind = Changed
		for _, name := range editedNames(applied, snap.Properties) {
			ours := wrote(applied[name])
			if ours.Kind == crm.Lookup {
				ours = crm.Str(applied[name].Wire)
			}
			d.Changes = append(d.Changes, PropertyChange{Name: name, Old: ours, New: crm.Str(snap.Properties[name])})
		}
		if len(d.Changes) == 0 {
			return
		}
		v.judge(w, &d, applied)
	}
	v.out.Drifts = append(v.out.Drifts, d)
}

// judge says of changed properties whether a repair would write them: those that
// the mapping always writes. A person's hand in the others is respected.
func (v *verifier) judge(w store.Work, d *Drift, applied map[string]store.Applied) {
	modes, ok := v.modes(w, d)
	for i := range d.Changes {
		c := &d.Changes[i]
		c.Write = modes[c.Name]
		switch {
		case !ok:
			c.Note = "kept: the call cannot be read any more, or not by the mapping in force"
		case c.Write == "":
			c.Note = "kept: the mapping does not write it any more"
		case c.Write != crm.Always:
			c.Note = "kept: a person's value wins (" + string(c.Write) + ")"
		case applied[c.Name].Kept != "":
			c.Note = "kept: " + applied[c.Name].Kept
		}
	}
}

// modes are the write modes of a record's properties by the mapping in force; ok
// is false when it cannot render the call.
func (v *verifier) modes(w store.Work, d *Drift) (modes map[string]crm.WriteMode, ok bool) {
	modes = map[string]crm.WriteMode{}
	if d.Record == contactRecord {
		p := v.people[d.Ref]
		for name := range p.Claims {
			top, _ := p.Top(name)
			modes[name] = top.Write
		}
		return modes, w.Call.HasBody()
	}
	call, err := julian.Parse(w.Body)
	if err != nil {
		return modes, false
	}
	want, err := v.r.loop.mapping().Render(call, w.Call.ReceivedAt)
	if err != nil {
		return modes, false
	}
	place(want, w)
	for _, rec := range want.Records {
		if rec.Key == d.Record {
			for _, f := range rec.Fields {
				modes[f.Name] = f.Write
			}
		}
	}
	return modes, true
}

// recheck drops differences that callsync itself made while it was looking.
func (v *verifier) recheck(ctx context.Context, before []store.Work) error {
	if len(v.out.Drifts) == 0 {
		return nil
	}
	l := v.r.loop
	var ids []string
	for _, d := range v.out.Drifts {
		if !slices.Contains(ids, d.CallID) {
			ids = append(ids, d.CallID)
		}
	}
	works, err := l.journal.Load(ctx, l.name, ids)
	if err != nil {
		return journalError("load", err)
	}
	people, err := l.peopleOf(ctx, works)
	if err != nil {
		return err
	}
	find := func(works []store.Work, id string) store.Work {
		return works[slices.IndexFunc(works, func(w store.Work) bool { return w.Call.ID == id })]
	}
	v.out.Drifts = slices.DeleteFunc(v.out.Drifts, func(d Drift) bool {
		i := slices.IndexFunc(works, func(w store.Work) bool { return w.Call.ID == d.CallID })
		if i < 0 {
			return true
		}
		a, b := find(before, d.CallID), works[i]
		if a.State.Wanted != b.State.Wanted || a.State.Done != b.State.Done {
			return true
		}
		if d.Record == contactRecord {
			return !maps.Equal(v.people[d.Ref].Properties, people[d.Ref].Properties)
		}
		return !maps.Equal(a.Records[d.Record].Properties, b.Records[d.Record].Properties)
	})
	return nil
}
