package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/sync"
)

// printHistory prints what syncing many calls would do: how much of what first,
// then a few of the calls.
func printHistory(p *printer, plans admin.Plans, examples int) {
	printTotals(p, plans.Totals)
	chosen := chooseExamples(plans.Plans, examples)
	if len(chosen) == 0 {
		return
	}
	p.f("\nfor example:\n")
	for _, plan := range chosen {
		printExample(p, plan)
	}
	others := "other call"
	if plans.Totals.Destinations > 1 {
		others = "other sync"
	}
	if left := plans.Totals.Writing - len(chosen); left > 0 {
		p.wrap("", styled{fmt.Sprintf("… and %s; --examples shows more of them, `callsync plan CALL_ID` all of one", count(left, others)), plain})
	}
}

// chooseExamples prefers calls that show a change, or a failure, that none
// before them shows.
func chooseExamples(plans []sync.CallPlan, n int) []sync.CallPlan {
	var chosen, rest []sync.CallPlan
	shown := map[string]bool{}
	for _, plan := range plans {
		isNew := false
		for _, sight := range sights(plan) {
			isNew = isNew || !shown[sight]
			shown[sight] = true
		}
		if isNew {
			chosen = append(chosen, plan)
		} else {
			rest = append(rest, plan)
		}
	}
	chosen = append(chosen, rest...)
	return chosen[:min(max(n, 0), len(chosen))]
}

// sights are what there is to see in a plan.
func sights(plan sync.CallPlan) []string {
	var all []string
	add := func(object string, op crm.Op, changes []sync.PropertyChange) {
		if op == sync.None {
			return
		}
		all = append(all, object+" "+string(op))
		if op != crm.Update {
			return // a record made anew has all its properties
		}
		for _, c := range changes {
			all = append(all, object+" "+string(op)+" "+c.Name)
		}
	}
	add(plan.Person.Object, plan.Person.Op, plan.Person.Changes)
	for _, r := range plan.Records {
		add(r.Object, r.Op, r.Changes)
	}
	if plan.Status == store.Failed {
		all = append(all, plan.Reason)
	}
	return all
}

// printExample prints what changes of a call, and nothing of the rest.
func printExample(p *printer, plan sync.CallPlan) {
	plan.Records = slices.DeleteFunc(slices.Clone(plan.Records), func(r sync.RecordPlan) bool { return r.Op == sync.None })
	if plan.Person.Op == sync.None {
		plan.Person = sync.PersonPlan{}
	}
	plan.Person.Match = nil
	printPlan(p, plan)
}

func printTotals(p *printer, t admin.PlanTotals) {
	unit := "call"
	if t.Destinations < 2 {
		p.f("%s, ", count(t.Calls, unit))
	} else {
		unit = "sync"
		p.f("%s at %d destinations, %s: ", count(t.Calls, "call"), t.Destinations, count(t.Calls*t.Destinations, unit))
	}
	p.f("%s; records: %s\n", writing(t.Writing), opsText(t.Records))
	objects := newTable()
	objects.indent = "  "
	for _, name := range slices.Sorted(maps.Keys(t.Objects)) {
		objects.row(name, briefly(opsText(t.Objects[name])))
	}
	objects.print(p)
	if n := t.Statuses[string(store.Failed)]; n > 0 {
		p.f("%s\n", styled{fmt.Sprintf("the mapping fails for %s", count(n, unit)), red})
	}
	if t.Tried > 0 {
		p.wrap("", styled{fmt.Sprintf("%s failed before and left as they are, since neither they nor the mapping have changed; `callsync resync --state failed` tries again", count(t.Tried, unit)), plain})
	}
	for _, s := range []store.Status{store.Skipped, store.Waiting} {
		if n := t.Statuses[string(s)]; n > 0 {
			p.f("%s %s\n", count(n, unit), forecast(s).text)
		}
	}
	if len(t.Properties) > 0 {
		p.f("changes by property:\n")
		p.list(operationList(t.Properties))
	}
}

// opsText names what becomes of records.
func opsText(ops map[crm.Op]int) string {
	return fmt.Sprintf("%d created, %d changed, %d archived, %d untouched",
		ops[crm.Create], ops[crm.Update], ops[crm.Archive], ops[sync.None])
}

// briefly leaves out what happens to no record.
func briefly(ops string) string {
	parts := strings.Split(ops, ", ")
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return strings.HasPrefix(s, "0 ") }), ", ")
}

// planned shows how far a plan is while it is being made.
func planned(g *progress, what string) func(admin.Progress) {
	return func(p admin.Progress) { g.show(what, p.Calls, int(p.Of), "") }
}

func writing(n int) string {
	if n == 0 {
		return "nothing to write"
	}
	return fmt.Sprintf("%d with something to write", n)
}
