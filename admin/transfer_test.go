package admin_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/store/bolt"
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

// An export that is older than what was delivered since, as when callsync moves to
// another machine, brings nothing older back; and one whose clock was set back
// between two revisions ends with the last.
func TestImportOfWhatIsOlder(t *testing.T) {
	w := newWorld(t)
	w.deliver(t, "call.moved", julian.Voicemail)
	line := func(id string, revision int, at time.Time, result julian.ResultType) string {
		return fmt.Sprintf(`{"callId":"%s","revision":%d,"at":"%s","body":{"callId":"%s","callResult":{"resultType":"%s"}}}`+"\n",
			id, revision, at.Format(time.RFC3339), id, result)
	}
	long := time.Now().Add(-48 * time.Hour).UTC()
	lines := line("call.moved", 1, long, julian.Busy) + line("call.moved", 2, long.Add(time.Minute), julian.GoalCompleted) +
		line("call.back", 1, long, julian.Busy) + line("call.back", 2, long.Add(-time.Hour), julian.GoalCompleted)
	answer, err := admin.InProcess(w.server).Import(t.Context(), strings.NewReader(lines))
	if err != nil || answer.Verdicts[store.Stale] != 2 || answer.Verdicts[store.Accepted] != 1 || answer.Verdicts[store.Revised] != 1 {
		t.Errorf("%+v, %v", answer, err)
	}
	for id, want := range map[string]julian.ResultType{"call.moved": julian.Voicemail, "call.back": julian.GoalCompleted} {
		if c, err := w.journal.Call(t.Context(), id); err != nil || c.ResultType != want {
			t.Errorf("%s is %s, %v, want %s", id, c.ResultType, err, want)
		}
	}
}

// A time that cannot be kept refuses its line, and the others are taken in.
func TestImportOfATimeThatCannotBeKept(t *testing.T) {
	w := newWorld(t)
	lines := `{"callId":"call.late","revision":1,"at":"9999-12-31T23:59:59-14:00","body":{"callId":"call.late","callResult":{"resultType":"busy"}}}
{"callId":"call.undone","revision":1,"undone":{"hubspot":"9999-12-31T23:59:59-14:00"},"body":{"callId":"call.undone","callResult":{"resultType":"busy"}}}
{"callId":"call.bare","callResult":{"resultType":"busy"}}
`
	answer, err := admin.InProcess(w.server).Import(t.Context(), strings.NewReader(lines))
	if err != nil {
		t.Fatal(err)
	}
	if answer.Verdicts[store.Accepted] != 1 || len(answer.Refused) != 2 || answer.Refused[0].Line != 1 || !strings.Contains(answer.Refused[0].Reason, "9999-12-31T23:59:59-14:00") {
		t.Errorf("%+v", answer)
	}
}

// unlisted is a journal whose list of calls cannot be read, nor anything be copied.
type unlisted struct{ *bolt.Journal }

func (unlisted) Backup(context.Context, io.Writer) error {
	return fmt.Errorf("%w: page 7; restore a backup", store.ErrDamaged)
}

func (unlisted) Calls(context.Context, store.CallFilter) iter.Seq2[store.CallView, error] {
	return func(yield func(store.CallView, error) bool) {
		yield(store.CallView{}, fmt.Errorf("%w: page 7; restore a backup", store.ErrDamaged))
	}
}

// An export or a backup that cannot begin says why.
func TestExportThatCannotBegin(t *testing.T) {
	w := newWorld(t)
	w.server = admin.New(admin.Options{Journal: unlisted{w.journal}})
	for name, c := range w.clients(t) {
		var out bytes.Buffer
		if _, err := c.Export(t.Context(), admin.Selection{}, &out); err == nil || !strings.Contains(err.Error(), "page 7; restore a backup") || out.Len() > 0 {
			t.Errorf("%s: %v, %q", name, err, &out)
		}
		if _, err := c.Backup(t.Context(), &out); err == nil || !strings.Contains(err.Error(), "page 7; restore a backup") || out.Len() > 0 {
			t.Errorf("%s: a backup: %v, %q", name, err, &out)
		}
	}
}
