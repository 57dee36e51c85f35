package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/store/bolt"
	"github.com/callsync/callsync/sync"
)

// A loop stands in for a sync loop: it plans one record a call.
type loop struct {
	health  sync.Health
	mu      gosync.Mutex
	planned [][]store.Work // guarded by mu
	pages   []int          // calls verified at a time
	broken  error          // what mending, and being alone, answer
}

func (l *loop) Health() sync.Health { return l.health }

func (l *loop) Pause(_ context.Context, reason string) error {
	l.health = sync.Health{Phase: sync.Paused, Reason: reason}
	return nil
}

func (l *loop) Unpause(context.Context) error {
	l.health = sync.Health{Phase: sync.Running}
	return nil
}

func (l *loop) Adopt(_ context.Context, account string, tell func(int)) (*sync.Adoption, error) {
	tell(1)
	if account != "7" {
		return nil, &sync.OtherAccountNamed{Named: account, Account: "7"}
	}
	return &sync.Adoption{Destination: "hubspot", Account: account, Before: "4", Calls: 1}, l.broken
}

func (l *loop) AdoptPlan(_ context.Context, account string, _ func(int)) (*sync.Adoption, error) {
	if account != "7" {
		return nil, &sync.OtherAccountNamed{Named: account, Account: "7"}
	}
	return &sync.Adoption{Destination: "hubspot", Account: account, Before: "4", Calls: 3}, nil
}

func (l *loop) Alone(ctx context.Context, f func(context.Context) error) error {
	if l.broken != nil {
		return l.broken
	}
	return f(ctx)
}

func (l *loop) Plan(_ context.Context, work []store.Work) ([]sync.CallPlan, error) {
	l.mu.Lock()
	l.planned = append(l.planned, work)
	l.mu.Unlock()
	var plans []sync.CallPlan
	for _, w := range work {
		op := crm.Create
		if w.State.Status == store.Synced && !w.State.Force {
			op = sync.None
		}
		plans = append(plans, sync.CallPlan{
			CallID: w.Call.ID, Destination: "hubspot", Status: store.Synced,
			Person:  sync.PersonPlan{Op: sync.None},
			Records: []sync.RecordPlan{{Key: w.Call.ID + "#call", Op: op}},
		})
	}
	return plans, nil
}

// An account stands in for a connector that can be inspected.
type account struct {
	crm.Destination
	missing []crm.SetupStep
	err     error
}

func (*account) Schema(context.Context, string) (*crm.Schema, error) { return nil, nil }
func (a *account) SetupPlan(context.Context, []crm.Property) ([]crm.SetupStep, error) {
	return a.missing, a.err
}
func (a *account) Setup(context.Context, []crm.SetupStep) error { a.missing = nil; return a.err }
func (*account) Probe(context.Context) ([]crm.Finding, error) {
	return []crm.Finding{{Name: "probe", OK: true, Text: "probed"}}, nil
}

// A world is an API over a real journal.
type world struct {
	journal *bolt.Journal
	loop    *loop
	account *account
	metrics *admin.Metrics
	server  *admin.Server
}

