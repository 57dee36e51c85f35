package admin

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/sync"
)

// Build says which callsync this is.
type Build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Status is the answer of /api/v1/status.
type Status struct {
	Build     Build     `json:"build"`
	Daemon    bool      `json:"daemon"` // false: answered from the file, nothing is being received or synced
	Started   time.Time `json:"started,omitzero"`
	Receivers []string  `json:"receivers,omitempty"`
	Ready     bool      `json:"ready"`
	Reasons   []string  `json:"reasons,omitempty"` // why it is not ready
	// Stale names the tables of the configuration file that differ from what the
	// daemon runs with.
	Stale        []string            `json:"stale,omitempty"`
	Journal      JournalStatus       `json:"journal"`
	Refused      Refused             `json:"refused,omitzero"`
	Misses       []Misses            `json:"misses,omitempty"`
	Julian       *JulianStatus       `json:"julian,omitempty"` // nil: no daemon, or no api_key in [julian]
	Destinations []DestinationStatus `json:"destinations"`
}

// Refused counts, since the daemon started, deliveries that were not taken.
type Refused struct {
	Unauthorized int64 `json:"unauthorized,omitempty"` // no key or a wrong one
	Unwritten    int64 `json:"unwritten,omitempty"`    // the journal could not be written
}

// JulianStatus says whether 11x's REST API could be used when it was last asked.
type JulianStatus struct {
	OK      bool      `json:"ok"`
	Asked   time.Time `json:"asked,omitzero"` // zero: not yet
	Problem string    `json:"problem,omitempty"`
}

// JournalStatus counts what the journal holds.
type JournalStatus struct {
	Calls      int64                   `json:"calls"`
	Deliveries map[store.Verdict]int64 `json:"deliveries"`
	Bytes      int64                   `json:"bytes"`
	// DiskFree and DiskSize are bytes of the file system that holds the journal:
	// what callsync may still use of it, and all. 0 when that is not known.
	DiskFree int64 `json:"diskFree,omitempty"`
	DiskSize int64 `json:"diskSize,omitempty"`
	// Unwritable is why the daemon cannot write to it; "" while it can.
	Unwritable string `json:"unwritable,omitempty"`
}

// DestinationStatus says how one destination is doing.
type DestinationStatus struct {
	sync.Health
	Calls map[store.Status]int64 `json:"calls"`
	// Forgotten counts the calls that were written to an account that was forgotten
	// since, and not to the present one.
	Forgotten int64 `json:"forgotten,omitempty"`
	// Backlog is what of them is planned, replays apart from live traffic.
	Backlog store.Backlog `json:"backlog"`
	// Oldest is since when the oldest call still on its way has been waiting.
	Oldest      time.Time   `json:"oldest,omitzero"`
	NextAttempt time.Time   `json:"nextAttempt,omitzero"`
	MappingFile MappingInfo `json:"mappingFile"`
}

// A Selection picks calls; IDs, if any, pick exactly those.
type Selection struct {
	IDs         []string          `json:"ids,omitempty"`
	Since       time.Time         `json:"since,omitzero"`
	Until       time.Time         `json:"until,omitzero"`
	Result      julian.ResultType `json:"result,omitempty"`
	Agent       string            `json:"agent,omitempty"`
	State       store.Status      `json:"state,omitempty"`
	Destination string            `json:"destination,omitempty"`
	Limit       int               `json:"limit,omitempty"` // 0: no limit
}

func (s Selection) filter() store.CallFilter {
	return store.CallFilter{
		IDs: s.IDs, Since: s.Since, Until: s.Until, Result: s.Result, Agent: s.Agent,
		Destination: s.Destination, Status: s.State, Damaged: true, Limit: s.Limit,
	}
}

// everything reports whether no call is left out.
func (s Selection) everything() bool {
	return len(s.IDs) == 0 && s.Since.IsZero() && s.Until.IsZero() && s.Result == "" && s.Agent == "" && s.State == "" && s.Limit == 0
}

// Calls is the answer of /api/v1/calls.
type Calls struct {
	Calls []store.CallView `json:"calls"` // newest first
	More  bool             `json:"more,omitempty"`
	// Causes say why calls have the state that was asked for, also calls that are
	// not listed; Partial is true when there were too many to look at all of them.
	Causes  []Cause `json:"causes,omitempty"`
	Partial bool    `json:"partial,omitempty"`
	Unread  *Unread `json:"unread,omitempty"`
}

// Deliveries is the answer of /api/v1/deliveries.
type Deliveries struct {
	Deliveries []store.Delivery `json:"deliveries"` // newest first
	More       bool             `json:"more,omitempty"`
	// Damaged says where in the log deliveries cannot be read.
	Damaged []string `json:"damaged,omitempty"`
}

// A CallDetail is everything known about one call.
type CallDetail struct {
	store.Call
	Deliveries   []store.Delivery `json:"deliveries"` // oldest first
	Revisions    []Revision       `json:"revisions"`  // oldest first
	Destinations []CallAt         `json:"destinations"`
	// Damaged says what of it cannot be read.
	Damaged []string `json:"damaged,omitempty"`
}

// A Revision is one accepted body of a call.
type Revision struct {
	N    int             `json:"revision"`
	At   time.Time       `json:"at"`
	Hash string          `json:"hash"`
	Size int             `json:"size"`
	Body json.RawMessage `json:"body,omitempty"` // only when asked for
}

