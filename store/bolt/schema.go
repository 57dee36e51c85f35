package bolt

import (
	"errors"
	"fmt"
	"strconv"

	"go.etcd.io/bbolt"

	"github.com/callsync/callsync/store"
)

// The buckets. Indexes follow from the other rows; they are kept in step by
// [tx.putState], [tx.receive], [tx.putIdentity] and [tx.logDelivery] alone.
var (
	metaBucket       = []byte("meta")       // schema, enrolled
	countBucket      = []byte("count")      // counter key: int64
	idBucket         = []byte("id")         // callID: place, see keys.go
	rowBucket        = []byte("row")        // place, kind, …: what is kept of a call
	bundleBucket     = []byte("bundle")     // number: calls that nobody works on, see bundle.go
	bodyBucket       = []byte("body")       // seq of the delivery that brought it: packed body
	quarantineBucket = []byte("quarantine") // seq of the delivery: packed body
	deliveryBucket   = []byte("delivery")   // seq: time, row
	logBundleBucket  = []byte("logbundle")  // seq of the first delivery: older rows of the log, see log.go
	verdictBucket    = []byte("verdict")    // index: verdict, seq, but for those accepted
	kindBucket       = []byte("kind")       // index: number of the kind, place
	kindNameBucket   = []byte("kindname")   // agent, result: number of the kind
	dueBucket        = []byte("due")        // index: destination, lane, next, place: callID
	statusBucket     = []byte("status")     // index: destination, letter of the status, place
	unservedBucket   = []byte("unserved")   // index: destination, since, place
	identityBucket   = []byte("identity")   // destination, identity key: row
	ownerBucket      = []byte("owner")      // index: destination, object, id, identity key
	personBucket     = []byte("person")     // destination, object, id: row
	mappingBucket    = []byte("mapping")    // version: row
	settingBucket    = []byte("setting")    // name: value
)

var (
	schemaKey   = []byte("schema")
	halfwayKey  = []byte("halfway") // there while the step to the schema is under way
	enrolledKey = []byte("enrolled")
)

// migrate brings the journal to the newest schema and reports the one it found. A
// step counts from its first portion on: an older callsync, which would take calls
// that were moved for new ones, must not open what is half-way.
func migrate(db *bbolt.DB, steps []migration) (found int, err error) {
	halfway := false
	err = db.View(func(t *bbolt.Tx) error {
		found, halfway, err = schemaOf(t)
		return err
	})
	if err != nil {
		return 0, err
	}
	if found > len(steps) {
		return found, fmt.Errorf("%w: its schema is %d and this version knows up to %d; run the version that wrote it, or restore a `callsync backup` made before the upgrade",
			store.ErrNewer, found, len(steps))
	}
	if halfway {
		found--
	}
	for n := found; n < len(steps); n++ {
		for done := false; !done; {
			err := db.Update(func(t *bbolt.Tx) (err error) {
				if done, err = steps[n](t); err != nil {
					return err
				}
				return noteSchema(t, n+1, done)
			})
			if err != nil {
				return found, fmt.Errorf("migrating from schema %d to %d: %w", n, n+1, err)
			}
		}
	}
	return found, nil
}

func noteSchema(t *bbolt.Tx, n int, done bool) error {
	b, err := t.CreateBucketIfNotExists(metaBucket)
	if err != nil {
		return err
	}
	if done {
		err = b.Delete(halfwayKey)
	} else {
		err = b.Put(halfwayKey, []byte{1})
	}
	return errors.Join(err, b.Put(schemaKey, []byte(strconv.Itoa(n))))
}

func schemaOf(t *bbolt.Tx) (n int, halfway bool, err error) {
	if b := t.Bucket(metaBucket); b != nil {
		n, err := strconv.Atoi(string(b.Get(schemaKey)))
		if err != nil || n < 1 {
			return 0, false, damaged(errors.New("its schema version is unreadable"))
		}
		return n, b.Get(halfwayKey) != nil, nil
	}
	if name, _ := t.Cursor().First(); name != nil {
		return 0, false, damaged(errors.New("it is a bbolt file of another program"))
	}
	return 0, false, nil
}
