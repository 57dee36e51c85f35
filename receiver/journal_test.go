package receiver_test

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/callsync/callsync/receiver"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/store/bolt"
)

func openJournal(t testing.TB) *bolt.Journal {
	t.Helper()
	j, err := bolt.Open(filepath.Join(t.TempDir(), "callsync.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return j
}

func log(t *testing.T, j store.Reader) []store.Delivery {
	t.Helper()
	var rows []store.Delivery
	for d, err := range j.Deliveries(t.Context(), store.DeliveryFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, d)
	}
	return rows
}

func TestVerdicts(t *testing.T) {
	j := openJournal(t)
	url, _ := serve(t, j, receiver.Options{}, receiver.Timeouts{})
	steps := []struct{ body, want string }{
		{`{"callId":"c","callResult":{"resultType":"Processing Analysis"}}`, "accepted"},
		{`{"callId":"c","callResult":{"resultType":"Busy"},"duration":1}`, "revised"},
		{` { "duration": 1.0, "callResult": {"resultType":"\u0042usy"}, "callId": "c" } `, "duplicate"},
		{`{"callId":"c","callResult":{"resultType":"Busy"},"duration":2}`, "revised"},
		{`{"callId":"c","callResult":{"resultType":"Busy"},"duration":1}`, "stale"},
		{`{"callId":"c","callResult":{"resultType":"Calling"}}`, "stale"},
		{`{"callId":"d","callResult":{"resultType":"Busy"},"duration":1}`, "accepted"},
	}
	for _, s := range steps {
		if got := send(t, post(t, url, s.body)); got.code != 200 || got.Status != s.want {
			t.Errorf("%s is answered %+v, want %s", s.body, got, s.want)
		}
	}
	if got := send(t, post(t, url, `{"callId":`)); got.code != 400 {
		t.Errorf("answered %+v", got)
	}
	rows := log(t, j)
	if len(rows) != len(steps)+1 {
		t.Fatalf("%d rows in the delivery log", len(rows))
	}
	if first := rows[0]; first.Verdict != store.Rejected || first.Status != 400 || first.Size != 10 || first.Reason == "" {
		t.Errorf("the malformed delivery is logged as %+v", first)
	}
	for i, s := range steps {
		if got := rows[len(rows)-1-i]; string(got.Verdict) != s.want || got.Status != 200 {
			t.Errorf("%s is logged as %+v", s.body, got)
		}
	}
}

func TestFiftyCopiesAtOnce(t *testing.T) {
	j := openJournal(t)
	url, _ := serve(t, j, receiver.Options{}, receiver.Timeouts{})
	var mu sync.Mutex
	got := map[string]int{}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			r := send(t, post(t, url, `{"callId":"c","callResult":{"resultType":"Busy"}}`))
			mu.Lock()
			defer mu.Unlock()
			got[r.Status]++
		})
	}
	wg.Wait()
	if got["accepted"] != 1 || got["duplicate"] != 49 {
		t.Errorf("answered %v", got)
	}
	revisions, err := j.Revisions(t.Context(), "c")
	if err != nil || len(revisions) != 1 {
		t.Errorf("%d revisions, %v", len(revisions), err)
	}
	if rows := log(t, j); len(rows) != 50 {
		t.Errorf("%d rows in the delivery log", len(rows))
	}
}

// What was acknowledged is there after the journal is opened again.
func TestClosedJournalAnswers503(t *testing.T) {
	path := filepath.Join(t.TempDir(), "callsync.db")
	j, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	url, _ := serve(t, j, receiver.Options{}, receiver.Timeouts{})
	if got := send(t, post(t, url, `{"callId":"kept"}`)); got.code != 200 {
		t.Fatalf("answered %+v", got)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if got := send(t, post(t, url, `{"callId":"lost"}`)); got.code != 503 {
		t.Errorf("answered %+v", got)
	}
	again, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := again.Call(t.Context(), "kept"); err != nil {
		t.Errorf("the acknowledged call: %v", err)
	}
	if _, err := again.Call(t.Context(), "lost"); err == nil {
		t.Error("the refused call is there")
	}
}
