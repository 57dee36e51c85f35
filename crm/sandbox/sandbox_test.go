package sandbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsync/callsync/crm/sandbox"
)

// ledger is the smallest CRM: it counts what it committed.
type ledger struct {
	commits atomic.Int64
	did     chan struct{} // receives after each commit that somebody waits for
	limit   int
}

func (l *ledger) Settings() any { return map[string]int{"limit": l.limit} }
func (l *ledger) Dump() any     { return map[string]int64{"commits": l.commits.Load()} }
func (l *ledger) ChangeSettings(patch []byte) error {
	return json.Unmarshal(patch, &struct{ Limit *int }{&l.limit})
}

func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	l.commits.Add(1)
	select {
	case l.did <- struct{}{}:
	default:
	}
	w.Header().Set("X-Ledger", "yes")
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(append([]byte("kept "), body...))
}

type fixture struct {
	*sandbox.Core
	*ledger
	t   *testing.T
	url string
}

func start(t *testing.T) *fixture {
	t.Helper()
	l := &ledger{did: make(chan struct{}, 1)}
	core := sandbox.NewCore(sandbox.Options{
		Name: "Ledger", KeepRequests: 3,
		ErrorBody: func(status int, kind string) (string, []byte) { return "text/x-ledger", []byte("made up " + kind) },
	})
	mux := http.NewServeMux()
	mux.Handle(sandbox.ControlPrefix, sandbox.ControlHandler(core, l))
	mux.Handle("/", l)
	srv := httptest.NewServer(core.Wrap(mux))
	t.Cleanup(srv.Close)
	t.Cleanup(core.ClearFaults)
	return &fixture{core, l, t, srv.URL}
}

func (f *fixture) do(method, path, body string) (*http.Response, string, error) {
	f.t.Helper()
	req, err := http.NewRequest(method, f.url+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp, string(data), err
}

func (f *fixture) must(method, path, body string, status int) string {
	f.t.Helper()
	resp, data, err := f.do(method, path, body)
	if err != nil {
		f.t.Fatal(err)
	}
	if resp.StatusCode != status {
		f.t.Fatalf("%s %s: %d, want %d: %s", method, path, resp.StatusCode, status, data)
	}
	return data
}

func (f *fixture) fault(fault sandbox.Fault) string {
	f.t.Helper()
	id, err := f.AddFault(fault)
	if err != nil {
		f.t.Fatal(err)
	}
	return id
}

func (f *fixture) committed(want int64) {
	f.t.Helper()
	if got := f.commits.Load(); got != want {
		f.t.Errorf("%d commits, want %d", got, want)
	}
}

func TestFaultBeforeTheCommit(t *testing.T) {
	f := start(t)
	f.fault(sandbox.Fault{Method: "POST", Path: "/things/*", Status: 503, Kind: "BUSY", RetryAfter: "7", Skip: 1, Times: 2})
	f.must("POST", "/things/1", "a", 201)
	f.must("GET", "/things/1", "", 201)
	f.must("POST", "/others/1", "a", 201)
	f.committed(3)
	for range 2 {
		resp, body, err := f.do("POST", "/things/1", "a")
		if err != nil || resp.StatusCode != 503 || body != "made up BUSY" || resp.Header.Get("Retry-After") != "7" || resp.Header.Get("Content-Type") != "text/x-ledger" {
			t.Fatalf("%v %v %q", resp, err, body)
		}
	}
	f.committed(3)
	if body := f.must("POST", "/things/1", "again", 201); body != "kept again" {
		t.Errorf("after the fault: %q", body)
	}
	if got := f.Faults()[0].Struck; got != 2 {
		t.Errorf("struck %d times", got)
	}
}

func TestFaultAfterTheCommit(t *testing.T) {
	f := start(t)
	f.fault(sandbox.Fault{When: sandbox.After, Status: 502, Body: "<html>", ContentType: "text/html", Times: 1})
	if body := f.must("POST", "/", "a", 502); body != "<html>" {
		t.Errorf("body %q", body)
	}
	f.committed(1)
	got := f.Requests()[0]
	if got.Status != 502 || got.Handled != 201 || got.Fault != "f1" {
		t.Errorf("logged as %+v", got)
	}
}

func TestConnectionReset(t *testing.T) {
	f := start(t)
	for _, tt := range []struct {
		when    sandbox.When
		commits int64
	}{{sandbox.Before, 0}, {sandbox.After, 1}} {
		f.fault(sandbox.Fault{When: tt.when, Reset: true, Times: 1})
		_, _, err := f.do("POST", "/", "a")
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: %v, want ECONNRESET", tt.when, err)
		}
		f.committed(tt.commits)
	}
	if n := f.Counts()["POST /"]; n.Requests != 2 || n.Statuses[0] != 2 || n.Faults != 2 {
		t.Errorf("counted as %+v", n)
	}
}

