// Package store defines the journal: what callsync remembers, and the promises
// every implementation keeps. store/bolt keeps it in one local file;
// store/storetest is the suite that any implementation passes.
//
// The interface is made to fit a database shared by several receivers, with one
// sync loop per destination held by a lease: nothing here may assume one process
// or one file, and no implementation's type may leak through it.
package store

import (
	"context"
	"errors"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
)

// Errors that callers test for with errors.Is.
var (
	// ErrNotFound: no such call, mapping or delivery.
	ErrNotFound = errors.New("not found")
	// ErrUnavailable: the store cannot write now (disk full, closing). Nothing
	// was recorded; the sender should try again.
	ErrUnavailable = errors.New("the journal cannot be written")
	// ErrLeased: another process runs this destination's loop.
	ErrLeased = errors.New("another process holds this destination")
	// ErrLocked: another process has the journal open and it admits only one.
	ErrLocked = errors.New("the journal is in use by another process")
	// ErrNewer: the journal was written by a newer version of callsync.
	ErrNewer = errors.New("the journal was written by a newer version of callsync")
	// ErrDamaged: what is on disk is not a journal, or no longer a whole one.
	ErrDamaged = errors.New("the journal is damaged")
)

// A Journal is everything. Each part of callsync should ask for the smaller
// interface it needs. All methods may be called concurrently. A method that
// writes returns only after its transaction is on stable storage, and each of
// its calls is one transaction: all of it happened, or none.
type Journal interface {
	Inbox
	Queue
	Reader
	Keeper
	Forgetter
	io.Closer
}

// An Inbox takes deliveries: the receiver's view.
type Inbox interface {
	// Deliver decides what a delivery is, records it and, if it is new or
	// changed, makes its call due for every enrolled destination, in d.Lane and
	// from d.Due on. A call already due in lane Live stays there. The error wraps
	// ErrUnavailable when nothing could be recorded.
	Deliver(ctx context.Context, d Delivery) (Receipt, error)
}

// A Queue is what one destination's sync loop lives on.
type Queue interface {
	// Enroll replaces the set of destinations for which new deliveries become
	// due. Calls journalled before are not made due for a new destination; a
	// destination left out keeps its states and records.
	Enroll(ctx context.Context, destinations []string) error

	// Lease takes or renews the right to run a destination's loop until ttl from
	// now. The error is ErrLeased when another holder has it.
	Lease(ctx context.Context, destination, holder string, ttl time.Duration) error
	// Release gives a lease back; holding none is no error.
	Release(ctx context.Context, destination, holder string) error

	// Due lists calls whose next attempt is at or before now: all of lane Live
	// before any of lane Replay, earliest first within each, and of the same time
	// those received first. Its cost follows limit, not the size of the journal.
	Due(ctx context.Context, destination string, now time.Time, limit int) ([]Due, error)
	// NextDue is the time of the earliest next attempt; ok is false when nothing
	// is due ever.
	NextDue(ctx context.Context, destination string) (next time.Time, ok bool, err error)
	// Backlog counts the planned attempts of a destination. Its cost follows
	// their number.
	Backlog(ctx context.Context, destination string, now time.Time) (Backlog, error)
	// Wake returns a channel that receives soon after something may have become
	// due for the destination. It is a hint: it may fire for nothing, or be
	// missed when another process wrote, so a caller also polls. cancel frees it.
	Wake(destination string) (c <-chan struct{}, cancel func())

	// Load returns what is known about calls, in the order of callIDs, leaving
	// out those the journal does not have. One that cannot be read is no error, but
	// Damaged in what is returned of it.
	Load(ctx context.Context, destination string, callIDs []string) ([]Work, error)
	// Identities looks identity keys up, such as "email:jane@example.com";
	// unknown ones are absent from the answer.
	Identities(ctx context.Context, destination string, keys []string) (map[string]Identity, error)
	// People returns what callsync last applied to people; unknown ones are
	// absent.
	People(ctx context.Context, destination string, people []crm.Ref) (map[crm.Ref]Person, error)
	// Apply records what a round decided or did, in one transaction. Calls the
	// journal does not have are left out of it. All of u must be possible to
	// encode: a time outside the years 0 to 9999 in UTC is an error, which names
	// the call, and nothing is recorded.
	Apply(ctx context.Context, destination string, u Update) error

	// Request makes calls due now for a destination, also ones it never saw,
	// and returns how many of them it made due. Those that the journal does not
	// have, or whose body has expired, are left out. A call already due in lane
	// Live stays there.
	Request(ctx context.Context, destination string, callIDs []string, r Request) (int, error)
}

