package sync

import (
	"context"
	"maps"
	"slices"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// partings finds the calls that belong to somebody else than when they were last
// synced, such as after a corrected number: their claims on the person they left
// are withdrawn.
func (r *round) partings() {
	byRef := map[crm.Ref]*person{}
	for _, p := range r.people {
		byRef[p.ref] = p
	}
	for _, it := range r.items {
		settled := !it.open() && it.outcome.status != store.Skipped
		if settled || it.person == nil && it.work.State.Revision == it.work.Call.Revision {
			continue
		}
		for _, old := range it.former() {
			p := byRef[old]
			if p == nil {
				p = &person{ref: old, keys: map[string]bool{}}
				byRef[old] = p
				r.people = append(r.people, p)
			}
			p.left = append(p.left, it)
		}
	}
}

// doubtTaught finds the calls of which one match value was corrected and another
// leads to their former person only because they said so themselves: callsync
// wrote it to whom the wrong value had found. Such a call is looked for by what is
// new about it, and takes the other value along.
func (r *round) doubtTaught(ctx context.Context) error {
	for _, it := range r.items {
		old, last := it.work.State.Person, it.work.State.Revision
		if !it.open() || old == nil || old.IsZero() || last == 0 || last == it.work.Call.Revision {
			continue
		}
		taught, err := r.taughtBy(ctx, it, old.Ref)
		if err != nil {
			return err
		}
		if len(taught) == 0 {
			continue
		}
		before, err := r.matchedBefore(ctx, it, last)
		if err != nil {
			return err
		}
		fresh := slices.ContainsFunc(it.want.Person.Match, func(m crm.Match) bool { return !slices.Contains(before, identityKey(m)) })
		if !fresh || !slices.ContainsFunc(before, func(key string) bool { return !it.matches(key) }) {
			continue
		}
		it.taught = taught
		for key := range taught {
			delete(it.known, key)
			r.setIdentity(key, store.Identity{})
		}
	}
	return nil
}

// taughtBy lists the identity keys of a call that lead to somebody because of the
// call alone; none when another does as well.
func (r *round) taughtBy(ctx context.Context, it *item, ref crm.Ref) (map[string]bool, error) {
	taught := map[string]bool{}
	for key, id := range it.known {
		if id.Ref == ref {
			if !id.Taught || id.Call != it.id() {
				return nil, nil
			}
			taught[key] = true
		}
	}
	if len(taught) == 0 {
		return nil, nil
	}
	people, err := r.loop.journal.People(ctx, r.loop.name, []crm.Ref{ref})
	if err != nil {
		return nil, journalError("load people", err)
	}
	p := people[ref]
	for _, m := range it.want.Person.Match {
		if a := p.Properties[m.Property]; taught[identityKey(m)] && (a.Call != it.id() || a.Kept != "" || a.Value.IsNull()) {
			return nil, nil // it stood there, or may have
		}
	}
	if p.Created != "" { // and keeps what it was made of
		return nil, nil
	}
	return taught, nil
}

// unlearn forgets what calls that left somebody taught about them: a number or
// an email that their earlier revision had and nobody else was found by. It also
// tells a call that is somebody else's, who is not there, from one whose contact
// was deleted.
func (r *round) unlearn(ctx context.Context) error {
	for _, it := range r.items {
		former, old := it.former(), it.work.State.Revision
		if len(former) == 0 || old == 0 || old == it.work.Call.Revision {
			continue
		}
		keys, err := r.matchedBefore(ctx, it, old)
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			continue
		}
		if it.nobody && !slices.ContainsFunc(keys, it.matches) {
			it.part()
		}
		known, err := r.loop.journal.Identities(ctx, r.loop.name, keys)
		if err != nil {
			return journalError("look up identities", err)
		}
		for key, id := range known {
			if !it.matches(key) && id.Call == it.id() && slices.Contains(former, id.Ref) {
				r.setIdentity(key, store.Identity{})
			}
		}
	}
	return nil
}

// matches reports whether the call's person is looked for by an identity key.
func (it *item) matches(key string) bool {
	return slices.ContainsFunc(it.want.Person.Match, func(m crm.Match) bool { return identityKey(m) == key })
}

// part has a call that belongs to nobody any more leave nothing with whom it
// belonged to: what would be skipped is taken back, what is written without a
// contact is linked to them no more.
func (it *item) part() {
	it.parted = true
	if it.outcome.status == store.Skipped && len(it.work.Records) > 0 {
		it.want.Skip, it.want.Records, it.outcome = it.outcome.reason, nil, outcome{}
	}
}

