package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long a folder must be quiet before a file in it is read:
	// editors and deployments replace files in several steps.
	settle = 100 * time.Millisecond
	// patience is how long a folder that is never quiet is waited for.
	patience = 500 * time.Millisecond
	// lookEvery is how often files are looked at where nothing tells of changes:
	// on network drives, and in folders that were taken away and put back.
	lookEvery = time.Second
)

// watchMappings reloads mappings when their files change, until ctx ends.
// Folders are watched, not files: an editor that replaces the file and a config
// map that moves a symbolic link change the folder. A system that cannot watch
// makes reloads a little later, no more.
func watchMappings(ctx context.Context, live []*liveMapping, log *slog.Logger, observe func(destination string, err error)) {
	live = slices.DeleteFunc(slices.Clone(live), func(l *liveMapping) bool { return l.destination.Mapping == "" })
	if len(live) == 0 {
		return
	}
	w := &mappingWatch{live: live, log: log, quiet: time.NewTimer(settle)} // once at the start, for an edit before the watch
	var events chan fsnotify.Event
	var failures chan error
	if f, err := fsnotify.NewWatcher(); err != nil {
		log.Warn("the system does not tell of changed mapping files; callsync looks at them by itself", "error", err)
	} else {
		defer f.Close()
		w.folders, events, failures = f, f.Events, f.Errors
	}
	w.add()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-events:
			if concerns(e, live) {
				w.stirred()
			}
		case err := <-failures:
			log.Warn("watching the mapping files", "error", err)
			w.stirred()
		case <-look.C:
			if w.look() != w.seen || w.broken() {
				w.stirred()
			}
		case <-w.quiet.C:
			w.since, w.seen = time.Time{}, w.look()
			for _, l := range live {
				l.reloadAndTell(ctx, observe)
			}
			w.add() // a link may lead elsewhere now
		}
	}
}

// A mappingWatch is what watchMappings remembers.
type mappingWatch struct {
	live    []*liveMapping
	log     *slog.Logger
	folders *fsnotify.Watcher // nil where the system has none
	quiet   *time.Timer       // fires when the files are to be read
	since   time.Time         // when the first change that was not read happened
	seen    string            // how the files looked when they were read last
}

// stirred puts reading off until it is quiet, but not for ever.
func (w *mappingWatch) stirred() {
	if w.since.IsZero() {
		w.since = time.Now()
	}
	w.quiet.Reset(max(0, min(settle, patience-time.Since(w.since))))
}

func (w *mappingWatch) add() {
	if w.folders == nil {
		return
	}
	for _, l := range w.live {
		for _, dir := range l.folders() {
			if err := w.folders.Add(dir); err != nil {
				w.log.Debug("a mapping's folder cannot be watched", "folder", dir, "error", err)
			}
		}
	}
}

// broken reports whether a file cannot be used. What would mend it may be a file
// that nobody knows of yet, such as one it routes to.
func (w *mappingWatch) broken() bool {
	return slices.ContainsFunc(w.live, func(l *liveMapping) bool { return l.problem.Load() != nil })
}

// look describes the files without reading them.
func (w *mappingWatch) look() string {
	var b strings.Builder
	for _, l := range w.live {
		for _, file := range l.files() {
			info, err := os.Stat(file)
			if err != nil {
				fmt.Fprintf(&b, "%s: %v\n", file, err)
				continue
			}
			fmt.Fprintf(&b, "%s: %d bytes of %s\n", file, info.Size(), info.ModTime())
		}
	}
	return b.String()
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
	slices.Sort(files)
	return slices.Compact(files)
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

func (l *liveMapping) reloadAndTell(ctx context.Context, observe func(destination string, err error)) (changed bool) {
	changed, err := l.reload(ctx)
	switch {
	case err != nil:
		l.log.Error("the mapping file cannot be used; the last good version stays in force", "error", err)
		observe(l.destination.Name, err)
	case changed:
		l.log.Info("the changed mapping is in force for the next calls; `callsync resync` applies it to earlier ones", "version", l.current.Load().Version())
		l.tellDoubts()
		observe(l.destination.Name, nil)
	}
	return changed
}
