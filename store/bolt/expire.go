package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/callsync/callsync/store"
)

// Expire implements [store.Forgetter]. A step is one transaction, during which
// deliveries wait; a thousand rows take some milliseconds.
func (j *Journal) Expire(ctx context.Context, x store.Expiry) (store.Expired, error) {
	from, err := decodePlace(x.From)
	if err != nil {
		return store.Expired{}, err
	}
	limit := max(x.Limit, 1)
	var out store.Expired
	err = j.update(ctx, func(t *tx) error {
		out = store.Expired{}
		next := place{deliveries: from.deliveries, calls: from.calls}
		var err error
		if next.deliveries != nil && !x.Deliveries.IsZero() {
			next.deliveries, err = t.expireDeliveries(x.Deliveries, from.deliveries, limit, &out.Deliveries)
		} else {
			next.deliveries = nil
		}
		if err != nil {
			return err
		}
		if next.calls != nil && !x.Bodies.IsZero() {
			next.calls, err = t.expireBodies(x.Bodies, from.calls, limit, &out.Bodies)
		} else {
			next.calls = nil
		}
		out.Next = next.encode()
		return err
	})
	if err != nil {
		return store.Expired{}, err
	}
	return out, nil
}

// A place is where the next step begins in each of the two buckets that an
// expiry walks; nil when it has come to the end.
type place struct{ deliveries, calls []byte }

func (p place) encode() []byte {
	if p.deliveries == nil && p.calls == nil {
		return nil
	}
	var k key
	for _, part := range [][]byte{p.deliveries, p.calls} {
		if part == nil {
			k = k.byte(0)
			continue
		}
		k = k.byte(1).text(string(part))
	}
	return k
}

func decodePlace(from []byte) (p place, err error) {
	if from == nil {
		return place{deliveries: []byte{}, calls: []byte{}}, nil
	}
	r := keyReader(from)
	for _, part := range []*[]byte{&p.deliveries, &p.calls} {
		if len(r) == 0 {
			return p, errors.New("this is no place where an expiry ended")
		}
		if r.byte() == 1 {
			*part = []byte(r.text())
		}
	}
	return p, nil
}

// expireDeliveries goes on at a key of the log and returns the one to go on from
// the next time; nil when it met a row that is too young.
func (t *tx) expireDeliveries(before time.Time, from []byte, limit int, dropped *int) ([]byte, error) {
	var old [][]byte
	c := t.Bucket(deliveryBucket).Cursor()
	k, value := c.Seek(from)
	for ; k != nil && limit > 0; k, value = c.Next() {
		limit--
		r := keyReader(value)
		if !r.time().Before(before) {
			k = nil
			break
		}
		d, err := decodeDelivery(binary.BigEndian.Uint64(k), value)
		if err != nil {
			return nil, err
		}
		if d.CallID != "" && d.Verdict != store.Rejected {
			if done, err := t.settled(d.CallID); err != nil {
				return nil, err
			} else if !done {
				continue
			}
		}
		old = append(old, bytes.Clone(k))
	}
	next := bytes.Clone(k)
	for _, seq := range old {
		var e store.Erased
		if err := t.eraseDelivery(seq, &e); err != nil {
			return nil, err
		}
		*dropped += e.Deliveries
	}
	return next, nil
}

// expireBodies goes on at a key of the index by time received.
func (t *tx) expireBodies(before time.Time, from []byte, limit int, dropped *int) ([]byte, error) {
	var old []store.Call
	c := t.Bucket(receivedBucket).Cursor()
	k, _ := c.Seek(from)
	for ; k != nil && limit > 0; k, _ = c.Next() {
		limit--
		r := keyReader(k)
		if !r.time().Before(before) {
			k = nil
			break
		}
		call, ok, err := t.call(r.text())
		if err != nil {
			return nil, err
		}
		if !ok || !call.HasBody() || !call.RevisedAt.Before(before) {
			continue
		}
		done, err := t.settled(call.ID)
		if err != nil {
			return nil, err
		}
		if done {
			old = append(old, call)
		}
	}
	next := bytes.Clone(k)
	for _, call := range old {
		if err := t.expireCall(call, dropped); err != nil {
			return nil, err
		}
	}
	return next, nil
}

func (t *tx) expireCall(c store.Call, dropped *int) error {
	calls := t.Bucket(callBucket)
	err := eachWithPrefix(calls, callKey(c.ID, rowRevision), func(_, value []byte) error {
		seq, _, _ := decodeRevision(value)
		return t.dropBody(seq, dropped)
	})
	if err != nil {
		return err
	}
	c.Expired = c.Revision
	row, err := encodeRow(c)
	if err != nil {
		return err
	}
	return calls.Put(callKey(c.ID, rowCall), row)
}

// settled reports whether a call is done with everywhere: some destination had
// it, and none of them will look at it again by itself.
func (t *tx) settled(callID string) (bool, error) {
	states, err := statesOf(t.Bucket(callBucket), callID)
	for _, s := range states {
		if s.Status != store.Synced && s.Status != store.Skipped || !s.Next.IsZero() {
			return false, nil
		}
	}
	return err == nil && len(states) > 0, err
}
