package crm

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
)

// An ErrorKind says what to do about an error.
type ErrorKind string

const (
	// Transient: try again later, with backoff.
	Transient ErrorKind = "transient"
	// Credential: the token is refused, or lacks a scope. The destination pauses.
	Credential ErrorKind = "credential"
	// Quota: the daily limit is spent. The destination pauses until RetryAfter.
	Quota ErrorKind = "quota"
	// NotReady: the CRM lacks the key properties that [Destination.Ready] asks for;
	// `callsync setup` mends it. The destination pauses.
	NotReady ErrorKind = "not_ready"
	// OtherAccount: the account is not the one that the journal's ids belong to, as
	// [Settings.Admit] says. The destination pauses until a person has decided.
	OtherAccount ErrorKind = "other_account"
	// Permanent: this record will never be accepted as it is.
	Permanent ErrorKind = "permanent"
	// Exists: a record with this unique value is there already; Existing names it.
	Exists ErrorKind = "exists"
	// Gone: the record was deleted, archived, merged or converted.
	Gone ErrorKind = "gone"
)

// An Error is a CRM's refusal, or the failure to reach it.
type Error struct {
	Kind ErrorKind
	Op   string // "contacts batch create"
	// Status is the HTTP status; 0 when there was no answer.
	Status int
	Code   string // the CRM's own: "PROPERTY_DOESNT_EXIST", "UNABLE_TO_LOCK_ROW"
	// Message is the CRM's words, free of property values and other personal
	// data, so that it may be logged.
	Message    string
	Hint       string // what a person can do
	Property   string // the property at fault, if one is
	Existing   Ref    // for Exists
	RetryAfter time.Duration
	RequestID  string // the CRM's correlation id
	Err        error  // the cause, if there is one below
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Status != 0 {
		fmt.Fprintf(&b, ": %d", e.Status)
	}
	if e.Code != "" {
		fmt.Fprintf(&b, " %s", e.Code)
	}
	if e.Message != "" {
		fmt.Fprintf(&b, ": %s", e.Message)
	} else if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if e.Property != "" && !hasWord(b.String(), e.Property) {
		fmt.Fprintf(&b, " (property %s)", e.Property)
	}
	return b.String()
}

// hasWord reports whether a name stands in s, and not as a part of a longer one.
func hasWord(s, name string) bool {
	return slices.Contains(strings.FieldsFunc(s, func(r rune) bool {
		return r != '_' && r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}), name)
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of err. An error no connector classified is
// Transient, so that nothing is given up by mistake.
func KindOf(err error) ErrorKind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Transient
}

// TooLarge reports whether an HTTP status refuses a request for its size, which a
// gateway between callsync and a CRM may do in its own words.
func TooLarge(status int) bool {
	return status == http.StatusRequestEntityTooLarge || status == http.StatusRequestURITooLong || status == http.StatusRequestHeaderFieldsTooLarge
}
