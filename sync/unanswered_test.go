package sync_test

import (
	"testing"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// faults makes writes fail, the nth as the nth of fates says: "" lets it pass,
// "before" and "after" are said of the commit.
func (w *world) faults(fates ...string) {
	n := 0
	w.crm.mu.Lock()
	defer w.crm.mu.Unlock()
	w.crm.fault = func(op string) (error, bool) {
		if op != "write" || n >= len(fates) {
			return nil, false
		}
		fate := fates[n]
		n++
		if fate == "" {
			return nil, false
		}
		return &crm.Error{Kind: crm.Transient, Op: op, Status: 502}, fate == "after"
	}
}

// Of several requests without an answer the CRM may have taken any: whichever it
// was, callsync knows its own value again, and the newest wins.
func TestSeveralUnansweredWrites(t *testing.T) {
	for name, fates := range map[string][]string{
		"a creation, then an update that fails":  {"", "after", "before"},
		"a creation, then two updates that fail": {"", "after", "before", "before"},
		"two updates, the first taken":           {"", "", "after", "before"},
		"three updates, the second taken":        {"", "", "before", "after", "before"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.faults(fates...)
				for _, note := range []string{"A", "B", "C", "D"} {
					w.deliver(call("c1", "phoneNumber", ann, "note", note, "callResult", result("x")))
					time.Sleep(100 * time.Millisecond) // for one attempt
				}
				w.settle()
				w.wantStatus("c1", store.Synced)
				w.wantProp(w.wantLive("calls", 1)[0], "note", "D")
			})
		})
	}
}

// The CRM carries out a creation only after callsync, started again, did not find
// it, corrected the record and was told that it exists.
func TestCreationTakenLate(t *testing.T) {
	inWorld(t, func(w *world) {
		w.faults("", "before")
		late := false
		w.crm.mu.Lock()
		w.crm.refuse = func(c crm.Change) error {
			if c.Object == "calls" && c.Op == crm.Create && !late {
				late = true
				first := c
				first.Properties = map[string]crm.Value{"note": crm.Str("A"), "body": crm.Str("x")}
				w.crm.change(first)
			}
			return nil
		}
		w.crm.mu.Unlock()
		w.deliver(call("c1", "phoneNumber", ann, "note", "A", "callResult", result("x")))
		time.Sleep(100 * time.Millisecond)
		w.deliver(call("c1", "phoneNumber", ann, "note", "B", "callResult", result("x")))
		w.settle()
		w.wantProp(w.wantLive("calls", 1)[0], "note", "B")
	})
}

// A call is taken back, its task cannot be archived just then, and the corrected
// call yields the task no more: the archiving goes on once the call is back.
func TestArchivingGoesOnAfterAnUndo(t *testing.T) {
	for _, fate := range []string{"before", "after"} {
		t.Run(fate, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x", "send offer")))
				w.settle()
				w.faults(fate)
				if _, err := w.loop.Undo(w.t.Context(), "c1"); err != nil {
					t.Fatal(err)
				}
				w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x")))
				w.settle()
				w.resync(store.Request{Redo: true}, "c1")
				w.wantStatus("c1", store.Synced)
				w.wantLive("calls", 1)
				w.wantLive("tasks", 0)
			})
		})
	}
}
