package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"github.com/callsync/callsync/store"
)

// A compaction copies all rows into a new file while writes go on, and notes the
// keys they touch; copies those again until few are left; and then, with writes
// held, copies the last and puts the new file in the place of the old. Rows are
// read in pages, each a transaction of its own: a page may be older than the next,
// but whatever was written since the first is noted.

const (
	// compactRows and compactBytes are how much is copied at a time.
	compactRows  = 2000
	compactBytes = 4 << 20
	// syncEvery is after how many such portions the new file is brought onto the
	// disk: the commits of the old one wait for the same disk.
	syncEvery = 4
	// fewKeys is how many noted keys may be left for the time writes are held.
	fewKeys = 500
	// catchUps bounds how often noted keys are copied before writes are held.
	catchUps = 50
	// compactFill leaves room for a key or two between others, so that the first
	// writes after a compaction do not split every page.
	compactFill = 0.95
)

// compactGrow is by how many bytes the new file grows while rows are copied: what
// is not needed would be left at its end.
const compactGrow = 1 << 20

// errReaders: somebody reads for long, such as a backup.
var errReaders = errors.New("the journal is being read, as by a backup")

// readersPatience is how long a compaction waits for long readers to end.
const readersPatience = 5 * time.Minute

// Touched are keys by bucket.
type touched map[string]map[string]bool

func (t touched) add(bucket, k string) {
	in := t[bucket]
	if in == nil {
		in = map[string]bool{}
		t[bucket] = in
	}
	in[k] = true
}

func (t touched) len() int {
	n := 0
	for _, in := range t {
		n += len(in)
	}
	return n
}

// A tail notes the keys that committed transactions touched: noted any sooner, a
// key could be copied before its new value is there to be read. It is safe for
// concurrent use.
type tail struct {
	mu   sync.Mutex
	keys touched
}

func (l *tail) note(keys touched) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for bucket, in := range keys {
		for k := range in {
			l.keys.add(bucket, k)
		}
	}
}

// take returns what was noted and starts anew.
func (l *tail) take() touched {
	l.mu.Lock()
	defer l.mu.Unlock()
	keys := l.keys
	l.keys = touched{}
	return keys
}

func (l *tail) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.keys.len()
}

// A bucket is one in a write transaction. It tells a compaction under way what
// is written.
type bucket struct {
	*bbolt.Bucket
	name    string
	touched touched // nil when there is no compaction
}

// Bucket returns the bucket of a name; all that exist are made by migrations.
func (t *tx) Bucket(name []byte) *bucket {
	b := t.buckets[string(name)]
	if b == nil {
		b = &bucket{t.Tx.Bucket(name), string(name), t.touched}
		if t.buckets == nil {
			t.buckets = map[string]*bucket{}
		}
		t.buckets[b.name] = b
	}
	return b
}

func (b *bucket) Put(k, value []byte) error {
	if b.touched != nil {
		b.touched.add(b.name, string(k))
	}
	return b.Bucket.Put(k, value)
}

func (b *bucket) Delete(k []byte) error {
	if b.touched != nil {
		b.touched.add(b.name, string(k))
	}
	return b.Bucket.Delete(k)
}

// Compact implements [store.Forgetter]. First it packs whatever is settled. It
// needs as much free disk as the rows take, and holds writes for some milliseconds
// at its end. What was dropped is gone with the old file.
func (j *Journal) Compact(ctx context.Context) (before, after int64, err error) {
	if runtime.GOOS == "windows" {
		return 0, 0, errors.New("a journal in use cannot be replaced on Windows: stop callsync, and compact a backup of it")
	}
	if !j.compacting.TryLock() {
		return 0, 0, errors.New("the journal is being compacted already")
	}
	defer j.compacting.Unlock()
	info, err := os.Stat(j.path)
	if err != nil {
		return 0, 0, err
	}
	before = info.Size()
	if err := j.packAll(ctx); err != nil {
		return before, before, fmt.Errorf("compact %s: %w", j.path, err)
	}
	c := &compaction{journal: j, notes: &tail{keys: touched{}}}
	if c.replaces, err = filepath.EvalSymlinks(j.path); err != nil {
		return before, before, err
	}
	c.path = c.replaces + compactSuffix
	if err := c.run(ctx); err != nil {
		return before, before, fmt.Errorf("compact %s: %w", j.path, err)
	}
	if info, err = os.Stat(j.path); err != nil {
		return before, before, err
	}
	return before, info.Size(), nil
}

// compactSuffix names the file a compaction writes, after the journal's.
const compactSuffix = ".compact"

type compaction struct {
	journal  *Journal
	path     string
	replaces string // the journal's file itself, wherever links to it are
	notes    *tail
	db       *bbolt.DB
	file     *os.File
	grow     int       // by how much a journal's file grows at a time
	old      *bbolt.DB // what db took the place of
}

