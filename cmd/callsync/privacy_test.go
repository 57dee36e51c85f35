package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/config"
	"github.com/callsync/callsync/crm/sandbox"
	"github.com/callsync/callsync/crm/sandbox/hubspotsim"
	"github.com/callsync/callsync/store"
)

// What must not be found where it does not belong. They are looked for without
// regard to case.
var (
	personal = []string{
		"zaphodina", "quuxwell", "7098765", "canary.example", "host.canary", "companycanary", "varcanary",
		"purplegiraffe", "summarycanary", "actioncanary", "reasoncanary",
	}
	secret = []string{"s3cret", hubspotsim.DefaultToken, salesforceSecret}
)

// canaryCall is a call that is full of personal data.
func canaryCall(t *testing.T, id, email, summary string) []byte {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"callId": id, "agentId": "agent.abc123", "agentName": "Outbound Agent", "name": "Zaphodina Quuxwell",
		"phoneNumber": "+46709876543", "fromPhoneNumber": "+15559876543", "scheduledAt": "2026-03-02T09:30:00Z",
		"timezone": "Europe/Stockholm", "direction": "outbound", "duration": 312, "callUrl": "https://julian.11x.ai/calls/" + id,
		"customInputVariables": map[string]any{"email": email, "company": "COMPANYCANARY"},
		"callResult": map[string]any{
			"resultType": "Goal Completed", "summary": summary, "transcription": "PURPLEGIRAFFE said hello",
			"extractedVariables": map[string]any{"x": "VARCANARY"},
			"humanActions":       []any{map[string]any{"description": "ACTIONCANARY", "status": "pending", "actionKey": "follow_up"}},
			"outcomes":           []any{map[string]any{"name": "meeting booked", "reasoning": "REASONCANARY"}},
			"followUpMeetingDetails": map[string]any{
				"startTime": "2026-03-05T08:00:00Z", "endTime": "2026-03-05T08:30:00Z", "hostEmail": "host.canary@example.com",
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// A lockedBuffer takes a log from many goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// An eventful is a daemon in this process that syncs to both CRMs, through
// proxies that see the requests' headers.
type eventful struct {
	t        *testing.T
	daemon   *daemon
	api      *admin.Client
	log      lockedBuffer
	accounts map[string]faulty
	hook     *hook

	mu  sync.Mutex
	ids []string // X-Request-Id of requests to CRMs, guarded by mu
}

func newEventful(t *testing.T) *eventful {
	t.Helper()
	e := &eventful{t: t, accounts: map[string]faulty{}, hook: newHook(t)}
	dir, err := os.MkdirTemp("", "callsync-test-") // a socket's path has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	julian := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(julian.Close)
	var b strings.Builder
	fmt.Fprintf(&b, "[receiver]\nlisten = \"127.0.0.1:0\"\napi_keys = [\"S3CRET-webhook\"]\nmax_body = \"64KiB\"\n")
	fmt.Fprintf(&b, "[alerts]\nurls = [%q]\ngroup_wait = \"0s\"\ngroup_interval = \"0s\"\n", e.hook.url)
	fmt.Fprintf(&b, "[julian]\nbase_url = %q\napi_key = \"S3CRET-julian\"\n", julian.URL)
	for _, kind := range []string{"hubspot", "salesforce"} {
		e.accounts[kind] = newSandbox(t, kind)
		account := httptest.NewServer(e.accounts[kind])
		t.Cleanup(account.Close)
		t.Cleanup(e.accounts[kind].ClearFaults)
		snippet := fmt.Sprintf(sandboxes[kind].snippet, e.proxy(account.URL), "100ms")
		b.WriteString(strings.Replace(snippet, "search_lag", "auto_setup = true\nsearch_lag", 1))
	}
	file := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(file, checkAlertURLs)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	e.daemon, err = start(ctx, cfg, slog.New(slog.NewJSONHandler(&e.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = e.daemon.Wait() })
	e.api = admin.NewClient(e.daemon.Admin, "")
	return e
}

// proxy stands between callsync and a CRM and notes the requests' ids.
func (e *eventful) proxy(to string) string {
	target, err := url.Parse(to)
	if err != nil {
		e.t.Fatal(err)
	}
	p := httputil.NewSingleHostReverseProxy(target)
	p.ErrorLog = nil
	p.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		e.ids = append(e.ids, r.Header.Get("X-Request-Id"))
		e.mu.Unlock()
		p.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	e.t.Cleanup(server.Close)
	return server.URL
}

// post delivers and returns the answer, which must have the status.
func (e *eventful) post(key string, body []byte, want int) string {
	e.t.Helper()
	status, answer, err := deliverAs(key, e.daemon.Webhook, body)
	if err != nil || status != want {
		e.t.Fatalf("%d %s %v, want %d", status, answer, err, want)
	}
	return answer
}

func (e *eventful) settle() {
	e.t.Helper()
	err := await("the CRMs to take everything", time.Minute, func(ctx context.Context) (bool, error) {
		s, err := e.api.Status(ctx)
		if err != nil {
			return false, err
		}
		for _, d := range s.Destinations {
			if n := d.Calls[store.Pending] + d.Calls[store.Retrying]; n > 0 {
				// What has been mended need not wait for its next probe.
				_, _ = e.api.Unpause(ctx, d.Destination)
				return false, fmt.Errorf("%s: %d calls on their way; %s %s", d.Destination, n, d.Phase, d.Reason)
			}
		}
		return true, nil
	})
	if err != nil {
		e.t.Fatal(err)
	}
}

// fault makes both CRMs fail, and returns what mends them.
func (e *eventful) fault(f sandbox.Fault) (mend func()) {
	e.t.Helper()
	for _, a := range e.accounts {
		if _, err := a.AddFault(f); err != nil {
			e.t.Fatal(err)
		}
	}
	return func() {
		for _, a := range e.accounts {
			a.ClearFaults()
		}
	}
}

// struck waits until both CRMs have failed.
func (e *eventful) struck() {
	e.t.Helper()
	err := await("the faults to strike", 30*time.Second, func(context.Context) (bool, error) {
		for _, a := range e.accounts {
			for _, f := range a.Faults() {
				if f.Struck == 0 {
					return false, errors.New("not yet")
				}
			}
		}
		return true, nil
	})
	if err != nil {
		e.t.Fatal(err)
	}
}

// live is a day in which about everything happens that can.
func (e *eventful) live() {
	e.t.Helper()
	const key, email = "S3CRET-webhook", "zaphodina.quux@canary.example"
	t := e.t
	e.post(key, canaryCall(t, "call.first", email, "SUMMARYCANARY"), 200)
	e.post(key, canaryCall(t, "call.first", email, "SUMMARYCANARY"), 200)
	e.settle()
	e.post(key, canaryCall(t, "call.first", email, "SUMMARYCANARY, corrected"), 200)
	e.post("S3CRET-wrong", canaryCall(t, "call.wrong", email, "SUMMARYCANARY"), 401)
	e.post(key, canaryCall(t, "call.cut", email, "SUMMARYCANARY")[:700], 400)
	e.post(key, canaryCall(t, "", email, "SUMMARYCANARY"), 400)
	e.post(key, []byte(`{"name":"Zaphodina Quuxwell","phoneNumber":+46709876543}`), 400)
	e.post(key, canaryCall(t, "call.long", email, strings.Repeat("SUMMARYCANARY ", 10_000)), 413)
	e.post(key, canaryCall(t, "call.bad-email", "zaphodina@canary.example@@", "SUMMARYCANARY"), 200)
	e.settle()
	// A CRM that repeats what it was sent, in its own words.
	echo := `{"status":"error","category":"VALIDATION_ERROR","correlationId":"c-1","message":"Property values were not valid: [{\"isValid\":false,\"message\":\"Zaphodina Quuxwell <zaphodina.echo@canary.example> +46709876544 was not valid\"}]"}`
	_, err := e.accounts["hubspot"].AddFault(sandbox.Fault{Method: "POST", Operation: "contacts batch *ate", Status: 400, Body: echo})
	if err != nil {
		t.Fatal(err)
	}
	body := bytes.ReplaceAll(canaryCall(t, "call.echo", "zaphodina.echo@canary.example", "SUMMARYCANARY"), []byte("+46709876543"), []byte("+46709876544"))
	e.post(key, body, 200)
	e.struck()
	e.settle()
	e.accounts["hubspot"].ClearFaults()
}

func (e *eventful) outages() {
	e.t.Helper()
	const key, email = "S3CRET-webhook", "zaphodina.quux@canary.example"
	for i, f := range []sandbox.Fault{
		{Status: 503, Kind: "html"}, {Status: 429}, {Reset: true}, {Status: 401}, {Status: 200, Body: "<p>Zaphodina Quuxwell"},
	} {
		mend := e.fault(f)
		e.post(key, canaryCall(e.t, fmt.Sprintf("call.outage-%d", i), email, "SUMMARYCANARY"), 200)
		e.struck()
		if f.Status == 401 {
			e.hook.await(e.t, "destination stopped")
		}
		mend()
		e.settle()
	}
	ctx := e.t.Context()
	for _, name := range []string{"hubspot", "salesforce"} {
		if _, err := e.api.Pause(ctx, name, "moving house"); err != nil {
			e.t.Fatal(err)
		}
		if _, err := e.api.Unpause(ctx, name); err != nil {
			e.t.Fatal(err)
		}
		if _, err := e.api.Check(ctx, name, admin.CheckRequest{Probe: true}); err != nil {
			e.t.Fatal(err)
		}
	}
	if _, err := e.api.Resync(ctx, admin.ResyncRequest{Force: true}); err != nil {
		e.t.Fatal(err)
	}
	e.settle()
	if _, err := e.api.Reload(ctx); err != nil {
		e.t.Fatal(err)
	}
}

// get returns the answer of the admin API, whatever its status.
func (e *eventful) get(method, path, body string) string {
	e.t.Helper()
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", strings.TrimPrefix(e.daemon.Admin, "unix:"))
	}}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequest(method, "http://callsync"+path, strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	return string(b)
}

// TestNothingLeaks lives through a day and looks for personal data and secrets
// in all that people and machines are told without asking for a call's content.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	e := newEventful(t)
	e.live()
	e.outages()

	told := map[string]string{
		"the metrics":    e.get("GET", "/metrics", ""),
		"the status":     e.get("GET", "/api/v1/status", ""),
		"readyz":         e.get("GET", "/readyz", ""),
		"the calls":      e.get("GET", "/api/v1/calls", ""),
		"the deliveries": e.get("GET", "/api/v1/deliveries", ""),
		"an error about a payload": e.get("POST", "/api/v1/plan",
			`{"payload":{"name":"Zaphodina Quuxwell","phoneNumber":"+46709876543"}}`),
		"an error about no call": e.get("GET", "/api/v1/calls/none", ""),
	}
	dayShows(t, told["the metrics"])
	if n := strings.Count(told["the calls"], `"callId"`); n < 8 {
		t.Fatalf("only %d calls came in", n)
	}
	for _, id := range []string{"call.first", "call.bad-email", "call.echo", "call.outage-3"} {
		detail, err := e.api.Call(t.Context(), id, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range detail.Destinations {
			told[fmt.Sprintf("what went wrong with %s at %s", id, d.Destination)] = fmt.Sprintf("%s %+v %q", d.Reason, d.Problem, d.Warnings)
		}
	}
	e.hook.mu.Lock()
	told["the alerts"] = fmt.Sprint(e.hook.got)
	e.hook.mu.Unlock()
	if err := e.daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	told["the log"] = e.log.b.String()

	failed := 0
	for _, line := range strings.Split(strings.TrimSpace(told["the log"]), "\n") {
		if strings.Contains(line, `"status":"failed"`) {
			failed++
		}
	}
	if failed == 0 {
		t.Error("no call failed: the CRMs' words were not put to the test")
	}
	for what, text := range told {
		lines := []string{text}
		if what == "the log" {
			lines = strings.Split(text, "\n")
		}
		for _, line := range lines {
			lower := strings.ToLower(line)
			for _, word := range slices.Concat(personal, secret) {
				if strings.Contains(lower, strings.ToLower(word)) {
					t.Errorf("%q is in %s:\n%s", word, what, line)
				}
			}
		}
	}
}

// dayShows checks that what happened is counted: that metrics are wired to what
// they are about.
func dayShows(t *testing.T, metrics string) {
	t.Helper()
	for _, series := range []string{
		`callsync_deliveries_total{verdict="accepted"}`, `callsync_deliveries_total{verdict="duplicate"}`,
		`callsync_deliveries_total{verdict="revised"}`, `callsync_deliveries_total{verdict="rejected"}`,
		`callsync_deliveries_rejected_total{status="401"}`, `callsync_deliveries_rejected_total{status="400"}`,
		`callsync_deliveries_rejected_total{status="413"}`,
		`callsync_ack_seconds_sum`, `callsync_journal_calls`, `callsync_journal_bytes`, `callsync_journal_readable`,
		`callsync_disk_free_bytes`, `callsync_disk_size_bytes`,
		`callsync_calls{destination="hubspot",state="synced"}`,
		`callsync_calls{destination="salesforce",state="synced"}`,
		`callsync_calls_settled_total{destination="hubspot",state="synced"}`,
		`callsync_calls_settled_total{destination="hubspot",state="failed"}`,
		`callsync_retries_total{destination="hubspot"}`, `callsync_retries_total{destination="salesforce"}`,
		`callsync_round_seconds_sum{destination="hubspot"}`, `callsync_round_calls_sum{destination="salesforce"}`,
		`callsync_crm_changes_total{destination="hubspot"}`, `callsync_crm_changes_total{destination="salesforce"}`,
		`callsync_crm_requests_total{destination="hubspot",operation="contacts search",status="200"}`,
		`callsync_crm_requests_total{destination="salesforce",operation="token",status="200"}`,
		`callsync_crm_request_seconds_sum{destination="hubspot"}`, `callsync_crm_request_seconds_sum{destination="salesforce"}`,
		`callsync_crm_quota_limit{destination="salesforce"}`, `callsync_crm_quota_left{destination="salesforce"}`,
		`callsync_last_sync_timestamp_seconds{destination="hubspot"}`,
		`callsync_destination_phase{destination="hubspot",phase="running"}`,
		`callsync_alerts_sent_total{result="sent",service="generic"}`,
	} {
		if _, value, ok := strings.Cut(metrics, "\n"+series+" "); !ok || strings.HasPrefix(value, "0\n") {
			t.Errorf("what happened does not show in %s", series)
		}
	}
	for _, destination := range []string{"hubspot", "salesforce"} {
		for _, status := range []string{"503", "429", "401", "none"} {
			some := regexp.MustCompile(`callsync_crm_requests_total\{destination="` + destination + `",operation="[^"]+",status="` + status + `"\} [1-9]`)
			if !some.MatchString(metrics) {
				t.Errorf("no request to %s with status %s is counted", destination, status)
			}
		}
	}
	if !strings.Contains(metrics, "\ncallsync_julian_up 0\n") {
		t.Error("11x's refusal of the key does not show")
	}
	if strings.Contains(metrics, `operation="other"`) {
		t.Error("a connector does not name an operation")
	}
}

// TestOneCallThroughTheLog follows a call from its delivery to the requests that
// brought it to the CRM.
func TestOneCallThroughTheLog(t *testing.T) {
	t.Parallel()
	e := newEventful(t)
	e.post("S3CRET-webhook", canaryCall(t, "call.first", "zaphodina.quux@canary.example", "SUMMARYCANARY"), 200)
	e.settle()
	if err := e.daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	var delivered string
	rounds := map[string]string{} // by destination
	requests := map[string][]string{}
	for _, text := range strings.Split(strings.TrimSpace(e.log.b.String()), "\n") {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("not JSON: %s", text)
		}
		get := func(name string) string { s, _ := line[name].(string); return s }
		switch get("msg") {
		case "delivery":
			delivered = get("requestId")
		case "call settled":
			rounds[get("destination")] = get("round")
		case "request":
			requests[get("round")] = append(requests[get("round")], get("operation"))
		}
		if strings.Contains(text, "call.first") && get("callId") != "call.first" {
			t.Errorf("the line concerns a call and does not say so in callId: %s", text)
		}
	}
	detail := 0
	for _, round := range rounds {
		if round == "" || len(requests[round]) < 2 {
			t.Errorf("round %q made the requests %q", round, requests[round])
		}
		detail += len(requests[round])
		e.mu.Lock()
		if !slices.Contains(e.ids, round) {
			t.Errorf("round %s did not tell its id to the CRM; told were %q", round, e.ids)
		}
		e.mu.Unlock()
	}
	if len(rounds) != 2 || delivered == "" {
		t.Errorf("delivery %q, rounds %v", delivered, rounds)
	}
}
