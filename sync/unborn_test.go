package sync_test

import (
	"testing"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// The CRM carries out the creation of a contact only after callsync did not find
// it, and the corrected call was told that it exists: what stands there is
// callsync's own.
func TestContactCreatedLate(t *testing.T) {
	inWorld(t, func(w *world) {
		w.faults("before")
		late := false
		w.crm.mu.Lock()
		w.crm.refuse = func(c crm.Change) error {
			if c.Object == "contacts" && c.Op == crm.Create && !late {
				late = true
				first := c
				first.Properties = map[string]crm.Value{"phone": crm.Str(ann), "title": crm.Str("A"), "score": crm.Str("hot")}
				w.crm.change(first)
			}
			return nil
		}
		w.crm.mu.Unlock()
		w.deliver(call("c1", "phoneNumber", ann, "title", "A", "score", "hot", "callResult", result("x")))
		time.Sleep(100 * time.Millisecond)
		w.deliver(call("c1", "phoneNumber", ann, "title", "B", "callResult", result("x")))
		w.settle()
		contact := w.wantLive("contacts", 1)[0]
		w.wantProp(contact, "title", "B")
		w.wantProp(contact, "score", "")
		w.wantNobodyUnborn()
	})
}

// A contact that the CRM says is there already, and that callsync did not make,
// keeps what it holds, also where callsync tried to make one with the same value.
func TestAdoptedContactIsSomebodyElses(t *testing.T) {
	inWorld(t, func(w *world) {
		theirs := crm.Ref{Object: "contacts", ID: "900"}
		w.crm.records[theirs] = &fakeRecord{props: map[string]string{"title": "A"}, key: "somebody's own"}
		w.crm.refuse = func(c crm.Change) error {
			if c.Object == "contacts" && c.Op == crm.Create {
				return &crm.Error{Kind: crm.Exists, Op: "create", Existing: theirs}
			}
			return nil
		}
		w.deliver(call("c1", "phoneNumber", ann, "title", "A", "callResult", result("x")))
		w.settle()
		w.deliver(call("c1", "phoneNumber", ann, "title", "B", "callResult", result("x")))
		w.settle()
		w.wantStatus("c1", store.Synced)
		w.wantProp(theirs, "title", "A")
		w.wantNobodyUnborn()
	})
}

// A contact's creation gets no answer, and the call is corrected to be somebody
// else's: what it brought the first is taken back.
func TestLeavingSomebodyUnborn(t *testing.T) {
	for name, fate := range map[string]string{"created": "after", "not created": "before"} {
		for _, unique := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				inWorld(t, func(w *world) {
					w.crm.unique, w.crm.lag = unique, 20*time.Second
					w.faults(fate)
					w.deliver(call("c1", "phoneNumber", ann, "first", "Ann", "score", "hot", "callResult", result("x")))
					time.Sleep(100 * time.Millisecond)
					w.deliver(call("c1", "phoneNumber", bob, "first", "Bob", "score", "hot", "callResult", result("x")))
					w.settle()
					w.wantStatus("c1", store.Synced)
					for _, ref := range w.crm.live("contacts") {
						props := w.crm.props(ref)
						if props["phone"] == ann && props["score"] != "" {
							t.Errorf("the contact of a wrong number keeps %v", props)
						}
					}
					w.wantNobodyUnborn()
				})
			})
		}
	}
}

// The same where a policy keeps the corrected call out.
func TestSkippedLeavesSomebodyUnborn(t *testing.T) {
	inWorld(t, func(w *world) {
		w.faults("after")
		w.deliver(call("c1", "phoneNumber", ann, "score", "hot", "callResult", result("x")))
		time.Sleep(100 * time.Millisecond)
		w.deliver(call("c1", "skip", "by policy", "callResult", result("x")))
		w.settle()
		w.wantStatus("c1", store.Skipped)
		w.wantProp(w.wantLive("contacts", 1)[0], "score", "")
		w.wantNobodyUnborn()
	})
}

// Another call goes on with the creation that one has left.
func TestAnotherCallGoesOnWithACreation(t *testing.T) {
	for _, fate := range []string{"before", "after"} {
		t.Run(fate, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.faults(fate)
				w.deliver(call("c1", "phoneNumber", ann, "score", "hot", "callResult", result("x")),
					call("c2", "phoneNumber", ann, "title", "Head", "callResult", result("x")))
				time.Sleep(100 * time.Millisecond)
				w.deliver(call("c1", "phoneNumber", bob, "score", "hot", "callResult", result("x")))
				w.settle()
				for _, ref := range w.wantLive("contacts", 2) {
					if w.crm.props(ref)["phone"] == ann {
						w.wantProp(ref, "title", "Head")
						w.wantProp(ref, "score", "")
					}
				}
				w.wantNobodyUnborn()
			})
		})
	}
}

// While somebody is being created, the journal knows because of which calls.
func TestUnbornIsSomebodys(t *testing.T) {
	inWorld(t, func(w *world) {
		w.faults("before")
		w.deliver(call("c1", "phoneNumber", ann, "score", "hot", "callResult", result("x")))
		time.Sleep(100 * time.Millisecond)
		n := 0
		for p, err := range w.journal.AllPeople(w.t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			for name, a := range p.Properties {
				if n++; a.Call != "c1" {
					t.Errorf("%s came from %q", name, a.Call)
				}
			}
		}
		if n == 0 {
			t.Error("nobody is being created")
		}
		w.settle()
		if s := w.state("c1"); s.Creating != 0 {
			t.Errorf("the state still says that somebody is being created: %+v", s)
		}
	})
}

// An undo amid the creation of another person does not forget that it is under way.
func TestUndoWaitsForWhoIsBeingCreated(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "score", "hot", "callResult", result("x")))
		w.settle()
		w.faults("after")
		w.deliver(call("c1", "phoneNumber", bob, "score", "hot", "callResult", result("x")))
		time.Sleep(100 * time.Millisecond)
		for range 100 {
			if _, err := w.loop.Undo(w.t.Context(), "c1"); err == nil {
				break
			}
			time.Sleep(time.Minute)
		}
		w.settle()
		for _, ref := range w.crm.live("contacts") {
			w.wantProp(ref, "score", "")
		}
	})
}
