package storetest

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/callsync/callsync/store"
)

// check compares what both know, of one destination after the other; it runs
// after every operation.
func (m *machine) check(r *rapid.T) {
	stats, err := m.Stats(m.ctx())
	if err != nil {
		r.Fatal(err)
	}
	stats.Bytes = 0
	same(r, "stats", stats, m.stats())
	destination := modelDestinations[len(m.log)%len(modelDestinations)]
	due, err := m.Due(m.ctx(), destination, at(m.clock), 3)
	if err != nil {
		r.Fatal(err)
	}
	same(r, "due at "+destination, due, m.due(destination, at(m.clock), 3))
	next, ok, err := m.NextDue(m.ctx(), destination)
	if err != nil {
		r.Fatal(err)
	}
	all := m.due(destination, at(1<<30), 1<<30)
	if ok != (len(all) > 0) {
		r.Fatalf("NextDue at %s: %v, and %d calls have a next attempt", destination, ok, len(all))
	}
	if ok {
		earliest := slices.MinFunc(all, func(a, b store.Due) int { return a.Next.Compare(b.Next) })
		if !next.Equal(earliest.Next) {
			r.Fatalf("NextDue at %s: %v, want %v", destination, next, earliest.Next)
		}
	}
	works, err := m.Load(m.ctx(), destination, modelCalls)
	if err != nil {
		r.Fatal(err)
	}
	same(r, "calls at "+destination, works, m.works(destination))
}

func (m *machine) stats() store.Stats {
	s := store.Stats{
		Calls:        int64(len(m.calls)),
		Deliveries:   map[store.Verdict]int64{},
		Destinations: map[string]map[store.Status]int64{},
		Oldest:       map[string]time.Time{},
	}
	for _, d := range m.log {
		s.Deliveries[d.Verdict]++
	}
	for _, c := range m.calls {
		for destination, x := range c.states {
			if s.Destinations[destination] == nil {
				s.Destinations[destination] = map[store.Status]int64{}
			}
			s.Destinations[destination][x.Status]++
			if x.Status != store.Pending && x.Status != store.Retrying {
				continue
			}
			if oldest, ok := s.Oldest[destination]; !ok || x.Since.Before(oldest) {
				s.Oldest[destination] = x.Since
			}
		}
	}
	return s
}

func (m *machine) due(destination string, now time.Time, limit int) []store.Due {
	var due []store.Due
	for id, c := range m.calls {
		if s := c.states[destination]; !s.Next.IsZero() && !s.Next.After(now) {
			due = append(due, store.Due{CallID: id, Next: s.Next, Lane: s.Lane})
		}
	}
	slices.SortFunc(due, func(a, b store.Due) int {
		return cmp.Or(cmp.Compare(a.Lane, b.Lane), a.Next.Compare(b.Next), m.calls[a.CallID].ReceivedAt.Compare(m.calls[b.CallID].ReceivedAt))
	})
	return due[:min(limit, len(due))]
}

func (m *machine) works(destination string) []store.Work {
	var works []store.Work
	for _, id := range modelCalls {
		if c := m.calls[id]; c != nil {
			works = append(works, store.Work{
				Call: c.Call, Body: c.revisions[len(c.revisions)-1].Body, Destination: destination,
				State: c.states[destination], Records: c.records[destination],
			})
		}
	}
	return works
}

func (m *machine) listAny(r *rapid.T) {
	f := store.CallFilter{
		Result:      draw(r, append(modelResults, ""), "result"),
		Agent:       draw(r, []string{"", "", "x"}, "agent"),
		Destination: draw(r, append(modelDestinations, ""), "destination"),
		Status:      draw(r, append(store.Statuses(), ""), "status"),
		Limit:       rapid.IntRange(0, 3).Draw(r, "limit"),
		Since:       m.timeAny(r, "since"),
		Until:       m.timeAny(r, "until"),
	}
	if rapid.Bool().Draw(r, "by id") {
		f.IDs = rapid.SliceOfN(rapid.SampledFrom(append(modelCalls, "nobody")), 1, 3).Draw(r, "ids")
	}
	var got []store.CallView
	for v, err := range m.Calls(m.ctx(), f) {
		if err != nil {
			r.Fatal(err)
		}
		got = append(got, v)
	}
	same(r, "calls", got, m.list(f))
}

