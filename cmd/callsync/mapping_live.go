package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	gosync "sync"
	"sync/atomic"
	"time"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/config"
	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/mappings"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/sync"
)

// A liveMapping is the mapping of one destination, read again when its file
// changes. A file that cannot be used, or names what the account does not have,
// leaves the last good version in force.
type liveMapping struct {
	destination config.Destination
	keeper      store.Keeper
	log         *slog.Logger
	account     crm.Inspector // whom a changed mapping is compared with; nil: nobody

	current atomic.Pointer[mappings.Mapping]
	problem atomic.Pointer[failure]  // why the file's present content is not in force
	doubts  atomic.Pointer[[]string] // what the account may not take of the version in force

	reloading gosync.Mutex
	refused   string    // the version that the account has no place for; guarded by reloading
	asked     time.Time // when the account said so
}

const (
	// accountPatience is how long an edit waits for the account's description.
	accountPatience = 5 * time.Second
	// askAgain is how long the account's refusal of a version holds: what is
	// missing may be created meanwhile.
	askAgain = 30 * time.Second
)

type failure struct{ error }

// loadMapping compiles a destination's mapping file, or the shipped one. The error
// names the destination.
func loadMapping(d config.Destination) (*mappings.Mapping, error) {
	m, err := compileMapping(d)
	if err != nil {
		return nil, ofDestination(d, err)
	}
	return m, nil
}

// compileMapping is loadMapping for who says by himself whose mapping it is.
func compileMapping(d config.Destination) (*mappings.Mapping, error) {
	if d.Mapping == "" {
		return mappings.Builtin(d.Type, d.Options)
	}
	return mappings.Load(d.Mapping, d.Options)
}

func ofDestination(d config.Destination, err error) error {
	return fmt.Errorf("destinations.%s: %w", d.Name, err)
}

// newLiveMapping loads the mapping. When the file cannot be used but an earlier
// version was applied, that version is in force and Problem says why.
func newLiveMapping(ctx context.Context, d config.Destination, keeper store.Keeper, log *slog.Logger) (*liveMapping, error) {
	l := &liveMapping{destination: d, keeper: keeper, log: log.With("destination", d.Name)}
	m, err := compileMapping(d)
	if err == nil {
		l.current.Store(m)
		return l, nil
	}
	last, lastErr := l.lastGood(ctx)
	if lastErr != nil {
		return l, errors.Join(ofDestination(d, err), lastErr)
	}
	if last == nil {
		l.problem.Store(&failure{err})
		return l, usageError{ofDestination(d, err)}
	}
	l.current.Store(last)
	l.problem.Store(&failure{err})
	return l, nil
}

// name is under which name the journal knows the version in force.
func (l *liveMapping) name() string { return "mapping/" + l.destination.Name }

// lastGood is the version that was in force last; nil when there was none, or
// when this callsync cannot compile it any more.
func (l *liveMapping) lastGood(ctx context.Context) (*mappings.Mapping, error) {
	version, err := l.keeper.Get(ctx, l.name())
	if err != nil || version == "" {
		return nil, err
	}
	kept, err := l.keeper.Mapping(ctx, version)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := mappings.Restore(kept.Name, kept.Source, kept.Routed, l.destination.Options)
	if err != nil {
		l.log.Warn("the mapping that was in force last cannot be used any more", "version", version, "error", err)
		return nil, nil
	}
	return m, nil
}

// keep records the version in force in the journal.
func (l *liveMapping) keep(ctx context.Context) error {
	if m := l.current.Load(); m != nil {
		return l.put(ctx, m)
	}
	return nil
}

func (l *liveMapping) put(ctx context.Context, m *mappings.Mapping) error {
	v := store.MappingVersion{Version: m.Version(), Name: m.Name(), Source: m.Source(), Routed: m.Routed(), At: time.Now()}
	if err := l.keeper.PutMapping(ctx, v); err != nil {
		return err
	}
	return l.keeper.Set(ctx, l.name(), m.Version())
}

// inForce is the mapping as a sync loop wants it.
func (l *liveMapping) inForce() sync.Mapping {
	if m := l.current.Load(); m != nil {
		return m
	}
	return noMapping{l.problem.Load()}
}

func (l *liveMapping) info() admin.MappingInfo {
	var info admin.MappingInfo
	if m := l.current.Load(); m != nil {
		info = admin.MappingInfo{Name: m.Name(), Version: m.Version(), Declared: m.Declared()}
	}
	if err := l.problem.Load(); err != nil {
		info.Problem = err.Error()
	}
	if doubts := l.doubts.Load(); doubts != nil {
		info.Doubts = *doubts
	}
	return info
}

