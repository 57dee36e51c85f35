package sync

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	mrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
)

// tracer records nothing unless the process has set a provider.
var tracer = otel.Tracer("github.com/callsync/callsync/sync")

// A Mapping renders calls; *mappings.Mapping is one.
type Mapping interface {
	Render(c *julian.Call, received time.Time) (*crm.Desired, error)
	Version() string
}

// A Journal is what a loop needs of the journal.
type Journal interface {
	store.Queue
	Revisions(ctx context.Context, callID string) ([]store.Revision, error)
	Get(ctx context.Context, name string) (string, error)
	Set(ctx context.Context, name, value string) error
	// Calls finds out who else a person belongs to, before they are archived.
	Calls(ctx context.Context, f store.CallFilter) iter.Seq2[store.CallView, error]
	// These are for forgetting an account.
	AllIdentities(ctx context.Context) iter.Seq2[store.KnownIdentity, error]
	AllPeople(ctx context.Context) iter.Seq2[store.KnownPerson, error]
	Erase(ctx context.Context, e store.Erasure) (store.Erased, error)
}

// Options make a [Loop].
type Options struct {
	Name        string // the destination's name in the configuration
	Type        string
	Journal     Journal
	Mapping     func() Mapping // the version in force; asked anew for every call
	Destination crm.Destination
	// Guard is what the destination was opened with; nil: any account will do.
	Guard  *Guard
	Logger *slog.Logger
	Now    func() time.Time // nil means time.Now
	// BatchSize is how many due calls a round gathers; 0 means what the
	// destination suggests.
	BatchSize int
	// Linger is how long a round that is not full waits for more calls; 0 means
	// 20 ms.
	Linger time.Duration
	// Grace is how long the batch in flight may take once Run's context has
	// ended; 0 means 30 s.
	Grace time.Duration
	// Observe is called after every round; nil means not at all.
	Observe func(Report)
}

// A Loop keeps one destination true to the journal. Its methods may be called
// concurrently; Run only once.
type Loop struct {
	name        string
	journal     Journal
	mapping     func() Mapping
	destination crm.Destination
	guard       *Guard
	log         *slog.Logger
	now         func() time.Time
	batch       int
	linger      time.Duration
	grace       time.Duration
	observe     func(Report)
	holder      string
	nudge       chan struct{} // a phase may have changed
	busy        chan struct{} // holds a token while the CRM is being written to
	running     atomic.Bool
	came        atomic.Pointer[time.Time] // when Run last came round
	asking      atomic.Bool               // somebody wants the destination asked; see [Loop.Ask]

	mu     sync.Mutex
	health Health
	pause  *pause // a person's: outranks every phase
	trips  int    // failures in a row of the destination as a whole
}

