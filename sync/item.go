package sync

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// An item is one call on its way through a round.
type item struct {
	work    store.Work
	want    *crm.Desired
	mapping string
	state   store.State
	person  *person
	// known is what the identity map says about the call's match values, by
	// identity key.
	known map[string]store.Identity
	// before is what it says about the match values that the call had when a
	// request to create its person went unanswered, if it was corrected since.
	before  map[string]store.Identity
	outcome outcome
	// taught are identity keys of which nothing but the call itself says whose
	// they are, now that it was corrected: nobody is looked for by them.
	taught map[string]bool
	// nobody is whether there is no person the call could belong to, and parted
	// whether that is because it was corrected to be somebody else's.
	nobody, parted bool
	// refusal is why a value of the call could not be written to its person,
	// while the rest was.
	refusal *store.Problem
}

func (it *item) id() string { return it.work.Call.ID }

// An outcome is what became of an item. The zero outcome is success so far.
type outcome struct {
	status  store.Status // "" while all is well
	reason  string
	problem *store.Problem
	// again asks for another attempt at once: the round learnt something, such
	// as that a contact had been merged, that changes the plan.
	again    bool
	retryAt  time.Time // for Retrying and again: not before this time; zero means by backoff, or at once
	deferred bool      // nothing was decided: the item stays due as it was
}

// comesBack reports whether there is to be another attempt.
func (o outcome) comesBack() bool { return o.again || o.deferred || o.status == store.Retrying }

// open reports whether the round should still work on the item.
func (it *item) open() bool {
	return it.outcome.status == "" && !it.outcome.comesBack()
}

// recreates reports whether what somebody deleted in the CRM is to be made anew
// for the call.
func (it *item) recreates() bool { return it.work.State.Recreate }

// mustStand reports whether the call's person has to be there, though nothing is
// to be written to them and what the call yields is linked to them already: what
// was delivered shall stand on somebody, while a mapping that was edited or a
// resync brings nobody back.
func (it *item) mustStand() bool {
	corrected := it.state.Revision != it.work.Call.Revision && slices.ContainsFunc(slices.Collect(maps.Values(it.work.Records)), exists)
	return corrected || it.recreates()
}

func (it *item) skip(reason string) {
	it.outcome = outcome{status: store.Skipped, reason: reason}
}

// retry asks for another attempt at once, also of a call of which something failed
// for good.
func (it *item) retry(reason string) {
	if it.open() || it.outcome.status == store.Failed {
		it.outcome = outcome{again: true, reason: reason}
	}
}

// wait asks for another attempt after d.
func (it *item) wait(now time.Time, d time.Duration, reason string) {
	if it.open() {
		it.outcome = outcome{status: store.Retrying, retryAt: now.Add(d), reason: reason}
	}
}

// fail records an error that concerns this item. Another attempt that something
// else of it needs comes first: what failed for good fails again then.
func (it *item) fail(now time.Time, record string, err error) {
	o := outcomeOf(now, record, err)
	if o.status == store.Failed && it.outcome.comesBack() {
		return
	}
	it.place(o.problem)
	it.outcome = o
}

// place says of a problem with a property where the mapping sets it.
func (it *item) place(p *store.Problem) {
	if p.Property == "" || it.want == nil {
		return
	}
	fields := it.want.Person.Fields
	for _, rec := range it.want.Records {
		if rec.Key == p.Record {
			fields = rec.Fields
		}
	}
	for _, f := range fields {
		if f.Name == p.Property {
			p.Place = f.Pos.String()
		}
	}
}

// tried is a problem with what was tried.
func (it *item) tried(p *store.Problem) *store.Problem {
	if p == nil {
		return nil
	}
	told := *p
	told.Revision, told.Mapping = it.work.Call.Revision, it.mapping
	return &told
}

// refuse notes why a value could not be written to the call's person. Of several
// the first is the call's problem, and the others warnings.
func (it *item) refuse(p store.Problem) {
	it.place(&p)
	if it.refusal == nil {
		it.refusal = &p
		return
	}
	if p.Text == it.refusal.Text {
		return
	}
	text := p.Record + " " + p.Property + ": " + p.Text
	if p.Place != "" {
		text = p.Place + ": " + text
	}
	it.warn(text)
}

// warn keeps something a person may want to know about the call.
func (it *item) warn(text string) {
	if !slices.Contains(it.state.Warnings, text) {
		it.state.Warnings = append(it.state.Warnings, text)
	}
}

// A person is somebody one or several calls of a round belong to.
type person struct {
	ref     crm.Ref // zero until found or created
	object  string  // type to create
	key     string  // callsync's key, while being created
	how     string
	others  []crm.Candidate
	calls   []*item         // in call order
	left    []*item         // calls that used to be theirs
	keys    map[string]bool // identity keys that may be taken to mean this person
	applied store.Person
	attempt store.Person // what earlier requests to create them sent, none of them answered
	changed bool         // applied has to be stored
	// searched is true when the CRM's search led to them, and not the journal.
	searched bool
}

func (p *person) add(it *item) {
	it.person = p
	p.calls = append(p.calls, it)
	slices.SortStableFunc(p.calls, func(a, b *item) int {
		return cmp.Or(a.want.At.Compare(b.want.At), cmp.Compare(a.id(), b.id()))
	})
}

// each runs f on the calls that are still open.
func (p *person) each(f func(*item)) {
	for _, it := range p.calls {
		if it.open() {
			f(it)
		}
	}
}

// retry asks for another attempt at the person's calls.
func (p *person) retry(why string) {
	for _, it := range p.calls {
		it.retry(why)
	}
}

func (p *person) choice() *store.Choice {
	return &store.Choice{Ref: p.ref, How: p.how, Candidates: p.others}
}

// identityKey is the key under which the identity map knows a match value.
func identityKey(m crm.Match) string {
	if k := m.IdentityKey(); k != "" {
		return k
	}
	return "id:" + m.Value
}
