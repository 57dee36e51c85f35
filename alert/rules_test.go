package alert_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/alert"
	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/store/bolt"
	callsync "github.com/callsync/callsync/sync"
)

// A loop stands in for a sync loop, of which an engine sees only its health.
type loop struct {
	admin.Syncer
	health callsync.Health
}

func (l *loop) Health() callsync.Health { return l.health }

// A house is a daemon's API over a real journal, an engine that watches it, and
// a webhook that takes what shoutrrr sends. Time passes when the test says so.
type house struct {
	t       *testing.T
	now     time.Time
	journal *bolt.Journal
	broken  bool
	loop    *loop
	metrics *admin.Metrics
	mapping admin.MappingInfo
	free    int64
	engine  *alert.Engine
	got     chan map[string]string
}

func newHouse(t *testing.T) *house {
	h := &house{
		t: t, now: time.Unix(1.7e9, 0), loop: &loop{health: callsync.Health{Phase: callsync.Running}},
		metrics: admin.NewMetrics(), free: 10 << 30, got: make(chan map[string]string, 10),
	}
	var err error
	if h.journal, err = bolt.Open(filepath.Join(t.TempDir(), "journal.db"), bolt.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.journal.Close() })
	if err := h.journal.Enroll(t.Context(), []string{"hubspot"}); err != nil {
		t.Fatal(err)
	}
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m map[string]string
		if body, err := io.ReadAll(r.Body); err != nil || json.Unmarshal(body, &m) != nil {
			t.Errorf("the webhook got %q", body)
		}
		h.got <- m
	}))
	t.Cleanup(hook.Close)
	to, err := alert.Dial("generic+" + hook.URL + "/hook?template=json")
	if err != nil {
		t.Fatal(err)
	}
	api := admin.New(admin.Options{
		Journal: h.journal, Daemon: true, Metrics: h.metrics,
		Disk: func() (int64, int64, error) { return h.free, 100 << 30, nil },
		Destinations: []admin.Destination{{
			Name: "hubspot", Type: "hubspot", Sync: h.loop, Mapping: func() admin.MappingInfo { return h.mapping },
		}},
		Now: func() time.Time { return h.now },
	})
	h.engine = alert.New(alert.Options{
		Settings: alert.Settings{
			To: []alert.Sender{to}, Wait: 30 * time.Second, Interval: 5 * time.Minute, Repeat: 24 * time.Hour,
			Limits: alert.Limits{OldestUnsynced: 15 * time.Minute, DiskFree: 1 << 30},
		},
		Source: func(ctx context.Context) (admin.Status, error) {
			if h.broken {
				return admin.Status{}, errors.New("input/output error")
			}
			return api.Vitals(ctx)
		},
		Memory: h.journal, Host: "test", Now: func() time.Time { return h.now },
	})
	return h
}

// pass lets time pass.
func (h *house) pass(d time.Duration) {
	h.t.Helper()
	for end := h.now.Add(d); h.now.Before(end); h.now = h.now.Add(10 * time.Second) {
		if err := h.engine.Look(h.t.Context()); err != nil {
			h.t.Fatal(err)
		}
	}
}

// message is what the webhook got, or nil.
func (h *house) message() map[string]string {
	select {
	case m := <-h.got:
		return m
	default:
		return nil
	}
}

