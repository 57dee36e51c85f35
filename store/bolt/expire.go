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
// the next time; nil when it met a row that is too young. A row from the future was
// dated by a wrong clock, and tells nothing of those behind it.
func (t *tx) expireDeliveries(before time.Time, from []byte, limit int, dropped *int) ([]byte, error) {
	var old [][]byte
	var next []byte
	now := t.journal.now()
	err := t.eachLogged(from, func(seq, value []byte) error {
		r := keyReader(value)
		at := r.time()
		future := at.After(now)
		if !future && !at.Before(before) {
			return errPage
		}
		if limit--; limit < 0 {
			next = bytes.Clone(seq)
			return errPage
		}
		if future {
			return nil
		}
		d, err := decodeDelivery(binary.BigEndian.Uint64(seq), value)
		if err != nil && !errors.Is(err, store.ErrDamaged) { // its time can be read
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

// settledCall reports whether a call, if there is one, is settled, as all are that
// lie in bundles. One that cannot be read is not.
func (t reader) settledCall(callID string) (bool, error) {
	place := t.whereIs(callID)
	if place == nil || t.bundledAt(place) != nil {
		return true, nil
	}
	d, err := t.at(place)
	if err != nil {
		return false, err
	}
	done, err := d.settled()
	if errors.Is(err, store.ErrDamaged) {
		return false, nil
	}
	return done, err
}

// expireBodies goes on at a place and returns the one to go on from the next
// time; nil when it met a call that is too young. One that cannot be read is kept.
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
		if err := t.expireAt(place, before, dropped); err != nil && !errors.Is(err, store.ErrDamaged) {
			return nil, err
		}
	}
	return next, nil
}

// expireAt drops the bodies of the call at a place, if it is settled and its newest
// revision came before a time.
func (t *tx) expireAt(place key, before time.Time, dropped *int) error {
	if note := t.bundledAt(place); note != nil {
		if _, bodies := decodeBundled(note); !bodies {
			return nil
		}
	}
	d, err := t.at(place)
	if err != nil {
		return err
	}
	call, err := d.call()
	if err != nil || !call.HasBody() || !call.RevisedAt.Before(before) {
		return err
	}
	if done, err := d.settled(); err != nil || !done {
		return err
	}
	if d.bundled != nil { // its bodies are left where they are, and go with the bundle
		*dropped += len(d.bundled.bodies)
		d.bundled.bodies = nil
	}
	if d, err = t.takeOut(d); err != nil {
		return err
	}
	return t.expireCall(d, call, dropped)
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
