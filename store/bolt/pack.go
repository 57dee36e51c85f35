package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/callsync/callsync/store"
)

const (
	// bundleSize is about how much a bundle holds, in bytes before compression.
	// Half as much takes three in a hundred more room; with more, reading a single
	// call, which unpacks all of them, would take longer than some milliseconds.
	bundleSize = 640 << 10
	// bundleRows is how many places are looked at for one bundle.
	bundleRows = 5000
)

// Pack implements [store.Forgetter]. A call that is very large stays as it is.
func (j *Journal) Pack(ctx context.Context, before time.Time, from []byte) (store.Packed, error) {
	out, err := j.packCalls(ctx, before, from)
	if err != nil {
		return store.Packed{}, err
	}
	if out.Next == nil {
		more, err := j.packLog(ctx, before)
		if err != nil {
			return store.Packed{}, err
		}
		if more {
			out.Next = behindAll
		}
	}
	return out, nil
}

// behindAll is where nothing but the log is left to be packed.
var behindAll = bytes.Repeat([]byte{0xff}, placeSize)

func (j *Journal) packCalls(ctx context.Context, before time.Time, from []byte) (store.Packed, error) {
	var g gathered
	if err := j.view(ctx, func(t reader) (err error) {
		g, err = t.gather(before, from, j.opts.bundle)
		return err
	}); err != nil {
		return store.Packed{}, err
	}
	out := store.Packed{Next: g.next}
	if g.size < j.opts.bundle/4 {
		return out, nil // what there is waits for more
	}
	value, err := g.bundle.encode()
	if err != nil {
		return store.Packed{}, err
	}
	err = j.update(ctx, func(t *tx) (err error) {
		out.Calls, err = t.putGathered(&g, value)
		return err
	})
	return out, err
}

// packLog packs the oldest rows of the log, and reports whether there were enough.
func (j *Journal) packLog(ctx context.Context, before time.Time) (done bool, err error) {
	var found, rows []row
	now := j.now()
	old := func(value []byte) bool {
		r := keyReader(value)
		at := r.time()
		return at.Before(before) || at.After(now) // dated by a wrong clock
	}
	if err := j.view(ctx, func(t reader) error {
		found, rows = t.gatherLog(min(logBundleRows, j.opts.bundle>>10), old)
		return nil
	}); err != nil || len(rows) == 0 {
		return false, err
	}
	frame := packLogged(rows)
	again, err := unpackLogged(frame)
	if err != nil {
		return false, err
	}
	if !slices.EqualFunc(rows, again, row.equal) {
		return false, errReadBack
	}
	err = j.update(ctx, func(t *tx) (err error) {
		done, err = t.putLogBundle(found, frame)
		return err
	})
	return done, err
}

// packAll packs every call that is settled.
func (j *Journal) packAll(ctx context.Context) error {
	var from []byte
	for before := j.now(); ; {
		out, err := j.Pack(ctx, before, from)
		if err != nil || out.Next == nil {
			return err
		}
		from = out.Next
	}
}

// gathered are calls for a bundle, and their rows as they lay there.
type gathered struct {
	bundle bundle
	found  [][]row // by call, as in their bucket
	size   int     // in bytes
	next   []byte  // the place to go on from; nil at the end
}

// gather collects calls from a place on that are settled, and have been since
// before a time, until there are enough.
func (t reader) gather(before time.Time, from []byte, enough int) (g gathered, err error) {
	c := t.Bucket(rowBucket).Cursor()
	k, _ := c.Seek(from)
	for n := 0; k != nil && n < bundleRows; n++ {
		place := bytes.Clone(k[:placeSize])
		if !receivedAt(place).Before(before) {
			return g, nil
		}
		if g.size >= enough {
			g.next = place
			return g, nil
		}
		if k[placeSize] == rowBundled {
			if k, _ = c.Next(); bytes.HasPrefix(k, place) {
				k, _ = c.Seek(after(place))
			}
			continue
		}
		if err := t.consider(&g, place, before, enough); err != nil && !errors.Is(err, store.ErrDamaged) {
			return g, err // a call that cannot be read is left as it is: whoever asks for it is told
		}
		k, _ = c.Seek(after(place))
	}
	if k != nil {
		g.next = bytes.Clone(k[:placeSize])
	}
	return g, nil
}

