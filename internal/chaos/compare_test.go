package main

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var meetingAt = time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC)

// sound is a CRM in which all is well, with the calls that make it so.
func sound() (*portrait, map[string]want, []person) {
	p := &portrait{
		people: []crmPerson{
			{id: "1", object: "contacts", phone: "14152000001", email: "ann@example.com", named: true},
			{id: "2", object: "contacts", phone: "14152000002", named: true, doNotCall: true},
		},
		records: []crmRecord{
			{kind: "call", id: "11", key: "c1#call", text: "Spoke about matter c1/1. and prices.", seconds: 46, who: []string{"1"}},
			{kind: "meeting", id: "12", key: "c1#meeting", text: "matter c1/1.", start: meetingAt, who: []string{"1"}},
			{kind: "task", id: "13", key: "c1#action/0", title: "call back", who: []string{"1"}},
			{kind: "call", id: "14", key: "c2#call", text: "matter c2/0.", seconds: 5, who: []string{"2"}},
		},
	}
	wants := map[string]want{
		"c1": {id: "c1", phone: "14152000001", email: "ann@example.com", token: "matter c1/1.", seconds: 46, meeting: meetingAt, tasks: []string{"call back"}},
		"c2": {id: "c2", phone: "14152000002", token: "matter c2/0.", seconds: 5, doNotCall: true},
		"c3": {id: "c3", phone: "14152000002", interim: true},
	}
	everybody := []person{{phone: "+14152000001", email: "ann@example.com"}, {phone: "+14152000002"}}
	return p, wants, everybody
}

func TestOraclePassesWhatIsSound(t *testing.T) {
	p, wants, everybody := sound()
	if found := p.audit(wants, everybody, meddling{}); len(found) > 0 {
		t.Errorf("found %q", found)
	}
}

// Whatever is broken in a sound CRM, the oracle says so.
func TestOracleFindsWhatIsBroken(t *testing.T) {
	for name, x := range map[string]struct {
		harm func(p *portrait)
		says string
	}{
		"a person doubled":          {func(p *portrait) { p.people = append(p.people, crmPerson{id: "3", phone: "14152000001"}) }, "is doubled"},
		"a stranger":                {func(p *portrait) { p.people = append(p.people, crmPerson{id: "3", phone: "1999"}) }, "nobody who was called"},
		"a person emptied":          {func(p *portrait) { p.people[0].phone, p.people[0].email = "", "" }, "nobody who was called"},
		"a person lost":             {func(p *portrait) { p.people = p.people[1:] }, "nobody has 14152000001"},
		"an email lost":             {func(p *portrait) { p.people[0].email = "" }, "the email is"},
		"a name lost":               {func(p *portrait) { p.people[0].named = false }, "has no name"},
		"an opt-out lost":           {func(p *portrait) { p.people[1].doNotCall = false }, "do not call is false"},
		"an opt-out of another":     {func(p *portrait) { p.people[0].doNotCall = true }, "do not call is true"},
		"a call lost":               {func(p *portrait) { p.records = p.records[1:] }, "0 calls"},
		"a call doubled":            {func(p *portrait) { p.records = append(p.records, p.records[0]) }, "c1#call is doubled"},
		"a call without a key":      {func(p *portrait) { p.records[0].key = "" }, "has no key"},
		"a stale summary":           {func(p *portrait) { p.records[0].text = "matter c1/0." }, "does not say"},
		"two summaries":             {func(p *portrait) { p.records[0].text += " matter c1/0." }, "does not say"},
		"a stale duration":          {func(p *portrait) { p.records[0].seconds = 1 }, "took 1 s"},
		"a call linked to nobody":   {func(p *portrait) { p.records[0].who = nil }, "linked to []"},
		"a call linked twice":       {func(p *portrait) { p.records[0].who = []string{"1", "2"} }, "linked to [1 2]"},
		"a call of somebody else":   {func(p *portrait) { p.records[0].who = []string{"2"} }, "linked to [2]"},
		"a meeting lost":            {func(p *portrait) { p.records = slices.Delete(p.records, 1, 2) }, "0 meetings"},
		"a meeting at a wrong time": {func(p *portrait) { p.records[1].start = meetingAt.Add(time.Hour) }, "the meeting is at"},
		"a stale meeting":           {func(p *portrait) { p.records[1].text = "matter c1/0." }, "the meeting does not say"},
		"a task lost":               {func(p *portrait) { p.records = slices.Delete(p.records, 2, 3) }, "the tasks are"},
		"a task too many": {func(p *portrait) {
			p.records = append(p.records, crmRecord{kind: "task", key: "c1#action/1", title: "old", who: []string{"1"}})
		}, "the tasks are"},
		"a task of an interim call": {func(p *portrait) { p.records = append(p.records, crmRecord{kind: "task", key: "c3#action/0"}) }, "has no result yet"},
		"a record of no call":       {func(p *portrait) { p.records = append(p.records, crmRecord{kind: "task", key: "c9#action/0"}) }, "belongs to no call"},
	} {
		t.Run(name, func(t *testing.T) {
			p, wants, everybody := sound()
			x.harm(p)
			found := p.audit(wants, everybody, meddling{})
			if !slices.ContainsFunc(found, func(s string) bool { return strings.Contains(s, x.says) }) {
				t.Errorf("found %q, want something that says %q", found, x.says)
			}
		})
	}
}

