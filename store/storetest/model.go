package storetest

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
)

var modelTests = []test{
	{"any sequence of operations", testModel},
}

// testModel runs random sequences of operations on a journal and on a model that
// keeps everything in maps, and expects the same answers of both.
func testModel(t *testing.T, open Open) {
	rapid.Check(t, func(r *rapid.T) {
		j := open(t)
		defer j.Close()
		m := &machine{
			fixture:  &fixture{Journal: j, t: t},
			enrolled: map[string]bool{},
			calls:    map[string]*modelCall{},
			people:   map[string]map[crm.Ref]store.Person{},
			known:    map[string]map[string]store.Identity{},
			loaded:   map[string]map[string]store.State{},
		}
		r.Repeat(map[string]func(*rapid.T){
			"":          m.check,
			"deliver":   m.deliverAny,
			"reject":    m.rejectAny,
			"enroll":    m.enrollAny,
			"request":   m.requestAny,
			"load":      m.loadAny,
			"apply":     m.applyAny,
			"people":    m.peopleAny,
			"list":      m.listAny,
			"log":       m.logAny,
			"revisions": m.revisionsAny,
			"erase":     m.eraseAny,
		})
	})
}

var (
	modelDestinations = []string{"hub", "hubspot", "salesforce"}
	modelCalls        = []string{"a", "ab", "a\x00", "b"}
	modelResults      = []julian.ResultType{julian.Voicemail, julian.Busy, julian.ProcessingAnalysis, julian.Calling}
	modelTexts        = []string{"one", "two", "three"}
)

type machine struct {
	*fixture
	clock    int
	enrolled map[string]bool
	calls    map[string]*modelCall
	log      []store.Delivery // oldest first
	people   map[string]map[crm.Ref]store.Person
	known    map[string]map[string]store.Identity
	loaded   map[string]map[string]store.State // what a round took, by destination and call
}

type modelCall struct {
	store.Call
	revisions []store.Revision
	states    map[string]store.State
	records   map[string]map[string]store.Record // by destination and key
}

// now moves on with every use, so that no two things happen at once.
func (m *machine) now() time.Time {
	m.clock++
	return at(m.clock)
}

func draw[T any](r *rapid.T, from []T, what string) T {
	return rapid.SampledFrom(from).Draw(r, what)
}

func (m *machine) deliverAny(r *rapid.T) {
	d := delivery(draw(r, modelCalls, "call"), draw(r, modelResults, "result"), draw(r, modelTexts, "text"), m.now())
	d.Call.AgentID = draw(r, []string{"x", "y"}, "agent")
	if rapid.Bool().Draw(r, "bulk") {
		d.Lane, d.Due = store.Replay, m.now()
	}
	got, err := m.Deliver(m.ctx(), d)
	if err != nil {
		r.Fatal(err)
	}
	verdict, revision := m.receive(d)
	if got.Verdict != verdict || got.Revision != revision {
		r.Fatalf("%s, revision %d; want %s, revision %d", got.Verdict, got.Revision, verdict, revision)
	}
	if stale := verdict == store.Stale; stale != (got.Reason != "") {
		r.Fatalf("%s, because %q", verdict, got.Reason)
	}
	d.Seq, d.Verdict, d.Reason, d.Call, d.Body = got.Seq, verdict, got.Reason, nil, nil
	d.Lane, d.Due = store.Live, time.Time{}
	m.log = append(m.log, d)
}

func (m *machine) receive(d store.Delivery) (store.Verdict, int) {
	c := m.calls[d.CallID]
	verdict := store.Accepted
	if c != nil {
		older := slices.ContainsFunc(c.revisions, func(x store.Revision) bool { return x.Hash == d.Hash })
		switch {
		case c.Hash == d.Hash:
			return store.Duplicate, c.Revision
		case older, d.Call.Interim() && !c.Interim, d.Lane == store.Replay && d.At.Before(c.RevisedAt):
			return store.Stale, c.Revision
		}
		verdict = store.Revised
	} else {
		c = &modelCall{
			Call:    store.Call{ID: d.CallID, ReceivedAt: d.At},
			states:  map[string]store.State{},
			records: map[string]map[string]store.Record{},
		}
		m.calls[d.CallID] = c
	}
	c.AgentID, c.Direction, c.ResultType, c.Interim = d.Call.AgentID, d.Call.Direction, d.Call.Result.ResultType, d.Call.Interim()
	c.RevisedAt, c.Hash, c.Size = d.At, d.Hash, len(d.Body)
	c.Revision++
	c.revisions = append(c.revisions, store.Revision{N: c.Revision, At: d.At, Hash: d.Hash, Body: d.Body})
	for destination := range m.enrolled {
		s := c.states[destination]
		if d.Lane == store.Replay {
			c.states[destination] = modelRequest(s, store.Request{At: d.Due, Lane: store.Replay})
			continue
		}
		if s.Wanted == s.Done {
			s.Since = d.At
		}
		s.Wanted++
		s.Status, s.Next, s.Lane = store.Pending, d.At, store.Live
		c.states[destination] = s
	}
	return verdict, c.Revision
}

