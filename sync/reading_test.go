package sync_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// What the CRM would not take of a person's change is not taken for written.
func TestPersonsPropertyLeftOut(t *testing.T) {
	inWorld(t, func(w *world) {
		theirs := crm.Ref{Object: "contacts", ID: "900"}
		w.crm.records[theirs] = &fakeRecord{props: map[string]string{"phone": ann}}
		w.crm.frozen = "score"
		w.deliver(call("c1", "phoneNumber", ann, "score", "hot", "callResult", result("x")))
		w.settle()
		w.wantProp(theirs, "score", "")
		people, err := w.journal.People(w.t.Context(), dest, []crm.Ref{theirs})
		if err != nil {
			t.Fatal(err)
		}
		if a := people[theirs].Properties["score"]; a.Kept == "" {
			t.Errorf("the journal has %+v, as if it were written", a)
		}
		w.wantDrift(nil)
	})
}

// The creation of a contact gets no answer, and the corrected call may create nobody.
func TestCreationIsNotTriedAgainForACallThatMayNot(t *testing.T) {
	inWorld(t, func(w *world) {
		w.faults("before")
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x")))
		time.Sleep(100 * time.Millisecond)
		w.deliver(call("c1", "phoneNumber", ann, "nocreate", "yes", "callResult", result("x")))
		w.settle()
		w.wantStatus("c1", store.Skipped)
		w.wantLive("contacts", 0)
	})
}

// An edit of the mapping that keeps calls out takes nothing back.
func TestSkippingByAnEditTakesNothingBack(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "score", "optedout", "callResult", result("x")))
		w.settle()
		w.version, w.skip = "m2", "kept out by the mapping"
		w.resync(store.Request{}, "c1")
		w.wantStatus("c1", store.Skipped)
		w.wantProp(w.wantLive("contacts", 1)[0], "score", "optedout")
	})
}

// A record that is linked to something that is gone does not make callsync forget
// whose it is.
func TestGoneRelationForgetsNobody(t *testing.T) {
	inWorld(t, func(w *world) {
		w.crm.unique, w.crm.lag = false, time.Hour
		gone := true
		w.crm.refuse = func(c crm.Change) error {
			if gone && slices.ContainsFunc(c.Link, func(r crm.Ref) bool { return r.Object == "deals" }) {
				return &crm.Error{Kind: crm.Gone, Op: "link", Status: 404}
			}
			return nil
		}
		w.deliver(call("c1", "phoneNumber", ann, "deal", "yes", "callResult", result("x")))
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		gone = false
		w.settle()
		w.wantStatus("c1", store.Synced)
		w.wantLive("contacts", 1)
		w.wantLive("calls", 1)
	})
}
