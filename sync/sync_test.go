package sync_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
	callsync "github.com/callsync/callsync/sync"
)

const ann = "+15551230001"

func TestCallLandsOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		p := call("c1", "phoneNumber", ann, "first", "Ann", "callResult", result("hello", "send offer"))
		w.deliver(p, p, p)
		w.settle()
		contact := w.wantLive("contacts", 1)[0]
		activity := w.wantLive("calls", 1)[0]
		w.wantLive("tasks", 1)
		w.wantProp(contact, "first", "Ann")
		w.wantProp(activity, "body", "hello")
		if links := w.crm.records[activity].links; !slices.Equal(links, []crm.Ref{contact}) {
			t.Errorf("the call is linked to %v, want %v", links, contact)
		}
		w.wantStatus("c1", store.Synced)
		w.crm.wrote()
		w.resync(store.Request{}, "c1")
		if got := w.changed(); got != "" {
			t.Errorf("a resync of an unchanged call wrote %s", got)
		}
	})
}

func TestCorrectionSendsOnlyTheDifference(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "first", "Ann", "callResult", result("hello", "a", "b")))
		w.settle()
		w.crm.wrote()
		w.deliver(call("c1", "phoneNumber", ann, "first", "Ann", "callResult", result("hello, corrected", "a")))
		w.settle()
		if got := w.changed(); got != "update calls body, archive tasks" && got != "archive tasks, update calls body" {
			t.Errorf("the correction wrote %q", got)
		}
		w.wantLive("tasks", 1)
		// The action comes back: the record that callsync itself archived is made anew.
		w.deliver(call("c1", "phoneNumber", ann, "first", "Ann", "callResult", result("hello again", "a", "c")))
		w.settle()
		w.wantLive("tasks", 2)
	})
}

func TestMappingEditNeverDeletes(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("hello")))
		w.settle()
		w.extra = []crm.Field{{Name: "extra", Value: crm.Str("x"), Write: crm.Always}}
		w.version = "m2"
		w.crm.wrote()
		w.resync(store.Request{}, "c1")
		if got := w.changed(); got != "update calls extra" {
			t.Errorf("the edited mapping wrote %q, want only the new property", got)
		}
		if m := w.state("c1").Mapping; m != "m2" {
			t.Errorf("mapping applied is %q", m)
		}
		w.extra = nil // a field that leaves the mapping is no longer managed
		w.resync(store.Request{}, "c1")
		if got := w.changed(); got != "" {
			t.Errorf("wrote %q after a field left the mapping", got)
		}
	})
}

func TestClearedValueIsTakenBack(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "score", "hot", "callResult", result("hello")))
		w.settle()
		contact := w.wantLive("contacts", 1)[0]
		w.wantProp(contact, "score", "hot")
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("hello")))
		w.settle()
		w.wantProp(contact, "score", "")
	})
}

func TestPeopleAreSharedAndFound(t *testing.T) {
	inWorld(t, func(w *world) {
		w.crm.lag = 30 * time.Second
		// Eight calls of one unknown person, some with an email, within the lag.
		for i := range 8 {
			kv := []any{"callResult", result("hello")}
			if i%2 == 0 {
				kv = append(kv, "email", "ann@example.com")
			}
			if i != 2 {
				kv = append(kv, "phoneNumber", ann)
			}
			w.deliver(call("c"+string(rune('0'+i)), kv...))
			if i == 3 {
				w.settle()
			}
		}
		w.settle()
		w.wantLive("contacts", 1)
		w.wantLive("calls", 8)
	})
}

func TestExistingContactIsUsed(t *testing.T) {
	inWorld(t, func(w *world) {
		old := crm.Ref{Object: "contacts", ID: "900"}
		w.crm.records[old] = &fakeRecord{props: map[string]string{"email": "ann@example.com", "first": "Anna", "phone": "+1999"}}
		w.deliver(call("c1", "email", "ann@example.com", "phoneNumber", ann, "first", "Ann", "title", "CEO", "callResult", result("hi")))
		w.settle()
		w.wantLive("contacts", 1)
		w.wantProp(old, "first", "Anna")
		w.wantProp(old, "title", "CEO")
		if c := w.state("c1").Person; c == nil || !strings.Contains(c.How, "email") {
			t.Errorf("choice %+v does not name the rule", c)
		}
		// The phone led to nobody else, so it stands for Anna from now on.
		w.deliver(call("c2", "phoneNumber", ann, "callResult", result("hi")))
		w.settle()
		w.wantLive("contacts", 1)
	})
}

