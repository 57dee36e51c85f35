package sync

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// findPeople attaches every call to a person: one the identity map knows, one
// the CRM knows, or one to be created, shared by all calls of the round that
// have a match value in common.
func (r *round) findPeople(ctx context.Context) error {
	if err := r.loadIdentities(ctx); err != nil {
		return err
	}
	if err := r.recall(ctx); err != nil {
		return err
	}
	if err := r.doubtTaught(ctx); err != nil {
		return err
	}
	byRef := map[crm.Ref]*person{}
	var search []*item
	for _, it := range r.items {
		switch {
		case !it.open() || !needsPerson(it):
		case len(it.want.Person.Match) == 0:
			r.orphan(it, nobody(it.want.Person))
		default:
			if it.knownBy().IsZero() || len(it.unknown()) > 0 {
				search = append(search, it)
			} else {
				r.attach(byRef, it, it.knownBy().Ref, it.howKnown(), nil)
			}
		}
	}
	if len(search) == 0 {
		return nil
	}
	unfound, err := r.search(ctx, byRef, search)
	if err != nil {
		return err
	}
	r.group(byRef, unfound)
	if len(r.pending.Moved) == 0 {
		return nil
	}
	return r.flush(ctx) // people are loaded with what is moved to them
}

// knownBy is what the identity map says of the call's first match value, which
// settles whose the call is.
func (it *item) knownBy() store.Identity { return it.known[identityKey(it.want.Person.Match[0])] }

func (it *item) howKnown() string { return "known by " + label(it.want.Person.Match[0]) }

// unknown lists the match rules whose values the identity map has not met.
func (it *item) unknown() []crm.Match {
	return slices.DeleteFunc(slices.Clone(it.want.Person.Match), func(m crm.Match) bool { return !it.known[identityKey(m)].IsZero() })
}

// needsPerson reports whether anything of the call concerns a person.
func needsPerson(it *item) bool {
	return len(it.want.Records) > 0 || len(it.want.Person.Fields) > 0 && !it.want.Interim
}

func (r *round) loadIdentities(ctx context.Context) error {
	var keys []string
	for _, it := range r.items {
		if it.open() {
			for _, m := range it.want.Person.Match {
				keys = append(keys, identityKey(m))
			}
		}
	}
	if len(keys) == 0 {
		return nil
	}
	slices.Sort(keys)
	known, err := r.loop.journal.Identities(ctx, r.loop.name, slices.Compact(keys))
	if err != nil {
		return journalError("look up identities", err)
	}
	for _, it := range r.items {
		it.known = map[string]store.Identity{}
		for _, m := range it.want.Person.Match {
			if id, ok := known[identityKey(m)]; ok {
				it.known[identityKey(m)] = id
			}
		}
	}
	return nil
}

// attach makes ref the person of a call. unused are the match rules that a
// search has shown to lead to nobody else: they may stand for this person from
// now on. found are those among them by which it found the person.
func (r *round) attach(byRef map[crm.Ref]*person, it *item, ref crm.Ref, how string, unused []crm.Match, found ...crm.Match) *person {
	p := byRef[ref]
	if p == nil {
		p = &person{ref: ref, how: how, keys: map[string]bool{}}
		byRef[ref] = p
		r.people = append(r.people, p)
	}
	for _, m := range unused {
		key := identityKey(m)
		if !p.keys[key] && it.known[key].Ref != ref {
			r.setIdentity(key, store.Identity{Ref: ref, Call: it.id(), Taught: !slices.Contains(found, m), How: how, At: r.now})
		}
		p.keys[key] = true
	}
	for key, id := range it.known {
		if id.Ref == ref {
			p.keys[key] = true
		}
	}
	p.add(it)
	return p
}

// search asks the CRM about calls the identity map does not settle, and returns
// those for which it found nobody.
func (r *round) search(ctx context.Context, byRef map[crm.Ref]*person, items []*item) (unfound []*item, err error) {
	queries := make([]crm.PersonQuery, len(items))
	for i, it := range items {
		queries[i] = crm.PersonQuery{Objects: it.want.Person.Objects, Match: it.want.Person.Match}
		if !it.knownBy().IsZero() {
			queries[i].Match = it.unknown()
		}
		queries[i].Match = slices.DeleteFunc(slices.Clone(queries[i].Match), func(m crm.Match) bool { return it.taught[identityKey(m)] })
	}
	answers, err := r.loop.destination.FindPeople(ctx, queries)
	if err != nil {
		return nil, err
	}
	for i, it := range items {
		answers[i] = r.foresight.without(answers[i])
		if id := it.knownBy(); !id.IsZero() {
			r.attach(byRef, it, id.Ref, it.howKnown(), r.learn(it, answers[i]))
			continue
		}
		pick := choose(it.want.Person, it.known, answers[i])
		if pick.ref.IsZero() {
			unfound = append(unfound, it)
			continue
		}
		p := r.attach(byRef, it, pick.ref, pick.how, pick.keys, pick.found...)
		p.searched = p.searched || pick.searched
		p.others = merge(p.others, pick.others)
		if pick.asked != "" && pick.asked != pick.ref.ID {
			r.move(crm.Ref{Object: pick.ref.Object, ID: pick.asked}, pick.ref)
		}
	}
	return unfound, nil
}

