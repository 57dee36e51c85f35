package admin_test

import (
	"strings"
	"testing"
	"time"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
)

// A year that is taken in neither holds live calls up nor makes anything late,
// and keeps its times.
func TestImportIsBulk(t *testing.T) {
	w := newWorld(t)
	begun := time.Now()
	lines := `{"callId":"call.old","revision":1,"at":"2024-05-06T07:08:09Z","body":{"callId":"call.old","callResult":{"resultType":"busy"}}}
{"callId":"call.bare","callResult":{"resultType":"busy"}}
`
	answer, err := admin.InProcess(w.server).Import(t.Context(), strings.NewReader(lines))
	if err != nil || answer.Verdicts[store.Accepted] != 2 {
		t.Fatalf("%+v, %v", answer, err)
	}
	w.deliver(t, "call.live", julian.Voicemail)
	due, err := w.journal.Due(t.Context(), "hubspot", time.Now(), 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(due) != 3 || due[0].CallID != "call.live" || due[1].Lane != store.Replay {
		t.Errorf("due %+v, want the live call first", due)
	}
	stats, err := w.journal.Stats(t.Context())
	if err != nil || stats.Oldest["hubspot"].Before(begun.Truncate(time.Second)) {
		t.Errorf("the oldest call has been wanted since %v, %v; want since the import", stats.Oldest["hubspot"], err)
	}
	c, err := w.journal.Call(t.Context(), "call.old")
	if err != nil || c.ReceivedAt.Year() != 2024 {
		t.Errorf("received %v, %v", c.ReceivedAt, err)
	}
}
