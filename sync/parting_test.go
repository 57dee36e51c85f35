package sync_test

import (
	"slices"
	"testing"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// A call that turns out to be somebody else's takes back what callsync wrote
// because of it, and nothing that stood there before, however often the request
// fails.
func TestLeavingTakesNothingButItsOwn(t *testing.T) {
	for name, failures := range map[string]int{"at once": 0, "after failures": 3} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				theirs := crm.Ref{Object: "contacts", ID: "900"}
				w.crm.records[theirs] = &fakeRecord{props: map[string]string{"phone": ann, "first": "Ann", "title": "Head"}}
				w.deliver(call("c1", "phoneNumber", ann, "first", "Ann", "title", "Head", "score", "hot", "callResult", result("x")))
				w.settle()
				w.wantProp(theirs, "score", "hot")

				left := failures
				w.crm.mu.Lock()
				w.crm.fault = func(op string) (error, bool) {
					if op != "write" || left == 0 {
						return nil, false
					}
					left--
					return &crm.Error{Kind: crm.Transient, Op: op, Status: 502}, false
				}
				w.crm.mu.Unlock()
				w.deliver(call("c1", "phoneNumber", "+15551230002", "callResult", result("x")))
				w.settle()
				w.wantProp(theirs, "phone", ann)
				w.wantProp(theirs, "first", "Ann")
				w.wantProp(theirs, "title", "Head")
				w.wantProp(theirs, "score", "")
			})
		})
	}
}

// What callsync fills in only where nothing stands stays with a contact whose
// call leaves, also when the request that tells them has to be repeated.
func TestLeavingKeepsWhatWasFilledIn(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "first", "Ann", "score", "hot", "callResult", result("x")))
		w.settle()
		contact := w.wantLive("contacts", 1)[0]
		left := 3
		w.crm.mu.Lock()
		w.crm.fault = func(op string) (error, bool) {
			if op != "write" || left == 0 {
				return nil, false
			}
			left--
			return &crm.Error{Kind: crm.Transient, Op: op, Status: 502}, false
		}
		w.crm.mu.Unlock()
		w.deliver(call("c1", "phoneNumber", "+15551230002", "callResult", result("x")))
		w.settle()
		w.wantProp(contact, "first", "Ann")
		w.wantProp(contact, "score", "")
	})
}

// A value that a person had set before callsync came is theirs, also when the
// call said the same: a later call does not replace it.
func TestSameValueIsNotOurs(t *testing.T) {
	inWorld(t, func(w *world) {
		theirs := crm.Ref{Object: "contacts", ID: "900"}
		w.crm.records[theirs] = &fakeRecord{props: map[string]string{"phone": ann, "title": "Head"}}
		w.deliver(call("c1", "phoneNumber", ann, "title", "Head", "callResult", result("x")))
		w.settle()
		w.deliver(call("c2", "phoneNumber", ann, "title", "Chief", "scheduledAt", "2025-02-01T00:00:00Z", "callResult", result("y")))
		w.settle()
		w.wantProp(theirs, "title", "Head")
	})
}

// Somebody merges the contact that a call is then corrected to have nothing to do
// with: what callsync wrote because of the call is taken back from who is left.
func TestLeavingSomebodyMerged(t *testing.T) {
	for name, noticed := range map[string]bool{"noticed before": true, "not noticed": false} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.deliver(call("c1", "phoneNumber", ann, "title", "Head", "score", "hot", "callResult", result("x")))
				w.settle()
				loser := w.wantLive("contacts", 1)[0]
				winner := crm.Ref{Object: "contacts", ID: "900"}
				w.crm.records[winner] = &fakeRecord{props: map[string]string{"phone": ann, "title": "Head", "score": "hot"}}
				w.crm.records[loser].gone = true
				w.crm.records[loser].mergedTo = winner
				w.crm.records[w.crm.live("calls")[0]].links = []crm.Ref{winner}
				if noticed {
					w.deliver(call("c0", "phoneNumber", ann, "title", "Vice", "scheduledAt", "2024-02-01T00:00:00Z", "callResult", result("y")))
					w.deliver(call("c2", "phoneNumber", ann, "title", "Chief", "scheduledAt", "2025-02-01T00:00:00Z", "callResult", result("y")))
					w.settle()
				}
				w.deliver(call("c1", "phoneNumber", "+15551230002", "callResult", result("x")))
				w.settle()
				w.wantProp(winner, "score", "")
				w.wantProp(winner, "title", map[bool]string{true: "Chief", false: ""}[noticed])
			})
		})
	}
}

