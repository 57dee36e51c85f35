package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestErasedPeopleAreInNoFile erases one person by email, another by number and a
// call of a third, from the running daemon and from the CRM. When the journal has
// been compacted, while it runs, neither it nor a backup holds a byte of them; the
// rest is untouched.
func TestErasedPeopleAreInNoFile(t *testing.T) {
	for kind := range sandboxes {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newServed(t, kind)
			dir := filepath.Dir(s.config)
			journal, backup := filepath.Join(dir, "callsync.db"), filepath.Join(dir, "backup.db")
			s.start()
			for person := range 4 {
				for call := range 2 {
					if status, answer, err := deliver(s.webhook(), talkative(t, person, call)); err != nil || status != 200 {
						t.Fatal(status, answer, err)
					}
				}
			}
			s.settle(time.Minute)
			s.command("compact")
			held := func(file string) (found []string, size int) {
				b, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				for person := range 4 {
					for _, word := range []string{phoneOf(person), mailOf(person), fmt.Sprintf("call.of-%d-", person)} {
						if bytes.Contains(b, []byte(word)) {
							found = append(found, word)
						}
					}
				}
				return found, len(b)
			}
			all, before := held(journal)
			if len(all) < 8 {
				t.Fatalf("only %q is in the file to begin with: the test would prove nothing", all)
			}

			receipts := s.command("erase", "--email", strings.ToUpper(mailOf(1)), "--crm", "--yes")
			receipts += s.command("erase", "--phone", phoneOf(2), "--crm", "--yes")
			receipts += s.command("erase", "--call", "call.of-3-0", "--crm", "--yes")
			if n := strings.Count(receipts, "\n  "+kind+": "); n != 3 || strings.Contains(receipts, "example.com") || strings.Contains(receipts, phoneOf(2)[1:]) {
				t.Errorf("%d receipts, or they name somebody: %s", n, receipts)
			}
			s.command("compact")
			s.command("backup", backup)
			for _, file := range []string{journal, backup} {
				found, after := held(file)
				if got, want := strings.Join(found, " "), strings.Join([]string{phoneOf(0), mailOf(0), "call.of-0-", phoneOf(3), mailOf(3), "call.of-3-"}, " "); got != want {
					t.Errorf("%s holds %s, should hold %s", file, got, want)
				}
				// Five of eight calls, each of noise that cannot be packed.
				if after > before*6/10 {
					t.Errorf("%s has %d bytes, had %d: bodies are left", file, after, before)
				}
			}
			exported := s.command("export")
			for person, calls := range []int{2, 0, 0, 1} {
				if n := strings.Count(exported, fmt.Sprintf(`"callId":"call.of-%d-`, person)); n < calls || calls == 0 && n > 0 {
					t.Errorf("%d calls of person %d are left", n, person)
				}
			}
			seen := s.portrait()
			records := map[string]int{}
			for _, p := range seen.people {
				records[p.phone] = len(p.records)
			}
			if len(records) != 2 || records[phoneOf(0)] != 2 || records[phoneOf(3)] != 1 || len(seen.loose) > 0 {
				t.Errorf("the CRM holds %v, and %d activities of nobody", records, len(seen.loose))
			}
			s.stop()
		})
	}
}

func mailOf(person int) string { return fmt.Sprintf("person%d@example.com", person) }

// talkative is a call with noise in it, which takes the room it takes.
func talkative(t *testing.T, person, call int) []byte {
	t.Helper()
	noise := make([]byte, 300<<10)
	_, _ = rand.NewChaCha8([32]byte{byte(person), byte(call)}).Read(noise)
	body, err := json.Marshal(map[string]any{
		"callId": fmt.Sprintf("call.of-%d-%d", person, call), "name": fmt.Sprintf("Ada Nr%d", person), "phoneNumber": phoneOf(person),
		"customInputVariables": map[string]any{"email": mailOf(person)},
		"callResult":           map[string]any{"resultType": "Goal Completed", "transcription": base64.StdEncoding.EncodeToString(noise)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return body
}
