// Package sync keeps CRMs true to the journal. Per destination one [Loop] takes
// the calls that are due, renders the records that should exist, compares them
// with what was last applied, and sends only the difference.
//
// There is one way through: first delivery, duplicate, correction, retry after a
// crash, resync and replay all plan and apply alike. What may have reached the
// CRM is in the journal before the request goes out; nothing is created while an
// earlier attempt to create it might still turn up. This package knows no
// particular CRM and no mapping file's syntax.
//
// Inside this package, "sync" in an import is the standard library.
package sync

import (
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// A CallPlan is what syncing one call to one destination would do, or did.
type CallPlan struct {
	CallID      string       `json:"callId"`
	Destination string       `json:"destination"`
	Mapping     string       `json:"mapping"` // version
	Status      store.Status `json:"status"`  // where the call would stand
	Reason      string       `json:"reason,omitempty"`
	Person      PersonPlan   `json:"person"`
	Records     []RecordPlan `json:"records,omitempty"`
	Warnings    []string     `json:"warnings,omitempty"`
	// Tried is true when the last attempt at the same revision, by the same mapping,
	// failed for good: what would be sent has been refused before.
	Tried bool `json:"tried,omitempty"`
}

// Writes reports whether anything would be sent.
func (p *CallPlan) Writes() bool {
	if p.Person.Op != None {
		return true
	}
	for _, r := range p.Records {
		if r.Op != None {
			return true
		}
	}
	return false
}

// None is the Op of a record that is as it should be.
const None crm.Op = "none"

// A PersonPlan is what becomes of the person a call belongs to.
type PersonPlan struct {
	Op     crm.Op      `json:"op"`               // create, update, none
	Object string      `json:"object,omitempty"` // "" when no type would be created and none is known
	Ref    crm.Ref     `json:"ref,omitzero"`
	How    string      `json:"how"` // "known", "created", "looked up when synced", …
	Match  []crm.Match `json:"match,omitempty"`
	// Candidates are others who were found; only where the CRM was asked.
	Candidates []crm.Candidate  `json:"candidates,omitempty"`
	Changes    []PropertyChange `json:"changes,omitempty"`
}

// A RecordPlan is what becomes of one record.
type RecordPlan struct {
	Key     string           `json:"key"`
	Block   string           `json:"block"`
	Object  string           `json:"object"`
	ID      string           `json:"id,omitempty"`
	Op      crm.Op           `json:"op"`
	Note    string           `json:"note,omitempty"` // why nothing is done, if that is worth saying
	Changes []PropertyChange `json:"changes,omitempty"`
	Link    []crm.Ref        `json:"link,omitempty"`
	Unlink  []crm.Ref        `json:"unlink,omitempty"`
}

// A PropertyChange is one property's difference.
type PropertyChange struct {
	Name  string        `json:"name"`
	Old   crm.Value     `json:"old"` // as last applied, or as the CRM holds it where it was asked
	New   crm.Value     `json:"new"`
	Write crm.WriteMode `json:"write"`
	Note  string        `json:"note,omitempty"`
	Pos   crm.Pos       `json:"pos,omitzero"`
}

// Health says how a loop is doing.
type Health struct {
	Destination string        `json:"destination"`
	Type        string        `json:"type"`
	Phase       Phase         `json:"phase"`
	Reason      string        `json:"reason,omitempty"` // why it is not running
	Hint        string        `json:"hint,omitempty"`   // what to do
	Kind        crm.ErrorKind `json:"kind,omitempty"`
	Until       time.Time     `json:"until,omitzero"` // when it goes on by itself
	Since       time.Time     `json:"since,omitzero"` // when the phase began
	LastSync    time.Time     `json:"lastSync,omitzero"`
	Mapping     string        `json:"mapping"` // version in force
	CRM         crm.Status    `json:"crm"`
}

// A Phase is what a loop is doing.
type Phase string

const (
	Running Phase = "running"
	// Paused: a person said `callsync pause`.
	Paused Phase = "paused"
	// Blocked: credentials, quota or missing key properties; probed until mended.
	Blocked Phase = "blocked"
	// Broken: the circuit breaker is open after transient errors.
	Broken Phase = "broken"
	// Standby: another process holds the destination.
	Standby Phase = "standby"
)