// timeAny is no time, or some time in the story so far.
func (m *machine) timeAny(r *rapid.T, what string) time.Time {
	if !rapid.Bool().Draw(r, what+"?") {
		return time.Time{}
	}
	return at(rapid.IntRange(0, m.clock+1).Draw(r, what))
}

func inTime(t, since, until time.Time) bool {
	return !t.Before(since) && (until.IsZero() || t.Before(until))
}

func (m *machine) list(f store.CallFilter) []store.CallView {
	var views []store.CallView
	for _, c := range m.calls {
		v := store.CallView{Call: c.Call, States: map[string]store.State{}}
		has := f.Status == ""
		for destination, s := range c.states {
			if f.Destination == "" || f.Destination == destination {
				v.States[destination] = s
				has = has || s.Status == f.Status
			}
		}
		if has && inTime(c.ReceivedAt, f.Since, f.Until) &&
			(f.IDs == nil || slices.Contains(f.IDs, c.ID)) &&
			(f.Result == "" || f.Result == c.ResultType) &&
			(f.Agent == "" || f.Agent == c.AgentID) {
			views = append(views, v)
		}
	}
	slices.SortFunc(views, func(a, b store.CallView) int { return b.ReceivedAt.Compare(a.ReceivedAt) })
	if f.Limit > 0 {
		views = views[:min(f.Limit, len(views))]
	}
	return views
}

func (m *machine) logAny(r *rapid.T) {
	verdicts := append([]store.Verdict{""}, store.Verdicts()...)
	f := store.DeliveryFilter{
		CallID:  draw(r, append(modelCalls, "", "nobody"), "call"),
		Verdict: draw(r, verdicts, "verdict"),
		Limit:   rapid.IntRange(0, 3).Draw(r, "limit"),
		Since:   m.timeAny(r, "since"),
		Until:   m.timeAny(r, "until"),
	}
	if len(m.log) > 0 && rapid.Bool().Draw(r, "paged") {
		f.Before = draw(r, m.log, "before").Seq
	}
	var got, want []store.Delivery
	for d, err := range m.Deliveries(m.ctx(), f) {
		if err != nil {
			r.Fatal(err)
		}
		got = append(got, d)
	}
	for _, d := range slices.Backward(m.log) {
		if (f.CallID == "" || f.CallID == d.CallID) && (f.Verdict == "" || f.Verdict == d.Verdict) &&
			inTime(d.At, f.Since, f.Until) && (f.Before == 0 || d.Seq < f.Before) &&
			(f.Limit == 0 || len(want) < f.Limit) {
			want = append(want, d)
		}
	}
	same(r, "deliveries", got, want)
}

func (m *machine) revisionsAny(r *rapid.T) {
	id := draw(r, modelCalls, "call")
	c := m.calls[id]
	if c == nil {
		return
	}
	got, err := m.Revisions(m.ctx(), id)
	if err != nil {
		r.Fatal(err)
	}
	if !slices.EqualFunc(got, c.revisions, func(a, b store.Revision) bool {
		return a.N == b.N && a.At.Equal(b.At) && a.Hash == b.Hash && bytes.Equal(a.Body, b.Body)
	}) {
		r.Fatalf("revisions of %q: %v, want %v", id, got, c.revisions)
	}
	works, err := m.View(m.ctx(), id)
	if err != nil {
		r.Fatal(err)
	}
	for _, w := range works {
		want := store.Work{
			Call: c.Call, Body: c.revisions[len(c.revisions)-1].Body, Destination: w.Destination,
			State: c.states[w.Destination], Records: c.records[w.Destination],
		}
		same(r, "view at "+w.Destination, w, want)
	}
	if len(works) != len(c.states) {
		r.Fatalf("View shows %d destinations, want %d", len(works), len(c.states))
	}
}
