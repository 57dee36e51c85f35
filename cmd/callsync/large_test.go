package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/callsync/callsync/crm/sandbox/hubspotsim"
	"github.com/callsync/callsync/crm/sandbox/salesforcesim"
)

// TestTenMegabyteTranscript delivers as much as a delivery may hold, to a mapping
// that puts the transcript into the CRM: the CRM gets what its field holds.
func TestTenMegabyteTranscript(t *testing.T) {
	for kind, x := range map[string]struct {
		limit int // of the field, in characters
		text  func(s *served) string
	}{
		"hubspot": {65_536, func(s *served) string {
			return s.account.(*hubspotsim.Server).Records("calls")[0].Properties["hs_call_body"]
		}},
		"salesforce": {32_000, func(s *served) string {
			text, _ := s.account.(*salesforcesim.Server).Records("Task")[0].Fields["Description"].(string)
			return text
		}},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newServed(t, kind)
			mapping, err := os.ReadFile("../../mappings/" + kind + ".toml")
			if err != nil {
				t.Fatal(err)
			}
			wordy := strings.Replace(string(mapping), "transcript      = false", "transcript      = true", 1)
			if wordy == string(mapping) {
				t.Fatal("the mapping has no switch for the transcript")
			}
			overwrite(t, filepath.Join(filepath.Dir(s.config), "wordy.toml"), []byte(wordy))
			config, err := os.ReadFile(s.config)
			if err != nil {
				t.Fatal(err)
			}
			overwrite(t, s.config, []byte(strings.Replace(string(config), "search_lag", "mapping = \"wordy.toml\"\nsearch_lag", 1)))
			s.start()
			line := "User: <b>“So viel?”</b> & 10 € 👩\\nAgent: yes.\\n"
			words := strings.Repeat(line, 10_000_000/len(line))
			body := `{"callId":"call.long","phoneNumber":"` + phoneOf(1) + `","callResult":{"resultType":"Goal Completed","transcription":"` + words + `"}}`
			if status, answer, err := deliver(s.webhook(), []byte(body)); err != nil || status != 200 {
				t.Fatal(status, answer, err)
			}
			if status, answer, err := deliver(s.webhook(), []byte(body+strings.Repeat(" ", 1<<20))); err != nil || status != 413 {
				t.Errorf("a megabyte more is answered %d %s %v", status, answer, err)
			}
			s.settle(time.Minute)
			if shown := s.command("calls", "--state", "synced"); !strings.Contains(shown, "call.long") {
				t.Fatalf("it is not synced: %s", s.command("show", "call.long"))
			}
			text := x.text(s)
			if n := utf8.RuneCountInString(text); n > x.limit || n < x.limit/2 || !strings.Contains(text, "So viel?") {
				t.Errorf("the CRM has %d characters of it, beginning %.200q", n, text)
			}
			if exported := s.command("export"); len(exported) < 9_000_000 {
				t.Errorf("the journal has only %d bytes of it", len(exported))
			}
			s.stop()
		})
	}
}

// large is n where everything is tried, and a small part of it elsewhere.
func large(n int) int {
	if os.Getenv("CALLSYNC_LARGE") != "" {
		return n
	}
	return n / 50
}

// TestManyPeople syncs calls of people of whom nobody is met twice, and
// TestOnePersonWithManyCalls the calls of one.
func TestManyPeople(t *testing.T) {
	for kind := range sandboxes {
		t.Run(kind, func(t *testing.T) {
			people := large(100_000)
			s := newServed(t, kind)
			s.takeMany(people, func(n int) (call, phone string) {
				return fmt.Sprintf("call.large-%d", n), fmt.Sprintf("+4670%07d", n)
			})
			seen := s.portrait()
			if len(seen.people) != people || len(seen.loose) > 0 {
				t.Errorf("the CRM holds %d people and %d calls of nobody, want %d people", len(seen.people), len(seen.loose), people)
			}
			for _, p := range seen.people {
				if len(p.records) != 1 {
					t.Fatalf("%s has %d records, want one", p.phone, len(p.records))
				}
			}
		})
	}
}

func TestOnePersonWithManyCalls(t *testing.T) {
	for kind := range sandboxes {
		t.Run(kind, func(t *testing.T) {
			calls := large(10_000)
			s := newServed(t, kind)
			s.takeMany(calls, func(n int) (call, phone string) {
				return fmt.Sprintf("call.large-%d", n), phoneOf(1)
			})
			seen := s.portrait()
			if len(seen.people) != 1 || len(seen.loose) > 0 || len(seen.people[0].records) != calls {
				t.Fatalf("the CRM holds %d people and %d calls of nobody", len(seen.people), len(seen.loose))
			}
		})
	}
}

// takeMany delivers many calls at once and syncs them.
func (s *served) takeMany(n int, of func(n int) (call, phone string)) {
	s.t.Helper()
	s.t.Parallel()
	s.start()
	url := s.webhook()
	next := make(chan int)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for i := range next {
				call, phone := of(i)
				body := fmt.Sprintf(`{"callId":%q,"name":"Ada Lindqvist","phoneNumber":%q,"scheduledAt":"2026-03-02T09:30:00Z","callResult":{"resultType":"Voicemail","summary":"Left a message, number %d."}}`, call, phone, i)
				if status, answer, err := deliver(url, []byte(body)); err != nil || status != 200 {
					s.t.Errorf("%s: %d %s %v", call, status, answer, err)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	s.settle(20 * time.Minute)
	if calls := s.status().Destinations[0].Calls; calls["synced"] != int64(n) {
		s.t.Fatalf("of %d calls: %v", n, calls)
	}
	s.stop()
}