// A hanging fault commits, answers nobody, and lets go when it is removed.
func TestHang(t *testing.T) {
	f := start(t)
	id := f.fault(sandbox.Fault{When: sandbox.Hang})
	answered := make(chan string)
	go func() {
		_, body, _ := f.do("POST", "/", "held")
		answered <- body
	}()
	<-f.ledger.did
	select {
	case <-answered:
		t.Fatal("answered while the fault is in force")
	default:
	}
	if !f.RemoveFault(id) || f.RemoveFault(id) {
		t.Error("RemoveFault reports wrongly")
	}
	if body := <-answered; body != "kept held" {
		t.Errorf("released with %q", body)
	}
	if n := f.Counts()["POST /"]; n.Statuses[201] != 1 || n.Statuses[0] != 0 {
		t.Errorf("counted as %+v", n)
	}
}

// A client that gives up does not undo the commit.
func TestAbandonedRequest(t *testing.T) {
	f := start(t)
	f.fault(sandbox.Fault{When: sandbox.Hang})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-f.ledger.did
		cancel()
	}()
	req, err := http.NewRequestWithContext(ctx, "POST", f.url, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := http.DefaultClient.Do(req); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	f.committed(1)
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		core := sandbox.NewCore(sandbox.Options{})
		if _, err := core.AddFault(sandbox.Fault{Delay: sandbox.Duration(3 * time.Second), Times: 1}); err != nil {
			t.Fatal(err)
		}
		h := core.Wrap(l)
		began := time.Now()
		for i, want := range []time.Duration{3 * time.Second, 3 * time.Second} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("POST", "/", strings.NewReader("a")))
			if took := time.Since(began); took != want || w.Code != 201 {
				t.Errorf("request %d: %d after %s, want %s", i, w.Code, took, want)
			}
		}
	})
}

func TestProbabilityIsSeeded(t *testing.T) {
	run := func(seed uint64) string {
		f := start(t)
		f.fault(sandbox.Fault{Status: 500, Probability: 0.5, Seed: seed})
		var s strings.Builder
		for range 64 {
			resp, _, err := f.do("GET", "/", "")
			if err != nil {
				t.Fatal(err)
			}
			s.WriteString(map[int]string{500: "x", 201: "."}[resp.StatusCode])
		}
		return s.String()
	}
	a, b, c := run(1), run(1), run(2)
	if a != b || a == c {
		t.Errorf("seed 1: %s and %s; seed 2: %s", a, b, c)
	}
	if n := strings.Count(a, "x"); n < 16 || n > 48 {
		t.Errorf("%d of 64 struck", n)
	}
}

func TestPatterns(t *testing.T) {
	for _, tt := range []struct {
		pattern, path string
		strikes       bool
	}{
		{"/a/b", "/a/b", true}, {"/a/b", "/a/bc", false}, {"/a/*", "/a/b/c", true}, {"/a/*", "/b/a/", false},
		{"*/c", "/a/b/c", true}, {"*/c", "/a/b/cd", false}, {"/*/b*d", "/a/b/c/d", true}, {"/*/b*d", "/a/c/d", false},
		{"/a*a", "/a", false}, {"*", "/", true}, {"", "/x", true},
	} {
		f := start(t)
		f.fault(sandbox.Fault{Path: tt.pattern, Status: 500})
		resp, _, err := f.do("GET", tt.path, "")
		if err != nil {
			t.Fatal(err)
		}
		if (resp.StatusCode == 500) != tt.strikes {
			t.Errorf("%q on %q: %d", tt.pattern, tt.path, resp.StatusCode)
		}
	}
}

func TestLogKeepsTheNewest(t *testing.T) {
	f := start(t)
	for _, path := range []string{"/1", "/2", "/3", "/4", "/5"} {
		f.must("POST", path+"?q=1", "body of "+path, 201)
	}
	got := f.Requests()
	if len(got) != 3 || got[0].Path != "/3" || got[2].N != 5 || got[2].Body != "body of /5" || got[2].Query != "q=1" {
		t.Errorf("kept %+v", got)
	}
	if f.Total() != 5 || f.Counts()["POST /1"].Requests != 1 {
		t.Error("what fell out of the log is no longer counted")
	}
	f.ResetCounters()
	if f.Total() != 0 || len(f.Requests()) != 0 || len(f.Counts()) != 0 {
		t.Error("ResetCounters leaves something")
	}
}