// consider adds the call at a place if it is settled.
func (t reader) consider(g *gathered, place []byte, before time.Time, enough int) error {
	d, err := t.at(place)
	if err != nil {
		return err
	}
	if done, err := d.settledBefore(before); err != nil || !done {
		return err
	}
	call, err := d.call()
	large := call.HasBody() && call.Size > 2*enough // told before any body is unpacked
	if err != nil || large || !call.RevisedAt.Before(before) {
		return err
	}
	c, found, err := d.fold(2 * enough)
	if errors.Is(err, errTooLarge) {
		return nil
	}
	if err != nil {
		return err
	}
	g.bundle, g.found, g.size = append(g.bundle, c), append(g.found, found), g.size+bundle{c}.size()
	return nil
}

var errTooLarge = errors.New("the call is too large for a bundle")

// fold reads a call as it shall lie in a bundle, and its rows as they lie now. The
// error is errTooLarge as soon as it is larger than most, in bytes.
func (d dossier) fold(most int) (c bundled, found []row, err error) {
	c.place = d.place
	size := 0
	add := func(rows *[]row, r row) error {
		*rows = append(*rows, r)
		if size += len(r.key) + len(r.value); size > most {
			return errTooLarge
		}
		return nil
	}
	err = d.each(nil, func(k, value []byte) error {
		k, value = bytes.Clone(k), bytes.Clone(value)
		found = append(found, row{k, value})
		folded, err := inPlain(k, value)
		if err != nil {
			return damaged(err)
		}
		if err := add(&c.rows, row{k, folded}); err != nil || k[0] != rowRevision {
			return err
		}
		seq, _, _ := decodeRevision(value)
		if packed := d.body(seq); packed != nil {
			body, err := unpack(packed)
			if err != nil {
				return damaged(err)
			}
			return add(&c.bodies, row{key{}.uint64(seq), append([]byte{plain}, body...)})
		}
		return nil
	})
	slices.SortFunc(c.bodies, func(a, b row) int { return bytes.Compare(a.key, b.key) })
	return c, found, err
}

// settledBefore reports whether a call is done with everywhere, and has been since
// before a time. It is asked of every call that is not packed, most of which a
// glance at their states tells.
func (d dossier) settledBefore(before time.Time) (bool, error) {
	settling := true
	_ = d.each(key{rowState}, func(_, value []byte) error {
		settling = settling && (mayHold(value, string(store.Synced)) || mayHold(value, string(store.Skipped)))
		return nil
	})
	if !settling {
		return false, nil
	}
	states, err := d.states()
	if err != nil || len(states) == 0 {
		return false, err
	}
	for _, s := range states {
		if !settled(s) || !s.Since.Before(before) {
			return false, nil
		}
	}
	return true, nil
}

// putGathered puts a bundle in the place of its calls' rows, unless one of them
// was written to meanwhile.
func (t *tx) putGathered(g *gathered, value []byte) (calls int, err error) {
	for i, c := range g.bundle {
		if same, err := t.unchanged(c, g.found[i]); err != nil || !same {
			return 0, err
		}
	}
	id, err := t.putBundle(value)
	if err != nil {
		return 0, err
	}
	for _, c := range g.bundle {
		for _, r := range c.rows {
			if err := t.Bucket(rowBucket).Delete(append(slices.Clip(c.place), r.key...)); err != nil {
				return 0, err
			}
		}
		for _, r := range c.bodies {
			if err := t.Bucket(bodyBucket).Delete(r.key); err != nil {
				return 0, err
			}
		}
		if err := t.noteBundled(c, id); err != nil {
			return 0, err
		}
	}
	return len(g.bundle), nil
}

