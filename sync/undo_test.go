package sync_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
	callsync "github.com/callsync/callsync/sync"
)

// undo takes a call back and fails unless what is left is as expected: "record
// property: part of the reason", joined with "; ".
func (w *world) undo(id string, left ...string) *callsync.Undo {
	w.t.Helper()
	plan, err := w.loop.PlanUndo(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	if got := w.crm.wrote(); len(got) > 0 {
		w.t.Fatalf("the plan of an undo wrote %v", got)
	}
	u, err := w.loop.Undo(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, got := range [][]callsync.Remainder{plan.Left, u.Left} {
		if len(got) != len(left) {
			w.t.Fatalf("left %+v, want %q", got, left)
		}
		for i, want := range left {
			name, why, _ := strings.Cut(want, ": ")
			if have := strings.TrimSpace(got[i].Record + " " + got[i].Property); have != name || !strings.Contains(got[i].Why, why) {
				w.t.Errorf("left %s: %s, want %s", have, got[i].Why, want)
			}
		}
	}
	w.wantStatus(id, store.Skipped)
	return u
}

func TestUndoTakesBackWhatTheCallCreated(t *testing.T) {
	inWorld(t, func(w *world) {
		p := call("c1", "phoneNumber", ann, "first", "Ann", "callResult", result("hello", "send offer"))
		w.deliver(p)
		w.settle()
		w.crm.wrote()
		u := w.undo("c1")
		if !u.Undone || u.Person.Op != crm.Archive || len(u.Records) != 2 {
			t.Errorf("undone: %+v", u)
		}
		nothing := func(when string) {
			t.Helper()
			w.settle()
			for _, object := range []string{"contacts", "calls", "tasks"} {
				if refs := w.crm.live(object); len(refs) > 0 {
					t.Errorf("%s the CRM holds %v", when, refs)
				}
			}
			w.wantStatus("c1", store.Skipped)
		}
		nothing("after the undo")
		w.resync(store.Request{Lane: store.Replay}, "c1")
		nothing("after a bulk resync")
		p["callResult"] = result("hello, corrected", "send offer")
		w.deliver(p)
		nothing("after a correction")
		if plan, err := w.loop.Plan(w.t.Context(), w.works("c1")); err != nil || plan[0].Writes() || plan[0].Status != store.Skipped {
			t.Errorf("plan of an undone call: %+v, %v", plan, err)
		}
		w.crm.wrote()
		if w.undo("c1"); len(w.crm.wrote()) > 0 {
			t.Error("a second undo wrote something")
		}

		w.resync(store.Request{Redo: true}, "c1")
		w.wantStatus("c1", store.Synced)
		contact := w.wantLive("contacts", 1)[0]
		w.wantProp(contact, "first", "Ann")
		w.wantProp(w.wantLive("calls", 1)[0], "body", "hello, corrected")
		w.wantLive("tasks", 1)
		if s := w.state("c1"); !s.Undone.IsZero() || s.Redo {
			t.Errorf("state after the redo: %+v", s)
		}
	})
}

func TestUndoGivesBackWhatStoodBefore(t *testing.T) {
	inWorld(t, func(w *world) {
		old := crm.Ref{Object: "contacts", ID: "900"}
		w.crm.records[old] = &fakeRecord{props: map[string]string{"email": "ann@example.com", "score": "cold", "title": "CTO"}}
		w.deliver(call("c1", "email", "ann@example.com", "phoneNumber", ann, "first", "Ann", "title", "CEO", "score", "hot", "callResult", result("x")))
		w.settle()
		w.wantProp(old, "score", "hot")
		w.wantProp(old, "first", "Ann")
		w.crm.wrote()
		w.undo("c1", "contact phone: found by it")
		if w.crm.records[old].gone {
			t.Fatal("a contact that callsync did not create was archived")
		}
		w.wantProp(old, "score", "cold")
		w.wantProp(old, "first", "")
		w.wantProp(old, "title", "CTO")
		w.wantProp(old, "email", "ann@example.com")
		w.wantLive("calls", 0)

		w.resync(store.Request{Redo: true}, "c1")
		w.wantProp(old, "score", "hot")
		w.wantProp(old, "first", "Ann")
		w.wantLive("calls", 1)
	})
}

func TestUndoKnowsWhatAnAlwaysWrittenValueReplaced(t *testing.T) {
	inWorld(t, func(w *world) {
		old := crm.Ref{Object: "contacts", ID: "900"}
		w.crm.records[old] = &fakeRecord{props: map[string]string{"email": "ann@example.com", "score": "cold"}}
		w.deliver(call("c1", "email", "ann@example.com", "callResult", result("x")))
		w.settle()
		// Now the email is settled, and only what the score replaces is read.
		w.deliver(call("c2", "email", "ann@example.com", "score", "hot", "callResult", result("x")))
		w.settle()
		w.wantProp(old, "score", "hot")
		w.crm.wrote()
		w.undo("c2")
		w.wantProp(old, "score", "cold")
	})
}

func TestUndoFallsBackToOtherCalls(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(
			call("c1", "phoneNumber", ann, "first", "Ann", "score", "warm", "scheduledAt", "2025-01-01T00:00:00Z", "callResult", result("one")),
			call("c2", "phoneNumber", ann, "first", "Anna", "score", "hot", "title", "CEO", "scheduledAt", "2025-01-02T00:00:00Z", "callResult", result("two")))
		w.settle()
		contact := w.wantLive("contacts", 1)[0]
		w.wantProp(contact, "score", "hot")
		w.crm.wrote()
		w.undo("c2")
		w.wantProp(contact, "score", "warm")
		w.wantProp(contact, "title", "")
		w.wantLive("contacts", 1)
		w.wantProp(w.wantLive("calls", 1)[0], "body", "one")
		w.resync(store.Request{Redo: true}, "c2")
		w.wantProp(contact, "score", "hot")

		// The contact was created for the first call; the second one keeps it.
		w.crm.wrote()
		w.undo("c1", "contact: call c2 belongs to it, too")
		w.wantProp(w.wantLive("contacts", 1)[0], "score", "hot")
		w.wantProp(contact, "phone", ann)
		w.wantProp(w.wantLive("calls", 1)[0], "body", "two")
	})
}