func TestKnownIDOutranksEmail(t *testing.T) {
	inWorld(t, func(w *world) {
		for _, id := range []string{"900", "901"} {
			w.crm.records[crm.Ref{Object: "contacts", ID: id}] = &fakeRecord{props: map[string]string{"email": "ann@example.com"}}
		}
		w.deliver(call("c0", "email", "ann@example.com", "callResult", result("hi")))
		w.settle()
		w.deliver(call("c1", "contactId", "901", "email", "ann@example.com", "callResult", result("hi")))
		w.settle()
		if c := w.state("c0").Person; c.ID != "900" || len(c.Candidates) != 1 {
			t.Errorf("c0 chose %+v, want 900 with the other as candidate", c)
		}
		if c := w.state("c1").Person; c.ID != "901" {
			t.Errorf("c1 chose %+v, want 901", c)
		}
		// Somebody found by id says nothing about whose the email is.
		bob := crm.Ref{Object: "contacts", ID: "902"}
		w.crm.records[bob] = &fakeRecord{props: map[string]string{"email": "bob@example.com"}}
		w.deliver(call("c2", "contactId", "901", "email", "bob@example.com", "callResult", result("hi")))
		w.settle()
		w.deliver(call("c3", "email", "bob@example.com", "callResult", result("hi")))
		w.settle()
		if c := w.state("c3").Person; c.ID != "902" {
			t.Errorf("c3 chose %+v, want 902", c)
		}
	})
}

func TestWriteModes(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "first", "Ann", "title", "CEO", "score", "1", "scheduledAt", "2025-01-01T00:00:00Z", "callResult", result("x")))
		w.settle()
		contact := w.wantLive("contacts", 1)[0]
		next := func(id, day, suffix string) {
			w.deliver(call(id, "phoneNumber", ann, "first", "Ann"+suffix, "title", "CEO"+suffix, "score", "1"+suffix,
				"scheduledAt", "2025-01-"+day+"T00:00:00Z", "callResult", result("x")))
			w.settle()
		}
		next("c2", "02", "2")
		w.wantProp(contact, "first", "Ann") // if_empty
		w.wantProp(contact, "title", "CEO2")
		w.wantProp(contact, "score", "12")
		w.crm.edit(contact, "title", "by hand")
		w.crm.edit(contact, "score", "by hand")
		next("c3", "03", "3")
		w.wantProp(contact, "title", "by hand") // if_unchanged: the person's edit wins
		w.wantProp(contact, "score", "13")
		w.crm.wrote()
		reads := w.crm.calls["read"]
		w.resync(store.Request{}, "c1", "c2", "c3")
		if got := w.changed(); got != "" {
			t.Errorf("resync wrote %q", got)
		}
		if n := w.crm.calls["read"]; n != reads {
			t.Errorf("a resync with nothing to decide read the CRM %d times", n-reads)
		}
		w.crm.edit(contact, "title", "CEO2") // the person put it back
		next("c4", "04", "4")
		w.wantProp(contact, "title", "CEO4")
	})
}

func TestOlderCallDoesNotOverwriteNewer(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("new", "phoneNumber", ann, "score", "new", "scheduledAt", "2025-03-01T00:00:00Z", "callResult", result("x")))
		w.settle()
		w.deliver(call("old", "phoneNumber", ann, "score", "old", "scheduledAt", "2025-01-01T00:00:00Z", "callResult", result("x")))
		w.settle()
		w.wantProp(w.wantLive("contacts", 1)[0], "score", "new")
		w.resync(store.Request{Force: true}, "old")
		w.wantProp(w.wantLive("contacts", 1)[0], "score", "new")
	})
}

func TestInterimWaitsAndTerminalIsAppliedOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "callResult", map[string]any{"resultType": "Processing Analysis"}))
		w.settle()
		w.wantStatus("c1", store.Waiting)
		w.wantLive("contacts", 0)
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("done")))
		w.settle()
		w.wantStatus("c1", store.Synced)
		w.wantLive("calls", 1)
	})
}

func TestSkips(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(
			call("c1", "skip", "inbound calls are not logged"),
			call("c2", "callResult", result("nobody")),
			call("c3", "nocreate", "1", "phoneNumber", ann, "callResult", result("x")),
		)
		w.settle()
		for id, reason := range map[string]string{"c1": "inbound calls", "c2": "no id, email or phone", "c3": "creates nobody"} {
			w.wantStatus(id, store.Skipped)
			if s := w.state(id); !strings.Contains(s.Reason, reason) {
				t.Errorf("%s: reason %q does not say %q", id, s.Reason, reason)
			}
		}
		w.wantLive("contacts", 0)
		w.wantLive("calls", 0)
	})
}

