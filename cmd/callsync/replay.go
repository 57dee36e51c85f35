package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/sync"
)

// lookAgain is how often a replay that is under way is looked at.
const lookAgain = 300 * time.Millisecond

// A replayWatch follows calls that the daemon syncs again. It only looks: the
// journal knows what is still to do, so whoever watches may leave, and the
// daemon may die, and the replay goes on where it was.
type replayWatch struct {
	a      *app
	ask    func(context.Context) (admin.Status, error)
	g      *progress
	before map[string]admin.DestinationStatus
	failed bool // every failed call was asked for
	whole  bool // every call of a destination was
	stale  []string
	most   int // the most calls that were left at any time
	// patience is how long it waits before it says for what, once; where there is a
	// bar, that says it.
	patience time.Duration
	since    time.Time
	told     bool
}

// unnoticed is how long nobody wonders what a command waits for.
const unnoticed = 3 * time.Second

// hopeless is the error of waiting for calls while the journal cannot be written: what
// becomes of them cannot be recorded, and so they do not become anything.
func (w *replayWatch) hopeless(s admin.Status, left int) error {
	why := s.Journal.Unwritable
	if why == "" {
		return nil
	}
	w.g.clear()
	why = strings.TrimPrefix(why, store.ErrUnavailable.Error()+": ")
	return fmt.Errorf("%w: %s; %s left, to be synced when it can", store.ErrUnavailable, why, count(left, "call"))
}

// wait lets some time pass before the next look.
func (w *replayWatch) wait(ctx context.Context, what string) {
	if w.since.IsZero() {
		w.since = now()
	}
	if !w.told && !w.g.bar && now().Sub(w.since) >= w.patience {
		w.told = true
		w.a.err.f("waiting for %s; the daemon goes on by itself if this is interrupted\n", what)
	}
	select {
	case <-ctx.Done():
	case <-time.After(lookAgain):
	}
}

// begin notes how things are before anything is asked for.
func (w *replayWatch) begin(ctx context.Context) error {
	s, err := w.ask(ctx)
	w.before, w.stale = byName(s), s.Stale
	return err
}

func byName(s admin.Status) map[string]admin.DestinationStatus {
	m := map[string]admin.DestinationStatus{}
	for _, d := range s.Destinations {
		m[d.Destination] = d
	}
	return m
}

// follow shows how far the replay is until it is over, or does not go on by
// itself, or the person has seen enough.
func (w *replayWatch) follow(ctx context.Context, requested map[string]int) error {
	names := slices.Sorted(maps.Keys(requested))
	for {
		s, err := w.ask(ctx)
		if ctx.Err() != nil {
			return w.leave(names)
		}
		if err != nil {
			w.g.clear()
			return fmt.Errorf("%w; what is left is synced when the daemon runs again", err)
		}
		now := byName(s)
		left, resting := 0, []string{}
		for _, name := range names {
			d := now[name]
			left += d.Backlog.Replay
			if d.Backlog.Replay > 0 && rests(d.Phase) {
				resting = append(resting, restText(d))
			}
		}
		if left == 0 {
			w.g.clear()
			return w.sum(requested, now)
		}
		if err := w.hopeless(s, left); err != nil {
			return err
		}
		if len(resting) > 0 && !w.g.bar {
			w.a.out.f("%s; %s left, which are synced when it goes on\n", strings.Join(resting, "; "), count(left, "call"))
			return nil
		}
		w.most = max(w.most, left)
		w.g.show("synced", w.most-left, w.most, strings.Join(resting, "; "))
		w.wait(ctx, fmt.Sprintf("%s to be synced to %s", count(left, "call"), strings.Join(names, " and ")))
	}
}

// followCalls waits until calls that were asked for by name have been tried, and
// says what came of each. It does not wait for a destination that rests.
func (w *replayWatch) followCalls(ctx context.Context, s *session, ids []string, requested map[string]int) error {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(requested)), func(name string) bool { return requested[name] == 0 })
	left, all := slices.Clone(ids), len(ids)
	var failed error
	for {
		// First the phases: whoever rests afterwards was given a last chance.
		status, err := w.ask(ctx)
		var page admin.Calls
		if err == nil {
			page, err = s.Calls(ctx, admin.Selection{IDs: left})
		}
		if ctx.Err() != nil {
			return w.leave(names)
		}
		if err != nil {
			w.g.clear()
			return fmt.Errorf("%w; what is left is synced when the daemon runs again", err)
		}
		left = left[:0:0]
		var waitsFor []string
		for _, call := range page.Calls {
			if under := underWay(call, names, now()); len(under) > 0 {
				left = append(left, call.ID)
				waitsFor = append(waitsFor, under...)
				continue
			}
			w.g.clear()
			failed = errors.Join(failed, printOutcome(w.a.out, call, names))
		}
		if len(left) == 0 {
			return failed
		}
		if err := w.hopeless(status, len(left)); err != nil {
			return err
		}
		if resting := restingOf(status, waitsFor); len(resting) > 0 {
			w.g.clear()
			w.a.out.f("%s; %s left, to be synced when it goes on\n", strings.Join(resting, "; "), count(len(left), "call"))
			return failed
		}
		w.g.show("synced", all-len(left), all, "")
		w.wait(ctx, fmt.Sprintf("%s to be synced to %s", most(left, 3), strings.Join(waited(waitsFor), " and ")))
	}
}