// explain tells how the version in force reads a call.
func (l *liveMapping) explain(c *julian.Call, received time.Time) (any, error) {
	m := l.current.Load()
	if m == nil {
		return nil, l.problem.Load()
	}
	return m.Explain(c, received)
}

// compile compiles another version.
func (l *liveMapping) compile(m admin.MappingSource) (sync.Mapping, error) {
	return mappings.Restore(m.Name, []byte(m.Source), m.Routed, l.destination.Options)
}

// reload reads the file again. changed is true when another version came into
// force. The same mistake is reported once.
func (l *liveMapping) reload(ctx context.Context) (changed bool, err error) {
	l.reloading.Lock()
	defer l.reloading.Unlock()
	m, err := compileMapping(l.destination)
	if err != nil {
		return false, l.refuse(err)
	}
	if old := l.current.Load(); old != nil && old.Version() == m.Version() {
		if l.problem.Swap(nil) != nil {
			l.log.Info("the mapping file is in order again", "version", m.Version())
		}
		return false, nil
	}
	if l.refused == m.Version() && time.Since(l.asked) < askAgain {
		return false, nil
	}
	doubts, err := l.compare(ctx, m)
	if err != nil {
		l.refused, l.asked = m.Version(), time.Now()
		return false, l.refuse(err)
	}
	// First the journal, so that it knows every version that a call was synced by.
	if err := l.put(ctx, m); err != nil {
		l.problem.Store(&failure{err})
		return false, err
	}
	l.problem.Store(nil)
	l.doubts.Store(&doubts)
	l.current.Store(m)
	return true, nil
}

// forgetRefusal lets the next reload ask the account again.
func (l *liveMapping) forgetRefusal() {
	l.reloading.Lock()
	l.refused = ""
	l.reloading.Unlock()
}

// refuse notes why the file is not in force; nil when that is known.
func (l *liveMapping) refuse(err error) error {
	if old := l.problem.Swap(&failure{err}); old != nil && old.Error() == err.Error() {
		return nil
	}
	return err
}

// admit does at the start what reload does later: a file that was changed while
// no daemon ran comes into force unless the account has no place for it.
func (l *liveMapping) admit(ctx context.Context) error {
	m := l.current.Load()
	if m == nil || l.destination.Mapping == "" || l.problem.Load() != nil {
		return l.keep(ctx)
	}
	last, err := l.lastGood(ctx)
	if err != nil {
		return err
	}
	if last == nil || last.Version() == m.Version() {
		return l.keep(ctx)
	}
	l.reloading.Lock()
	defer l.reloading.Unlock()
	doubts, err := l.compare(ctx, m)
	if err != nil {
		l.refused, l.asked = m.Version(), time.Now()
		l.problem.Store(&failure{err})
		l.current.Store(last)
		return nil
	}
	l.doubts.Store(&doubts)
	l.tellDoubts()
	return l.keep(ctx)
}

// compare asks the account whether a mapping fits. The error is the account's
// definite answer that something does not exist and is not for `callsync setup`
// to create; all else leaves doubts. An account that does not answer keeps no
// edit out of force.
func (l *liveMapping) compare(ctx context.Context, m *mappings.Mapping) (doubts []string, err error) {
	if l.account == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, accountPatience)
	defer cancel()
	problems, err := m.Check(ctx, l.account)
	if err != nil {
		return []string{"it was not compared with the account, `callsync check` does that: " + err.Error()}, nil
	}
	var missing []string
	for _, p := range problems {
		if p.Missing && !p.Declared {
			missing = append(missing, p.String())
		}
	}
	if len(missing) > 0 {
		return nil, errors.New(strings.Join(missing, "\n"))
	}
	return l.doubtsOf(problems), nil
}

// doubtsOf words problems that keep no mapping out of force.
func (l *liveMapping) doubtsOf(problems []mappings.Problem) []string {
	var doubts []string
	for _, p := range problems {
		if !p.Declared || !l.destination.AutoSetup {
			doubts = append(doubts, p.String())
		}
	}
	return doubts
}

func (l *liveMapping) tellDoubts() {
	if doubts := l.doubts.Load(); doubts != nil {
		for _, d := range *doubts {
			l.log.Warn("the account may not take what the mapping writes", "problem", d)
		}
	}
}

// noMapping stands in where a file cannot be used and there never was another
// version: commands that only look at the journal work without one.
type noMapping struct{ err error }

func (noMapping) Version() string { return "" }

func (n noMapping) Render(*julian.Call, time.Time) (*crm.Desired, error) { return nil, n.err }
