package bolt

import (
	"errors"
	"fmt"
	"strconv"

	"go.etcd.io/bbolt"

	"github.com/callsync/callsync/store"
)

// The buckets. Index buckets have empty values; all are kept in step by
// [tx.putState], [tx.putCall], [tx.putIdentity] and [tx.logDelivery] alone.
var (
	metaBucket       = []byte("meta")       // schema, enrolled
	countBucket      = []byte("count")      // counter key: int64
	callBucket       = []byte("call")       // callID, kind, …: see keys.go
	bodyBucket       = []byte("body")       // seq of the delivery that brought it: packed body
	quarantineBucket = []byte("quarantine") // seq of the delivery: packed body
	deliveryBucket   = []byte("delivery")   // seq: time, row
	verdictBucket    = []byte("verdict")    // index: verdict, seq
	receivedBucket   = []byte("received")   // index: time received, callID
	kindBucket       = []byte("kind")       // index: agent, result, time received, callID
	dueBucket        = []byte("due")        // index: destination, lane, next, callID
	statusBucket     = []byte("status")     // index: destination, status, time received, callID
	unservedBucket   = []byte("unserved")   // index: destination, since, callID
	identityBucket   = []byte("identity")   // destination, identity key: row
	ownerBucket      = []byte("owner")      // index: destination, object, id, identity key
	personBucket     = []byte("person")     // destination, object, id: row
	mappingBucket    = []byte("mapping")    // version: row
	settingBucket    = []byte("setting")    // name: value
)

var (
	schemaKey   = []byte("schema")
	enrolledKey = []byte("enrolled")
)

// migrations[n] brings a journal from schema n to n+1. Schema 0 is an empty
// file. A step that was released is never changed: a new one is appended.
var migrations = []func(*bbolt.Tx) error{
	createBuckets,
	indexKinds,
}

func createBuckets(t *bbolt.Tx) error {
	for _, name := range [][]byte{
		countBucket, callBucket, bodyBucket, quarantineBucket, deliveryBucket, verdictBucket,
		receivedBucket, dueBucket, statusBucket, unservedBucket, identityBucket, ownerBucket,
		personBucket, mappingBucket, settingBucket,
	} {
		if _, err := t.CreateBucket(name); err != nil {
			return err
		}
	}
	return nil
}

// migrate brings the journal to the newest schema, in one transaction, and
// reports the schema it found.
func migrate(db *bbolt.DB, steps []func(*bbolt.Tx) error) (found int, err error) {
	err = db.View(func(t *bbolt.Tx) error {
		found, err = schemaOf(t)
		return err
	})
	if err != nil {
		return 0, err
	}
	if found > len(steps) {
		return found, fmt.Errorf("%w: its schema is %d and this version knows up to %d; run the version that wrote it, or restore a `callsync backup` made before the upgrade",
			store.ErrNewer, found, len(steps))
	}
	if found == len(steps) {
		return found, nil
	}
	return found, db.Update(func(t *bbolt.Tx) error {
		for n := found; n < len(steps); n++ {
			if err := steps[n](t); err != nil {
				return fmt.Errorf("migrating from schema %d to %d: %w", n, n+1, err)
			}
		}
		b, err := t.CreateBucketIfNotExists(metaBucket)
		if err != nil {
			return err
		}
		return b.Put(schemaKey, []byte(strconv.Itoa(len(steps))))
	})
}

func schemaOf(t *bbolt.Tx) (int, error) {
	if b := t.Bucket(metaBucket); b != nil {
		n, err := strconv.Atoi(string(b.Get(schemaKey)))
		if err != nil || n < 1 {
			return 0, damaged(errors.New("its schema version is unreadable"))
		}
		return n, nil
	}
	if name, _ := t.Cursor().First(); name != nil {
		return 0, damaged(errors.New("it is a bbolt file of another program"))
	}
	return 0, nil
}
