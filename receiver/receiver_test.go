package receiver_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/callsync/callsync/receiver"
	"github.com/callsync/callsync/store"
)

const key = "the-webhook-key"

// An inbox is a journal that remembers deliveries, or fails.
type inbox struct {
	mu         sync.Mutex
	deliveries []store.Delivery
	err        error
}

func (i *inbox) Deliver(_ context.Context, d store.Delivery) (store.Receipt, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.err != nil {
		return store.Receipt{}, i.err
	}
	i.deliveries = append(i.deliveries, d)
	return store.Receipt{Verdict: d.Verdict, Revision: 1, Seq: uint64(len(i.deliveries))}, nil
}

func (i *inbox) all() []store.Delivery {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]store.Delivery(nil), i.deliveries...)
}

// serve runs a receiver behind its own hardened server on a real socket.
func serve(t testing.TB, in store.Inbox, o receiver.Options, timeouts receiver.Timeouts) (url string, h *receiver.Receiver) {
	t.Helper()
	if o.Keys == nil {
		o.Keys = []string{key}
	}
	h = receiver.New(in, o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		done <- receiver.Serve(ctx, receiver.NewServer(h, timeouts, nil), l, nil, time.Minute)
	}()
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return "http://" + l.Addr().String(), h
}

var transport = &http.Transport{}

// A reply is an answer as the sender sees it.
type reply struct {
	Status  string `json:"status"`
	CallID  string `json:"callId"`
	Error   string `json:"error"`
	Message string `json:"message"`
	code    int
	header  http.Header
}

func send(t testing.TB, r *http.Request) reply {
	t.Helper()
	res, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := reply{code: res.StatusCode, header: res.Header}
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatalf("status %d, the answer is no JSON: %v: %q", res.StatusCode, err, body)
	}
	return got
}

