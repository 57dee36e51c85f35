package admin_test

import (
	"strings"
	"testing"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/sync"
)

func TestWhatACallWaitsFor(t *testing.T) {
	until := time.Now().Add(time.Hour).UTC().Round(0)
	for _, x := range []struct {
		name   string
		health sync.Health
		next   time.Time
		lane   store.Lane
		want   string
	}{
		{"paused", sync.Health{Phase: sync.Paused, Reason: "moving house"}, time.Time{}, store.Live, "hubspot is paused"},
		{"not set up", sync.Health{Phase: sync.Blocked, Kind: crm.NotReady, Hint: "run it"}, time.Time{}, store.Live, "hubspot is not set up"},
		{"quota", sync.Health{Phase: sync.Blocked, Kind: crm.Quota, Until: until}, time.Time{}, store.Live, "hubspot has spent its quota"},
		{"credentials", sync.Health{Phase: sync.Blocked, Kind: crm.Credential, Since: until}, time.Time{}, store.Live, "hubspot refuses callsync's credentials"},
		{"another account", sync.Health{Phase: sync.Blocked, Kind: crm.OtherAccount, Hint: "unpause"}, time.Time{}, store.Live, "hubspot is for another account"},
		{"broken", sync.Health{Phase: sync.Broken, Kind: crm.Transient, Reason: "503"}, time.Time{}, store.Live, "hubspot does not answer as it should"},
		{"standby", sync.Health{Phase: sync.Standby}, time.Time{}, store.Live, "hubspot is standby"},
		{"next attempt", sync.Health{Phase: sync.Running}, until, store.Live, "next attempt is not due"},
		{"replay", sync.Health{Phase: sync.Running}, time.Time{}, store.Replay, "behind calls that come in"},
		{"its turn", sync.Health{Phase: sync.Running}, time.Time{}, store.Live, "it is being synced"},
	} {
		t.Run(x.name, func(t *testing.T) {
			w := newWorld(t)
			w.loop.health = x.health
			w.deliver(t, "call.1", julian.Voicemail)
			work, err := w.journal.Load(t.Context(), "hubspot", []string{"call.1"})
			if err != nil {
				t.Fatal(err)
			}
			state := work[0].State
			state.Status, state.Next, state.Lane = store.Retrying, x.next, x.lane
			w.update(t, "call.1", state)
			for name, c := range w.clients(t) {
				d, err := c.Call(t.Context(), "call.1", false)
				if err != nil {
					t.Fatal(err)
				}
				h := d.Destinations[0].Hold
				if h == nil || !strings.Contains(h.Text, x.want) {
					t.Fatalf("%s: %+v", name, h)
				}
				rests := x.health.Phase != sync.Running
				if rests && (h.Phase != x.health.Phase || h.Reason != x.health.Reason || h.Hint != x.health.Hint || !h.Until.Equal(x.health.Until) || !h.Since.Equal(x.health.Since)) {
					t.Errorf("%s: %+v of %+v", name, h, x.health)
				}
				if !rests && !h.Until.Equal(x.next) {
					t.Errorf("%s: until %s, not %s", name, h.Until, x.next)
				}
			}
			state.Status = store.Failed
			w.update(t, "call.1", state)
			for _, c := range w.clients(t) {
				if d, err := c.Call(t.Context(), "call.1", false); err != nil || d.Destinations[0].Hold != nil {
					t.Errorf("a call that failed waits for %+v, %v", d.Destinations[0].Hold, err)
				}
			}
		})
	}
}

func (w *world) update(t *testing.T, id string, state store.State) {
	t.Helper()
	if err := w.journal.Apply(t.Context(), "hubspot", store.Update{States: map[string]store.State{id: state}}); err != nil {
		t.Fatal(err)
	}
}
