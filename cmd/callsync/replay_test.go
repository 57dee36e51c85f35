package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/sync"
)

// statusOf is a daemon's status with one destination.
func statusOf(phase sync.Phase, replay int, calls map[store.Status]int64) admin.Status {
	d := admin.DestinationStatus{Backlog: store.Backlog{Replay: replay, Live: 3}, Calls: calls}
	d.Destination, d.Phase = "hubspot", phase
	if phase == sync.Paused {
		d.Reason = "paused by a person"
	}
	return admin.Status{Daemon: true, Destinations: []admin.DestinationStatus{d}}
}

// TestReplayIsWatched follows a replay through what a daemon says of it.
func TestReplayIsWatched(t *testing.T) {
	counts := func(failed, retrying int64) map[store.Status]int64 {
		return map[store.Status]int64{store.Failed: failed, store.Retrying: retrying}
	}
	running := func(replay int) admin.Status { return statusOf(sync.Running, replay, counts(0, 0)) }
	gone := errors.New("no daemon is running")
	full := running(9)
	full.Journal.Unwritable = "the journal cannot be written: no space left on device"
	const waits = "waiting for 9 calls to be synced to hubspot; the daemon goes on by itself if this is interrupted\n"
	for _, x := range []struct {
		name      string
		says      []admin.Status
		then      error // of asking once more
		interrupt bool  // when all has been said
		fails     bool
		out, err  string
	}{
		{name: "to its end", says: []admin.Status{running(0), running(9), running(7), running(0)}, out: "hubspot: done\n", err: waits},
		{name: "over before it could be watched", says: []admin.Status{running(0), running(0)}, out: "hubspot: done\n"},
		{name: "with failures", says: []admin.Status{statusOf(sync.Running, 0, counts(2, 1)), running(9), statusOf(sync.Running, 0, counts(5, 2))}, fails: true, err: waits,
			out: "hubspot: done; 1 call tried again later; 3 calls failed, see `callsync calls --state failed`\n"},
		{name: "paused", says: []admin.Status{running(0), running(9), statusOf(sync.Paused, 8, nil)}, err: waits,
			out: "hubspot is paused: paused by a person; 8 calls left, which are synced when it goes on\n"},
		{name: "the journal cannot be written", says: []admin.Status{running(0), running(9), full}, then: store.ErrUnavailable, fails: true, err: waits},
		{name: "the daemon ends", says: []admin.Status{running(0), running(9)}, then: gone, fails: true, err: waits},
		{name: "interrupted", says: []admin.Status{running(0), running(9)}, interrupt: true,
			err: waits + "no longer watching; the daemon goes on. `callsync status` says how far it is, `callsync pause hubspot` holds it.\n"},
	} {
		t.Run(x.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var out, stderr bytes.Buffer
			a := &app{out: newPrinter(&out), err: newPrinter(&stderr)}
			ask := func(ctx context.Context) (s admin.Status, err error) {
				if len(x.says) == 0 {
					if x.interrupt {
						cancel()
						return s, ctx.Err()
					}
					return s, x.then
				}
				s, x.says = x.says[0], x.says[1:]
				return s, nil
			}
			w := replayWatch{a: a, ask: ask, g: newProgress(a.err)}
			if err := w.begin(ctx); err != nil {
				t.Fatal(err)
			}
			err := w.follow(ctx, map[string]int{"hubspot": 50})
			if (err != nil) != x.fails || x.then != nil && !errors.Is(err, x.then) {
				t.Errorf("error %v", err)
			}
			if out.String() != x.out || stderr.String() != x.err {
				t.Errorf("printed\n%s%s", out.String(), stderr.String())
			}
		})
	}
}

// TestProgressOnATerminal draws a bar over itself and takes it away again.
func TestProgressOnATerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	var b bytes.Buffer
	g := newProgress(&printer{w: &b, width: 60})
	for _, step := range []struct {
		done, of int
		note     string
	}{{0, 0, ""}, {25, 100, ""}, {50, 100, "hubspot is paused: \x1b[31mby a person who says much"}, {120, 100, ""}} {
		g.last = g.last.Add(-redraw)
		g.show("synced", step.done, step.of, step.note)
	}
	g.show("synced", 99, 100, "") // too soon
	g.clear()
	g.clear()
	lines := strings.Split(b.String(), "\r\x1b[K")
	want := []string{"", "synced 0",
		"[======                  ] synced 25 of 100, 25%",
		`[============            ] synced 50 of 100, 50%, hubspot …`,
		"[========================] synced 120 of 100, 100%", ""}
	if fmt.Sprintf("%q", lines) != fmt.Sprintf("%q", want) {
		t.Errorf("drew\n%q", lines)
	}
}

func TestExamplesShowWhatIsDifferent(t *testing.T) {
	plan := func(id string, names ...string) sync.CallPlan {
		r := sync.RecordPlan{Object: "calls", Op: crm.Update}
		for _, n := range names {
			r.Changes = append(r.Changes, sync.PropertyChange{Name: n})
		}
		return sync.CallPlan{CallID: id, Person: sync.PersonPlan{Op: sync.None}, Records: []sync.RecordPlan{r}}
	}
	failed := sync.CallPlan{CallID: "failed", Status: store.Failed, Reason: "m.toml:3:1: no", Person: sync.PersonPlan{Op: sync.None}}
	plans := []sync.CallPlan{plan("1", "title"), plan("2", "title"), plan("3", "title", "body"), failed, plan("5", "body"), failed}
	for n, want := range map[int]string{0: "", 2: "1 3", 4: "1 3 failed 2", 99: "1 3 failed 2 5 failed"} {
		var got []string
		for _, p := range chooseExamples(plans, n) {
			got = append(got, p.CallID)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%d examples: %v, want %s", n, got, want)
		}
	}
}