func (m *machine) rejectAny(r *rapid.T) {
	d := rejection(draw(r, modelTexts, "text"), m.now())
	got, err := m.Deliver(m.ctx(), d)
	if err != nil {
		r.Fatal(err)
	}
	body, err := m.Quarantined(m.ctx(), got.Seq)
	if err != nil || string(body) != string(d.Body) {
		r.Fatalf("quarantined: %q, %v", body, err)
	}
	d.Seq, d.Body = got.Seq, nil
	m.log = append(m.log, d)
}

func (m *machine) enrollAny(r *rapid.T) {
	names := rapid.SliceOfDistinct(rapid.SampledFrom(modelDestinations), rapid.ID[string]).Draw(r, "destinations")
	if err := m.Enroll(m.ctx(), names); err != nil {
		r.Fatal(err)
	}
	m.enrolled = map[string]bool{}
	for _, name := range names {
		m.enrolled[name] = true
	}
}

func (m *machine) requestAny(r *rapid.T) {
	destination := draw(r, modelDestinations, "destination")
	ids := rapid.SliceOf(rapid.SampledFrom(append(modelCalls, "nobody"))).Draw(r, "calls")
	q := store.Request{
		At: m.now(), Lane: draw(r, []store.Lane{store.Live, store.Replay}, "lane"),
		Force: rapid.Bool().Draw(r, "force"), Recreate: rapid.Bool().Draw(r, "recreate"),
		Redo: rapid.Bool().Draw(r, "redo"),
	}
	got, err := m.Request(m.ctx(), destination, ids, q)
	if err != nil {
		r.Fatal(err)
	}
	asked := map[string]bool{}
	for _, id := range ids {
		if c := m.calls[id]; c != nil && !asked[id] {
			asked[id] = true
			c.states[destination] = modelRequest(c.states[destination], q)
		}
	}
	if got != len(asked) {
		r.Fatalf("Request: %d, want %d", got, len(asked))
	}
}

func modelRequest(s store.State, q store.Request) store.State {
	if s.Wanted == s.Done {
		s.Since = q.At
	}
	s.Wanted++
	s.Status = store.Pending
	s.Force, s.Recreate, s.Redo = s.Force || q.Force, s.Recreate || q.Recreate, s.Redo || q.Redo
	switch planned := !s.Next.IsZero(); {
	case !planned:
		s.Lane, s.Next = q.Lane, q.At
	case s.Lane == store.Live || q.Lane == store.Replay: // it stays in its lane
		if q.At.Before(s.Next) {
			s.Next = q.At
		}
	default:
		s.Lane, s.Next = q.Lane, q.At
	}
	return s
}

func (m *machine) loadAny(r *rapid.T) {
	destination := draw(r, modelDestinations, "destination")
	works, err := m.Load(m.ctx(), destination, modelCalls)
	if err != nil {
		r.Fatal(err)
	}
	m.loaded[destination] = map[string]store.State{}
	for _, w := range works {
		m.loaded[destination][w.Call.ID] = w.State
	}
}