// matchedBefore lists the identity keys that an earlier revision of a call had;
// none when it cannot be read any more.
func (r *round) matchedBefore(ctx context.Context, it *item, revision int) ([]string, error) {
	revisions, err := r.revisions(ctx, it)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(revisions, func(v store.Revision) bool { return v.N == revision })
	if i < 0 {
		return nil, nil
	}
	before := r.rendered(it, revisions[i])
	if before == nil {
		return nil, nil
	}
	var keys []string
	for _, m := range before.Person.Match {
		keys = append(keys, identityKey(m))
	}
	return keys, nil
}

// former lists the people the call was attached to before.
func (it *item) former() []crm.Ref {
	former := it.work.State.Left
	if old := it.work.State.Person; old != nil {
		former = append(slices.Clone(former), old.Ref)
	}
	return slices.DeleteFunc(slices.Clone(former), func(ref crm.Ref) bool {
		return ref.IsZero() || it.person != nil && it.person.ref == ref
	})
}

// keepChoices records whom calls are attached to before anything is written
// because of it, so that a later correction knows whom to take them from.
func (r *round) keepChoices() {
	for _, it := range r.items {
		p := it.person
		if !it.open() || p == nil || p.ref.IsZero() {
			continue
		}
		if old := it.state.Person; old != nil && old.Ref == p.ref {
			continue
		}
		it.state.Left, it.state.Person = it.former(), p.choice()
		r.keepPerson(it)
	}
}

// keepPerson records what is known of whose a call is, and nothing else of its
// state.
func (r *round) keepPerson(it *item) {
	s := it.work.State
	s.Left, s.Person, s.Creating = it.state.Left, it.state.Person, it.state.Creating
	if r.pending.States == nil {
		r.pending.States = map[string]store.State{}
	}
	r.pending.States[it.id()] = s
}

// forward has calls that left somebody who has become another since, and took
// their claims along, leave that other one. A call that went along itself has
// left nobody.
func (r *round) forward(known map[crm.Ref]store.Person) {
	leavers := map[crm.Ref][]*item{}
	r.people = slices.DeleteFunc(r.people, func(p *person) bool {
		to := known[p.ref].MovedTo
		if len(p.calls) > 0 || to.IsZero() {
			return false
		}
		for _, it := range p.left {
			if it.person == nil || it.person.ref != to {
				leavers[to] = append(leavers[to], it)
			}
		}
		return true
	})
	for to, left := range leavers {
		i := slices.IndexFunc(r.people, func(p *person) bool { return p.ref == to })
		if i < 0 {
			i = len(r.people)
			r.people = append(r.people, &person{ref: to, keys: map[string]bool{}})
		}
		p := r.people[i]
		p.left = append(p.left, left...)
	}
}

// follow deals with somebody who is no longer where they were. It reports
// whether p still stands.
func (r *round) follow(p *person, snap crm.Snapshot) bool {
	if snap.Gone {
		r.dropPerson(p)
		return false
	}
	if snap.Ref == p.ref || snap.Ref.IsZero() {
		return true
	}
	r.move(p.ref, snap.Ref)
	for key := range p.keys {
		r.setIdentity(key, store.Identity{Ref: snap.Ref, How: "merged", At: r.now})
	}
	p.postpone("the contact was merged into another")
	return false
}

// postpone leaves to another attempt what concerns a person, also for calls that
// left them: they have not been told yet.
func (p *person) postpone(why string) {
	p.retry(why)
	for _, it := range p.left {
		if it.open() || it.outcome.status == store.Skipped {
			it.outcome = outcome{again: true, reason: why}
		}
	}
}

// undisturbed postpones the edits of those into whom somebody was merged a moment
// ago: what is known of them is about to grow by what is known of the other.
func (r *round) undisturbed(edits []*contactEdit) []*contactEdit {
	grown := slices.Collect(maps.Values(r.pending.Moved))
	return slices.DeleteFunc(edits, func(ce *contactEdit) bool {
		if !slices.Contains(grown, ce.person.ref) {
			return false
		}
		ce.person.postpone("another contact was merged into the contact")
		return true
	})
}

// miss notes that the CRM called somebody gone when something was to be written.
func (r *round) miss(p *person) {
	if p != nil && !slices.Contains(r.missed, p) {
		r.missed = append(r.missed, p)
	}
}

// trace finds out what became of those who were missed: merged people are
// followed, whoever is nowhere is looked for anew. Who is there after all is not
// forgotten: a search may not show them yet.
func (r *round) trace(ctx context.Context) error {
	var q reading
	for _, p := range r.missed {
		q.want(p.ref, nil)
	}
	present, err := r.read(ctx, q)
	if err != nil {
		return err
	}
	if len(r.missed) > 0 { // what was written comes before what is moved to it
		if err := r.flush(ctx); err != nil {
			return err
		}
	}
	for _, p := range r.missed {
		if r.follow(p, present[p.ref]) { // then it was something else that a record is linked to
			p.retry("something that a record is linked to was deleted in the CRM; looking anew")
		}
	}
	r.missed = nil
	return nil
}
