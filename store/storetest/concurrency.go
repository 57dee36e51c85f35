package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
)

var concurrencyTests = []test{
	{"fifty copies at once", testCopiesAtOnce},
	{"fifty corrections at once", testCorrectionsAtOnce},
	{"deliveries while a round is applied", testDeliverDuringApply},
	{"one write that fails leaves its neighbours alone", testFailingNeighbour},
	{"a cancelled write is whole or absent", testCancelled},
	{"readers and a backup among writers", testReadersAmongWriters},
	{"close in the middle of it", testCloseAmongWriters},
}

// together runs f n times at once and returns when all have.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-begin
			f(i)
		})
	}
	close(begin)
	wg.Wait()
}

func testCopiesAtOnce(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	const copies = 50
	receipts := make([]store.Receipt, copies)
	together(copies, func(i int) {
		var err error
		if receipts[i], err = f.Deliver(context.Background(), delivery("call", julian.Voicemail, "same", at(1))); err != nil {
			t.Error(err)
		}
	})
	count := make(map[store.Verdict]int)
	seqs := make(map[uint64]bool)
	for _, r := range receipts {
		count[r.Verdict]++
		seqs[r.Seq] = true
		if r.Revision != 1 {
			t.Errorf("revision %d, want 1", r.Revision)
		}
	}
	same(t, "verdicts", count, map[store.Verdict]int{store.Accepted: 1, store.Duplicate: copies - 1})
	if len(seqs) != copies {
		t.Errorf("%d different seqs, want %d", len(seqs), copies)
	}
	if s := f.load("hubspot", "call").State; s.Wanted != 1 {
		t.Errorf("wanted %d times, want once", s.Wanted)
	}
	if n := len(f.deliveries(store.DeliveryFilter{CallID: "call"})); n != copies {
		t.Errorf("%d deliveries in the log, want %d", n, copies)
	}
}

func testCorrectionsAtOnce(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	const n = 50
	revisions := make([]int, n)
	together(n, func(i int) {
		r, err := f.Deliver(context.Background(), delivery("call", julian.Voicemail, fmt.Sprint("text ", i), at(i)))
		if err != nil {
			t.Error(err)
		}
		revisions[i] = r.Revision
	})
	got, err := f.Revisions(f.ctx(), "call")
	f.ok(err)
	if len(got) != n {
		t.Fatalf("%d revisions, want %d", len(got), n)
	}
	for i, revision := range revisions {
		want := delivery("call", julian.Voicemail, fmt.Sprint("text ", i), at(i))
		if r := got[revision-1]; r.N != revision || r.Hash != want.Hash || string(r.Body) != string(want.Body) {
			t.Errorf("revision %d is not what was answered with that number", revision)
		}
	}
	if s := f.load("hubspot", "call").State; s.Wanted != n {
		t.Errorf("wanted %d times, want %d", s.Wanted, n)
	}
}

// testDeliverDuringApply runs the race the Wanted and Done counters are for: no
// correction may be taken for served that came in after a round had loaded.
func testDeliverDuringApply(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	const corrections = 200
	f.accepted("call", at(0))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			works, err := f.Load(context.Background(), "hubspot", []string{"call"})
			if err != nil || len(works) != 1 {
				t.Errorf("Load: %d calls, %v", len(works), err)
				return
			}
			s := works[0].State
			s.Status, s.Done, s.Next, s.Revision = store.Synced, s.Wanted, time.Time{}, works[0].Call.Revision
			if err := f.Apply(context.Background(), "hubspot", store.Update{States: map[string]store.State{"call": s}}); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	for i := range corrections {
		f.deliver(delivery("call", julian.Voicemail, fmt.Sprint("text ", i), at(i)))
		w := f.load("hubspot", "call")
		due := len(f.due("hubspot", at(corrections))) == 1
		if w.State.Status == store.Synced && w.State.Revision < w.Call.Revision {
			t.Errorf("correction %d: synced at revision %d of %d", i, w.State.Revision, w.Call.Revision)
		}
		if !due && f.load("hubspot", "call").State.Revision < w.Call.Revision {
			t.Errorf("correction %d: not synced and not due", i)
		}
	}
	close(stop)
	wg.Wait()
	f.finish("hubspot", "call", at(corrections))
	if s := f.load("hubspot", "call").State; s.Wanted != corrections+1 || s.Done != s.Wanted {
		t.Errorf("wanted %d, done %d; want %d of both", s.Wanted, s.Done, corrections+1)
	}
}

