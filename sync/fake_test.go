package sync_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/callsync/callsync/crm"
)

// A fakeCRM is a CRM in memory with the manners of a real one: an index that
// lags, unique keys, refusals for single records, and requests that fail before
// or after they took effect.
type fakeCRM struct {
	mu      sync.Mutex
	now     func() time.Time
	lag     time.Duration
	unique  bool // the CRM refuses a second record with one of callsync's keys
	deleted bool // Locate answers with deleted records too
	owners  map[string]string
	records map[crm.Ref]*fakeRecord
	next    int
	writes  []crm.Change // accepted ones
	calls   map[string]int
	// fault is asked before each operation. after means the write takes effect
	// and then fails.
	fault func(op string) (err error, after bool)
	// refuse says which change the CRM will not have.
	refuse func(crm.Change) error
	// frozen is a property that the CRM takes only when a record is created.
	frozen string
	ready  error
}

type fakeRecord struct {
	props    map[string]string
	links    []crm.Ref
	key      string
	at       time.Time
	gone     bool
	ghost    time.Time // until then the search shows it although it is gone
	mergedTo crm.Ref
}

func newFake(now func() time.Time) *fakeCRM {
	return &fakeCRM{now: now, unique: true, owners: map[string]string{}, records: map[crm.Ref]*fakeRecord{}, calls: map[string]int{}}
}

func (f *fakeCRM) enter(op string) (error, bool) {
	f.calls[op]++
	if f.fault == nil {
		return nil, false
	}
	return f.fault(op)
}

func (f *fakeCRM) BatchSize() int              { return 100 }
func (f *fakeCRM) Status() crm.Status          { return crm.Status{} }
func (f *fakeCRM) Ready(context.Context) error { f.mu.Lock(); defer f.mu.Unlock(); return f.ready }

func (f *fakeCRM) FindPeople(_ context.Context, queries []crm.PersonQuery) ([][]crm.Candidate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err, _ := f.enter("find"); err != nil {
		return nil, err
	}
	out := make([][]crm.Candidate, len(queries))
	for i, q := range queries {
		for _, ref := range f.sorted() {
			rec := f.records[ref]
			if rec.gone && !f.now().Before(rec.ghost) || !slices.Contains(q.Objects, ref.Object) {
				continue
			}
			for _, m := range q.Match {
				hit := m.Kind == crm.MatchID && m.Value == ref.ID ||
					m.Kind != crm.MatchID && rec.props[m.Property] == m.Value && f.now().Sub(rec.at) >= f.lag
				if hit {
					out[i] = append(out[i], crm.Candidate{Ref: ref, Rule: m.Rule, Exact: true, Modified: rec.at})
					break
				}
			}
		}
	}
	return out, nil
}

func (f *fakeCRM) sorted() []crm.Ref {
	return slices.SortedFunc(maps.Keys(f.records), func(a, b crm.Ref) int {
		if len(a.ID) != len(b.ID) {
			return len(a.ID) - len(b.ID)
		}
		return slices.Compare([]byte(a.ID), []byte(b.ID))
	})
}

func (f *fakeCRM) byKey(object, key string) (crm.Ref, *fakeRecord) {
	for ref, rec := range f.records {
		if ref.Object == object && rec.key == key && !rec.gone {
			return ref, rec
		}
	}
	return crm.Ref{}, nil
}

// deletedByKey finds a deleted record that could be what a lost request made.
func (f *fakeCRM) deletedByKey(k crm.KeyRef) (crm.Ref, *fakeRecord) {
	for ref, rec := range f.records {
		if ref.Object == k.Object && rec.key == k.Key && rec.gone && !slices.Contains(k.Not, ref.ID) {
			return ref, rec
		}
	}
	return crm.Ref{}, nil
}

func (f *fakeCRM) Locate(_ context.Context, keys []crm.KeyRef) ([]crm.Location, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err, _ := f.enter("locate"); err != nil {
		return nil, err
	}
	out := make([]crm.Location, len(keys))
	for i, k := range keys {
		ref, rec := f.byKey(k.Object, k.Key)
		if rec == nil && f.deleted {
			ref, rec = f.deletedByKey(k)
		}
		switch {
		case rec != nil && (f.unique || f.now().Sub(rec.at) >= f.lag):
			out[i] = crm.Location{State: crm.Found, ID: ref.ID}
		case !f.unique && f.now().Sub(k.Since) < f.lag:
			out[i] = crm.Location{State: crm.Unknown, RetryAfter: f.lag - f.now().Sub(k.Since)}
		}
	}
	return out, nil
}

