package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/callsync/callsync/crm/sandbox"
	"github.com/callsync/callsync/crm/sandbox/hubspotsim"
	"github.com/callsync/callsync/store"
)

// commandeering is text that would take over a terminal: as escapes in JSON, and
// as JSON allows them to stand in a string.
const commandeering = `\u001b]0;title\u0007\u001b[2J` + "\u009b31m\u202e\u2066\x7f"

// TestNoCommandIsCommandeered has every command that prints something of a call
// print one whose every text would take over the terminal. What 11x and the CRM
// say is no better. None of it may reach the terminal, nor may any secret.
func TestNoCommandIsCommandeered(t *testing.T) {
	t.Parallel()
	const id = "call.\u202enasty"
	call := func(id string) string {
		return strings.NewReplacer("ID", id, "TEXT", commandeering).Replace(`{"callId":"ID","phoneNumber":"+46701230001","name":"Ada TEXT","agentId":"TEXT","agentName":"TEXT",
			"timezone":"TEXT","direction":"TEXT","callUrl":"https://example.com/TEXT","customInputVariables":{"email":"ada@example.com","TEXT":"TEXT"},
			"sequence":{"sequenceId":"TEXT"},"callResult":{"resultType":"TEXT","summary":"TEXT","transcription":"TEXT","outcomes":[{"name":"TEXT","reasoning":"TEXT"}],
			"humanActions":[{"description":"TEXT","status":"TEXT"}],"followUpMeetingDetails":{"startTime":"2026-03-05T08:00:00Z","hostEmail":"TEXT@example.com"}}}`)
	}
	julian := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "refused") {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, `{"error":"%s","message":"%s"}`, commandeering, commandeering)
			return
		}
		fmt.Fprint(w, call("call.sample"))
	}))
	defer julian.Close()
	s := newServed(t, "hubspot")
	s.configure(fmt.Sprintf("[julian]\nbase_url = %q\napi_key = \"s3cret-julian\"\n", julian.URL))
	var log lockedBuffer
	s.cmd = exec.Command("callsync", "serve", "--log-level", "debug", "--config", s.config)
	s.cmd.Stderr = &log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.cmd.Process.Kill(); s.cmd.Wait() })
	if err := awaitReady(s.config); err != nil {
		t.Fatal(err)
	}
	post := func(key, body string, want int) {
		t.Helper()
		if status, answer, err := deliverAs(key, s.webhook(), []byte(body)); err != nil || status != want {
			t.Fatal(status, answer, err)
		}
	}
	post(testKey, call(id), 200)
	s.settle(time.Minute)
	post("guess"+testKey, call(id), 401)
	post(testKey, `{"callId":"`+commandeering+`"}`, 400)
	post(testKey, `{"`+commandeering+`"`, 400)
	words := fmt.Sprintf(`{"status":"error","category":"%[1]s","correlationId":"%[1]s","message":"no: %[1]s","errors":[{"code":"%[1]s","in":"%[1]s","message":"%[1]s"}]}`, commandeering)
	if _, err := s.account.AddFault(sandbox.Fault{Operation: "calls batch create", Status: 400, Body: words, ContentType: "application/json"}); err != nil {
		t.Fatal(err)
	}
	post(testKey, strings.Replace(call("call.refused"), "0001", "0002", 1), 200)
	s.settle(time.Minute)
	s.account.ClearFaults()
	if n := s.status().Destinations[0].Calls[store.Failed]; n != 1 {
		t.Fatalf("%d calls failed, want one", n)
	}

	dir := filepath.Dir(s.config)
	file, lines := filepath.Join(dir, "call.json"), filepath.Join(dir, "calls.jsonl")
	overwrite(t, file, []byte(call("call.file")))
	overwrite(t, lines, []byte("{\""+commandeering+"\"}\n"+commandeering+"\n"))
	told := map[string]string{}
	tell := func(args ...string) {
		var out bytes.Buffer
		run(t.Context(), append(args, "--config", s.config), strings.NewReader(""), &out, &out)
		told["callsync "+strings.Join(args, " ")] = out.String()
		if out.Len() == 0 {
			t.Errorf("callsync %q printed nothing", args)
		}
	}
	for _, args := range [][]string{
		{"status"}, {"calls"}, {"calls", "--state", "failed"}, {"show", id}, {"show", "--body", id}, {"show", "call.refused"}, {"show", "call.\x1b[2J"},
		{"deliveries"}, {"deliveries", "--verdict", "rejected"}, {"deliveries", "--call", id}, {"plan", id}, {"plan", "--all"}, {"plan", "--file", file},
		{"plan", "--explain", id}, {"sample", "agent.1"}, {"sample", "refused"}, {"import", lines}, {"readmit", "4"}, {"resync", id}, {"verify"}, {"check"},
		{"check", "--live"}, {"undo", id}, {"erase", "--call", id}, {"erase", "--phone", "+46701230001"},
		{"calls", "--result", "\x1b[2J\u009b"}, {"\x1b[2J"}, {"mapping", "\x1b[2J"}, {"pause", "hubspot", "--reason", "\x1b[2J\u202e"}, {"status"}, {"unpause"},
		{"erase", "--phone", "+46701230001", "--crm", "--yes"},
	} {
		tell(args...)
		if args[0] != "check" && args[0] != "erase" && args[0] != "mapping" && args[0] != "sample" {
			tell(append([]string{args[0], "--json"}, args[1:]...)...)
		}
	}
	for what, text := range told {
		for line := range strings.Lines(text) {
			if i := strings.IndexFunc(strings.TrimSuffix(line, "\n"), unsafe); i >= 0 {
				t.Errorf("%q prints %q", what, line[i:min(len(line), i+40)])
				break
			}
		}
	}
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Error(err)
	}
	told["the log, at debug level"] = log.String()
	for what, text := range told {
		for _, secret := range []string{testKey, hubspotsim.DefaultToken, "s3cret-julian"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q tells the secret %s", what, secret)
			}
		}
	}
	for _, words := range []string{"\x1b", "\u009b", "\u202e", "ada@example.com", "46701230001"} {
		if strings.Contains(told["the log, at debug level"], words) {
			t.Errorf("the log holds %q", words)
		}
	}
}

