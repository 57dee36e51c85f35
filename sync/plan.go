package sync

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
)

// Plan says what syncing calls would do, by the mapping in force and what was
// last applied, without asking the CRM or writing anything.
func (l *Loop) Plan(ctx context.Context, works []store.Work) ([]CallPlan, error) {
	return Plan(ctx, l.name, l.mapping(), l.journal, works)
}

// Plan is [Loop.Plan] for any mapping. history may be nil: then nothing was ever
// applied to anybody.
func Plan(ctx context.Context, destination string, m Mapping, history store.History, works []store.Work) ([]CallPlan, error) {
	var applied store.People
	if history != nil {
		var err error
		if applied, err = peopleOf(ctx, history, destination, works); err != nil {
			return nil, err
		}
	}
	plans := make([]CallPlan, len(works))
	for i, w := range works {
		plans[i] = planCall(destination, m, w, applied)
	}
	return plans, nil
}

func planCall(destination string, m Mapping, w store.Work, applied store.People) CallPlan {
	p := CallPlan{
		CallID: w.Call.ID, Destination: destination, Mapping: m.Version(),
		Status: store.Synced, Person: PersonPlan{Op: None},
	}
	if w.Damaged != nil {
		p.Status, p.Reason = store.Failed, w.Damaged.Error()
		return p
	}
	if undone(w.State) {
		p.Status, p.Reason = store.Skipped, whyOut(w.Call)
		return p
	}
	if !w.Call.HasBody() {
		p.Status, p.Reason = w.State.Status, whyExpired
		return p
	}
	call, err := julian.Parse(w.Body)
	if err != nil {
		p.Status, p.Reason = store.Failed, err.Error()
		return p
	}
	want, err := m.Render(call, w.Call.ReceivedAt)
	if err != nil {
		p.Status, p.Reason = store.Failed, err.Error()
		return p
	}
	for _, warning := range call.Warnings {
		p.Warnings = append(p.Warnings, warning.String())
	}
	p.Warnings = append(p.Warnings, want.Warnings...)
	place(want, w)
	it := &item{work: w, want: want, state: w.State}
	if needsPerson(it) {
		p.Person = planPerson(it, applied)
	}
	switch {
	case want.Skip != "":
		p.Status, p.Reason = store.Skipped, want.Skip
	case needsPerson(it) && p.Person.How == "" && !want.Person.Unlinked:
		p.Status, p.Reason = store.Skipped, nobody(want.Person)
		return p
	case stillNobodys(it, m.Version()):
		p.Status, p.Reason = store.Skipped, "as when it was last synced: "+w.State.Reason
		p.Person.Changes = nil
		return p
	case want.Interim:
		p.Status, p.Reason = store.Waiting, whyWaiting
	}
	p.Tried = failedBefore(w, m.Version())
	for _, rec := range want.Records {
		p.Records = append(p.Records, planRecord(rec, w))
	}
	p.Records = append(p.Records, planRetractions(want, w)...)
	return p
}

// settledBy reports whether the last attempt at a call came to an end with the
// revision that is the newest and a version of the mapping, and nobody has asked for
// another since.
func settledBy(s store.State, revision int, mapping string, c store.Call, version string) bool {
	return s.Wanted == s.Done && !s.Force && !s.Recreate && !s.Redo && revision == c.Revision && mapping == version
}

// stillNobodys reports whether a call had nobody to belong to when it was last
// synced, and no mapping or correction has changed that.
func stillNobodys(it *item, version string) bool {
	s, who := it.work.State, it.want.Person
	return s.Status == store.Skipped && s.Person == nil && needsPerson(it) && !who.Unlinked && len(who.Match) > 0 &&
		s.Reason == whyUnfound(who) && settledBy(s, s.Revision, s.Mapping, it.work.Call, version)
}

// failedBefore reports whether syncing a call would try again what has failed for
// good.
func failedBefore(w store.Work, version string) bool {
	s, p := w.State, w.State.Problem
	return s.Status == store.Failed && p != nil && settledBy(s, p.Revision, p.Mapping, w.Call, version)
}