func (f *fakeCRM) Read(_ context.Context, refs []crm.Ref, _ []string) ([]crm.Snapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err, _ := f.enter("read"); err != nil {
		return nil, err
	}
	out := make([]crm.Snapshot, len(refs))
	for i, ref := range refs {
		rec := f.records[ref]
		if rec != nil && !rec.mergedTo.IsZero() {
			ref = rec.mergedTo
			rec = f.records[ref]
		}
		if rec == nil || rec.gone {
			out[i].Gone = true
			continue
		}
		out[i] = crm.Snapshot{Ref: ref, Properties: maps.Clone(rec.props), Modified: rec.at}
	}
	return out, nil
}

func (f *fakeCRM) Resolve(_ context.Context, lookups []crm.Value) (map[crm.Value]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err, _ := f.enter("resolve"); err != nil {
		return nil, err
	}
	out := map[crm.Value]string{}
	for _, v := range lookups {
		if id, ok := f.owners[v.Text]; ok {
			out[v] = id
		}
	}
	return out, nil
}

func (f *fakeCRM) Related(_ context.Context, queries []crm.RelatedQuery) ([][]crm.Ref, error) {
	out := make([][]crm.Ref, len(queries))
	for i, q := range queries {
		out[i] = []crm.Ref{{Object: q.Relation.Object, ID: "of-" + q.Person.ID}}
	}
	return out, nil
}

func (f *fakeCRM) Write(_ context.Context, changes []crm.Change) []crm.Result {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]crm.Result, len(changes))
	err, after := f.enter("write")
	if err != nil && !after {
		for i := range out {
			out[i].Err = err
		}
		return out
	}
	for i, c := range changes {
		if out[i] = f.change(c); err != nil {
			out[i] = crm.Result{Err: err}
		}
	}
	return out
}

func (f *fakeCRM) change(c crm.Change) crm.Result {
	if f.refuse != nil {
		if err := f.refuse(c); err != nil {
			return crm.Result{Err: err}
		}
	}
	ref := crm.Ref{Object: c.Object, ID: c.ID}
	rec := f.records[ref]
	switch c.Op {
	case crm.Create:
		if had, _ := f.byKey(c.Object, c.Key); f.unique && !had.IsZero() {
			return crm.Result{Err: &crm.Error{Kind: crm.Exists, Op: "create", Existing: had}}
		}
		f.next++
		ref.ID = fmt.Sprint(f.next)
		rec = &fakeRecord{props: map[string]string{}, key: c.Key}
		f.records[ref] = rec
	default:
		if rec == nil || rec.gone {
			return crm.Result{Err: &crm.Error{Kind: crm.Gone, Op: "update", Message: "no such record"}}
		}
	}
	rec.at = f.now()
	if c.Op == crm.Archive {
		rec.gone = true
	}
	var skipped []string
	for name, v := range c.Properties {
		if v.Kind == crm.Lookup {
			panic("a lookup reached the connector")
		}
		if name == f.frozen && c.Op == crm.Update {
			skipped = append(skipped, name)
			continue
		}
		rec.props[name] = v.Text
	}
	rec.links = slices.DeleteFunc(rec.links, func(r crm.Ref) bool { return slices.Contains(c.Unlink, r) })
	for _, l := range c.Link { // linking what is linked already changes nothing
		if !slices.Contains(rec.links, l) {
			rec.links = append(rec.links, l)
		}
	}
	f.writes = append(f.writes, c)
	return crm.Result{ID: ref.ID, Skipped: skipped}
}

// live lists the records of a type that are not deleted.
func (f *fakeCRM) live(object string) []crm.Ref {
	f.mu.Lock()
	defer f.mu.Unlock()
	var refs []crm.Ref
	for _, ref := range f.sorted() {
		if ref.Object == object && !f.records[ref].gone {
			refs = append(refs, ref)
		}
	}
	return refs
}

func (f *fakeCRM) props(ref crm.Ref) map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.records[ref].props)
}

// edit is a person's hand in the CRM.
func (f *fakeCRM) edit(ref crm.Ref, name, value string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records[ref].props[name] = value
}

func (f *fakeCRM) remove(ref crm.Ref) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records[ref].gone = true
}

// removeUnseen removes a record that the search goes on to show for a while.
func (f *fakeCRM) removeUnseen(ref crm.Ref, d time.Duration) {
	f.remove(ref)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records[ref].ghost = f.now().Add(d)
}

// asked returns and forgets how often an operation was asked for.
func (f *fakeCRM) asked(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.calls[op]
	f.calls[op] = 0
	return n
}

// wrote returns and forgets the accepted writes.
func (f *fakeCRM) wrote() []crm.Change {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.writes
	f.writes = nil
	return w
}