// TestDeletedStaysDeleted: a record that somebody deleted is not missed, and it
// is a fault if it comes back.
func TestDeletedStaysDeleted(t *testing.T) {
	deleted := map[string]bool{"c1#call": true}
	p, wants, everybody := sound()
	if found := p.audit(wants, everybody, meddling{deleted: deleted}); !slices.ContainsFunc(found, func(s string) bool { return strings.Contains(s, "is there again") }) {
		t.Errorf("found %q of a record that came back", found)
	}
	p.records = p.records[1:]
	if found := p.audit(wants, everybody, meddling{deleted: deleted}); len(found) > 0 {
		t.Errorf("found %q though it stayed deleted", found)
	}
}

// TestDeletedPerson: calls that were sent before somebody was deleted may be
// linked to nobody, others may not, and nobody is created twice.
func TestDeletedPerson(t *testing.T) {
	before := meddling{parted: map[string]map[string]bool{"14152000001": {"c1": true}}}
	later := meddling{parted: map[string]map[string]bool{"14152000001": {}}}
	for name, x := range map[string]struct {
		harm func(p *portrait)
		m    meddling
		says string
	}{
		"nobody there":               {func(p *portrait) { p.people = p.people[1:] }, before, ""},
		"links gone along":           {func(p *portrait) { p.people = p.people[1:]; p.records[0].who = nil }, before, ""},
		"another, links left behind": {func(p *portrait) { p.people[0].id = "9" }, before, ""},
		"another, and two":           {func(p *portrait) { p.people = append(p.people, crmPerson{id: "9", phone: "14152000001"}) }, before, "is doubled"},
		"linked to somebody else":    {func(p *portrait) { p.records[0].who = []string{"2"} }, before, "linked to [2]"},
		"nobody there later":         {func(p *portrait) { p.people = p.people[1:] }, later, "nobody has"},
		"a link left behind later":   {func(p *portrait) { p.people[0].id = "9" }, later, "linked to [1]"},
	} {
		t.Run(name, func(t *testing.T) {
			p, wants, everybody := sound()
			x.harm(p)
			found := p.audit(wants, everybody, x.m)
			says := slices.ContainsFunc(found, func(s string) bool { return strings.Contains(s, x.says) })
			if x.says == "" && len(found) > 0 || x.says != "" && !says {
				t.Errorf("found %q, want something that says %q", found, x.says)
			}
		})
	}
}

func TestStandingIsCompared(t *testing.T) {
	p, wants, _ := sound()
	good := func() journalled {
		j := journalled{CallID: "c1", Revision: 2}
		j.Destinations = []standing{{Destination: "crm", Status: "synced", Revision: 2}}
		j.Destinations[0].Records = append(j.Destinations[0].Records, struct {
			Key    string    `json:"key"`
			ID     string    `json:"id"`
			Intent time.Time `json:"intent"`
			Gone   time.Time `json:"gone"`
			Relink bool      `json:"relink"`
		}{Key: "c1#call", ID: "11"})
		return j
	}
	if found := auditStanding("crm", good(), wants["c1"], p, nil); len(found) > 0 {
		t.Errorf("found %q where all is well", found)
	}
	for name, harm := range map[string]func(*standing){
		"nowhere":         func(s *standing) { s.Destination = "other" },
		"failed":          func(s *standing) { s.Status = "failed" },
		"an old revision": func(s *standing) { s.Revision = 1 },
		"an open intent":  func(s *standing) { s.Records[0].Intent = meetingAt },
		"an open link":    func(s *standing) { s.Records[0].Relink = true },
		"another id":      func(s *standing) { s.Records[0].ID = "99" },
	} {
		j := good()
		harm(&j.Destinations[0])
		if len(auditStanding("crm", j, wants["c1"], p, nil)) == 0 {
			t.Errorf("%s: nothing found", name)
		}
	}
}

