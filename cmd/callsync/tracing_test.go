package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A collector takes spans by OTLP.
type collector struct {
	mu    sync.Mutex
	spans []*tracepb.Span
	raw   strings.Builder
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		body = z
	}
	b, err := io.ReadAll(body)
	var req coltrace.ExportTraceServiceRequest
	if err != nil || proto.Unmarshal(b, &req) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw.Write(b)
	for _, resource := range req.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
}

func attributeOf(s *tracepb.Span, key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			return fmt.Sprint(a.Value)
		}
	}
	return ""
}

// TestTraces follows a call by its spans: from the delivery, by its id, to the
// round that took it along, and from there to the requests.
func TestTraces(t *testing.T) {
	c := &collector{}
	server := httptest.NewServer(c)
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	s := newServed(t, "hubspot")
	s.start()
	if status, answer, err := deliver(s.webhook(), oneOfEach(t)); err != nil || status != 200 {
		t.Fatal(status, answer, err)
	}
	s.settle(time.Minute)
	s.stop() // which sends the rest

	c.mu.Lock()
	defer c.mu.Unlock()
	var received, round *tracepb.Span
	var operations []string
	for _, span := range c.spans {
		switch {
		case span.Name == "receive":
			received = span
		case span.Name == "round" && strings.Contains(attributeOf(span, "callsync.call_ids"), "call.demo-meeting"):
			round = span
		}
	}
	if received == nil || round == nil {
		t.Fatalf("among %d spans there is no delivery or no round", len(c.spans))
	}
	if id := attributeOf(received, "callsync.call_id"); !strings.Contains(id, "call.demo-meeting") || !strings.Contains(attributeOf(received, "callsync.verdict"), "accepted") {
		t.Errorf("the delivery's span: %v", received)
	}
	for _, span := range c.spans {
		if slices.Equal(span.ParentSpanId, round.SpanId) && slices.Equal(span.TraceId, round.TraceId) {
			operations = append(operations, span.Name)
			if status := attributeOf(span, "http.response.status_code"); !strings.Contains(status, "20") {
				t.Errorf("%s has status %q", span.Name, status)
			}
		}
	}
	if !slices.Contains(operations, "contacts search") || !slices.Contains(operations, "calls batch create") {
		t.Errorf("the round's requests: %q", operations)
	}
	for _, word := range []string{"Lindqvist", "46701234567", "example.com", testKey} {
		if strings.Contains(c.raw.String(), word) {
			t.Errorf("%q is in the traces", word)
		}
	}
}

// A collector that is gone costs the traces and nothing else.
func TestTracesToNobody(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", gone.URL)
	s := newServed(t, "hubspot")
	s.start()
	if status, answer, err := deliver(s.webhook(), oneOfEach(t)); err != nil || status != 200 {
		t.Fatal(status, answer, err)
	}
	s.settle(time.Minute)
	s.stop()
	s.holdsOneOfEach()
	log, err := os.ReadFile(s.log.Name())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), "traces are not taken") && !strings.Contains(string(log), "the last traces were not taken") {
		t.Errorf("nobody is told:\n%s", log)
	}
}
