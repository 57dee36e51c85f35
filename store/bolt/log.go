package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/callsync/callsync/store"
)

// Deliveries implements [store.Reader].
func (j *Journal) Deliveries(ctx context.Context, f store.DeliveryFilter) iter.Seq2[store.Delivery, error] {
	return func(yield func(store.Delivery, error) bool) {
		var below []byte
		if f.Before > 0 {
			below = key{}.uint64(f.Before)
		}
		left := f.Limit
		for {
			page, more, err := j.deliveryPage(ctx, f, below, left)
			if err != nil {
				yield(store.Delivery{}, err)
				return
			}
			for _, d := range page {
				if !yield(d, nil) {
					return
				}
				if d.Damaged == nil {
					left--
				}
			}
			if more == nil || f.Limit > 0 && left <= 0 {
				return
			}
			below = more
		}
	}
}

// errPage: a page is full.
var errPage = errors.New("the page is full")

// deliveryPage returns deliveries below a key, at most limit if that is above
// zero, and the key to go on from; nil when that was all.
func (j *Journal) deliveryPage(ctx context.Context, f store.DeliveryFilter, below []byte, limit int) (page []store.Delivery, more []byte, err error) {
	hits := pageHits
	if limit > 0 {
		hits = min(hits, limit)
	}
	err = j.view(ctx, func(t reader) error {
		rows := 0
		return t.walkLog(f, below, func(seq, value []byte, err error) error {
			if err != nil && (!f.Damaged || !errors.Is(err, store.ErrDamaged)) {
				return err
			}
			if rows++; rows > pageRows || len(page) == hits {
				return errPage
			}
			more = bytes.Clone(seq)
			if err != nil {
				page = append(page, store.Delivery{Seq: binary.BigEndian.Uint64(seq), Damaged: err})
				return nil
			}
			r := keyReader(value)
			if at := r.time(); !within(at, f.Since, f.Until) {
				return nil
			}
			if f.Verdict != "" && f.Verdict != store.Verdict(r.text()) {
				return nil
			}
			d, err := decodeDelivery(binary.BigEndian.Uint64(seq), value)
			if f.Damaged && errors.Is(err, store.ErrDamaged) {
				d.Damaged, err = fmt.Errorf("delivery %d: %w", d.Seq, err), nil
			}
			page = append(page, d)
			return err
		})
	})
	if errors.Is(err, errPage) {
		return page, more, nil
	}
	return page, nil, err
}

// walkLog calls visit for the deliveries below a seq, newest first, that have the
// filter's callId, or else its verdict, or else for all. Most are accepted, so
// there is no index of those. What cannot be read comes to visit as an error, under
// the first seq that it may concern.
func (t reader) walkLog(f store.DeliveryFilter, below []byte, visit func(seq, value []byte, err error) error) error {
	if f.CallID == "" && (f.Verdict == "" || f.Verdict == store.Accepted) {
		return t.walkAllLogged(below, visit)
	}
	w := &backward{}
	if f.CallID != "" {
		d, ok, err := t.find(f.CallID)
		if err != nil || !ok {
			return err
		}
		w = d.deliveries(below)
	} else {
		w = newBackward(t.Bucket(verdictBucket), key{}.text(string(f.Verdict)), below)
	}
	for ; w.rest != nil; w.next() {
		value, err := t.logged(w.rest)
		if err == nil && value == nil {
			continue // expired, while its call lay in a bundle
		}
		if err != nil {
			err = fmt.Errorf("delivery %d: %w", binary.BigEndian.Uint64(w.rest), err)
		}
		if err := visit(w.rest, value, err); err != nil {
			return err
		}
	}
	return nil
}

// deliveries walks the seqs of a call's deliveries.
func (d dossier) deliveries(below []byte) *backward {
	if d.bundled == nil {
		return newBackward(d.rows, d.key(key{rowDelivery}), below)
	}
	w := &backward{}
	add := func(seq, _ []byte) error {
		if below == nil || bytes.Compare(seq, below) < 0 {
			w.left = append(w.left, row{key: seq})
		}
		return nil
	}
	_ = d.each(key{rowDelivery}, add)
	d.bundled = nil
	_ = d.each(key{rowDelivery}, add) // those that came in since
	w.next()
	return w
}

// The older part of the log lies in bundles of its own, each under the seq of its
// first row: a number, which is never given twice, and a frame of rows.

// logBundleRows is how many rows a bundle of the log is made of.
const logBundleRows = 512

func packLogged(rows []row) []byte {
	return bundler.EncodeAll(appendRows(nil, rows), []byte{zippedWith})
}

func unpackLogged(frame []byte) ([]row, error) {
	data, err := unpack(frame)
	if err != nil {
		return nil, err
	}
	r := bundleReader{rest: data}
	return r.rows(), r.err
}

// logBundle decodes a bundle of the log, as it lies in the bucket.
func (t reader) logBundle(value []byte) (id uint64, rows []row, err error) {
	r := keyReader(value)
	id = r.uint64()
	rows, err = t.shelves.log.read(id, func() ([]row, error) { return unpackLogged(r) })
	return id, rows, err
}

// logged returns a row of the log, nil if it is not there.
func (t reader) logged(seq []byte) ([]byte, error) {
	if value := t.Bucket(deliveryBucket).Get(seq); value != nil {
		return value, nil
	}
	_, bundle := t.logBundleOf(seq)
	if bundle == nil {
		return nil, nil
	}
	_, rows, err := t.logBundle(bundle)
	return findRow(rows, seq), err
}

