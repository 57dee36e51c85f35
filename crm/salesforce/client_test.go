package salesforce_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/crm/sandbox"
)

// roundTripper is a transport made of a function.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestNothingPersonalReachesTheStandardLogger(t *testing.T) {
	var logged bytes.Buffer
	defer log.SetOutput(log.Writer())
	log.SetOutput(&logged)

	w := ready(t)
	w.find(byEmail("jane@example.com"))
	for _, f := range []sandbox.Fault{
		{Operation: "query", Status: 400, Body: `[{"errorCode":"MALFORMED_QUERY","message":"WHERE Email IN ('jane@example.com')\n ^\nERROR at Row:1:Column:2\nunexpected token: 'jane@example.com'"}]`},
		{Operation: "query", Status: 500, Body: "<html>jane@example.com</html>", ContentType: "text/html"},
		{Operation: "query", Status: 500, Body: "[]"},
		{Operation: "query", Status: 200, Body: "not JSON: jane@example.com"},
		{Operation: "query", Reset: true},
	} {
		id, err := w.sim.AddFault(f)
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.dest.FindPeople(w.ctx(), []crm.PersonQuery{byEmail("jane@example.com")})
		if e := asError(t, err); strings.Contains(e.Error()+e.Hint, "jane") || e.Op == "" {
			t.Errorf("fault %+v: the error is %v", f, err)
		}
		w.sim.RemoveFault(id)
	}
	if logged.Len() > 0 {
		t.Errorf("the standard logger got: %s", logged.String())
	}
}

func TestErrorsAreTyped(t *testing.T) {
	w := ready(t)
	w.find(byEmail("nobody@example.com"))
	for _, tc := range []struct {
		fault sandbox.Fault
		kind  crm.ErrorKind
		code  string
		after time.Duration
	}{
		{sandbox.Fault{Status: 503, Kind: "SERVER_UNAVAILABLE", RetryAfter: "7"}, crm.Transient, "SERVER_UNAVAILABLE", 7 * time.Second},
		{sandbox.Fault{Status: 502, Body: "<html>Bad gateway</html>", ContentType: "text/html"}, crm.Transient, "", 0},
		{sandbox.Fault{Status: 429, Body: "x"}, crm.Transient, "", 0},
		// The loop waits, not the connector: what follows in this table is sent at once.
		{sandbox.Fault{Status: 429, Body: "x", RetryAfter: "86400"}, crm.Transient, "", 24 * time.Hour},
		{sandbox.Fault{Status: 503, Body: "x", RetryAfter: "9999999999999"}, crm.Transient, "", 0},
		{sandbox.Fault{Status: 400, Kind: "QUERY_TIMEOUT"}, crm.Transient, "QUERY_TIMEOUT", 0},
		{sandbox.Fault{Status: 400, Kind: "MALFORMED_QUERY"}, crm.Permanent, "MALFORMED_QUERY", 0},
		{sandbox.Fault{Status: 403, Kind: "REQUEST_LIMIT_EXCEEDED"}, crm.Quota, "REQUEST_LIMIT_EXCEEDED", 15 * time.Minute},
		{sandbox.Fault{Status: 403, Body: `[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"ConcurrentRequests (Concurrent API Requests) Limit exceeded."}]`}, crm.Transient, "REQUEST_LIMIT_EXCEEDED", 0},
		{sandbox.Fault{Status: 403, Kind: "API_DISABLED_FOR_ORG"}, crm.Credential, "API_DISABLED_FOR_ORG", 0},
		{sandbox.Fault{Status: 400, Kind: "INSUFFICIENT_ACCESS_OR_READONLY"}, crm.Permanent, "INSUFFICIENT_ACCESS_OR_READONLY", 0},
		{sandbox.Fault{Status: 301, Body: "moved"}, crm.Transient, "", 0},
		{sandbox.Fault{Status: 400, Body: "<html>"}, crm.Transient, "", 0}, // not the org's words
		{sandbox.Fault{Status: 403, Body: "<html>"}, crm.Transient, "", 0},
		{sandbox.Fault{Status: 404, Body: "<html>"}, crm.Transient, "", 0},
		{sandbox.Fault{Status: 414, Body: "<html>"}, crm.Permanent, "", 0},
		{sandbox.Fault{Reset: true}, crm.Transient, "", 0},
	} {
		tc.fault.Operation = "query"
		id, err := w.sim.AddFault(tc.fault)
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.dest.FindPeople(w.ctx(), []crm.PersonQuery{byEmail("jane@example.com")})
		e := asError(t, err)
		if e.Kind != tc.kind || e.Code != tc.code || e.Status != tc.fault.Status || e.RetryAfter != tc.after {
			t.Errorf("%+v: %+v, want %s %s after %v", tc.fault, e, tc.kind, tc.code, tc.after)
		}
		if (tc.kind == crm.Quota || tc.kind == crm.Credential) && e.Hint == "" {
			t.Errorf("%s: no hint", tc.code)
		}
		w.sim.RemoveFault(id)
	}
}