func TestUndoKeepsWhatPeopleDid(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "first", "Ann", "score", "hot", "callResult", result("x", "send offer")))
		w.settle()
		contact, task := w.wantLive("contacts", 1)[0], w.wantLive("tasks", 1)[0]
		w.crm.edit(contact, "score", "theirs")
		w.crm.edit(task, "subject", "theirs")
		w.crm.wrote()
		u := w.undo("c1", "contact: a person changed it", "contact phone: found by it", "contact score: a person changed it")
		w.wantLive("contacts", 1)
		w.wantProp(contact, "score", "theirs")
		w.wantProp(contact, "first", "")
		w.wantLive("calls", 0)
		if len(u.Warnings) != 1 || !strings.Contains(u.Warnings[0], "c1#action/0: a person changed subject") {
			t.Errorf("warnings %q", u.Warnings)
		}
	})
}

func TestUndoLeavesAContactThatChangedLater(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x")))
		w.settle()
		contact := w.wantLive("contacts", 1)[0]
		time.Sleep(time.Hour)
		w.crm.records[contact].at = time.Now() // a property that callsync does not know
		w.crm.wrote()
		w.undo("c1", "contact: it was changed on", "contact phone: found by it")
		w.wantLive("contacts", 1)
	})
}

func TestUndoLeavesMergedPeople(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "score", "hot", "callResult", result("x")))
		w.settle()
		contact := w.wantLive("contacts", 1)[0]
		survivor := crm.Ref{Object: "contacts", ID: "901"}
		w.crm.records[survivor] = &fakeRecord{props: map[string]string{"score": "hot"}}
		w.crm.records[contact].mergedTo = survivor
		w.crm.wrote()
		w.undo("c1", "contact: merged into contacts/901")
		w.wantProp(survivor, "score", "hot")
	})
}

func TestUndoGoesOnAfterFailure(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x", "send offer")))
		w.settle()
		w.crm.refuse = func(c crm.Change) error {
			if c.Op == crm.Archive && c.Object == "tasks" {
				return &crm.Error{Kind: crm.Permanent, Op: "archive", Message: "locked"}
			}
			return nil
		}
		u, err := w.loop.Undo(w.t.Context(), "c1")
		if err != nil {
			t.Fatal(err)
		}
		if len(u.Left) != 2 || u.Left[0].Record != "c1#action/0" {
			t.Errorf("left: %+v", u.Left)
		}
		w.wantLive("calls", 0)
		w.wantLive("contacts", 1)
		if s := w.state("c1"); s.Status != store.Skipped || !strings.Contains(s.Reason, "in part") || s.Problem == nil {
			t.Errorf("state: %+v", s)
		}
		w.settle()
		w.wantLive("calls", 0)
		w.crm.refuse = nil
		w.crm.wrote()
		w.undo("c1")
		w.wantLive("tasks", 0)
		w.wantLive("contacts", 0)
		if s := w.state("c1"); s.Problem != nil || s.Person != nil {
			t.Errorf("state: %+v", s)
		}
	})
}

