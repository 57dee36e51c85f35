package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/callsync/callsync/store"
)

// Deliver implements [store.Inbox]. A zero d.At means now.
func (j *Journal) Deliver(ctx context.Context, d store.Delivery) (store.Receipt, error) {
	p, err := j.prepare(d)
	if err != nil {
		return store.Receipt{}, err
	}
	var r store.Receipt
	err = j.update(ctx, func(t *tx) (err error) {
		r, err = t.deliver(p)
		return err
	})
	if err != nil {
		return store.Receipt{}, err
	}
	return r, nil
}

// A parcel is a delivery with all done that needs no transaction.
type parcel struct {
	store.Delivery
	packed []byte
	entry  []byte     // the delivery, encoded but for what only the transaction knows
	call   store.Call // as it is if the callId is new
	row    []byte     // call, encoded
	wish   []byte     // the state at every destination if the callId is new, encoded
}

func (j *Journal) prepare(d store.Delivery) (*parcel, error) {
	if d.At.IsZero() {
		d.At = j.now()
	}
	if d.Due.IsZero() {
		d.Due = d.At
	}
	d.At, d.Due = d.At.UTC(), d.Due.UTC()
	rejected := d.Verdict == store.Rejected
	if !rejected {
		if d.Call == nil || d.Call.CallID == "" || d.Hash == "" {
			return nil, errors.New("a delivery that is not rejected needs a call, a callId and a hash")
		}
		d.CallID = d.Call.CallID
	} else {
		d.CallID = ""
	}
	p := &parcel{Delivery: d, entry: encodeDelivery(&d)}
	if !rejected || len(d.Body) > 0 && j.opts.Quarantine > 0 {
		p.packed = packBody(d.Body)
	}
	if rejected {
		return p, nil
	}
	if !store.Writable(d.At) || !store.Writable(d.Due) {
		return nil, fmt.Errorf("a delivery at %v, due at %v: a time that cannot be kept", d.At, d.Due)
	}
	for _, at := range d.Undone {
		if !store.Writable(at) {
			return nil, fmt.Errorf("a delivery undone at %v: a time that cannot be kept", at)
		}
	}
	p.call = store.Call{
		ID:         d.Call.CallID,
		AgentID:    d.Call.AgentID,
		Direction:  d.Call.Direction,
		ResultType: d.Call.Result.ResultType,
		Interim:    d.Call.Interim(),
		ReceivedAt: d.At,
		RevisedAt:  d.At,
		Revision:   1,
		Hash:       d.Hash,
		Size:       len(d.Body),
		Warnings:   d.Call.Warnings,
	}
	if t := d.Call.ScheduledAt; t != nil && store.Writable(*t) {
		p.call.ScheduledAt = t.UTC()
	}
	wish := delivered(store.State{}, &d)
	p.wish = encodeWish(&wish)
	var err error
	p.row, err = encodeCall(&p.call)
	return p, err
}

func (t *tx) deliver(p *parcel) (store.Receipt, error) {
	seq, err := t.Bucket(deliveryBucket).NextSequence()
	if err != nil {
		return store.Receipt{}, err
	}
	r := store.Receipt{Verdict: store.Rejected, Seq: seq}
	if p.Verdict == store.Rejected {
		err = t.quarantine(seq, p.packed)
	} else {
		err = t.receive(seq, p, &r)
	}
	if err != nil {
		return store.Receipt{}, err
	}
	return r, t.logDelivery(seq, &r, p)
}

