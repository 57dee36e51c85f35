package bolt

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/callsync/callsync/store"
)

// Calls are delivered, corrected, repeated, synced, asked for and erased, while the
// journal is packed and compacted often enough, and commits fail now and then, before they are
// on disk and after. Each worker has calls of its own, and knows what must be kept
// of them.
func TestPackingAmidWrites(t *testing.T) {
	var failing atomic.Bool
	var commits atomic.Int64
	j := openPath(t, filepath.Join(t.TempDir(), "callsync.db"), Options{bundle: 4000, commit: func(tx *bbolt.Tx) error {
		n := commits.Add(1)
		switch {
		case failing.Load() && n%40 == 0:
			return errors.Join(errors.New("before it is on disk"), tx.Rollback())
		case failing.Load() && n%40 == 20:
			return errors.Join(errors.New("after it is on disk"), tx.Commit())
		}
		return tx.Commit()
	}})
	if err := j.Enroll(t.Context(), []string{"hubspot"}); err != nil {
		t.Fatal(err)
	}
	failing.Store(true)

	upkeep, stop := context.WithCancel(t.Context())
	var behind, ahead sync.WaitGroup
	var packed, compacted atomic.Int64
	behind.Go(func() {
		var from []byte
		for upkeep.Err() == nil {
			out, err := j.Pack(upkeep, time.Now().Add(time.Hour), from)
			if err == nil {
				from = out.Next
				packed.Add(int64(out.Calls))
			}
		}
	})
	behind.Go(func() {
		for upkeep.Err() == nil {
			if _, _, err := j.Compact(upkeep); err == nil {
				compacted.Add(1)
			}
		}
	})
	for n := range 4 {
		ahead.Go(func() {
			w := packWorker{t: t, j: j, name: fmt.Sprint("worker", n), rand: rand.New(rand.NewPCG(uint64(n), 1)), kept: map[string]*keptCall{}}
			for i := 0; i < 250 || (packed.Load() < 50 || compacted.Load() == 0) && !t.Failed(); i++ {
				w.step()
			}
		})
	}
	ahead.Wait()
	stop()
	behind.Wait()
	failing.Store(false)
	for i := range 2 { // both head pages are whole then
		if err := j.Set(t.Context(), "name", fmt.Sprint(i)); err != nil {
			t.Error(err)
		}
	}
}

type packWorker struct {
	t    *testing.T
	j    *Journal
	name string
	rand *rand.Rand
	kept map[string]*keptCall
}

type keptCall struct {
	bodies     []string
	deliveries int
	wanted     int64
}

// step writes something about one call, and looks at what is kept of it. A write
// that fails must have done nothing.
func (w *packWorker) step() {
	ctx, id := w.t.Context(), fmt.Sprint(w.name, " ", w.rand.IntN(30))
	k := w.kept[id]
	switch n := w.rand.IntN(20); {
	case n < 5 || k == nil:
		want := store.Revised
		if k == nil {
			k, want = &keptCall{}, store.Accepted
		}
		body := fmt.Sprint(id, " ", w.rand.Uint64())
		if w.deliver(id, body, want) {
			k.bodies, k.deliveries, k.wanted = append(k.bodies, body), k.deliveries+1, k.wanted+1
			w.kept[id] = k
		}
	case n < 9:
		if w.deliver(id, k.bodies[len(k.bodies)-1], store.Duplicate) {
			k.deliveries++
		}
	case n < 16:
		s := store.State{Status: store.Synced, Wanted: k.wanted, Done: k.wanted}
		w.done(w.j.Apply(ctx, "hubspot", store.Update{States: map[string]store.State{id: s}}))
	case n < 18:
		if _, err := w.j.Request(ctx, "hubspot", []string{id}, store.Request{}); w.done(err) {
			k.wanted++
		}
	default:
		out, err := w.j.Erase(ctx, store.Erasure{Calls: []string{id}})
		if want := (store.Erased{Calls: 1, Bodies: len(k.bodies), Deliveries: k.deliveries, States: 1}); w.done(err) {
			if out != want {
				w.t.Errorf("erased %+v of %s, want %+v", out, id, want)
			}
			delete(w.kept, id)
		}
	}
	w.check(id)
}

func (w *packWorker) deliver(id, body string, want store.Verdict) bool {
	r, err := w.j.Deliver(w.t.Context(), testDelivery(id, []byte(body)))
	if !w.done(err) {
		return false
	}
	if r.Verdict != want {
		w.t.Errorf("%s was %s, want %s", id, r.Verdict, want)
	}
	return true
}

// done reports whether a write was made; it may only have failed with its commit.
func (w *packWorker) done(err error) bool {
	if err != nil && !errors.Is(err, store.ErrUnavailable) {
		w.t.Error(err)
	}
	return err == nil
}

func (w *packWorker) check(id string) {
	works, err := w.j.View(w.t.Context(), id)
	k := w.kept[id]
	if k == nil {
		if !errors.Is(err, store.ErrNotFound) {
			w.t.Errorf("%s, of which nothing is kept: %v", id, err)
		}
		return
	}
	if err != nil {
		w.t.Errorf("%s: %v", id, err)
		return
	}
	got := works[0]
	if string(got.Body) != k.bodies[len(k.bodies)-1] || got.Call.Revision != len(k.bodies) || got.State.Wanted != k.wanted {
		w.t.Errorf("%s: body %q, revision %d, wanted %d; want %+v", id, got.Body, got.Call.Revision, got.State.Wanted, k)
	}
	n := 0
	for _, err := range w.j.Deliveries(w.t.Context(), store.DeliveryFilter{CallID: id}) {
		if err != nil {
			w.t.Errorf("%s: %v", id, err)
		}
		n++
	}
	if n != k.deliveries {
		w.t.Errorf("%s: %d deliveries, want %d", id, n, k.deliveries)
	}
}