// Wherever the process dies in the midst of an undo, the loop does not write the
// call again, and another undo completes it.
func TestUndoSurvivesCrashes(t *testing.T) {
	for n := range int64(5) {
		inWorld(t, func(w *world) {
			w.deliver(call("c0", "phoneNumber", ann, "score", "warm", "scheduledAt", "2024-01-01T00:00:00Z", "callResult", result("zero")))
			w.deliver(call("c1", "phoneNumber", ann, "score", "hot", "callResult", result("x", "a")))
			w.settle()
			contact := w.wantLive("contacts", 1)[0]
			w.journal.dieIn.Store(n)
			_, err := w.loop.Undo(w.t.Context(), "c1")
			if n == 0 && !errors.Is(err, errDied) {
				t.Errorf("the journal died, the undo says %v", err)
			}
			w.crash(0)
			w.settle()
			if err == nil || n > 0 {
				w.wantLive("calls", 1)
			}
			if _, err := w.loop.Undo(w.t.Context(), "c1"); err != nil {
				t.Fatal(err)
			}
			w.settle()
			w.wantLive("calls", 1)
			w.wantLive("tasks", 0)
			w.wantProp(contact, "score", "warm")
			w.resync(store.Request{Redo: true}, "c1")
			w.wantLive("calls", 2)
			w.wantProp(contact, "score", "hot")
		})
	}
}

// An undo waits for the round that is under way.
func TestUndoWaitsForTheRound(t *testing.T) {
	inWorld(t, func(w *world) {
		p := call("c1", "phoneNumber", ann, "callResult", result("x"))
		w.deliver(p)
		w.settle()
		undone := make(chan error, 1)
		begun := false
		w.crm.mu.Lock()
		w.crm.fault = func(op string) (error, bool) {
			if op == "write" && !begun {
				begun = true
				go func() { _, err := w.loop.Undo(w.t.Context(), "c1"); undone <- err }()
				time.Sleep(time.Minute)
			}
			return nil, false
		}
		w.crm.mu.Unlock()
		p["callResult"] = result("corrected", "an action")
		w.deliver(p)
		synctest.Wait()
		if err := <-undone; err != nil {
			t.Fatal(err)
		}
		w.settle()
		w.wantLive("calls", 0)
		w.wantLive("tasks", 0)
		w.wantLive("contacts", 0)
	})
}

func TestUndoRefuses(t *testing.T) {
	inWorld(t, func(w *world) {
		if _, err := w.loop.Undo(w.t.Context(), "nobody"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("an unknown call: %v", err)
		}
		w.crm.lag, w.crm.unique = time.Hour, false
		w.crm.mu.Lock()
		w.crm.fault = func(op string) (error, bool) {
			if op == "write" {
				return &crm.Error{Kind: crm.Transient, Op: op, Message: "reset"}, true
			}
			return nil, false
		}
		w.crm.mu.Unlock()
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x")))
		time.Sleep(time.Minute)
		if _, err := w.loop.Undo(w.t.Context(), "c1"); !errors.Is(err, callsync.ErrUndoLater) {
			t.Errorf("while the contact may be under creation: %v", err)
		}
		w.crm.mu.Lock()
		w.crm.fault = nil
		w.crm.mu.Unlock()
		w.settle()
		w.crm.wrote()
		w.undo("c1")
		w.wantLive("contacts", 0)
		w.deliver(call("c2", "skip", "policy", "callResult", result("x")))
		w.settle()
		if _, err := w.loop.Undo(w.t.Context(), "c2"); err != nil {
			t.Errorf("nothing to undo: %v", err)
		}
		if s := w.state("c2"); !s.Undone.IsZero() {
			t.Errorf("state of a call that never was in the CRM: %+v", s)
		}
	})
}

// A mapping that fails for the call keeps nobody from taking it back, but then it
// is not known by what the contact is found.
func TestUndoWithoutAMapping(t *testing.T) {
	inWorld(t, func(w *world) {
		p := call("c1", "phoneNumber", ann, "first", "Ann", "callResult", result("x"))
		w.deliver(p)
		w.settle()
		contact := w.wantLive("contacts", 1)[0]
		p["broken"] = "yes"
		w.deliver(p)
		w.settle()
		w.wantStatus("c1", store.Failed)
		w.crm.wrote()
		w.undo("c1", "contact: not known since when", "contact first: may be found by it", "contact phone: may be found by it")
		w.wantProp(contact, "phone", ann)
		w.wantLive("calls", 0)
	})
}

func (w *world) works(ids ...string) []store.Work {
	w.t.Helper()
	works, err := w.journal.Load(w.t.Context(), dest, ids)
	if err != nil {
		w.t.Fatal(err)
	}
	return works
}
