package alert

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/callsync/callsync/admin"
)

// Settings say to whom messages go, and when.
type Settings struct {
	To []Sender
	// Wait is how long a problem must last before it is told, and be gone before
	// it is called over; what comes up meanwhile goes into the same message.
	Wait time.Duration
	// Interval is the least time between two messages to one receiver.
	Interval time.Duration
	// Repeat is after how long a problem that lasts is told again; 0: never.
	Repeat time.Duration
	Limits Limits
}

// Options make an [Engine].
type Options struct {
	Settings
	// Source says how the daemon is doing. Its error is a problem by itself.
	Source func(context.Context) (admin.Status, error)
	Memory Memory
	Host   string // names the machine in messages
	Logger *slog.Logger
	Now    func() time.Time // nil means time.Now
	// Observe is called after each attempt to send; nil means not at all.
	Observe func(service string, err error)
}

// A Memory keeps what has been said across restarts; the journal is one. Get
// answers "" for a name never set.
type Memory interface {
	Get(ctx context.Context, name string) (string, error)
	Set(ctx context.Context, name, value string) error
}

// memoryName is under which name the memory knows what has been said.
const memoryName = "alerts"

// An Engine watches and tells. Its methods may be called concurrently.
type Engine struct {
	o    Options
	log  *slog.Logger
	now  func() time.Time
	next atomic.Pointer[Settings] // to be adopted
	wake chan struct{}

	mu      sync.Mutex // guards what follows
	set     Settings
	rules   rules
	known   map[string]*track // problems by key
	targets []*target
	stored  string // what the memory holds
	loaded  bool
}

// A track is a problem over time.
type track struct {
	Problem
	since time.Time // when it was first seen
	gone  time.Time // when it was first seen no more; zero while it is there
}

// Said is a problem as a receiver was told of it.
type said struct {
	Problem
	Since time.Time `json:"since"` // when it came up
	At    time.Time `json:"at"`    // when it was last told
}

// A target is one receiver of messages.
type target struct {
	Sender
	name     string // in the memory
	said     map[string]said
	next     time.Time // nothing is sent before
	failures int       // in a row
}

// New makes an engine; Run starts it.
func New(o Options) *Engine {
	e := &Engine{o: o, log: o.Logger, now: o.Now, wake: make(chan struct{}, 1), known: map[string]*track{}}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.now == nil {
		e.now = time.Now
	}
	if e.o.Observe == nil {
		e.o.Observe = func(string, error) {}
	}
	e.next.Store(&o.Settings)
	return e
}

// Set changes the settings while the engine runs.
func (e *Engine) Set(s Settings) {
	e.next.Store(&s)
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

const (
	minPause = time.Second
	maxPause = 15 * time.Second
)

// Run looks again and again until ctx ends.
func (e *Engine) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := e.Look(ctx); err != nil && ctx.Err() == nil {
			e.log.Error("what was said in alerts could not be noted; after a restart it may be said again", "error", err)
		}
		e.mu.Lock()
		pause := min(maxPause, max(minPause, e.set.Wait/3))
		e.mu.Unlock()
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-e.wake:
		}
		timer.Stop()
	}
}

// Look looks once and sends what there is to say. The error is the memory's.
func (e *Engine) Look(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.adopt(ctx); err != nil {
		return err
	}
	if len(e.targets) == 0 {
		return nil
	}
	status, err := e.o.Source(ctx)
	if ctx.Err() != nil {
		return nil
	}
	now := e.now()
	if err != nil {
		e.follow([]Problem{unreadable(err)}, true, now)
	} else {
		e.follow(e.rules.judge(status, e.set.Limits, now), false, now)
	}
	var wg sync.WaitGroup
	for _, t := range e.targets {
		wg.Go(func() { e.tell(ctx, t, now) })
	}
	wg.Wait()
	e.forget(now)
	return e.save(ctx)
}