func newWorld(t *testing.T) *world {
	t.Helper()
	journal, err := bolt.Open(filepath.Join(t.TempDir(), "journal.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { journal.Close() })
	if err := journal.Enroll(t.Context(), []string{"hubspot"}); err != nil {
		t.Fatal(err)
	}
	w := &world{journal: journal, loop: &loop{health: sync.Health{Phase: sync.Running}}, account: &account{}, metrics: admin.NewMetrics()}
	w.server = admin.New(admin.Options{
		Journal: journal, Daemon: true, Metrics: w.metrics,
		Build: admin.Build{Version: "v1.2.3", Go: "go1.26"},
		Destinations: []admin.Destination{{
			Name: "hubspot", Type: "hubspot", Sync: w.loop, CRM: w.account,
			Mapping: func() admin.MappingInfo { return admin.MappingInfo{Name: "hubspot.toml", Version: "abc"} },
		}},
	})
	return w
}

func (w *world) deliver(t *testing.T, id string, result julian.ResultType) {
	t.Helper()
	body := fmt.Sprintf(`{"callId":%q,"agentId":"agent.1","name":"Victor Wembly","callResult":{"resultType":%q}}`, id, result)
	call, err := julian.Parse([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.journal.Deliver(t.Context(), store.Delivery{
		At: time.Now(), Peer: "192.0.2.1", Status: 200, CallID: id, Size: len(body), Hash: julian.Hash([]byte(body)),
		Verdict: store.Accepted, Body: []byte(body), Call: call,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// clients are the two ways to the API: over a network and within the process.
func (w *world) clients(t *testing.T) map[string]*admin.Client {
	t.Helper()
	server := httptest.NewServer(w.server)
	t.Cleanup(server.Close)
	return map[string]*admin.Client{
		"network":   admin.NewClient(server.Listener.Addr().String(), ""),
		"inProcess": admin.InProcess(w.server),
	}
}

func TestCallsAreFoundAndExplained(t *testing.T) {
	w := newWorld(t)
	w.deliver(t, "call.1", julian.Voicemail)
	w.deliver(t, "call.2", julian.Busy)
	w.deliver(t, "call/3", julian.Voicemail)
	for name, c := range w.clients(t) {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			ids := func(sel admin.Selection) (got []string) {
				a, err := c.Calls(ctx, sel)
				if err != nil {
					t.Fatal(err)
				}
				for _, call := range a.Calls {
					got = append(got, call.ID)
				}
				if a.More {
					got = append(got, "more")
				}
				return got
			}
			for _, x := range []struct {
				sel  admin.Selection
				want []string
			}{
				{admin.Selection{}, []string{"call/3", "call.2", "call.1"}},
				{admin.Selection{Limit: 2}, []string{"call/3", "call.2", "more"}},
				{admin.Selection{Limit: 3}, []string{"call/3", "call.2", "call.1"}},
				{admin.Selection{Result: julian.Voicemail}, []string{"call/3", "call.1"}},
				{admin.Selection{State: store.Pending, Destination: "hubspot"}, []string{"call/3", "call.2", "call.1"}},
				{admin.Selection{State: store.Failed}, nil},
				{admin.Selection{Since: time.Now().Add(time.Hour)}, nil},
				{admin.Selection{IDs: []string{"call.2"}}, []string{"call.2"}},
			} {
				if diff := cmp.Diff(x.want, ids(x.sel)); diff != "" {
					t.Errorf("%+v: %s", x.sel, diff)
				}
			}
			d, err := c.Call(ctx, "call/3", false)
			if err != nil {
				t.Fatal(err)
			}
			if d.ResultType != julian.Voicemail || len(d.Deliveries) != 1 || len(d.Revisions) != 1 || len(d.Destinations) != 1 {
				t.Errorf("%+v", d)
			}
			if d.Revisions[0].Body != nil {
				t.Error("the body came although nobody asked for it")
			}
			if d, err = c.Call(ctx, "call/3", true); err != nil || !bytes.Contains(d.Revisions[0].Body, []byte("Victor Wembly")) {
				t.Errorf("asked for, the body is missing: %v", err)
			}
		})
	}
}

func TestErrorsSayWhatIsWrong(t *testing.T) {
	w := newWorld(t)
	w.account.err = &crm.Error{Kind: crm.Credential, Op: "properties list", Status: 401, Message: "expired", Hint: "make a new token"}
	for name, c := range w.clients(t) {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			_, noCall := c.Call(ctx, "nobody", false)
			_, noDestination := c.Pause(ctx, "nowhere", "")
			_, noState := c.Calls(ctx, admin.Selection{State: "strange"})
			_, noVerdict := c.Deliveries(t.Context(), store.DeliveryFilter{Verdict: "lost"})
			_, noPayload := c.Plan(ctx, admin.PlanRequest{Payload: json.RawMessage(`{"name":"x"}`)})
			_, noSuchCalls := c.Resync(ctx, admin.ResyncRequest{Selection: admin.Selection{IDs: []string{"nobody"}}})
			_, refused := c.SetupPlan(ctx, "hubspot")
			for _, x := range []struct {
				err    error
				status int
				code   string
				text   string
				hint   string
			}{
				{noCall, 404, "not_found", "nobody", ""},
				{noDestination, 404, "not_found", "there are: hubspot", ""},
				{noState, 400, "invalid", "there are: pending", ""},
				{noVerdict, 400, "invalid", "there are: accepted", ""},
				{noPayload, 400, "invalid", "no callId", ""},
				{noSuchCalls, 404, "not_found", "nobody", ""},
				{refused, 502, "crm_credential", "expired", "make a new token"},
			} {
				var e *admin.Error
				if !errors.As(x.err, &e) || e.Status != x.status || e.Code != x.code || !strings.Contains(e.Message, x.text) || e.Hint != x.hint {
					t.Errorf("got %#v, want %d %s with %q", x.err, x.status, x.code, x.text)
				}
			}
		})
	}
}

func TestResyncMakesDue(t *testing.T) {
	w := newWorld(t)
	for i := range 3 {
		w.deliver(t, fmt.Sprintf("call.%d", i), julian.Voicemail)
	}
	w.settle(t)
	c := admin.InProcess(w.server)
	ctx := t.Context()

	a, err := c.Resync(ctx, admin.ResyncRequest{DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	if a.Calls != 3 || a.Plan.Totals.Writing != 0 || len(a.Plan.Plans) != 0 {
		t.Errorf("a dry run over settled calls: %+v", a.Plan)
	}
	a, err = c.Resync(ctx, admin.ResyncRequest{DryRun: true, Force: true})
	if err != nil {
		t.Fatal(err)
	}
	if a.Plan.Totals.Writing != 3 || a.Plan.Totals.Records[crm.Create] != 3 {
		t.Errorf("a forced dry run: %+v", a.Plan)
	}
	if due := w.due(t); len(due) != 0 {
		t.Fatalf("dry runs made calls due: %v", due)
	}

	a, err = c.Resync(ctx, admin.ResyncRequest{Selection: admin.Selection{IDs: []string{"call.1"}}, Force: true})
	if err != nil || a.Requested["hubspot"] != 1 {
		t.Fatal(a, err)
	}
	if due := w.due(t); len(due) != 1 || due[0].CallID != "call.1" || due[0].Lane != store.Live {
		t.Errorf("due: %+v", due)
	}
	a, err = c.Resync(ctx, admin.ResyncRequest{})
	if err != nil || a.Calls != 3 {
		t.Fatal(a, err)
	}
	due := w.due(t)
	if len(due) != 3 || due[0].CallID != "call.1" || due[0].Lane != store.Live || due[1].Lane != store.Replay {
		t.Errorf("a bulk resync must stay behind what somebody asked for: %+v", due)
	}
	work, err := w.journal.Load(ctx, "hubspot", []string{"call.1"})
	if err != nil || !work[0].State.Force {
		t.Errorf("force was forgotten: %+v %v", work, err)
	}
}

// settle marks every call synced, as a loop would.
func (w *world) settle(t *testing.T) {
	t.Helper()
	states := map[string]store.State{}
	for _, d := range w.due(t) {
		work, err := w.journal.Load(t.Context(), "hubspot", []string{d.CallID})
		if err != nil {
			t.Fatal(err)
		}
		s := work[0].State
		s.Status, s.Done, s.Next = store.Synced, s.Wanted, time.Time{}
		states[d.CallID] = s
	}
	if err := w.journal.Apply(t.Context(), "hubspot", store.Update{States: states}); err != nil {
		t.Fatal(err)
	}
}

func (w *world) due(t *testing.T) []store.Due {
	t.Helper()
	due, err := w.journal.Due(t.Context(), "hubspot", time.Now().Add(time.Minute), 100)
	if err != nil {
		t.Fatal(err)
	}
	return due
}

func TestPlanOfAPayloadSeesTheJournal(t *testing.T) {
	w := newWorld(t)
	w.deliver(t, "call.1", julian.Voicemail)
	w.settle(t)
	c := admin.InProcess(w.server)
	p, err := c.Plan(t.Context(), admin.PlanRequest{Payload: json.RawMessage(`{"callId":"call.1","callResult":{"summary":"new"}}`)})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Plans) != 1 || p.Plans[0].CallID != "call.1" {
		t.Fatalf("%+v", p)
	}
	got := w.loop.planned[0][0]
	if got.State.Status != store.Synced || got.Call.Revision != 2 || !strings.Contains(string(got.Body), "new") {
		t.Errorf("planned as %+v", got)
	}
	if d, err := c.Call(t.Context(), "call.1", false); err != nil || d.Revision != 1 {
		t.Errorf("planning changed the journal: %+v %v", d.Revision, err)
	}
}

func TestSetupAndCheck(t *testing.T) {
	w := newWorld(t)
	w.account.missing = []crm.SetupStep{{Kind: "property", Object: "calls", Name: "callsync_key", Text: "property callsync_key on calls"}}
	w.loop.health = sync.Health{Phase: sync.Blocked, Kind: crm.NotReady}
	c := admin.InProcess(w.server)
	f, err := c.Check(t.Context(), "hubspot", admin.CheckRequest{})
	if err != nil || len(f.Findings) != 1 || f.Findings[0].OK || !strings.Contains(f.Findings[0].Text, "callsync setup") {
		t.Fatal(f, err)
	}
	if s, err := c.Setup(t.Context(), "hubspot"); err != nil || len(s.Steps) != 1 {
		t.Fatal(s, err)
	}
	if w.loop.health.Phase != sync.Running {
		t.Error("the destination was not told that it can go on")
	}
	f, err = c.Check(t.Context(), "hubspot", admin.CheckRequest{Probe: true})
	if err != nil || len(f.Findings) != 2 || !f.Findings[0].OK || f.Findings[1].Name != "probe" {
		t.Fatal(f, err)
	}

	// Setting up does not overrule a person's pause.
	w.loop.health = sync.Health{Phase: sync.Paused}
	if _, err := c.Setup(t.Context(), "hubspot"); err != nil {
		t.Fatal(err)
	}
	if w.loop.health.Phase != sync.Paused {
		t.Error("setup ended a pause")
	}
}

func TestBackupIsAJournal(t *testing.T) {
	w := newWorld(t)
	w.deliver(t, "call.1", julian.Voicemail)
	for name, c := range w.clients(t) {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "copy.db")
			f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Backup(t.Context(), f); err != nil {
				t.Fatal(err)
			}
			f.Close()
			copied, err := bolt.Open(file, bolt.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer copied.Close()
			if _, err := copied.Call(t.Context(), "call.1"); err != nil {
				t.Error(err)
			}
		})
	}
}

// A cutJournal fails half way through a backup.
type cutJournal struct{ *bolt.Journal }

func (cutJournal) Backup(_ context.Context, w io.Writer) error {
	_, _ = w.Write(make([]byte, 1<<20))
	return errors.New("the disk broke")
}

func TestACutBackupIsAnError(t *testing.T) {
	w := newWorld(t)
	w.server.Journal = cutJournal{w.journal}
	for name, c := range w.clients(t) {
		if _, err := c.Backup(t.Context(), io.Discard); err == nil {
			t.Errorf("%s: half a copy passed for a whole one", name)
		}
	}
}

func TestHealthAndReadiness(t *testing.T) {
	w := newWorld(t)
	get := func(path string) (int, string) {
		r := httptest.NewRecorder()
		w.server.ServeHTTP(r, httptest.NewRequest("GET", path, nil))
		return r.Code, r.Body.String()
	}
	if code, body := get("/healthz"); code != 200 || body != "ok\n" {
		t.Error(code, body)
	}
	if code, body := get("/readyz"); code != 200 || strings.Contains(body, "reasons") {
		t.Error(code, body)
	}
	w.loop.health = sync.Health{Phase: sync.Broken, Reason: "503"}
	if code, body := get("/readyz"); code != 200 || !strings.Contains(body, "hubspot is broken: 503") {
		t.Error("a CRM that is down must not turn deliveries away, but be named:", code, body)
	}
	w.server.Destinations[0].Mapping = func() admin.MappingInfo { return admin.MappingInfo{Problem: "hubspot.toml:3:1: no"} }
	if code, body := get("/readyz"); code != 200 || !strings.Contains(body, "hubspot uses its last good mapping: hubspot.toml:3:1: no") {
		t.Error("a broken mapping must be named:", code, body)
	}
	w.journal.Close()
	if code, body := get("/readyz"); code != 503 || !strings.Contains(body, "journal") {
		t.Error(code, body)
	}
	if code, body := get("/api/v1/nothing"); code != 404 || !strings.Contains(body, `"error":"not_found"`) {
		t.Error(code, body)
	}
}

func TestMetrics(t *testing.T) {
	w := newWorld(t)
	w.deliver(t, "call.1", julian.Voicemail)
	w.loop.health = sync.Health{
		Phase: sync.Blocked, LastSync: time.Unix(1700000000, 0),
		CRM: crm.Status{QuotaUsed: 5, QuotaLimit: 10},
	}
	w.metrics.Delivery(store.Accepted, 200, 2*time.Millisecond)
	w.metrics.Delivery("", 503, time.Second)
	w.metrics.Round(sync.Report{Destination: "hubspot", Calls: 4, Changes: 7, Took: time.Second})
	w.metrics.Request("hubspot", crm.Exchange{Operation: "calls batch create", Status: 201, Took: 80 * time.Millisecond})
	w.metrics.Request("hubspot", crm.Exchange{Operation: "calls batch create", Took: time.Second})
	w.metrics.MappingReloaded("hubspot", errors.New("broken"))
	r := httptest.NewRecorder()
	w.server.ServeHTTP(r, httptest.NewRequest("GET", "/metrics", nil))
	text := r.Body.String()
	for _, line := range []string{
		`callsync_build_info{goversion="go1.26",revision="",version="v1.2.3"} 1`,
		`callsync_deliveries_total{verdict="accepted"} 1`,
		`callsync_deliveries_total{verdict="rejected"} 0`,
		`callsync_deliveries_unwritten_total 1`,
		`callsync_ack_seconds_count 2`,
		`callsync_ack_seconds_bucket{le="0.0025"} 1`,
		`callsync_journal_calls 1`,
		`callsync_calls{destination="hubspot",state="pending"} 1`,
		`callsync_calls{destination="hubspot",state="failed"} 0`,
		`callsync_destination_phase{destination="hubspot",phase="blocked"} 1`,
		`callsync_destination_phase{destination="hubspot",phase="running"} 0`,
		`callsync_crm_requests_total{destination="hubspot",operation="calls batch create",status="201"} 1`,
		`callsync_crm_requests_total{destination="hubspot",operation="calls batch create",status="none"} 1`,
		`callsync_crm_request_seconds_bucket{destination="hubspot",le="0.1"} 1`,
		`callsync_crm_quota_left{destination="hubspot"} 5`,
		`callsync_crm_quota_used{destination="hubspot"} 5`,
		`callsync_crm_quota_limit{destination="hubspot"} 10`,
		`callsync_crm_changes_total{destination="hubspot"} 7`,
		`callsync_round_calls_sum{destination="hubspot"} 4`,
		`callsync_last_sync_timestamp_seconds{destination="hubspot"} 1.7e+09`,
		`callsync_mapping_reloads_total{destination="hubspot",result="broken"} 1`,
		`callsync_mapping_broken{destination="hubspot"} 0`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
	if !strings.Contains(text, "callsync_oldest_unsynced_seconds{destination=\"hubspot\"} ") || strings.Contains(text, "oldest_unsynced_seconds{destination=\"hubspot\"} 0\n") {
		t.Error("the oldest unsynced call has no age")
	}
	if strings.Contains(text, "Wembly") || strings.Contains(text, "call.1") {
		t.Error("the metrics name a call or a person")
	}
}

func TestTokenGuardsTheAPI(t *testing.T) {
	w := newWorld(t)
	server := httptest.NewServer(admin.RequireToken("secret", w.server))
	defer server.Close()
	address := server.Listener.Addr().String()
	for token, ok := range map[string]bool{"secret": true, "": false, "secre": false, "secret2": false} {
		_, err := admin.NewClient(address, token).Status(t.Context())
		var e *admin.Error
		if ok != (err == nil) || !ok && (!errors.As(err, &e) || e.Status != 401) {
			t.Errorf("token %q: %v", token, err)
		}
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 401, "/api/v1/calls": 401, "/healthz/../metrics": 401} {
		resp, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s without a token: %d, not %d", path, resp.StatusCode, want)
		}
	}
}
