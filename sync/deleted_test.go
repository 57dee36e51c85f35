package sync_test

import (
	"slices"
	"testing"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// What somebody deleted in the CRM stays deleted when its call is taken back and
// written again, whoever noticed the deletion first.
func TestDeletedStaysDeletedAfterUndo(t *testing.T) {
	for name, noticed := range map[string]bool{"noticed by a sync": true, "noticed by the undo": false} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x", "task", "other task")))
				w.settle()
				w.crm.remove(w.wantLive("tasks", 2)[0])
				if noticed {
					w.resync(store.Request{Force: true}, "c1")
				}
				w.crm.wrote()
				w.undo("c1")
				w.wantLive("tasks", 0)
				w.resync(store.Request{Redo: true}, "c1")
				w.wantLive("calls", 1)
				w.wantProp(w.wantLive("tasks", 1)[0], "subject", "other task")
				w.resync(store.Request{Recreate: true}, "c1")
				w.wantLive("tasks", 2)
			})
		})
	}
}

// What an undo archived without seeing the answer was not deleted by anybody: it
// comes back with the call.
func TestUndoTwiceAndBack(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x", "task")))
		w.settle()
		w.fault(func(op string) (error, bool) {
			if op == "write" {
				return &crm.Error{Kind: crm.Transient, Op: op, Message: "connection reset"}, true
			}
			return nil, false
		})
		if _, err := w.loop.Undo(w.t.Context(), "c1"); err != nil {
			t.Fatal(err)
		}
		w.wantLive("tasks", 0)
		w.fault(nil)
		if _, err := w.loop.Undo(w.t.Context(), "c1"); err != nil {
			t.Fatal(err)
		}
		w.resync(store.Request{Redo: true}, "c1")
		w.wantLive("calls", 1)
		w.wantLive("tasks", 1)
	})
}

// What somebody deleted in the CRM does not come back because a correction left
// it out and another has it again.
func TestDeletedStaysDeletedThroughCorrections(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x", "task")))
		w.settle()
		w.crm.remove(w.wantLive("tasks", 1)[0])
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x")))
		w.settle()
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("y", "task")))
		w.settle()
		w.wantStatus("c1", store.Synced)
		w.wantLive("tasks", 0)
		w.resync(store.Request{Recreate: true}, "c1")
		w.wantLive("tasks", 1)
	})
}

// A contact that somebody deleted is made anew with what is to be recreated, and
// the call's records are linked to it; a resync without that leaves it so.
func TestRecreateLooksForTheContact(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "first", "Ann", "callResult", result("x", "task")))
		w.settle()
		w.crm.remove(w.wantLive("contacts", 1)[0])
		w.resync(store.Request{}, "c1")
		w.wantLive("contacts", 0)
		w.resync(store.Request{Recreate: true}, "c1")
		w.wantStatus("c1", store.Synced)
		contact := w.wantLive("contacts", 1)
		w.wantProp(contact[0], "first", "Ann")
		for _, ref := range slices.Concat(w.wantLive("calls", 1), w.wantLive("tasks", 1)) {
			if got := w.crm.records[ref].links; !slices.Equal(got, contact) {
				t.Errorf("%s is linked to %v, want %v", ref, got, contact)
			}
		}
	})
}

// A correction brings back a contact who is gone, although nothing of it goes to
// them: what was delivered shall stand on somebody. It must not depend on whether
// another call of theirs is synced along with it.
func TestCorrectionNeedsItsContact(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x", "task")))
		w.settle()
		w.crm.remove(w.wantLive("contacts", 1)[0])
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("y", "task")))
		w.settle()
		w.wantStatus("c1", store.Synced)
		contact := w.wantLive("contacts", 1)
		for _, ref := range slices.Concat(w.wantLive("calls", 1), w.wantLive("tasks", 1)) {
			if got := w.crm.records[ref].links; !slices.Equal(got, contact) {
				t.Errorf("%s is linked to %v, want %v", ref, got, contact)
			}
		}
	})
}

// What was archived, or deleted and asked for again, is not taken for what an
// attempt to make it anew may have made, where the CRM still shows deleted records.
func TestReplacedIsNotTheAnswer(t *testing.T) {
	for name, again := range map[string]store.Request{"undone and redone": {Redo: true}, "recreated": {Recreate: true}} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.crm.deleted = true
				w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x", "task")))
				w.settle()
				for range 2 {
					if again.Redo {
						w.crm.wrote()
						w.undo("c1")
					} else {
						w.crm.remove(w.wantLive("tasks", 1)[0])
						w.crm.remove(w.wantLive("calls", 1)[0])
					}
					failed := 0
					w.crm.refuse = func(c crm.Change) error {
						if c.Op != crm.Create || c.Object == "contacts" || failed == 2 {
							return nil
						}
						failed++
						return &crm.Error{Kind: crm.Transient, Op: "create", Message: "refused"}
					}
					w.resync(again, "c1")
					w.settle()
					if failed < 2 {
						t.Fatal("nothing was attempted")
					}
					w.wantLive("calls", 1)
					w.wantLive("tasks", 1)
				}
			})
		})
	}
}

// A call was corrected to be somebody else's and taken back before that was
// synced, and the CRM refused a part. Written again, it leaves whom it was first
// with what callsync made them of.
func TestLeavingAfterHalfAnUndo(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "email", "ann@example.com", "first", "Ann", "score", "hot", "callResult", result("x")))
		w.settle()
		first := w.wantLive("contacts", 1)[0]
		if err := w.loop.Pause(w.t.Context(), "for the undo"); err != nil {
			t.Fatal(err)
		}
		w.deliver(call("c1", "phoneNumber", "+15551230002", "first", "Bob", "callResult", result("x")))
		w.crm.refuse = func(c crm.Change) error {
			if c.Op == crm.Update && c.Object == "contacts" {
				return &crm.Error{Kind: crm.Permanent, Op: "update", Code: "REQUIRED_FIELD_MISSING", Message: "refused"}
			}
			return nil
		}
		u, err := w.loop.Undo(w.t.Context(), "c1")
		if err != nil {
			t.Fatal(err)
		}
		if len(u.Left) == 0 {
			t.Fatal("nothing was refused")
		}
		w.crm.refuse = nil
		if err := w.loop.Unpause(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		w.resync(store.Request{Redo: true}, "c1")
		w.wantStatus("c1", store.Synced)
		w.wantLive("contacts", 2)
		w.wantProp(first, "phone", ann)
		w.wantProp(first, "email", "ann@example.com")
		w.wantProp(first, "first", "Ann")
		w.wantProp(first, "score", "") // always the calls' own
	})
}