// adopt takes up new settings. Receivers that stay remember what they were told.
func (e *Engine) adopt(ctx context.Context) error {
	if !e.loaded {
		text, err := e.o.Memory.Get(ctx, memoryName)
		if err != nil {
			return err
		}
		e.stored, e.loaded = text, true
	}
	fresh := e.next.Swap(nil)
	if fresh == nil {
		return nil
	}
	e.set = *fresh
	remembered := map[string]map[string]said{}
	if e.stored != "" {
		if err := json.Unmarshal([]byte(e.stored), &remembered); err != nil {
			e.log.Warn("what was said in alerts before cannot be read; it may be said again", "error", err)
		}
	}
	now := e.now()
	e.targets = nil
	for i, s := range e.set.To {
		t := &target{Sender: s, name: fmt.Sprintf("%d/%s", i+1, s.Service()), said: map[string]said{}}
		if m := remembered[t.name]; m != nil {
			t.said = m
		}
		e.targets = append(e.targets, t)
		// What was said before is open until it has been gone for a while.
		for key, told := range t.said {
			if e.known[key] == nil {
				e.known[key] = &track{Problem: told.Problem, since: told.Since, gone: now}
			}
		}
	}
	return nil
}

// follow notes what is wrong now. If blind, nobody could look for other problems:
// they stay as they are, and those that were on the way to being over begin anew.
func (e *Engine) follow(problems []Problem, blind bool, now time.Time) {
	present := map[string]bool{}
	for _, p := range problems {
		key := p.key()
		present[key] = true
		k := e.known[key]
		if k == nil {
			k = &track{since: now}
			e.known[key] = k
		}
		k.Problem, k.gone = p, time.Time{}
	}
	for key, k := range e.known {
		if !present[key] && k.gone.IsZero() != blind {
			k.gone = now
		}
	}
}

// forget drops problems that are over and of which everybody has been told, or
// nobody.
func (e *Engine) forget(now time.Time) {
	for key, k := range e.known {
		if k.gone.IsZero() || now.Sub(k.gone) < e.set.Wait {
			continue
		}
		told := slices.ContainsFunc(e.targets, func(t *target) bool { _, ok := t.said[key]; return ok })
		if !told {
			delete(e.known, key)
		}
	}
}

// newsFor is what there is to say to a receiver now.
func (e *Engine) newsFor(t *target, now time.Time) news {
	var n news
	for _, key := range slices.Sorted(maps.Keys(e.known)) {
		k := e.known[key]
		told, isTold := t.said[key]
		switch {
		case !k.gone.IsZero():
			if isTold && now.Sub(k.gone) >= e.set.Wait {
				n.resolved = append(n.resolved, past{told.Problem, k.gone.Sub(told.Since)})
				n.urgent = true
			}
		case !isTold:
			n.fresh = append(n.fresh, k.Problem)
			n.urgent = n.urgent || now.Sub(k.since) >= e.set.Wait
		case told.Count > 0 && k.Count >= 2*told.Count:
			n.fresh = append(n.fresh, k.Problem)
			n.urgent = true
		default:
			n.open = append(n.open, k.Problem)
			n.urgent = n.urgent || e.set.Repeat > 0 && now.Sub(told.At) >= e.set.Repeat
		}
	}
	return n
}

const (
	firstRetry = 30 * time.Second
	maxRetry   = 15 * time.Minute
)

// tell sends a receiver its news, if there is any and its time has come. It
// runs beside those of other receivers and changes nothing but t.
func (e *Engine) tell(ctx context.Context, t *target, now time.Time) {
	n := e.newsFor(t, now)
	if !n.urgent || now.Before(t.next) {
		return
	}
	err := t.Send(ctx, n.message(e.o.Host))
	e.o.Observe(t.Service(), err)
	if err != nil {
		wait := min(maxRetry, firstRetry<<min(t.failures, 10))
		t.failures++
		t.next = now.Add(wait)
		e.log.Error("an alert could not be sent; it is tried again", "service", t.Service(), "error", err, "attempt", t.failures, "in", wait.String())
		return
	}
	t.failures = 0
	t.next = now.Add(e.set.Interval)
	for _, p := range slices.Concat(n.fresh, n.open) {
		t.said[p.key()] = said{p, e.known[p.key()].since, now}
	}
	for _, p := range n.resolved {
		delete(t.said, p.key())
	}
	e.log.Info("alert sent", "service", t.Service(), "new", len(n.fresh), "resolved", len(n.resolved), "open", len(n.open))
}

// save keeps what has been said.
func (e *Engine) save(ctx context.Context) error {
	all := map[string]map[string]said{}
	for _, t := range e.targets {
		if len(t.said) > 0 {
			all[t.name] = t.said
		}
	}
	text := ""
	if len(all) > 0 {
		b, err := json.Marshal(all)
		if err != nil {
			return err
		}
		text = string(b)
	}
	if text == e.stored {
		return nil
	}
	if err := e.o.Memory.Set(ctx, memoryName, text); err != nil {
		return err
	}
	e.stored = text
	return nil
}