// A Reader answers questions. The sequences read in pages: a long loop over one
// blocks nobody. They end at the first error; what cannot be read is one, unless the
// filter asks for it.
type Reader interface {
	Call(ctx context.Context, callID string) (Call, error)
	// Revisions returns every accepted body of a call, oldest first.
	Revisions(ctx context.Context, callID string) ([]Revision, error)
	// Calls lists calls, newest first.
	Calls(ctx context.Context, f CallFilter) iter.Seq2[CallView, error]
	// Deliveries lists deliveries, newest first.
	Deliveries(ctx context.Context, f DeliveryFilter) iter.Seq2[Delivery, error]
	// Quarantined returns the body of a rejected delivery, as far as it was
	// received. ErrNotFound: no such delivery, it was not rejected, or its body
	// was dropped since to keep the quarantine within its limit.
	Quarantined(ctx context.Context, seq uint64) ([]byte, error)
	// View returns a call's state and records at every destination that has any. A
	// body that cannot be read is no error, but Damaged in what is returned.
	View(ctx context.Context, callID string) ([]Work, error)
	// Stats counts. Its cost does not depend on the number of calls.
	Stats(ctx context.Context) (Stats, error)
}

// A Keeper keeps what is not about one call.
type Keeper interface {
	// PutMapping keeps a mapping file's source under its version; one that is kept
	// already stays as it is.
	PutMapping(ctx context.Context, m MappingVersion) error
	// Mapping returns a version kept before, or ErrNotFound.
	Mapping(ctx context.Context, version string) (MappingVersion, error)
	// Get and Set keep small named values: paused destinations, what a probe
	// found. Get answers "" for a name never set; Set to "" forgets it.
	Get(ctx context.Context, name string) (string, error)
	Set(ctx context.Context, name, value string) error
	// Backup writes a consistent copy of the journal, readable by the same
	// implementation, while others go on reading and writing.
	Backup(ctx context.Context, w io.Writer) error
}

// A Verdict is what a delivery turned out to be.
type Verdict string

const (
	Accepted  Verdict = "accepted"  // a new callId
	Revised   Verdict = "revised"   // a known callId with a changed body
	Duplicate Verdict = "duplicate" // the same body as the newest revision
	Stale     Verdict = "stale"     // an interim result after a terminal one, or an older revision again; in bulk, whatever came before the newest
	Rejected  Verdict = "rejected"  // refused: unauthorized, malformed, too large
)

// Verdicts lists all of them in the order people read them.
func Verdicts() []Verdict { return []Verdict{Accepted, Revised, Duplicate, Stale, Rejected} }

