package sync_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
	callsync "github.com/callsync/callsync/sync"
)

const bob = "+15551230002"

// runOn replaces the world's loop with one for another destination.
func (w *world) runOn(d crm.Destination) {
	w.stop()
	w.loop = callsync.New(callsync.Options{
		Name: dest, Type: "fake", Journal: w.journal, Destination: d,
		Mapping: func() callsync.Mapping { return rules{w} },
	})
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := w.loop.Run(ctx); err != nil {
			w.t.Errorf("loop: %v", err)
		}
	}()
	w.stop = func() { cancel(); <-done }
}

// A gatedCRM holds every write until the gate opens.
type gatedCRM struct {
	*fakeCRM
	entered, gate chan struct{}
}

func (g gatedCRM) Write(ctx context.Context, c []crm.Change) []crm.Result {
	select {
	case g.entered <- struct{}{}:
	default:
	}
	<-g.gate
	return g.fakeCRM.Write(ctx, c)
}

func TestPauseDuringABatchHolds(t *testing.T) {
	inWorld(t, func(w *world) {
		g := gatedCRM{w.crm, make(chan struct{}, 1), make(chan struct{})}
		w.runOn(g)
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x")))
		<-g.entered
		if err := w.loop.Pause(w.t.Context(), "maintenance"); err != nil {
			t.Fatal(err)
		}
		close(g.gate)
		synctest.Wait()
		w.deliver(call("c2", "phoneNumber", bob, "callResult", result("x")))
		time.Sleep(10 * time.Minute)
		w.wantStatus("c1", store.Synced)
		w.wantStatus("c2", store.Pending)
		if p := w.loop.Health().Phase; p != callsync.Paused {
			t.Errorf("phase is %s after the batch in flight ended", p)
		}
	})
}

func TestOneLastingTransientIsNoOutage(t *testing.T) {
	inWorld(t, func(w *world) {
		w.crm.refuse = func(c crm.Change) error {
			if c.CallID == "bad" && c.Object == "calls" {
				return &crm.Error{Kind: crm.Transient, Op: "collections create", Status: 200, Code: "UNKNOWN_EXCEPTION"}
			}
			return nil
		}
		w.deliver(call("bad", "phoneNumber", ann, "callResult", result("x")))
		for range 360 {
			time.Sleep(10 * time.Second)
			if w.loop.Health().Phase != callsync.Running {
				t.Fatal("one record's trouble stops the destination")
			}
		}
		if n := w.crm.calls["write"]; n > 40 {
			t.Errorf("%d writes in an hour for a record that keeps failing", n)
		}
		w.deliver(call("good", "phoneNumber", bob, "callResult", result("x")))
		time.Sleep(time.Second)
		w.wantStatus("good", store.Synced)
	})
}

func TestWarningsNameNobody(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "host", "jane.doe@example.com", "callResult", result("x")))
		w.settle()
		if text := strings.Join(w.state("c1").Warnings, " "); !strings.Contains(text, "owner") || strings.Contains(text, "jane.doe") {
			t.Errorf("warnings %q: want the property without the address", text)
		}
	})
}

func TestMergeDoesNotLoseAnOptOut(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "score", "optedout", "callResult", result("x")))
		w.settle()
		loser := w.wantLive("contacts", 1)[0]
		master := crm.Ref{Object: "contacts", ID: "900"}
		w.crm.records[master] = &fakeRecord{props: map[string]string{"phone": "+1777"}}
		w.crm.records[loser].mergedTo, w.crm.records[loser].gone = master, true
		w.deliver(call("c2", "scheduledAt", "2025-02-01T00:00:00Z", "phoneNumber", ann, "title", "CEO", "callResult", result("x")))
		w.settle()
		w.wantProp(master, "score", "optedout")
	})
}

func TestCreatedThenStoppedThenCorrected(t *testing.T) {
	inWorld(t, func(w *world) {
		down := true
		w.crm.fault = func(op string) (error, bool) {
			if op == "resolve" && down {
				return &crm.Error{Kind: crm.Transient, Op: "owners list", Status: 503}, false
			}
			return nil, false
		}
		w.deliver(call("c1", "phoneNumber", ann, "score", "optedout", "host", "h@example.com", "callResult", result("x")))
		time.Sleep(time.Minute)
		synctest.Wait()
		down = false
		w.deliver(call("c1", "phoneNumber", bob, "score", "optedout", "callResult", result("x")))
		w.settle()
		people := w.wantLive("contacts", 2)
		w.wantProp(people[0], "score", "")
		w.wantProp(people[1], "score", "optedout")
	})
}

