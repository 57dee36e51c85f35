package sync

import (
	"maps"
	"slices"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// A want is the value a person's property should have: that of the claim which
// wins.
type want struct {
	field crm.Field
	call  string // whose claim it is; "" when nobody claims the property
	at    time.Time
}

// stake puts the claims of a person's calls in place, withdraws those of calls
// that left for somebody else, and returns what the properties concerned should
// now be. object is the person's type, which some fields are limited to.
func stake(p *store.Person, object string, calls, left []*item) []want {
	touched := map[string]crm.Field{}
	var order []string
	touch := func(f crm.Field) {
		if _, seen := touched[f.Name]; !seen {
			order = append(order, f.Name)
		}
		touched[f.Name] = f
	}
	takenBack := map[string]bool{}
	for _, it := range left {
		for _, f := range claimedBy(p, it.id()) {
			staked := slices.ContainsFunc(p.Claims[f.Name], func(c store.Claim) bool { return c.Call == it.id() })
			if !staked && p.Created != "" && it.fillsIn(f.Name) { // an undo that broke off withdrew the claim
				f.Write = crm.IfEmpty
			}
			takenBack[f.Name] = f.Write == crm.IfEmpty && brought(p, f.Name, it.id())
			touch(f)
			p.Stake(f.Name, store.Claim{Call: it.id()})
		}
	}
	for _, it := range calls {
		for _, f := range it.want.Person.Fields {
			if f.Object != "" && f.Object != object {
				continue
			}
			touch(f)
			p.Stake(f.Name, store.Claim{Value: f.Value, Write: f.Write, Call: it.id(), At: it.want.At.UTC()})
		}
	}
	wants := make([]want, len(order))
	for i, name := range order {
		f := touched[name]
		f.Value = crm.Value{}
		top, ok := p.Top(name)
		if ok {
			f.Value, f.Write = top.Value, top.Write
		}
		if takenBack[name] {
			f.Write = crm.IfUnchanged
		}
		wants[i] = want{f, top.Call, top.At}
	}
	return wants
}

// fillsIn reports whether the mapping writes a property of the call's person only
// where it is empty.
func (it *item) fillsIn(name string) bool {
	return slices.ContainsFunc(it.want.Person.Fields, func(f crm.Field) bool { return f.Name == name && f.Write == crm.IfEmpty })
}

// brought reports whether the value that callsync wrote into an empty property
// came from a call alone. A contact that callsync created is left as it is: it
// was made of such values.
func brought(p *store.Person, name, call string) bool {
	last := wrote(p.Properties[name])
	if p.Created != "" || last.IsNull() {
		return false
	}
	mine := false
	for _, c := range p.Claims[name] {
		if c.Value == last && c.Call != call {
			return false
		}
		mine = mine || c.Value == last
	}
	return mine
}

// claimedBy lists the properties that a call claims, or of which its value is the
// one last applied: its claim may be withdrawn already while the CRM was not
// told yet.
func claimedBy(p *store.Person, call string) []crm.Field {
	var fields []crm.Field
	for _, name := range slices.Sorted(maps.Keys(p.Claims)) {
		i := slices.IndexFunc(p.Claims[name], func(c store.Claim) bool { return c.Call == call })
		if i >= 0 {
			fields = append(fields, crm.Field{Name: name, Write: p.Claims[name][i].Write})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Properties)) {
		known := slices.ContainsFunc(fields, func(f crm.Field) bool { return f.Name == name })
		if p.Properties[name].Call == call && !known {
			fields = append(fields, crm.Field{Name: name, Write: crm.IfUnchanged})
		}
	}
	return fields
}

// diffWants compares what a person's properties should be with what was last
// applied.
//
// A value that the CRM refused is tried again only for a call that wants it: the
// person's other calls must not suffer from it.
func diffWants(wants []want, applied map[string]store.Applied, calls []*item) []diff {
	force := slices.ContainsFunc(calls, func(it *item) bool { return it.work.State.Force })
	diffs := compareAll(fieldsOf(wants), applied, force)
	for _, w := range wants {
		a := applied[w.field.Name]
		theirs := slices.ContainsFunc(calls, func(it *item) bool { return it.id() == w.call || it.id() == a.Call })
		listed := slices.ContainsFunc(diffs, func(d diff) bool { return d.field.Name == w.field.Name })
		if a.Kept == keptRefused && theirs && !listed {
			diffs = append(diffs, diff{w.field, a, compare(w.field, a, true)})
		}
	}
	return diffs
}

func fieldsOf(wants []want) []crm.Field {
	fields := make([]crm.Field, len(wants))
	for i, w := range wants {
		fields[i] = w.field
	}
	return fields
}