// CallAt is where a call stands at one destination.
type CallAt struct {
	Destination string `json:"destination"`
	store.State
	// Hold is why a call that is pending or retrying has not been synced yet.
	Hold    *Hold          `json:"hold,omitempty"`
	Records []store.Record `json:"records"`
	// Contact is what was last applied to the call's person, by all their calls.
	Contact map[string]store.Applied `json:"contact,omitempty"`
}

// A Hold is what a call on its way waits for. Phase and what follows it are the
// destination's, when it is the destination that rests.
type Hold struct {
	Text   string        `json:"text"` // "hubspot is paused", "the CRM refuses the credentials"
	Phase  sync.Phase    `json:"phase,omitempty"`
	Reason string        `json:"reason,omitempty"` // a person's words, or the CRM's
	Hint   string        `json:"hint,omitempty"`   // what to do
	Kind   crm.ErrorKind `json:"kind,omitempty"`
	Since  time.Time     `json:"since,omitzero"`
	Until  time.Time     `json:"until,omitzero"` // when it goes on by itself
}

// Explained is how one destination's mapping reads a call.
type Explained struct {
	Destination string          `json:"destination"`
	Explanation json.RawMessage `json:"explanation"`
	Problem     string          `json:"problem,omitempty"` // where the mapping failed
}

// A PlanRequest asks what syncing would do: for calls in the journal, or for a
// payload that has not been received.
type PlanRequest struct {
	Selection
	Payload json.RawMessage `json:"payload,omitempty"`
	// Live asks the CRM what it holds now; nothing is written.
	Live bool `json:"live,omitempty"`
	// Mapping is planned by instead of the one in force; it is for one
	// destination.
	Mapping *MappingSource `json:"mapping,omitempty"`
}

// MappingSource is a mapping file.
type MappingSource struct {
	Name   string `json:"name"` // for errors
	Source string `json:"source"`
	// Routed are the sources of the files it routes to, by path.
	Routed map[string][]byte `json:"routed,omitempty"`
}

// Plans is the answer of /api/v1/plan.
type Plans struct {
	Totals PlanTotals      `json:"totals"`
	Plans  []sync.CallPlan `json:"plans"`
}

// PlanTotals sums plans up.
type PlanTotals struct {
	Calls int `json:"calls"`
	// Destinations is at how many destinations each call was planned. What is counted
	// below is plans: calls at a destination.
	Destinations int            `json:"destinations,omitempty"`
	Writing      int            `json:"writing"` // plans by which something would be sent
	Records      map[crm.Op]int `json:"records"` // people included, by what would become of them
	// Objects is Records by object type; "person" stands for people whose type
	// shows only when they are looked up.
	Objects map[string]map[crm.Op]int `json:"objects"`
	// Properties counts the changes by object type and property, such as
	// "calls.hs_call_title".
	Properties map[string]int `json:"properties"`
	Statuses   map[string]int `json:"statuses"`
	// Tried counts calls whose last attempt failed, at the same revision and by the
	// same mapping. They are in no other count but Calls.
	Tried     int  `json:"tried,omitempty"`
	Truncated bool `json:"truncated,omitempty"` // more plans than are listed
	// Unread are calls that could not be planned; they are in no other count.
	Unread *Unread `json:"unread,omitempty"`
}

// A ResyncRequest asks for calls to be synced again.
type ResyncRequest struct {
	Selection
	DryRun   bool `json:"dryRun,omitempty"`
	Force    bool `json:"force,omitempty"`    // ignore what was last applied
	Recreate bool `json:"recreate,omitempty"` // make anew what was deleted in the CRM
	// Changed leaves out the calls for which nothing would be sent.
	Changed bool `json:"changed,omitempty"`
}

// Resynced is the answer of /api/v1/resync.
type Resynced struct {
	Calls     int            `json:"calls"`
	Requested map[string]int `json:"requested,omitempty"` // by destination
	Daemon    bool           `json:"daemon"`              // false: they wait for a daemon to start
	// Expired counts calls left out because their bodies have expired: they cannot
	// be written again.
	Expired int `json:"expired,omitempty"`
	// Undone counts calls left out of a bulk resync because a person took them back
	// from a destination: a resync by id writes them again.
	Undone int     `json:"undone,omitempty"`
	Unread *Unread `json:"unread,omitempty"` // left out, too
	Plan   *Plans  `json:"plan,omitempty"`   // of a dry run
}

// A PauseRequest says why.
type PauseRequest struct {
	Reason string `json:"reason,omitempty"`
}

// Reloaded says what a reload changed.
type Reloaded struct {
	Applied []string `json:"applied"`
	Restart []string `json:"restart"` // what differs and needs a restart
	// Refused are mapping files that cannot be used as they are now, and why.
	Refused []string `json:"refused,omitempty"`
}

// SetupSteps lists what an account lacks, or what was done about it.
type SetupSteps struct {
	Destination string          `json:"destination"`
	Steps       []crm.SetupStep `json:"steps"`
}

// A CheckRequest says how far a check may go.
type CheckRequest struct {
	Probe bool `json:"probe,omitempty"` // also write and remove a record
}

// Findings is the answer of a check.
type Findings struct {
	Destination string        `json:"destination"`
	Findings    []crm.Finding `json:"findings"`
}

// Health is the answer of /readyz.
type Health struct {
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons,omitempty"`
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