func (c *compaction) run(ctx context.Context) error {
	j := c.journal
	if err := c.open(); err != nil {
		return err
	}
	defer c.cleanUp()
	if err := inherit(c.file, c.replaces); err != nil {
		return fmt.Errorf("a new file would belong to somebody else: %w; compact as the user whom the journal belongs to", err)
	}
	defer j.alone(context.WithoutCancel(ctx), func() error { j.tail = nil; return nil })
	// From this write on, whatever is touched is noted.
	if err := j.update(ctx, func(t *tx) error { j.tail = c.notes; return nil }); err != nil {
		return err
	}
	if err := c.copyAll(ctx); err != nil {
		return err
	}
	deadline := j.now().Add(readersPatience)
	for {
		if err := c.catchUp(ctx); err != nil {
			return err
		}
		err := j.alone(ctx, c.swap)
		if !errors.Is(err, errReaders) || j.now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (c *compaction) open() error {
	if err := os.Remove(c.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return contain(func() (err error) {
		c.db, err = bbolt.Open(c.path, 0o600, c.journal.options(&c.file, c.journal.opts.openFile))
		if err == nil {
			c.db.NoSync = true
			c.grow, c.db.AllocSize = c.db.AllocSize, compactGrow
		}
		return err
	})
}

// cleanUp closes the file that is not, or no longer, the journal's.
func (c *compaction) cleanUp() {
	db := c.old
	if db == nil {
		db = c.db
		defer os.Remove(c.path)
	}
	if err := contain(db.Close); err != nil {
		c.journal.log.Warn("closing a file after a compaction", "path", c.path, "error", err)
	}
}

func (c *compaction) copyAll(ctx context.Context) error {
	var names [][]byte
	err := c.journal.view(ctx, func(t reader) error {
		return t.ForEach(func(name []byte, _ *bbolt.Bucket) error {
			names = append(names, bytes.Clone(name))
			return nil
		})
	})
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := c.copyBucket(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (c *compaction) copyBucket(ctx context.Context, name []byte) error {
	var from []byte
	for n := 1; ; n++ {
		if n%syncEvery == 0 {
			if err := contain(c.db.Sync); err != nil {
				return err
			}
		}
		err := c.journal.view(ctx, func(t reader) error {
			return c.write(func(w *bbolt.Tx) error {
				to, err := w.CreateBucketIfNotExists(name)
				if err != nil {
					return err
				}
				to.FillPercent = compactFill
				cursor := t.Bucket(name).Cursor()
				k, value := cursor.Seek(from)
				for n, size := 0, 0; k != nil && n < compactRows && size < compactBytes; k, value = cursor.Next() {
					n, size = n+1, size+len(k)+len(value)
					if err := to.Put(k, value); err != nil {
						return err
					}
				}
				from = bytes.Clone(k)
				return nil
			})
		})
		if err != nil || from == nil {
			return err
		}
	}
}

// write is one transaction on the new file.
func (c *compaction) write(f func(*bbolt.Tx) error) error {
	return contain(func() error { return c.db.Update(f) })
}

// catchUp copies what was noted until little is left, and brings the file onto
// the disk.
func (c *compaction) catchUp(ctx context.Context) error {
	for range catchUps {
		keys := c.notes.take()
		if err := c.journal.view(ctx, func(t reader) error { return c.copyKeys(t.Tx, keys) }); err != nil {
			return err
		}
		if err := contain(c.db.Sync); err != nil {
			return err
		}
		if keys.len() <= fewKeys && c.notes.len() <= fewKeys {
			return nil
		}
	}
	return nil // writes come in faster than they are copied: they have to wait
}

func (c *compaction) copyKeys(t *bbolt.Tx, keys touched) error {
	return c.write(func(w *bbolt.Tx) error {
		for name, in := range keys {
			from := t.Bucket([]byte(name))
			to, err := w.CreateBucketIfNotExists([]byte(name))
			if err != nil {
				return err
			}
			for k := range in {
				if value := from.Get([]byte(k)); value != nil {
					err = to.Put([]byte(k), value)
				} else {
					err = to.Delete([]byte(k))
				}
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// swap copies the last keys and puts the new file in the place of the journal's.
// The committer runs it, so nothing is written meanwhile.
func (c *compaction) swap() error {
	j := c.journal
	if !j.open.TryLock() {
		return errReaders
	}
	defer j.open.Unlock()
	if j.db == nil || j.doubt != nil {
		return fmt.Errorf("%w: the last write could not be made", store.ErrUnavailable)
	}
	if err := j.inPlace(); err != nil {
		return err
	}
	begin := time.Now()
	keys := c.notes.take()
	c.db.NoSync = false
	err := contain(func() error {
		return j.db.View(func(t *bbolt.Tx) error {
			if err := c.copyKeys(t, keys); err != nil {
				return err
			}
			return c.write(func(w *bbolt.Tx) error {
				return t.ForEach(func(name []byte, b *bbolt.Bucket) error {
					return w.Bucket(name).SetSequence(b.Sequence())
				})
			})
		})
	})
	if err != nil {
		return err
	}
	which, err := c.file.Stat()
	if err != nil {
		return err
	}
	if err := os.Rename(c.path, c.replaces); err != nil {
		return err
	}
	c.db.AllocSize = c.grow
	defer func() {
		j.log.Info("a compacted file is the journal now", "path", j.path, "held", time.Since(begin), "keys", keys.len())
	}()
	c.old, j.db, j.file, j.which, j.opened, j.tail = j.db, c.db, c.file, which, 0, nil
	if err := syncDir(filepath.Dir(c.replaces)); err != nil {
		j.log.Error("the compacted journal is in place, but its folder could not be brought onto the disk", "path", j.path, "error", err)
	}
	return nil
}
