package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A journalled is a call as callsync's local API shows it.
type journalled struct {
	CallID     string `json:"callId"`
	Revision   int    `json:"revision"`
	Deliveries []struct {
		Verdict string `json:"verdict"`
	} `json:"deliveries"`
	Revisions []struct {
		N    int             `json:"revision"`
		Body json.RawMessage `json:"body"`
	} `json:"revisions"`
	Destinations []standing `json:"destinations"`
}

// A standing is where a call stands at one CRM.
type standing struct {
	Destination string `json:"destination"`
	Status      string `json:"status"`
	Reason      string `json:"reason"`
	Revision    int    `json:"revision"`
	Problem     *struct {
		Text string `json:"text"`
	} `json:"problem"`
	Person *struct {
		ID string `json:"id"`
	} `json:"person"`
	Records []struct {
		Key    string    `json:"key"`
		ID     string    `json:"id"`
		Intent time.Time `json:"intent"`
		Gone   time.Time `json:"gone"`
		Relink bool      `json:"relink"`
	} `json:"records"`
}

// A want is what a payload says should be in a CRM.
type want struct {
	id, phone, email string
	token            string
	seconds          int
	interim          bool
	doNotCall        bool
	meeting          time.Time
	tasks            []string
}

// read makes a want of a payload, from 11x's documentation of it alone.
func read(body []byte) (want, error) {
	var p struct {
		CallID      string `json:"callId"`
		PhoneNumber string `json:"phoneNumber"`
		Duration    int    `json:"duration"`
		Variables   struct {
			Email string `json:"email"`
		} `json:"customInputVariables"`
		Result struct {
			ResultType   string `json:"resultType"`
			Summary      string `json:"summary"`
			HumanActions []struct {
				Description string `json:"description"`
				Status      string `json:"status"`
			} `json:"humanActions"`
			Meeting struct {
				Start time.Time `json:"startTime"`
			} `json:"followUpMeetingDetails"`
		} `json:"callResult"`
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return want{}, err
	}
	w := want{id: p.CallID, phone: digits(p.PhoneNumber), email: p.Variables.Email, seconds: p.Duration, meeting: p.Result.Meeting.Start.UTC()}
	if i := strings.Index(p.Result.Summary, "matter "); i >= 0 {
		w.token = p.Result.Summary[i : i+strings.Index(p.Result.Summary[i:], ".")+1]
	}
	switch p.Result.ResultType {
	case "Scheduled", "Rescheduled", "Processing Analysis", "Calling":
		w.interim = true
	case "Opted Out":
		w.doNotCall = true
	}
	for _, a := range p.Result.HumanActions {
		if a.Status != "completed" {
			w.tasks = append(w.tasks, a.Description)
		}
	}
	return w, nil
}

// who is the person a call belongs to: by number, else by email.
func (w want) who() string {
	if w.phone != "" {
		return w.phone
	}
	return w.email
}

// audit compares what was acknowledged with the journal, and the journal with
// the CRMs, and lists everything that is not as it should be. Unless strict, it
// passes over the properties of people who were merged or converted: what a CRM
// loses then, callsync may not know.
func (w *world) audit(ctx context.Context, l *load, strict bool) []string {
	var found []string
	wrong := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	journal := map[string]journalled{}
	wants := map[string]want{}
	for i, c := range l.calls {
		var j journalled
		err := w.ask(ctx, http.MethodGet, "/api/v1/calls/"+url.PathEscape(c.id)+"?bodies=1", nil, &j)
		e := w.ledger.entry(i)
		switch {
		case err != nil && strings.Contains(err.Error(), "404"):
			if e.newest >= 0 && !e.erased {
				wrong("%s was acknowledged and is not in the journal", c.id)
			}
			continue
		case err != nil:
			wrong("%v", err)
			continue
		}
		if e.erased {
			wrong("%s was erased and is in the journal", c.id)
			continue
		}
		journal[c.id] = j
		found = append(found, e.audit(c, j)...)
		if len(j.Revisions) == 0 {
			wrong("%s is in the journal without a body", c.id)
			continue
		}
		if wants[c.id], err = read(j.Revisions[len(j.Revisions)-1].Body); err != nil {
			wrong("%s: the body in the journal: %v", c.id, err)
		}
	}
	for _, a := range w.accounts {
		p := a.portray(a)
		m := meddling{joined: a.joined, deleted: a.deleted.keys(), parted: a.parted.all()}
		if strict {
			m.joined = nil
		}
		for _, text := range p.audit(wants, w.staying(l), m) {
			wrong("%s: %s", a.name, text)
		}
		for id, j := range journal {
			for _, text := range auditStanding(a.name, j, wants[id], p, m.deleted) {
				wrong("%s: %s: %s", a.name, id, text)
			}
			var bodies []json.RawMessage
			for _, r := range j.Revisions {
				bodies = append(bodies, r.Body)
			}
			for _, text := range a.seen.audit(id, bodies, p) {
				wrong("%s: %s: %s", a.name, id, text)
			}
		}
	}
	if len(found) > 0 {
		w.keepEvidence(journal)
	}
	slices.Sort(found)
	return found
}

