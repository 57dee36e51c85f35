package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

const hostEmail = "host@example.com"

// A person is somebody who is called. All of a person's calls name the same
// number, or for those without one the same email, so that one record each in
// the CRM is the only right answer.
type person struct {
	first, last string
	phone       string // E.164; "" for those known by email only
	written     string // as a colleague wrote it in the CRM
	email       string // "" for some
	presets     int    // how often they were in the CRM before callsync ever ran
}

// regulars are the people of whom nobody asks to be erased; those after them may.
// A leaver's calls stay theirs.
const regulars, leavers = 30, 3

// people are those of a seed.
func people(seed uint64) []person {
	r := rand.New(rand.NewPCG(seed, 3))
	var all []person
	for i := range regulars + leavers {
		p := person{first: "Zoe" + strings.Repeat("x", i%5), last: fmt.Sprintf("Quist%02d", i), presets: []int{0, 0, 0, 2, 0, 0, 0, 1, 0, 0}[i%10]}
		n := 2000000 + r.IntN(7000000)/100*100 + i
		switch i % 6 {
		default:
			p.phone = fmt.Sprintf("+1415%07d", n)
			p.written = fmt.Sprintf("(415) %03d-%04d", n/10000, n%10000)
			p.written = "+1 " + p.written
		case 4:
			p.phone = fmt.Sprintf("+4670%07d", n)
			p.written = fmt.Sprintf("+46 70 %07d", n)
		case 5:
			p.email = fmt.Sprintf("only%d.%d@example.com", i, n)
			p.presets = min(p.presets, 1) // a CRM may refuse the same email twice
		}
		if i%3 == 0 {
			p.email = fmt.Sprintf("quist%d.%d@example.com", i, n)
		}
		if i >= regulars {
			p = person{first: "Una", last: fmt.Sprintf("Leaver%02d", i), phone: fmt.Sprintf("+1415%07d", n)}
		}
		all = append(all, p)
	}
	return all
}

// A delivery is one POST to come: a version of a call, perhaps not the newest.
type delivery struct {
	call    int
	version int
	spaced  bool // the same JSON in other words
	abandon bool // not repeated when no answer comes
}

// A load is everything that will be delivered.
type load struct {
	people []person
	calls  []*call
	r      *rand.Rand
	long   bool // calls have transcripts, so that some of them fill a bundle of the journal
}

type call struct {
	id       string
	versions []version
	draft    draft
}

// A version is one body of a call.
type version struct {
	body    []byte
	interim bool
	person  int
}

// A draft is what the newest version says.
type draft struct {
	person  int
	at      time.Time
	result  string
	actions []string // "" once done
	meeting time.Time
	poison  bool
	seconds int
	mailed  bool // names the email, of somebody who can be found without
}

// next draws a delivery.
func (l *load) next() delivery {
	r := l.r
	n := r.IntN(100)
	if len(l.calls) == 0 || n < 40 {
		return l.fresh()
	}
	i := r.IntN(len(l.calls))
	if r.IntN(2) == 0 { // rather one of the newest
		i = len(l.calls) - 1 - r.IntN(min(6, len(l.calls)))
	}
	c := l.calls[i]
	switch {
	case n < 68:
		l.revise(c)
		return delivery{call: i, version: len(c.versions) - 1, abandon: r.IntN(8) == 0}
	case n < 80:
		return delivery{call: i, version: len(c.versions) - 1, spaced: r.IntN(2) == 0}
	case n < 92:
		return delivery{call: i, version: r.IntN(len(c.versions))}
	default:
		l.write(c, "Processing Analysis")
		return delivery{call: i, version: len(c.versions) - 1, abandon: r.IntN(8) == 0}
	}
}

var results = []string{"Goal Completed", "Goal Completed", "Goal Not Completed", "Voicemail", "Opted Out", "No Conversation", "A Result Nobody Knows Yet"}

func (l *load) fresh() delivery {
	r, i := l.r, len(l.calls)
	c := &call{id: fmt.Sprintf("call.chaos%03d", i)}
	l.calls = append(l.calls, c)
	d := &c.draft
	d.person = r.IntN(regulars)
	if r.IntN(8) == 0 {
		d.person = regulars + r.IntN(leavers)
	}
	d.at = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC).Add(time.Duration(i)*time.Minute + time.Duration(r.IntN(600))*time.Second)
	for k := range r.IntN(4) {
		d.actions = append(d.actions, fmt.Sprintf("do %d of %s", k, c.id))
	}
	if r.IntN(3) == 0 {
		d.meeting = d.at.Add(time.Duration(24+r.IntN(100)) * time.Hour)
	}
	d.result = results[r.IntN(len(results))]
	d.mailed = r.IntN(3) > 0
	d.poison = r.IntN(25) == 0
	if r.IntN(6) == 0 {
		l.write(c, "Calling")
	} else {
		l.write(c, d.result)
	}
	return delivery{call: i, abandon: r.IntN(10) == 0}
}

