package example_test

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/crm/example"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/mappings"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/store/bolt"
	callsync "github.com/callsync/callsync/sync"
)

//go:embed rolodex.toml
var mapping []byte

// A server is Rolodex itself, as strict as its documentation would be.
type server struct {
	mu      sync.Mutex
	cards   map[string]map[string]*card // by object and id
	lose    int                         // so many answers to writes are lost
	wrote   int
	account string
}

type card struct {
	ID         string            `json:"id"`
	Key        string            `json:"key,omitempty"`
	Properties map[string]string `json:"properties"`
	Links      []string          `json:"links,omitempty"`
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := func(status int, v any) {
		if r.Method != http.MethodGet && status < 300 {
			s.wrote++
			if s.lose > 0 {
				s.lose--
				panic(http.ErrAbortHandler)
			}
		}
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	if r.Header.Get("Authorization") != "Bearer right" {
		answer(http.StatusUnauthorized, map[string]string{"code": "BAD_TOKEN"})
		return
	}
	object, id := r.PathValue("object"), r.PathValue("id")
	cards := s.cards[object]
	var in card
	_ = json.NewDecoder(r.Body).Decode(&in) // empty for GET
	if len(in.Properties["text"]) > 1000 {
		answer(http.StatusUnprocessableEntity, map[string]string{"code": "TOO_LONG", "property": "text"})
		return
	}
	switch {
	case object == "account":
		answer(http.StatusOK, map[string]string{"id": s.account})
	case r.Method == http.MethodGet && id == "":
		found := []*card{}
		for name, values := range r.URL.Query() {
			for _, c := range cards {
				if map[string]string{"id": c.ID, "key": c.Key}[name] == values[0] || c.Properties[name] == values[0] {
					found = append(found, c)
				}
			}
		}
		slices.SortFunc(found, func(a, b *card) int { return cmp.Compare(a.ID, b.ID) })
		answer(http.StatusOK, found)
	case r.Method == http.MethodPost:
		for _, c := range cards {
			if c.Key == in.Key {
				answer(http.StatusConflict, map[string]string{"code": "TAKEN", "existing": c.ID})
				return
			}
		}
		in.ID = fmt.Sprintf("%s-%d", object, len(cards)+1)
		cards[in.ID] = &in
		answer(http.StatusCreated, in)
	case cards[id] == nil:
		answer(http.StatusNotFound, map[string]string{"code": "NOT_FOUND"})
	case r.Method == http.MethodDelete:
		delete(cards, id)
		answer(http.StatusOK, nil)
	case r.Method == http.MethodPatch:
		for name, v := range in.Properties {
			cards[id].Properties[name] = v
		}
		answer(http.StatusOK, cards[id])
	default:
		answer(http.StatusOK, cards[id])
	}
}

// A world is a journal, a running loop and Rolodex.
type world struct {
	*testing.T
	rolodex *server
	url     string
	journal store.Journal
	loop    *callsync.Loop
	stop    func()
}

func newWorld(t *testing.T, token string) *world {
	w := &world{T: t, rolodex: &server{account: "7", cards: map[string]map[string]*card{
		"people": {}, "notes": {}, "users": {"users-7": {ID: "users-7", Properties: map[string]string{"email": "host@example.com"}}},
	}}}
	mux := http.NewServeMux()
	mux.Handle("/{object}", w.rolodex)
	mux.Handle("/{object}/{id}", w.rolodex)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	w.url = s.URL
	var err error
	if w.journal, err = bolt.Open(filepath.Join(t.TempDir(), "journal.db"), bolt.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.journal.Close() })
	if err := w.journal.Enroll(t.Context(), []string{"rolodex"}); err != nil {
		t.Fatal(err)
	}
	w.run(token)
	t.Cleanup(func() { w.stop() })
	return w
}

// run opens the account and starts the loop, as at every start.
func (w *world) run(token string) {
	m, err := mappings.Parse("rolodex.toml", mapping, nil)
	if err != nil {
		w.Fatal(err)
	}
	guard := callsync.NewGuard("rolodex", w.journal, nil)
	account, err := example.Open(crm.Settings{Name: "rolodex", BaseURL: w.url, AccessToken: token, Admit: guard.Admit})
	if err != nil {
		w.Fatal(err)
	}
	w.loop = callsync.New(callsync.Options{
		Name: "rolodex", Type: "rolodex", Journal: w.journal, Destination: account, Guard: guard,
		Mapping: func() callsync.Mapping { return m },
	})
	ctx, stop := context.WithCancel(w.Context())
	done := make(chan error)
	go func() { done <- w.loop.Run(ctx) }()
	w.stop = func() {
		stop()
		if err := <-done; err != nil {
			w.Error(err)
		}
	}
}