// A call came with one person's number and another's email, which callsync wrote
// to the contact with the number. With the number corrected, the email does not
// lead back there, and goes along.
func TestTaughtEmailGoesAlong(t *testing.T) {
	for name, known := range map[string]bool{"to somebody known": true, "to somebody new": false} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				stranger, bobs := crm.Ref{Object: "contacts", ID: "900"}, crm.Ref{Object: "contacts", ID: "901"}
				w.crm.records[stranger] = &fakeRecord{props: map[string]string{"phone": ann, "first": "Ann"}}
				if known {
					w.crm.records[bobs] = &fakeRecord{props: map[string]string{"phone": bob}}
				}
				w.crm.refuse = func(c crm.Change) error { // emails are unique
					for ref, rec := range w.crm.records {
						if email := c.Properties["email"].Text; email != "" && c.Object == ref.Object && ref.ID != c.ID && rec.props["email"] == email {
							return &crm.Error{Kind: crm.Exists, Op: "write", Existing: ref}
						}
					}
					return nil
				}
				w.deliver(call("c1", "phoneNumber", ann, "email", "bob@example.com", "callResult", result("x")))
				w.settle()
				w.wantProp(stranger, "email", "bob@example.com")
				w.deliver(call("c1", "phoneNumber", bob, "email", "bob@example.com", "callResult", result("x")))
				w.settle()
				w.wantStatus("c1", store.Synced)
				w.wantProp(stranger, "email", "")
				w.wantProp(stranger, "first", "Ann")
				now := w.state("c1").Person.Ref
				if now == stranger || known && now != bobs {
					t.Errorf("the corrected call is %v's", now)
				}
				w.wantProp(now, "email", "bob@example.com")
				if l := w.crm.records[w.wantLive("calls", 1)[0]].links; !slices.Equal(l, []crm.Ref{now}) {
					t.Errorf("it is linked to %v", l)
				}
				w.deliver(call("c2", "email", "bob@example.com", "callResult", result("x")))
				w.settle()
				if got := w.state("c2").Person.Ref; got != now {
					t.Errorf("the email leads to %v", got)
				}
			})
		})
	}
}

// What a contact had before keeps a call there, whatever else of it is corrected;
// so does an email of which the number is merely left out.
func TestOtherEvidenceKeepsACall(t *testing.T) {
	for name, x := range map[string]struct {
		stranger map[string]string
		second   payload
	}{
		"found by email": {
			map[string]string{"phone": ann, "email": "bob@example.com"},
			call("c1", "phoneNumber", bob, "email", "bob@example.com", "callResult", result("x")),
		},
		"had the email before": {
			map[string]string{"phone": ann, "email": "bob@example.com"},
			call("c1", "phoneNumber", ann, "email", "robert@example.com", "callResult", result("x")),
		},
		"number left out": {
			map[string]string{"phone": ann},
			call("c1", "email", "bob@example.com", "callResult", result("x")),
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				theirs := crm.Ref{Object: "contacts", ID: "900"}
				w.crm.records[theirs] = &fakeRecord{props: x.stranger}
				w.deliver(call("c1", "phoneNumber", ann, "email", "bob@example.com", "callResult", result("x")))
				w.settle()
				w.deliver(x.second)
				w.settle()
				w.wantLive("contacts", 1)
				w.wantProp(theirs, "email", "bob@example.com")
			})
		})
	}
}