func TestGoneLinkIsNoGoneRecord(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x")), call("c2", "phoneNumber", bob, "callResult", result("x")))
		w.settle()
		old := w.state("c2").Person.Ref
		w.crm.remove(old)
		w.crm.refuse = func(c crm.Change) error {
			for _, l := range c.Link {
				if l == old {
					return &crm.Error{Kind: crm.Gone, Op: "calls to contacts link", Status: 404, Code: "OBJECT_NOT_FOUND"}
				}
			}
			return nil
		}
		w.deliver(call("c1", "phoneNumber", bob, "callResult", result("x, for Bob")))
		w.settle()
		w.wantStatus("c1", store.Synced)
		activity := crm.Ref{Object: "calls", ID: w.crm.live("calls")[0].ID}
		w.wantProp(activity, "body", "x, for Bob")
		if l := w.crm.records[activity].links; len(l) != 1 || l[0] == old || w.crm.records[l[0]].props["phone"] != bob {
			t.Errorf("linked to %v", l)
		}
	})
}

// A pickyCRM refuses a search that has one of its queries in it.
type pickyCRM struct{ *fakeCRM }

func (p pickyCRM) FindPeople(ctx context.Context, queries []crm.PersonQuery) ([][]crm.Candidate, error) {
	for _, q := range queries {
		for _, m := range q.Match {
			if strings.HasPrefix(m.Value, "odd") {
				return nil, &crm.Error{Kind: crm.Permanent, Op: "contacts search", Status: 400, Code: "VALIDATION_ERROR"}
			}
		}
	}
	return p.fakeCRM.FindPeople(ctx, queries)
}

func TestRefusedQuestionFailsOnlyItsCall(t *testing.T) {
	inWorld(t, func(w *world) {
		w.runOn(pickyCRM{w.crm})
		w.deliver(call("bad", "email", "odd@example.com", "callResult", result("x")))
		for i := range 30 {
			w.deliver(call("c"+string(rune('A'+i)), "phoneNumber", ann, "callResult", result("x")))
		}
		w.settle()
		w.wantStatus("bad", store.Failed)
		w.wantLive("calls", 30)
		w.wantLive("contacts", 1)
		if p := w.loop.Health().Phase; p != callsync.Running {
			t.Errorf("phase is %s", p)
		}
	})
}

func TestSecondNumberIsLearnt(t *testing.T) {
	for _, lag := range []time.Duration{0, 30 * time.Second} {
		inWorld(t, func(w *world) {
			w.crm.lag = lag
			w.deliver(call("a1", "email", "ann@example.com", "callResult", result("x")))
			w.settle()
			time.Sleep(time.Hour)
			w.deliver(call("a2", "email", "ann@example.com", "phoneNumber", ann, "callResult", result("x")))
			time.Sleep(2 * time.Second)
			w.deliver(call("b", "phoneNumber", ann, "callResult", result("x")))
			w.settle()
			w.wantLive("contacts", 1)
			finds := w.crm.calls["find"]
			w.deliver(call("a3", "email", "ann@example.com", "phoneNumber", ann, "callResult", result("x")))
			w.settle()
			if n := w.crm.calls["find"]; n != finds {
				t.Errorf("searched again for values that are known")
			}
		})
	}
}

func TestCorrectionGivesBackWhatAPersonHadSet(t *testing.T) {
	inWorld(t, func(w *world) {
		ref := crm.Ref{Object: "contacts", ID: "900"}
		w.crm.records[ref] = &fakeRecord{props: map[string]string{"phone": ann, "score": "true"}}
		w.deliver(call("c0", "phoneNumber", ann, "callResult", result("x")))
		w.settle()
		w.deliver(call("c1", "phoneNumber", ann, "score", "hot", "callResult", result("x")))
		w.settle()
		w.wantProp(ref, "score", "hot")
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x, corrected")))
		w.settle()
		w.wantProp(ref, "score", "true")
		w.crm.wrote()
		w.resync(store.Request{}, "c0", "c1")
		if got := w.changed(); got != "" {
			t.Errorf("resync wrote %q", got)
		}
	})
}

// refuseTitle has the CRM refuse a title, and say so or not.
func (w *world) refuseTitle(named bool) {
	w.crm.refuse = func(c crm.Change) error {
		if c.Object != "contacts" || c.Properties["title"].Text != "BAD" {
			return nil
		}
		e := &crm.Error{Kind: crm.Permanent, Op: "contacts write", Status: 400, Code: "INVALID", Hint: "mend it"}
		if named {
			e.Property = "title"
		}
		return e
	}
}