// A terminal gets exported JSON without what would command it, and whole, no matter how
// it is cut into pieces.
func TestExportToATerminalIsHarmless(t *testing.T) {
	text := `{"name":"Zoë 山田 👩‍🚀 ` + commandeering + "\"}\n"
	want := escapeJSON(text)
	if i := strings.IndexFunc(strings.TrimSuffix(want, "\n"), unsafe); i >= 0 {
		t.Fatalf("%q in %q", want[i:], want)
	}
	if !strings.Contains(want, "Zoë 山田 👩‍🚀") {
		t.Fatalf("%q has lost letters", want)
	}
	write := func(pieces ...string) string {
		t.Helper()
		var b bytes.Buffer
		w := (&printer{w: &b, width: 80}).verbatim()
		for _, piece := range pieces {
			if n, err := io.WriteString(w, piece); n != len(piece) || err != nil {
				t.Fatalf("%d of %d bytes, %v", n, len(piece), err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for i := range len(text) {
		if got := write(text[:i], text[i:]); got != want {
			t.Errorf("cut at byte %d it is %q, want %q", i, got, want)
		}
	}
	if got := write(bytesOf(text)...); got != want {
		t.Errorf("byte by byte it is %q, want %q", got, want)
	}
	if got := write("a\xe5\xb1", "\x1b[2J", "\xf0\x9f"); got != escapeJSON("a\xe5\xb1\x1b[2J\xf0\x9f") {
		t.Errorf("halves of runes become %q", got)
	}
}

// bytesOf cuts a text into its bytes.
func bytesOf(text string) (pieces []string) {
	for i := range len(text) {
		pieces = append(pieces, text[i:i+1])
	}
	return pieces
}