// deliver journals a call as the receiver would; summary tells revisions apart.
func (w *world) deliver(id, phone, summary string) {
	w.Helper()
	body, err := json.Marshal(map[string]any{
		"callId": id, "name": "Ada Lindqvist", "phoneNumber": phone, "scheduledAt": "2026-03-02T09:30:00Z",
		"callResult": map[string]any{
			"resultType": "Goal Completed", "summary": summary,
			"followUpMeetingDetails": map[string]any{"startTime": "2026-03-05T08:00:00Z", "hostEmail": "host@example.com"},
		},
	})
	if err != nil {
		w.Fatal(err)
	}
	call, err := julian.Parse(body)
	if err != nil {
		w.Fatal(err)
	}
	canonical, err := julian.Canonical(body)
	if err != nil {
		w.Fatal(err)
	}
	d := store.Delivery{At: time.Now(), Status: http.StatusOK, CallID: id, Size: len(body), Hash: julian.Hash(canonical), Body: body, Call: call}
	if _, err := w.journal.Deliver(w.Context(), d); err != nil {
		w.Fatal(err)
	}
}

// becomes waits until a call is in a state.
func (w *world) becomes(id string, want store.Status) store.State {
	w.Helper()
	for limit := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		works, err := w.journal.Load(w.Context(), "rolodex", []string{id})
		if err != nil || len(works) != 1 {
			w.Fatal(err, len(works))
		}
		s := works[0].State
		if s.Status == want && (s.Done == s.Wanted || want == store.Pending) {
			return s
		}
		if time.Now().After(limit) {
			w.Fatalf("%s is %s (%+v), not %s", id, s.Status, s.Problem, want)
		}
	}
}

func (w *world) holds(people, notes int) {
	w.Helper()
	w.rolodex.mu.Lock()
	defer w.rolodex.mu.Unlock()
	if p, n := len(w.rolodex.cards["people"]), len(w.rolodex.cards["notes"]); p != people || n != notes {
		w.Errorf("Rolodex holds %d people and %d notes, not %d and %d", p, n, people, notes)
	}
}

func TestCallsArrive(t *testing.T) {
	w := newWorld(t, "right")
	w.deliver("call.1", "+46701234567", "She wants a price list.")
	w.becomes("call.1", store.Synced)
	w.deliver("call.2", "+46701234567", "The same person again.")
	w.becomes("call.2", store.Synced)
	w.holds(1, 2)

	w.rolodex.mu.Lock()
	note := *w.rolodex.cards["notes"]["notes-1"]
	written := w.rolodex.wrote
	w.rolodex.mu.Unlock()
	if note.Properties["text"] != "Goal Completed: She wants a price list." || note.Properties["owner"] != "users-7" ||
		note.Properties["at"] != "2026-03-02T09:30:00Z" || !slices.Equal(note.Links, []string{"people-1"}) {
		t.Errorf("the note is %+v", note)
	}

	// A correction is one update.
	w.deliver("call.1", "+46701234567", "She wants two price lists.")
	w.becomes("call.1", store.Synced)
	w.holds(1, 2)
	w.rolodex.mu.Lock()
	defer w.rolodex.mu.Unlock()
	if n := w.rolodex.wrote - written; n != 1 {
		t.Errorf("a correction took %d writes", n)
	}
	if got := w.rolodex.cards["notes"]["notes-1"].Properties["text"]; got != "Goal Completed: She wants two price lists." {
		t.Errorf("the note is %q", got)
	}
}

// TestAnotherAccount: what is remembered of one account is not looked for, or written
// to, in another.
func TestAnotherAccount(t *testing.T) {
	w := newWorld(t, "right")
	w.deliver("call.1", "+46701234567", "Hello.")
	w.becomes("call.1", store.Synced)
	w.stop()
	w.rolodex.mu.Lock()
	w.rolodex.account = "8"
	w.rolodex.mu.Unlock()
	w.run("right")
	w.deliver("call.1", "+46701234567", "Hello again.")
	for limit := time.Now().Add(30 * time.Second); w.loop.Health().Kind != crm.OtherAccount; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("health %+v", w.loop.Health())
		}
	}
	w.becomes("call.1", store.Pending)
	w.rolodex.mu.Lock()
	defer w.rolodex.mu.Unlock()
	if got := w.rolodex.cards["notes"]["notes-1"].Properties["text"]; got != "Goal Completed: Hello." {
		t.Errorf("the note is %q", got)
	}
}

// TestLostAnswers: a write whose answer was lost is not made twice.
func TestLostAnswers(t *testing.T) {
	w := newWorld(t, "right")
	w.rolodex.mu.Lock()
	w.rolodex.lose = 2 // to the person, then to the note
	w.rolodex.mu.Unlock()
	w.deliver("call.1", "+46701234567", "Hello.")
	w.becomes("call.1", store.Synced)
	w.holds(1, 1)
}

// TestRefusals: what Rolodex will never take fails that call alone, and a wrong
// token stops the destination rather than its calls.
func TestRefusals(t *testing.T) {
	w := newWorld(t, "right")
	w.deliver("call.bad", "+46701234567", string(slices.Repeat([]byte("x"), 2000)))
	w.deliver("call.good", "+46701234568", "Hello.")
	if s := w.becomes("call.bad", store.Failed); s.Problem == nil || s.Problem.Code != "TOO_LONG" || s.Problem.Hint == "" {
		t.Errorf("the problem is %+v", s.Problem)
	}
	w.becomes("call.good", store.Synced)

	w = newWorld(t, "wrong")
	w.deliver("call.1", "+46701234567", "Hello.")
	for limit := time.Now().Add(30 * time.Second); w.loop.Health().Phase != callsync.Blocked; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("%+v", w.loop.Health())
		}
	}
	w.becomes("call.1", store.Pending)
}