// audit compares what was acknowledged of a call with the journal.
func (e *entry) audit(c *call, j journalled) []string {
	var found []string
	var kept []int
	for _, r := range j.Revisions {
		v := slices.IndexFunc(c.versions, func(v version) bool { return sameJSON(v.body, r.Body) })
		if v < 0 {
			found = append(found, fmt.Sprintf("%s: revision %d in the journal was never sent", c.id, r.N))
			continue
		}
		if len(kept) > 0 && kept[len(kept)-1] == v {
			found = append(found, fmt.Sprintf("%s: revision %d repeats the one before", c.id, r.N))
		}
		kept = append(kept, v)
	}
	for v := range e.certain {
		if !slices.Contains(kept, v) {
			found = append(found, fmt.Sprintf("%s: version %d was acknowledged as new and is not in the journal, which has %v", c.id, v, kept))
		}
	}
	if len(kept) > 0 && e.newest >= 0 {
		if last := kept[len(kept)-1]; last != e.newest && !slices.Contains(e.open, last) {
			found = append(found, fmt.Sprintf("%s: the journal's newest is version %d; acknowledged last was %d, and without an answer stayed %v", c.id, last, e.newest, e.open))
		}
	}
	if len(j.Deliveries) < min(e.acks, 200) {
		found = append(found, fmt.Sprintf("%s: %d deliveries were acknowledged and the journal lists %d", c.id, e.acks, len(j.Deliveries)))
	}
	return found
}

func sameJSON(a, b []byte) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	s, _ := json.Marshal(x)
	t, _ := json.Marshal(y)
	return bytes.Equal(s, t)
}

// keepEvidence writes down what the audit saw.
func (w *world) keepEvidence(journal map[string]journalled) {
	save := func(name string, v any) {
		if b, err := json.MarshalIndent(v, "", "  "); err == nil {
			_ = os.WriteFile(filepath.Join(w.dir, name), b, 0o600)
		}
	}
	save("journal.json", journal)
	for _, a := range w.accounts {
		save(a.name+".json", a.sim.Dump())
	}
}

// auditLog looks for panics, races and personal data in callsync's log.
func (w *world) auditLog(l *load) []string {
	text, err := os.ReadFile(w.log.Name())
	if err != nil {
		return []string{err.Error()}
	}
	bad := map[string]string{
		"panic:": "a panic", "DATA RACE": "a race", "goroutine 1 [": "a stack trace",
		webhookKey: "the webhook's key", "sandbox-token": "the CRM's token", "sandbox-secret": "the CRM's secret",
	}
	for _, p := range l.people {
		if p.phone != "" {
			bad[p.phone], bad[strings.TrimPrefix(p.phone, "+1")] = "a phone number", "a phone number"
		}
		if p.email != "" {
			bad[p.email] = "an email address"
		}
		bad[p.last] = "a name"
	}
	var found []string
	for _, needle := range slices.Sorted(maps.Keys(bad)) {
		if i := bytes.Index(text, []byte(needle)); i >= 0 {
			line := text[bytes.LastIndexByte(text[:i], '\n')+1:]
			line = line[:min(len(line), 600)]
			if end := bytes.IndexByte(line, '\n'); end > 0 {
				line = line[:end]
			}
			found = append(found, fmt.Sprintf("%s: %s", bad[needle], line))
		}
	}
	return found
}
