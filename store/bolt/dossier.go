package bolt

import (
	"bytes"
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"

	"go.etcd.io/bbolt"

	"github.com/callsync/callsync/store"
)

// A dossier is all that is kept of one call: rows by kind, and bodies. It is read
// from a transaction and valid no longer than that.
type dossier struct {
	place   key
	rows    *bbolt.Bucket
	bodies  *bbolt.Bucket
	bundled *bundled // instead of both, if it lies in a bundle
	in      uint64   // that bundle
}

// A reader finds dossiers in a transaction, for reading or writing.
type reader struct {
	*bbolt.Tx
	shelves *shelves
}

// whereIs returns the place of a call, nil when there is none.
func (t reader) whereIs(callID string) key {
	if callID == "" {
		return nil
	}
	return bytes.Clone(t.Bucket(idBucket).Get([]byte(callID)))
}

// find returns the dossier of a call; ok is false when there is none.
func (t reader) find(callID string) (d dossier, ok bool, err error) {
	place := t.whereIs(callID)
	if place == nil {
		return dossier{}, false, nil
	}
	d, err = t.at(place)
	return d, err == nil, err
}

// inOrder sorts callIDs by their places: calls of one bundle come after each other,
// and it is read once for all.
func (t reader) inOrder(callIDs []string) []string {
	places := make(map[string]string, len(callIDs))
	for _, id := range callIDs {
		places[id] = string(t.Bucket(idBucket).Get([]byte(id)))
	}
	return slices.SortedStableFunc(slices.Values(callIDs), func(a, b string) int { return strings.Compare(places[a], places[b]) })
}

// known is find where a call is expected.
func (t reader) known(callID string) (dossier, error) {
	d, ok, err := t.find(callID)
	if err == nil && !ok {
		err = store.ErrNotFound
	}
	if err != nil {
		return d, fmt.Errorf("call %s: %w", callID, err)
	}
	return d, nil
}

// bundledAt is the note of a call that lies in a bundle, nil of one that does not.
func (t reader) bundledAt(place key) []byte {
	return t.Bucket(rowBucket).Get(dossier{place: place}.key(key{rowBundled}))
}

// at returns the dossier at a place.
func (t reader) at(place []byte) (dossier, error) {
	d := dossier{place: place, rows: t.Bucket(rowBucket), bodies: t.Bucket(bodyBucket)}
	note := t.bundledAt(place)
	if note == nil {
		return d, nil
	}
	d.in, _ = decodeBundled(note)
	b, err := t.bundle(d.in)
	if err != nil {
		return d, err
	}
	c, ok := b.find(place)
	if !ok {
		return d, damaged(fmt.Errorf("bundle %d lacks the call at %x", d.in, place))
	}
	d.bundled = &c
	return d, nil
}

// places lists the places of all calls in order, beginning at from. What was
// yielded may be written to and dropped meanwhile.
func (t reader) places(from []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		c := t.Bucket(rowBucket).Cursor()
		for k, _ := c.Seek(from); k != nil; k, _ = c.Seek(from) {
			place := bytes.Clone(k[:placeSize])
			if !yield(place) {
				return
			}
			if from = after(place); from == nil {
				return
			}
		}
	}
}

// key is where a row of the dossier lies.
func (d dossier) key(k key) key {
	return append(append(make(key, 0, len(d.place)+len(k)), d.place...), k...)
}

// Get returns a row, nil if there is none.
func (d dossier) Get(k []byte) []byte {
	if d.bundled != nil {
		return findRow(d.bundled.rows, k)
	}
	return d.rows.Get(d.key(k))
}

// each calls f for the rows whose keys start with prefix, in order; f gets what
// follows the prefix.
func (d dossier) each(prefix key, f func(rest, value []byte) error) error {
	if d.bundled != nil {
		for _, r := range d.bundled.rows {
			if !bytes.HasPrefix(r.key, prefix) {
				continue
			}
			if err := f(r.key[len(prefix):], r.value); err != nil {
				return err
			}
		}
		return nil
	}
	from := d.key(prefix)
	return eachWithPrefix(d.rows, from, func(k, value []byte) error { return f(k[len(from):], value) })
}

// call is the call itself.
func (d dossier) call() (c store.Call, err error) {
	ok, err := load(d, key{rowCall}, &c)
	if err == nil && !ok {
		err = damaged(fmt.Errorf("the call at %x is missing", []byte(d.place)))
	}
	return c, err
}

func (d dossier) state(destination string) (s store.State, ok bool, err error) {
	ok, err = load(d, stateKey(destination), &s)
	return s, ok, err
}

// states reads a call's states by destination.
func (d dossier) states() (map[string]store.State, error) {
	states := make(map[string]store.State)
	err := d.each(key{rowState}, func(rest, value []byte) error {
		var s store.State
		if err := decodeRow(value, &s); err != nil {
			return err
		}
		r := keyReader(rest)
		states[r.text()] = s
		return nil
	})
	return states, err
}

// records calls f for every record kept, of one destination or, if that is "",
// of all.
func (d dossier) records(destination string, f func(destination string, r store.Record)) error {
	prefix := key{rowRecord}
	if destination != "" {
		prefix = prefix.text(destination)
	}
	return d.each(prefix, func(rest, value []byte) error {
		var r store.Record
		if err := decodeRow(value, &r); err != nil {
			return err
		}
		name := destination
		if name == "" {
			k := keyReader(rest)
			name = k.text()
		}
		f(name, r)
		return nil
	})
}

// load reads what w is to hold of the call for w's destination, and returns the
// packed body. An error is about the first part that cannot be read.
func (d dossier) load(w *store.Work) (body []byte, err error) {
	state, _, stateErr := d.state(w.Destination)
	if stateErr == nil {
		w.State = state
	}
	recordErr := d.records(w.Destination, func(_ string, r store.Record) { w.Records[r.Key] = r })
	call, err := d.call()
	if err != nil {
		return nil, err
	}
	w.Call = call
	body, err = d.newestBody(&call)
	return body, cmp.Or(stateErr, recordErr, err)
}

// revisionOf is the newest revision whose body had this hash; 0 when none had.
func (d dossier) revisionOf(hash string) (n int) {
	_ = d.each(key{rowRevision}, func(rest, value []byte) error {
		if _, _, h := decodeRevision(value); h == hash {
			r := keyReader(rest)
			n = int(r.uint32())
		}
		return nil
	})
	return n
}

// newestBody returns the packed body of the newest revision of c, which is the
// dossier's call; nil when it has expired.
func (d dossier) newestBody(c *store.Call) ([]byte, error) {
	if !c.HasBody() {
		return nil, nil
	}
	revision := d.Get(revisionKey(c.Revision))
	if revision == nil {
		return nil, damaged(fmt.Errorf("revision %d of call %s is missing", c.Revision, c.ID))
	}
	seq, _, _ := decodeRevision(revision)
	body := d.body(seq)
	if body == nil {
		return nil, damaged(fmt.Errorf("the body of call %s is missing", c.ID))
	}
	return body, nil
}

// body returns the packed body that a delivery brought; nil if there is none.
func (d dossier) body(seq uint64) []byte {
	if d.bundled != nil {
		return findRow(d.bundled.bodies, key{}.uint64(seq))
	}
	return d.bodies.Get(key{}.uint64(seq))
}

// eachWithPrefix calls f for the rows whose keys start with prefix, in order.
func eachWithPrefix(b *bbolt.Bucket, prefix []byte, f func(k, value []byte) error) error {
	c := b.Cursor()
	for k, value := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, value = c.Next() {
		if err := f(k, value); err != nil {
			return err
		}
	}
	return nil
}
