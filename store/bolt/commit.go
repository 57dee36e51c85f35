package bolt

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"github.com/callsync/callsync/store"
)

// An op is one write. It may be run more than once, each time on a transaction
// that has nothing of it.
type op struct {
	run   func(*tx) error
	alone func() error // instead of run: while nothing else is written, outside a transaction
	probe bool         // it is there to find out whether it can be made
	taken atomic.Bool  // by the committer, or back by its caller
	done  chan error
}

// update hands run to the committer and returns once its transaction is on
// disk, or undone. A context that ends takes back a write that still waits.
func (j *Journal) update(ctx context.Context, run func(*tx) error) error {
	return j.hand(ctx, &op{run: run, done: make(chan error, 1)})
}

// alone has the committer run f between two transactions.
func (j *Journal) alone(ctx context.Context, f func() error) error {
	return j.hand(ctx, &op{alone: f, done: make(chan error, 1)})
}

func (j *Journal) hand(ctx context.Context, o *op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !j.queue.add(o) {
		return errClosed
	}
	select {
	case err := <-o.done:
		return err
	case <-ctx.Done():
		if o.taken.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		return <-o.done
	}
}

// A queue holds the writes that wait.
type queue struct {
	mu       sync.Mutex
	more     sync.Cond
	ops      []*op
	enough   int // how many are worth waking the committer for
	closed   bool
	finished chan struct{} // closed when the committer has returned
}

func (q *queue) init() {
	q.more.L = &q.mu
	q.finished = make(chan struct{})
}

func (q *queue) add(o *op) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.ops = append(q.ops, o)
	if len(q.ops) >= q.enough {
		q.more.Signal()
	}
	return true
}

// take waits for a write and returns all there are; none when the queue is
// closed and empty.
//
// A group that starts with the first write to come would often be that one
// alone, while those whose writes were just answered are about to send their
// next. So for up to patience it waits until there are as many as there lately
// were: the answered ones, and those that waited meanwhile.
func (q *queue) take(answered int, patience time.Duration) []*op {
	q.mu.Lock()
	defer q.mu.Unlock()
	lately := answered + len(q.ops)
	for q.enough = 1; len(q.ops) == 0 && !q.closed; {
		q.more.Wait()
	}
	if len(q.ops) < lately && patience > 0 {
		late := false
		t := time.AfterFunc(patience, func() {
			q.mu.Lock()
			defer q.mu.Unlock()
			late = true
			q.more.Signal()
		})
		for q.enough = lately; len(q.ops) < lately && !late && !q.closed; {
			q.more.Wait()
		}
		t.Stop()
	}
	ops := q.ops
	q.ops = nil
	return ops
}

// close lets the committer finish and waits for it. It reports whether this was
// the first call.
func (q *queue) close() bool {
	q.mu.Lock()
	first := !q.closed
	q.closed = true
	q.more.Signal()
	q.mu.Unlock()
	<-q.finished
	return first
}

// maxPatience bounds how long a write waits for company. It is less than half of
// what the last commit took.
const maxPatience = 5 * time.Millisecond

func (j *Journal) commitLoop() {
	defer close(j.queue.finished)
	answered, took := 0, time.Duration(0)
	for {
		ops := j.queue.take(answered, min(took/2, maxPatience))
		if len(ops) == 0 {
			return
		}
		start := time.Now()
		waiting := ops[:0]
		var alone, probes []*op
		for _, o := range ops {
			switch {
			case !o.taken.CompareAndSwap(false, true):
			case o.alone != nil:
				alone = append(alone, o)
			case o.probe: // its failure must not be anybody else's
				probes = append(probes, o)
			default:
				waiting = append(waiting, o)
			}
		}
		answered = len(waiting)
		j.commitAll(waiting)
		j.commitAll(probes)
		for _, o := range alone {
			o.done <- o.alone()
		}
		j.renew()
		took = time.Since(start)
	}
}

// commitAll carries out ops and answers each. One that fails is left out, and
// the rest runs again without it.
func (j *Journal) commitAll(ops []*op) {
	for len(ops) > 0 {
		failed, err := j.commitOnce(ops)
		if failed < 0 {
			j.report(ops, err)
			for _, o := range ops {
				o.done <- err
			}
			return
		}
		ops[failed].done <- err
		ops = append(ops[:failed], ops[failed+1:]...)
	}
}