// A Delivery is one POST, accepted or not.
type Delivery struct {
	Seq       uint64    `json:"seq"` // given by the store, ascending
	At        time.Time `json:"at"`
	Peer      string    `json:"peer,omitempty"` // address of the sender, without port
	RequestID string    `json:"requestId,omitempty"`
	Status    int       `json:"status"` // HTTP status answered
	Verdict   Verdict   `json:"verdict"`
	CallID    string    `json:"callId,omitempty"` // "" when rejected
	Size      int       `json:"size"`             // bytes of the body, as far as it was read
	Hash      string    `json:"hash,omitempty"`   // SHA-256 of the canonical body
	Reason    string    `json:"reason,omitempty"`

	// Damaged wraps ErrDamaged in the place of deliveries that cannot be read, and
	// says which; Seq is that of the first.
	Damaged error `json:"-"`
	// Body is the body as received. The store keeps it as a revision when the
	// delivery is accepted or revised, and in quarantine when it is rejected;
	// the list of deliveries leaves it out.
	Body []byte `json:"-"`
	// Call is the parsed body; nil when rejected.
	Call *julian.Call `json:"-"`
	// Lane is Replay for calls taken in by the bulk. Due is from when on the call
	// is to be synced, and counts as late; zero: At. Neither is kept with the
	// delivery.
	Lane Lane      `json:"-"`
	Due  time.Time `json:"-"`
	// Undone says at which destinations a person had taken the call back where it is
	// imported from, and when. A call that is new is taken in as undone there; one
	// that is known stays as it is.
	Undone map[string]time.Time `json:"-"`
}

// A Receipt tells the receiver what Deliver decided. For a delivery that came in
// with verdict Rejected it only confirms the entry in the log.
type Receipt struct {
	Verdict  Verdict
	Revision int // the newest accepted revision of the call, from 1
	Seq      uint64
	Reason   string // why it is stale; it is kept as the delivery's Reason
}

// A Call is the newest accepted revision of a callId, without its body and
// without personal data.
type Call struct {
	ID          string            `json:"callId"`
	AgentID     string            `json:"agentId,omitempty"`
	Direction   string            `json:"direction,omitempty"`
	ResultType  julian.ResultType `json:"resultType,omitempty"`
	Interim     bool              `json:"interim,omitempty"`
	ScheduledAt time.Time         `json:"scheduledAt,omitzero"`
	ReceivedAt  time.Time         `json:"receivedAt"` // first delivery
	RevisedAt   time.Time         `json:"revisedAt"`  // newest accepted delivery
	Revision    int               `json:"revision"`
	Hash        string            `json:"hash"`
	Size        int               `json:"size"`
	Warnings    []julian.Warning  `json:"warnings,omitempty"`
	// Expired is the newest revision whose body was dropped because of its age,
	// as were those of all before it; 0 when none was.
	Expired int `json:"expired,omitempty"`
}

// HasBody reports whether the body of the newest revision is kept.
func (c Call) HasBody() bool { return c.Expired == 0 || c.Expired < c.Revision }

// At orders the calls of one person: when the call took place, else when it was
// first received.
func (c Call) At() time.Time {
	if !c.ScheduledAt.IsZero() {
		return c.ScheduledAt
	}
	return c.ReceivedAt
}

// A Revision is one accepted body of a call.
type Revision struct {
	N    int       `json:"revision"` // from 1
	At   time.Time `json:"at"`
	Hash string    `json:"hash"`
	Body []byte    `json:"-"` // exactly as received; nil once it has expired
}

// A Lane orders due work.
type Lane uint8

const (
	Live   Lane = iota // deliveries, retries of them, and single resyncs
	Replay             // bulk resyncs and imports: live work overtakes them
)

// A Due entry is a call whose turn it is.
type Due struct {
	CallID string
	Next   time.Time
	Lane   Lane
}

// A Backlog counts planned attempts.
type Backlog struct {
	Live   int `json:"live"`   // due now, in lane Live
	Replay int `json:"replay"` // due now, in lane Replay
	Later  int `json:"later"`  // not due yet: waiting for their next attempt
}

// A Status is where a call stands at a destination.
type Status string

const (
	Pending  Status = "pending"
	Synced   Status = "synced"
	Waiting  Status = "waiting"  // interim result: the terminal one will come
	Retrying Status = "retrying" // failed for now
	Failed   Status = "failed"   // needs a person
	Skipped  Status = "skipped"  // by policy
)

// Statuses lists all of them in the order people read them.
func Statuses() []Status {
	return []Status{Pending, Synced, Waiting, Retrying, Failed, Skipped}
}