// learn keeps whose the values are that the identity map had not met, of a call
// whose person is settled: those that lead to nobody, which it returns, are that
// person's.
func (r *round) learn(it *item, found []crm.Candidate) (unused []crm.Match) {
	rules := it.unknown()
	slices.SortStableFunc(rules, func(a, b crm.Match) int { return rank(b.Kind == crm.MatchID) - rank(a.Kind == crm.MatchID) })
	for _, m := range rules {
		hits := ofRule(found, m)
		if len(hits) == 0 {
			unused = append(unused, m)
			continue
		}
		best := slices.MinFunc(hits, func(a, b crm.Candidate) int { return better(it.want.Person.Objects, a, b) })
		r.setIdentity(identityKey(m), store.Identity{Ref: best.Ref, How: "found by " + label(m), At: r.now})
		if m.Kind == crm.MatchID { // the CRM had no need to search by the other rules
			return nil
		}
	}
	return unused
}

// A pick is the person chosen for a call, and why.
type pick struct {
	ref    crm.Ref
	how    string
	asked  string
	keys   []crm.Match // rules that lead to this person, or to nobody
	found  []crm.Match // those that lead to them
	others []crm.Candidate
	// searched is true when the CRM's search led to them, and not the journal.
	searched bool
}

// choose applies the rules in order. Among several people one rule finds, it
// prefers the one this value stood for before, then an exact over a partial
// match, then the order of object types, then the most recently changed.
func choose(want crm.Person, known map[string]store.Identity, found []crm.Candidate) pick {
	var pk pick
	for _, m := range want.Match {
		hits := ofRule(found, m)
		before := known[identityKey(m)].Ref
		if len(hits) == 0 && before.IsZero() {
			pk.keys = append(pk.keys, m)
			continue
		}
		if !pk.ref.IsZero() {
			if before == pk.ref || slices.ContainsFunc(hits, func(c crm.Candidate) bool { return c.Ref == pk.ref }) {
				pk.keys, pk.found = append(pk.keys, m), append(pk.found, m)
			}
			continue
		}
		pk.keys, pk.found = append(pk.keys, m), append(pk.found, m)
		if !before.IsZero() {
			pk.ref, pk.how = before, "known by "+label(m)
			pk.others = without(hits, before)
			continue
		}
		slices.SortFunc(hits, func(a, b crm.Candidate) int { return better(want.Objects, a, b) })
		best := hits[0]
		pk.ref, pk.asked, pk.searched = best.Ref, best.Asked, true
		pk.how = fmt.Sprintf("found by rule %d, %s", m.Rule+1, label(m))
		pk.others = without(hits, best.Ref)
		if !best.Exact {
			pk.how += ", in part"
		}
		if len(pk.others) > 0 {
			pk.how += fmt.Sprintf("; the best of %d: %s", len(pk.others)+1, reason(want.Objects, best, pk.others[0]))
		}
		if m.Kind == crm.MatchID { // the CRM had no need to search by the other rules
			pk.keys = []crm.Match{m}
			return pk
		}
	}
	if pk.ref.IsZero() {
		pk.keys = nil
	}
	return pk
}

// ofRule lists the people that a rule found.
func ofRule(found []crm.Candidate, m crm.Match) []crm.Candidate {
	return slices.DeleteFunc(slices.Clone(found), func(c crm.Candidate) bool { return c.Rule != m.Rule })
}

func better(objects []string, a, b crm.Candidate) int {
	return cmp.Or(
		cmp.Compare(rank(b.Exact), rank(a.Exact)),
		cmp.Compare(slices.Index(objects, a.Object), slices.Index(objects, b.Object)),
		b.Modified.Compare(a.Modified),
		cmp.Compare(a.ID, b.ID),
	)
}

func rank(b bool) int {
	if b {
		return 1
	}
	return 0
}

// reason says why best was preferred over next.
func reason(objects []string, best, next crm.Candidate) string {
	switch {
	case best.Exact != next.Exact:
		return "exact over partial"
	case best.Object != next.Object:
		return best.Object + " before " + next.Object
	default:
		return "most recently changed"
	}
}

func without(cs []crm.Candidate, ref crm.Ref) []crm.Candidate {
	return slices.DeleteFunc(slices.Clone(cs), func(c crm.Candidate) bool { return c.Ref == ref })
}

// merge adds the candidates that are not listed yet.
func merge(a, b []crm.Candidate) []crm.Candidate {
	for _, c := range b {
		if !slices.ContainsFunc(a, func(x crm.Candidate) bool { return x.Ref == c.Ref }) {
			a = append(a, c)
		}
	}
	return a
}

func label(m crm.Match) string {
	if m.Kind == crm.MatchID {
		return "id"
	}
	return m.Property
}

