package julian_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsync/callsync/julian"
)

// upstream is a server with a client that never really waits; waits collects
// what it would have waited.
func upstream(t *testing.T, h http.HandlerFunc) (c *julian.Client, waits *[]time.Duration) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	waits = new([]time.Duration)
	return julian.NewClient(julian.ClientOptions{
		BaseURL: s.URL + "/api/v1/",
		Key:     "k",
		Sleep: func(ctx context.Context, d time.Duration) error {
			*waits = append(*waits, d)
			return ctx.Err()
		},
	}), waits
}

func TestClientPathsAndKey(t *testing.T) {
	var got []string
	c, _ := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Api-Key") != "k" || r.Method != "GET" {
			t.Errorf("%s with key %q", r.Method, r.Header.Get("X-Api-Key"))
		}
		got = append(got, r.URL.EscapedPath())
		switch {
		case strings.HasSuffix(r.URL.Path, "outcomes"):
			_, _ = io.WriteString(w, `[{"name":"interested"},{"name":"not now","description":"d"}]`)
		default:
			_, _ = io.WriteString(w, `{"callId":"call.1"}`)
		}
	})
	ctx := t.Context()
	sample, err := c.Sample(ctx, "agent.1/../../x?y#z")
	if err != nil || string(sample) != `{"callId":"call.1"}` {
		t.Errorf("sample: %q, %v", sample, err)
	}
	outcomes, err := c.Outcomes(ctx, "agent.1")
	if err != nil || len(outcomes) != 2 || outcomes[1].Name != "not now" || outcomes[1].Description != "d" {
		t.Errorf("outcomes: %+v, %v", outcomes, err)
	}
	if err := c.CheckKey(ctx); err != nil {
		t.Error(err)
	}
	want := "/api/v1/agent/agent.1%2F..%2F..%2Fx%3Fy%23z/call_event_sample /api/v1/agents/agent.1/outcomes /api/v1/credits/usage"
	if strings.Join(got, " ") != want {
		t.Errorf("asked for %s\nwant %s", strings.Join(got, " "), want)
	}
	for _, id := range []string{"", ".", ".."} {
		if _, err := c.Sample(ctx, id); err == nil {
			t.Errorf("%q is accepted as an agent id", id)
		}
	}
	if len(got) != 3 {
		t.Error("an impossible id was asked for")
	}
}

func TestClientOutcomesEnvelopes(t *testing.T) {
	for body, want := range map[string]int{
		`[]`: 0, `{"outcomes":[{"name":"a"}]}`: 1, `{"data":[{"name":"a"},{"name":"b"}]}`: 2,
		`{}`: -1, `"x"`: -1, `<html>`: -1,
	} {
		c, _ := upstream(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		got, err := c.Outcomes(t.Context(), "a")
		if (err != nil) != (want < 0) || (err == nil && len(got) != want) {
			t.Errorf("%s: %v, %v", body, got, err)
		}
	}
}

func TestClientErrors(t *testing.T) {
	tests := []struct {
		status       int
		body         string
		unauthorized bool
		code         string
		text         string
	}{
		{401, `{"error":"INVALID_API_KEY","message":"The key is invalid"}`, true, "INVALID_API_KEY", "check api_key"},
		{401, `{"error":"UNAUTHORIZED","message":"No key"}`, true, "UNAUTHORIZED", "No key"},
		{404, `{"error":"NOT_FOUND","message":"No\u001b[31magent"}`, false, "NOT_FOUND", "No [31magent"},
		{502, `<html>`, false, "", "502"},
	}
	for _, tt := range tests {
		c, waits := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(tt.status)
			_, _ = io.WriteString(w, tt.body)
		})
		err := c.CheckKey(t.Context())
		var api *julian.APIError
		if !errors.As(err, &api) {
			t.Fatalf("%d: %v", tt.status, err)
		}
		if errors.Is(err, julian.ErrUnauthorized) != tt.unauthorized || api.Code != tt.code || api.Status != tt.status {
			t.Errorf("%d: %+v", tt.status, api)
		}
		if !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%d: %q does not say %q", tt.status, err, tt.text)
		}
		if len(*waits) != 0 {
			t.Errorf("%d was tried again", tt.status)
		}
	}
}

func TestClientBacksOff(t *testing.T) {
	var n atomic.Int32
	c, waits := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		switch n.Add(1) {
		case 1:
			w.WriteHeader(429)
		case 2:
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(429)
		default:
			_, _ = io.WriteString(w, "{}")
		}
	})
	if err := c.CheckKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(*waits) != 2 {
		t.Fatalf("waited %v", *waits)
	}
	w := *waits
	if w[0] > 2*time.Second || w[1] < 7*time.Second || w[1] > 10*time.Second {
		t.Errorf("waited %v", w)
	}
}

func TestClientGivesUp(t *testing.T) {
	var n atomic.Int32
	c, _ := upstream(t, func(w http.ResponseWriter, _ *http.Request) { n.Add(1); w.WriteHeader(429) })
	var api *julian.APIError
	if err := c.CheckKey(t.Context()); !errors.As(err, &api) || api.Status != 429 {
		t.Errorf("%v", err)
	}
	if got := n.Load(); got != 5 {
		t.Errorf("sent %d requests", got)
	}
	tomorrow, waits := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "86400")
		w.WriteHeader(429)
	})
	if err := tomorrow.CheckKey(t.Context()); !errors.As(err, &api) || len(*waits) != 0 {
		t.Errorf("asked to come back tomorrow: %v, waited %v", err, *waits)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.CheckKey(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("after cancel: %v", err)
	}
}

// The key goes nowhere but to the configured address.
func TestClientFollowsNoRedirect(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the redirect was followed")
	}))
	defer elsewhere.Close()
	c, _ := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusFound)
	})
	if err := c.CheckKey(t.Context()); err == nil {
		t.Error("a redirect counts as success")
	}
}

func TestClientBoundsAnswers(t *testing.T) {
	c, _ := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		block := []byte(strings.Repeat(" ", 1<<20))
		for range 20 {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	if _, err := c.Sample(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("%v", err)
	}
}

// instant answers without a network, so that time stands still meanwhile.
type instant struct{}

func (instant) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}"))}, nil
}

func TestClientKeepsToTenRequestsASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := julian.NewClient(julian.ClientOptions{Key: "k", HTTP: &http.Client{Transport: instant{}}})
		start := time.Now()
		for range 40 {
			if err := c.CheckKey(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		// One each tenth of a second: no second ever has more than ten.
		if took := time.Since(start).Round(time.Millisecond); took != 3900*time.Millisecond {
			t.Errorf("40 requests took %v", took)
		}
	})
}
