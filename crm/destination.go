package crm

import (
	"context"
	"time"
)

// A Destination is a connector to one CRM account. The sync loop hands it whole
// batches and it turns them into as few requests as it can. Its methods may be
// called concurrently. It paces its own requests and refreshes its own tokens,
// but never retries a write: an error goes back to the loop, whose journal knows
// what may be tried again.
//
// An error returned beside results concerns the whole call; one inside a result
// concerns that item alone. Both are *[Error] where the CRM said no.
type Destination interface {
	// BatchSize is how many due calls one round should gather while there is a
	// backlog.
	BatchSize() int

	// Ready reports whether the CRM has what callsync needs before anything may
	// be written: its key properties on people and on the usual activities. The
	// error is a *[Error] of kind NotReady, Credential or Transient. A nil answer
	// may be cached. Where else the key is missing, and a mapping writes all the
	// same, Locate and Write answer Permanent: that concerns only such records.
	Ready(ctx context.Context) error

	// FindPeople looks for the people the queries describe. Answer i lists the
	// candidates for query i, in no particular order, and is empty when there is
	// none. Once a known id leads to somebody, the query's other rules need not
	// be searched. Search indexes lag: somebody created seconds ago may be missing.
	FindPeople(ctx context.Context, queries []PersonQuery) ([][]Candidate, error)

	// Locate finds records by callsync's key. Answer i is for keys[i].
	Locate(ctx context.Context, keys []KeyRef) ([]Location, error)

	// Read returns the present values of properties, not from an index that
	// lags. Answer i is for refs[i].
	Read(ctx context.Context, refs []Ref, properties []string) ([]Snapshot, error)

	// Resolve turns Lookup values into the CRM's own ids. Values it does not
	// know are absent from the answer; that is no error.
	Resolve(ctx context.Context, lookups []Value) (map[Value]string, error)

	// Related finds the records that relations ask for. Answer i is for
	// queries[i]; none found is an empty answer.
	Related(ctx context.Context, queries []RelatedQuery) ([][]Ref, error)

	// Write carries out changes to distinct records and answers each on its
	// own: one bad record does not stop the rest. A Create whose key the CRM
	// already holds answers an error of kind Exists that names the record.
	Write(ctx context.Context, changes []Change) []Result

	// Status tells what the connector knows about limits, without a request.
	Status() Status
}

// A PersonQuery asks for the people behind one call.
type PersonQuery struct {
	Objects []string
	Match   []Match
}

// A Candidate is somebody a query found.
type Candidate struct {
	Ref
	// Asked is the id that was asked for when the CRM answered with another
	// one: a merged contact, a converted lead.
	Asked string `json:"asked,omitempty"`
	Rule  int    `json:"rule"` // Match.Rule of the first rule that found it
	// Exact is false for a partial match, such as a phone that agrees only in
	// its local part.
	Exact    bool      `json:"exact"`
	Modified time.Time `json:"modified,omitzero"`
}

// A KeyRef asks for the record with one of callsync's keys.
type KeyRef struct {
	Object string
	Key    string
	// Since is when a request that may have created the record was last sent.
	// While the CRM's index may not show it yet, the answer is Unknown.
	Since time.Time
	// Not are the ids of deleted records that had the key before. An index or a
	// query may still show them; they are never the answer.
	Not []string
}

// A Location answers a [KeyRef].
type Location struct {
	State Presence
	ID    string // when Found
	// RetryAfter is how long an Unknown answer needs to become certain.
	RetryAfter time.Duration
}

// Presence says whether a record exists.
type Presence int

const (
	Absent Presence = iota
	Found
	Unknown // not seen, but it may be there already
)

// A Snapshot is a record as it stands in the CRM.
type Snapshot struct {
	// Ref is the record that answers now; it differs from the one asked for
	// after a merge or a conversion. Zero when Gone.
	Ref
	Properties map[string]string // "" and absent both mean empty
	Gone       bool              // deleted, archived, or never there
	Modified   time.Time
}

// A RelatedQuery asks for records related to a person.
type RelatedQuery struct {
	Person   Ref
	Relation Relation
}

// An Op is what a [Change] does.
type Op string

const (
	Create  Op = "create"
	Update  Op = "update"
	Archive Op = "archive" // into the recycle bin, where a person can restore it
)

// A Change is one record's difference, ready to be sent: no Lookup values are
// left in it.
type Change struct {
	Op     Op
	Object string
	ID     string // Update and Archive
	Key    string // Create: goes into callsync's key property with the rest
	// Properties to set; a null value clears.
	Properties map[string]Value
	Link       []Ref  // records to associate it with
	Unlink     []Ref  // associations to take away
	CallID     string // for logs and tracing; the newest, if several calls share it
}

// A Result answers a [Change]. A Create with both an ID and an Err made the
// record but not all of its associations.
type Result struct {
	ID  string
	Err error
	// Skipped names properties that were left out because the CRM takes them
	// only when a record is created, or only afterwards. It is no error.
	Skipped []string
}

// Status is what a connector knows about its limits.
type Status struct {
	// Requests counts requests sent since start, by operation ("contacts
	// search", "calls batch create").
	Requests map[string]int64 `json:"requests,omitempty"`
	// QuotaUsed and QuotaLimit describe the daily quota; 0 when unknown.
	QuotaUsed  int64 `json:"quotaUsed,omitempty"`
	QuotaLimit int64 `json:"quotaLimit,omitempty"`
	// QuotaReset is when the daily quota starts anew; zero when unknown.
	QuotaReset time.Time `json:"quotaReset,omitzero"`
	// Account is the id of the portal or org that the token is for; "" while it is not
	// known, which is until the first request, or where the CRM does not tell.
	Account string `json:"account,omitempty"`
}
