package sync_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/store/bolt"
	callsync "github.com/callsync/callsync/sync"
)

const dest = "crm"

// A world is a journal, a CRM and a loop between them, in a time of their own.
type world struct {
	t       *testing.T
	crm     *fakeCRM
	journal *brittle
	path    string
	version string
	stop    func()
	loop    *callsync.Loop
	// extra fields that the mapping gives every call activity.
	extra []crm.Field
	// remarks that the mapping gives call activities, by call id.
	remarks    map[string]string
	remarkMode crm.WriteMode
	// skip is why the mapping keeps every call out.
	skip string
	// bare leaves everything but the call activity out, idLater tries a known id
	// after the email.
	bare, idLater bool
	// keepEdited is the on_removed of tasks.
	keepEdited bool
}

// brittle is a journal whose process can be made to die: from then on nothing
// it is asked to record is recorded.
type brittle struct {
	store.Journal
	dieIn atomic.Int64 // how many more updates are recorded; negative means all
	tried atomic.Int64 // how many were to be
}

var errDied = errors.New("the process died")

func (b *brittle) Apply(ctx context.Context, d string, u store.Update) error {
	b.tried.Add(1)
	if b.dieIn.Load() == 0 {
		return errDied
	}
	b.dieIn.Add(-1)
	return b.Journal.Apply(ctx, d, u)
}

func inWorld(t *testing.T, f func(w *world)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal.db")
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, path: path, version: "m1", crm: newFake(time.Now)}
		w.open()
		w.start()
		defer func() {
			w.stop()
			if err := w.journal.Close(); err != nil {
				t.Error(err)
			}
		}()
		f(w)
	})
}

