package sync

import (
	"maps"
	"slices"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// A step says what to do about one property.
type step int

const (
	leave step = iota // as it should be
	write             // send it
	hold              // protected; needs no look into the CRM to know
	ask               // depends on what the CRM holds now
)

// Why a value was kept, as people read it.
const (
	keptWritten = "callsync wrote another value before, and this field is written only when empty"
	keptFilled  = "the CRM already had a value"
	keptSame    = "the CRM had this value already"
	keptEdited  = "a person changed it in the CRM"
	keptOut     = "the CRM takes it only when the record is created, or only afterwards"
	keptUnknown = "the CRM does not know it" // a lookup; asked again at every sync
	keptRefused = "the CRM refused it"       // sent again when the call that wants it is synced
)

// A diff is one property that is not as it should be.
type diff struct {
	field   crm.Field
	applied store.Applied
	step    step
}

// wrote is the value callsync last wrote; null when it never did.
func wrote(a store.Applied) crm.Value {
	if a.Kept != "" {
		return a.Wrote
	}
	return a.Value
}

// compare decides what to do about one property of a record that exists.
func compare(f crm.Field, a store.Applied, force bool) step {
	if f.Value == a.Value && !force && !a.Unsure && a.Kept != keptUnknown {
		return leave
	}
	if f.Value.IsNull() {
		return compareCleared(f, a)
	}
	switch f.Write {
	case crm.IfEmpty:
		if last := wrote(a); !last.IsNull() && last != f.Value && !force && !a.Unsure {
			return hold
		}
		return ask
	case crm.IfUnchanged:
		return ask
	default:
		return write
	}
}

// compareCleared decides about a property that the call no longer gives a
// value: callsync takes back only what it wrote.
func compareCleared(f crm.Field, a store.Applied) step {
	if wrote(a).IsNull() && !a.Unsure {
		return leave
	}
	switch f.Write {
	case crm.IfEmpty:
		return leave
	case crm.IfUnchanged:
		return ask
	default:
		return write
	}
}

// compareAll lists the properties of an existing record that differ, by name.
func compareAll(fields []crm.Field, applied map[string]store.Applied, force bool) []diff {
	var diffs []diff
	for _, f := range fields {
		a := applied[f.Name]
		if s := compare(f, a, force); s != leave {
			diffs = append(diffs, diff{f, a, s})
		}
	}
	return diffs
}

// fresh lists the properties of a record that is about to be created.
func fresh(fields []crm.Field) []diff {
	var diffs []diff
	for _, f := range fields {
		if !f.Value.IsNull() {
			diffs = append(diffs, diff{field: f, step: write})
		}
	}
	return diffs
}

// asked lists the properties whose present value decides.
func asked(diffs []diff) []string {
	var names []string
	for _, d := range diffs {
		if d.step == ask {
			names = append(names, d.field.Name)
		}
	}
	return names
}

// answer decides an asked property, now that the CRM's value is known. An empty
// reason with write false means the CRM holds the wanted value already, written
// by callsync. A value that somebody else set stays theirs, also when it is the
// wanted one: it is neither replaced nor taken back later.
func (d diff) answer(present, wire string) (write bool, kept string) {
	if same(d.field.Value, wire, present) {
		if ours(d.applied, present) || present == "" {
			return false, ""
		}
		return false, keptSame
	}
	if d.field.Write == crm.IfEmpty {
		if present == "" {
			return true, ""
		}
		return false, keptFilled
	}
	switch {
	case ours(d.applied, present):
		return true, ""
	case wrote(d.applied).IsNull():
		return false, keptFilled
	default:
		return false, keptEdited
	}
}

// ours reports whether the CRM holds what callsync last wrote, or may have.
func ours(a store.Applied, present string) bool {
	return same(wrote(a), a.Wire, present) || a.Unsure && crm.Same(a.Sent, present)
}

// same compares a value as rendered with one as the CRM returned it.
func same(v crm.Value, wire, present string) bool {
	if v.Kind == crm.Lookup {
		return wire != "" && wire == present
	}
	return crm.Same(v, present)
}

// underway is how a property stands while a request that writes v is out.
func underway(a store.Applied, v crm.Value) store.Applied {
	a.Unsure, a.Sent = true, v
	return a
}

// allUnderway is applied with everything in send underway.
func allUnderway(applied map[string]store.Applied, send map[string]crm.Value) map[string]store.Applied {
	out := make(map[string]store.Applied, len(applied)+len(send))
	maps.Copy(out, applied)
	for name, v := range send {
		out[name] = underway(out[name], v)
	}
	return out
}

// keep records that a wanted value was not written.
func keep(d diff, why string) store.Applied {
	return store.Applied{
		Value: d.field.Value, Wire: d.applied.Wire, Kept: why, Wrote: wrote(d.applied),
		Before: d.applied.Before, BeforeKnown: d.applied.BeforeKnown,
	}
}

// changesOf describes differences for people, before the CRM is asked anything.
func changesOf(diffs []diff) []PropertyChange {
	var changes []PropertyChange
	for _, d := range diffs {
		c := PropertyChange{
			Name:  d.field.Name,
			Old:   wrote(d.applied),
			New:   d.field.Value,
			Write: d.field.Write,
			Pos:   d.field.Pos,
		}
		switch {
		case d.applied.Kept == keptUnknown && d.applied.Value == d.field.Value:
			c.Note = notWritten + keptUnknown
		case d.step == hold:
			c.Note = notWritten + keptWritten
		case d.step == ask && d.field.Write == crm.IfEmpty:
			c.Note = "only if the CRM has no value"
		case d.step == ask:
			c.Note = "unless a person changed it in the CRM"
		}
		changes = append(changes, c)
	}
	return changes
}

// linkDiff compares the associations a record should have with those it has.
func linkDiff(want, have []crm.Ref) (link, unlink []crm.Ref) {
	for _, r := range want {
		if !slices.Contains(have, r) {
			link = append(link, r)
		}
	}
	for _, r := range have {
		if !slices.Contains(want, r) {
			unlink = append(unlink, r)
		}
	}
	return link, unlink
}