// whyUnmatched is why nobody can be looked for.
const whyUnmatched = "the call has no id, email or phone number that could be read, to find anybody by"

// whyUnfound is why nobody was found for a call that has something to look by.
func whyUnfound(p crm.Person) string {
	return "nobody was found, and " + cmp.Or(p.WhyNot, "the mapping does not create anybody")
}

// orphan settles a call that belongs to nobody.
func (r *round) orphan(it *item, why string) {
	it.nobody = true
	if it.want.Person.Unlinked {
		it.warn("written without a contact: " + why)
		return
	}
	it.skip(why)
}

// group turns the calls nobody was found for into people to create, one for all
// calls that share a match value.
func (r *round) group(byRef map[crm.Ref]*person, items []*item) {
	owners := map[string]*person{}
	for _, p := range r.people {
		for _, it := range p.calls {
			for _, m := range it.want.Person.Match {
				owners[identityKey(m)] = p
			}
		}
	}
	for _, g := range connected(items) {
		if p := owned(owners, g); p != nil {
			for _, it := range g {
				r.attach(byRef, it, p.ref, p.how, it.want.Person.Match)
			}
			continue
		}
		r.newPerson(g)
	}
}

func owned(owners map[string]*person, items []*item) *person {
	for _, it := range items {
		for _, m := range it.want.Person.Match {
			if p := owners[identityKey(m)]; p != nil {
				return p
			}
		}
	}
	return nil
}

// connected splits calls into groups that share match values, directly or
// through others, each in the order of items.
func connected(items []*item) [][]*item {
	group := map[string]int{}
	parent := make([]int, len(items))
	var root func(int) int
	root = func(i int) int {
		if parent[i] != i {
			parent[i] = root(parent[i])
		}
		return parent[i]
	}
	for i, it := range items {
		parent[i] = i
		keys := []string{}
		for _, m := range it.want.Person.Match {
			keys = append(keys, identityKey(m))
		}
		for _, id := range it.known { // creations under way under one key are one person
			if id.Key != "" {
				keys = append(keys, "creating:"+id.Key)
			}
		}
		for _, k := range keys {
			if j, ok := group[k]; ok {
				parent[root(i)] = root(j)
			} else {
				group[k] = i
			}
		}
	}
	byRoot := map[int]int{}
	var groups [][]*item
	for i, it := range items {
		n, ok := byRoot[root(i)]
		if !ok {
			n = len(groups)
			byRoot[root(i)] = n
			groups = append(groups, nil)
		}
		groups[n] = append(groups[n], it)
	}
	return groups
}

// newPerson makes the person a group of calls needs, or settles the calls when the
// mapping lets none of them create anybody.
func (r *round) newPerson(items []*item) {
	p := &person{how: "created", keys: map[string]bool{}}
	for _, it := range items {
		p.add(it)
		for _, m := range it.want.Person.Match {
			p.keys[identityKey(m)] = true
		}
	}
	may := slices.IndexFunc(p.calls, func(it *item) bool { return it.want.Person.Create != "" && it.want.Person.Key != "" })
	if may >= 0 {
		p.key, p.object = p.calls[may].want.Person.Key, p.calls[may].want.Person.Create
		var tried time.Time
		for _, it := range p.calls {
			for _, id := range it.known { // an attempt is repeated under its own key
				if id.Key != "" && id.Intent.After(tried) {
					p.key, tried, p.object = id.Key, id.Intent, id.Object
				}
			}
		}
		r.people = append(r.people, p)
		return
	}
	for _, it := range p.calls {
		for name, id := range it.known {
			if unanswered(id) {
				r.abandon(name, id)
			}
		}
		it.person, it.state.Creating = nil, 0
		r.orphan(it, whyUnfound(it.want.Person))
	}
}

const (
	whyGone  = "the contact was deleted in the CRM; looking for them anew"
	whyStale = "the CRM's search still shows a contact that is no longer there; looking again when it has caught up"
	// catchUp is how long a CRM's search is given at least to learn of a deletion.
	catchUp = 5 * time.Second
)

// dropPerson forgets what the identity map says about somebody who is gone, and
// has their calls look anew: at once, unless it was the CRM's search that led to
// them, which would again.
func (r *round) dropPerson(p *person) {
	for key := range p.keys {
		r.setIdentity(key, store.Identity{})
	}
	if r.foresight != nil {
		r.foresight.gone[p.ref] = true
	}
	if !p.searched {
		p.retry(whyGone)
		return
	}
	for _, it := range p.calls {
		it.retry(whyStale)
		if it.outcome.again {
			it.outcome.retryAt = r.now.Add(max(catchUp, r.loop.backoff(it.state.Attempts+1)))
		}
	}
}

// move records that somebody answers under another id now.
func (r *round) move(from, to crm.Ref) {
	if from == to || from.IsZero() || to.IsZero() {
		return
	}
	if r.pending.Moved == nil {
		r.pending.Moved = map[crm.Ref]crm.Ref{}
	}
	r.pending.Moved[from] = to
}