// revise corrects a call: its words always, other things at times.
func (l *load) revise(c *call) {
	r, d := l.r, &c.draft
	if d.person < regulars && r.IntN(5) == 0 {
		d.person = r.IntN(regulars) // it was somebody else's number
	}
	if r.IntN(3) == 0 {
		d.result = results[r.IntN(len(results))]
	}
	if len(d.actions) > 0 && r.IntN(2) == 0 {
		k := r.IntN(len(d.actions))
		switch r.IntN(6) {
		case 0:
			d.actions[k] = "" // done
		case 1:
			d.actions = d.actions[:k]
		case 2:
			d.actions = slices.Delete(slices.Clone(d.actions), k, k+1)
		case 3:
			d.actions = slices.Insert(slices.Clone(d.actions), k, fmt.Sprintf("do first of %s, from %d", c.id, len(c.versions)))
		case 4:
			d.actions[0], d.actions[k] = d.actions[k], d.actions[0]
		default:
			d.actions[k] = fmt.Sprintf("do %d of %s, as corrected in %d", k, c.id, len(c.versions))
		}
	}
	switch r.IntN(6) {
	case 0:
		d.meeting = time.Time{}
	case 1:
		d.meeting = d.at.Add(time.Duration(24+r.IntN(100)) * time.Hour)
	case 2:
		d.actions = append(d.actions, fmt.Sprintf("do more of %s, from %d", c.id, len(c.versions)))
	}
	l.write(c, d.result)
}

// write adds a version. Its words name it, so that the CRM shows which one won.
func (l *load) write(c *call, result string) {
	d := &c.draft
	p := l.people[d.person]
	n := len(c.versions)
	d.seconds = 10 + l.r.IntN(300)
	summary := "Spoke about " + token(c.id, n) + " and prices."
	if d.poison {
		summary += " A poison word."
	}
	actions := []any{}
	for _, text := range d.actions {
		status := "open"
		if text == "" {
			text, status = "done by now", "completed"
		}
		actions = append(actions, map[string]any{"description": text, "status": status, "actionKey": "follow_up", "metadata": map[string]any{}})
	}
	variables := map[string]any{"title": "Head of " + c.id}
	if p.email != "" && (p.phone == "" || d.mailed) {
		variables["email"] = p.email
	}
	callResult := map[string]any{
		"resultType": result, "summary": summary, "humanActions": actions, "agentActions": []any{},
		"extractedVariables": map[string]any{}, "transcription": l.transcript(),
		"outcomes": []any{map[string]any{"name": "interested", "reasoning": "asked twice"}},
	}
	if !d.meeting.IsZero() {
		callResult["followUpMeetingDetails"] = map[string]any{
			"startTime": d.meeting.Format(time.RFC3339), "endTime": d.meeting.Add(30 * time.Minute).Format(time.RFC3339), "hostEmail": hostEmail,
		}
	}
	body, err := json.Marshal(map[string]any{
		"agentId": "agent.chaos", "agentName": "Chaos Agent", "callId": c.id,
		"name": p.first + " " + p.last, "phoneNumber": p.phone, "phoneNumberExt": "", "fromPhoneNumber": "+14155550100",
		"scheduledAt": d.at.Format(time.RFC3339), "timezone": "America/New_York", "direction": "outbound",
		"customInputVariables": variables, "duration": d.seconds, "callUrl": "https://julian.11x.ai/calls/" + c.id,
		"rescheduledAt": nil, "callResult": callResult,
	})
	if err != nil {
		panic(err) // maps of plain values
	}
	c.versions = append(c.versions, version{body, result == "Processing Analysis" || result == "Calling", d.person})
}

// transcript is short, or where calls are long some thousand words of which no
// two calls have the same.
func (l *load) transcript() string {
	if !l.long {
		return "User: ..."
	}
	var b strings.Builder
	for range 6000 + l.r.IntN(8000) {
		fmt.Fprintf(&b, "w%x ", l.r.Uint32())
	}
	return b.String()
}

// token is in the summary of one version of one call and nowhere else.
func token(call string, version int) string {
	return fmt.Sprintf("matter %s/%d.", call, version)
}

// respace writes the same JSON value in other bytes.
func respace(body []byte) []byte {
	var v map[string]json.RawMessage
	if err := json.Unmarshal(body, &v); err != nil {
		panic(err) // our own
	}
	keys := slices.Sorted(maps.Keys(v))
	slices.Reverse(keys)
	var b bytes.Buffer
	b.WriteString("{\n")
	for i, k := range keys {
		if i > 0 {
			b.WriteString(" ,\n")
		}
		fmt.Fprintf(&b, "\t%q : %s", k, v[k])
	}
	b.WriteString("\n}")
	return b.Bytes()
}
