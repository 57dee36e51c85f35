package bolt

import (
	"time"

	"go.etcd.io/bbolt"

	"github.com/callsync/callsync/store"
)

// Rows is what reading a bucket takes, in a read transaction or a write.
type rows interface {
	Get(k []byte) []byte
	Cursor() *bbolt.Cursor
}

// load reads the row at k into v; ok is false when there is none.
func load(b interface{ Get([]byte) []byte }, k key, v any) (ok bool, err error) {
	value := b.Get(k)
	if value == nil {
		return false, nil
	}
	return true, decodeRow(value, v)
}

func (t *tx) call(callID string) (c store.Call, ok bool, err error) {
	ok, err = load(t.Bucket(callBucket), callKey(callID, rowCall), &c)
	return c, ok, err
}

func (t *tx) state(callID, destination string) (s store.State, ok bool, err error) {
	ok, err = load(t.Bucket(callBucket), stateKey(callID, destination), &s)
	return s, ok, err
}

// growing returns a bucket whose new keys are mostly its last, as those that
// begin with a number or a time are: its pages are filled up before they split.
func (t *tx) growing(name []byte) *bucket {
	b := t.Bucket(name)
	b.FillPercent = 0.95
	return b
}

// putState is the only place where a state is written: it keeps the indexes and
// counters that follow from it in step. row is s encoded, if that is known; had
// tells whether old was there.
func (t *tx) putState(c *store.Call, destination string, old store.State, had bool, s store.State, row []byte) error {
	if row == nil {
		var err error
		if row, err = encodeRow(s); err != nil {
			return err
		}
	}
	if err := t.Bucket(callBucket).Put(stateKey(c.ID, destination), row); err != nil {
		return err
	}
	var before stateEntries
	if had {
		before = entriesOf(c, destination, old)
		t.count(stateCounter(destination, old.Status), -1)
	}
	t.count(stateCounter(destination, s.Status), 1)
	now := entriesOf(c, destination, s)
	if !s.Next.IsZero() {
		t.woken[destination] = true
	}
	for _, x := range []struct {
		bucket   []byte
		old, new key
	}{
		{dueBucket, before.due, now.due},
		{statusBucket, before.status, now.status},
		{unservedBucket, before.unserved, now.unserved},
	} {
		if err := t.reindex(x.bucket, x.old, x.new); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) reindex(bucket []byte, old, new key) error {
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
		return b.Put(new, nil)
	}
	return nil
}

// stateEntries are the places of a state in the indexes; nil for none.
type stateEntries struct{ due, status, unserved key }

func entriesOf(c *store.Call, destination string, s store.State) stateEntries {
	e := stateEntries{status: statusPrefix(destination, s.Status).listed(c.ReceivedAt, c.ID)}
	if !s.Next.IsZero() {
		e.due = duePrefix(destination, s.Lane).time(s.Next).text(c.ID)
	}
	if s.Status == store.Pending || s.Status == store.Retrying {
		e.unserved = key{}.text(destination).time(s.Since).text(c.ID)
	}
	return e
}

func duePrefix(destination string, lane store.Lane) key {
	return key{}.text(destination).byte(byte(lane))
}

func statusPrefix(destination string, s store.Status) key {
	return key{}.text(destination).text(string(s))
}

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
