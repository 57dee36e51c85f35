package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/callsync/callsync/crm"
)

// A portrait is what stands in an emulated CRM, as its API shows it.
type portrait struct {
	people []personSeen
	// loose are activities that belong to nobody.
	loose []recordSeen
}

type personSeen struct {
	name      string
	phone     string
	email     string
	doNotCall bool
	records   []recordSeen
}

// A recordSeen is an activity.
type recordSeen struct {
	kind  string // "call", "meeting", "task"
	id    string
	title string
	when  string // as the CRM has it
	text  string // everything a person would read in it
}

func (s *portrait) print(p *printer) {
	t := newTable("contact", "reached at", "", "what", "when")
	t.indent = "  "
	t.least = map[int]int{2: whole, 4: whole}
	for _, person := range s.people {
		name, reach := person.name, person.phone
		if reach == "" {
			reach = person.email
		}
		if person.doNotCall {
			name += " (do not call)"
		}
		if len(person.records) == 0 {
			t.row(styled{name, cyan}, reach, "", "", "")
		}
		for _, r := range person.records {
			t.row(styled{name, cyan}, reach, r.kind, r.title, r.when)
			name, reach = "", ""
		}
	}
	t.print(p)
}

// What the demo's deliveries must have left in a CRM.
var demoPeople = []struct {
	name                   string
	calls, meetings, tasks int
	doNotCall              bool
	reads                  string // found in the call
}{
	{name: "Victor Wembly", calls: 1, reads: "40 seats"},
	{name: "Ada Lindqvist", calls: 1, meetings: 1, tasks: 2, reads: "chain of clinics"},
	{name: "Tom Okafor", calls: 1, reads: "left a message"},
	{name: "Greta Sand", calls: 1, doNotCall: true, reads: "not to be called"},
	{name: "Noah Weiss", calls: 1, reads: "under contract elsewhere"},
	{name: "Mira Novák", calls: 1, reads: "API documentation"},
}

// verify compares a portrait with what the demo's deliveries describe.
func (s *portrait) verify() error {
	var wrong error
	fail := func(format string, args ...any) { wrong = errors.Join(wrong, fmt.Errorf(format, args...)) }
	if len(s.people) != len(demoPeople) {
		fail("the CRM holds %s, not %d", count(len(s.people), "contact"), len(demoPeople))
	}
	for _, r := range s.loose {
		fail("the %s %s belongs to nobody", r.kind, r.id)
	}
	for _, want := range demoPeople {
		i := slices.IndexFunc(s.people, func(p personSeen) bool { return p.name == want.name })
		if i < 0 {
			fail("%s is not in the CRM", want.name)
			continue
		}
		got := s.people[i]
		kinds := map[string]int{}
		found := false
		for _, r := range got.records {
			kinds[r.kind]++
			found = found || r.kind == "call" && strings.Contains(r.text, want.reads)
		}
		if kinds["call"] != want.calls || kinds["meeting"] != want.meetings || kinds["task"] != want.tasks {
			fail("%s has %d calls, %d meetings and %d tasks, not %d, %d and %d", want.name,
				kinds["call"], kinds["meeting"], kinds["task"], want.calls, want.meetings, want.tasks)
		}
		if !found {
			fail("%s's call does not say %q", want.name, want.reads)
		}
		if got.doNotCall != want.doNotCall {
			fail("%s: do not call is %t", want.name, got.doNotCall)
		}
	}
	return wrong
}

// crmTime shortens a time as a CRM writes it.
func crmTime(s string) string {
	t, err := crm.ParseTime(s)
	if err != nil {
		return s
	}
	return t.UTC().Format("2006-01-02 15:04 MST")
}