// waited names destinations once.
func waited(names []string) []string { return slices.Compact(slices.Sorted(slices.Values(names))) }

// soon is how far away an attempt may be that is waited for, and patient how many
// of them.
const (
	soon    = time.Minute
	patient = 8
)

// underWay names the destinations that have not tried a call yet, or go on with it
// soon: the attempt met no error, but something that has to be awaited, such as a
// CRM's search that lags.
func underWay(call store.CallView, names []string, at time.Time) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		s := call.States[name]
		goesOn := s.Status == store.Retrying && s.Problem == nil && s.Attempts <= patient && s.Next.Sub(at) < soon
		return s.Status != store.Pending && !goesOn
	})
}

// restingOf says why destinations do not take anything now.
func restingOf(s admin.Status, names []string) []string {
	var resting []string
	for _, d := range s.Destinations {
		if slices.Contains(names, d.Destination) && d.Phase != sync.Running {
			resting = append(resting, restText(d))
		}
	}
	return resting
}

// printOutcome says where a call stands that has just been synced again. The
// error is for a call that failed.
func printOutcome(p *printer, call store.CallView, names []string) (err error) {
	for _, name := range names {
		state, ok := call.States[name]
		if !ok {
			continue
		}
		p.f("%s to %s: %s", styled{call.ID, bold}, name, statusText(state.Status))
		if state.Status == store.Retrying && !state.Next.IsZero() {
			p.f(", next attempt %s", due(state.Next, now()))
		}
		p.f("\n")
		if state.Reason != "" {
			p.wrap("  ", styled{state.Reason, plain})
		}
		if state.Problem != nil {
			printProblem(p, state.Problem)
		}
		for _, warning := range state.Warnings {
			p.f("  %s %s\n", styled{"warning:", yellow}, warning)
		}
		if state.Status == store.Failed {
			err = errSilent
		}
	}
	return err
}

// rests reports whether a phase ends only when somebody does something.
func rests(p sync.Phase) bool { return p == sync.Paused || p == sync.Blocked || p == sync.Standby }

func restText(d admin.DestinationStatus) string {
	text := fmt.Sprintf("%s is %s", d.Destination, d.Phase)
	if d.Reason != "" {
		text += ": " + d.Reason
	}
	return text
}

func (w *replayWatch) leave(names []string) error {
	w.g.clear()
	w.a.err.f("no longer watching; the daemon goes on. `callsync status` says how far it is, `callsync pause %s` holds it.\n", strings.Join(names, " "))
	return nil
}

// whereAll says where all calls of a destination stand, but for those that failed or
// are tried again.
func whereAll(calls map[store.Status]int64) string {
	var parts []string
	for _, s := range []store.Status{store.Synced, store.Waiting, store.Skipped} {
		if n := calls[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "; " + strings.Join(parts, ", ")
}

// sum says how it ended. What was not asked for is told by the count before,
// which live calls change as well.
func (w *replayWatch) sum(requested map[string]int, now map[string]admin.DestinationStatus) error {
	var err error
	for _, name := range slices.Sorted(maps.Keys(requested)) {
		if requested[name] == 0 {
			continue
		}
		was, is := w.before[name].Calls, now[name].Calls
		w.a.out.f("%s: done", name)
		if w.whole {
			w.a.out.f("%s", whereAll(is))
		}
		if n := is[store.Retrying] - was[store.Retrying]; n > 0 {
			w.a.out.f("; %s tried again later", count(n, "call"))
		}
		n := is[store.Failed]
		if !w.failed {
			n -= was[store.Failed]
		}
		if n > 0 {
			w.a.out.f("; %s failed, see `callsync calls --state failed`", count(n, "call"))
			err = errSilent
		}
		w.a.out.f("\n")
	}
	return err
}
