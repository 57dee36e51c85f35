package crm_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/callsync/callsync/crm"
)

func TestObserve(t *testing.T) {
	var ids []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ids = append(ids, r.Header.Get("X-Request-Id"))
		w.WriteHeader(http.StatusTeapot)
	}))
	defer server.Close()
	var seen []crm.Exchange
	var marked []string
	client := http.Client{Transport: crm.Observe(nil, func(ctx context.Context, x crm.Exchange) {
		if x.Took <= 0 {
			t.Error("it took no time")
		}
		x.Took = 0
		seen = append(seen, x)
		marked = append(marked, crm.RequestID(ctx))
	})}
	get := func(ctx context.Context, url string) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := client.Do(req); err == nil {
			resp.Body.Close()
		}
		if req.Header.Get("X-Request-Id") != "" {
			t.Error("the caller's request was changed")
		}
	}
	get(crm.WithRequestID(crm.WithOperation(t.Context(), "contacts search"), "round-1"), server.URL)
	get(t.Context(), server.URL)
	server.Close()
	get(crm.WithOperation(t.Context(), "lost"), server.URL)
	want := []crm.Exchange{{Operation: "contacts search", Status: 418}, {Operation: "other", Status: 418}, {Operation: "lost"}}
	if len(seen) != len(want) {
		t.Fatalf("observed %+v", seen)
	}
	for i := range want {
		if seen[i] != want[i] {
			t.Errorf("%d: %+v, want %+v", i, seen[i], want[i])
		}
	}
	if len(ids) != 2 || ids[0] != "round-1" || ids[1] != "" || marked[0] != "round-1" {
		t.Errorf("request ids: %q and %q", ids, marked)
	}
	// Nobody has to watch.
	failing := roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("no") })
	if _, err := crm.Observe(failing, nil).RoundTrip(httptest.NewRequest("GET", "/", nil)); err == nil {
		t.Error("the error was lost")
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
