package bolt

import (
	"bytes"
	"errors"

	"go.etcd.io/bbolt"

	"github.com/callsync/callsync/store"
)

// A migration is a step from one schema to the next. It is run until it reports
// that it is done, each time in a transaction of its own, so that a large journal
// can be brought along in portions; callsync may be killed between two of them.
type migration func(*bbolt.Tx) (done bool, err error)

// migrations[n] brings a journal from schema n to n+1. Schema 0 is an empty
// file. A step that was released is never changed: a new one is appended.
var migrations = []migration{
	createBuckets,
	indexKinds,
	placeCalls(1000),
	partBundles,
}

// Buckets of schemas up to 2, in which the rows of calls, and the indexes, had
// callIDs in their keys.
var (
	oldCallBucket     = []byte("call")     // callID, kind, …
	oldReceivedBucket = []byte("received") // index: time received, callID
)

func createBuckets(t *bbolt.Tx) (bool, error) {
	return true, createAll(t,
		countBucket, oldCallBucket, bodyBucket, quarantineBucket, deliveryBucket, verdictBucket,
		oldReceivedBucket, dueBucket, statusBucket, unservedBucket, identityBucket, ownerBucket,
		personBucket, mappingBucket, settingBucket)
}

func createAll(t *bbolt.Tx, names ...[]byte) error {
	for _, name := range names {
		if _, err := t.CreateBucket(name); err != nil {
			return err
		}
	}
	return nil
}

// indexKinds makes the index by kind.
func indexKinds(t *bbolt.Tx) (bool, error) {
	kinds, err := t.CreateBucket(kindBucket)
	if err != nil {
		return false, err
	}
	calls := t.Bucket(oldCallBucket)
	return true, t.Bucket(oldReceivedBucket).ForEach(func(k, _ []byte) error {
		r := keyReader(k)
		received := r.time()
		id := r.text()
		var c store.Call
		if ok, err := load(calls, key{}.text(id).byte(rowCall), &c); err != nil || !ok {
			return err
		}
		return kinds.Put(key{}.text(c.AgentID).text(string(c.ResultType)).time(received).text(id), nil)
	})
}

// placeCalls gives calls places and moves their rows there, a portion of calls at
// a time. The index by time received says which are left.
func placeCalls(portion int) migration {
	return func(t *bbolt.Tx) (bool, error) {
		if t.Bucket(rowBucket) == nil {
			if err := renewIndexes(t); err != nil {
				return false, err
			}
		}
		received := t.Bucket(oldReceivedBucket)
		for range portion {
			k, _ := received.Cursor().First()
			if k == nil {
				return true, errors.Join(t.DeleteBucket(oldReceivedBucket), t.DeleteBucket(oldCallBucket))
			}
			r := keyReader(k)
			r.time()
			if err := placeCall(t, r.text()); err != nil {
				return false, err
			}
			if err := received.Delete(bytes.Clone(k)); err != nil {
				return false, err
			}
		}
		return false, nil
	}
}

// partBundles changes nothing yet. From here on there are bundles whose bodies stand
// apart, which an older callsync would take for damaged.
func partBundles(*bbolt.Tx) (bool, error) { return true, nil }

// renewIndexes makes those that are to have places in their keys anew, and leaves
// the deliveries that were accepted out of the one by verdict.
func renewIndexes(t *bbolt.Tx) error {
	var verdicts [][]byte
	accepted := key{}.text(string(store.Accepted))
	err := t.Bucket(verdictBucket).ForEach(func(k, _ []byte) error {
		if !bytes.HasPrefix(k, accepted) {
			verdicts = append(verdicts, bytes.Clone(k))
		}
		return nil
	})
	if err != nil {
		return err
	}
	indexes := [][]byte{kindBucket, dueBucket, statusBucket, unservedBucket, verdictBucket}
	for _, name := range indexes {
		if err := t.DeleteBucket(name); err != nil {
			return err
		}
	}
	err = createAll(t, append(indexes, idBucket, kindNameBucket, rowBucket, bundleBucket, logBundleBucket)...)
	for _, k := range verdicts {
		err = errors.Join(err, t.Bucket(verdictBucket).Put(k, nil))
	}
	return err
}

func placeCall(t *bbolt.Tx, id string) error {
	ids, rows, old := t.Bucket(idBucket), t.Bucket(rowBucket), t.Bucket(oldCallBucket)
	prefix := key{}.text(id)
	var c store.Call
	if ok, err := load(old, append(prefix, rowCall), &c); err != nil || !ok {
		return err
	}
	count, err := ids.NextSequence()
	if err != nil {
		return err
	}
	place := placeOf(c.ReceivedAt, count)
	if err := ids.Put([]byte(id), place); err != nil {
		return err
	}
	var moved [][]byte
	err = eachWithPrefix(old, prefix, func(k, value []byte) error {
		moved = append(moved, bytes.Clone(k))
		return rows.Put(append(bytes.Clone(place), k[len(prefix):]...), bytes.Clone(value))
	})
	if err != nil {
		return err
	}
	for _, k := range moved {
		if err := old.Delete(k); err != nil {
			return err
		}
	}
	x := &tx{reader: reader{Tx: t}}
	if err := x.fileKind(&c, place); err != nil {
		return err
	}
	states, err := dossier{place: place, rows: rows}.states()
	if err != nil {
		return err
	}
	for destination, s := range states {
		e := entriesOf(place, destination, s)
		err := errors.Join(
			putIf(t.Bucket(dueBucket), e.due, []byte(id)),
			putIf(t.Bucket(statusBucket), e.status, nil),
			putIf(t.Bucket(unservedBucket), e.unserved, nil))
		if err != nil {
			return err
		}
	}
	return nil
}

func putIf(b *bbolt.Bucket, k key, value []byte) error {
	if k == nil {
		return nil
	}
	return b.Put(k, value)
}