func testFailingNeighbour(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	const n = 60
	long := string(make([]byte, 1<<20)) // more than most stores take as a name
	together(n, func(i int) {
		if i%10 == 5 {
			if err := f.Set(context.Background(), long, "value"); errors.Is(err, store.ErrUnavailable) {
				t.Errorf("an impossible name: %v, which asks to try again", err)
			}
			return
		}
		r, err := f.Deliver(context.Background(), delivery(fmt.Sprint("call ", i), julian.Busy, "x", at(i)))
		if err != nil || r.Verdict != store.Accepted {
			t.Errorf("delivery %d: %s, %v", i, r.Verdict, err)
		}
	})
	s := f.stats()
	if s.Calls != n*9/10 || s.Destinations["hubspot"][store.Pending] != n*9/10 || s.Deliveries[store.Accepted] != n*9/10 {
		t.Errorf("after a failing neighbour: %+v, want %d of each", s, n*9/10)
	}
}

func testCancelled(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	const n = 100
	answered := make([]bool, n)
	together(n, func(i int) {
		ctx, cancel := context.WithCancel(context.Background())
		if i%2 == 0 {
			go cancel()
		}
		defer cancel()
		_, err := f.Deliver(ctx, delivery(fmt.Sprint("call ", i), julian.Busy, "x", at(i)))
		answered[i] = err == nil
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	kept := make(map[string]bool)
	for _, id := range f.callIDs(store.CallFilter{}) {
		kept[id] = true
	}
	for i := range n {
		id := fmt.Sprint("call ", i)
		if kept[id] != answered[i] {
			t.Errorf("%s: acknowledged %v, kept %v", id, answered[i], kept[id])
		}
		if i%2 == 1 && !answered[i] {
			t.Errorf("%s was not cancelled and not acknowledged", id)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := f.Deliver(ctx, delivery("late", julian.Busy, "x", at(0))); !errors.Is(err, context.Canceled) {
		t.Errorf("Deliver with a context that is over: %v", err)
	}
}

func testReadersAmongWriters(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	f.fill(300)
	together(8, func(i int) {
		for k := range 40 {
			switch i {
			case 0, 1, 2:
				if _, err := f.Deliver(context.Background(), delivery(fmt.Sprint("w", i, " ", k), julian.Busy, "x", at(k))); err != nil {
					t.Error(err)
				}
			case 3:
				if k%10 == 0 {
					if err := f.Backup(context.Background(), io.Discard); err != nil {
						t.Error(err)
					}
				}
			case 4:
				n := 0
				for _, err := range f.Calls(context.Background(), store.CallFilter{Limit: 250}) {
					if err != nil {
						t.Error(err)
					}
					n++
				}
				if n != 250 {
					t.Errorf("%d calls listed, want 250", n)
				}
			case 5:
				s, err := f.Stats(context.Background())
				if err != nil || s.Calls < 300 || s.Calls != s.Deliveries[store.Accepted] {
					t.Errorf("stats: %+v, %v", s, err)
				}
			default:
				if _, err := f.Due(context.Background(), "hubspot", at(1000), 100); err != nil {
					t.Error(err)
				}
			}
		}
	})
	if got := f.stats().Calls; got != 300+3*40 {
		t.Errorf("%d calls, want %d", got, 300+3*40)
	}
}

func testCloseAmongWriters(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	together(60, func(i int) {
		if i == 30 {
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			return
		}
		_, err := f.Deliver(context.Background(), delivery(fmt.Sprint("call ", i), julian.Busy, "x", at(i)))
		if err != nil && !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Deliver during Close: %v, want ErrUnavailable", err)
		}
	})
}