// An answer of something in between does not make an org lack an object: people
// kept in it would not be found, and made anew.
func TestNoOtherAnswerMakesAnObjectAbsent(t *testing.T) {
	w := ready(t)
	lead := w.add("Lead", map[string]any{"LastName": "L", "Company": "C", "Email": "jane@example.com"})
	w.caughtUp()
	d := w.open(func(*crm.Settings) {})
	id, err := w.sim.AddFault(sandbox.Fault{Path: "*/sobjects/Lead/describe", Status: 404, Body: "<html>", ContentType: "text/html"})
	if err != nil {
		t.Fatal(err)
	}
	q := []crm.PersonQuery{byEmail("jane@example.com")}
	if _, err := d.FindPeople(w.ctx(), q); asError(t, err).Kind != crm.Transient {
		t.Errorf("%v, want Transient", err)
	}
	w.sim.RemoveFault(id)
	found, err := d.FindPeople(w.ctx(), q)
	if err != nil || len(found[0]) != 1 || found[0][0].ID != lead {
		t.Errorf("found %+v, %v", found, err)
	}
}

func TestARequestEndsWithItsContext(t *testing.T) {
	w := ready(t)
	ctx, cancel := context.WithCancel(w.ctx())
	defer cancel()
	d := w.open(func(s *crm.Settings) {
		s.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			if !strings.Contains(r.URL.Path, "/query") {
				return http.DefaultTransport.RoundTrip(r)
			}
			cancel()
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
	})
	_, err := d.FindPeople(ctx, []crm.PersonQuery{byEmail("jane@example.com")})
	if e := asError(t, err); e.Kind != crm.Transient || !errors.Is(err, context.Canceled) {
		t.Errorf("%+v, want Transient because of the context", e)
	}
}

func TestARequestHasADeadline(t *testing.T) {
	w := ready(t)
	var left time.Duration
	d := w.open(func(s *crm.Settings) {
		s.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			if at, ok := r.Context().Deadline(); ok && strings.Contains(r.URL.Path, "/query") {
				left = time.Until(at)
			}
			return http.DefaultTransport.RoundTrip(r)
		})
	})
	if _, err := d.FindPeople(w.ctx(), []crm.PersonQuery{oneQuery("jane@example.com")}); err != nil {
		t.Fatal(err)
	}
	if left <= 0 || left > 2*time.Minute {
		t.Errorf("deadline in %v, want at most two minutes", left)
	}
}

func TestOneRefreshServesAllWaiters(t *testing.T) {
	w := ready(t)
	w.find(byEmail("nobody@example.com"))
	w.sim.EndSessions()
	w.sim.ResetCounters()
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			_, err := w.dest.Read(w.ctx(), []crm.Ref{{Object: "Contact", ID: fmt.Sprintf("003%012d", i)}}, nil)
			if err != nil {
				t.Errorf("read %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if n := w.count("token"); n != 1 {
		t.Errorf("%d token requests, want 1", n)
	}
	// The refused ones, at most as many as were under way, and each read once.
	if n := w.count("query all"); n < 41 || n > 45 {
		t.Errorf("%d queries, want 40 and one more for each of the at most 5 refused", n)
	}
}

func TestARefusedRequestIsSentOnceMore(t *testing.T) {
	w := ready(t)
	w.sim.EndSessions()
	w.must(w.write(newTask("call.1#call", nil)))
	if n := len(w.sim.Records("Task")); n != 1 {
		t.Errorf("%d tasks, want 1", n)
	}
	w.sim.AddFault(sandbox.Fault{Operation: "collections create", Status: 401, Body: "no"})
	w.sim.ResetCounters()
	res := w.write(newTask("call.2#call", nil))
	if e := asError(t, res[0].Err); e.Kind != crm.Credential || e.Hint == "" {
		t.Errorf("%+v, want Credential with a hint", e)
	}
	if c, tok := w.count("collections create"), w.count("token"); c != 2 || tok != 1 {
		t.Errorf("%d requests and %d tokens, want 2 and 1", c, tok)
	}
}

func TestModestConcurrency(t *testing.T) {
	w := ready(t)
	var flying, most atomic.Int32
	five := make(chan struct{}) // closed when five requests are in flight
	open := sync.OnceFunc(func() { close(five) })
	d := w.open(func(s *crm.Settings) {
		s.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			if !strings.Contains(r.URL.Path, "/queryAll") {
				return http.DefaultTransport.RoundTrip(r)
			}
			n := flying.Add(1)
			defer flying.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			if n == 5 {
				open()
			}
			<-five
			return http.DefaultTransport.RoundTrip(r)
		})
	})
	var wg sync.WaitGroup
	for i := range 25 {
		wg.Go(func() {
			d.Read(w.ctx(), []crm.Ref{{Object: "Contact", ID: fmt.Sprintf("003%012d", i)}}, nil)
		})
	}
	wg.Wait()
	if m := most.Load(); m != 5 {
		t.Errorf("%d requests at a time, want 5", m)
	}
}

