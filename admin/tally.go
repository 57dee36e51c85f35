package admin

import (
	"cmp"
	"hash/maphash"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/sync"
)

// A tally sums plans up and keeps the first ones. What it holds does not grow
// with the journal, but for a few bytes for every person: several calls of one
// person are one record in the CRM, and are counted as one.
type tally struct {
	t PlanTotals
	// again has calls that failed before counted with the others: they are asked
	// for, whatever came of them.
	again  bool
	kept   []sync.CallPlan
	seed   maphash.Seed
	people map[uint64]tallied
	bits   map[string]uint64 // of the properties of people, in tallied.counted
}

// tallied is what has been counted of a person.
type tallied struct {
	op      crm.Op
	counted uint64
}

func newTally(calls int) *tally {
	return &tally{
		t: PlanTotals{
			Calls: calls, Records: map[crm.Op]int{}, Objects: map[string]map[crm.Op]int{},
			Properties: map[string]int{}, Statuses: map[string]int{},
		},
		kept: []sync.CallPlan{}, seed: maphash.MakeSeed(), people: map[uint64]tallied{}, bits: map[string]uint64{},
	}
}

// add counts plans. Those that write nothing and do not fail are kept only if
// idle. Half of the places are for plans that show what no plan before them did.
func (t *tally) add(plans []sync.CallPlan, idle bool) {
	for _, p := range plans {
		if p.Tried && !t.again {
			t.t.Tried++
			continue
		}
		writes := p.Writes()
		known := t.variety()
		if writes {
			t.t.Writing++
		}
		t.t.Statuses[string(p.Status)]++
		for _, r := range p.Records {
			t.count(r.Object, r.Op, 1)
			for _, c := range r.Changes {
				if r.Op != sync.None && c.MayWrite() {
					t.t.Properties[r.Object+"."+c.Name]++
				}
			}
		}
		if p.Person.How != "" {
			t.addPerson(p.Destination, p.Person)
		}
		switch {
		case !writes && !idle && p.Status != store.Failed:
		case len(t.kept) < maxPlans/2, len(t.kept) < maxPlans && (idle || t.variety() > known):
			t.kept = append(t.kept, p)
		default:
			t.t.Truncated = true
		}
	}
}

// variety is how many different things have been counted.
func (t *tally) variety() int {
	n := len(t.t.Properties)
	for _, ops := range t.t.Objects {
		n += len(ops)
	}
	return n
}

func (t *tally) count(object string, op crm.Op, n int) {
	t.t.Records[op] += n
	ops := t.t.Objects[object]
	if ops == nil {
		ops = map[crm.Op]int{}
		t.t.Objects[object] = ops
	}
	if ops[op] += n; ops[op] == 0 {
		delete(ops, op)
	}
}

func (t *tally) addPerson(destination string, p sync.PersonPlan) {
	object := cmp.Or(p.Object, p.Ref.Object, "person")
	id := t.identify(destination, p)
	had, known := t.people[id]
	now := had
	switch {
	case !known:
		now.op = p.Op
		t.count(object, p.Op, 1)
	case rank(p.Op) > rank(had.op):
		now.op = p.Op
		t.count(object, had.op, -1)
		t.count(object, p.Op, 1)
	}
	for _, c := range p.Changes {
		if p.Op == sync.None {
			break
		}
		name := object + "." + c.Name
		if bit := t.bit(name); c.MayWrite() && (bit == 0 || now.counted&bit == 0) {
			now.counted |= bit
			t.t.Properties[name]++
		}
	}
	t.people[id] = now
}

func rank(op crm.Op) int {
	switch op {
	case crm.Create:
		return 2
	case crm.Update:
		return 1
	}
	return 0
}

// bit stands for a property of people; 0 when there are more than 64 of them.
func (t *tally) bit(name string) uint64 {
	bit, ok := t.bits[name]
	if !ok {
		bit = 1 << len(t.bits)
		t.bits[name] = bit
	}
	return bit
}

// identify tells people apart: those the CRM has by their id, others by what
// they would be found by.
func (t *tally) identify(destination string, p sync.PersonPlan) uint64 {
	var h maphash.Hash
	h.SetSeed(t.seed)
	write := func(parts ...string) {
		for _, part := range parts {
			_, _ = h.WriteString(part)
			_ = h.WriteByte(0)
		}
	}
	write(destination)
	if !p.Ref.IsZero() {
		write(p.Ref.Object, p.Ref.ID)
		return h.Sum64()
	}
	for _, m := range p.Match {
		write(string(m.Kind), m.Property, m.Value)
	}
	return h.Sum64()
}

func (t *tally) plans() *Plans { return &Plans{Totals: t.t, Plans: t.kept} }

// Sum sums plans up as the API does, for plans made without it.
func Sum(plans []sync.CallPlan) Plans {
	t := newTally(len(plans))
	t.t.Destinations = 1
	t.add(plans, true)
	return *t.plans()
}
