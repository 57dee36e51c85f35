package sync

import (
	"context"
	"maps"
	"slices"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// PlanLive is [Loop.Plan] against what the CRM holds now: people are looked up,
// present values read and lookups resolved, as a round would, and by the same
// code. Where a round would learn something that changes the plan, such as that a
// contact is gone, and begin anew, so does the plan. Nothing is written or recorded.
// Calls are planned together as in rounds.
func (l *Loop) PlanLive(ctx context.Context, works []store.Work) ([]CallPlan, error) {
	if err := l.refused(ctx); err != nil { // there may be nothing else to ask
		return nil, err
	}
	var plans []CallPlan
	for batch := range slices.Chunk(works, l.batch) {
		some, err := l.planLive(ctx, batch)
		if err != nil {
			return nil, err
		}
		plans = append(plans, some...)
	}
	return plans, nil
}

// Expired reports whether nothing can be said of a call, since the journal no longer
// has its body.
func (p CallPlan) Expired() bool { return p.Reason == whyExpired }

// maxForesight is how often a plan is begun anew at most.
const maxForesight = 4

func (l *Loop) planLive(ctx context.Context, works []store.Work) ([]CallPlan, error) {
	f := foresee(l.journal)
	dry := l.foreseeing(f)
	learnt := make([]string, len(works))
	for n := 1; ; n++ {
		r, plans, err := dry.planOnce(ctx, f, works)
		if err != nil {
			return nil, err
		}
		again := false
		for i, it := range r.items {
			if it.outcome.again {
				again, learnt[i] = true, it.outcome.reason
			} else if plans[i].Reason == "" {
				plans[i].Reason = learnt[i]
			}
		}
		if !again || n == maxForesight {
			return plans, nil
		}
		f.note(r.pending)
	}
}

// planOnce is a round that stops before each request that writes.
func (l *Loop) planOnce(ctx context.Context, f *foresight, works []store.Work) (*round, []CallPlan, error) {
	r := &round{loop: l, now: l.now(), foresight: f}
	for _, w := range works {
		w.Records = maps.Clone(w.Records)
		r.items = append(r.items, r.render(w))
	}
	if err := r.retrace(ctx); err != nil {
		return nil, nil, err
	}
	if err := r.findPeople(ctx); err != nil {
		return nil, nil, err
	}
	edits, err := r.decidePeople(ctx)
	if err != nil {
		return nil, nil, err
	}
	jobs, _, _, err := r.decideRecords(ctx)
	if err != nil {
		return nil, nil, err
	}
	plans := make([]CallPlan, len(r.items))
	for i, it := range r.items {
		plans[i] = r.livePlan(it, edits, jobs)
	}
	return r, plans, nil
}

func (r *round) livePlan(it *item, edits []*contactEdit, jobs []*job) CallPlan {
	s := r.stateOf(it)
	p := CallPlan{
		CallID: it.id(), Destination: r.loop.name, Mapping: it.mapping,
		Status: s.Status, Reason: s.Reason, Warnings: it.state.Warnings,
		Person: PersonPlan{Op: None, Match: it.want.Person.Match},
	}
	if o := it.outcome; o.problem != nil && p.Reason == "" {
		p.Reason = o.problem.Text
	}
	for _, ce := range edits {
		if ce.person == it.person && it.person != nil {
			p.Person = livePerson(it, ce)
		}
	}
	for _, j := range jobs {
		if j.item == it && (j.want.Key != "" || exists(j.row)) {
			p.Records = append(p.Records, liveRecord(j))
		}
	}
	return p
}

// livePerson lists a person's changes with the call whose claim wins; those that
// come from none of the plan's calls go with the person's newest.
func livePerson(it *item, ce *contactEdit) PersonPlan {
	p := ce.person
	pp := PersonPlan{
		Op: None, Object: p.ref.Object, Ref: p.ref, How: p.how,
		Match: it.want.Person.Match, Candidates: p.others,
	}
	newest := p.calls[len(p.calls)-1]
	for _, d := range ce.edit.decided {
		i := slices.IndexFunc(ce.wants, func(w want) bool { return w.field.Name == d.field.Name })
		winner := ce.wants[i].call
		here := slices.ContainsFunc(p.calls, func(x *item) bool { return x.id() == winner })
		if winner != it.id() && (here || it != newest) {
			continue
		}
		c := d.change(ce.present, ce.reads)
		if winner != "" && winner != it.id() {
			c.Note = joinNotes(c.Note, "as call "+winner+" has it, which is newer")
		}
		pp.Changes = append(pp.Changes, c)
		if d.send {
			pp.Op = crm.Update
		}
	}
	if p.ref.IsZero() {
		pp.Op, pp.Object = crm.Create, p.object
	}
	return pp
}

func liveRecord(j *job) RecordPlan {
	rp := RecordPlan{
		Key: j.row.Key, Block: j.row.Block, Object: j.row.Object, ID: j.row.ID, Op: None,
		Link: j.link, Unlink: j.unlink,
	}
	if j.op == crm.Create {
		rp.Op, rp.Object = crm.Create, j.want.Object
	}
	for _, d := range j.edit.decided {
		rp.Changes = append(rp.Changes, d.change(j.present, nil))
	}
	switch {
	case !j.row.Gone.IsZero():
		rp.Note = "deleted in the CRM; stays deleted unless resynced with --recreate"
	case j.op == crm.Archive:
		rp.Op, rp.Note = crm.Archive, "the corrected call no longer yields it"
	case j.op == crm.Update && len(j.edit.send)+len(j.link)+len(j.unlink) > 0:
		rp.Op = crm.Update
	case j.want.Key == "":
		rp.Note = "no longer yielded by the mapping; left in the CRM"
	case exists(j.row) && j.item.person != nil && j.item.person.ref.IsZero():
		rp.Note = "linked to the contact that is created"
	}
	return rp
}

// change describes a decision. present is what the CRM holds; reads limits it to
// what was read, nil does not.
func (d decision) change(present map[string]string, reads []string) PropertyChange {
	c := PropertyChange{
		Name: d.field.Name, Old: wrote(d.applied), New: d.field.Value,
		Write: d.field.Write, Pos: d.field.Pos,
	}
	if present != nil && (reads == nil || slices.Contains(reads, d.field.Name)) {
		c.Old = crm.Str(present[d.field.Name])
	}
	switch {
	case d.why != "":
		c.Note = notWritten + d.why
	case !d.send:
		c.Note = notWritten + "the CRM holds it already"
	}
	return c
}

func joinNotes(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