// commitOnce carries out ops in one transaction. failed is the index of the op
// that could not be carried out, or -1 when err, if any, concerns all.
func (j *Journal) commitOnce(ops []*op) (failed int, err error) {
	if err := j.resolveDoubt(); err != nil {
		return -1, unavailable(err)
	}
	if err := j.inPlace(); err != nil {
		return -1, unavailable(err)
	}
	var b *bbolt.Tx
	err = contain(func() (err error) {
		b, err = j.db.Begin(true)
		return err
	})
	if err != nil {
		j.doubt = &doubt{panicked: errors.Is(err, store.ErrDamaged)}
		return -1, unavailable(err)
	}
	t := &tx{reader: reader{b, &shelves{}}, journal: j, counts: map[string]*int64{}, woken: map[string]bool{}}
	if tail := j.tail; tail != nil {
		t.touched = touched{}
		defer func() { tail.note(t.touched) }() // however it ends
	}
	for i, o := range ops {
		if err := contain(func() error { return o.run(t) }); err != nil {
			j.abandon(b)
			if errors.Is(err, store.ErrDamaged) {
				err = unavailable(err)
			}
			return i, err
		}
	}
	if err := contain(t.finish); err != nil {
		j.abandon(b)
		return -1, unavailable(err)
	}
	id := b.ID()
	err = contain(func() error { return j.opts.commit(b) })
	j.measure(b, ops, err)
	if err != nil {
		j.assess(id, errors.Is(err, store.ErrDamaged))
		if j.doubt != nil {
			j.doubt.touched = t.touched
		}
		return -1, unavailable(errors.Join(err, j.resolveDoubt()))
	}
	for destination := range t.woken {
		j.wakers.wake(destination)
	}
	return -1, nil
}

// inPlace reports a file that was moved away, deleted or replaced while it is
// open: what is written to it would be gone after a restart.
func (j *Journal) inPlace() error {
	named, err := os.Stat(j.path)
	if err != nil {
		return err
	}
	if !os.SameFile(j.which, named) {
		return j.otherFile()
	}
	return nil
}

func (j *Journal) otherFile() error {
	return fmt.Errorf("%s is another file than the one that was opened; restart callsync to use it", j.path)
}

func (j *Journal) abandon(b *bbolt.Tx) {
	if err := contain(b.Rollback); err != nil {
		j.doubt = &doubt{panicked: true}
	}
}

func unavailable(cause error) error {
	return fmt.Errorf("%w: %w", store.ErrUnavailable, cause)
}

// A doubt is the committer's knowledge that the open file and what bbolt
// believes about it may differ, after a commit that failed.
//
// A commit first writes its pages where nothing valid lies and syncs, then
// writes the head page that makes them count, and syncs again. Failing before
// the head leaves the journal as it was, and bbolt goes on from there. When the
// second sync fails, the kernel shows a new head that may never reach the disk,
// and bbolt would go on from it, although the caller was told that nothing was
// recorded. That head is wiped out, which makes the one before it count again,
// and the file is opened anew. Until then nothing is written.
//
// After a panic it is unknown which of its locks bbolt still holds. Closing it
// might wait for ever, so it is left behind, with the address space it mapped.
type doubt struct {
	panicked bool
	wipe     bool  // there is a head to be wiped out
	head     int64 // its offset in bytes
	size     int
	touched  touched // what was to be seen until the doubt is over, and is undone then
}

// assess finds out how far the failed commit with this transaction id got.
func (j *Journal) assess(id int, panicked bool) {
	var visible, size int
	err := contain(func() error {
		t, err := j.db.Begin(false)
		if err != nil {
			return err
		}
		defer t.Rollback()
		visible, size = t.ID(), j.db.Info().PageSize
		return nil
	})
	if err != nil || panicked || visible >= id {
		j.doubt = &doubt{panicked: panicked, wipe: err == nil && visible >= id, head: int64(id%2) * int64(size), size: size}
	}
}