// A State is where a call stands at one destination.
type State struct {
	Status Status `json:"status"`
	// Wanted is raised by every delivery and request that asks for a sync, and
	// Done is the Wanted that the last finished attempt started from: while they
	// differ there is something to do, whatever happened meanwhile.
	Wanted   int64     `json:"wanted"`
	Done     int64     `json:"done"`
	Since    time.Time `json:"since"`         // when the first unserved wish came in, else when Status was reached
	Next     time.Time `json:"next,omitzero"` // next attempt; zero when none is planned
	Lane     Lane      `json:"lane,omitempty"`
	Force    bool      `json:"force,omitempty"`    // the next attempt ignores what was last applied
	Recreate bool      `json:"recreate,omitempty"` // the next attempt makes anew what was deleted in the CRM
	Redo     bool      `json:"redo,omitempty"`     // the next attempt writes the call again although it was undone
	Attempts int       `json:"attempts,omitempty"` // failed ones since the last success
	SyncedAt time.Time `json:"syncedAt,omitzero"`
	Revision int       `json:"revision,omitempty"` // of the call that was last applied
	Mapping  string    `json:"mapping,omitempty"`  // version last applied
	Reason   string    `json:"reason,omitempty"`   // why skipped or waiting
	Problem  *Problem  `json:"problem,omitempty"`  // the last error, while it matters
	Warnings []string  `json:"warnings,omitempty"`
	Person   *Choice   `json:"person,omitempty"`
	// Undone is when a person had the call taken back from the CRM. Deliveries
	// and bulk requests leave it so; Redo ends it.
	Undone time.Time `json:"undone,omitzero"`
	// Left names people the call belonged to before, from whom what it claimed
	// has still to be taken.
	Left []crm.Ref `json:"left,omitempty"`
	// Creating is the revision of the call for which a request to create its
	// person went out that has no answer yet; 0 for none.
	Creating int `json:"creating,omitempty"`
	// Forgotten is the account to which what this call brings was written, where that
	// was forgotten since and nothing has been written to the present one.
	Forgotten string `json:"forgotten,omitempty"`
}

// A Problem is an error as it is kept for people.
type Problem struct {
	At        time.Time     `json:"at"`
	Kind      crm.ErrorKind `json:"kind"`
	Record    string        `json:"record,omitempty"`   // key of the record it concerns
	Property  string        `json:"property,omitempty"` // at fault, where the CRM names one
	Place     string        `json:"place,omitempty"`    // where the mapping sets it: "hubspot.toml:41:9"
	Code      string        `json:"code,omitempty"`
	Text      string        `json:"text"`           // free of personal data
	Hint      string        `json:"hint,omitempty"` // what to do
	RequestID string        `json:"requestId,omitempty"`
	// Revision and Mapping are what was tried, where the call failed for good.
	Revision int    `json:"revision,omitempty"`
	Mapping  string `json:"mapping,omitempty"`
}

// A Choice is the person a call was attached to, and why.
type Choice struct {
	crm.Ref
	How        string          `json:"how"` // "created", "known", "rule 2: phone", …
	Candidates []crm.Candidate `json:"candidates,omitempty"`
}

// An Applied is a property as callsync last wrote it, or decided not to.
type Applied struct {
	Value crm.Value `json:"value"`
	// Wire is what a Lookup resolved to.
	Wire string `json:"wire,omitempty"`
	// Kept is why the value was not written: the CRM held another that the
	// field's write mode protects. Wrote is then what callsync last did write.
	Kept  string    `json:"kept,omitempty"`
	Wrote crm.Value `json:"wrote,omitzero"`
	// Unsure is true from before a request that writes Sent until its answer is
	// in: the CRM may hold either. Sent has its lookup resolved.
	Unsure bool      `json:"unsure,omitempty"`
	Sent   crm.Value `json:"sent,omitzero"`
	// Before is what the CRM held before callsync first wrote the property, if it
	// happened to be read then; on people only.
	Before      string `json:"before,omitempty"`
	BeforeKnown bool   `json:"beforeKnown,omitempty"`
	// Call and At name the call whose claim this was; on people only.
	Call string    `json:"call,omitempty"`
	At   time.Time `json:"at,omitzero"`
}