func post(t testing.TB, url, body string, header ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequest("POST", url+"/webhooks/julian", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("x-api-key", key)
	for i := 0; i < len(header); i += 2 {
		if header[i+1] == "" {
			r.Header.Del(header[i])
			continue
		}
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func zipped(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, s)
	_ = z.Close()
	return b.String()
}

func TestAnswers(t *testing.T) {
	const good = `{"callId":"call.1"}`
	large := `{"callId":"call.1","x":"` + strings.Repeat("x", 2000) + `"}`
	tests := []struct {
		name   string
		method string
		path   string
		body   string
		header []string
		code   int
		error  string
		// logged is the verdict of the row in the delivery log, "" for none;
		// kept is how much of the body it holds.
		logged store.Verdict
		kept   int
	}{
		{name: "call", body: good, code: 200, logged: store.Accepted, kept: len(good)},
		{name: "charset", body: good, header: []string{"Content-Type", "application/json; charset=UTF-8"}, code: 200, logged: store.Accepted, kept: len(good)},
		{name: "byte order mark", body: "\ufeff" + good, code: 200, logged: store.Accepted, kept: len(good) + 3},
		{name: "gzip", body: zipped(good), header: []string{"Content-Encoding", "gzip"}, code: 200, logged: store.Accepted, kept: len(good)},
		{name: "no key", body: good, header: []string{"x-api-key", ""}, code: 401, error: "UNAUTHORIZED", logged: store.Rejected},
		{name: "wrong key", body: good, header: []string{"x-api-key", "the-webhook-kez"}, code: 401, error: "UNAUTHORIZED", logged: store.Rejected},
		{name: "prefix of the key", body: good, header: []string{"x-api-key", key[:5]}, code: 401, error: "UNAUTHORIZED", logged: store.Rejected},
		{name: "slash at the end", path: "/webhooks/julian/", body: good, code: 200, logged: store.Accepted, kept: len(good)},
		{name: "two slashes at the end", path: "/webhooks/julian//", body: good, code: 404, error: "NOT_FOUND"},
		{name: "other path", path: "/webhook/julian", body: good, code: 404, error: "NOT_FOUND"},
		{name: "get", method: "GET", code: 405, error: "METHOD_NOT_ALLOWED"},
		{name: "get of another path", method: "GET", path: "/", code: 404, error: "NOT_FOUND"},
		{name: "too large", body: large, code: 413, error: "TOO_LARGE", logged: store.Rejected},
		{name: "bomb", body: zipped(large), header: []string{"Content-Encoding", "gzip"}, code: 413, error: "TOO_LARGE", logged: store.Rejected, kept: 1025},
		{name: "form", body: good, header: []string{"Content-Type", "application/x-www-form-urlencoded"}, code: 415, error: "UNSUPPORTED_MEDIA_TYPE", logged: store.Rejected, kept: len(good)},
		{name: "latin 1", body: good, header: []string{"Content-Type", "application/json; charset=latin1"}, code: 415, error: "UNSUPPORTED_MEDIA_TYPE", logged: store.Rejected, kept: len(good)},
		{name: "no content type", body: good, header: []string{"Content-Type", ""}, code: 415, error: "UNSUPPORTED_MEDIA_TYPE", logged: store.Rejected, kept: len(good)},
		{name: "brotli", body: good, header: []string{"Content-Encoding", "br"}, code: 415, error: "UNSUPPORTED_MEDIA_TYPE", logged: store.Rejected, kept: len(good)},
		{name: "no gzip", body: good, header: []string{"Content-Encoding", "gzip"}, code: 400, error: "MALFORMED", logged: store.Rejected},
		{name: "torn gzip", body: zipped(good)[:20], header: []string{"Content-Encoding", "gzip"}, code: 400, error: "INCOMPLETE", logged: store.Rejected, kept: -1},
		{name: "empty", body: "", code: 400, error: "MALFORMED", logged: store.Rejected},
		{name: "no JSON", body: "hello", code: 400, error: "MALFORMED", logged: store.Rejected, kept: 5},
		{name: "list", body: "[]", code: 400, error: "MALFORMED", logged: store.Rejected, kept: 2},
		{name: "two objects", body: good + good, code: 400, error: "MALFORMED", logged: store.Rejected, kept: 2 * len(good)},
		{name: "no callId", body: "{}", code: 400, error: "NO_CALL_ID", logged: store.Rejected, kept: 2},
		{name: "deep", body: `{"callId":"call.1","x":` + strings.Repeat("[", 500), code: 400, error: "MALFORMED", logged: store.Rejected, kept: 523},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := &inbox{}
			var seen []receiver.Observation
			url, _ := serve(t, in, receiver.Options{
				MaxBody: 1024,
				Observe: func(o receiver.Observation) { seen = append(seen, o) },
			}, receiver.Timeouts{})
			r := post(t, url, tt.body, tt.header...)
			if tt.method != "" {
				r.Method = tt.method
			}
			if tt.path != "" {
				r.URL.Path = tt.path
			}
			got := send(t, r)
			if got.code != tt.code || got.Error != tt.error {
				t.Fatalf("answered %d %s, want %d %s", got.code, got.Error, tt.code, tt.error)
			}
			if tt.code == 200 {
				if got.Status != "accepted" || got.CallID != "call.1" {
					t.Errorf("answered %+v", got)
				}
			} else if got.Message == "" {
				t.Error("the error has no message")
			}
			if tt.code == 405 && got.header.Get("Allow") != "POST" {
				t.Errorf("Allow is %q", got.header.Get("Allow"))
			}
			var logged store.Delivery
			if all := in.all(); len(all) > 1 {
				t.Fatalf("%d rows in the log", len(all))
			} else if len(all) == 1 {
				logged = all[0]
			}
			if logged.Verdict != tt.logged {
				t.Fatalf("logged as %q, want %q", logged.Verdict, tt.logged)
			}
			if tt.kept >= 0 && len(logged.Body) != tt.kept {
				t.Errorf("the log keeps %d bytes, want %d", len(logged.Body), tt.kept)
			}
			if tt.logged != "" {
				if logged.Status != tt.code || logged.Peer != "127.0.0.1" || logged.At.IsZero() || logged.RequestID != got.header.Get("X-Request-Id") {
					t.Errorf("logged %+v", logged)
				}
			}
			if tt.logged == store.Rejected && logged.Reason == "" {
				t.Error("the row gives no reason")
			}
			if len(seen) != 1 || seen[0].Status != tt.code || seen[0].Verdict != tt.logged {
				t.Errorf("observed %+v", seen)
			}
		})
	}
}