func (t *tx) unchanged(c bundled, found []row) (bool, error) {
	i := 0
	err := eachWithPrefix(t.Tx.Bucket(rowBucket), c.place, func(k, value []byte) error {
		if i < len(found) && bytes.Equal(found[i].key, k[placeSize:]) && bytes.Equal(found[i].value, value) {
			i++
			return nil
		}
		return errChanged
	})
	if errors.Is(err, errChanged) || err == nil && i < len(found) {
		return false, nil
	}
	return true, err
}

var errChanged = errors.New("changed meanwhile")

func (t *tx) putBundle(value []byte) (id uint64, err error) {
	b := t.growing(bundleBucket)
	if id, err = b.NextSequence(); err != nil {
		return 0, err
	}
	return id, b.Put(key{}.uint64(id), value)
}

// noteBundled writes the one row that a call has which lies in a bundle: the
// bundle, and whether there are bodies.
func (t *tx) noteBundled(c bundled, id uint64) error {
	note := binary.AppendUvarint(nil, id<<1|uint64(min(len(c.bodies), 1)))
	return t.growing(rowBucket).Put(append(slices.Clip(c.place), rowBundled), note)
}

func decodeBundled(note []byte) (id uint64, bodies bool) {
	n, _ := binary.Uvarint(note)
	return n >> 1, n&1 != 0
}

// open is find for writing: a call that lies in a bundle is taken out of it.
func (t *tx) open(callID string) (d dossier, ok bool, err error) {
	d, ok, err = t.find(callID)
	if ok {
		d, err = t.takeOut(d)
	}
	return d, ok && err == nil, err
}

// takeOut gives a call its rows back if it lies in a bundle.
func (t *tx) takeOut(d dossier) (dossier, error) {
	if d.bundled == nil {
		return d, nil
	}
	if err := t.unbundle(*d.bundled); err != nil {
		return d, err
	}
	if t.loosened == nil {
		t.loosened = map[uint64][]key{}
	}
	t.loosened[d.in] = append(t.loosened[d.in], d.place)
	d.bundled = nil
	return d, nil
}

func (t *tx) unbundle(c bundled) error {
	rows, bodies := t.growing(rowBucket), t.growing(bodyBucket)
	if err := rows.Delete(append(slices.Clip(c.place), rowBundled)); err != nil {
		return err
	}
	for _, r := range c.rows {
		if err := rows.Put(append(slices.Clip(c.place), r.key...), repacked(r.key, r.value)); err != nil {
			return err
		}
	}
	for _, r := range c.bodies {
		if err := bodies.Put(r.key, packBody(r.value[1:])); err != nil {
			return err
		}
	}
	return nil
}

// rebundle makes new bundles of those that calls were taken out of. What would be
// a small one goes back to where it came from.
func (t *tx) rebundle() error {
	for _, id := range slices.Sorted(maps.Keys(t.loosened)) {
		b, err := t.bundle(id)
		if err != nil {
			return err
		}
		places := t.loosened[id]
		left := slices.DeleteFunc(slices.Clone(b), func(c bundled) bool {
			return slices.ContainsFunc(places, func(p key) bool { return bytes.Equal(p, c.place) })
		})
		if err := t.Bucket(bundleBucket).Delete(key{}.uint64(id)); err != nil {
			return err
		}
		if bundle(left).size() < t.journal.opts.bundle/4 {
			for _, c := range left {
				if err := t.unbundle(c); err != nil {
					return err
				}
			}
			continue
		}
		value, err := left.encode()
		if err != nil {
			return fmt.Errorf("what is left of bundle %d: %w", id, err)
		}
		next, err := t.putBundle(value)
		if err != nil {
			return err
		}
		for _, c := range left {
			if err := t.noteBundled(c, next); err != nil {
				return err
			}
		}
	}
	t.loosened = nil
	return nil
}
