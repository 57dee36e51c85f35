package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/crm/sandbox/hubspotsim"
	"github.com/callsync/callsync/store"
)

// releasedBinary is the one that CALLSYNC_BINARY names, else one built now.
func releasedBinary(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("CALLSYNC_BINARY"); path != "" {
		return path
	}
	path := filepath.Join(t.TempDir(), "callsync")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// A newcomer has an empty folder and the binary, and types.
type newcomer struct {
	*testing.T
	binary, dir string
	env         []string
}

// types runs a command, which must end with the exit code, and returns what it
// prints.
func (n *newcomer) types(code int, args ...string) string {
	n.Helper()
	cmd := exec.Command(n.binary, args...)
	cmd.Dir, cmd.Env = n.dir, append(os.Environ(), n.env...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != code {
		n.Fatalf("callsync %s: %v, not exit code %d\n%s", strings.Join(args, " "), err, code, out)
	}
	return string(out)
}

// sees repeats a command until it prints something.
func (n *newcomer) sees(what string, args ...string) {
	n.Helper()
	err := await(what, 30*time.Second, func(context.Context) (bool, error) {
		out := n.types(0, args...)
		return strings.Contains(out, what), fmt.Errorf("callsync %s prints\n%s", strings.Join(args, " "), out)
	})
	if err != nil {
		n.Fatal(err)
	}
}

// adapts makes config.toml of the example: every line that is replaced must be
// in it.
func (n *newcomer) adapts(replacements ...string) {
	n.Helper()
	b, err := os.ReadFile("../../config.toml.example")
	if err != nil {
		n.Fatal(err)
	}
	text := string(b)
	for i := 0; i < len(replacements); i += 2 {
		found := false
		lines := strings.Split(text, "\n")
		for j, line := range lines {
			if strings.HasPrefix(line, replacements[i]) && !found {
				lines[j], found = replacements[i+1], true
			}
		}
		if !found {
			n.Fatalf("config.toml.example has no line %q", replacements[i])
		}
		text = strings.Join(lines, "\n")
	}
	if err := os.WriteFile(filepath.Join(n.dir, "config.toml"), []byte(text), 0o600); err != nil {
		n.Fatal(err)
	}
}

// starts leaves a command running until the test ends.
func (n *newcomer) starts(args ...string) {
	n.Helper()
	cmd := exec.Command(n.binary, args...)
	cmd.Dir = n.dir
	if err := cmd.Start(); err != nil {
		n.Fatal(err)
	}
	n.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
}

// asks the sandbox's control API.
func (n *newcomer) asks(method, url, body string) []byte {
	n.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		n.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		n.Fatal(err)
	}
	defer resp.Body.Close()
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(resp.Body); err != nil || resp.StatusCode >= 300 {
		n.Fatalf("%s %s: %s %v %s", method, url, resp.Status, err, answer.String())
	}
	return answer.Bytes()
}

func (n *newcomer) delivers(url, payload string) {
	n.Helper()
	body, err := os.ReadFile("testdata/demo/" + payload + ".json")
	if err != nil {
		n.Fatal(err)
	}
	if status, answer, err := deliver(url, body); err != nil || status != http.StatusOK || !strings.Contains(answer, `"accepted"`) {
		n.Fatalf("%s: %d %s %v", payload, status, answer, err)
	}
}

func (n *newcomer) status() (s admin.Status) {
	n.Helper()
	if err := json.Unmarshal([]byte(n.types(0, "status", "--json")), &s); err != nil {
		n.Fatal(err)
	}
	return s
}

// TestNewcomer goes from an empty folder and the released binary to a service
// that is told of a broken token, tells, recovers, tells again, and has lost
// nothing.
func TestNewcomer(t *testing.T) {
	hooks := newHook(t)
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	account := "http://127.0.0.1:" + port
	n := &newcomer{T: t, binary: releasedBinary(t), dir: t.TempDir(), env: []string{
		"JULIAN_API_KEY=" + testKey, "HUBSPOT_TOKEN=" + hubspotsim.DefaultToken, "CALLSYNC_ALERT_URL=" + hooks.url,
	}}
	if !strings.HasPrefix(n.types(0, "version"), "callsync ") {
		t.Error("it does not know its version")
	}

	// The configuration, from the example.
	if out := n.types(2, "check"); !strings.Contains(out, "config.toml.example") {
		t.Errorf("without a configuration it says %s", out)
	}
	n.adapts(
		`listen   = "127.0.0.1:8080"`, `listen   = "127.0.0.1:0"`,
		`# urls = `, `urls = ["env:CALLSYNC_ALERT_URL"]`,
		`# group_wait`, `group_wait = "0s"`,
		`# group_interval`, `group_interval = "0s"`,
		`# base_url = "https://api.hubapi.com"`, `base_url = "`+account+`"`,
		`# search_lag`, `search_lag = "300ms"`,
		`# base_url = "https://julian.11x.ai`, `base_url = "`+account+`/no-11x-here"`, // nothing may leave this machine
	)
	n.starts("sandbox", "--listen", "127.0.0.1:"+port, "--lag", "100ms")
	if err := await("the sandbox", 30*time.Second, func(context.Context) (bool, error) {
		resp, err := http.Get(account + "/_sandbox/")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil, err
	}); err != nil {
		t.Fatal(err)
	}
	if out := n.types(1, "check"); !strings.Contains(out, "9 things are missing; `callsync setup` creates them") {
		t.Errorf("check says\n%s", out)
	}
	n.types(0, "setup", "--yes")
	n.types(0, "check", "--alert")
	hooks.await(t, "test")

	// The service.
	service := startService(t, n.binary, n.dir, 300*time.Millisecond, n.env...)
	ready := service.hears("READY=1")
	_, url, _ := strings.Cut(ready, "taking deliveries at ")
	n.delivers(url, "guide")
	n.delivers(url, "meeting")
	n.sees("2 synced", "status")

	// The token breaks. Deliveries are taken all the same.
	n.asks(http.MethodPut, account+"/_sandbox/settings", `{"revoked": true}`)
	n.delivers(url, "voicemail")
	n.delivers(url, "opted-out")
	n.sees("hubspot: blocked", "status")
	if text := hooks.await(t, "destination stopped (hubspot)"); !strings.Contains(text, "What to do:") {
		t.Errorf("the alert says %q", text)
	}
	service.hears("WATCHDOG=1")
	if s := n.status(); !s.Ready || s.Destinations[0].Calls[store.Pending] != 2 {
		t.Errorf("ready is %v, calls are %v", s.Ready, s.Destinations[0].Calls)
	}

	// It is mended.
	n.asks(http.MethodPut, account+"/_sandbox/settings", `{"revoked": false}`)
	n.types(0, "unpause")
	hooks.await(t, "resolved: destination stopped (hubspot)")
	n.sees("4 synced", "status")
	if s := n.status(); s.Destinations[0].Calls[store.Synced] != 4 || s.Journal.Calls != 4 {
		t.Errorf("calls are %v", s.Destinations[0].Calls)
	}
	n.types(0, "verify")
	seen, err := portrayHubSpot(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	records := 0
	for _, p := range seen.people {
		records += len(p.records)
	}
	// Four calls, a meeting and its two things to do, of four people.
	if len(seen.people) != 4 || records != 7 || len(seen.loose) != 0 {
		t.Errorf("HubSpot holds %d people, %d records and %d of nobody", len(seen.people), records, len(seen.loose))
	}
	service.hears("WATCHDOG=1")
	service.stop()
	log, err := os.ReadFile(service.log)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{testKey, hubspotsim.DefaultToken, "S3CRET", "Ada", "+4670"} {
		if bytes.Contains(log, []byte(secret)) {
			t.Errorf("the log holds %q", secret)
		}
	}
}
