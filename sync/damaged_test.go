package sync_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/callsync/callsync/crm"
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
		w.damage("body", func(k []byte) bool { return bytes.Equal(k, []byte{0, 0, 0, 0, 0, 0, 0, 1}) })
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

// An earlier revision that has decayed holds up no call: not its own, be that written
// for the first time or moved to somebody else, and no other.
func TestDamagedRevisionStopsNoOther(t *testing.T) {
	for name, written := range map[string]bool{"not written yet": false, "written": true} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				pause := func() {
					if err := w.loop.Pause(w.t.Context(), "maintenance"); err != nil {
						t.Fatal(err)
					}
				}
				if !written {
					pause()
				}
				w.deliver(call("c1", "phoneNumber", bob, "callResult", result("x", "offer")))
				if written {
					w.settle()
					pause()
				}
				w.deliver(call("c1", "phoneNumber", ann, "callResult", result("y", "offer", "invite")))
				w.deliver(call("c2", "phoneNumber", bob, "callResult", result("fine")))
				w.stop()
				w.damage("body", func(k []byte) bool { return bytes.Equal(k, []byte{0, 0, 0, 0, 0, 0, 0, 1}) })
				w.start()
				if err := w.loop.Unpause(w.t.Context()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				w.wantStatus("c1", store.Synced)
				w.wantStatus("c2", store.Synced)
				w.wantLive("tasks", 2)
			})
		})
	}
}

// Who a number belongs to is asked again when the journal's note of it has decayed,
// and what was applied to them compared; nobody is created twice.
func TestDamagedPersonStopsNoOther(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "first", "Ann", "score", "1", "callResult", result("x")))
		w.settle()
		w.stop()
		w.damage("identity", func([]byte) bool { return true })
		w.damage("person", func([]byte) bool { return true })
		w.start()
		w.deliver(call("c2", "phoneNumber", ann, "first", "Ann", "score", "2", "callResult", result("y")))
		w.deliver(call("c3", "phoneNumber", bob, "callResult", result("z")))
		time.Sleep(time.Hour)
		for _, id := range []string{"c1", "c2", "c3"} {
			w.wantStatus(id, store.Synced)
		}
		people := w.wantLive("contacts", 2)
		i := slices.IndexFunc(people, func(ref crm.Ref) bool { return w.crm.props(ref)["phone"] == ann })
		w.wantProp(people[i], "score", "2")
	})
}

// damage makes values of a bucket unreadable.
func (w *world) damage(bucket string, which func(k []byte) bool) {
	w.t.Helper()
	if err := w.journal.Close(); err != nil {
		w.t.Fatal(err)
	}
	db, err := bbolt.Open(w.path, 0o600, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		torn := map[string][]byte{}
		err := tx.Bucket([]byte(bucket)).ForEach(func(k, value []byte) error {
			if which(k) {
				torn[string(k)] = bytes.Clone(value)
			}
			return nil
		})
		for k, value := range torn {
			value[0] = 77
			err = errors.Join(err, tx.Bucket([]byte(bucket)).Put([]byte(k), value))
		}
		return err
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
