package sync_test

import (
	"context"
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
		w.wantNobodyUnborn()
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

// A wholeCRM fails every write with a poisonous change in it as a whole.
type wholeCRM struct{ *fakeCRM }

func (c wholeCRM) Write(ctx context.Context, changes []crm.Change) []crm.Result {
	for _, ch := range changes {
		if ch.CallID != "bad" || ch.Object != "calls" {
			continue
		}
		out := make([]crm.Result, len(changes))
		for i := range out {
			out[i].Err = &crm.Error{Kind: crm.Transient, Op: "calls batch create", Status: 500}
		}
		return out
	}
	return c.fakeCRM.Write(ctx, changes)
}

// One call at which the CRM fails, whatever is sent with it, does not keep the
// others from arriving.
func TestOneCallThatBreaksTheCRM(t *testing.T) {
	inWorld(t, func(w *world) {
		w.runOn(wholeCRM{w.crm})
		w.deliver(call("bad", "phoneNumber", ann, "callResult", result("x")))
		for i := range 50 {
			w.deliver(call("c"+string(rune('A'+i)), "phoneNumber", bob, "callResult", result("x")))
			time.Sleep(10 * time.Second)
		}
		time.Sleep(30 * time.Minute)
		if n := len(w.crm.live("calls")); n != 50 {
			t.Errorf("%d of 50 calls arrived", n)
		}
		w.wantStatus("bad", store.Retrying)
	})
}

// A record that the CRM refuses for good does not give up another of the same
// call that failed for now.
func TestRefusalGivesNothingElseUp(t *testing.T) {
	for name, err := range map[string]*crm.Error{
		"transient": {Kind: crm.Transient, Op: "tasks create", Status: 503},
		"quota":     {Kind: crm.Quota, Op: "tasks create", Status: 429},
		"exists":    {Kind: crm.Exists, Op: "tasks create", Status: 409, Existing: crm.Ref{Object: "tasks", ID: "900"}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.crm.records[crm.Ref{Object: "tasks", ID: "900"}] = &fakeRecord{props: map[string]string{}, key: "other"}
				left := 1
				w.crm.refuse = func(c crm.Change) error {
					switch {
					case c.Object == "calls":
						return &crm.Error{Kind: crm.Permanent, Op: "calls create", Status: 400, Code: "INVALID"}
					case c.Object == "tasks" && left > 0:
						left--
						return err
					}
					return nil
				}
				w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x", "task")))
				w.settle()
				w.wantStatus("c1", store.Failed)
				if p := w.state("c1").Problem; p == nil || p.Record != "c1#call" {
					t.Errorf("problem is %+v, want the one of c1#call", p)
				}
				tasks := w.crm.live("tasks")
				if got := w.crm.props(tasks[0])["subject"] + w.crm.props(tasks[len(tasks)-1])["subject"]; got == "" {
					t.Error("the task was given up")
				}
			})
		})
	}
}

// A corrected call that belongs to nobody any more leaves nothing with whom it was
// taken to belong to.
func TestNobodysCallLeavesNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "score", "hot", "callResult", result("x", "task")))
		w.settle()
		contact := w.wantLive("contacts", 1)[0]
		w.deliver(call("c1", "phoneNumber", bob, "nocreate", "yes", "callResult", result("y", "task")))
		w.settle()
		w.wantStatus("c1", store.Skipped)
		w.wantProp(contact, "score", "")
		w.wantLive("calls", 0)
		w.wantLive("tasks", 0)
	})
}

