// Package crm is the neutral ground between the sync loop and a CRM: the
// records that should exist, the changes that make them exist, the interface a
// connector implements, and the kinds of error it may answer with.
//
// Nothing here knows a particular CRM, a mapping file or the journal. A
// connector lives in a folder of its own below this one, imports this package,
// and registers itself with [Register]; deleting that folder must leave a
// project that builds.
package crm

import (
	"fmt"
	"time"
)

// A Ref names one record in a CRM.
type Ref struct {
	Object string `json:"object"` // the CRM's own type name: "contacts", "Contact", "calls", "Task"
	ID     string `json:"id"`
}

// IsZero reports whether r names nothing.
func (r Ref) IsZero() bool { return r.ID == "" }

func (r Ref) String() string { return r.Object + "/" + r.ID }

// A Pos is a place in a mapping file. The zero Pos means the value did not come
// from a file.
type Pos struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`   // from 1
	Column int    `json:"column,omitempty"` // from 1, in runes
}

func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// A WriteMode says when a property may be written.
type WriteMode string

const (
	// Always writes whenever the wanted value differs from the one last applied.
	Always WriteMode = "always"
	// IfEmpty never replaces a value, whoever wrote it.
	IfEmpty WriteMode = "if_empty"
	// IfUnchanged replaces only what callsync itself last wrote, or nothing at
	// all: a person's edit in the CRM wins.
	IfUnchanged WriteMode = "if_unchanged"
)

// A Field is one property as a mapping wants it.
type Field struct {
	Name  string
	Value Value // Null: not written, unless callsync wrote it before; then cleared
	Write WriteMode
	Pos   Pos
	// Object limits a person's field to one of Person.Objects, such as
	// Salesforce's Company, which only a Lead has; "" means all of them.
	Object string
	// OfItem is whether the value is made of the item of a list, of which it can be
	// known again.
	OfItem bool
}

// Desired is what should stand in a CRM because of one call.
type Desired struct {
	CallID string
	// At orders the calls of one person: for a contact property the newest call
	// that has a value wins, whichever is synced first.
	At time.Time
	// Skip is why a policy keeps this call out of the CRM; when it is set,
	// Person and Records are empty.
	Skip string
	// Interim is true while the call has no terminal result. Records that do
	// not ask for interim calls are then absent.
	Interim  bool
	Person   Person
	Records  []Record
	Warnings []string
}

// Person is who a call belongs to.
type Person struct {
	Objects []string // object types to look in, in order of preference
	Match   []Match  // rules that yielded a usable value, in order of preference
	// WhyUnmatched is, where Match is empty, why what the call holds cannot be used
	// to find anybody, and what to do; "" where it holds nothing. It holds no value
	// of the call.
	WhyUnmatched string
	// Create is the object type to create when no rule finds anybody; "" means
	// do not create, and WhyNot says why.
	Create string
	WhyNot string
	// Key is the value of the CRM's unique callsync_contact_key for a person
	// callsync creates: the E.164 number, else the lower-cased email. "" when
	// the call has neither; nobody can be created then.
	Key    string
	Fields []Field
	// Unlinked lets the call's records be written without a person when none is
	// found and none may be created; otherwise the call is skipped.
	Unlinked bool
}

// A Match is one way to find a person: by a known CRM id, or by a property.
type Match struct {
	Rule     int       `json:"rule"`               // index of the rule in the mapping file, for explanations
	Property string    `json:"property,omitempty"` // "" when Value is a CRM id
	Value    string    `json:"value"`              // emails lower-cased, phones in E.164
	Kind     MatchKind `json:"kind"`
	Pos      Pos       `json:"pos,omitzero"`
}

// A MatchKind says how a value is compared.
type MatchKind string

const (
	MatchID    MatchKind = "id"
	MatchEmail MatchKind = "email"
	MatchPhone MatchKind = "phone"
	MatchExact MatchKind = "exact" // any other property: equal strings
)

// IdentityKey is the key under which a journal's identity map knows this value,
// such as "phone:+15551234567"; "" for an id, which needs no bridge.
func (m Match) IdentityKey() string {
	switch m.Kind {
	case MatchID:
		return ""
	case MatchEmail, MatchPhone:
		return string(m.Kind) + ":" + m.Value
	default:
		return m.Property + ":" + m.Value
	}
}

// A Record is one activity, meeting or task that should exist.
type Record struct {
	Key    string // unique within callsync and stored in the CRM: "call.abc#call", "call.abc#action/0", "call.abc#action/x1k9"
	Block  string // the [[record]] block it came from: "call"
	Item   int    // the item of a list it was made of, counted from 1; 0 for the record of a block without for_each
	Object string
	Fields []Field
	// Links beyond the person, which every record is linked to.
	Links []Relation
	// Keep leaves a record that the mapping no longer yields in the CRM instead
	// of archiving it; KeepEdited does so where a person has changed what callsync
	// wrote.
	Keep, KeepEdited bool
	Pos              Pos
}

// A Relation asks for records related to the person, found by the connector
// when the record is written.
type Relation struct {
	Object string `json:"object"` // "deals", "companies", "Opportunity", "Account"
	Which  string `json:"which"`  // "open", "primary"
	Pos    Pos    `json:"-"`
}
