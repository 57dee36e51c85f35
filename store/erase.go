package store

import (
	"context"
	"iter"
	"time"

	"github.com/callsync/callsync/crm"
)

// A Forgetter lets go of what it was told, for good. What it drops may lie in
// freed space until that is used again or the journal is compacted.
type Forgetter interface {
	// AllIdentities lists the identity map of every destination, also of those
	// that are enrolled no longer. Like every sequence it reads in pages.
	AllIdentities(ctx context.Context) iter.Seq2[KnownIdentity, error]
	// AllPeople lists what was last applied to people, at every destination.
	AllPeople(ctx context.Context) iter.Seq2[KnownPerson, error]
	// Erase drops what e names. What the journal does not have is no error.
	Erase(ctx context.Context, e Erasure) (Erased, error)
	// Expire drops what is older than x allows, a step at a time.
	Expire(ctx context.Context, x Expiry) (Expired, error)
	// Pack keeps calls that every destination has settled, and nobody has touched
	// since before a time, in less room; to touch one again costs a little more. It
	// does so a step at a time: from continues where the step before ended, nil
	// begins anew.
	Pack(ctx context.Context, before time.Time, from []byte) (Packed, error)
	// Compact gives freed space back, with whatever was left of dropped rows in
	// it, while others go on reading and writing. It returns the journal's size on
	// disk before and after, in bytes.
	Compact(ctx context.Context) (before, after int64, err error)
}

// A KnownIdentity is an entry of a destination's identity map.
type KnownIdentity struct {
	Destination string
	Key         string // "email:jane@example.com"
	Identity
}

// A KnownPerson is a person as callsync knows them at a destination.
type KnownPerson struct {
	Destination string
	Ref         crm.Ref
	Person
}

// An Erasure names what is to be erased.
type Erasure struct {
	// Calls go with their bodies, deliveries, states and records.
	Calls []string
	// Deliveries go with what the quarantine holds of them; it is for those that
	// were rejected and so belong to no call.
	Deliveries []uint64
	// People go with the identities that name them, Identities by their keys; both
	// by destination.
	People     map[string][]crm.Ref
	Identities map[string][]string
	// Kept are people who stay and are replaced whole, because a call that goes
	// had a part in them; by destination.
	Kept map[string]map[crm.Ref]Person
}

// Erased counts what an erasure took away.
type Erased struct {
	Calls      int `json:"calls"`
	Bodies     int `json:"bodies"` // of revisions, and quarantined ones
	Deliveries int `json:"deliveries"`
	States     int `json:"states"`
	Records    int `json:"records"`
	People     int `json:"people"`
	Identities int `json:"identities"`
	// Unread counts rows of the log of deliveries that cannot be read and so stay. They
	// hold a callId, and nothing of a payload.
	Unread int `json:"unread,omitempty"`
}

// Add sums up.
func (e *Erased) Add(more Erased) {
	e.Calls += more.Calls
	e.Bodies += more.Bodies
	e.Deliveries += more.Deliveries
	e.States += more.States
	e.Records += more.Records
	e.People += more.People
	e.Identities += more.Identities
	e.Unread += more.Unread
}

// An Expiry says what may be dropped, and bounds one step of dropping it.
//
// Nothing is dropped of a call that no destination has settled yet: it must have
// a state, and each of its states must be synced or skipped with no attempt
// planned.
type Expiry struct {
	// Bodies drops the bodies of calls whose newest revision came before this
	// time; the call, its revisions' hashes, states and records stay. Zero: none.
	Bodies time.Time
	// Deliveries drops rows of the log of deliveries, and quarantined bodies, from
	// before this time. It goes from the oldest to the first that is too young.
	// Zero: none.
	Deliveries time.Time
	// Limit is how many rows this step looks at, of each kind; at least one.
	Limit int
	// From continues where the step before ended; nil begins anew.
	From []byte
}

// Packed is what one step of packing came to.
type Packed struct {
	Calls int
	Next  []byte // where the next step begins; nil when there is nothing more to look at
}

// Expired is what one step came to.
type Expired struct {
	Bodies     int
	Deliveries int
	Next       []byte // for [Expiry.From]; nil when there is nothing more to look at
}