// Where the mapping writes calls without a contact, too, the records of such a
// call are linked to them no more.
func TestNobodysCallIsLinkedToNobody(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "score", "hot", "deal", "yes", "callResult", result("x", "task")))
		w.settle()
		contact := w.wantLive("contacts", 1)[0]
		w.deliver(call("c1", "phoneNumber", bob, "nocreate", "yes", "unlinked", "yes", "callResult", result("x", "task")))
		w.settle()
		w.wantStatus("c1", store.Synced)
		w.wantProp(contact, "score", "")
		for _, ref := range slices.Concat(w.wantLive("calls", 1), w.wantLive("tasks", 1)) {
			if l := w.crm.records[ref].links; len(l) > 0 {
				t.Errorf("%s is linked to %v", ref, l)
			}
		}
		w.crm.wrote()
		w.resync(store.Request{}, "c1")
		if got := w.changed(); got != "" {
			t.Errorf("synced again, it wrote %q", got)
		}
		w.deliver(call("c1", "phoneNumber", bob, "callResult", result("x", "task")))
		w.settle()
		for _, ref := range slices.Concat(w.wantLive("calls", 1), w.wantLive("tasks", 1)) {
			if l := w.crm.records[ref].links; len(l) != 1 || w.crm.props(l[0])["phone"] != bob {
				t.Errorf("%s is linked to %v", ref, l)
			}
		}
	})
}

// A call whose contact somebody deleted keeps its records when it is corrected,
// although the mapping creates nobody for it.
func TestDeletedContactTakesNoRecordAlong(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x", "task")))
		w.settle()
		w.crm.remove(w.wantLive("contacts", 1)[0])
		w.deliver(call("c1", "phoneNumber", ann, "nocreate", "yes", "title", "t", "callResult", result("y", "task")))
		w.settle()
		w.wantStatus("c1", store.Skipped)
		w.wantLive("calls", 1)
		w.wantLive("tasks", 1)
	})
}

// However long a CRM asks to be left alone, it is looked at again within an hour.
func TestLongRestIsLookedInto(t *testing.T) {
	inWorld(t, func(w *world) {
		left := 1
		w.fault(func(op string) (error, bool) {
			if left == 0 || op != "write" {
				return nil, false
			}
			left--
			return &crm.Error{Kind: crm.Transient, Op: op, Status: 503, RetryAfter: 72 * time.Hour}, false
		})
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x")))
		time.Sleep(2 * time.Hour)
		w.wantStatus("c1", store.Synced)
	})
}

// What an undo could not archive and a redo took up again is not archived later
// because the mapping was edited.
func TestRedoneIsNoLongerBeingArchived(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x", "task")))
		w.settle()
		w.faults("before")
		if _, err := w.loop.Undo(w.t.Context(), "c1"); err != nil {
			t.Fatal(err)
		}
		w.resync(store.Request{Redo: true}, "c1")
		w.wantLive("tasks", 1)
		w.version, w.bare = "m2", true
		w.resync(store.Request{}, "c1")
		w.wantLive("tasks", 1)
	})
}

// A search that stops at a known id has not shown that the other values lead to
// nobody.
func TestKnownIDTeachesNothingElse(t *testing.T) {
	inWorld(t, func(w *world) {
		w.runOn(idCRM{w.crm})
		w.idLater = true
		jane, bobs := crm.Ref{Object: "contacts", ID: "900"}, crm.Ref{Object: "contacts", ID: "901"}
		w.crm.records[jane] = &fakeRecord{props: map[string]string{"email": "jane@example.com", "phone": ann}}
		w.crm.records[bobs] = &fakeRecord{props: map[string]string{"phone": bob}}
		w.deliver(call("c1", "email", "jane@example.com", "callResult", result("x")))
		w.settle()
		w.deliver(call("c2", "email", "jane@example.com", "contactId", "901", "phoneNumber", bob, "callResult", result("x")))
		w.settle()
		w.deliver(call("c3", "phoneNumber", bob, "callResult", result("x")))
		w.settle()
		if got := w.state("c3").Person.Ref; got != bobs {
			t.Errorf("Bob's number leads to %v", got)
		}
	})
}

// An idCRM looks for nobody else once it has found somebody by id.
type idCRM struct{ *fakeCRM }

func (c idCRM) FindPeople(ctx context.Context, queries []crm.PersonQuery) ([][]crm.Candidate, error) {
	out, err := c.fakeCRM.FindPeople(ctx, queries)
	for i, q := range queries {
		for _, m := range q.Match {
			if m.Kind == crm.MatchID && slices.ContainsFunc(out[i], func(f crm.Candidate) bool { return f.ID == m.Value }) {
				out[i] = slices.DeleteFunc(out[i], func(f crm.Candidate) bool { return f.ID != m.Value })
			}
		}
	}
	return out, err
}