// eraseAny erases a call. No round is under way then, so that none takes it
// along.
func (m *machine) eraseAny(r *rapid.T) {
	id := draw(r, modelCalls, "call")
	got, err := m.Erase(m.ctx(), store.Erasure{Calls: []string{id}})
	if err != nil {
		r.Fatal(err)
	}
	var want store.Erased
	if c := m.calls[id]; c != nil {
		want = store.Erased{Calls: 1, Bodies: len(c.revisions), States: len(c.states)}
		for _, records := range c.records {
			want.Records += len(records)
		}
	}
	m.log = slices.DeleteFunc(m.log, func(d store.Delivery) bool {
		if d.CallID != id {
			return false
		}
		want.Deliveries++
		return true
	})
	if got != want {
		r.Fatalf("erased %+v, want %+v", got, want)
	}
	delete(m.calls, id)
	for _, loaded := range m.loaded {
		delete(loaded, id)
	}
}

// applyAny ends a round that began at the last load, whatever came in since.
func (m *machine) applyAny(r *rapid.T) {
	destination := draw(r, modelDestinations, "destination")
	u := store.Update{
		States: map[string]store.State{}, Records: map[string][]store.Record{}, Forget: map[string][]string{},
	}
	for _, id := range slices.Sorted(maps.Keys(m.loaded[destination])) {
		s := m.loaded[destination][id]
		now := m.now()
		s.Status = draw(r, store.Statuses(), "status")
		switch s.Status {
		case store.Pending:
			continue
		case store.Retrying:
			s.Attempts++
			s.Next = now.Add(time.Duration(rapid.IntRange(-3, 3).Draw(r, "backoff")) * time.Second)
		default:
			s.Done, s.Since, s.Next, s.Force, s.Recreate, s.Attempts = s.Wanted, now, time.Time{}, false, false, 0
		}
		u.States[id] = s
		u.Records[id] = []store.Record{record(id, draw(r, modelTexts, "record"))}
		u.Forget[id] = []string{id + "#" + draw(r, modelTexts, "forget")}
		u.Records[id][0].Links = []crm.Ref{contact(fmt.Sprint(m.clock))}
	}
	if err := m.Apply(m.ctx(), destination, u); err != nil {
		r.Fatal(err)
	}
	delete(m.loaded, destination)
	for id, s := range u.States {
		c := m.calls[id]
		c.states[destination] = s.Merge(c.states[destination])
		if c.records[destination] == nil {
			c.records[destination] = map[string]store.Record{}
		}
		delete(c.records[destination], u.Forget[id][0])
		c.records[destination][u.Records[id][0].Key] = u.Records[id][0]
	}
}

func (m *machine) peopleAny(r *rapid.T) {
	destination := draw(r, modelDestinations, "destination")
	refs := []crm.Ref{contact("1"), contact("2"), contact("12"), {Object: "Lead", ID: "1"}}
	keys := []string{"email:a@example.com", "email:b@example.com", "phone:+1"}
	people, known := m.people[destination], m.known[destination]
	if people == nil {
		people, known = map[crm.Ref]store.Person{}, map[string]store.Identity{}
		m.people[destination], m.known[destination] = people, known
	}
	switch draw(r, []string{"person", "identity", "moved"}, "kind") {
	case "person":
		p := store.Person{Properties: map[string]store.Applied{draw(r, modelTexts, "property"): applied("x", "a", m.now())}}
		ref := draw(r, refs, "ref")
		m.apply(destination, store.Update{People: map[crm.Ref]store.Person{ref: p}})
		people[ref] = p
	case "identity":
		i := store.Identity{Ref: draw(r, append(refs, crm.Ref{}), "ref")}
		k := draw(r, keys, "key")
		m.apply(destination, store.Update{Identities: map[string]store.Identity{k: i}})
		known[k] = i
		if i == (store.Identity{}) {
			delete(known, k)
		}
	case "moved":
		old, next := draw(r, refs, "old"), draw(r, refs, "new")
		m.apply(destination, store.Update{Moved: map[crm.Ref]crm.Ref{old: next}})
		if old == next {
			break
		}
		a, had := people[old]
		b, known1 := people[next]
		if known1 || had && a.MovedTo.IsZero() {
			b.Properties = maps.Clone(b.Properties)
			b.Join(a)
			b.MovedTo = crm.Ref{}
			people[next] = b
		}
		people[old] = store.Person{MovedTo: next}
		for k, i := range known {
			if i.Ref == old {
				i.Ref = next
				known[k] = i
			}
		}
	}
	same(r, "people", m.fixture.people(destination, refs...), people)
	same(r, "identities", m.identities(destination, keys...), known)
}