// New makes a loop; Run starts it.
func New(o Options) *Loop {
	l := &Loop{
		name: o.Name, journal: o.Journal, mapping: o.Mapping,
		destination: o.Destination, guard: o.Guard, log: o.Logger, now: o.Now,
		batch: o.BatchSize, linger: o.Linger, grace: o.Grace, observe: o.Observe,
		holder: rand.Text(),
		nudge:  make(chan struct{}, 1),
		busy:   make(chan struct{}, 1),
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	l.log = l.log.With("destination", o.Name)
	if l.now == nil {
		l.now = time.Now
	}
	if l.batch <= 0 {
		l.batch = o.Destination.BatchSize()
	}
	if l.linger <= 0 {
		l.linger = 20 * time.Millisecond
	}
	if l.grace <= 0 {
		l.grace = 30 * time.Second
	}
	l.health = Health{Destination: o.Name, Type: o.Type, Phase: Running, Since: l.now()}
	if l.guard != nil {
		l.guard.refuses = l.refusedAnew
	}
	return l
}

const (
	// poll is how often a loop looks at the journal without being woken, in case
	// another process wrote to it.
	poll = 30 * time.Second
	// leaseTTL is how long a destination stays held by a process that died.
	leaseTTL = 90 * time.Second
	// probeSize is how many calls are risked on a CRM that failed just now.
	probeSize = 10
)

// Run takes due calls until ctx ends, then finishes the batch in flight. It
// returns an error only when the journal fails for good.
func (l *Loop) Run(ctx context.Context) error {
	if err := l.Restore(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	l.running.Store(true)
	defer l.running.Store(false)
	wake, cancel := l.journal.Wake(l.name)
	defer cancel()
	defer func() {
		release, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer done()
		if err := l.journal.Release(release, l.name, l.holder); err != nil {
			l.log.Warn("the lease could not be given back", "error", err)
		}
	}()
	for woken := false; ctx.Err() == nil; {
		now := l.now()
		l.came.Store(&now)
		pause, err := l.turn(ctx)
		if errors.Is(err, context.Canceled) && ctx.Err() != nil {
			break
		}
		heed := wake
		if err != nil {
			l.log.Error("the journal does not answer; trying again", "error", err)
			pause = l.backoff(l.trip())
			if woken { // in vain: deliveries may come in all the time
				pause, heed = min(pause, maxBlock), nil
			}
		}
		woken = l.sleep(ctx, pause, heed)
	}
	return nil
}

// CameRound is when Run last began a turn; zero before the first. An idle loop
// does so at least every 30 s, one at work when its round is over, which the
// limits of a CRM can make minutes. A loop that has not for much longer is stuck.
func (l *Loop) CameRound() time.Time {
	if came := l.came.Load(); came != nil {
		return *came
	}
	return time.Time{}
}

// turn does one round if there is anything to do, and says how long to pause
// unless woken.
func (l *Loop) turn(ctx context.Context) (time.Duration, error) {
	if err := l.journal.Lease(ctx, l.name, l.holder, leaseTTL); errors.Is(err, store.ErrLeased) {
		l.enter(Health{Phase: Standby, Reason: "another process holds this destination"})
		return poll, nil
	} else if err != nil {
		return 0, err
	}
	if pause, rest := l.resting(); rest {
		return pause, nil
	}
	ids, err := l.gather(ctx)
	if err != nil {
		return 0, err
	}
	if len(ids) == 0 {
		if err := l.lookAgain(ctx); err != nil {
			return 0, err
		}
		return l.untilDue(ctx)
	}
	err = l.destination.Ready(ctx)
	if err == nil {
		err = l.recognize(ctx)
	}
	switch {
	case isJournal(err):
		return 0, err
	case err != nil:
		l.trouble(err)
		return 0, nil
	}
	return 0, l.work(ctx, ids)
}

// work runs one round to its end, even when ctx ends meanwhile.
func (l *Loop) work(ctx context.Context, ids []string) error {
	done, err := l.occupy(ctx)
	if err != nil {
		return err
	}
	defer done()
	flight, land := l.flight(ctx)
	defer land()
	flight, span := tracer.Start(flight, "round", trace.WithAttributes(
		attribute.String("callsync.destination", l.name), attribute.String("callsync.round", crm.RequestID(flight)),
		attribute.StringSlice("callsync.call_ids", ids)))
	defer span.End()

	start := l.now()
	r, err := l.round(flight, ids)
	if err != nil {
		return err
	}
	if r.trouble != nil {
		l.trouble(r.trouble)
	} else {
		l.recovered()
	}
	rep := r.report()
	rep.Took = l.now().Sub(start)
	if l.observe != nil {
		l.observe(rep)
	}
	return nil
}

// occupy waits until nobody else of this process writes to the destination.
func (l *Loop) occupy(ctx context.Context) (done func(), err error) {
	select {
	case l.busy <- struct{}{}:
		return func() { <-l.busy }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// flight is a context for what must not be left half done: it outlives ctx by
// the grace period. Its request id marks the requests and log lines that belong
// together.
func (l *Loop) flight(ctx context.Context) (flight context.Context, land func()) {
	flight, cancel := context.WithCancel(crm.WithRequestID(context.WithoutCancel(ctx), rand.Text()[:12]))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(l.grace, cancel) })
	return flight, func() { stop(); cancel() }
}

// Alone runs f between two rounds: as long as it takes, nothing is synced to the
// destination, and what f changes in the journal is not changed back by a round
// that began before. The error wraps store.ErrLeased when another process runs
// the loop.
func (l *Loop) Alone(ctx context.Context, f func(context.Context) error) error {
	done, err := l.occupy(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := l.journal.Lease(ctx, l.name, l.holder, leaseTTL); err != nil {
		return err
	}
	flight, land := l.flight(ctx)
	defer land()
	err = f(flight)
	if !l.running.Load() {
		err = errors.Join(err, l.journal.Release(flight, l.name, l.holder))
	}
	return err
}

// gather collects due calls: a full batch at once, or what has come in when the
// linger is over.
func (l *Loop) gather(ctx context.Context) ([]string, error) {
	limit := l.batch
	if l.probing() {
		limit = min(limit, probeSize)
	}
	due, err := l.journal.Due(ctx, l.name, l.now(), limit)
	if err != nil {
		return nil, journalError("list due calls", err)
	}
	if len(due) == 0 {
		return l.misplanned(ctx, limit)
	}
	if len(due) < limit {
		timer := time.NewTimer(l.linger)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-timer.C:
		}
		if due, err = l.journal.Due(ctx, l.name, l.now(), limit); err != nil {
			return nil, journalError("list due calls", err)
		}
	}
	ids := make([]string, len(due))
	for i, d := range due {
		ids[i] = d.CallID
	}
	return ids, nil
}

// farthest is how far ahead an attempt is planned at most, whatever a CRM asks for:
// a connector holds back by itself what comes too early.
const farthest = time.Hour

// misplanned lists calls whose next attempt is farther away than any is planned:
// the clock was ahead when it was. They are due now, or would wait for years.
func (l *Loop) misplanned(ctx context.Context, limit int) ([]string, error) {
	now := l.now()
	later, err := l.journal.Due(ctx, l.name, now.AddDate(100, 0, 0), limit)
	if err != nil {
		return nil, journalError("list planned calls", err)
	}
	var ids []string
	for _, d := range later {
		if d.Next.Sub(now) > farthest {
			ids = append(ids, d.CallID)
		}
	}
	return ids, nil
}

// untilDue is how long until the next attempt is due.
func (l *Loop) untilDue(ctx context.Context) (time.Duration, error) {
	next, ok, err := l.journal.NextDue(ctx, l.name)
	if err != nil {
		return 0, journalError("find the next due call", err)
	}
	if !ok {
		return poll, nil
	}
	return min(poll, max(next.Sub(l.now()), time.Millisecond)), nil
}

// sleep waits for d, a wake-up, a change of phase or the end, and reports whether it
// was a wake-up.
func (l *Loop) sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) (woken bool) {
	if d <= 0 {
		return false
	}
	if _, rest := l.resting(); rest {
		wake = nil // new calls change nothing while the destination rests
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-wake:
		return true
	case <-l.nudge:
	}
	return false
}

const (
	firstBackoff = time.Second
	maxBackoff   = 10 * time.Minute
)

// backoff is how long to wait after the nth failure in a row: full jitter over
// a span that doubles, but never less than a tenth of it.
func (l *Loop) backoff(n int) time.Duration {
	span := maxBackoff
	if n < 10 {
		span = min(maxBackoff, firstBackoff<<max(n-1, 0))
	}
	return span/10 + time.Duration(mrand.Int64N(int64(span)))*9/10
}

// A storeError is a failure of the journal, as against one of the CRM.
type storeError struct {
	op  string
	err error
}

func (e *storeError) Error() string { return fmt.Sprintf("journal: %s: %v", e.op, e.err) }
func (e *storeError) Unwrap() error { return e.err }

func journalError(op string, err error) error { return &storeError{op, err} }

func isJournal(err error) bool {
	var e *storeError
	return errors.As(err, &e)
}
