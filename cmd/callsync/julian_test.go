package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSample(t *testing.T) {
	payload, err := demoPayloads.ReadFile("testdata/demo/guide.json")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Api-Key") != "julian-key" || r.URL.Path != "/agent/agent.abc123/call_event_sample" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"error":"INVALID_API_KEY","message":"wrong key"}`)
			return
		}
		_, _ = w.Write(payload)
	}))
	defer server.Close()
	file, err := writeConfig(t.TempDir(), "http://127.0.0.1:1", "[julian]\nbase_url = \""+server.URL+"\"\napi_key = \"julian-key\"")
	if err != nil {
		t.Fatal(err)
	}
	var out, stderr strings.Builder
	if c := run(t.Context(), []string{"sample", "agent.abc123", "--config", file}, nil, &out, &stderr); c != exitDone {
		t.Fatalf("exit code %d: %s", c, stderr.String())
	}
	if !strings.Contains(out.String(), "+ call.abc123#call: calls") {
		t.Error(out.String())
	}
	if c := run(t.Context(), []string{"sample", "agent.other", "--config", file}, nil, &out, &stderr); c != exitFailed {
		t.Errorf("exit code %d for an agent that is refused", c)
	}
	if strings.Contains(stderr.String(), "julian-key") {
		t.Error("the key was printed")
	}
}

// TestCheckAsks11x checks a mapping against the outcomes that the agents seen
// can report.
func TestCheckAsks11x(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("X-Api-Key") != "julian-key":
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"error":"INVALID_API_KEY","message":"wrong key"}`)
		case r.URL.Path == "/agents/agent.abc123/outcomes":
			_, _ = io.WriteString(w, `[{"name":"interested"},{"name":"not now"}]`)
		default:
			_, _ = io.WriteString(w, `{}`)
		}
	}))
	defer server.Close()
	s := newServed(t, "hubspot")
	dir := filepath.Dir(s.config)
	mapping := strings.Replace(shippedMapping(t), `"ms(duration)"`, `"any(outcomes, .name == 'intersted') ? 1 : any(outcomes, .name == 'not now') ? 2 : ms(duration)"`, 1)
	write(t, filepath.Join(dir, "hubspot.toml"), mapping)
	configure := func(key string) {
		extra := "auto_setup = true\nmapping = \"hubspot.toml\"\n[julian]\nbase_url = \"" + server.URL + "\"\napi_key = \"" + key + "\""
		if _, err := writeConfig(dir, s.url, extra); err != nil {
			t.Fatal(err)
		}
	}
	check := func() (int, string) {
		var out, stderr strings.Builder
		code := run(t.Context(), []string{"check", "--live", "--config", s.config}, nil, &out, &stderr)
		return code, out.String() + stderr.String()
	}
	configure("julian-key")
	s.start()
	if status, answer, err := deliver(s.webhook(), oneOfEach(t)); err != nil || status != 200 {
		t.Fatal(status, answer, err)
	}
	s.settle(time.Minute)
	code, said := check()
	if code != exitDone || !strings.Contains(said, `can report the outcome "intersted"; did you mean interested?`) || !strings.Contains(said, "warning: ") || !strings.Contains(said, "hubspot.toml:") {
		t.Errorf("exit code %d:\n%s", code, said)
	}
	if strings.Contains(said, `outcome "not now"`) {
		t.Errorf("an outcome that exists was reported:\n%s", said)
	}
	if !strings.Contains(said, "ok    11x: takes the key") {
		t.Errorf("the key was not checked:\n%s", said)
	}
	configure("stale-key")
	if code, said = check(); code != exitFailed || !strings.Contains(said, "is refused") || strings.Contains(said, "stale-key") {
		t.Errorf("exit code %d:\n%s", code, said)
	}
}
