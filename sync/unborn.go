package sync

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// recall looks for people whose creation was attempted before: they may exist
// although no answer was ever seen. Those it finds count as known. A call that
// was corrected since leaves those who are not its own any more.
func (r *round) recall(ctx context.Context) error {
	if err := r.loadBefore(ctx); err != nil {
		return err
	}
	attempts := r.attempts()
	answers := map[crm.Ref]crm.Location{}
	if len(attempts) > 0 {
		locations, err := r.loop.destination.Locate(ctx, attempts)
		if err != nil {
			return err
		}
		for i, k := range attempts {
			answers[store.Unborn(k.Object, k.Key)] = locations[i]
			if locations[i].State == crm.Found {
				ref := crm.Ref{Object: k.Object, ID: locations[i].ID}
				if err := r.takeOver(ctx, store.Unborn(k.Object, k.Key), ref); err != nil {
					return err
				}
			}
		}
	}
	for _, it := range r.items {
		for name, id := range it.known {
			r.recallOne(it, name, id, answers)
		}
		for name, id := range it.before {
			if now := r.recallOne(it, name, id, answers); !now.IsZero() {
				it.leave(now.Ref)
			}
		}
		if it.open() && (it.state.Creating != it.work.Call.Revision || !it.conceived()) {
			it.state.Creating = 0
		}
	}
	return r.flush(ctx)
}

// loadBefore finds out what calls that were corrected since have to do with
// creations under way.
func (r *round) loadBefore(ctx context.Context) error {
	for _, it := range r.items {
		tried := it.state.Creating
		if !it.open() || tried == 0 || tried == it.work.Call.Revision {
			continue
		}
		keys, err := r.matchedBefore(ctx, it, tried)
		if err != nil {
			return err
		}
		if it.before, err = r.loop.journal.Identities(ctx, r.loop.name, keys); err != nil {
			return journalError("look up identities", err)
		}
	}
	return nil
}

// attempts lists the creations without an answer that calls of the round have a
// part in, each once.
func (r *round) attempts() []crm.KeyRef {
	open := map[crm.Ref]crm.KeyRef{}
	for _, it := range r.items {
		if !it.open() {
			continue
		}
		for _, ids := range []map[string]store.Identity{it.known, it.before} {
			for name, id := range ids {
				if !unanswered(id) {
					continue
				}
				if id.Intent.After(r.now) { // by a clock that was ahead
					id.Intent = r.now
					ids[name] = id
					r.setIdentity(name, id)
				}
				open[attemptOf(id)] = crm.KeyRef{Object: id.Object, Key: id.Key, Since: id.Intent}
			}
		}
	}
	return slices.SortedFunc(maps.Values(open), func(a, b crm.KeyRef) int { return cmp.Compare(a.Key, b.Key) })
}

// unanswered reports whether somebody is being created under an identity.
func unanswered(id store.Identity) bool { return id.IsZero() && id.Key != "" }

// conceived reports whether somebody is being created under a match value of the
// call.
func (it *item) conceived() bool {
	for _, id := range it.known {
		if unanswered(id) {
			return true
		}
	}
	return false
}

// attemptOf names the creation that an identity tells of.
func attemptOf(id store.Identity) crm.Ref { return store.Unborn(id.Object, id.Key) }

// recallOne takes in what became of one identity, and returns it.
func (r *round) recallOne(it *item, name string, id store.Identity, answers map[crm.Ref]crm.Location) store.Identity {
	if !it.open() || !unanswered(id) {
		return id
	}
	switch loc := answers[attemptOf(id)]; {
	case loc.State == crm.Found:
		id = store.Identity{Ref: crm.Ref{Object: id.Object, ID: loc.ID}, How: "created", At: r.now}
		r.setIdentity(name, id)
		if _, wanted := it.known[name]; wanted {
			it.known[name] = id
		}
	case loc.State == crm.Unknown:
		it.wait(r.now, loc.RetryAfter, "an earlier attempt to create the contact may still turn up in the CRM's search")
	case !r.attempted(id):
		r.abandon(name, id)
	}
	return id
}

// abandon forgets the creation of somebody who does not exist, and is not to be
// created any more.
func (r *round) abandon(name string, id store.Identity) {
	r.setIdentity(name, store.Identity{})
	r.setPerson(attemptOf(id), store.Person{})
}