func TestLookups(t *testing.T) {
	inWorld(t, func(w *world) {
		w.crm.owners["jane@example.com"] = "77"
		w.extra = []crm.Field{{Name: "rep", Value: crm.LookupOf("owner", "nobody@example.com"), Write: crm.IfUnchanged}}
		w.deliver(
			call("c1", "phoneNumber", ann, "host", "jane@example.com", "callResult", result("x")),
			call("c2", "phoneNumber", ann, "host", "ghost@example.com", "callResult", result("x")),
		)
		w.settle()
		calls := w.wantLive("calls", 2)
		w.wantProp(calls[0], "owner", "77")
		w.wantProp(calls[1], "owner", "")
		w.wantStatus("c2", store.Synced)
		if s := w.state("c2"); len(s.Warnings) != 2 || !strings.Contains(s.Warnings[0], "owner") {
			t.Errorf("warnings %q do not speak of the unknown owner", s.Warnings)
		}
		works, err := w.journal.Load(w.t.Context(), dest, []string{"c2"})
		if err != nil {
			t.Fatal(err)
		}
		if plans, err := w.loop.Plan(w.t.Context(), works); err != nil || plans[0].Writes() {
			t.Errorf("plan %+v (%v) would write an owner that nobody knows", plans, err)
		}
		w.crm.wrote()
		reads := w.crm.calls["read"]
		w.resync(store.Request{}, "c1", "c2")
		if got := w.changed(); got != "" || w.crm.calls["read"] != reads {
			t.Errorf("resync wrote %q and read %d times for an owner that is still unknown", got, w.crm.calls["read"]-reads)
		}
		w.crm.owners["ghost@example.com"] = "78" // the user was invited meanwhile
		w.resync(store.Request{}, "c1", "c2")
		if got := w.changed(); got != "update calls owner" {
			t.Errorf("resync wrote %q, want the owner of c2 alone", got)
		}
	})
}

func TestOneBadCallDoesNotStopTheRest(t *testing.T) {
	inWorld(t, func(w *world) {
		w.crm.refuse = func(c crm.Change) error {
			if c.Object == "calls" && c.Properties["body"].Text == "poison" {
				return &crm.Error{Kind: crm.Permanent, Op: "calls batch create", Status: 400, Code: "INVALID_OPTION", Message: "not an option", Hint: "mend the mapping"}
			}
			return nil
		}
		w.deliver(call("bad", "phoneNumber", ann, "callResult", result("poison", "t")), call("broken", "broken", "1"))
		for i := range 20 {
			w.deliver(call("c"+string(rune('a'+i)), "phoneNumber", ann, "callResult", result("fine")))
		}
		w.settle()
		w.wantLive("calls", 20)
		w.wantStatus("bad", store.Failed)
		w.wantStatus("broken", store.Failed)
		if p := w.state("bad").Problem; p == nil || p.Code != "INVALID_OPTION" || p.Record != "bad#call" || p.Hint == "" {
			t.Errorf("problem %+v does not explain", p)
		}
		w.crm.refuse = nil
		w.resync(store.Request{}, "bad")
		w.wantStatus("bad", store.Synced)
		w.wantLive("calls", 21)
		w.wantLive("tasks", 1)
	})
}

func TestOutageCostsNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		down := true
		w.crm.fault = func(string) (error, bool) {
			if down {
				return &crm.Error{Kind: crm.Transient, Op: "any", Status: 503}, false
			}
			return nil, false
		}
		for i := range 300 {
			w.deliver(call("c"+string(rune(0x100+i)), "phoneNumber", ann, "callResult", result("x")))
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if p := w.loop.Health().Phase; p != callsync.Broken {
			t.Errorf("phase is %s during the outage", p)
		}
		if n := w.crm.calls["find"]; n < 5 || n > 200 {
			t.Errorf("%d requests in an hour of outage", n)
		}
		down = false
		w.settle()
		w.wantLive("calls", 300)
		w.wantLive("contacts", 1)
		if p := w.loop.Health().Phase; p != callsync.Running {
			t.Errorf("phase is %s after the outage", p)
		}
	})
}

