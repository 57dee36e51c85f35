package bolt

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"go.etcd.io/bbolt"

	"github.com/callsync/callsync/store"
)

// errClosed answers whoever comes after Close.
var errClosed = fmt.Errorf("%w: it is closed", store.ErrUnavailable)

// retryAfter is how long after a write that failed one is tried. Senders that are
// kept away by it would never show that there is room again.
const retryAfter = 10 * time.Second

// Unwritable is why a write could not be made, until one as large can: on a disk
// that is nearly full, small ones can and others cannot. It is safe for concurrent use.
func (j *Journal) Unwritable() error {
	if err := j.unwritable.Load(); err != nil {
		return *err
	}
	return nil
}

// report notes what came of a commit. It tells operators when the journal stops
// taking writes, and when it takes them again, but not of every write in between.
func (j *Journal) report(ops []*op, err error) {
	failing := j.Unwritable() != nil
	switch {
	case err != nil:
		j.unwritable.Store(&err)
		if !failing {
			j.log.Error("the journal takes nothing; senders are told to try again", "path", j.path, "error", err)
			time.AfterFunc(retryAfter, j.probe)
		}
	case failing && (probing(ops) || j.written >= j.refused):
		j.unwritable.Store(nil)
		j.refused = 0
		j.log.Info("the journal takes writes again", "path", j.path)
		j.wakers.wakeAll() // loops that met the disk have put off their next look
	}
}

// A probe writes rows that fill a page each, as many as the largest write that
// failed took, within bounds.
const (
	probeRow   = 3000 // bytes
	leastProbe = 256 << 10
	mostProbe  = 16 << 20
)

var probePrefix = []byte("probe/")

// probe tries a write, again and again until one can be made.
func (j *Journal) probe() {
	ctx := context.Background()
	err := j.hand(ctx, &op{run: (*tx).fillProbe, probe: true, done: make(chan error, 1)})
	switch {
	case errors.Is(err, errClosed):
	case err != nil:
		time.AfterFunc(retryAfter, j.probe)
	default:
		_ = j.update(ctx, (*tx).clearProbe) // left behind, it is only in the way
	}
}

func (t *tx) fillProbe() error {
	size := min(max(t.journal.refused, leastProbe), mostProbe)
	row := make([]byte, probeRow)
	for i := range size / probeRow {
		_, _ = rand.Read(row) // never fails
		if err := t.Bucket(settingBucket).Put(key(probePrefix).text(strconv.FormatInt(i, 10)), bytes.Clone(row)); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) clearProbe() error {
	b := t.Bucket(settingBucket)
	var keys [][]byte
	err := eachWithPrefix(b.Bucket, probePrefix, func(k, _ []byte) error {
		keys = append(keys, bytes.Clone(k))
		return nil
	})
	for _, k := range keys {
		err = errors.Join(err, b.Delete(k))
	}
	return err
}

// measure notes how much a commit wrote, or would have written.
func (j *Journal) measure(b *bbolt.Tx, ops []*op, err error) {
	stats := b.Stats()
	switch n := stats.GetPageAlloc(); {
	case err == nil:
		j.written = n
	case !probing(ops):
		j.refused = max(j.refused, n)
	}
}

func probing(ops []*op) bool {
	return slices.ContainsFunc(ops, func(o *op) bool { return o.probe })
}
