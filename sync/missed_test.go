package sync_test

import (
	"slices"
	"testing"

	"github.com/callsync/callsync/crm"
)

// The CRM says that somebody is gone only when a record is linked to them,
// because nothing of themselves had to be read. They were merged into somebody
// whom no match value leads to, and must be followed all the same.
func TestSomebodyMissedIsFollowed(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "title", "1", "callResult", result("x")))
		w.settle()
		loser := w.wantLive("contacts", 1)[0]
		winner := crm.Ref{Object: "contacts", ID: "900"}
		w.crm.records[winner] = &fakeRecord{props: map[string]string{"title": "1"}}
		w.crm.records[loser].gone = true
		w.crm.records[loser].mergedTo = winner
		w.crm.records[w.crm.live("calls")[0]].links = []crm.Ref{winner}
		w.crm.refuse = func(c crm.Change) error {
			if slices.Contains(c.Link, loser) {
				return &crm.Error{Kind: crm.Gone, Op: "link", Message: "entity is deleted"}
			}
			return nil
		}
		w.deliver(call("c2", "phoneNumber", ann, "title", "1", "callResult", result("x")))
		w.settle()
		w.wantLive("contacts", 1)
		for _, activity := range w.wantLive("calls", 2) {
			if l := w.crm.records[activity].links; !slices.Equal(l, []crm.Ref{winner}) {
				t.Errorf("%v is linked to %v, want %v", activity, l, winner)
			}
		}
	})
}
