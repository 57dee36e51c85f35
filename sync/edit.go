package sync

import (
	"context"
	"maps"
	"slices"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// An edit is what a record's differences come to once the CRM's present values
// and lookups are known.
type edit struct {
	send     map[string]crm.Value     // properties to write
	applied  map[string]store.Applied // what the journal keeps if the write succeeds
	warnings []string
	decided  []decision
	// learnt are values of earlier requests without an answer, which turned out
	// to have been taken.
	learnt map[string]crm.Value
}

// A decision is what was decided about one property.
type decision struct {
	diff
	send bool
	why  string // not, if there is more to say than that the CRM holds it already
}

// edit decides diffs against present, the CRM's values; nil for a new record.
func (r *round) edit(diffs []diff, present map[string]string, resolved map[crm.Value]string) edit {
	e := edit{send: map[string]crm.Value{}, applied: map[string]store.Applied{}, learnt: map[string]crm.Value{}}
	for _, d := range diffs {
		name := d.field.Name
		if d.step == hold {
			e.applied[name] = keep(d, keptWritten)
			e.decided = append(e.decided, decision{diff: d, why: keptWritten})
			continue
		}
		sent, wire, ok := r.wire(d.field.Value, resolved)
		if !ok {
			e.warnings = append(e.warnings, name+": "+wire)
			e.applied[name] = keep(d, keptUnknown)
			e.decided = append(e.decided, decision{diff: d, why: wire})
			continue
		}
		if d.step == ask {
			write, kept := d.answer(present[name], wire)
			if !write {
				e.decided = append(e.decided, decision{diff: d, why: kept})
			}
			if kept != "" {
				e.applied[name] = keep(d, kept)
				continue
			}
			if !write {
				e.applied[name] = store.Applied{Value: d.field.Value, Wire: wire}
				continue
			}
			if d.applied.Unsure && crm.Same(d.applied.Sent, present[name]) {
				e.learnt[name] = d.applied.Sent
			}
		}
		if sent.IsNull() && d.applied.BeforeKnown {
			sent = crm.Str(d.applied.Before) // taken back, not emptied
		}
		e.send[name] = sent
		e.applied[name] = store.Applied{Value: d.field.Value, Wire: wire}
		e.decided = append(e.decided, decision{diff: d, send: true})
	}
	return e
}

// questions lists the properties of a record to read before diffs are decided:
// those whose present value decides, what a person's properties hold before they
// are first written, and everything for a live plan.
func (r *round) questions(diffs []diff, person bool) []string {
	names := asked(diffs)
	for _, d := range diffs {
		first := person && untouched(d.applied)
		if d.step != ask && (first || r.foresight != nil) {
			names = append(names, d.field.Name)
		}
	}
	return names
}

// untouched reports whether callsync never wrote a property, as far as it knows.
func untouched(a store.Applied) bool {
	return !a.BeforeKnown && !a.Unsure && wrote(a).IsNull()
}

// underway is how properties stand while the edit's request is out.
func (e edit) underway(applied map[string]store.Applied) map[string]store.Applied {
	out := allUnderway(applied, e.send)
	for name, v := range e.learnt {
		a := out[name]
		a.Value, a.Wire, a.Kept, a.Wrote = v, "", "", crm.Value{}
		out[name] = a
	}
	return out
}

// A reading collects what has to be read from the CRM before a stage can decide.
type reading struct {
	refs  []crm.Ref
	props []string
}

func (q *reading) want(ref crm.Ref, names []string) {
	if !slices.Contains(q.refs, ref) {
		q.refs = append(q.refs, ref)
	}
	for _, n := range names {
		if !slices.Contains(q.props, n) {
			q.props = append(q.props, n)
		}
	}
}

// read answers a reading with one call to the connector.
func (r *round) read(ctx context.Context, q reading) (map[crm.Ref]crm.Snapshot, error) {
	if len(q.refs) == 0 {
		return nil, nil
	}
	slices.Sort(q.props)
	snapshots, err := r.loop.destination.Read(ctx, q.refs, q.props)
	if err != nil {
		return nil, err
	}
	byRef := make(map[crm.Ref]crm.Snapshot, len(q.refs))
	for i, ref := range q.refs {
		byRef[ref] = snapshots[i]
	}
	return byRef, nil
}

// readings are a reading for each object type, since each has properties of its
// own.
type readings map[string]*reading

func (q readings) want(ref crm.Ref, names []string) {
	if q[ref.Object] == nil {
		q[ref.Object] = &reading{}
	}
	q[ref.Object].want(ref, names)
}

// readEach answers readings with one call to the connector for each.
func (r *round) readEach(ctx context.Context, q readings) (map[crm.Ref]crm.Snapshot, error) {
	all := map[crm.Ref]crm.Snapshot{}
	for _, object := range slices.Sorted(maps.Keys(q)) {
		present, err := r.read(ctx, *q[object])
		if err != nil {
			return nil, err
		}
		maps.Copy(all, present)
	}
	return all, nil
}

// write sends changes, and keeps count of how it went.
func (r *round) write(ctx context.Context, changes []crm.Change) []crm.Result {
	results := r.loop.destination.Write(ctx, changes)
	transient := 0
	var last error
	for _, res := range results {
		switch {
		case res.Err == nil:
			r.wrote++
		case blocks(res.Err):
			r.note(res.Err)
		case crm.KindOf(res.Err) == crm.Transient && wholesale(res.Err):
			transient++
			last = res.Err
		}
	}
	if transient > 0 && transient == len(results) {
		r.note(last)
	}
	return results
}

// leaveOut notes that the CRM took a change without some of its properties.
func (e *edit) leaveOut(names []string) {
	for _, d := range e.decided {
		if slices.Contains(names, d.field.Name) {
			e.applied[d.field.Name] = keep(d.diff, keptOut)
		}
	}
}