// A Record is one CRM record that exists, or is about to, because of a call.
type Record struct {
	Key   string `json:"key"`
	Block string `json:"block"`
	// Item is which item of the call's list the record stands for since a
	// correction moved it, counted from 1; -1 for none; 0 for the one its key names.
	Item   int    `json:"item,omitempty"`
	Object string `json:"object"`
	ID     string `json:"id,omitempty"` // "" until the CRM has answered
	// Intent is when a request to create it was last about to be sent; zero once
	// the id is known.
	Intent     time.Time          `json:"intent,omitzero"`
	Properties map[string]Applied `json:"properties,omitempty"`
	Links      []crm.Ref          `json:"links,omitempty"`
	// Relink is true from before a request that changes Links until its answer
	// is in; Links then holds both what was and what shall be.
	Relink bool `json:"relink,omitempty"`
	// Gone is when callsync learnt that somebody deleted it, or archived it
	// itself; it is not made anew unless asked.
	Gone time.Time `json:"gone,omitzero"`
	// Retracted is true when callsync archived it because the call no longer
	// yields it, or, while Gone is zero, was about to.
	Retracted bool `json:"retracted,omitempty"`
	// Keep leaves it in the CRM when the call no longer yields it; KeepEdited does
	// so where a person has changed what callsync wrote.
	Keep       bool `json:"keep,omitempty"`
	KeepEdited bool `json:"keepEdited,omitempty"`
	// Replaced are the ids of deleted records in whose place this one was made.
	Replaced []string `json:"replaced,omitempty"`
}

// MappedKey is the key under which the mapping yields the record now: that of the
// item it stands for. It is "" when it stands for none.
func (r Record) MappedKey() string {
	switch {
	case r.Item == 0:
		return r.Key
	case r.Item < 0:
		return ""
	default:
		return r.Key[:strings.LastIndexByte(r.Key, '/')+1] + strconv.Itoa(r.Item-1)
	}
}

// Ref names the record in the CRM; its ID is "" until the CRM has answered.
func (r Record) Ref() crm.Ref { return crm.Ref{Object: r.Object, ID: r.ID} }

// An Identity says who an email or a phone number belongs to, or that somebody
// is being created for it.
type Identity struct {
	crm.Ref
	// Key and Intent are set while a person is being created: callsync's key and
	// when the request was last about to be sent.
	Key    string    `json:"key,omitempty"`
	Intent time.Time `json:"intent,omitzero"`
	// Call is the call it was learnt from. Taught is true where no search led from
	// the value to the person: they were found by another value of the call, and
	// this one led to nobody.
	Call   string `json:"call,omitempty"`
	Taught bool   `json:"taught,omitempty"`
	// How is how the person was found: "created", "email", "phone", …
	How string    `json:"how,omitempty"`
	At  time.Time `json:"at,omitzero"`
}

// A Person is what callsync last applied to a person.
type Person struct {
	Properties map[string]Applied `json:"properties,omitempty"`
	// Claims are what calls want of each property, newest call first.
	Claims map[string][]Claim `json:"claims,omitempty"`
	// Created is the call for which callsync created them. Whoever others became
	// was not created by that.
	Created string `json:"created,omitempty"`
	// MovedTo names who this person became: merged into another, or converted.
	MovedTo crm.Ref `json:"movedTo,omitzero"`
}

// Work is a call as a sync loop needs it.
type Work struct {
	Call        Call
	Body        []byte // newest accepted revision; nil once it has expired
	Destination string
	State       State
	Records     map[string]Record // by key
	// Damaged wraps ErrDamaged when a part of it cannot be read. What can be is
	// there, and at least Call.ID.
	Damaged error `json:"-"`
}

