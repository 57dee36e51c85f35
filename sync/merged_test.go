package sync_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// merge has a person merge two contacts in the CRM.
func (f *fakeCRM) merge(loser, winner crm.Ref) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records[loser].gone, f.records[loser].mergedTo = true, winner
	for _, rec := range f.records {
		if i := slices.Index(rec.links, loser); i >= 0 {
			rec.links[i] = winner
		}
	}
}

// Two contacts were merged, and calls of both are synced together: what earlier
// calls had wanted of the loser is not forgotten over it.
func TestMergedAmidCallsOfBoth(t *testing.T) {
	for name, fields := range map[string][2]string{"noticed at once": {"CEO", "CFO"}, "noticed late": {"", ""}} {
		for _, order := range []string{"loser first", "winner first"} {
			t.Run(name+", "+order, func(t *testing.T) {
				inWorld(t, func(w *world) {
					w.deliver(call("c1", "phoneNumber", ann, "score", "optedout", "callResult", result("x")))
					w.settle()
					w.deliver(call("c2", "phoneNumber", bob, "callResult", result("x")))
					w.settle()
					loser, winner := w.state("c1").Person.Ref, w.state("c2").Person.Ref
					w.crm.merge(loser, winner)
					w.crm.refuse = func(c crm.Change) error {
						if slices.Contains(c.Link, loser) {
							return &crm.Error{Kind: crm.Gone, Op: "link", Message: "entity is deleted"}
						}
						return nil
					}
					late := []payload{
						call("c3", "scheduledAt", "2024-02-01T00:00:00Z", "phoneNumber", ann, "score", "old", "title", fields[0], "callResult", result("x")),
						call("c4", "scheduledAt", "2024-01-01T00:00:00Z", "phoneNumber", bob, "score", "older", "title", fields[1], "callResult", result("x")),
					}
					if order == "winner first" {
						slices.Reverse(late)
					}
					w.deliver(late...)
					w.settle()
					w.wantProp(winner, "score", "optedout")
					w.deliver(call("c1", "phoneNumber", "+15551230003", "callResult", result("x")))
					w.settle()
					w.wantProp(winner, "score", "old")
				})
			})
		}
	}
}

// A searchingCRM finds merged contacts by the values they had, as Salesforce
// finds converted leads.
type searchingCRM struct{ *fakeCRM }

func (c searchingCRM) FindPeople(_ context.Context, queries []crm.PersonQuery) ([][]crm.Candidate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([][]crm.Candidate, len(queries))
	for i, q := range queries {
		for _, ref := range c.sorted() {
			rec, asked := c.records[ref], ""
			if !rec.mergedTo.IsZero() {
				asked, ref = ref.ID, rec.mergedTo
			}
			for _, m := range q.Match {
				if m.Kind != crm.MatchID && rec.props[m.Property] == m.Value {
					out[i] = append(out[i], crm.Candidate{Ref: ref, Asked: asked, Rule: m.Rule, Exact: true})
					break
				}
			}
		}
	}
	return out, nil
}

func TestMergedAndFoundBySearch(t *testing.T) {
	inWorld(t, func(w *world) {
		w.runOn(searchingCRM{w.crm})
		loser, winner := crm.Ref{Object: "contacts", ID: "900"}, crm.Ref{Object: "contacts", ID: "901"}
		w.crm.records[loser] = &fakeRecord{props: map[string]string{"phone": ann, "email": "ann@example.com"}}
		w.crm.records[winner] = &fakeRecord{props: map[string]string{}}
		w.deliver(call("c1", "phoneNumber", ann, "score", "optedout", "callResult", result("x")))
		w.settle()
		w.crm.merge(loser, winner)
		w.crm.edit(winner, "score", "optedout")
		w.deliver(call("c2", "scheduledAt", "2024-02-01T00:00:00Z", "email", "ann@example.com", "score", "old", "callResult", result("x")))
		w.settle()
		w.wantStatus("c2", store.Synced)
		w.wantProp(winner, "score", "optedout")
	})
}

// Repairing what was merged and what was changed forgets neither.
func TestRepairAfterAMerge(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c0", "scheduledAt", "2024-06-01T00:00:00Z", "phoneNumber", ann, "score", "middle", "callResult", result("x")))
		w.settle()
		w.deliver(call("c1", "phoneNumber", ann, "score", "optedout", "callResult", result("x")))
		w.settle()
		w.deliver(call("c2", "scheduledAt", "2024-01-01T00:00:00Z", "phoneNumber", bob, "score", "old", "callResult", result("x")))
		w.settle()
		loser, winner := w.state("c1").Person.Ref, w.state("c2").Person.Ref
		w.crm.merge(loser, winner)
		w.crm.edit(winner, "score", "somebody's")
		v, err := w.loop.Verify(w.t.Context(), []string{"c1", "c2"})
		if err != nil {
			t.Fatal(err)
		}
		if len(v.Drifts) != 2 {
			t.Fatalf("drifts %+v, want one merged and one changed", v.Drifts)
		}
		if _, err := w.loop.Repair(w.t.Context(), v.Drifts, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		w.settle()
		w.wantProp(winner, "score", "optedout")
		w.deliver(call("c1", "phoneNumber", "+15551230003", "callResult", result("x")))
		w.settle()
		w.wantProp(winner, "score", "middle")
	})
}

// A call that was first with somebody who was merged twice stays with whom they
// are now, and nothing of it is taken from them under an id of before.
func TestMergedTwice(t *testing.T) {
	inWorld(t, func(w *world) {
		carl := "+15551230009"
		for id, phone := range map[string]string{"c1": ann, "c2": bob, "c3": carl} {
			w.deliver(call(id, "phoneNumber", phone, "title", "CEO", "callResult", result("x")))
		}
		w.settle()
		a, b, c := w.state("c1").Person.Ref, w.state("c2").Person.Ref, w.state("c3").Person.Ref
		w.crm.merge(a, b)
		w.deliver(call("c4", "phoneNumber", ann, "title", "CFO", "callResult", result("x")))
		w.settle()
		w.crm.merge(b, c)
		w.deliver(call("c5", "phoneNumber", ann, "title", "COO", "callResult", result("x")))
		w.settle()
		w.crm.wrote()
		w.deliver(call("c1", "phoneNumber", ann, "title", "CEO", "callResult", result("corrected")))
		w.settle()
		for _, change := range w.crm.wrote() {
			if len(change.Link)+len(change.Unlink) > 0 {
				t.Errorf("%s %s was linked to %v, and its links to %v were taken away", change.Object, change.ID, change.Link, change.Unlink)
			}
		}
	})
}
