package sync_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// live plans a call against the CRM, fails when that wrote or recorded anything,
// and lists the changes as "what property: old → new (note)".
func (w *world) live(id string) []string {
	w.t.Helper()
	before := w.works(id)
	plans, err := w.loop.PlanLive(w.t.Context(), before)
	if err != nil {
		w.t.Fatal(err)
	}
	if got := w.crm.wrote(); len(got) > 0 {
		w.t.Errorf("a plan wrote %v", got)
	}
	if diff := cmp.Diff(before[0].State, w.works(id)[0].State); diff != "" {
		w.t.Errorf("a plan changed the state:\n%s", diff)
	}
	p := plans[0]
	lines := []string{fmt.Sprintf("person %s %s", p.Person.Op, p.Person.Ref)}
	for _, c := range p.Person.Changes {
		lines = append(lines, fmt.Sprintf("  %s: %s → %s (%s)", c.Name, c.Old, c.New, c.Note))
	}
	for _, r := range p.Records {
		lines = append(lines, fmt.Sprintf("%s %s (%s)", r.Key, r.Op, r.Note))
		for _, c := range r.Changes {
			lines = append(lines, fmt.Sprintf("  %s: %s → %s (%s)", c.Name, c.Old, c.New, c.Note))
		}
	}
	return append(lines, p.Warnings...)
}

func TestPlanLive(t *testing.T) {
	inWorld(t, func(w *world) {
		old := crm.Ref{Object: "contacts", ID: "900"}
		w.crm.records[old] = &fakeRecord{props: map[string]string{"email": "ann@example.com", "score": "cold", "title": "CTO"}}
		if err := w.loop.Pause(w.t.Context(), "planning"); err != nil {
			t.Fatal(err)
		}
		want := func(id string, want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, w.live(id)); diff != "" {
				t.Errorf("live plan of %s:\n%s", id, diff)
			}
		}
		w.deliver(call("c1", "email", "ann@example.com", "title", "CEO", "score", "hot", "first", "Ann", "host", "bob@example.com", "callResult", result("hi")))
		want("c1",
			"person update contacts/900",
			"  email: ann@example.com → ann@example.com (not written: the CRM had this value already)",
			"  first:  → Ann ()",
			"  title: CTO → CEO (not written: the CRM already had a value)",
			"  score: cold → hot ()",
			"c1#call create ()",
			"  body:  → hi ()",
			"  owner:  → owner bob@example.com (not written: the owner is not known in the CRM; left without)",
			`owner: the owner is not known in the CRM; left without`,
		)

		// What the plan says is what a round does.
		if err := w.loop.Unpause(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		w.settle()
		w.wantProp(old, "first", "Ann")
		w.wantProp(old, "title", "CTO")
		w.wantProp(old, "score", "hot")
		w.crm.wrote()
		want("c1", "person none contacts/900", "c1#call none ()",
			`  owner:  → owner bob@example.com (not written: the owner is not known in the CRM; left without)`,
			`owner: the owner is not known in the CRM; left without`)

		// A correction, after a person's hand in the CRM.
		if err := w.loop.Pause(w.t.Context(), "planning"); err != nil {
			t.Fatal(err)
		}
		activity := w.wantLive("calls", 1)[0]
		w.crm.edit(activity, "body", "edited")
		w.crm.edit(old, "first", "Annie")
		w.deliver(call("c1", "email", "ann@example.com", "title", "CEO", "score", "hotter", "first", "Ann", "note", "n", "callResult", result("bye")))
		want("c1",
			"person update contacts/900",
			"  score: hot → hotter ()",
			"c1#call update ()",
			"  body: edited → bye ()",
			"  note:  → n ()")
		w.crm.remove(activity)
		want("c1",
			"person update contacts/900",
			"  score: hot → hotter ()",
			"c1#call none (deleted in the CRM; stays deleted unless resynced with --recreate)",
			"c1#call was deleted in the CRM and stays deleted; `callsync resync --recreate` makes it anew")

		// Somebody unknown would be created; a call that was undone would not be written.
		w.deliver(call("c2", "phoneNumber", ann, "callResult", result("x")))
		if plans, err := w.loop.PlanLive(w.t.Context(), w.works("c2")); err != nil || plans[0].Person.Op != crm.Create || plans[0].Person.Object != "contacts" {
			t.Errorf("plan for somebody unknown: %+v, %v", plans, err)
		}
		w.wantLive("contacts", 1)
		w.wantStatus("c2", store.Pending)
	})
}