func TestCredentialTroubleBlocksAndIsProbed(t *testing.T) {
	inWorld(t, func(w *world) {
		refused := &crm.Error{Kind: crm.Credential, Op: "contacts search", Status: 401, Code: "INVALID_AUTHENTICATION", Hint: "put a valid token"}
		bad := true
		w.crm.fault = func(string) (error, bool) {
			if bad {
				return refused, false
			}
			return nil, false
		}
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x")))
		time.Sleep(time.Hour)
		synctest.Wait()
		h := w.loop.Health()
		if h.Phase != callsync.Blocked || h.Kind != crm.Credential || h.Hint == "" {
			t.Errorf("health %+v", h)
		}
		if n := w.crm.calls["find"]; n > 60 {
			t.Errorf("%d requests with a refused token in an hour: a retry storm", n)
		}
		w.wantStatus("c1", store.Pending)
		if a := w.state("c1").Attempts; a != 0 {
			t.Errorf("the call counts %d failed attempts for what is the token's fault", a)
		}
		bad = false
		w.settle()
		w.wantStatus("c1", store.Synced)
		if s := w.state("c1"); s.Problem != nil {
			t.Errorf("problem %+v outlived its cause", s.Problem)
		}
	})
}

func TestNotReadyReceivesNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.crm.ready = &crm.Error{Kind: crm.NotReady, Op: "check properties", Message: "no callsync_key", Hint: "run `callsync setup`"}
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x")))
		time.Sleep(time.Hour)
		if len(w.crm.calls) != 0 {
			t.Errorf("requests %v before setup", w.crm.calls)
		}
		w.crm.mu.Lock()
		w.crm.ready = nil
		w.crm.mu.Unlock()
		w.settle()
		w.wantStatus("c1", store.Synced)
	})
}

func TestAnswerLostAfterCommit(t *testing.T) {
	for _, unique := range []bool{true, false} {
		inWorld(t, func(w *world) {
			w.crm.unique = unique
			w.crm.lag = 20 * time.Second
			n := 0
			w.crm.fault = func(op string) (error, bool) {
				if op != "write" || n >= 2 {
					return nil, false
				}
				n++
				return &crm.Error{Kind: crm.Transient, Op: "write", Message: "connection reset"}, true
			}
			w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x", "task")))
			w.settle()
			w.wantStatus("c1", store.Synced)
			contact := w.wantLive("contacts", 1)[0]
			w.wantLive("calls", 1)
			w.wantLive("tasks", 1)
			for _, o := range []string{"calls", "tasks"} {
				if l := w.crm.records[w.crm.live(o)[0]].links; !slices.Equal(l, []crm.Ref{contact}) {
					t.Errorf("unique=%v: %s linked to %v", unique, o, l)
				}
			}
		})
	}
}

// A process may die after any of its journal updates: whatever it managed to do
// in the CRM is found again.
func TestCrashBetweenCommitAndJournal(t *testing.T) {
	for _, unique := range []bool{true, false} {
		for n := range int64(4) {
			inWorld(t, func(w *world) {
				w.crm.unique = unique
				w.crm.lag = 20 * time.Second
				w.stop()
				w.journal.dieIn.Store(n)
				w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x", "task")))
				w.start()
				w.crash(n)
				w.settle()
				w.wantStatus("c1", store.Synced)
				w.wantLive("contacts", 1)
				w.wantLive("calls", 1)
				w.wantLive("tasks", 1)
			})
		}
	}
}

func TestDeletedRecordsStayDeleted(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x", "task")))
		w.settle()
		w.crm.remove(w.wantLive("tasks", 1)[0])
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("y", "task, corrected")))
		w.settle()
		w.wantStatus("c1", store.Synced)
		w.wantLive("tasks", 0)
		w.resync(store.Request{Force: true}, "c1")
		w.wantLive("tasks", 0)
		w.resync(store.Request{Recreate: true}, "c1")
		w.wantProp(w.wantLive("tasks", 1)[0], "subject", "task, corrected")
		w.wantLive("calls", 1)
	})
}

func TestRecreateFindsWhatNobodyNoticed(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x", "task")))
		w.settle()
		w.crm.remove(w.wantLive("calls", 1)[0])
		w.resync(store.Request{Recreate: true}, "c1")
		w.wantLive("calls", 1)
		w.wantLive("tasks", 1)
	})
}

