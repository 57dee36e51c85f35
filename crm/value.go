package crm

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Kind is the type of a [Value].
type Kind string

const (
	Null    Kind = ""
	String  Kind = "s"
	Number  Kind = "n"
	Bool    Kind = "b"
	Instant Kind = "t"
	// Lookup is a value that only the CRM can fill in: the id of the owner with
	// an email address, of the call disposition with a label.
	Lookup Kind = "l"
)

// A Value is a property's value: comparable with ==, and stored as JSON in the
// journal. Its zero value is null.
type Value struct {
	Kind Kind `json:"k,omitempty"`
	// Text is the canonical text: a JSON number, "true" or "false", RFC 3339 in
	// UTC with as many fraction digits as needed, or what a Lookup looks up.
	Text string `json:"v,omitempty"`
	// Of is what a Lookup looks up: "owner", "disposition".
	Of string `json:"of,omitempty"`
}

// Str returns a string value; the empty string is null, since no CRM keeps the
// two apart.
func Str(s string) Value {
	if s == "" {
		return Value{}
	}
	return Value{Kind: String, Text: s}
}

// Int returns a number.
func Int(n int64) Value { return Value{Kind: Number, Text: strconv.FormatInt(n, 10)} }

// Float returns a number; NaN and infinities are null.
func Float(f float64) Value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return Value{}
	}
	return Value{Kind: Number, Text: strconv.FormatFloat(f, 'f', -1, 64)}
}

// Boolean returns a bool.
func Boolean(b bool) Value { return Value{Kind: Bool, Text: strconv.FormatBool(b)} }

// Time returns an instant, to the millisecond, which is all a CRM keeps; the
// zero time is null.
func Time(t time.Time) Value {
	if t.IsZero() {
		return Value{}
	}
	return Value{Kind: Instant, Text: t.UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano)}
}

// LookupOf returns a value that the connector looks up: LookupOf("owner",
// "jane@example.com"). An empty text is null.
func LookupOf(what, text string) Value {
	if text == "" {
		return Value{}
	}
	return Value{Kind: Lookup, Of: what, Text: text}
}

// IsNull reports whether v is null.
func (v Value) IsNull() bool { return v.Kind == Null }

// Time returns the instant of an Instant value.
func (v Value) Time() (time.Time, bool) {
	if v.Kind != Instant {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, v.Text)
	return t, err == nil
}

// String is for people: the text, or "owner jane@example.com" for a lookup.
func (v Value) String() string {
	if v.Kind == Lookup {
		return v.Of + " " + v.Text
	}
	return v.Text
}

// Same reports whether present, a property as a CRM returned it, holds the value
// v: numbers and times are compared as such, strings without regard to the line
// endings and outer space that CRMs trim. A Lookup is never the same as
// anything: compare what it resolved to.
func Same(v Value, present string) bool {
	switch v.Kind {
	case Null:
		return present == ""
	case Number:
		a, errA := strconv.ParseFloat(v.Text, 64)
		b, errB := strconv.ParseFloat(present, 64)
		return errA == nil && errB == nil && a == b
	case Bool:
		return strings.EqualFold(v.Text, present) || (v.Text == "false" && present == "")
	case Instant:
		a, ok := v.Time()
		return ok && sameInstant(a, present)
	case String:
		return v.Text == present || plain(v.Text) == plain(present)
	default:
		return false
	}
}

// sameInstant compares to the precision that present has: a CRM may keep whole
// seconds, or only the date, in UTC.
func sameInstant(t time.Time, present string) bool {
	if len(present) == len(time.DateOnly) {
		if day, err := time.Parse(time.DateOnly, present); err == nil {
			return t.UTC().Format(time.DateOnly) == day.Format(time.DateOnly)
		}
	}
	p, err := ParseTime(present)
	if err != nil {
		return false
	}
	p = p.Truncate(time.Millisecond)
	return t.Equal(p) || p.Nanosecond() == 0 && t.Truncate(time.Second).Equal(p)
}

func plain(s string) string {
	return strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n"))
}

// ParseTime reads an instant in the forms CRMs use: RFC 3339, Salesforce's
// "2025-09-25T08:20:48.000+0000", or milliseconds since 1970. A year that JSON
// has no form for, and so no journal, is an error.
func ParseTime(s string) (time.Time, error) {
	t, err := parseTime(s)
	if y := t.UTC().Year(); err == nil && (y < 0 || y > 9999) {
		return time.Time{}, fmt.Errorf("%q is not within the years 0 to 9999", s)
	}
	return t, err
}

func parseTime(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999-0700"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.UnixMilli(ms).UTC(), nil
	}
	return time.Time{}, fmt.Errorf("%q is not a time", s)
}