// nobody is why a call has no person.
func nobody(p crm.Person) string {
	if len(p.Match) == 0 {
		return cmp.Or(p.WhyUnmatched, whyUnmatched)
	}
	return p.WhyNot
}

// planPerson describes what becomes of the person. How is "" when the call can
// have none.
func planPerson(it *item, applied store.People) PersonPlan {
	want := it.want.Person
	pp := PersonPlan{Op: None, Match: want.Match}
	if len(want.Match) == 0 {
		return pp
	}
	if c := it.work.State.Person; c != nil && !c.IsZero() {
		ref := personOf(applied, it.work)
		pp.Object, pp.Ref, pp.How = ref.Object, ref, c.How
		known := applied[ref]
		known.Claims = maps.Clone(known.Claims)
		wants := stake(&known, ref.Object, []*item{it}, nil)
		pp.Changes = changesOf(diffWants(wants, known.Properties, []*item{it}))
		pp.Op = opOf(pp.Changes)
		return pp
	}
	switch {
	case want.Create != "" && want.Key != "":
		pp.Op, pp.Object = crm.Create, want.Create
		pp.How = fmt.Sprintf("looked up when synced; created in %s if nobody is found", want.Create)
	case it.want.Person.Unlinked || want.Create == "":
		pp.How = "looked up when synced; not created"
	}
	object := want.Create
	if object == "" && len(want.Objects) > 0 {
		object = want.Objects[0]
	}
	pp.Changes = changesOf(fresh(fieldsOf(stake(&store.Person{}, object, []*item{it}, nil))))
	return pp
}

// notWritten begins the note of a change that will not be sent.
const notWritten = "not written: "

// MayWrite reports whether the change would be sent, as far as is known before
// the CRM is asked.
func (c *PropertyChange) MayWrite() bool { return !strings.HasPrefix(c.Note, notWritten) }

// opOf is Update if any of the changes may be written.
func opOf(changes []PropertyChange) crm.Op {
	for _, c := range changes {
		if c.MayWrite() {
			return crm.Update
		}
	}
	return None
}

func planRecord(want crm.Record, w store.Work) RecordPlan {
	row := w.Records[want.Key]
	rp := RecordPlan{Key: want.Key, Block: want.Block, Object: want.Object, ID: row.ID, Op: None}
	switch {
	case row.ID == "" || row.Retracted || !row.Gone.IsZero() && w.State.Recreate:
		rp.Op, rp.ID = crm.Create, ""
		rp.Changes = changesOf(fresh(want.Fields))
		if !row.Intent.IsZero() {
			rp.Note = "an earlier attempt is looked up by its key first"
		}
	case !row.Gone.IsZero():
		rp.Note = "deleted in the CRM; stays deleted unless resynced with --recreate"
	default:
		rp.Changes = changesOf(compareAll(want.Fields, row.Properties, w.State.Force))
		rp.Op = opOf(rp.Changes)
	}
	return rp
}

func planRetractions(want *crm.Desired, w store.Work) []RecordPlan {
	var plans []RecordPlan
	for _, key := range slices.Sorted(maps.Keys(w.Records)) {
		row := w.Records[key]
		wanted := slices.ContainsFunc(want.Records, func(r crm.Record) bool { return r.Key == key })
		if wanted || !exists(row) {
			continue
		}
		rp := RecordPlan{Key: key, Block: row.Block, Object: row.Object, ID: row.ID, Op: crm.Archive}
		rp.Note = "the corrected call no longer yields it"
		if row.KeepEdited {
			rp.Note += "; left in the CRM if a person has changed it"
		}
		if row.Keep || w.State.Revision == w.Call.Revision {
			rp.Op, rp.Note = None, "no longer yielded by the mapping; left in the CRM"
		}
		plans = append(plans, rp)
	}
	return plans
}
