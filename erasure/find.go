// Package erasure finds what callsync holds about a person and removes it: from
// the journal, and where that is asked for, from the CRMs.
//
// A person is who an email or a phone number leads to: the calls whose payload
// has it as a value, the people in the CRMs whom those calls were attached to,
// and everything else that was attached to them. A call that only mentions the
// person among its words, such as in a colleague's transcript, is somebody
// else's: it is listed, and stays.
//
// Nothing is indexed by person, so finding one reads every body once, in pages.
// The caller sees to it that no round of a sync loop runs meanwhile. No error and
// no [Receipt] holds personal data.
package erasure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// A Journal is what finding and erasing needs of the journal.
type Journal interface {
	store.Forgetter
	Calls(ctx context.Context, f store.CallFilter) iter.Seq2[store.CallView, error]
	Deliveries(ctx context.Context, f store.DeliveryFilter) iter.Seq2[store.Delivery, error]
	Revisions(ctx context.Context, callID string) ([]store.Revision, error)
	View(ctx context.Context, callID string) ([]store.Work, error)
	Quarantined(ctx context.Context, seq uint64) ([]byte, error)
}

// A Finding is what belongs to a subject.
type Finding struct {
	Calls    []string // sorted
	Mentions []string // calls of others that mention the subject; they stay
	Rejected []uint64 // deliveries that were refused and mention the subject
	// Unread are calls that cannot be read, since the journal is damaged there, and
	// UnreadDeliveries says where the log of refused deliveries cannot be. They may
	// be the subject's, and stay.
	Unread           []store.CallView
	UnreadDeliveries []string
	// People, records and identities, by destination, also of those that are no
	// longer configured.
	People     map[string][]crm.Ref
	Records    map[string][]store.Record
	Identities map[string][]string

	person   bool // the subject is a person rather than a call
	kept     map[string]map[crm.Ref]store.Person
	creating map[string][]crm.KeyRef // people who may exist without an answer
}

