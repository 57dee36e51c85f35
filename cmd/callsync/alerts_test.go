package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/crm/sandbox"
)

// A hook is a webhook that takes what alerts send.
type hook struct {
	url string
	mu  sync.Mutex
	got []map[string]string
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var m map[string]string
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			t.Errorf("the webhook got something else: %v", err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.got = append(h.got, m)
	}))
	t.Cleanup(server.Close)
	h.url = "generic+" + server.URL + "/hooks/S3CRET?template=json"
	return h
}

// await waits for a message with a title and returns its text.
func (h *hook) await(t *testing.T, title string) string {
	t.Helper()
	text := ""
	err := await("an alert about "+title, 30*time.Second, func(context.Context) (bool, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, m := range h.got {
			if strings.Contains(m["title"], title) {
				text = m["message"]
				return true, nil
			}
		}
		return false, fmt.Errorf("%d messages: %v", len(h.got), h.got)
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// alerting appends [alerts] to a configuration, so that problems are told at
// once.
func alerting(t *testing.T, file string, h *hook) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text = fmt.Appendf(text, "\n[alerts]\nurls = [%q]\ngroup_wait = \"0s\"\ngroup_interval = \"0s\"\n", h.url)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestABrokenTokenIsToldAndCalledOver breaks the CRM's token under a running
// daemon, and mends it.
func TestABrokenTokenIsToldAndCalledOver(t *testing.T) {
	t.Parallel()
	s, h := newServed(t, "hubspot"), newHook(t)
	alerting(t, s.config, h)
	s.start()
	if status, answer, err := deliver(s.webhook(), oneOfEach(t)); err != nil || status != 200 {
		t.Fatal(status, answer, err)
	}
	s.settle(time.Minute)
	fault, err := s.account.AddFault(sandbox.Fault{Status: 401})
	if err != nil {
		t.Fatal(err)
	}
	body := strings.Replace(string(oneOfEach(t)), "call.demo-meeting", "call.second", 1)
	if status, answer, err := deliver(s.webhook(), []byte(body)); err != nil || status != 200 {
		t.Fatal(status, answer, err)
	}
	text := h.await(t, ": destination stopped (hubspot)")
	if !strings.Contains(text, "hubspot is blocked") || !strings.Contains(text, "401") || !strings.Contains(text, "What to do: ") {
		t.Errorf("the alert says:\n%s", text)
	}
	s.account.RemoveFault(fault)
	client, err := daemonAt(s.config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Unpause(t.Context(), "hubspot"); err != nil {
		t.Fatal(err)
	}
	h.await(t, "resolved: destination stopped (hubspot)")
	s.settle(time.Minute)
	if seen := s.portrait(); len(seen.people) != 1 || len(seen.people[0].records) != 6 {
		t.Errorf("not all calls were synced: %+v", seen)
	}
	s.stop()
	log, err := os.ReadFile(s.log.Name())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(log), "S3CRET") {
		t.Error("the log holds the alert's URL")
	}
}

// TestCheckSendsATest sends a test to each receiver and tells of those it could
// not reach.
func TestCheckSendsATest(t *testing.T) {
	account := newAccount()
	server := httptest.NewServer(account)
	defer server.Close()
	h := newHook(t)
	file, err := writeConfig(t.TempDir(), server.URL, "auto_setup = true")
	if err != nil {
		t.Fatal(err)
	}
	command := func(args ...string) (int, string) {
		var out, stderr strings.Builder
		code := run(t.Context(), append(args, "--config", file), nil, &out, &stderr)
		return code, out.String() + stderr.String()
	}
	if code, out := command("check", "--alert"); code != exitFailed || !strings.Contains(out, "FAIL  alerts: there is nobody to tell: [alerts] has no urls") {
		t.Errorf("without receivers: %d\n%s", code, out)
	}
	alerting(t, file, h)
	if _, out := command("check", "--alert"); !strings.Contains(out, "ok    alerts: urls[0] (generic): a test was sent") {
		t.Error(out)
	}
	if text := h.await(t, ": test"); !strings.Contains(text, "callsync check --alert") {
		t.Errorf("the test says %q", text)
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	replaceIn(t, file, h.url, "generic+"+gone.URL+"/hooks/S3CRET")
	code, out := command("check", "--alert")
	if code != exitFailed || !strings.Contains(out, "FAIL  alerts: urls[0] (generic): the test was not sent") || strings.Contains(out, "S3CRET") {
		t.Errorf("to nobody: %d\n%s", code, out)
	}
	replaceIn(t, file, "generic+", "genric+")
	code, out = command("check", "--alert")
	if code != exitUsage || !strings.Contains(out, "config.toml:15:9: alerts.urls[0]: names no service") || strings.Contains(out, "S3CRET") {
		t.Errorf("a misspelt service: %d\n%s", code, out)
	}
	if code, _ := command("check", "--alert", "--offline"); code != exitUsage {
		t.Errorf("--alert --offline: exit code %d", code)
	}
}

func replaceIn(t *testing.T, file, old, with string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		t.Fatalf("%s does not have %q", file, old)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), old, with, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestReloadChangesAlerts gives a running daemon somebody to tell.
func TestReloadChangesAlerts(t *testing.T) {
	t.Parallel()
	s, h := newServed(t, "hubspot"), newHook(t)
	s.start()
	client, err := daemonAt(s.config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Pause(t.Context(), "hubspot", "moving house"); err != nil {
		t.Fatal(err)
	}
	alerting(t, s.config, h)
	changed, err := client.Reload(t.Context())
	if err != nil || len(changed.Applied) != 1 || changed.Applied[0] != "[alerts]" || len(changed.Restart) != 0 {
		t.Fatal(changed, err)
	}
	if text := h.await(t, "destination stopped"); !strings.Contains(text, "hubspot is paused: moving house") {
		t.Error(text)
	}
	if changed, err = client.Reload(t.Context()); err != nil || len(changed.Applied) != 0 {
		t.Error("nothing had changed:", changed, err)
	}
}

// TestStatusTellsOf11x checks the key of [julian] at the start, which stops
// nothing.
func TestStatusTellsOf11x(t *testing.T) {
	t.Parallel()
	julian := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Api-Key") != "julian-key" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error":"INVALID_API_KEY","message":"wrong key"}`))
			return
		}
		_, _ = w.Write([]byte(`{}`))
	}))
	defer julian.Close()
	for _, x := range []struct {
		key, shown string
		ok         bool
	}{{"julian-key", "11x: takes the key", true}, {"S3CRET-KEY", "11x: 11x credits usage: 401 INVALID_API_KEY", false}} {
		s := newServed(t, "hubspot")
		text, err := os.ReadFile(s.config)
		if err != nil {
			t.Fatal(err)
		}
		text = fmt.Appendf(text, "\n[julian]\nbase_url = %q\napi_key = %q\n", julian.URL, x.key)
		if err := os.WriteFile(s.config, text, 0o600); err != nil {
			t.Fatal(err)
		}
		s.start()
		client, err := daemonAt(s.config)
		if err != nil {
			t.Fatal(err)
		}
		var status admin.Status
		err = await("11x's answer", 30*time.Second, func(ctx context.Context) (bool, error) {
			status, err = client.Status(ctx)
			return err == nil && status.Julian != nil && !status.Julian.Asked.IsZero(), err
		})
		if err != nil {
			t.Fatal(err)
		}
		if status.Julian.OK != x.ok {
			t.Errorf("%+v", status.Julian)
		}
		if len(status.Receivers) != 1 || status.Journal.DiskSize <= status.Journal.DiskFree || status.Journal.DiskFree <= 0 {
			t.Errorf("status: %+v", status)
		}
		var out, stderr strings.Builder
		if code := run(t.Context(), []string{"status", "--config", s.config}, nil, &out, &stderr); code != exitDone || !strings.Contains(out.String(), x.shown) {
			t.Errorf("%d %s\n%s", code, stderr.String(), out.String())
		}
		s.stop()
		log, err := os.ReadFile(filepath.Join(filepath.Dir(s.config), "log"))
		if err != nil {
			t.Fatal(err)
		}
		if warned := strings.Contains(string(log), "11x refuses the api_key"); warned == x.ok || strings.Contains(string(log), x.key) {
			t.Errorf("the log:\n%s", log)
		}
	}
}

// TestAlertsNameCommandsThatExist reads what alerts tell people to do.
func TestAlertsNameCommandsThatExist(t *testing.T) {
	n := 0
	for _, file := range []string{"../../alert/rules.go", "../../alert/alert.go", "../../deploy/prometheus/callsync.rules.yml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range inlineCommand.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], `"`) {
				continue // with a destination's name in the middle
			}
			n++
			understood(t, m[1])
		}
	}
	if n < 8 {
		t.Errorf("only %d commands were found", n)
	}
}