// logBundleOf finds the bundle in which a row lies, if it lies in one.
func (t reader) logBundleOf(seq []byte) (first, value []byte) {
	c := t.Bucket(logBundleBucket).Cursor()
	k, value := c.Seek(seq)
	if k == nil {
		return c.Last()
	}
	if bytes.Equal(k, seq) {
		return k, value
	}
	return c.Prev()
}

// walkAllLogged calls visit for all rows below a seq, from the last to the first.
func (t reader) walkAllLogged(below []byte, visit func(seq, value []byte, err error) error) error {
	for w := newBackward(t.Bucket(deliveryBucket), nil, below); w.rest != nil; w.next() {
		if err := visit(w.rest, w.value, nil); err != nil {
			return err
		}
	}
	for w := newBackward(t.Bucket(logBundleBucket), nil, below); w.rest != nil; w.next() {
		_, rows, err := t.logBundle(w.value)
		if err != nil {
			err = fmt.Errorf("up to %d deliveries from number %d on: %w", logBundleRows, binary.BigEndian.Uint64(w.rest), err)
			if err := visit(w.rest, nil, err); err != nil {
				return err
			}
		}
		for _, r := range slices.Backward(rows) {
			if below != nil && bytes.Compare(r.key, below) >= 0 {
				continue
			}
			if err := visit(r.key, r.value, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// eachLogged calls f for all rows from a seq on, in order, but for those in bundles
// that cannot be read. f must not write to the log.
func (t reader) eachLogged(from []byte, f func(seq, value []byte) error) error {
	c := t.Bucket(logBundleBucket).Cursor()
	k, value := c.First()
	if first, v := t.logBundleOf(from); first != nil {
		c.Seek(first)
		k, value = first, v
	}
	for ; k != nil; k, value = c.Next() {
		_, rows, err := t.logBundle(value)
		if err != nil {
			continue
		}
		for _, r := range rows {
			if bytes.Compare(r.key, from) < 0 {
				continue
			}
			if err := f(r.key, r.value); err != nil {
				return err
			}
		}
	}
	live := t.Bucket(deliveryBucket).Cursor()
	for k, value := live.Seek(from); k != nil; k, value = live.Next() {
		if err := f(k, value); err != nil {
			return err
		}
	}
	return nil
}

// gatherLog collects the oldest rows of the log that lie in no bundle, unless
// there are too few of them or one is not old.
func (t reader) gatherLog(enough int, old func(value []byte) bool) (found, rows []row) {
	c := t.Bucket(deliveryBucket).Cursor()
	for k, value := c.First(); k != nil && len(rows) < enough; k, value = c.Next() {
		if !old(value) {
			return nil, nil
		}
		r := row{bytes.Clone(k), bytes.Clone(value)}
		found, rows = append(found, r), append(rows, row{r.key, logInPlain(r.value)})
	}
	if len(rows) < enough {
		return nil, nil
	}
	return found, rows
}

// logInPlain is a row of the log with nothing compressed. One that cannot be read
// stays as it is.
func logInPlain(value []byte) []byte {
	r := keyReader(value)
	r.time()
	r.text()
	head := value[:len(value)-len(r)]
	data, err := unpack(r)
	if err != nil {
		return value
	}
	return append(append(bytes.Clone(head), plain), data...)
}

// putLogBundle puts a bundle in the place of rows of the log, unless one of them
// is gone.
func (t *tx) putLogBundle(found []row, frame []byte) (bool, error) {
	log := t.Bucket(deliveryBucket)
	for _, r := range found {
		if !bytes.Equal(log.Get(r.key), r.value) {
			return false, nil
		}
	}
	for _, r := range found {
		if err := log.Delete(r.key); err != nil {
			return false, err
		}
	}
	return true, t.newLogBundle(found[0].key, frame)
}

func (t *tx) newLogBundle(first key, frame []byte) error {
	b := t.growing(logBundleBucket)
	id, err := b.NextSequence()
	if err != nil {
		return err
	}
	return b.Put(first, append(key{}.uint64(id), frame...))
}

// strike drops a row of the log; those in bundles are dropped together at the end
// of the transaction.
func (t *tx) strike(seq []byte) error {
	if t.Bucket(deliveryBucket).Get(seq) != nil {
		return t.Bucket(deliveryBucket).Delete(seq)
	}
	first, _ := t.logBundleOf(seq)
	if t.struck == nil {
		t.struck = map[string]key{}
	}
	t.struck[string(seq)] = bytes.Clone(first)
	return nil
}

// rebundleLog makes new bundles of those that rows are struck from.
func (t *tx) rebundleLog() error {
	done := map[string]bool{}
	for _, first := range t.struck {
		if done[string(first)] {
			continue
		}
		done[string(first)] = true
		if err := t.rebundleLogged(first); err != nil {
			return err
		}
	}
	t.struck = nil
	return nil
}

func (t *tx) rebundleLogged(first key) error {
	bundles := t.Bucket(logBundleBucket)
	_, rows, err := t.logBundle(bundles.Get(first))
	if err != nil {
		return err
	}
	rows = slices.DeleteFunc(slices.Clone(rows), func(r row) bool { _, gone := t.struck[string(r.key)]; return gone })
	if err := bundles.Delete(first); err != nil || len(rows) == 0 {
		return err
	}
	return t.newLogBundle(rows[0].key, packLogged(rows))
}