// An Update is what a round decided or did. Nil and empty parts change nothing.
type Update struct {
	States     map[string]State    // by callID; each meets newer wishes as [State.Merge] says
	Records    map[string][]Record // by callID: replaced by key
	Forget     map[string][]string // by callID: record keys to drop, before Records are written
	Identities map[string]Identity // by identity key; a zero Identity drops it
	People     map[crm.Ref]Person  // replaced whole
	// Moved are people who were merged or converted. What is known of them goes
	// along ([Person.Join]), identities that named them name who they became, and
	// of themselves only MovedTo is left. States and links of records stay as
	// they are. It happens before Identities and People, which have the last word.
	Moved map[crm.Ref]crm.Ref
}

// Merge is a state update meeting newer wishes. When a delivery or request raised
// Wanted after s was loaded, the raised Wanted stays, with its Next, Lane, Force,
// Recreate and Redo, and status Pending; all else is s. It is for implementations
// of [Queue.Apply] to share.
func (s State) Merge(current State) State {
	if current.Wanted <= s.Wanted {
		return s
	}
	s.Wanted = current.Wanted
	s.Status = Pending
	s.Since = current.Since
	s.Next, s.Lane = current.Next, current.Lane
	s.Force, s.Recreate, s.Redo = current.Force, current.Recreate, current.Redo
	return s
}

// A Request asks for calls to be synced again.
type Request struct {
	At       time.Time
	Lane     Lane
	Force    bool
	Recreate bool
	Redo     bool // also if the call was undone
}

// A CallFilter selects calls; zero fields select all.
type CallFilter struct {
	IDs         []string
	Since       time.Time // received at or after
	Until       time.Time // received before
	Result      julian.ResultType
	Agent       string
	Destination string // Status and the listed states concern this one only
	Status      Status // at any destination, if Destination is empty
	// Damaged also lists calls that cannot be read, and may be among those that are
	// asked for. They do not count for Limit.
	Damaged bool
	Limit   int
}

// A CallView is a call with its states by destination.
type CallView struct {
	Call
	States map[string]State `json:"states"`
	// Damaged wraps ErrDamaged when the call cannot be read. Of Call there is then at
	// least ReceivedAt, to the millisecond, and ID as far as that is known.
	Damaged error `json:"-"`
}

// A DeliveryFilter selects deliveries; zero fields select all.
type DeliveryFilter struct {
	CallID  string
	Since   time.Time
	Until   time.Time
	Verdict Verdict
	Before  uint64 // Seq below this one, for paging
	// Damaged also lists where deliveries cannot be read, of whatever they were. It
	// does not count for Limit.
	Damaged bool
	Limit   int
}

// Stats are counts over the whole journal.
type Stats struct {
	Calls        int64                       `json:"calls"`
	Deliveries   map[Verdict]int64           `json:"deliveries"`
	Destinations map[string]map[Status]int64 `json:"destinations"`
	// Oldest is, per destination, since when the oldest call that is neither
	// synced, skipped, waiting nor failed has been wanting a sync.
	Oldest map[string]time.Time `json:"oldest,omitempty"`
	// Forgotten counts, per destination, the calls with a State.Forgotten.
	Forgotten map[string]int64 `json:"forgotten,omitempty"`
	Bytes     int64            `json:"bytes"` // on disk
}

// A MappingVersion is a mapping file as it was applied.
type MappingVersion struct {
	Version string `json:"version"` // hash of the source
	Name    string `json:"name"`    // file name, or "hubspot.toml (built in)"
	Source  []byte `json:"source"`
	// Routed are the sources of the files it routes to, by path.
	Routed map[string][]byte `json:"routed,omitempty"`
	At     time.Time         `json:"at"` // first applied
}

// Writable reports whether a journal can keep a time, in JSON: one in the year 9999
// may lie in the year 10000 in UTC.
func Writable(t time.Time) bool {
	y := t.UTC().Year()
	return y >= 0 && y <= 9999
}
