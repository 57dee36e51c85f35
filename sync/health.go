package sync

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/callsync/callsync/crm"
)

// Health says how the loop is doing.
func (l *Loop) Health() Health {
	l.mu.Lock()
	h := l.health
	if p := l.pause; p != nil {
		paused := pausedHealth(*p)
		paused.Destination, paused.Type, paused.LastSync = h.Destination, h.Type, h.LastSync
		h = paused
	}
	l.mu.Unlock()
	if h.Kind == crm.OtherAccount { // it is looked at again, but that takes a person
		h.Until = time.Time{}
	}
	h.CRM = l.destination.Status()
	h.Mapping = l.mapping().Version()
	return h
}

// A pause is how a person's pause is kept across restarts.
type pause struct {
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
}

func (l *Loop) pauseName() string { return "pause/" + l.name }

// Pause stops the loop after the batch in flight, also across restarts, until
// Unpause. Calls keep being journalled.
func (l *Loop) Pause(ctx context.Context, reason string) error {
	p := pause{Reason: reason, Since: l.now()}
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := l.journal.Set(ctx, l.pauseName(), string(text)); err != nil {
		return err
	}
	l.setPause(&p)
	return nil
}

func (l *Loop) setPause(p *pause) {
	l.mu.Lock()
	l.pause = p
	l.mu.Unlock()
	if p != nil {
		l.log.Info("destination paused", "phase", Paused, "reason", p.Reason)
	}
	l.wakeUp()
}

// Unpause lets the loop go on. It also ends the waiting of a blocked or broken
// destination: somebody mended it. A running one is asked first whether its account
// may be used and is set up.
func (l *Loop) Unpause(ctx context.Context) error {
	if err := l.journal.Set(ctx, l.pauseName(), ""); err != nil {
		return err
	}
	l.mu.Lock()
	l.trips = 0
	other := l.health.Phase == Blocked && l.health.Kind == crm.OtherAccount
	l.mu.Unlock()
	var err error
	if other || l.running.Load() {
		ask, cancel := context.WithTimeout(ctx, askFor)
		err = l.fit(ask)
		cancel()
	}
	if unfit(err) {
		l.trouble(err)
	} else {
		l.enter(Health{Phase: Running})
	}
	l.setPause(nil)
	return nil
}

// askFor is how long somebody who unpauses a destination waits for its answer.
const askFor = 10 * time.Second

func pausedHealth(p pause) Health {
	reason := p.Reason
	if reason == "" {
		reason = "paused by a person"
	}
	return Health{Phase: Paused, Reason: reason, Hint: "`callsync unpause` lets it go on", Since: p.Since}
}

// Restore takes up a pause from before a restart, as Run does; it is for loops
// that are only asked.
func (l *Loop) Restore(ctx context.Context) error {
	text, err := l.journal.Get(ctx, l.pauseName())
	if err != nil || text == "" {
		return err
	}
	var p pause
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return journalError("read the pause", err)
	}
	l.setPause(&p)
	return nil
}

// enter moves to a phase; what the phase does not say is kept.
func (l *Loop) enter(h Health) {
	l.mu.Lock()
	old := l.health
	h.Destination, h.Type, h.LastSync = old.Destination, old.Type, old.LastSync
	if h.Since.IsZero() {
		h.Since = l.now()
		if h.Phase == old.Phase {
			h.Since = old.Since
		}
	}
	l.health = h
	l.mu.Unlock()
	if h.Phase != old.Phase || h.Reason != old.Reason {
		l.tell(h)
	}
	l.wakeUp()
}

// tell logs a phase that began, as a warning where nothing is synced in it.
func (l *Loop) tell(h Health) {
	level, more := slog.LevelInfo, []any{"phase", h.Phase}
	if h.Phase == Blocked || h.Phase == Broken {
		level = slog.LevelWarn
	}
	if h.Reason != "" {
		more = append(more, "reason", h.Reason, "hint", h.Hint)
	}
	if !h.Until.IsZero() {
		more = append(more, "until", h.Until)
	}
	l.log.Log(context.Background(), level, "destination "+string(h.Phase), more...)
}

func (l *Loop) wakeUp() {
	select {
	case l.nudge <- struct{}{}:
	default:
	}
}

// resting reports whether the loop must not touch the CRM now, and for how long.
func (l *Loop) resting() (time.Duration, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pause != nil {
		return poll, true
	}
	switch l.health.Phase {
	case Blocked, Broken:
		d := l.health.Until.Sub(l.now())
		return min(d, poll), d > 0
	}
	return 0, false
}

// probing reports whether the destination failed and has not taken anything since.
func (l *Loop) probing() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.health.Phase == Blocked || l.health.Phase == Broken
}

// trip counts a failure of the destination as a whole.
func (l *Loop) trip() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trips++
	return l.trips
}

const (
	minBlock = 5 * time.Second // a probe of a destination that a person has to mend
	maxBlock = 2 * time.Minute
	// maxQuota is how long a spent quota is left alone: it may be raised long
	// before the midnight at which it starts anew.
	maxQuota = 15 * time.Minute
	// firstQuota is the same after the first refusal, also the first since somebody
	// unpaused the destination: a connector that asked just before does not ask again
	// at once.
	firstQuota = time.Minute
)

// trouble stops the destination for a while: until a person has mended it, or
// until it answers again. It is probed with growing pauses.
func (l *Loop) trouble(err error) {
	n := l.trip()
	h := Health{Phase: Broken, Reason: err.Error(), Kind: crm.KindOf(err)}
	var e *crm.Error
	if errors.As(err, &e) {
		h.Hint = e.Hint
	}
	wait := min(l.backoff(n), maxBlock)
	if blocks(err) {
		h.Phase = Blocked
		wait = min(maxBlock, minBlock<<min(n-1, 6))
	}
	if d := retryAfter(err); d > wait || d > 0 && !blocks(err) {
		wait = d
	}
	wait = min(wait, farthest)
	if blocks(err) {
		wait = min(wait, maxQuota)
		if n == 1 {
			wait = min(wait, firstQuota)
		}
	}
	h.Until = l.now().Add(wait)
	l.enter(h)
}

// recovered notes a round that the CRM took.
func (l *Loop) recovered() {
	l.mu.Lock()
	l.trips = 0
	l.health.LastSync = l.now()
	old := l.health.Phase
	l.mu.Unlock()
	if old != Running {
		l.enter(Health{Phase: Running})
	}
}
