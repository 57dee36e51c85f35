package sync_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/callsync/callsync/store"
)

// A call whose payload has decayed on the disk fails, and no other waits for it. The
// same delivered again, or imported from a backup's export, makes it whole.
func TestDamagedCallStopsNoOther(t *testing.T) {
	inWorld(t, func(w *world) {
		if err := w.loop.Pause(w.t.Context(), "maintenance"); err != nil {
			t.Fatal(err)
		}
		bad := call("bad", "phoneNumber", ann, "callResult", result("decayed"))
		w.deliver(bad)
		for _, id := range []string{"c1", "c2", "c3"} {
			w.deliver(call(id, "phoneNumber", bob, "callResult", result("fine")))
		}
		w.stop()
		w.damage(1)
		w.start()
		if err := w.loop.Unpause(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		for _, id := range []string{"c1", "c2", "c3"} {
			w.wantStatus(id, store.Synced)
		}
		if s := w.state("bad"); s.Status != store.Failed || s.Problem == nil || s.Problem.Hint == "" {
			t.Errorf("the damaged call is %s, %+v", s.Status, s.Problem)
		}
		if _, err := w.loop.Undo(w.t.Context(), "bad"); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("its undo: %v", err)
		}
		plans, err := w.loop.Plan(w.t.Context(), w.load("bad"))
		if err != nil || plans[0].Status != store.Failed {
			t.Errorf("its plan: %+v, %v", plans, err)
		}
		w.resync(store.Request{Lane: store.Live}, "bad")
		w.wantStatus("bad", store.Failed)
		w.deliver(bad)
		w.settle()
		w.wantStatus("bad", store.Synced)
		w.wantLive("calls", 4)
	})
}

// damage makes the body unreadable that a delivery brought, by its number.
func (w *world) damage(seq byte) {
	w.t.Helper()
	if err := w.journal.Close(); err != nil {
		w.t.Fatal(err)
	}
	db, err := bbolt.Open(w.path, 0o600, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, k := tx.Bucket([]byte("body")), []byte{0, 0, 0, 0, 0, 0, 0, seq}
		torn := bytes.Clone(b.Get(k))
		torn[len(torn)/2] ^= 0x55
		return b.Put(k, torn)
	})
	if err := errors.Join(err, db.Close()); err != nil {
		w.t.Fatal(err)
	}
	w.open()
}

func (w *world) load(id string) []store.Work {
	w.t.Helper()
	works, err := w.journal.Load(w.t.Context(), dest, []string{id})
	if err != nil {
		w.t.Fatal(err)
	}
	return works
}