func TestControlAPI(t *testing.T) {
	f := start(t)
	has := func(body string, texts ...string) {
		t.Helper()
		for _, text := range texts {
			if !strings.Contains(body, text) {
				t.Errorf("%q is not in %s", text, body)
			}
		}
	}
	has(f.must("GET", "/_sandbox/", "", 200), "Ledger", "/_sandbox/faults")
	has(f.must("POST", "/_sandbox/faults", `{"operation":"POST /*","status":500,"times":1,"delay":"1ms"}`, 201), `"id": "f1"`)
	for _, bad := range []string{
		`{`, `{"when":"later","status":500}`, `{"status":99}`, `{"status":500,"reset":true}`, `{}`, `{"when":"after"}`,
		`{"when":"hang","status":500}`, `{"status":500,"probability":2}`, `{"status":500,"times":-1}`, `{"status":500,"delay":"soon"}`, `{"states":500}`,
	} {
		has(f.must("POST", "/_sandbox/faults", bad, 400), `"error"`)
	}
	has(f.must("GET", "/_sandbox/faults", "", 200), `"status": 500`, `"delay": "1ms"`, `"struck": 0`)
	f.must("POST", "/x", "hello", 500)
	f.must("POST", "/x", "hello", 201)
	has(f.must("GET", "/_sandbox/requests?last=1", "", 200), `"total": 2`, `"POST /x"`, `"500": 1`, `"body": "hello"`)
	f.must("GET", "/_sandbox/requests?last=x", "", 400)
	f.must("DELETE", "/_sandbox/faults/f9", "", 404)
	f.must("DELETE", "/_sandbox/faults/f1", "", 204)
	f.fault(sandbox.Fault{Status: 500})
	f.must("DELETE", "/_sandbox/faults", "", 204)
	f.must("POST", "/x", "", 201)
	f.must("POST", "/_sandbox/reset-counters", "", 204)
	has(f.must("GET", "/_sandbox/requests", "", 200), `"total": 0`)

	has(f.must("PUT", "/_sandbox/settings", `{"limit":7}`, 200), `"limit": 7`)
	has(f.must("GET", "/_sandbox/settings", "", 200), `"limit": 7`)
	f.must("PUT", "/_sandbox/settings", `{`, 400)
	has(f.must("GET", "/_sandbox/state", "", 200), `"commits": 2`)

	before := f.Now()
	f.must("POST", "/_sandbox/advance", `{"by":"24h"}`, 200)
	if d := f.Now().Sub(before); d < 24*time.Hour || d > 25*time.Hour {
		t.Errorf("the clock moved by %s", d)
	}
	for _, bad := range []string{`{"by":"-1s"}`, `{}`, `{"by":3}`} {
		f.must("POST", "/_sandbox/advance", bad, 400)
	}
}

func TestParseFault(t *testing.T) {
	got, err := sandbox.ParseFault("operation=contacts batch create, method=POST,path=/crm/*,when=after,status=503,kind=html,retryAfter=2,delay=1.5s,skip=1,times=2,probability=0.5,seed=9")
	want := sandbox.Fault{
		Operation: "contacts batch create", Method: "POST", Path: "/crm/*", When: sandbox.After, Status: 503, Kind: "html",
		RetryAfter: "2", Delay: sandbox.Duration(1500 * time.Millisecond), Skip: 1, Times: 2, Probability: 0.5, Seed: 9,
	}
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := sandbox.ParseFault("reset,when=after"); err != nil || !got.Reset {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "status=x", "status=500,colour=red", "delay=1", "when=never,status=500", "times=1"} {
		if _, err := sandbox.ParseFault(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func FuzzParseFault(f *testing.F) {
	f.Add("operation=* create,status=503,times=2,when=after")
	f.Add("reset,delay=1s,probability=0.1,seed=7")
	f.Fuzz(func(t *testing.T, s string) {
		fault, err := sandbox.ParseFault(s)
		if err != nil {
			return
		}
		if _, err := sandbox.NewCore(sandbox.Options{}).AddFault(fault); err != nil {
			t.Errorf("parsed but refused: %v", err)
		}
	})
}