func (w *world) open() {
	j, err := bolt.Open(w.path, bolt.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.journal = &brittle{Journal: j}
	w.journal.dieIn.Store(-1)
	if err := j.Enroll(w.t.Context(), []string{dest}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) start() { w.startWith(callsync.Options{}) }

// startWith starts the loop with options of a test's own.
func (w *world) startWith(o callsync.Options) {
	o.Name, o.Type, o.Journal, o.Destination = dest, "fake", w.journal, w.crm
	o.Mapping = func() callsync.Mapping { return rules{w} }
	w.loop = callsync.New(o)
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := w.loop.Run(ctx); err != nil {
			w.t.Errorf("loop: %v", err)
		}
	}()
	w.stop = func() { cancel(); <-done }
}

// crash kills the loop after n more journal updates, and starts a new process
// on what the journal holds.
func (w *world) crash(n int64) {
	w.journal.dieIn.Store(n)
	time.Sleep(time.Minute)
	w.stop()
	if err := w.journal.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.open()
	w.start()
}

// settle lets time pass until nothing is due any more.
func (w *world) settle() {
	w.t.Helper()
	for range 24 * 60 {
		synctest.Wait()
		if _, due, err := w.journal.NextDue(w.t.Context(), dest); err != nil {
			w.t.Fatal(err)
		} else if !due {
			return
		}
		time.Sleep(time.Minute)
	}
	w.t.Fatal("still due after a day")
}

type payload map[string]any

func call(id string, kv ...any) payload {
	p := payload{"callId": id, "scheduledAt": "2025-01-01T00:00:00Z"}
	for i := 0; i < len(kv); i += 2 {
		p[kv[i].(string)] = kv[i+1]
	}
	return p
}

// deliver journals payloads as the receiver would.
func (w *world) deliver(ps ...payload) {
	w.t.Helper()
	for _, p := range ps {
		body, err := json.Marshal(p)
		if err != nil {
			w.t.Fatal(err)
		}
		c, err := julian.Parse(body)
		if err != nil {
			w.t.Fatal(err)
		}
		canonical, err := julian.Canonical(body)
		if err != nil {
			w.t.Fatal(err)
		}
		d := store.Delivery{At: time.Now(), Status: 200, CallID: c.CallID, Size: len(body), Hash: julian.Hash(canonical), Body: body, Call: c}
		if _, err := w.journal.Deliver(w.t.Context(), d); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) resync(r store.Request, ids ...string) {
	w.t.Helper()
	r.At = time.Now()
	if _, err := w.journal.Request(w.t.Context(), dest, ids, r); err != nil {
		w.t.Fatal(err)
	}
	w.settle()
}

func (w *world) state(id string) store.State {
	w.t.Helper()
	works, err := w.journal.Load(w.t.Context(), dest, []string{id})
	if err != nil || len(works) != 1 {
		w.t.Fatalf("load %s: %v, %d found", id, err, len(works))
	}
	return works[0].State
}

func (w *world) wantStatus(id string, want store.Status) {
	w.t.Helper()
	if s := w.state(id); s.Status != want {
		w.t.Errorf("%s is %s (%s, %+v), want %s", id, s.Status, s.Reason, s.Problem, want)
	}
}

// wantLive fails unless the CRM holds just n records of a type.
func (w *world) wantLive(object string, n int) []crm.Ref {
	w.t.Helper()
	refs := w.crm.live(object)
	if len(refs) != n {
		w.t.Fatalf("the CRM holds %d %s, want %d", len(refs), object, n)
	}
	return refs
}

func (w *world) wantProp(ref crm.Ref, name, want string) {
	w.t.Helper()
	if got := w.crm.props(ref)[name]; got != want {
		w.t.Errorf("%s %s is %q, want %q", ref, name, got, want)
	}
}

// rules is a mapping written in Go. A payload's email and phoneNumber find the
// person; first, title and score are their fields, by each write mode; a call
// and one task per action are the records.
type rules struct{ w *world }

func (m rules) Version() string { return m.w.version }

func (m rules) Render(c *julian.Call, received time.Time) (*crm.Desired, error) {
	text := func(name string) string { s, _ := c.Raw[name].(string); return s }
	d := &crm.Desired{CallID: c.CallID, At: received, Skip: cmp.Or(m.w.skip, text("skip")), Interim: c.Interim()}
	if c.ScheduledAt != nil {
		d.At = *c.ScheduledAt
	}
	if text("broken") != "" {
		return nil, fmt.Errorf("mapping.toml:3:7: broken")
	}
	if d.Skip != "" || d.Interim {
		return d, nil
	}
	p := &d.Person
	p.Objects, p.Create = []string{"contacts", "leads"}, "contacts"
	if text("lead") != "" {
		p.Create = "leads"
	}
	if text("nocreate") != "" {
		p.Create, p.WhyNot = "", "the mapping creates nobody for this call"
	}
	for i, m := range []crm.Match{
		{Kind: crm.MatchID, Value: text("contactId")},
		{Kind: crm.MatchEmail, Property: "email", Value: text("email")},
		{Kind: crm.MatchPhone, Property: "phone", Value: text("phoneNumber")},
	} {
		if m.Rule = i; m.Value != "" {
			p.Match = append(p.Match, m)
		}
	}
	if m.w.idLater && len(p.Match) > 1 && p.Match[0].Kind == crm.MatchID {
		p.Match[0], p.Match[1] = p.Match[1], p.Match[0]
	}
	p.Unlinked = text("unlinked") != ""
	p.Key = text("phoneNumber")
	if p.Key == "" {
		p.Key = text("email")
	}
	p.Fields = []crm.Field{
		{Name: "email", Value: crm.Str(text("email")), Write: crm.IfEmpty},
		{Name: "phone", Value: crm.Str(text("phoneNumber")), Write: crm.IfEmpty},
		{Name: "first", Value: crm.Str(text("first")), Write: crm.IfEmpty},
		{Name: "title", Value: crm.Str(text("title")), Write: crm.IfUnchanged},
		{Name: "score", Value: crm.Str(text("score")), Write: crm.Always},
		{Name: "company", Value: crm.Str("unknown"), Write: crm.Always, Object: "leads"},
	}
	rec := crm.Record{Key: c.CallID + "#call", Block: "call", Object: "calls", Fields: append([]crm.Field{
		{Name: "body", Value: crm.Str(c.Result.Summary), Write: crm.Always},
		{Name: "note", Value: crm.Str(text("note")), Write: crm.IfUnchanged},
		{Name: "owner", Value: crm.LookupOf("owner", text("host")), Write: crm.Always},
	}, m.w.extra...)}
	if remark, ok := m.w.remarks[c.CallID]; ok {
		rec.Fields = append(rec.Fields, crm.Field{Name: "remark", Value: crm.Str(remark), Write: m.w.remarkMode})
	}
	if text("deal") != "" {
		rec.Links = []crm.Relation{{Object: "deals", Which: "open"}}
	}
	d.Records = append(d.Records, rec)
	if m.w.bare {
		return d, nil
	}
	for i, a := range c.Result.HumanActions {
		if a.Status == "completed" {
			continue
		}
		d.Records = append(d.Records, crm.Record{
			Key: fmt.Sprintf("%s#action/%d", c.CallID, i), Block: "action", Item: i + 1, Object: "tasks", KeepEdited: m.w.keepEdited,
			Fields: []crm.Field{
				{Name: "subject", Value: crm.Str(a.Description), Write: crm.Always, OfItem: true},
				{Name: "due", Value: crm.Str("tomorrow"), Write: crm.Always},
				{Name: "status", Value: crm.Str("open"), Write: crm.IfEmpty},
			},
		})
	}
	return d, nil
}

// result is that of a call, with actions of which those after "done: " are.
func result(summary string, actions ...string) map[string]any {
	var items []any
	for _, a := range actions {
		a, done := strings.CutPrefix(a, "done: ")
		items = append(items, map[string]any{"description": a, "status": map[bool]string{true: "completed", false: "open"}[done]})
	}
	return map[string]any{"resultType": "Goal Completed", "summary": summary, "humanActions": items}
}

// changed lists "object property" of what was written since the last call.
func (w *world) changed() string {
	var parts []string
	for _, c := range w.crm.wrote() {
		for name := range c.Properties {
			parts = append(parts, string(c.Op)+" "+c.Object+" "+name)
		}
		if len(c.Properties) == 0 {
			parts = append(parts, string(c.Op)+" "+c.Object)
		}
	}
	return strings.Join(parts, ", ")
}
