package sync_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
	callsync "github.com/callsync/callsync/sync"
)

// wantDrift fails unless verifying calls finds the drifts, and nothing is
// written or recorded by it.
func (w *world) wantDrift(ids []string, want ...string) *callsync.Verified {
	w.t.Helper()
	before := w.works(ids...)
	w.crm.wrote()
	v, err := w.loop.Verify(w.t.Context(), ids)
	if err != nil {
		w.t.Fatal(err)
	}
	var got []string
	for _, d := range v.Drifts {
		line := fmt.Sprintf("%s %s %s", d.CallID, d.Record, d.Kind)
		if !d.Now.IsZero() {
			line += " " + d.Now.String()
		}
		for _, c := range d.Changes {
			line += fmt.Sprintf("; %s %s → %s %s", c.Name, c.Old, c.New, c.Note)
		}
		got = append(got, strings.TrimSpace(line))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("drift:\n%s", diff)
	}
	if wrote := w.changed(); wrote != "" {
		w.t.Errorf("verifying wrote %s", wrote)
	}
	if diff := cmp.Diff(before, w.works(ids...)); diff != "" {
		w.t.Errorf("verifying changed the journal:\n%s", diff)
	}
	return v
}

func (w *world) repair(v *callsync.Verified, recreate bool, want int) {
	w.t.Helper()
	n, err := w.loop.Repair(w.t.Context(), v.Drifts, recreate)
	if err != nil || n != want {
		w.t.Errorf("repair asked for %d calls, %v, want %d", n, err, want)
	}
	w.settle()
}

func TestVerify(t *testing.T) {
	inWorld(t, func(w *world) {
		w.crm.owners["bob"] = "77"
		w.deliver(
			call("c1", "phoneNumber", ann, "title", "CEO", "score", "hot", "note", "n", "host", "bob", "callResult", result("one", "task")),
			call("c2", "phoneNumber", "+15551230002", "score", "cold", "callResult", result("two")))
		w.settle()
		ids := []string{"c1", "c2"}
		v := w.wantDrift(ids)
		if v.Calls != 2 || v.Records != 3 || v.People != 2 || v.Busy != 0 {
			t.Errorf("verified %+v", v)
		}

		contact, task := w.wantLive("contacts", 2)[0], w.wantLive("tasks", 1)[0]
		activity := w.wantLive("calls", 2)[0]
		w.crm.edit(contact, "title", "CTO")
		w.crm.edit(contact, "score", "warm")
		w.crm.edit(activity, "body", "edited")
		w.crm.edit(activity, "note", "edited")
		w.crm.edit(activity, "owner", "78")
		w.crm.edit(activity, "theirs", "not ours to look at")
		w.crm.remove(task)
		changedCall := "c1 c1#call changed; body one → edited ; note n → edited kept: a person's value wins (if_unchanged); owner 77 → 78"
		v = w.wantDrift(ids,
			"c1 c1#action/0 missing", changedCall,
			"c1 contact changed; score hot → warm ; title CEO → CTO kept: a person's value wins (if_unchanged)")

		w.repair(v, false, 1)
		if got := sortedParts(w.changed()); got != "update calls body, update calls owner, update contacts score" {
			t.Errorf("the repair wrote %s", got)
		}
		w.wantProp(contact, "title", "CTO")
		w.wantProp(contact, "score", "hot")
		w.wantLive("tasks", 0)
		v = w.wantDrift(ids,
			"c1 c1#action/0 missing",
			"c1 c1#call changed; note n → edited kept: a person's value wins (if_unchanged)",
			"c1 contact changed; title CEO → CTO kept: a person's value wins (if_unchanged)")
		w.repair(v, false, 0)
		w.repair(v, true, 1)
		if got := sortedParts(w.changed()); got != "create tasks due, create tasks status, create tasks subject" {
			t.Errorf("the repair wrote %s", got)
		}

		// A person's edit that a replay respected is still listed.
		w.resync(store.Request{Force: true}, "c1")
		w.wantProp(contact, "title", "CTO")
		w.wantDrift(ids,
			"c1 c1#call changed; note n → edited kept: a person's value wins (if_unchanged)",
			"c1 contact changed; title CEO → CTO kept: a person's value wins (if_unchanged)")
	})
}