// receive decides what a well-formed delivery is, and keeps it if it is news.
func (t *tx) receive(seq uint64, p *parcel, r *store.Receipt) error {
	d, known, err := t.find(p.CallID)
	if err != nil {
		return err
	}
	if !known {
		r.Verdict, r.Revision = store.Accepted, 1
		return t.acceptNew(seq, p)
	}
	current, err := d.call()
	if err != nil {
		return err
	}
	r.Revision = current.Revision
	if p.Hash == current.Hash {
		r.Verdict = store.Duplicate
		return errors.Join(t.mend(d, p, &current), t.listDelivery(d, seq))
	}
	if r.Reason = d.stale(p, &current); r.Reason != "" {
		r.Verdict = store.Stale
		return t.listDelivery(d, seq)
	}
	if d, err = t.takeOut(d); err != nil {
		return err
	}
	next := p.call
	next.ReceivedAt, next.Expired = current.ReceivedAt, current.Expired
	next.Revision = current.Revision + 1
	if err := t.unfileKind(&current, d.place); err != nil {
		return err
	}
	if err := t.fileKind(&next, d.place); err != nil {
		return err
	}
	r.Verdict, r.Revision = store.Revised, next.Revision
	return t.revise(d, seq, p, &next)
}

// stale is why a delivery changes nothing; "" when it is news.
func (d dossier) stale(p *parcel, current *store.Call) string {
	if p.call.Interim && !current.Interim {
		return store.StaleInterim
	}
	if n := d.revisionOf(p.Hash); n > 0 {
		return store.StaleEarlier(n, current.Revision)
	}
	if p.Lane == store.Replay && p.At.Before(current.RevisedAt) {
		return store.StaleBulk
	}
	return ""
}

// mend replaces the body of the newest revision, if it can no longer be read, by a
// delivery of the same, and makes the call due where it was before.
func (t *tx) mend(d dossier, p *parcel, c *store.Call) error {
	if d.bundled != nil || !c.HasBody() {
		return nil // what lies in a bundle was read with it
	}
	revision := d.Get(revisionKey(c.Revision))
	if revision == nil {
		return nil
	}
	seq, _, _ := decodeRevision(revision)
	if _, err := unpack(d.body(seq)); err == nil {
		return nil
	}
	if err := t.growing(bodyBucket).Put(key{}.uint64(seq), p.packed); err != nil {
		return err
	}
	states, err := d.states()
	for destination, old := range states {
		err = errors.Join(err, t.putState(d, c.ID, destination, old, true, delivered(old, &p.Delivery), nil))
	}
	return err
}

// acceptNew takes in a call that was not known.
func (t *tx) acceptNew(seq uint64, p *parcel) error {
	ids := t.Bucket(idBucket)
	count, err := ids.NextSequence()
	if err != nil {
		return err
	}
	d, err := t.at(placeOf(p.call.ReceivedAt, count))
	if err != nil {
		return err
	}
	if err := ids.Put([]byte(p.CallID), d.place); err != nil {
		return err
	}
	t.count(key{countCalls}, 1)
	if err := t.fileKind(&p.call, d.place); err != nil {
		return err
	}
	if err := t.keep(d, seq, p, 1, p.row); err != nil {
		return err
	}
	return t.eachDestination(func(destination string) error {
		s, encoded := delivered(store.State{}, &p.Delivery), p.wish
		if at, undone := p.Undone[destination]; undone {
			s.Undone, encoded = at.UTC(), nil
		}
		return t.putState(d, p.CallID, destination, store.State{}, false, s, encoded)
	})
}

// revise makes what a delivery brought the newest revision c of its call.
func (t *tx) revise(d dossier, seq uint64, p *parcel, c *store.Call) error {
	row, err := encodeCall(c)
	if err != nil {
		return err
	}
	if err := t.keep(d, seq, p, c.Revision, row); err != nil {
		return err
	}
	return t.eachDestination(func(destination string) error {
		old, had, err := d.state(destination)
		if err != nil {
			return err
		}
		return t.putState(d, c.ID, destination, old, had, delivered(old, &p.Delivery), nil)
	})
}

