package hubspot_test

import (
	"testing"

	"github.com/callsync/callsync/crm"
)

func TestWriteCreates(t *testing.T) {
	for _, api := range []string{"2026-03", "v3"} {
		t.Run(api, func(t *testing.T) {
			p := open(t, func(_ *simOptions, s *crm.Settings) { s.API = api })
			ann := p.write(contact("+15551234567", "ann@example.com"))[0]
			p.sim.ResetCounters()
			var changes []crm.Change
			for i := range 100 {
				changes = append(changes, call(i, ann))
			}
			ids := p.write(changes...)
			for i, id := range ids {
				got := p.props("calls", id, "callsync_key", "hs_timestamp")
				if got["callsync_key"] != changes[i].Key {
					t.Fatalf("change %d was answered with the record of %s", i, got["callsync_key"])
				}
			}
			if got := p.sim.Counts()["calls batch create"].Requests; got != 1 {
				t.Errorf("100 creates took %d requests", got)
			}
		})
	}
}