func sortedParts(s string) string {
	parts := strings.Split(s, ", ")
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

func TestVerifyPeopleWhoMoved(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "score", "hot", "callResult", result("one")))
		w.settle()
		contact := w.wantLive("contacts", 1)[0]
		survivor := crm.Ref{Object: "contacts", ID: "901"}
		w.crm.records[survivor] = &fakeRecord{props: map[string]string{"score": "hot", "phone": ann}}
		w.crm.records[contact].mergedTo, w.crm.records[contact].gone = survivor, true
		v := w.wantDrift([]string{"c1"}, "c1 contact merged contacts/901")
		w.repair(v, false, 1)
		w.wantDrift([]string{"c1"})
		if p := w.state("c1").Person; p.Ref != survivor {
			t.Errorf("the call belongs to %v", p.Ref)
		}

		w.crm.remove(survivor)
		v = w.wantDrift([]string{"c1"}, "c1 contact missing")
		w.repair(v, false, 0)
		w.wantLive("contacts", 0)
		w.repair(v, true, 1)
		anew := w.wantLive("contacts", 1)[0]
		w.wantProp(anew, "score", "hot")
		if links := w.crm.records[w.wantLive("calls", 1)[0]].links; !slices.Contains(links, anew) {
			t.Errorf("the call is linked to %v, not %v", links, anew)
		}
		w.wantDrift([]string{"c1"})
	})
}

// What callsync itself changes while it looks is no drift.
func TestVerifyBesideTheLoop(t *testing.T) {
	inWorld(t, func(w *world) {
		p := call("c1", "phoneNumber", ann, "score", "hot", "callResult", result("one"))
		w.deliver(p)
		w.settle()
		once := false
		w.crm.mu.Lock()
		w.crm.fault = func(op string) (error, bool) {
			if op == "read" && !once {
				once = true
				w.crm.mu.Unlock()
				p["score"], p["callResult"] = "warm", result("corrected")
				w.deliver(p)
				w.settle()
				w.crm.mu.Lock()
			}
			return nil, false
		}
		w.crm.mu.Unlock()
		v, err := w.loop.Verify(w.t.Context(), []string{"c1"})
		if err != nil || len(v.Drifts) > 0 {
			t.Errorf("drift %+v, %v", v.Drifts, err)
		}
		w.wantProp(w.wantLive("contacts", 1)[0], "score", "warm")

		if err := w.loop.Pause(w.t.Context(), "busy"); err != nil {
			t.Fatal(err)
		}
		w.deliver(call("c1", "phoneNumber", ann, "score", "cold", "callResult", result("one")))
		if v := w.wantDrift([]string{"c1", "unknown"}); v.Busy != 1 || v.Records != 0 || v.Calls != 1 {
			t.Errorf("verified %+v", v)
		}
	})
}

// What the CRM would not take is no drift, and no repair tries it again.
func TestVerifyKnowsWhatTheCRMLeftOut(t *testing.T) {
	inWorld(t, func(w *world) {
		w.crm.frozen = "body"
		w.deliver(call("c1", "phoneNumber", ann, "score", "hot", "callResult", result("one")))
		w.settle()
		w.deliver(call("c1", "phoneNumber", ann, "score", "hot", "note", "n", "callResult", result("corrected")))
		w.settle()
		activity := w.wantLive("calls", 1)[0]
		w.wantProp(activity, "body", "one")
		w.wantProp(activity, "note", "n")
		if a := w.works("c1")[0].Records["c1#call"].Properties["body"]; !strings.Contains(a.Kept, "only when the record is created") {
			t.Errorf("the journal has %+v", a)
		}
		w.wantDrift([]string{"c1"})
	})
}

func TestVerifyLooksAwayFromUndoneCalls(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "score", "hot", "callResult", result("one")))
		w.settle()
		w.crm.wrote()
		w.undo("c1")
		w.wantDrift([]string{"c1"})
	})
}