func TestRefusedValueFailsOnlyItsCall(t *testing.T) {
	for _, known := range []bool{true, false} {
		inWorld(t, func(w *world) {
			if known {
				w.deliver(call("first", "phoneNumber", ann, "callResult", result("x")))
				w.settle()
			}
			w.refuseTitle(true)
			w.deliver(call("good", "phoneNumber", ann, "callResult", result("x")),
				call("bad", "scheduledAt", "2025-01-02T00:00:00Z", "phoneNumber", ann, "title", "BAD", "score", "optedout", "callResult", result("x")))
			w.settle()
			w.wantStatus("good", store.Synced)
			w.wantStatus("bad", store.Failed)
			contact := w.wantLive("contacts", 1)[0]
			w.wantProp(contact, "score", "optedout")
			if p := w.state("bad").Problem; p == nil || p.Code != "INVALID" || p.Hint == "" {
				t.Errorf("problem %+v does not explain", p)
			}
			calls := len(w.wantLive("calls", map[bool]int{true: 3, false: 2}[known]))
			// Later calls of the person are not held up by it.
			w.crm.wrote()
			w.deliver(call("later", "scheduledAt", "2025-03-02T00:00:00Z", "phoneNumber", ann, "callResult", result("x")))
			w.settle()
			w.wantStatus("later", store.Synced)
			w.wantLive("calls", calls+1)
			if got := w.changed(); got != "create calls body" {
				t.Errorf("a later call wrote %q", got)
			}
			w.crm.refuse = nil // mended in the CRM
			w.resync(store.Request{}, "bad")
			w.wantStatus("bad", store.Synced)
			w.wantProp(contact, "title", "BAD")
		})
	}
}

func TestRefusalWithoutANameStaysWithItsCall(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("first", "phoneNumber", ann, "callResult", result("x")))
		w.settle()
		w.refuseTitle(false)
		w.deliver(call("bad", "scheduledAt", "2025-01-02T00:00:00Z", "phoneNumber", ann, "title", "BAD", "score", "s", "callResult", result("x")))
		w.settle()
		w.wantStatus("bad", store.Failed)
		w.deliver(call("later", "scheduledAt", "2025-03-02T00:00:00Z", "phoneNumber", ann, "score", "optedout", "callResult", result("x")))
		w.settle()
		w.wantStatus("later", store.Synced)
		w.wantProp(w.wantLive("contacts", 1)[0], "score", "optedout")
	})
}

func TestEmailOfSomebodyElseIsLeftOut(t *testing.T) {
	inWorld(t, func(w *world) {
		old := crm.Ref{Object: "contacts", ID: "900"}
		w.crm.records[old] = &fakeRecord{props: map[string]string{"phone": ann}}
		w.crm.refuse = func(c crm.Change) error {
			if c.Object == "contacts" && c.Properties["email"].Text != "" {
				return &crm.Error{Kind: crm.Exists, Op: "contacts batch update", Status: 409, Existing: crm.Ref{Object: "contacts", ID: "901"}}
			}
			return nil
		}
		w.deliver(call("c1", "contactId", "900", "email", "bob@example.com", "score", "optedout", "callResult", result("x")))
		w.settle()
		w.wantProp(old, "score", "optedout")
		w.wantLive("calls", 1)
		w.wantStatus("c1", store.Failed)
	})
}

func TestWrongNumberLeavesNothingWithAStranger(t *testing.T) {
	inWorld(t, func(w *world) {
		old := crm.Ref{Object: "contacts", ID: "900"}
		w.crm.records[old] = &fakeRecord{props: map[string]string{"phone": ann, "title": "CEO"}}
		w.deliver(call("c1", "phoneNumber", ann, "email", "bob@example.com", "first", "Bob", "callResult", result("x")))
		w.settle()
		w.wantProp(old, "first", "Bob")
		w.deliver(call("c1", "phoneNumber", bob, "first", "Bob", "callResult", result("x")))
		w.settle()
		w.wantProp(old, "first", "")
		w.wantProp(old, "email", "")
		w.wantProp(old, "phone", ann)
		w.deliver(call("c2", "phoneNumber", "+15557770000", "email", "bob@example.com", "callResult", result("x")))
		w.settle()
		if c := w.state("c2").Person; c.Ref == old {
			t.Error("Bob's email still leads to a stranger")
		}
	})
}
