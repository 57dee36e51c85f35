package bolt

import (
	"bytes"
	"errors"
	"time"

	"github.com/callsync/callsync/store"
)

// load reads the row at k into v; ok is false when there is none.
func load(b interface{ Get([]byte) []byte }, k key, v any) (ok bool, err error) {
	value := b.Get(k)
	if value == nil {
		return false, nil
	}
	return true, decodeRow(value, v)
}

// recall is load for what the CRM can be asked again: who an email or a number
// belongs to, and what stands with a person. A row that cannot be read counts as
// none; damaged tells of it.
func recall[T any](b interface{ Get([]byte) []byte }, k key) (v T, ok, damaged bool, err error) {
	value := b.Get(k)
	if value == nil {
		return v, false, false, nil
	}
	damaged, err = legible(value, &v)
	return v, err == nil && !damaged, damaged, err
}

// legible decodes a row if it can be read; v is zero if it cannot.
func legible[T any](value []byte, v *T) (damaged bool, err error) {
	err = decodeRow(value, v)
	if errors.Is(err, store.ErrDamaged) {
		*v = *new(T)
		return true, nil
	}
	return false, err
}

// growing returns a bucket whose new keys are mostly its last, as those that
// begin with a number or a time are: its pages are filled up before they split.
func (t *tx) growing(name []byte) *bucket {
	b := t.Bucket(name)
	b.FillPercent = 0.95
	return b
}

// rising returns a bucket whose new keys come last of those with their prefix when
// a CRM gave out the id in them just now, and anywhere when the person was known to
// it: such ids rise. Of the pages of both together, those split at 0.7 take least
// room, a tenth less than halves.
func (t *tx) rising(name []byte) *bucket {
	b := t.Bucket(name)
	b.FillPercent = 0.7
	return b
}

// put writes a row of a dossier.
func (t *tx) put(d dossier, k key, value []byte) error {
	return t.growing(rowBucket).Put(d.key(k), value)
}

// drop deletes a row of a dossier.
func (t *tx) drop(d dossier, k key) error { return t.Bucket(rowBucket).Delete(d.key(k)) }

// putState is the only place where a state is written: it keeps the indexes and
// counters that follow from it in step. row is s encoded, if that is known; had
// tells whether old was there.
func (t *tx) putState(d dossier, callID, destination string, old store.State, had bool, s store.State, row []byte) error {
	if row == nil {
		var err error
		if row, err = encodeRow(s); err != nil {
			return err
		}
	}
	if err := t.put(d, stateKey(destination), row); err != nil {
		return err
	}
	var before stateEntries
	if had {
		before = entriesOf(d.place, destination, old)
		t.countState(destination, old, -1)
	}
	t.countState(destination, s, 1)
	now := entriesOf(d.place, destination, s)
	if !s.Next.IsZero() {
		t.woken[destination] = true
	}
	return errors.Join(
		t.reindex(dueBucket, before.due, now.due, []byte(callID)),
		t.reindex(statusBucket, before.status, now.status, nil),
		t.reindex(unservedBucket, before.unserved, now.unserved, nil))
}

// reindex moves an entry of an index; nil is none.
func (t *tx) reindex(bucket []byte, old, new key, value []byte) error {
	if string(old) == string(new) {
		return nil
	}
	b := t.growing(bucket)
	if old != nil {
		if err := b.Delete(old); err != nil {
			return err
		}
	}
	if new != nil {
		return b.Put(new, value)
	}
	return nil
}

// stateEntries are the places of a state in the indexes; nil for none.
type stateEntries struct{ due, status, unserved key }

func entriesOf(place key, destination string, s store.State) stateEntries {
	e := stateEntries{status: append(statusPrefix(destination, s.Status), place...)}
	if !s.Next.IsZero() {
		e.due = append(duePrefix(destination, s.Lane).time(s.Next), place...)
	}
	if s.Status == store.Pending || s.Status == store.Retrying {
		e.unserved = append(key{}.text(destination).time(s.Since), place...)
	}
	return e
}

// unfileState takes a state that cannot be read out of the indexes and counters. It
// looks for its entries there, which takes the longer the more calls are due.
func (t *tx) unfileState(place key, destination string) error {
	for _, s := range store.Statuses() {
		k := append(statusPrefix(destination, s), place...)
		if found, _ := t.Tx.Bucket(statusBucket).Cursor().Seek(k); !bytes.Equal(found, k) {
			continue
		}
		t.count(stateCounter(destination, s), -1)
		if err := t.Bucket(statusBucket).Delete(k); err != nil {
			return err
		}
	}
	return errors.Join(t.unfileAt(dueBucket, key{}.text(destination), place), t.unfileAt(unservedBucket, key{}.text(destination), place))
}

// unfileAt drops the entries of an index that begin with prefix and end with suffix.
func (t *tx) unfileAt(index []byte, prefix, suffix key) error {
	var old []key
	err := eachWithPrefix(t.Tx.Bucket(index), prefix, func(k, _ []byte) error {
		if bytes.HasSuffix(k, suffix) {
			old = append(old, bytes.Clone(k))
		}
		return nil
	})
	for _, k := range old {
		err = errors.Join(err, t.Bucket(index).Delete(k))
	}
	return err
}

func duePrefix(destination string, lane store.Lane) key {
	return key{}.text(destination).byte(byte(lane))
}

func statusPrefix(destination string, s store.Status) key {
	return key{}.text(destination).byte(statusLetter(s))
}

// statusLetter stands for a status in an index.
func statusLetter(s store.Status) byte {
	switch s {
	case store.Pending:
		return 'p'
	case store.Synced:
		return 's'
	case store.Waiting:
		return 'w'
	case store.Retrying:
		return 'r'
	case store.Failed:
		return 'f'
	case store.Skipped:
		return 'k'
	}
	return '?' // nothing else is ever asked for
}

// countState adds n to the counters of a state.
func (t *tx) countState(destination string, s store.State, n int64) {
	t.count(stateCounter(destination, s.Status), n)
	if s.Forgotten != "" {
		t.count(forgottenCounter(destination), n)
	}
}

func forgottenCounter(destination string) key { return key{countForgotten}.text(destination) }

func stateCounter(destination string, s store.Status) key {
	return key{countState}.text(destination).text(string(s))
}

// want notes one more wish for a sync at the time at.
func want(s store.State, at time.Time) store.State {
	if s.Wanted == s.Done {
		s.Since = at
	}
	s.Wanted++
	s.Status = store.Pending
	s.Next = at
	return s
}
