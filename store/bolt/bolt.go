// Package bolt keeps the journal in one bbolt file on a local disk.
//
// One goroutine writes: it takes all writes that wait, applies them in one
// transaction, syncs once and answers them together. Nothing is answered before
// it is on disk, and nothing stays recorded that was answered with an error. Only
// one process can have the file open.
package bolt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/callsync/callsync/store"
)

// lockTimeout is how long Open waits for another process to let go of the file,
// such as a daemon that is being restarted.
const lockTimeout = 500 * time.Millisecond

// DefaultQuarantine is the default of [Options.Quarantine], in bytes.
const DefaultQuarantine = 64 << 20

// Options adjust a journal; the zero value is ready for use.
type Options struct {
	// Logger gets what operators should know; nil means slog.Default.
	Logger *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Quarantine bounds what is kept of rejected bodies, in bytes on disk; the
	// oldest are dropped first. 0 means DefaultQuarantine, less keeps none.
	Quarantine int64

	// Seams for tests: how the file is opened, how a transaction is committed, from
	// how many bytes on calls make a bundle, and after how many a file is renewed.
	openFile func(name string, flag int, perm os.FileMode) (*os.File, error)
	commit   func(*bbolt.Tx) error
	bundle   int
	renew    int64
}

// A Journal is a [store.Journal] in a file.
type Journal struct {
	path string
	opts Options
	log  *slog.Logger
	now  func() time.Time

	// open guards db and file, which are replaced by a compaction, when a failed
	// commit left them in doubt, and when the file has grown much. Only the
	// committer replaces them.
	open   sync.RWMutex
	db     *bbolt.DB   // nil while the file cannot be opened again
	file   *os.File    // the one db writes to
	which  os.FileInfo // tells it from others, also while db is nil
	opened int64       // how many bytes it had when db opened it
	// shelves hold bundles of the open file. A commit that was undone may have made
	// one under a number that is given again, so a file opened anew has others.
	shelves *shelves

	queue  queue
	wakers wakers
	leases leases

	compacting sync.Mutex // held by the one compaction

	// The committer's own.
	tail             *tail // of the compaction under way
	doubt            *doubt
	written, refused int64 // bytes: of the last write, and of the largest that failed since one as large could be made

	unwritable atomic.Pointer[error] // see Unwritable
}

var _ store.Journal = (*Journal)(nil)

// Open opens the journal at path, creating it if it does not exist, and brings
// an older schema up to date. The error wraps [store.ErrLocked] when another
// process has it open, [store.ErrNewer] when a newer callsync wrote it, and
// [store.ErrDamaged] when it is torn or something else altogether.
func Open(path string, o Options) (*Journal, error) {
	j := &Journal{path: path, opts: o, log: o.Logger, now: o.Now}
	if j.log == nil {
		j.log = slog.Default()
	}
	if j.now == nil {
		j.now = time.Now
	}
	if j.opts.Quarantine == 0 {
		j.opts.Quarantine = DefaultQuarantine
	}
	if j.opts.bundle == 0 {
		j.opts.bundle = bundleSize
	}
	if j.opts.renew == 0 {
		j.opts.renew = renewAfter
	}
	if j.opts.openFile == nil {
		j.opts.openFile = os.OpenFile
	}
	if j.opts.commit == nil {
		j.opts.commit = (*bbolt.Tx).Commit
	}
	info, statErr := os.Stat(path)
	if err := j.openDB(); err != nil {
		return nil, err
	}
	if errors.Is(statErr, os.ErrNotExist) {
		if err := syncDir(filepath.Dir(path)); err != nil {
			return nil, errors.Join(fmt.Errorf("journal %s: %w", path, err), j.closeDB())
		}
	} else if statErr == nil && info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
		j.log.Warn("other users may read the journal, which holds personal data; chmod it to 0600",
			"path", path, "mode", info.Mode().Perm().String())
	}
	if statErr == nil && info.Size() == 0 {
		j.log.Warn("the journal's file was empty, and a new journal begins in it; if there was one before, put its backup in its place", "path", path)
	}
	if file, err := filepath.EvalSymlinks(path); err == nil {
		_ = os.Remove(file + compactSuffix) // of a compaction that was broken off
	}
	j.queue.init()
	go j.commitLoop()
	return j, nil
}