func TestTheTokenGoesWithTheLibrary(t *testing.T) {
	w := ready(t)
	var auth, accept string
	d := w.open(func(s *crm.Settings) {
		s.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			if strings.Contains(r.URL.Path, "/query") {
				auth, accept = strings.Join(r.Header.Values("Authorization"), "|"), r.Header.Get("Accept")
			}
			return http.DefaultTransport.RoundTrip(r)
		})
	})
	if _, err := d.FindPeople(w.ctx(), []crm.PersonQuery{oneQuery("a@example.com")}); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(auth, "Bearer 00D") || strings.Contains(auth, "|") || accept != "application/json" {
		t.Errorf("Authorization %q, Accept %q", auth, accept)
	}
}

func TestPagesAreFollowed(t *testing.T) {
	w := ready(t)
	d := w.open(func(s *crm.Settings) {
		s.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			switch {
			case strings.Contains(r.URL.Path, "/query/more"):
				return jsonAnswer(r, map[string]any{"done": true, "records": []any{map[string]any{"Id": "003000000000002AAA", "Email": "a@example.com"}}}), nil
			case strings.Contains(r.URL.RawQuery, "FROM+Contact"):
				return jsonAnswer(r, map[string]any{"done": false, "nextRecordsUrl": "/services/data/v66.0/query/more", "records": []any{map[string]any{"Id": "003000000000001AAA", "Email": "a@example.com"}}}), nil
			}
			return http.DefaultTransport.RoundTrip(r)
		})
	})
	got, err := d.FindPeople(w.ctx(), []crm.PersonQuery{byEmail("a@example.com")})
	if err != nil || len(got[0]) != 2 {
		t.Errorf("%+v, %v, want both pages", got, err)
	}
}

// oneQuery asks for somebody in a way that takes one SOQL query.
func oneQuery(email string) crm.PersonQuery {
	q := byEmail(email)
	q.Objects = []string{"Contact"}
	return q
}

func jsonAnswer(r *http.Request, body any) *http.Response {
	data, _ := json.Marshal(body)
	return &http.Response{
		StatusCode: 200, Header: http.Header{}, Request: r,
		Body: io.NopCloser(bytes.NewReader(data)),
	}
}

func TestQuotaIsSharedWithOthers(t *testing.T) {
	w := ready(t)
	w.sim.Configure(func(s *salesforceSettings) { s.DailyLimit, s.DailyUsed = 1000, 450 })
	d := w.open(func(s *crm.Settings) { s.QuotaShare = 0.5 })
	read := func() error {
		_, err := d.Read(w.ctx(), []crm.Ref{{Object: "Contact", ID: "003000000000001"}}, nil)
		return err
	}
	sent := 0
	var err error
	for err = read(); err == nil && sent < 100; err = read() {
		sent++
	}
	e := asError(t, err)
	if e.Kind != crm.Quota || e.RetryAfter <= 0 || e.RetryAfter > 15*time.Minute || !strings.Contains(e.Hint, "quota_share") {
		t.Fatalf("%+v, want Quota with a hint", e)
	}
	st := d.Status()
	if st.QuotaUsed != 500 || st.QuotaLimit != 1000 {
		t.Errorf("status: %+v, want 500 of 1000", st)
	}
	w.sim.ResetCounters()
	if err := read(); crm.KindOf(err) != crm.Quota || w.requests() != 0 {
		t.Errorf("%v after %d requests, want Quota without one", err, w.requests())
	}
	w.sim.Advance(e.RetryAfter)
	for i, want := range []int{1, 0} { // one request looks how things stand
		w.sim.ResetCounters()
		if err := read(); (err == nil) != (want == 1) || w.requests() != want {
			t.Errorf("read %d after the wait: %v with %d requests, want %d", i, err, w.requests(), want)
		}
	}
	w.sim.Configure(func(s *salesforceSettings) { s.DailyUsed = 0 })
	w.sim.Advance(14 * time.Second)
	if err := read(); crm.KindOf(err) != crm.Quota {
		t.Errorf("asked twice within 15 seconds: %v", err)
	}
	w.sim.Advance(time.Second) // somebody who has raised the quota need not wait for long
	if err := read(); err != nil {
		t.Errorf("after usage has fallen: %v", err)
	}
	if err := read(); err != nil {
		t.Errorf("and then: %v", err)
	}
}

func TestStatusCountsRequests(t *testing.T) {
	w := ready(t)
	w.find(byEmail("a@example.com"))
	st := w.dest.Status()
	if st.Requests["Contact query"] != 1 || st.Requests["token"] != 1 || st.Requests["describe Contact"] < 1 {
		t.Errorf("requests: %v", st.Requests)
	}
	if !strings.HasPrefix(st.Account, "00D") {
		t.Errorf("account %q, want the org's id", st.Account)
	}
}
