package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// AllIdentities implements [store.Forgetter]. Of an entry that cannot be read, only
// the key is listed: that is enough to erase it.
func (j *Journal) AllIdentities(ctx context.Context) iter.Seq2[store.KnownIdentity, error] {
	return forward(ctx, j, identityBucket, func(k keyReader, value []byte) (i store.KnownIdentity, err error) {
		i.Destination, i.Key = k.text(), k.text()
		_, err = legible(value, &i.Identity)
		return i, err
	})
}

// AllPeople implements [store.Forgetter].
func (j *Journal) AllPeople(ctx context.Context) iter.Seq2[store.KnownPerson, error] {
	return forward(ctx, j, personBucket, func(k keyReader, value []byte) (p store.KnownPerson, err error) {
		p.Destination, p.Ref.Object, p.Ref.ID = k.text(), k.text(), k.text()
		_, err = legible(value, &p.Person)
		return p, err
	})
}

// forward lists the rows of a bucket in the order of their keys, in pages that
// are transactions of their own.
func forward[T any](ctx context.Context, j *Journal, bucket []byte, decode func(k keyReader, value []byte) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var from []byte
		for {
			var page []T
			err := j.view(ctx, func(t reader) error {
				c := t.Bucket(bucket).Cursor()
				k, value := c.Seek(from)
				for ; k != nil && len(page) < pageHits; k, value = c.Next() {
					row, err := decode(keyReader(k), value)
					if err != nil {
						return err
					}
					page = append(page, row)
				}
				from = bytes.Clone(k)
				return nil
			})
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, row := range page {
				if !yield(row, nil) {
					return
				}
			}
			if from == nil {
				return
			}
		}
	}
}

// Erase implements [store.Forgetter]. All of e is one transaction, during which
// deliveries wait: hand many calls over in portions.
func (j *Journal) Erase(ctx context.Context, e store.Erasure) (store.Erased, error) {
	kept, err := encodeKept(e.Kept)
	if err != nil {
		return store.Erased{}, err
	}
	var out store.Erased
	err = j.update(ctx, func(t *tx) error {
		out = store.Erased{}
		for _, id := range t.inOrder(e.Calls) {
			if err := t.eraseCall(id, &out); err != nil {
				return err
			}
		}
		for _, seq := range e.Deliveries {
			if err := t.eraseDelivery(key{}.uint64(seq), &out); err != nil {
				return err
			}
		}
		for _, destination := range slices.Sorted(maps.Keys(e.People)) {
			for _, ref := range e.People[destination] {
				if err := t.erasePerson(destination, ref, &out); err != nil {
					return err
				}
			}
		}
		for _, destination := range slices.Sorted(maps.Keys(e.Identities)) {
			for _, k := range e.Identities[destination] {
				if err := t.eraseIdentity(destination, k, &out); err != nil {
					return err
				}
			}
		}
		for _, r := range kept {
			if err := t.Bucket(personBucket).Put(r.key, r.value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return store.Erased{}, err
	}
	return out, nil
}

func encodeKept(kept map[string]map[crm.Ref]store.Person) ([]row, error) {
	var rows []row
	for destination, people := range kept {
		for ref, p := range people {
			value, err := encodePerson(p)
			if err != nil {
				return nil, err
			}
			rows = append(rows, row{personKey(destination, ref), value})
		}
	}
	return rows, nil
}

func (t *tx) eraseCall(id string, out *store.Erased) error {
	d, ok, err := t.open(id)
	if err != nil {
		return fmt.Errorf("call %s: %w", id, err)
	}
	if !ok {
		return nil
	}
	c, err := d.call()
	if err != nil {
		return err
	}
	states, err := d.states()
	if err != nil {
		return err
	}
	for destination, s := range states {
		if err := t.dropState(d, destination, s); err != nil {
			return err
		}
		out.States++
	}
	var rows []key
	err = d.each(nil, func(k, value []byte) error {
		rows = append(rows, bytes.Clone(k))
		if k[0] == rowRecord {
			out.Records++
		}
		if k[0] == rowRevision {
			seq, _, _ := decodeRevision(value)
			return t.dropBody(seq, &out.Bodies)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, k := range rows {
		if k[0] == rowDelivery {
			err := t.eraseDelivery(k[1:], out)
			if errors.Is(err, store.ErrDamaged) {
				out.Unread++
			} else if err != nil {
				return err
			}
		}
		if err := t.drop(d, k); err != nil {
			return err
		}
	}
	if err := t.Bucket(idBucket).Delete([]byte(id)); err != nil {
		return err
	}
	if err := t.unfileKind(&c, d.place); err != nil {
		return err
	}
	t.count(key{countCalls}, -1)
	out.Calls++
	return nil
}

// dropState takes a state out of the indexes and counters; its row goes with its
// call's.
func (t *tx) dropState(d dossier, destination string, s store.State) error {
	e := entriesOf(d.place, destination, s)
	t.countState(destination, s, -1)
	return errors.Join(
		t.reindex(dueBucket, e.due, nil, nil),
		t.reindex(statusBucket, e.status, nil, nil),
		t.reindex(unservedBucket, e.unserved, nil, nil))
}

// dropBody deletes a revision's body, if it is there, and counts it.
func (t *tx) dropBody(seq uint64, dropped *int) error {
	b, k := t.Bucket(bodyBucket), key{}.uint64(seq)
	if b.Get(k) == nil {
		return nil
	}
	*dropped++
	return b.Delete(k)
}

// eraseDelivery undoes [tx.logDelivery], and drops what is quarantined of it.
func (t *tx) eraseDelivery(seq []byte, out *store.Erased) error {
	value, err := t.logged(seq)
	if err != nil || value == nil || t.struck[string(seq)] != nil {
		return err
	}
	d, err := decodeDelivery(binary.BigEndian.Uint64(seq), value)
	if err != nil && !errors.Is(err, store.ErrDamaged) { // its verdict can be read
		return err
	}
	quarantine := t.Bucket(quarantineBucket)
	if body := quarantine.Get(seq); body != nil {
		t.count(key{countQuarantine}, -int64(len(body)))
		if err := quarantine.Delete(seq); err != nil {
			return err
		}
		out.Bodies++
	}
	if place := t.whereIs(d.CallID); place != nil { // a call in a bundle goes on listing it, which is not worth taking it out
		if err := t.drop(dossier{place: place}, deliveryKey(d.Seq)); err != nil {
			return err
		}
	}
	if err := t.Bucket(verdictBucket).Delete(key{}.text(string(d.Verdict)).uint64(d.Seq)); err != nil {
		return err
	}
	t.count(key{countVerdict}.text(string(d.Verdict)), -1)
	out.Deliveries++
	return t.strike(seq)
}

func (t *tx) erasePerson(destination string, ref crm.Ref, out *store.Erased) error {
	keys, err := t.identitiesOf(destination, ref)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if err := t.eraseIdentity(destination, k, out); err != nil {
			return err
		}
	}
	people, k := t.Bucket(personBucket), personKey(destination, ref)
	if people.Get(k) == nil {
		return nil
	}
	out.People++
	return people.Delete(k)
}

func (t *tx) eraseIdentity(destination, k string, out *store.Erased) error {
	if t.Bucket(identityBucket).Get(identityKey(destination, k)) == nil {
		return nil
	}
	out.Identities++
	return t.putIdentity(destination, k, store.Identity{})
}