func TestDeletedContactIsReplaced(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "score", "1", "callResult", result("x")))
		w.settle()
		first := w.wantLive("contacts", 1)[0]
		w.crm.remove(first)
		w.deliver(call("c2", "phoneNumber", ann, "score", "2", "scheduledAt", "2025-02-01T00:00:00Z", "callResult", result("x")))
		w.settle()
		w.wantStatus("c2", store.Synced)
		if second := w.wantLive("contacts", 1)[0]; second == first {
			t.Error("the deleted contact is still in use")
		}
	})
}

func TestMergedContactIsFollowed(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "title", "1", "callResult", result("x")))
		w.settle()
		loser := w.wantLive("contacts", 1)[0]
		winner := crm.Ref{Object: "contacts", ID: "900"}
		w.crm.records[winner] = &fakeRecord{props: map[string]string{"title": "1"}}
		w.crm.records[loser].gone = true
		w.crm.records[loser].mergedTo = winner
		w.crm.records[w.crm.live("calls")[0]].links = []crm.Ref{winner} // the CRM moves associations along
		w.deliver(call("c2", "phoneNumber", ann, "title", "2", "scheduledAt", "2025-02-01T00:00:00Z", "callResult", result("x")))
		w.settle()
		w.wantLive("contacts", 1)
		w.wantProp(winner, "title", "2")
		w.crm.wrote()
		w.resync(store.Request{}, "c1", "c2")
		if got := w.changed(); got != "" {
			t.Errorf("after the merge a resync wrote %q", got)
		}
	})
}

func TestCorrectedNumberMovesTheCall(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x")))
		w.settle()
		w.deliver(call("c1", "phoneNumber", "+15551230002", "callResult", result("x")))
		w.settle()
		people := w.wantLive("contacts", 2)
		activity := w.wantLive("calls", 1)[0]
		if l := w.crm.records[activity].links; !slices.Equal(l, people[1:]) {
			t.Errorf("linked to %v, want %v alone", l, people[1])
		}
	})
}

func TestRelationsAreLinked(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "deal", "1", "callResult", result("x")))
		w.settle()
		links := w.crm.records[w.wantLive("calls", 1)[0]].links
		if len(links) != 2 || links[1].Object != "deals" {
			t.Errorf("links %v, want the contact and the deal", links)
		}
		w.crm.wrote()
		w.resync(store.Request{}, "c1")
		if got := w.changed(); got != "" {
			t.Errorf("resync wrote %q", got)
		}
	})
}

func TestPauseSurvivesRestart(t *testing.T) {
	inWorld(t, func(w *world) {
		if err := w.loop.Pause(w.t.Context(), "moving house"); err != nil {
			t.Fatal(err)
		}
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x")))
		time.Sleep(time.Hour)
		w.crash(-1)
		time.Sleep(time.Hour)
		w.wantLive("calls", 0)
		if h := w.loop.Health(); h.Phase != callsync.Paused || h.Reason != "moving house" {
			t.Errorf("health %+v", h)
		}
		if err := w.loop.Unpause(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		w.settle()
		w.wantLive("calls", 1)
	})
}

func TestDeliveryDuringSyncIsNotLost(t *testing.T) {
	inWorld(t, func(w *world) {
		revised := false
		w.crm.fault = func(op string) (error, bool) {
			if op == "write" && !revised {
				revised = true
				w.deliver(call("c1", "phoneNumber", ann, "callResult", result("second")))
			}
			return nil, false
		}
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("first")))
		w.settle()
		w.wantProp(w.wantLive("calls", 1)[0], "body", "second")
		if s := w.state("c1"); s.Revision != 2 || s.Status != store.Synced {
			t.Errorf("state %+v", s)
		}
	})
}

func TestFieldOfOneTypeOfPerson(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x")))
		w.deliver(call("c2", "lead", "1", "phoneNumber", "+15551230002", "callResult", result("x")))
		w.settle()
		w.wantProp(w.wantLive("contacts", 1)[0], "company", "")
		w.wantProp(w.wantLive("leads", 1)[0], "company", "unknown")
		plans, err := w.loop.Plan(w.t.Context(), []store.Work{{Call: store.Call{ID: "c3"}, Body: []byte(`{"callId":"c3","lead":"1","phoneNumber":"+15551230003"}`)}})
		if err != nil || !slices.ContainsFunc(plans[0].Person.Changes, func(c callsync.PropertyChange) bool { return c.Name == "company" }) {
			t.Errorf("plan %+v (%v) does not fill the lead's company", plans, err)
		}
	})
}