// resolveDoubt puts the file right after a commit that failed half-way.
func (j *Journal) resolveDoubt() error {
	d := j.doubt
	if d == nil {
		return nil
	}
	if d.wipe {
		if _, err := j.file.WriteAt(make([]byte, d.size), d.head); err != nil {
			return err
		}
		if err := j.file.Sync(); err != nil {
			return err
		}
		d.wipe = false
	}
	j.open.Lock()
	defer j.open.Unlock()
	if err := j.reopen(d.panicked); err != nil {
		return err
	}
	if j.tail != nil {
		j.tail.note(d.touched)
	}
	j.doubt = nil
	return nil
}

// reopen opens the file anew; open is held.
func (j *Journal) reopen(panicked bool) error {
	if err := j.inPlace(); err != nil {
		return err
	}
	switch {
	case j.db == nil: // an attempt before this one closed it
	case panicked:
		unlock(j.file)
		j.file.Close()
		j.db = nil
	default:
		if err := j.closeDB(); err != nil {
			j.log.Warn("closing the journal to open it again", "path", j.path, "error", err)
		}
	}
	return j.openDB()
}

// renewAfter is by how many bytes the file may grow until it is opened anew. Until
// a page is freed, bbolt keeps in memory which of its transactions made it, some
// dozens of bytes for each, and a backlog frees nothing.
const renewAfter = 256 << 20

// renew opens a file anew that has grown much, if nobody is reading it and it can
// be opened.
func (j *Journal) renew() {
	if j.doubt != nil {
		return
	}
	info, err := j.file.Stat()
	if err != nil || info.Size()-j.opened < j.opts.renew || !j.open.TryLock() {
		return
	}
	defer j.open.Unlock()
	probe, err := j.opts.openFile(j.path, os.O_RDWR, 0)
	if err != nil {
		return
	}
	probe.Close()
	if err := j.reopen(false); err != nil {
		j.doubt = &doubt{} // the next write tries again, and says so
	}
}

// A tx is a write transaction shared by several ops, with what they have in
// common.
type tx struct {
	reader
	journal  *Journal
	counts   map[string]*int64 // what to add to counters
	woken    map[string]bool   // destinations with something new to do
	buckets  map[string]*bucket
	loosened map[uint64][]key // the places of calls taken out of bundles, by bundle
	struck   map[string]key   // the keys of log bundles, by seqs to strike from them
	touched  touched          // what a compaction has to be told; nil when there is none
	enrolled []string
	asked    bool // enrolled was read
}

// Counters, by key in the bucket of counts.
const (
	countCalls      = 'c'
	countVerdict    = 'v' // + verdict
	countState      = 's' // + destination + status
	countForgotten  = 'f' // + destination
	countQuarantine = 'q' // bytes
)

func (t *tx) count(k key, n int64) {
	if sum := t.counts[string(k)]; sum != nil {
		*sum += n
		return
	}
	t.counts[string(k)] = &n
}

// counted is a counter's value within the transaction.
func (t *tx) counted(k key) int64 {
	n := readCount(t.Bucket(countBucket).Get(k))
	if sum := t.counts[string(k)]; sum != nil {
		n += *sum
	}
	return n
}

// finish writes what was put off to the end of the transaction.
func (t *tx) finish() error {
	if err := t.rebundle(); err != nil {
		return err
	}
	if err := t.rebundleLog(); err != nil {
		return err
	}
	return t.flushCounts()
}

func (t *tx) flushCounts() error {
	b := t.Bucket(countBucket)
	for k, sum := range t.counts {
		if *sum == 0 {
			continue
		}
		n := *sum + readCount(b.Get([]byte(k)))
		if err := b.Put([]byte(k), key{}.uint64(uint64(n))); err != nil {
			return err
		}
	}
	return nil
}

func readCount(value []byte) int64 {
	if len(value) != 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(value))
}

// destinations are those that are enrolled.
func (t *tx) destinations() ([]string, error) {
	if t.asked {
		return t.enrolled, nil
	}
	if value := t.Bucket(metaBucket).Get(enrolledKey); value != nil {
		if err := json.Unmarshal(value, &t.enrolled); err != nil {
			return nil, damaged(err)
		}
	}
	t.asked = true
	return t.enrolled, nil
}
