package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/config"
	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/mappings"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/sync"
)

// A liveMapping is the mapping of one destination, read again when its file
// changes. A file that cannot be used leaves the last good version in force.
type liveMapping struct {
	destination config.Destination
	keeper      store.Keeper
	log         *slog.Logger

	current atomic.Pointer[mappings.Mapping]
	problem atomic.Pointer[failure] // why the file's present content is not in force
}

type failure struct{ error }

// loadMapping compiles a destination's mapping file, or the shipped one.
func loadMapping(d config.Destination) (*mappings.Mapping, error) {
	var m *mappings.Mapping
	var err error
	if d.Mapping == "" {
		m, err = mappings.Builtin(d.Type, d.Options)
	} else {
		m, err = mappings.Load(d.Mapping, d.Options)
	}
	if err != nil {
		return nil, fmt.Errorf("destinations.%s: mapping: %w", d.Name, err)
	}
	return m, nil
}

// newLiveMapping loads the mapping. When the file cannot be used but an earlier
// version was applied, that version is in force and Problem says why.
func newLiveMapping(ctx context.Context, d config.Destination, keeper store.Keeper, log *slog.Logger) (*liveMapping, error) {
	l := &liveMapping{destination: d, keeper: keeper, log: log.With("destination", d.Name)}
	m, err := loadMapping(d)
	if err == nil {
		l.current.Store(m)
		return l, nil
	}
	last, lastErr := l.lastGood(ctx)
	if lastErr != nil {
		return l, errors.Join(err, lastErr)
	}
	if last == nil {
		l.problem.Store(&failure{err})
		return l, usageError{err}
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
	m, err := mappings.Parse(kept.Name, kept.Source, l.destination.Options)
	if err != nil {
		l.log.Warn("the mapping that was in force last cannot be used any more", "version", version, "error", err)
		return nil, nil
	}
	return m, nil
}

// keep records the version in force in the journal.
func (l *liveMapping) keep(ctx context.Context) error {
	m := l.current.Load()
	if m == nil {
		return nil
	}
	v := store.MappingVersion{Version: m.Version(), Name: m.Name(), Source: m.Source(), At: time.Now()}
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
func (l *liveMapping) compile(name string, source []byte) (sync.Mapping, error) {
	return mappings.Parse(name, source, l.destination.Options)
}

// reload reads the file again. changed is true when another version came into
// force. The same mistake is reported once.
func (l *liveMapping) reload(ctx context.Context) (changed bool, err error) {
	m, err := loadMapping(l.destination)
	if err != nil {
		if old := l.problem.Swap(&failure{err}); old != nil && old.Error() == err.Error() {
			return false, nil
		}
		return false, err
	}
	mended := l.problem.Swap(nil) != nil
	if old := l.current.Load(); old != nil && old.Version() == m.Version() {
		if mended {
			l.log.Info("the mapping file is in order again", "version", m.Version())
		}
		return false, nil
	}
	l.current.Store(m)
	return true, l.keep(ctx)
}

// noMapping stands in where a file cannot be used and there never was another
// version: commands that only look at the journal work without one.
type noMapping struct{ err error }

func (noMapping) Version() string { return "" }

func (n noMapping) Render(*julian.Call, time.Time) (*crm.Desired, error) { return nil, n.err }

// settle is how long a folder must be quiet before a file in it is read:
// editors and deployments replace files in several steps.
const settle = 100 * time.Millisecond

// watchMappings reloads mappings when their files change, until ctx ends.
// Folders are watched, not files: an editor that replaces the file and a config
// map that moves a symbolic link change the folder. A system that cannot watch
// costs the reloads, not the daemon.
func watchMappings(ctx context.Context, live []*liveMapping, log *slog.Logger, observe func(destination string, err error)) {
	live = slices.DeleteFunc(slices.Clone(live), func(l *liveMapping) bool { return l.destination.Mapping == "" })
	if len(live) == 0 {
		return
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("mapping files cannot be watched; a change needs a restart", "error", err)
		return
	}
	defer w.Close()
	watch := func() {
		for _, l := range live {
			for _, dir := range l.folders() {
				if err := w.Add(dir); err != nil {
					log.Warn("a mapping's folder cannot be watched; a change needs a restart", "folder", dir, "error", err)
				}
			}
		}
	}
	watch()
	quiet := time.NewTimer(settle) // once at the start, for an edit before the watch
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-w.Events:
			if !ok {
				return
			}
			if concerns(e, live) {
				quiet.Reset(settle)
			}
		case err, ok := <-w.Errors:
			if !ok {
				return
			}
			log.Warn("watching the mapping files", "error", err)
			quiet.Reset(settle)
		case <-quiet.C:
			for _, l := range live {
				l.reloadAndTell(ctx, observe)
			}
			watch() // a link may lead elsewhere now
		}
	}
}

// concerns reports whether a mapping may read differently after an event. The
// journal, which may be in the same folder, is written to all the time.
func concerns(e fsnotify.Event, live []*liveMapping) bool {
	if !e.Has(fsnotify.Write) && !e.Has(fsnotify.Chmod) {
		return true // something was put in place, such as a config map's link
	}
	return slices.ContainsFunc(live, func(l *liveMapping) bool {
		return slices.ContainsFunc(l.files(), func(file string) bool { return filepath.Clean(e.Name) == filepath.Clean(file) })
	})
}

// files lists the mapping's files, and those behind them that are symbolic
// links.
func (l *liveMapping) files() []string {
	files := []string{l.destination.Mapping}
	if m := l.current.Load(); m != nil {
		files = append(files, m.Files()...)
	}
	for _, file := range files {
		if target, err := filepath.EvalSymlinks(file); err == nil && target != file {
			files = append(files, target)
		}
	}
	return files
}

// folders lists the folders of the mapping's files.
func (l *liveMapping) folders() []string {
	var dirs []string
	for _, file := range l.files() {
		dirs = append(dirs, filepath.Dir(file))
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

func (l *liveMapping) reloadAndTell(ctx context.Context, observe func(destination string, err error)) {
	changed, err := l.reload(ctx)
	switch {
	case err != nil:
		l.log.Error("the mapping file cannot be used; the last good version stays in force", "error", err)
		observe(l.destination.Name, err)
	case changed:
		l.log.Info("the changed mapping is in force for the next calls; `callsync resync` applies it to earlier ones", "version", l.current.Load().Version())
		observe(l.destination.Name, nil)
	}
}