// keep writes a revision with its body, and the call as it is then.
func (t *tx) keep(d dossier, seq uint64, p *parcel, revision int, row []byte) error {
	if err := t.growing(bodyBucket).Put(key{}.uint64(seq), p.packed); err != nil {
		return err
	}
	if err := t.put(d, revisionKey(revision), encodeRevision(seq, p.At, p.Hash)); err != nil {
		return err
	}
	if err := t.put(d, key{rowCall}, row); err != nil {
		return err
	}
	return t.listDelivery(d, seq)
}

// listDelivery lists a delivery under its call. A call that lies in a bundle need
// not be taken out for it.
func (t *tx) listDelivery(d dossier, seq uint64) error { return t.put(d, deliveryKey(seq), nil) }

func (t *tx) eachDestination(f func(destination string) error) error {
	destinations, err := t.destinations()
	if err != nil {
		return err
	}
	for _, destination := range destinations {
		if err := f(destination); err != nil {
			return err
		}
	}
	return nil
}

// delivered is a state after a delivery that is news.
func delivered(old store.State, d *store.Delivery) store.State {
	if d.Lane != store.Live {
		return requested(old, d.Due, store.Request{Lane: d.Lane})
	}
	s := want(old, d.Due)
	s.Lane = store.Live
	return s
}

// A revision row is the seq under which its body is kept, its time and its hash.
func encodeRevision(seq uint64, at time.Time, hash string) []byte {
	return append(key{}.uint64(seq).time(at), hash...)
}

func decodeRevision(value []byte) (seq uint64, at time.Time, hash string) {
	r := keyReader(value)
	seq, at = r.uint64(), r.time()
	return seq, at, string(r)
}

// logDelivery writes the row that every POST gets, and its indexes.
func (t *tx) logDelivery(seq uint64, receipt *store.Receipt, p *parcel) error {
	v, entry := receipt.Verdict, p.entry
	if receipt.Reason != "" {
		d := p.Delivery
		d.Reason = receipt.Reason
		entry = encodeDelivery(&d)
	}
	value := append(key{}.time(p.At).text(string(v)), entry...)
	if err := t.growing(deliveryBucket).Put(key{}.uint64(seq), value); err != nil {
		return err
	}
	if v != store.Accepted {
		if err := t.growing(verdictBucket).Put(key{}.text(string(v)).uint64(seq), nil); err != nil {
			return err
		}
	}
	t.count(key{countVerdict}.text(string(v)), 1)
	return nil
}

// A delivery row is its time and its verdict, which filters ask for, and the
// rest. Its seq is its key.
func decodeDelivery(seq uint64, value []byte) (d store.Delivery, err error) {
	r := keyReader(value)
	at, verdict := r.time(), store.Verdict(r.text())
	err = decodeRow(r, &d)
	d.Seq, d.At, d.Verdict = seq, at, verdict
	return d, err
}

// quarantine keeps a rejected body and drops the oldest beyond the limit.
func (t *tx) quarantine(seq uint64, packed []byte) error {
	limit := t.journal.opts.Quarantine
	if packed == nil || int64(len(packed)) > limit {
		return nil
	}
	b := t.growing(quarantineBucket)
	if err := b.Put(key{}.uint64(seq), packed); err != nil {
		return err
	}
	size := key{countQuarantine}
	t.count(size, int64(len(packed)))
	for t.counted(size) > limit {
		k, value := b.Cursor().First()
		if k == nil || binary.BigEndian.Uint64(k) == seq {
			return nil
		}
		t.count(size, -int64(len(value)))
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// Quarantined implements [store.Reader].
func (j *Journal) Quarantined(ctx context.Context, seq uint64) (body []byte, err error) {
	err = j.view(ctx, func(t reader) error {
		value := t.Bucket(quarantineBucket).Get(key{}.uint64(seq))
		if value == nil {
			return fmt.Errorf("rejected body %d: %w", seq, store.ErrNotFound)
		}
		if body, err = unpack(value); err != nil {
			return damaged(err)
		}
		return nil
	})
	return body, err
}
