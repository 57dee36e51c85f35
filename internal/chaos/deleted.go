package main

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// A deletion is a record that somebody in the CRM deleted although callsync knew
// it well.
type deletion struct{ key, call string }

type deletions struct {
	mu   sync.Mutex
	list []deletion
}

// keys are those of the records that were deleted.
func (d *deletions) keys() map[string]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	keys := map[string]bool{}
	for _, x := range d.list {
		keys[x.key] = true
	}
	return keys
}

// calls are those the records belong to.
func (d *deletions) calls() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var ids []string
	for _, x := range d.list {
		if !slices.Contains(ids, x.call) {
			ids = append(ids, x.call)
		}
	}
	return ids
}

// forget says that everything was asked for again.
func (d *deletions) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = nil
}

// deleteOne deletes an activity, of a call or else of one of those before it, if
// the journal knows it: what became of a creation without an answer nobody can
// say, and it may be made anew.
func (w *world) deleteOne(ctx context.Context, a *account, l *load, callID string) {
	i := slices.IndexFunc(l.calls, func(c *call) bool { return c.id == callID })
	for ; i >= 0; i-- {
		if w.deleteOf(ctx, a, l.calls[i].id) {
			return
		}
	}
}

func (w *world) deleteOf(ctx context.Context, a *account, callID string) bool {
	var j journalled
	if w.ask(ctx, http.MethodGet, "/api/v1/calls/"+callID, nil, &j) != nil {
		return false
	}
	at := slices.IndexFunc(j.Destinations, func(s standing) bool { return s.Destination == a.name && s.Status == "synced" })
	if at < 0 {
		return false
	}
	p := a.portray(a)
	for _, r := range j.Destinations[at].Records {
		if r.ID == "" || !r.Gone.IsZero() || !r.Intent.IsZero() {
			continue
		}
		is := func(x crmRecord) bool { return x.id == r.ID && x.key == r.Key }
		i := slices.IndexFunc(p.records, is)
		if i < 0 {
			continue
		}
		// A fault may strike after the commit.
		if a.remove(a, p.records[i].object, r.ID) != nil && slices.ContainsFunc(a.portray(a).records, is) {
			continue
		}
		a.removed.Add(1)
		a.deleted.mu.Lock()
		a.deleted.list = append(a.deleted.list, deletion{r.Key, callID})
		a.deleted.mu.Unlock()
		return true
	}
	return false
}

// partings are the people somebody deleted in a CRM: by number, or email of those
// without one, the calls of theirs that had been sent by then.
//
// callsync looks for somebody anew, and creates them if need be, as soon as it has
// something to write to them or to link with them: a call that was first sent
// later is linked to one who is there. What was written before stays as the
// deletion left it, or is linked to that one; at the latest a resync with
// --recreate does so.
type partings struct {
	mu     sync.Mutex
	before map[string]map[string]bool
	count  int
}

func (p *partings) note(who string, calls []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count++
	if p.before == nil {
		p.before = map[string]map[string]bool{}
	}
	if p.before[who] == nil {
		p.before[who] = map[string]bool{}
	}
	for _, id := range calls {
		p.before[who][id] = true
	}
}

// forget says that everything was asked for again.
func (p *partings) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before = nil
}

func (p *partings) all() map[string]map[string]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[string]map[string]bool{}
	for who, calls := range p.before {
		all[who] = maps.Clone(calls)
	}
	return all
}

// total counts the deletions.
func (p *partings) total() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

func (p person) who() string {
	if p.phone != "" {
		return digits(p.phone)
	}
	return p.email
}

// deletePerson deletes somebody in a CRM, if they are there. No delivery may be
// under way: of one that is, nobody could say what it found.
func (w *world) deletePerson(a *account, l *load, person int) {
	who := l.people[person].who()
	there := a.portray(a).people
	i := slices.IndexFunc(there, func(x crmPerson) bool { return x.who() == who })
	if i < 0 {
		return
	}
	x := there[i]
	is := func(y crmPerson) bool { return y.id == x.id && y.object == x.object }
	// A fault may strike after the commit.
	if a.remove(a, x.object, x.id) != nil && slices.ContainsFunc(a.portray(a).people, is) {
		return
	}
	a.parted.note(who, w.sentOf(l, person))
}

// sentOf lists the calls of which a version that names somebody was sent.
func (w *world) sentOf(l *load, person int) []string {
	var ids []string
	for i, c := range l.calls {
		e := w.ledger.entry(i)
		e.Lock()
		for v := range e.sent {
			if c.versions[v].person == person && !slices.Contains(ids, c.id) {
				ids = append(ids, c.id)
			}
		}
		e.Unlock()
	}
	return ids
}

// recreate asks for everything that was deleted in a CRM to be made anew, and
// waits for it.
func (w *world) recreate(ctx context.Context, l *load) error {
	for _, a := range w.accounts {
		ids := a.deleted.calls()
		for _, calls := range a.parted.all() {
			for id := range calls {
				if !slices.Contains(ids, id) {
					ids = append(ids, id)
				}
			}
		}
		for _, id := range ids {
			if w.isErased(l, id) {
				continue
			}
			req := map[string]any{"ids": []string{id}, "destination": a.name, "recreate": true}
			err := w.ask(ctx, http.MethodPost, "/api/v1/resync", req, nil)
			if err != nil && !strings.Contains(err.Error(), "404") { // one without an answer need not be there
				return err
			}
		}
		a.deleted.forget()
		a.parted.forget()
	}
	return w.settle(ctx)
}
