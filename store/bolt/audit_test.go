package bolt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/callsync/callsync/store"
)

// auditFile checks a closed journal: bbolt's own structure, that every index
// entry and counter is the one that follows from the rows and none is missing,
// and that every accepted body is there.
func auditFile(t testing.TB, path string) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second, ReadOnly: true})
	if err != nil {
		t.Errorf("audit: %v", err)
		return
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("audit: %v", err)
		}
		return audit(t, tx)
	})
	if err != nil {
		t.Errorf("audit: %v", err)
	}
}

type expectation struct {
	index  map[string]map[string]bool // by bucket: the keys that should be there
	counts map[string]int64
}

func (e *expectation) add(bucket []byte, k key) {
	if k == nil {
		return
	}
	if e.index[string(bucket)] == nil {
		e.index[string(bucket)] = make(map[string]bool)
	}
	e.index[string(bucket)][string(k)] = true
}

func audit(t testing.TB, tx *bbolt.Tx) error {
	want := &expectation{index: map[string]map[string]bool{}, counts: map[string]int64{}}
	calls, in, bodies := 0, map[uint64]int{}, 0
	r := reader{tx, &shelves{}}
	for place := range r.places(nil) {
		calls++
		d, err := r.at(place)
		if err != nil {
			return err
		}
		if d.bundled != nil {
			in[d.in]++
			err := eachWithPrefix(tx.Bucket(rowBucket), place, func(k, _ []byte) error {
				if kind := k[placeSize]; kind != rowBundled && kind != rowDelivery {
					return fmt.Errorf("the call at %x is bundled, and has the row %q as well", place, k)
				}
				return nil
			})
			if err != nil {
				return err
			}
		} else if err := d.each(key{rowRevision}, func(_, value []byte) error {
			if seq, _, _ := decodeRevision(value); d.body(seq) != nil {
				bodies++
			}
			return nil
		}); err != nil {
			return err
		}
		c, err := d.call()
		if err != nil {
			return err
		}
		if !bytes.Equal(tx.Bucket(idBucket).Get([]byte(c.ID)), place) || !bytes.HasPrefix(place, placesFrom(c.ReceivedAt)) {
			return fmt.Errorf("call %s is at %x, where nothing leads to", c.ID, place)
		}
		want.counts[string(key{countCalls})]++
		k, ok := r.kindKey(&c, place)
		if !ok {
			return fmt.Errorf("call %s is of no kind", c.ID)
		}
		want.add(kindBucket, k)
		if _, err := d.newestBody(&c); err != nil {
			return err
		}
		states, err := d.states()
		if err != nil {
			return err
		}
		for destination, s := range states {
			e := entriesOf(place, destination, s)
			want.add(dueBucket, e.due)
			want.add(statusBucket, e.status)
			want.add(unservedBucket, e.unserved)
			want.counts[string(stateCounter(destination, s.Status))]++
			if s.Forgotten != "" {
				want.counts[string(forgottenCounter(destination))]++
			}
		}
	}
	if n := tx.Bucket(bodyBucket).Stats().KeyN; n != bodies {
		return fmt.Errorf("%d bodies, of which %d belong to a call", n, bodies)
	}
	err := tx.Bucket(bundleBucket).ForEach(func(k, value []byte) error {
		b, err := decodeBundle(value)
		if id := binary.BigEndian.Uint64(k); err == nil && len(b) != in[id] {
			err = fmt.Errorf("bundle %d has %d calls, of which %d are known to lie there", id, len(b), in[id])
		}
		return err
	})
	if err != nil {
		return err
	}
	if n := tx.Bucket(idBucket).Stats().KeyN; n != calls {
		return fmt.Errorf("%d callIds lead to %d calls", n, calls)
	}
	last := key{}
	err = r.eachLogged(nil, func(k, value []byte) error {
		if bytes.Compare(k, last) <= 0 {
			return fmt.Errorf("delivery %x is listed after %x", k, last)
		}
		last = bytes.Clone(k)
		d, err := decodeDelivery(binary.BigEndian.Uint64(k), value)
		if err != nil {
			return err
		}
		if d.Verdict != store.Accepted {
			want.add(verdictBucket, key{}.text(string(d.Verdict)).uint64(d.Seq))
		}
		want.counts[string(key{countVerdict}.text(string(d.Verdict)))]++
		if d.CallID != "" {
			of, ok, err := r.find(d.CallID)
			if w := of.deliveries(key{}.uint64(d.Seq + 1)); err != nil || !ok || w.rest == nil || binary.BigEndian.Uint64(w.rest) != d.Seq {
				return fmt.Errorf("delivery %d is not listed under its call", d.Seq)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = tx.Bucket(quarantineBucket).ForEach(func(_, value []byte) error {
		want.counts[string(key{countQuarantine})] += int64(len(value))
		return nil
	})
	if err != nil {
		return err
	}
	err = tx.Bucket(identityBucket).ForEach(func(k, value []byte) error {
		r := keyReader(k)
		destination, name := r.text(), r.text()
		var i store.Identity
		if err := decodeRow(value, &i); err != nil {
			return err
		}
		if !i.Ref.IsZero() {
			want.add(ownerBucket, ownerKey(destination, i.Ref, name))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return want.compare(t, tx)
}

func (e *expectation) compare(t testing.TB, tx *bbolt.Tx) error {
	t.Helper()
	for _, bucket := range [][]byte{kindBucket, dueBucket, statusBucket, unservedBucket, verdictBucket, ownerBucket} {
		expected := e.index[string(bucket)]
		n := 0
		err := tx.Bucket(bucket).ForEach(func(k, _ []byte) error {
			n++
			if !expected[string(k)] {
				t.Errorf("audit: index %s has %q, which follows from nothing", bucket, k)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if n < len(expected) {
			t.Errorf("audit: index %s has %d entries, want %d", bucket, n, len(expected))
		}
	}
	got := make(map[string]int64)
	err := tx.Bucket(countBucket).ForEach(func(k, value []byte) error {
		got[string(k)] = readCount(value)
		return nil
	})
	for _, k := range slices.Sorted(maps.Keys(got)) {
		if got[k] != e.counts[k] {
			t.Errorf("audit: counter %q is %d, want %d", k, got[k], e.counts[k])
		}
	}
	for k, n := range e.counts {
		if got[k] != n {
			t.Errorf("audit: counter %q is %d, want %d", k, got[k], n)
		}
	}
	return err
}
