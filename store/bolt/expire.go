package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/callsync/callsync/store"
)

// Expire implements [store.Forgetter]. A step is one transaction, during which
// deliveries wait: a thousand calls that are packed take a tenth of a second.
func (j *Journal) Expire(ctx context.Context, x store.Expiry) (store.Expired, error) {
	from, err := decodeProgress(x.From)
	if err != nil {
		return store.Expired{}, err
	}
	limit := max(x.Limit, 1)
	var out store.Expired
	err = j.update(ctx, func(t *tx) error {
		out = store.Expired{}
		next := progress{deliveries: from.deliveries, calls: from.calls}
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

// A progress is where the next step begins in each of the two buckets that an
// expiry walks; nil when it has come to the end.
type progress struct{ deliveries, calls []byte }

func (p progress) encode() []byte {
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

func decodeProgress(from []byte) (p progress, err error) {
	if from == nil {
		return progress{deliveries: []byte{}, calls: []byte{}}, nil
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
	var next []byte
	err := t.eachLogged(from, func(seq, value []byte) error {
		r := keyReader(value)
		if !r.time().Before(before) {
			return errPage
		}
		if limit--; limit < 0 {
			next = bytes.Clone(seq)
			return errPage
		}
		d, err := decodeDelivery(binary.BigEndian.Uint64(seq), value)
		if err != nil {
			return err
		}
		done, err := t.settledCall(d.CallID)
		if done {
			old = append(old, bytes.Clone(seq))
		}
		return err
	})
	if err != nil && !errors.Is(err, errPage) {
		return nil, err
	}
	for _, seq := range old {
		var e store.Erased
		if err := t.eraseDelivery(seq, &e); err != nil {
			return nil, err
		}
		*dropped += e.Deliveries
	}
	return next, nil
}

// settledCall reports whether a call, if there is one, is settled.
func (t reader) settledCall(callID string) (bool, error) {
	if callID == "" {
		return true, nil
	}
	d, ok, err := t.find(callID)
	if err != nil || !ok {
		return err == nil, err
	}
	return d.settled()
}

// expireBodies goes on at a place and returns the one to go on from the next
// time; nil when it met a call that is too young.
func (t *tx) expireBodies(before time.Time, from []byte, limit int, dropped *int) ([]byte, error) {
	var next []byte
	for place := range t.places(from) {
		if !receivedAt(place).Before(before) {
			break
		}
		if limit--; limit < 0 {
			next = place
			break
		}
		if note := t.Tx.Bucket(rowBucket).Get(append(slices.Clip(place), rowBundled)); note != nil {
			if _, bodies := decodeBundled(note); !bodies {
				continue
			}
		}
		d, err := t.at(place)
		if err != nil {
			return nil, err
		}
		call, err := d.call()
		if err != nil {
			return nil, err
		}
		if !call.HasBody() || !call.RevisedAt.Before(before) {
			continue
		}
		done, err := d.settled()
		if err != nil {
			return nil, err
		}
		if !done {
			continue
		}
		if d.bundled != nil { // its bodies are left where they are, and go with the bundle
			*dropped += len(d.bundled.bodies)
			d.bundled.bodies = nil
		}
		if d, err = t.takeOut(d); err != nil {
			return nil, err
		}
		if err := t.expireCall(d, call, dropped); err != nil {
			return nil, err
		}
	}
	return next, nil
}

func (t *tx) expireCall(d dossier, c store.Call, dropped *int) error {
	err := d.each(key{rowRevision}, func(_, value []byte) error {
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
	return t.put(d, key{rowCall}, row)
}

// settled reports whether a call is done with everywhere: some destination had
// it, and none of them will look at it again by itself.
func (d dossier) settled() (bool, error) {
	states, err := d.states()
	for _, s := range states {
		if !settled(s) {
			return false, nil
		}
	}
	return err == nil && len(states) > 0, err
}

func settled(s store.State) bool {
	return (s.Status == store.Synced || s.Status == store.Skipped) && s.Next.IsZero()
}