// The ledger knows which answers a delivery may get, and what must be in the
// journal afterwards.
func TestLedger(t *testing.T) {
	c := &call{id: "c1"}
	for _, interim := range []bool{true, false, false} {
		c.versions = append(c.versions, version{body: []byte(`{"v":` + string(rune('0'+len(c.versions))) + `}`), interim: interim})
	}
	l := newLedger()
	e := l.entry(0)
	say := func(v int, verdict string) { l.acknowledged(e, c, delivery{version: v}, verdict) }
	say(0, "accepted")
	say(1, "revised")
	say(1, "duplicate")
	say(0, "stale")
	l.unanswered(e, delivery{version: 2})
	say(2, "duplicate") // the one without an answer had been taken
	if len(l.wrong) > 0 {
		t.Fatalf("objects to %q", l.wrong)
	}
	for v, verdict := range map[int]string{0: "revised", 1: "duplicate", 2: "accepted"} {
		before := len(l.wrong)
		say(v, verdict)
		if len(l.wrong) == before {
			t.Errorf("version %d answered %q passes", v, verdict)
		}
	}
}

func TestJournalIsCompared(t *testing.T) {
	c := &call{id: "c1", versions: []version{{body: []byte(`{"v":0}`)}, {body: []byte(`{"v":1}`)}, {body: []byte(`{"v":2}`)}}}
	for name, x := range map[string]struct {
		revisions string
		wrong     bool
	}{
		"as acknowledged":          {`[{"body":{ "v" : 0 }},{"body":{"v":1}}]`, false},
		"and one without answer":   {`[{"body":{"v":0}},{"body":{"v":1}},{"body":{"v":2}}]`, false},
		"one is missing":           {`[{"body":{"v":1}}]`, true},
		"the newest is missing":    {`[{"body":{"v":0}}]`, true},
		"an old one is the newest": {`[{"body":{"v":1}},{"body":{"v":0}}]`, true},
		"one is there twice":       {`[{"body":{"v":0}},{"body":{"v":1}},{"body":{"v":1}}]`, true},
		"one was never sent":       {`[{"body":{"v":0}},{"body":{"v":1}},{"body":{"v":7}}]`, true},
	} {
		e := &entry{newest: 1, open: []int{2}, certain: map[int]bool{0: true, 1: true}}
		var j journalled
		if err := json.Unmarshal([]byte(x.revisions), &j.Revisions); err != nil {
			t.Fatal(err)
		}
		if found := e.audit(c, j); (len(found) > 0) != x.wrong {
			t.Errorf("%s: found %q", name, found)
		}
	}
}

// A seed always makes the same script, with as many kills as asked for.
func TestScriptFollowsTheSeed(t *testing.T) {
	write := func(seed uint64) string {
		s := newScript(seed, 2, 15)
		s.cast(seed, []string{"hubspot", "salesforce"})
		return s.String()
	}
	a := write(5)
	if a != write(5) || a == write(6) {
		t.Error("the script does not follow the seed")
	}
	if n := strings.Count(a, "kill at ") + strings.Count(a, "and at the start"); n != 15 {
		t.Errorf("%d kills, want 15", n)
	}
}

func TestRespaceKeepsTheValue(t *testing.T) {
	l := &load{people: people(1), r: rand.New(rand.NewPCG(1, 2))}
	for range 50 {
		d := l.next()
		body := l.calls[d.call].versions[d.version].body
		if other := respace(body); !sameJSON(body, other) || string(body) == string(other) {
			t.Fatalf("%s became %s", body, other)
		}
	}
}