// openDB opens the file, and leaves it open only when it is a whole journal of
// this schema.
func (j *Journal) openDB() error {
	err := contain(func() error {
		db, err := bbolt.Open(j.path, 0o600, j.options(&j.file, j.openFile))
		if err != nil {
			return err
		}
		j.db, j.shelves = db, &shelves{}
		info, err := wholeFile(db, j.file)
		if err != nil {
			return err
		}
		j.which, j.opened = info, info.Size()
		found, err := migrate(db, migrations)
		if err == nil && found > 0 && found < len(migrations) {
			j.log.Info("migrated the journal", "path", j.path, "from", found, "to", len(migrations))
		}
		return err
	})
	if err == nil {
		return nil
	}
	if j.db != nil {
		err = errors.Join(err, contain(j.closeDB))
	} else if j.file != nil {
		unlock(j.file) // bbolt leaves it open, locked and mapped when it panics
		j.file.Close()
	}
	return fmt.Errorf("journal %s: %w", j.path, explain(err))
}

// openFile opens the journal's file, and the second time no other: what was put in
// its place meanwhile is for the next start.
func (j *Journal) openFile(name string, flag int, perm os.FileMode) (*os.File, error) {
	if j.which == nil {
		return j.opts.openFile(name, flag, perm)
	}
	f, err := j.opts.openFile(name, flag&^os.O_CREATE, perm)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !os.SameFile(j.which, info) {
		err = j.otherFile()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// options are bbolt's, which leave the file they open in file.
func (j *Journal) options(file **os.File, open func(string, int, os.FileMode) (*os.File, error)) *bbolt.Options {
	return &bbolt.Options{
		Timeout:         lockTimeout,
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: mapSize(),
		NoStatistics:    true,
		OpenFile: func(name string, flag int, perm os.FileMode) (*os.File, error) {
			f, err := open(name, flag, perm)
			*file = f
			return f, err
		},
	}
}

func (j *Journal) closeDB() error {
	err := j.db.Close()
	j.db = nil
	return err
}

// mapSize is how much address space the file is given at once. Growing the
// mapping has to wait for all readers, and a backup may read for long; address
// space costs nothing, except on Windows, where the file would grow with it.
func mapSize() int {
	if runtime.GOOS == "windows" || strconv.IntSize < 64 {
		return 0
	}
	var space int64 = 1 << 34 // a constant would not fit the int of others
	return int(space)
}

// wholeFile describes a file. It is an error when that has fewer bytes than its own
// account of its pages, as a copy that was cut off: reading behind its end would be
// a fault.
func wholeFile(db *bbolt.DB, f *os.File) (info os.FileInfo, err error) {
	err = db.View(func(t *bbolt.Tx) (err error) {
		if info, err = f.Stat(); err != nil {
			return err
		}
		if info.Size() < t.Size() {
			return damaged(fmt.Errorf("it has %d bytes and should have %d", info.Size(), t.Size()))
		}
		return nil
	})
	return info, err
}

// explain puts bbolt's errors into the terms of package store.
func explain(err error) error {
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return fmt.Errorf("%w; stop that process, or reach it through its admin address", store.ErrLocked)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrVersionMismatch), errors.Is(err, berrors.ErrChecksum):
		return damaged(fmt.Errorf("its head is unreadable (%v)", err))
	case err != nil && strings.HasPrefix(err.Error(), tooSmall):
		return damaged(err)
	}
	return err
}

// tooSmall starts bbolt's error, which has no name, about a file of less than
// two pages.
const tooSmall = "file size too small"

func damaged(cause error) error {
	return fmt.Errorf("%w: %w; move the file away and restore a `callsync backup` in its place", store.ErrDamaged, cause)
}

// contain runs f and turns a panic, which is how bbolt answers a damaged page,
// and a fault, which is how the kernel answers an unreadable one, into an error.
func contain(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = damaged(fmt.Errorf("%v", p))
		}
	}()
	return f()
}

func syncDir(name string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// view runs f in a read transaction. A caller must not keep anything that lies
// in the file beyond f, nor call view in f.
func (j *Journal) view(ctx context.Context, f func(reader) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j.open.RLock()
	defer j.open.RUnlock()
	if j.db == nil {
		return errClosed
	}
	return contain(func() error {
		t, err := j.db.Begin(false)
		if err != nil {
			return unavailable(err)
		}
		defer t.Rollback()
		return f(reader{t, j.shelves})
	})
}

// Close finishes the writes that wait, refuses later ones and closes the file.
func (j *Journal) Close() error {
	if !j.queue.close() {
		return nil
	}
	j.open.Lock()
	defer j.open.Unlock()
	if j.db == nil || j.doubt != nil && j.doubt.panicked {
		return nil
	}
	return j.closeDB()
}