// attempted reports whether a call of the round goes on with a creation.
func (r *round) attempted(id store.Identity) bool {
	return slices.ContainsFunc(r.items, func(it *item) bool {
		for _, known := range it.known {
			if it.open() && unanswered(known) && attemptOf(known) == attemptOf(id) {
				return true
			}
		}
		return false
	})
}

// leave notes that a call once belonged to somebody.
func (it *item) leave(ref crm.Ref) {
	if !slices.Contains(it.work.State.Left, ref) {
		it.work.State.Left = append(slices.Clone(it.work.State.Left), ref)
		it.state.Left = it.work.State.Left
	}
}

// takeOver makes what was being sent when the answer got lost what is known of
// the person it made.
func (r *round) takeOver(ctx context.Context, from, ref crm.Ref) error {
	people, err := r.loop.journal.People(ctx, r.loop.name, []crm.Ref{from, ref})
	if err != nil {
		return journalError("load people", err)
	}
	sent, ok := people[from]
	if !ok {
		return nil
	}
	if known, met := people[ref]; met {
		known.Join(sent)
		sent = known
	}
	r.setPerson(ref, sent)
	r.setPerson(from, store.Person{})
	return nil
}

// conceive records, before the request is sent, that a person is being created,
// and of which calls. What earlier requests sent may be what stands in the CRM.
func (r *round) conceive(ce *contactEdit, newest string) {
	p := ce.person
	intent := store.Identity{Ref: crm.Ref{Object: p.object}, Key: p.key, Intent: r.now}
	for key := range p.keys {
		r.setIdentity(key, intent)
	}
	sent := ce.underway(attempted(p.attempt.Properties))
	for _, w := range ce.wants {
		if a, ok := sent[w.field.Name]; ok {
			a.Call, a.At = w.call, w.at
			sent[w.field.Name] = a
		}
	}
	r.setPerson(store.Unborn(p.object, p.key), store.Person{Properties: sent, Claims: p.applied.Claims, Created: newest})
	p.each(func(it *item) {
		it.state.Creating = it.work.Call.Revision
		r.keepPerson(it)
	})
}

// answered records what came of creating a person: who now has the identities
// that led to them, or that nobody has.
func (r *round) answered(p *person, id store.Identity) {
	r.setPerson(store.Unborn(p.object, p.key), store.Person{})
	for key := range p.keys {
		r.setIdentity(key, id)
	}
	for _, it := range p.calls {
		it.state.Creating = 0
	}
}

// created records that a person callsync set out to create exists.
func (r *round) created(p *person, ref crm.Ref) {
	r.answered(p, store.Identity{Ref: ref, How: p.how, At: r.now})
	p.ref = ref
	p.applied.Created = p.calls[0].id()
	p.changed = true
}

// An adoption is a person to create, and who the CRM says is there already.
type adoption struct {
	person *person
	ref    crm.Ref
}

// adopt takes the people the CRM says are there already. Where an earlier request
// to create them has no answer, it may have made them: then what it sent is
// callsync's own, however late it was carried out.
func (r *round) adopt(ctx context.Context) error {
	var doubtful []crm.KeyRef
	for _, a := range r.adoptions {
		if len(a.person.attempt.Properties) > 0 {
			doubtful = append(doubtful, crm.KeyRef{Object: a.person.object, Key: a.person.key})
		}
	}
	ours := map[crm.Ref]bool{}
	if len(doubtful) > 0 {
		locations, err := r.loop.destination.Locate(ctx, doubtful)
		if err != nil {
			return err
		}
		for i, k := range doubtful {
			ours[crm.Ref{Object: k.Object, ID: locations[i].ID}] = locations[i].State == crm.Found
		}
	}
	for _, a := range r.adoptions {
		if ours[a.ref] {
			if err := r.takeOver(ctx, store.Unborn(a.person.object, a.person.key), a.ref); err != nil {
				return err
			}
		}
		r.answered(a.person, store.Identity{Ref: a.ref, How: "adopted: the CRM already had them", At: r.now})
		a.person.retry("the CRM already has this contact; adopted")
	}
	r.adoptions = nil
	return nil
}
