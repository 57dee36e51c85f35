package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/crm/sandbox"
	"github.com/callsync/callsync/store"
)

// A served is a daemon in a process of its own, with an emulated CRM.
type served struct {
	t       *testing.T
	kind    string
	account faulty
	url     string // of the account
	config  string
	cmd     *exec.Cmd
	env     []string // of the daemon, beside the test's own
	log     *os.File
}

// A faulty account can be made to fail.
type faulty interface {
	emulated
	Faults() []sandbox.Fault
	RemoveFault(id string) bool
	ClearFaults()
}

// newSandbox is an emulated account whose searches lag a little.
func newSandbox(t *testing.T, kind string) faulty {
	t.Helper()
	account, err := sandboxes[kind].new(50*time.Millisecond, "")
	if err != nil {
		t.Fatal(err)
	}
	return account.(faulty)
}

func newServed(t *testing.T, kind string) *served {
	t.Helper()
	s := &served{t: t, kind: kind}
	if kind == "hubspot" {
		s.account = newAccount()
	} else {
		s.account = newSandbox(t, kind)
	}
	server := httptest.NewServer(s.account)
	t.Cleanup(server.Close)
	t.Cleanup(s.account.ClearFaults) // before Close, which waits for answers held back
	s.url = server.URL
	// A socket's path has to be short.
	dir, err := os.MkdirTemp("", "callsync-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if kind == "hubspot" {
		s.config, err = writeConfig(dir, s.url, "auto_setup = true")
	} else {
		s.config = filepath.Join(dir, "config.toml")
		text := fmt.Sprintf("[receiver]\nlisten = \"127.0.0.1:0\"\napi_keys = [%q]\n"+sandboxes[kind].snippet, testKey, s.url, "100ms")
		text = strings.Replace(text, "search_lag", "auto_setup = true\nsearch_lag", 1)
		err = os.WriteFile(s.config, []byte(text), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if s.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.log.Close()
		if t.Failed() {
			b, _ := os.ReadFile(s.log.Name())
			t.Logf("the daemon's log:\n%s", b)
		}
	})
	return s
}

// configure adds to the configuration.
func (s *served) configure(text string) {
	s.t.Helper()
	f, err := os.OpenFile(s.config, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

func (s *served) start() {
	s.t.Helper()
	s.cmd = exec.Command("callsync", "serve", "--config", s.config)
	s.cmd.Env = append(os.Environ(), s.env...)
	s.cmd.Stderr = s.log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	cmd := s.cmd
	s.t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if err := awaitReady(s.config); err != nil {
		s.t.Fatal(err)
	}
}

// kill ends the daemon as a power failure would.
func (s *served) kill() {
	s.t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	s.cmd.Wait()
}

// stop ends the daemon as a service manager would.
func (s *served) stop() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		s.t.Fatalf("after SIGTERM: %v", err)
	}
}