// Destinations lists where anything of the subject may be, in order.
func (f *Finding) Destinations() []string {
	names := map[string]bool{}
	for name := range f.Records {
		names[name] = true
	}
	if f.person {
		for name := range f.People {
			names[name] = true
		}
		for name := range f.creating {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// Find looks for a subject. tell hears now and then how many calls were read; it
// may be nil.
func Find(ctx context.Context, j Journal, s Subject, tell func(calls int)) (*Finding, error) {
	m, err := s.matcher()
	if err != nil {
		return nil, err
	}
	if tell == nil {
		tell = func(int) {}
	}
	x := &search{
		ctx: ctx, journal: j, matcher: m, tell: tell,
		calls: map[string]bool{}, mentions: map[string]bool{},
		people: map[who]bool{}, moved: map[string]store.People{}, creations: map[who]crm.KeyRef{},
	}
	for _, stage := range []func() error{x.moves, x.identities, x.bodies, x.related, x.companions, x.rejected, x.records, x.others} {
		if err := stage(); err != nil {
			return nil, err
		}
	}
	x.found.Calls = slices.Sorted(maps.Keys(x.calls))
	x.found.Mentions = slices.Sorted(maps.Keys(x.mentions))
	// Whom a call is attached to may tell whose it is without its payload.
	x.found.Unread = slices.DeleteFunc(x.found.Unread, func(c store.CallView) bool { return x.calls[c.ID] })
	return &x.found, nil
}

// A who is a person at a destination.
type who struct {
	destination string
	crm.Ref
}

// A search is a finding under way.
type search struct {
	ctx     context.Context
	journal Journal
	*matcher
	tell func(int)

	calls    map[string]bool
	mentions map[string]bool
	people   map[who]bool            // under the ids they answer to now
	moved    map[string]store.People // by destination; nothing but who became whom
	// creations are those that are the subject's, by what stands for the
	// person until then; zero where nothing is open any more.
	creations map[who]crm.KeyRef
	found     Finding
}

// moves learns who became whom.
func (x *search) moves() error {
	for p, err := range x.journal.AllPeople(x.ctx) {
		if err != nil {
			return err
		}
		if !p.MovedTo.IsZero() {
			if x.moved[p.Destination] == nil {
				x.moved[p.Destination] = store.People{}
			}
			x.moved[p.Destination][p.Ref] = store.Person{MovedTo: p.MovedTo}
		}
	}
	return nil
}

// now follows somebody to the id they answer to now.
func (x *search) now(w who) who {
	w.Ref = x.moved[w.destination].Now(w.Ref)
	return w
}

// identities finds the people whom the subject's number or address names.
func (x *search) identities() error {
	x.found.person = x.callID == ""
	if !x.found.person {
		return nil
	}
	for i, err := range x.journal.AllIdentities(x.ctx) {
		if err != nil {
			return err
		}
		if i.Key == x.identity && !i.Ref.IsZero() {
			x.people[x.now(who{i.Destination, i.Ref})] = true
		}
	}
	return nil
}

// bodies reads what the calls hold.
func (x *search) bodies() error {
	n := 0
	for c, err := range x.journal.Calls(x.ctx, x.filter()) {
		if err != nil {
			return err
		}
		if c.Damaged != nil {
			x.miss(c, c.Damaged)
			continue
		}
		seen := theirs
		if x.found.person {
			seen, err = x.look(c)
			if errors.Is(err, store.ErrDamaged) {
				x.miss(c, err)
			} else if err != nil {
				return err
			}
		}
		switch seen {
		case theirs:
			x.take(c)
		case mentioned:
			x.mentions[c.ID] = true
		}
		if n++; n%tellEvery == 0 {
			x.tell(n)
		}
	}
	return nil
}

// tellEvery is how many calls are read between two reports.
const tellEvery = 1000

// miss notes a call that cannot be read.
func (x *search) miss(c store.CallView, err error) {
	c.Damaged = err
	x.found.Unread = append(x.found.Unread, c)
}

// filter chooses the one call that is asked for, or all.
func (x *search) filter() store.CallFilter {
	if x.found.person {
		return store.CallFilter{Damaged: true}
	}
	return store.CallFilter{IDs: []string{x.callID}}
}

// look reads a call's bodies, and where they have expired, what was written of
// them.
func (x *search) look(c store.CallView) (sight, error) {
	revisions, err := x.journal.Revisions(x.ctx, c.ID)
	if err != nil {
		return absent, err
	}
	seen, expired := absent, false
	for _, r := range revisions {
		if r.Body == nil {
			expired = true
			continue
		}
		seen = max(seen, x.body(r.Body))
	}
	if !expired || seen == theirs {
		return seen, nil
	}
	views, err := x.journal.View(x.ctx, c.ID)
	for _, w := range views {
		for _, r := range w.Records {
			for _, a := range r.Properties {
				seen = max(seen, x.text(a.Value.Text), x.text(a.Sent.Text), x.text(a.Wrote.Text))
			}
		}
	}
	return seen, err
}

// take makes a call the subject's, and, if the subject is a person, so the people
// it was attached to.
func (x *search) take(c store.CallView) {
	x.calls[c.ID] = true
	delete(x.mentions, c.ID)
	if x.found.person {
		for _, w := range x.attached(c) {
			x.people[w] = true
		}
	}
}

// attached lists the people a call is or was attached to.
func (x *search) attached(c store.CallView) []who {
	var all []who
	for destination, s := range c.States {
		refs := s.Left
		if s.Person != nil {
			refs = append(slices.Clone(refs), s.Person.Ref)
		}
		for _, ref := range refs {
			if !ref.IsZero() {
				all = append(all, x.now(who{destination, ref}))
			}
		}
	}
	return all
}

// related takes the other calls of the people found, and the people those lead
// to, until there are no more.
func (x *search) related() error {
	if !x.found.person {
		return nil
	}
	for known := -1; known != len(x.people); {
		known = len(x.people)
		if known == 0 {
			break
		}
		for c, err := range x.journal.Calls(x.ctx, store.CallFilter{Damaged: true}) {
			if err != nil {
				return err
			}
			if c.Damaged == nil && !x.calls[c.ID] && slices.ContainsFunc(x.attached(c), func(w who) bool { return x.people[w] }) {
				x.take(c)
			}
		}
	}
	return nil
}

// companions finds, for a single call, the people whom no other call is attached
// to: nothing would ever lead to them again.
func (x *search) companions() error {
	if x.found.person {
		return nil
	}
	others := map[who]bool{}
	for c, err := range x.journal.Calls(x.ctx, x.filter()) {
		if err != nil {
			return err
		}
		for _, w := range x.attached(c) {
			x.people[w] = true
		}
	}
	if len(x.people) == 0 {
		return nil
	}
	for c, err := range x.journal.Calls(x.ctx, store.CallFilter{Damaged: true}) {
		if err != nil {
			return err
		}
		if c.Damaged != nil { // it may be attached to any of them
			x.miss(c, c.Damaged)
			x.people = map[who]bool{}
			continue
		}
		if !x.calls[c.ID] {
			for _, w := range x.attached(c) {
				others[w] = true
			}
		}
	}
	for w := range others {
		delete(x.people, w)
	}
	return nil
}

// rejected looks through the quarantine.
func (x *search) rejected() error {
	for d, err := range x.journal.Deliveries(x.ctx, store.DeliveryFilter{Verdict: store.Rejected, Damaged: true}) {
		if err != nil {
			return err
		}
		if d.Damaged != nil {
			x.found.UnreadDeliveries = append(x.found.UnreadDeliveries, d.Damaged.Error())
			continue
		}
		body, err := x.journal.Quarantined(x.ctx, d.Seq)
		if err != nil {
			switch {
			case errors.Is(err, store.ErrNotFound): // it was dropped since, or never kept
			case errors.Is(err, store.ErrDamaged):
				x.found.UnreadDeliveries = append(x.found.UnreadDeliveries, fmt.Sprintf("delivery %d: %v", d.Seq, err))
			default:
				return err
			}
			continue
		}
		if x.body(body) != absent {
			x.found.Rejected = append(x.found.Rejected, d.Seq)
		}
	}
	return nil
}

// records lists what callsync made in the CRMs for the calls.
func (x *search) records() error {
	x.found.Records = map[string][]store.Record{}
	for _, id := range slices.Sorted(maps.Keys(x.calls)) {
		views, err := x.journal.View(x.ctx, id)
		if err != nil {
			return err
		}
		for _, w := range views {
			for _, k := range slices.Sorted(maps.Keys(w.Records)) {
				x.found.Records[w.Destination] = append(x.found.Records[w.Destination], w.Records[k])
			}
		}
	}
	return nil
}

// others finishes the maps by destination: identities that name the people or
// nobody yet, the notes about who they were before, and people who stay although
// a call had a part in them.
func (x *search) others() error {
	f := &x.found
	f.People, f.Identities = map[string][]crm.Ref{}, map[string][]string{}
	f.kept, f.creating = map[string]map[crm.Ref]store.Person{}, map[string][]crm.KeyRef{}
	listed := map[who]bool{}
	for p, err := range x.journal.AllPeople(x.ctx) {
		if err != nil {
			return err
		}
		w := who{p.Destination, p.Ref}
		if x.people[x.now(w)] {
			listed[w] = true
			f.People[p.Destination] = append(f.People[p.Destination], p.Ref)
			continue
		}
		rest, changed := withoutCalls(p.Person, x.calls)
		switch {
		case x.creates(p, rest, changed):
			x.creations[w] = crm.KeyRef{}
		case changed:
			if f.kept[p.Destination] == nil {
				f.kept[p.Destination] = map[crm.Ref]store.Person{}
			}
			f.kept[p.Destination][p.Ref] = rest
		}
	}
	for w := range x.people {
		if !listed[w] { // known by id alone
			f.People[w.destination] = append(f.People[w.destination], w.Ref)
		}
	}
	for _, refs := range f.People {
		slices.SortFunc(refs, func(a, b crm.Ref) int {
			return cmp.Or(cmp.Compare(a.Object, b.Object), cmp.Compare(a.ID, b.ID))
		})
	}
	return x.names()
}

// creates reports whether p is being created for the subject, or was refused: a
// person's calls have a part in it, or all there is of it is the one call's. rest
// is what others have of it.
func (x *search) creates(p store.KnownPerson, rest store.Person, changed bool) bool {
	if !strings.HasPrefix(p.Ref.ID, store.Unborn("", "").ID) {
		return false
	}
	if x.found.person {
		return changed || x.calls[p.Created]
	}
	return x.calls[p.Created] && len(rest.Properties)+len(rest.Claims) == 0
}

// names lists the identities of the people found, and those that the calls
// taught. One under which somebody is being created goes with the others of the
// same creation.
func (x *search) names() error {
	f := &x.found
	var open []store.KnownIdentity
	for i, err := range x.journal.AllIdentities(x.ctx) {
		if err != nil {
			return err
		}
		named := f.person && i.Key == x.identity
		switch {
		case i.Ref.IsZero() && i.Identity.Key != "":
			open = append(open, i)
			if named {
				x.creations[creation(i)] = crm.KeyRef{}
			}
		case named, slices.Contains(f.People[i.Destination], i.Ref), x.calls[i.Call]:
			f.Identities[i.Destination] = append(f.Identities[i.Destination], i.Key)
		}
	}
	for _, i := range open {
		if _, ok := x.creations[creation(i)]; ok {
			x.creations[creation(i)] = crm.KeyRef{Object: i.Object, Key: i.Identity.Key, Since: i.Intent}
			f.Identities[i.Destination] = append(f.Identities[i.Destination], i.Key)
		}
	}
	for w, k := range x.creations {
		if k.Key != "" {
			f.creating[w.destination] = append(f.creating[w.destination], k)
		}
		f.People[w.destination] = append(f.People[w.destination], w.Ref)
	}
	return nil
}

// creation is under what somebody stands who is being created.
func creation(i store.KnownIdentity) who {
	return who{i.Destination, store.Unborn(i.Object, i.Identity.Key)}
}

// withoutCalls takes out of a person what calls claimed or brought.
func withoutCalls(p store.Person, calls map[string]bool) (rest store.Person, changed bool) {
	rest = p
	rest.Properties, rest.Claims = map[string]store.Applied{}, map[string][]store.Claim{}
	for name, a := range p.Properties {
		if calls[a.Call] {
			changed = true
			continue
		}
		rest.Properties[name] = a
	}
	for name, claims := range p.Claims {
		left := slices.DeleteFunc(slices.Clone(claims), func(c store.Claim) bool { return calls[c.Call] })
		changed = changed || len(left) < len(claims)
		if len(left) > 0 {
			rest.Claims[name] = left
		}
	}
	return rest, changed
}
