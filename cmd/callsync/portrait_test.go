package main

import (
	"slices"
	"strings"
	"testing"
)

// demoPortrait is what a CRM should look like after the demo.
func demoPortrait() *portrait {
	s := &portrait{}
	for _, want := range demoPeople {
		p := personSeen{name: want.name, doNotCall: want.doNotCall}
		for kind, n := range map[string]int{"call": want.calls, "meeting": want.meetings, "task": want.tasks} {
			for range n {
				p.records = append(p.records, recordSeen{kind: kind, text: want.reads})
			}
		}
		s.people = append(s.people, p)
	}
	return s
}

// TestDemoNoticesWhatIsWrong spoils a good outcome in every way the demo claims
// to notice.
func TestDemoNoticesWhatIsWrong(t *testing.T) {
	if err := demoPortrait().verify(); err != nil {
		t.Fatalf("a good outcome: %v", err)
	}
	for name, x := range map[string]struct {
		spoil func(*portrait)
		want  string
	}{
		"a contact twice":     {func(s *portrait) { s.people = append(s.people, s.people[0]) }, "holds 7 contacts"},
		"a contact missing":   {func(s *portrait) { s.people = s.people[1:] }, "Victor Wembly is not in the CRM"},
		"a call twice":        {func(s *portrait) { p := &s.people[0]; p.records = append(p.records, p.records[0]) }, "2 calls"},
		"a task missing":      {func(s *portrait) { drop(&s.people[1], "task") }, "1 tasks"},
		"a meeting missing":   {func(s *portrait) { drop(&s.people[1], "meeting") }, "0 meetings"},
		"a record of nobody":  {func(s *portrait) { s.loose = []recordSeen{{kind: "task", id: "9"}} }, "belongs to nobody"},
		"a stale call":        {func(s *portrait) { s.people[0].records[0].text = "booked a follow-up" }, "does not say"},
		"an opt-out ignored":  {func(s *portrait) { s.people[3].doNotCall = false }, "do not call is false"},
		"an opt-out invented": {func(s *portrait) { s.people[0].doNotCall = true }, "do not call is true"},
	} {
		s := demoPortrait()
		x.spoil(s)
		if err := s.verify(); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %q", name, err, x.want)
		}
	}
}

func drop(p *personSeen, kind string) {
	i := slices.IndexFunc(p.records, func(r recordSeen) bool { return r.kind == kind })
	p.records = slices.Delete(p.records, i, i+1)
}

// TestPortraitOnNarrowTerminals: words may be cut, dates may not.
func TestPortraitOnNarrowTerminals(t *testing.T) {
	s := &portrait{people: []personSeen{{name: "Greta Sand", phone: "+4915123456789", doNotCall: true, records: []recordSeen{
		{kind: "meeting", title: strings.Repeat("a long title ", 5), when: "2026-03-02 10:05 UTC"},
	}}}}
	expect(t, 80, atWidth(t, 80, s.print), []string{"meeting", "2026-03-02 10:05 UTC"}, nil)
}