func (s *served) webhook() string {
	s.t.Helper()
	url, err := webhookAt(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	return url
}

func (s *served) settle(limit time.Duration) {
	s.t.Helper()
	if err := awaitSettled(s.config, limit); err != nil {
		s.t.Fatal(err)
	}
}

// portrait reads back what the account holds, with its searches caught up.
func (s *served) portrait() *portrait {
	s.t.Helper()
	seen, err := sandboxes[s.kind].portrait(context.Background(), s.url)
	if err != nil {
		s.t.Fatal(err)
	}
	return seen
}

// oneOfEach is a call that yields a contact, a call, a meeting and a task.
func oneOfEach(t *testing.T) []byte {
	t.Helper()
	b, err := demoPayloads.ReadFile("testdata/demo/meeting.json")
	if err != nil {
		t.Fatal(err)
	}
	var call map[string]any
	if err := json.Unmarshal(b, &call); err != nil {
		t.Fatal(err)
	}
	result := call["callResult"].(map[string]any)
	result["humanActions"] = result["humanActions"].([]any)[:1]
	if b, err = json.Marshal(call); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestKilledBetweenCommitAndAnswer kills the daemon with SIGKILL after the CRM
// has committed a creation and before it has answered, for each of the records
// a call yields, and counts them after a restart.
func TestKilledBetweenCommitAndAnswer(t *testing.T) {
	for _, object := range []string{"contacts", "calls", "meetings", "tasks"} {
		t.Run(object, func(t *testing.T) {
			t.Parallel()
			s := newServed(t, "hubspot")
			fault, err := s.account.AddFault(sandbox.Fault{Operation: object + " batch *ate", Method: "POST", When: sandbox.Hang, Times: 1})
			if err != nil {
				t.Fatal(err)
			}
			s.start()
			if status, answer, err := deliver(s.webhook(), oneOfEach(t)); err != nil || status != 200 {
				t.Fatal(status, answer, err)
			}
			err = await("the commit", time.Minute, func(context.Context) (bool, error) {
				return s.account.Faults()[0].Struck == 1 && s.committed(object), nil
			})
			if err != nil {
				t.Fatal(err)
			}
			s.kill()
			s.account.RemoveFault(fault)
			s.start()
			s.settle(time.Minute)
			s.stop()

			s.holdsOneOfEach()
		})
	}
}

// TestKilledAtAnyWrite does the same for Salesforce, whose requests hold several
// records: the daemon is killed at each request in turn that writes.
func TestKilledAtAnyWrite(t *testing.T) {
	for _, operation := range []string{"collections create", "composite graph"} {
		for n := range 3 {
			t.Run(fmt.Sprintf("%s %d", operation, n+1), func(t *testing.T) {
				t.Parallel()
				s := newServed(t, "salesforce")
				fault, err := s.account.AddFault(sandbox.Fault{Operation: operation, When: sandbox.Hang, Skip: n, Times: 1})
				if err != nil {
					t.Fatal(err)
				}
				s.start()
				if status, answer, err := deliver(s.webhook(), oneOfEach(t)); err != nil || status != 200 {
					t.Fatal(status, answer, err)
				}
				client, err := daemonAt(s.config)
				if err != nil {
					t.Fatal(err)
				}
				struck := false
				err = await("the request, or the end of them", time.Minute, func(ctx context.Context) (bool, error) {
					struck = s.account.Faults()[0].Struck == 1
					status, err := client.Status(ctx)
					return struck || err == nil && status.Destinations[0].Calls[store.Synced] == 1, err
				})
				if err != nil {
					t.Fatal(err)
				}
				if !struck && n == 0 && operation == "collections create" {
					t.Fatal("nothing was written in this way: the test proves nothing")
				}
				s.kill()
				s.account.RemoveFault(fault)
				s.start()
				s.settle(time.Minute)
				s.stop()
				s.holdsOneOfEach()
			})
		}
	}
}

// holdsOneOfEach checks that the account holds what oneOfEach yields, once.
func (s *served) holdsOneOfEach() {
	s.t.Helper()
	seen := s.portrait()
	if len(seen.people) != 1 || len(seen.loose) != 0 {
		s.t.Fatalf("the CRM holds %d contacts, and %d activities of nobody", len(seen.people), len(seen.loose))
	}
	kinds := map[string]int{}
	for _, r := range seen.people[0].records {
		kinds[r.kind]++
	}
	if kinds["call"] != 1 || kinds["meeting"] != 1 || kinds["task"] != 1 || len(kinds) != 3 {
		s.t.Errorf("the contact has %v, not one call, meeting and task", kinds)
	}
}

// TestTerminatedInFlight sends SIGTERM while the CRM takes its time over a batch:
// the daemon must finish it, record it, and end well.
func TestTerminatedInFlight(t *testing.T) {
	s := newServed(t, "hubspot")
	_, err := s.account.AddFault(sandbox.Fault{Operation: "calls batch create", Delay: sandbox.Duration(500 * time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	s.start()
	if status, answer, err := deliver(s.webhook(), oneOfEach(t)); err != nil || status != 200 {
		t.Fatal(status, answer, err)
	}
	err = await("the request", time.Minute, func(context.Context) (bool, error) {
		return s.account.Faults()[0].Struck == 1, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s.stop()

	var out, stderr strings.Builder
	if code := run(t.Context(), []string{"show", "--json", "--config", s.config, "call.demo-meeting"}, nil, &out, &stderr); code != exitDone {
		t.Fatal(stderr.String())
	}
	var call admin.CallDetail
	if err := json.Unmarshal([]byte(out.String()), &call); err != nil {
		t.Fatal(err)
	}
	at := call.Destinations[0]
	if at.Status != store.Synced || len(at.Records) != 3 {
		t.Errorf("the batch in flight was not finished: %s, %d records", at.Status, len(at.Records))
	}
	for _, r := range at.Records {
		if r.ID == "" || !r.Intent.IsZero() {
			t.Errorf("%s was left open", r.Key)
		}
	}
}

// committed reports whether a record of the type exists, whatever was answered.
func (s *served) committed(object string) bool {
	s.t.Helper()
	all, err := listHubSpot(context.Background(), s.url, object, []string{"hs_object_id"}, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return len(all) > 0
}

// TestOutage answers 503 to everything while 64 senders deliver 1,000 calls:
// all are acknowledged, and all land when the CRM is back.
func TestOutage(t *testing.T) {
	for _, kind := range []string{"hubspot", "salesforce"} {
		t.Run(kind, func(t *testing.T) { testOutage(t, newServed(t, kind)) })
	}
}

func testOutage(t *testing.T, s *served) {
	const calls, senders, people = 1000, 64, 200
	fault, err := s.account.AddFault(sandbox.Fault{Status: 503})
	if err != nil {
		t.Fatal(err)
	}
	s.start()
	url := s.webhook()
	template := string(oneOfEach(t))
	next := make(chan int)
	failures := make(chan error, calls)
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for n := range next {
				body := strings.NewReplacer(
					"call.demo-meeting", fmt.Sprintf("call.outage-%d", n),
					"+46701234567", fmt.Sprintf("+4670123%04d", n%people),
					"ada.lindqvist@", fmt.Sprintf("ada.%d@", n%people),
				).Replace(template)
				if status, answer, err := deliver(url, []byte(body)); err != nil || status != 200 {
					failures <- fmt.Errorf("call %d: %d %s %w", n, status, answer, errors.Join(err))
				}
			}
		})
	}
	for n := range calls {
		next <- n
	}
	close(next)
	wg.Wait()
	close(failures)
	for err := range failures {
		t.Error(err)
	}
	if t.Failed() {
		t.FailNow()
	}
	if s.account.Faults()[0].Struck == 0 {
		t.Fatal("the CRM was not asked while it was down: the test proves nothing")
	}
	s.account.RemoveFault(fault)
	s.settle(3 * time.Minute)
	s.stop()

	seen := s.portrait()
	kinds := map[string]int{}
	for _, p := range seen.people {
		for _, r := range p.records {
			kinds[r.kind]++
		}
	}
	if len(seen.people) != people || len(seen.loose) != 0 || kinds["call"] != calls || kinds["meeting"] != calls || kinds["task"] != calls {
		t.Errorf("the CRM holds %d contacts with %v and %d activities of nobody; want %d contacts with %d of each",
			len(seen.people), kinds, len(seen.loose), people, calls)
	}
}