// Nobody is told more than "unauthorized", whatever is wrong with the rest.
func TestUnauthorizedAnswersAreAlike(t *testing.T) {
	url, _ := serve(t, &inbox{}, receiver.Options{MaxBody: 100}, receiver.Timeouts{})
	missing := send(t, post(t, url, "{", "x-api-key", ""))
	wrong := send(t, post(t, url, strings.Repeat("x", 1000), "x-api-key", "wrong", "Content-Type", "text/html"))
	if missing.code != 401 || wrong.code != 401 || missing.Message != wrong.Message || missing.Error != wrong.Error {
		t.Errorf("%+v\n%+v", missing, wrong)
	}
}

func TestKeysRotate(t *testing.T) {
	url, h := serve(t, &inbox{}, receiver.Options{Keys: []string{"old", ""}}, receiver.Timeouts{})
	code := func(k string) int { return send(t, post(t, url, `{"callId":"c"}`, "x-api-key", k)).code }
	steps := []struct {
		keys     []string
		old, new int
	}{
		{[]string{"old"}, 200, 401},
		{[]string{"old", "new"}, 200, 200},
		{[]string{"new"}, 401, 200},
		{nil, 401, 401},
	}
	for _, s := range steps {
		h.SetKeys(s.keys)
		if o, n := code("old"), code("new"); o != s.old || n != s.new {
			t.Errorf("with keys %q: old %d, new %d; want %d, %d", s.keys, o, n, s.old, s.new)
		}
	}
	h.SetKeys([]string{""})
	if got := code(""); got != 401 {
		t.Errorf("an empty configured key lets a missing header in: %d", got)
	}
}

// A journal that cannot write is never answered with success.
func TestStoreUnavailable(t *testing.T) {
	for _, err := range []error{store.ErrUnavailable, errors.New("anything")} {
		in := &inbox{err: err}
		url, _ := serve(t, in, receiver.Options{}, receiver.Timeouts{})
		got := send(t, post(t, url, `{"callId":"c"}`))
		if got.code != 503 || got.Error != "UNAVAILABLE" || got.header.Get("Retry-After") == "" {
			t.Errorf("%v: answered %+v", err, got)
		}
		if got := send(t, post(t, url, `{`)); got.code != 400 {
			t.Errorf("%v: a malformed body is answered %d", err, got.code)
		}
	}
}

// A flood without a key leaves a bounded number of rows, which say how many
// more there were.
func TestUnauthorizedFlood(t *testing.T) {
	in := &inbox{}
	var mu sync.Mutex
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	observed := 0
	h := receiver.New(in, receiver.Options{
		Keys:    []string{key},
		Now:     func() time.Time { mu.Lock(); defer mu.Unlock(); return now },
		Observe: func(receiver.Observation) { observed++ },
	})
	flood := func(n int) {
		for range n {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("POST", "/webhooks/julian", strings.NewReader("{}")))
			if w.Code != 401 {
				t.Fatalf("answered %d", w.Code)
			}
		}
	}
	flood(5000)
	rows := len(in.all())
	if rows == 0 || rows > 1000 {
		t.Fatalf("%d rows after 5000 requests", rows)
	}
	mu.Lock()
	now = now.Add(time.Minute)
	mu.Unlock()
	flood(100)
	all := in.all()
	if n := len(all) - rows; n == 0 || n > 10 {
		t.Errorf("%d more rows within a minute", n)
	}
	if want := fmt.Sprintf("%d more", 5000-rows); !strings.Contains(all[rows].Reason, want) {
		t.Errorf("the next row says %q, want it to tell of %s", all[rows].Reason, want)
	}
	if observed != 5100 {
		t.Errorf("observed %d requests of 5100", observed)
	}
}

func TestRequestID(t *testing.T) {
	url, _ := serve(t, &inbox{}, receiver.Options{}, receiver.Timeouts{})
	for given, keep := range map[string]bool{
		"abc-123/X=": true, "": false, "a b": false, "<script>": false, strings.Repeat("x", 200): false, "é": false,
	} {
		got := send(t, post(t, url, `{"callId":"c"}`, "X-Request-Id", given)).header.Get("X-Request-Id")
		if got == "" || (got == given) != keep {
			t.Errorf("X-Request-Id %q is answered with %q", given, got)
		}
	}
}