// deliver journals a call at the present time, in a state.
func (h *house) deliver(id string, status store.Status) {
	h.t.Helper()
	ctx := h.t.Context()
	body := []byte(`{"callId":"` + id + `"}`)
	call, err := julian.Parse(body)
	if err != nil {
		h.t.Fatal(err)
	}
	_, err = h.journal.Deliver(ctx, store.Delivery{
		At: h.now, Status: 200, CallID: id, Size: len(body), Hash: julian.Hash(body), Verdict: store.Accepted, Body: body, Call: call,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.bring(id, status)
}

// bring brings a call into a state.
func (h *house) bring(id string, status store.Status) {
	h.t.Helper()
	work, err := h.journal.Load(h.t.Context(), "hubspot", []string{id})
	if err != nil {
		h.t.Fatal(err)
	}
	s := work[0].State
	if s.Status = status; status != store.Pending {
		s.Done, s.Next = s.Wanted, time.Time{}
	}
	if err := h.journal.Apply(h.t.Context(), "hubspot", store.Update{States: map[string]store.State{id: s}}); err != nil {
		h.t.Fatal(err)
	}
}

// TestEveryRule makes each alert arrive at a webhook, and be called over.
func TestEveryRule(t *testing.T) {
	tested := []alert.Rule{}
	for _, x := range []struct {
		name string
		rule alert.Rule
		fire func(h *house)
		text []string // in the message
		mend func(h *house)
		over time.Duration // how long after mending it is known to be over
	}{
		{"paused", alert.DestinationStopped,
			func(h *house) { h.loop.health = callsync.Health{Phase: callsync.Paused, Reason: "moving house"} },
			[]string{"hubspot is paused: moving house", "callsync unpause hubspot"},
			func(h *house) { h.loop.health = callsync.Health{Phase: callsync.Running} }, 0},
		{"blocked", alert.DestinationStopped,
			func(h *house) {
				h.loop.health = callsync.Health{Phase: callsync.Blocked, Kind: crm.Credential, Reason: "contacts search: 401 EXPIRED", Hint: "make a new token"}
			},
			[]string{"hubspot is blocked: contacts search: 401 EXPIRED", "make a new token"},
			func(h *house) { h.loop.health = callsync.Health{Phase: callsync.Running} }, 0},
		{"failed", alert.CallsFailed,
			func(h *house) { h.deliver("call.1", store.Failed) },
			[]string{"hubspot: 1 call failed", "callsync calls --state failed", "callsync resync --state failed"},
			func(h *house) { h.bring("call.1", store.Synced) }, 0},
		{"late", alert.CallsLate,
			func(h *house) {
				h.loop.health = callsync.Health{Phase: callsync.Broken, Reason: "calls batch create: 503"}
				h.deliver("call.1", store.Pending)
				h.now = h.now.Add(16 * time.Minute)
			},
			[]string{"for more than 15m", "the CRM does not answer as it should: calls batch create: 503", "callsync status"},
			func(h *house) { h.bring("call.1", store.Synced) }, 0},
		{"wrong key", alert.WrongKey,
			func(h *house) { h.metrics.Delivery(store.Rejected, 401, time.Millisecond) },
			[]string{"1 delivery came with no key or a wrong one and was rejected", "[receiver] api_keys"},
			func(h *house) { h.metrics.Delivery(store.Accepted, 200, time.Millisecond) }, 15 * time.Minute},
		{"disk", alert.DiskNearlyFull,
			func(h *house) { h.free = 300 << 20 },
			[]string{"has 300.0 MiB left of 100.0 GiB", "make room"},
			func(h *house) { h.free = 10 << 30 }, 0},
		{"mapping", alert.MappingBroken,
			func(h *house) { h.mapping.Problem = "hubspot.toml:3:1: unknown key" },
			[]string{"the mapping file cannot be used", "hubspot.toml:3:1: unknown key", "mend the file"},
			func(h *house) { h.mapping.Problem = "" }, 0},
		{"journal unreadable", alert.JournalBroken,
			func(h *house) { h.broken = true },
			[]string{"the journal cannot be read: input/output error", "look at the disk"},
			func(h *house) { h.broken = false }, 0},
		{"journal unwritable", alert.JournalBroken,
			func(h *house) { h.metrics.Delivery("", 503, time.Second); h.metrics.Delivery("", 503, time.Second) },
			[]string{"2 deliveries could not be journalled", "look at the disk"},
			func(*house) {}, 15 * time.Minute},
	} {
		tested = append(tested, x.rule)
		t.Run(x.name, func(t *testing.T) {
			h := newHouse(t)
			h.pass(2 * time.Minute)
			if m := h.message(); m != nil {
				t.Fatalf("before anything was wrong: %v", m)
			}
			x.fire(h)
			h.pass(20 * time.Second)
			if m := h.message(); m != nil {
				t.Fatalf("at once: %v", m)
			}
			h.pass(20 * time.Second)
			m := h.message()
			headline := strings.ReplaceAll(string(x.rule), "_", " ")
			if !strings.HasPrefix(m["title"], "callsync on test: "+headline) {
				t.Fatalf("the webhook got %v", m)
			}
			for _, text := range append(x.text, "What to do: ") {
				if !strings.Contains(m["message"], text) {
					t.Errorf("the message lacks %q:\n%s", text, m["message"])
				}
			}
			h.pass(10 * time.Minute)
			if m := h.message(); m != nil {
				t.Fatalf("said again: %v", m)
			}
			x.mend(h)
			h.pass(x.over + 6*time.Minute)
			m = h.message()
			if !strings.HasPrefix(m["title"], "callsync on test: resolved: "+headline) || !strings.HasPrefix(m["message"], "Over:\n- ") {
				t.Fatalf("the end was told as %v", m)
			}
			h.pass(time.Hour)
			if m := h.message(); m != nil {
				t.Fatalf("after the end: %v", m)
			}
		})
	}
	for _, rule := range alert.Rules() {
		if !slices.Contains(tested, rule) {
			t.Errorf("no test makes %s fire", rule)
		}
	}
}

// A call on its way is no problem until it has been for too long.
func TestACallMayTakeAWhile(t *testing.T) {
	h := newHouse(t)
	h.deliver("call.1", store.Pending)
	h.pass(15 * time.Minute)
	if m := h.message(); m != nil {
		t.Fatalf("too early: %v", m)
	}
	h.pass(time.Minute)
	if m := h.message(); !strings.Contains(m["title"], "calls late (hubspot)") {
		t.Fatalf("the webhook got %v", m)
	}
}

// A wrong key that goes on is one problem.
func TestRejectionsThatGoOn(t *testing.T) {
	h := newHouse(t)
	for range 12 {
		h.metrics.Delivery(store.Rejected, 401, time.Millisecond)
		h.pass(10 * time.Minute)
	}
	titles := 0
	for m := h.message(); m != nil; m = h.message() {
		titles++
		if strings.Contains(m["title"], "resolved") {
			t.Errorf("called over between two rejections: %v", m)
		}
	}
	if titles != 4 { // 1, 2, 4 and 8 of them
		t.Errorf("%d messages", titles)
	}
	h.pass(20 * time.Minute)
	if m := h.message(); !strings.Contains(m["title"], "resolved") {
		t.Errorf("the end: %v", m)
	}
	h.metrics.Delivery(store.Rejected, 401, time.Millisecond)
	h.pass(6 * time.Minute)
	if m := h.message(); !strings.Contains(m["message"], "1 delivery came") {
		t.Errorf("earlier ones were counted again: %v", m)
	}
	// Other refusals are the sender's mistakes, not a wrong key.
	h.pass(time.Hour)
	h.message()
	h.metrics.Delivery(store.Rejected, 400, time.Millisecond)
	h.pass(10 * time.Minute)
	if m := h.message(); m != nil {
		t.Errorf("a malformed delivery: %v", m)
	}
}
