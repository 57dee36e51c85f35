package storetest

import (
	"testing"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
)

// RunReopen tests that what was written is there when the journal is opened
// again. storage makes an empty one and returns what opens it, as often as it
// was closed.
func RunReopen(t *testing.T, storage func(t *testing.T) func(t *testing.T) store.Journal) {
	t.Run("Reopen", func(t *testing.T) {
		open := storage(t)
		f := start(t, open, "hubspot", "salesforce")
		person := store.Person{Properties: map[string]store.Applied{"firstname": applied("Jane", "a", at(1))}, Created: "a"}
		identity := store.Identity{Ref: contact("7"), How: "email", At: at(1)}
		mapping := store.MappingVersion{Version: "v1", Name: "hubspot.toml", Source: []byte("[contact]"), At: at(1)}

		f.accepted("a", at(0))
		f.accepted("b", at(1))
		f.deliver(delivery("a", julian.Busy, "corrected", at(2)))
		rejected := f.deliver(rejection("{", at(3)))
		f.finish("hubspot", "b", at(4))
		f.later("salesforce", "a", store.Replay, at(900))
		f.apply("hubspot", store.Update{
			Records:    map[string][]store.Record{"b": {record("b", "call")}},
			Identities: map[string]store.Identity{"email:j@example.com": identity},
			People:     map[crm.Ref]store.Person{contact("7"): person},
		})
		f.ok(f.PutMapping(f.ctx(), mapping))
		f.ok(f.Set(f.ctx(), "paused", "salesforce"))
		before := snapshot(f)
		f.ok(f.Close())

		f = start(t, open)
		after := snapshot(f)
		after.Stats.Bytes = before.Stats.Bytes
		same(t, "everything", after, before)
		same(t, "identity", f.identities("hubspot", "email:j@example.com"), map[string]store.Identity{"email:j@example.com": identity})
		same(t, "person", f.people("hubspot", contact("7")), map[crm.Ref]store.Person{contact("7"): person})
		body, err := f.Quarantined(f.ctx(), rejected.Seq)
		f.ok(err)
		if string(body) != "{" {
			t.Errorf("the quarantined body came back as %q", body)
		}
		m, err := f.Mapping(f.ctx(), "v1")
		f.ok(err)
		same(t, "mapping", m, mapping)
		paused, err := f.Get(f.ctx(), "paused")
		f.ok(err)
		if paused != "salesforce" {
			t.Errorf("setting: %q", paused)
		}

		f.accepted("c", at(5))
		if s := f.load("salesforce", "c").State; s.Status != store.Pending {
			t.Errorf("a new call is %q where it was enrolled before, want pending", s.Status)
		}
		if newest := f.deliveries(store.DeliveryFilter{Limit: 1})[0]; newest.Seq <= rejected.Seq {
			t.Errorf("seq %d after %d", newest.Seq, rejected.Seq)
		}
		if r := f.deliver(delivery("a", julian.GoalCompleted, "as first told", at(6))); r.Verdict != store.Stale {
			t.Errorf("an older revision again: %s, want stale", r.Verdict)
		}
	})
}

// A content is what a journal shows of itself.
type content struct {
	Stats      store.Stats
	Deliveries []store.Delivery
	Calls      []store.CallView
	Views      map[string][]store.Work
	Revisions  map[string][]store.Revision
	Due        map[string][]store.Due
}

func snapshot(f *fixture) content {
	f.t.Helper()
	c := content{
		Stats:      f.stats(),
		Deliveries: f.deliveries(store.DeliveryFilter{}),
		Calls:      f.calls(store.CallFilter{}),
		Views:      map[string][]store.Work{},
		Revisions:  map[string][]store.Revision{},
		Due:        map[string][]store.Due{},
	}
	var err error
	for _, v := range c.Calls {
		c.Views[v.ID], err = f.View(f.ctx(), v.ID)
		f.ok(err)
		c.Revisions[v.ID], err = f.Revisions(f.ctx(), v.ID)
		f.ok(err)
	}
	for destination := range c.Stats.Destinations {
		c.Due[destination], err = f.Due(f.ctx(), destination, noon.Add(time.Hour), 1000)
		f.ok(err)
	}
	return c
}
