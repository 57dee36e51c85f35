package sync

import (
	"context"
	"slices"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// Fixes reports whether [Loop.Repair] does anything about a drift: about changed
// properties that the mapping always writes, about people who were merged and,
// with recreate, about what is missing and can be made anew.
func (d *Drift) Fixes(recreate bool) bool {
	switch d.Kind {
	case Missing:
		return recreate && !d.Final
	case Merged:
		return d.Record == contactRecord
	default:
		return slices.ContainsFunc(d.Changes, func(c PropertyChange) bool { return c.fixed() })
	}
}

// fixed reports whether a repair writes the property.
func (c *PropertyChange) fixed() bool { return c.Write == crm.Always && c.Note == "" }

// Repair has the loop mend drifts, and returns how many calls it asked for. It
// writes nothing to the CRM itself: the journal notes that the properties may
// hold something else, and the calls become due after new ones.
func (l *Loop) Repair(ctx context.Context, drifts []Drift, recreate bool) (int, error) {
	drifts = slices.DeleteFunc(slices.Clone(drifts), func(d Drift) bool { return !d.Fixes(recreate) })
	if len(drifts) == 0 {
		return 0, nil
	}
	var ids, anew []string
	for _, d := range drifts {
		if d.Kind == Missing && !slices.Contains(anew, d.CallID) {
			anew = append(anew, d.CallID)
		}
		if !slices.Contains(ids, d.CallID) {
			ids = append(ids, d.CallID)
		}
	}
	n := 0
	err := l.Alone(ctx, func(ctx context.Context) error {
		works, err := l.journal.Load(ctx, l.name, ids)
		if err != nil {
			return journalError("load", err)
		}
		r := &round{loop: l, now: l.now()}
		for _, w := range works {
			r.items = append(r.items, r.render(w))
		}
		if err := r.doubt(ctx, drifts); err != nil {
			return err
		}
		if err := r.flush(ctx); err != nil {
			return err
		}
		ids := slices.DeleteFunc(ids, func(id string) bool { return slices.Contains(anew, id) })
		for _, req := range []struct {
			ids      []string
			recreate bool
		}{{ids, false}, {anew, true}} {
			if len(req.ids) == 0 {
				continue
			}
			asked, err := l.journal.Request(ctx, l.name, req.ids, store.Request{At: l.now(), Lane: store.Replay, Recreate: req.recreate})
			if err != nil {
				return journalError("request", err)
			}
			n += asked
		}
		return nil
	})
	return n, err
}

// doubt stages what the journal has to unlearn, once it knows who became whom.
func (r *round) doubt(ctx context.Context, drifts []Drift) error {
	if err := r.loadIdentities(ctx); err != nil {
		return err
	}
	byID := map[string]*item{}
	works := make([]store.Work, len(r.items))
	for i, it := range r.items {
		byID[it.id()], works[i] = it, it.work
	}
	for _, d := range drifts {
		if d.Kind == Merged && byID[d.CallID] != nil {
			r.move(d.Ref, d.Now)
		}
	}
	if err := r.flush(ctx); err != nil {
		return err
	}
	people, err := r.loop.peopleOf(ctx, works)
	if err != nil {
		return err
	}
	for _, d := range drifts {
		it := byID[d.CallID]
		switch {
		case it == nil, d.Kind == Merged:
		case d.Kind == Missing && d.Record == contactRecord:
			for key, id := range it.known {
				if id.Ref == d.Ref {
					r.setIdentity(key, store.Identity{})
				}
			}
		case d.Kind == Missing:
		case d.Record == contactRecord:
			p := people[d.Ref]
			doubtful(p.Properties, d.Changes)
			r.setPerson(d.Ref, p)
		default:
			row, ok := it.work.Records[d.Record]
			if ok {
				doubtful(row.Properties, d.Changes)
				r.setRecord(it, row)
			}
		}
	}
	return nil
}

func doubtful(applied map[string]store.Applied, changes []PropertyChange) {
	for _, c := range changes {
		if a, ok := applied[c.Name]; ok && c.fixed() {
			a.Unsure = true
			applied[c.Name] = a
		}
	}
}
