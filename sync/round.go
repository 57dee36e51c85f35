package sync

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
)

// A round takes a batch of calls from the journal to the CRM:
//
//	load → render → find people → write people → write records → settle
//
// Each stage hands the connector the whole batch. Before anything is created,
// the intent is in the journal; after each stage that wrote, so is the result.
// An error that stops a stage is recorded on the calls it stopped, and settle
// always runs.
type round struct {
	loop    *Loop
	now     time.Time
	items   []*item
	people  []*person
	pending store.Update // what the next flush records
	doubts  []*job       // the record or its person is gone; which, is not known yet
	missed  []*person    // the CRM called them gone; what became of them is not known yet
	// adoptions are people to create whom the CRM has already.
	adoptions []adoption
	// trouble is the gravest error that concerns the destination as a whole.
	trouble error
	wrote   int // changes the CRM accepted
	// foresight is what a plan has learnt; then nothing is written or recorded. It is
	// nil in a round that writes. See [Loop.PlanLive].
	foresight *foresight
}

// A Report says what a round did, for metrics and logs.
type Report struct {
	Destination string
	Calls       int
	Statuses    map[store.Status]int
	Changes     int // accepted by the CRM
	Took        time.Duration
}

func (l *Loop) round(ctx context.Context, ids []string) (*round, error) {
	return l.roundOf(ctx, ids, &hunt{})
}

// A hunt counts, while a round is divided, the calls that were refused and the
// parts that went through.
type hunt struct{ refused, passed int }

// hopeless is how many calls are tried alone, none going through, before the
// refusal is taken to be about all of them.
const hopeless = 8

func (l *Loop) roundOf(ctx context.Context, ids []string, h *hunt) (*round, error) {
	r := &round{loop: l, now: l.now()}
	if err := r.load(ctx, ids); err != nil {
		return nil, err
	}
	stages := []func(context.Context) error{r.findPeople, r.writePeople, r.writeRecords}
	for _, stage := range stages {
		err := stage(ctx)
		if err == nil {
			continue
		}
		if isJournal(err) {
			return nil, err
		}
		if rest := stillOpen(r.items); crm.KindOf(err) == crm.Permanent && len(rest) > 1 {
			return r, r.divide(ctx, rest, h)
		}
		r.stop(err)
		if h.refused++; crm.KindOf(err) == crm.Permanent && h.refused >= hopeless && h.passed == 0 {
			r.note(&crm.Error{Kind: crm.Transient, Op: "sync", Message: "every call is refused in the same way: " + err.Error()})
		}
		return r, r.settle(ctx)
	}
	h.passed++
	return r, r.settle(ctx)
}

// stillOpen lists the calls on which a round should go on working.
func stillOpen(items []*item) []*item {
	return slices.DeleteFunc(slices.Clone(items), func(it *item) bool { return !it.open() })
}

// divide settles what is decided and gives the rest two rounds of its own, when
// the CRM refused a question about all of them because of one: halving finds it,
// and the others go through.
func (r *round) divide(ctx context.Context, rest []*item, h *hunt) error {
	r.items = slices.DeleteFunc(r.items, (*item).open)
	if err := r.settle(ctx); err != nil {
		return err
	}
	for half := range slices.Chunk(rest, (len(rest)+1)/2) {
		if r.trouble != nil { // the rest stays due
			for _, it := range half {
				it.outcome = outcome{deferred: true}
			}
			r.items = append(r.items, half...)
			continue
		}
		ids := make([]string, len(half))
		for i, it := range half {
			ids[i] = it.id()
		}
		sub, err := r.loop.roundOf(ctx, ids, h)
		if err != nil {
			return err
		}
		r.items = append(r.items, sub.items...)
		r.wrote += sub.wrote
		if sub.trouble != nil {
			r.note(sub.trouble)
		}
	}
	return nil
}

// stop records on every open call an error that stopped a whole stage.
func (r *round) stop(err error) {
	if crm.KindOf(err) != crm.Permanent {
		r.note(err)
	}
	for _, it := range r.items {
		if it.open() {
			it.fail(r.now, "", err)
		}
	}
}

// note keeps the gravest error that concerns the destination as a whole.
func (r *round) note(err error) {
	if r.trouble == nil || blocks(err) && !blocks(r.trouble) {
		r.trouble = err
	}
}

// maxRoundBytes bounds the bodies a round holds in memory.
const maxRoundBytes = 64 << 20

// load reads the calls and renders them.
func (r *round) load(ctx context.Context, ids []string) error {
	const page = 8 // the check below comes after a page
	size := 0
	for chunk := range slices.Chunk(ids, page) {
		works, err := r.loop.journal.Load(ctx, r.loop.name, chunk)
		if err != nil {
			return journalError("load", err)
		}
		for _, w := range works {
			size += len(w.Body)
			r.items = append(r.items, r.render(w))
		}
		if size > maxRoundBytes {
			break
		}
	}
	return r.retrace(ctx)
}

// whyWaiting is the reason of a call whose result is still to come.
const whyWaiting = "the call has no terminal result yet"

// whyExpired is why nothing can be said about a call that was synced long ago.
const whyExpired = "its body has expired and is no longer in the journal"

func (r *round) render(w store.Work) *item {
	m := r.loop.mapping()
	it := &item{work: w, state: w.State, mapping: m.Version()}
	it.state.Warnings = nil
	if it.work.Records == nil {
		it.work.Records = map[string]store.Record{}
	}
	if w.Damaged != nil {
		it.want = &crm.Desired{CallID: it.id()}
		it.fail(r.now, "", damage(w))
		return it
	}
	if undone(w.State) {
		it.want = &crm.Desired{CallID: it.id()}
		it.skip(whyUndone)
		return it
	}
	if !w.Call.HasBody() { // the journal does not make such a call due
		it.want = &crm.Desired{CallID: it.id()}
		it.skip(whyExpired)
		return it
	}
	call, err := julian.Parse(w.Body)
	if err != nil {
		it.want = &crm.Desired{CallID: it.id()}
		it.fail(r.now, "", &crm.Error{Kind: crm.Permanent, Op: "read the journalled payload", Err: err})
		return it
	}
	for _, warning := range call.Warnings {
		it.warn(warning.String())
	}
	it.want, err = m.Render(call, w.Call.ReceivedAt)
	if err != nil {
		it.want = &crm.Desired{CallID: it.id()}
		it.fail(r.now, "", &crm.Error{
			Kind: crm.Permanent, Op: "mapping", Err: err,
			Hint: "mend the mapping file, then `callsync resync " + it.id() + "`",
		})
		return it
	}
	place(it.want, it.work)
	for _, warning := range it.want.Warnings {
		it.warn(warning)
	}
	if it.want.Skip != "" && len(it.work.Records) == 0 && it.state.Creating == 0 {
		it.skip(it.want.Skip)
	}
	return it
}

// damage is the error of a call that cannot be read from the journal.
func damage(w store.Work) *crm.Error {
	return &crm.Error{
		Kind: crm.Permanent, Op: "read the journal", Err: w.Damaged,
		Hint: "have the same call delivered again, or import it from the export of a backup: that replaces a payload; for other damage restore a backup",
	}
}

// flush records what has been decided since the last flush.
func (r *round) flush(ctx context.Context) error {
	u := r.pending
	r.pending = store.Update{}
	if r.foresight != nil {
		r.foresight.note(u)
		return nil
	}
	if u.States == nil && u.Records == nil && u.Forget == nil && u.Identities == nil && u.People == nil && u.Moved == nil {
		return nil
	}
	if err := r.loop.journal.Apply(ctx, r.loop.name, u); err != nil {
		return journalError("record", err)
	}
	return nil
}

func (r *round) setIdentity(key string, id store.Identity) {
	if r.pending.Identities == nil {
		r.pending.Identities = map[string]store.Identity{}
	}
	r.pending.Identities[key] = id
}

func (r *round) setRecord(it *item, rec store.Record) {
	if r.pending.Records == nil {
		r.pending.Records = map[string][]store.Record{}
	}
	recs := r.pending.Records[it.id()]
	if i := slices.IndexFunc(recs, func(x store.Record) bool { return x.Key == rec.Key }); i >= 0 {
		recs[i] = rec
	} else {
		recs = append(recs, rec)
	}
	r.pending.Records[it.id()] = recs
	it.work.Records[rec.Key] = rec
}

// setPerson keeps what was applied to somebody; the zero Person drops them.
func (r *round) setPerson(ref crm.Ref, p store.Person) {
	if r.pending.People == nil {
		r.pending.People = map[crm.Ref]store.Person{}
	}
	r.pending.People[ref] = p
}

func (r *round) forget(it *item, key string) {
	if r.pending.Forget == nil {
		r.pending.Forget = map[string][]string{}
	}
	r.pending.Forget[it.id()] = append(r.pending.Forget[it.id()], key)
	if recs := r.pending.Records[it.id()]; recs != nil { // it would be written again
		r.pending.Records[it.id()] = slices.DeleteFunc(recs, func(x store.Record) bool { return x.Key == key })
	}
	delete(it.work.Records, key)
}

// resolve looks up the Lookup values among diffs that will be written.
func (r *round) resolve(ctx context.Context, all []diff) (map[crm.Value]string, error) {
	seen := map[crm.Value]bool{}
	for _, d := range all {
		if v := d.field.Value; v.Kind == crm.Lookup {
			seen[v] = true
		}
	}
	if len(seen) == 0 {
		return nil, nil
	}
	values := slices.SortedFunc(maps.Keys(seen), func(a, b crm.Value) int {
		return cmp.Or(cmp.Compare(a.Of, b.Of), cmp.Compare(a.Text, b.Text))
	})
	return r.loop.destination.Resolve(ctx, values)
}

// wire is a value as it is sent. ok is false for a lookup that the CRM cannot
// answer; its text then says what is missing.
func (r *round) wire(v crm.Value, resolved map[crm.Value]string) (sent crm.Value, text string, ok bool) {
	if v.Kind != crm.Lookup {
		return v, "", true
	}
	id, ok := resolved[v]
	if !ok {
		return crm.Value{}, fmt.Sprintf("the %s is not known in the CRM; left without", v.Of), false
	}
	return crm.Str(id), id, true
}

// settle turns outcomes into states and records them.
func (r *round) settle(ctx context.Context) error {
	r.pending.States = make(map[string]store.State, len(r.items))
	for _, it := range r.items {
		r.pending.States[it.id()] = r.stateOf(it)
		r.log(ctx, it)
	}
	return r.flush(ctx)
}

func (r *round) stateOf(it *item) store.State {
	s, o := it.state, it.outcome
	if o.status == "" && it.refusal != nil && it.open() {
		o.status, o.problem = store.Failed, it.refusal
	}
	if o.problem != nil {
		s.Problem = o.problem
	}
	switch {
	case o.deferred:
		return s
	case o.again || o.status == store.Retrying:
		s.Attempts++
		s.Status, s.Reason = store.Retrying, o.reason
		s.Next = r.nextAttempt(s.Attempts, o)
		return s
	}
	s.Done, s.Next, s.Since = s.Wanted, time.Time{}, r.now
	if s.Redo {
		s.Undone = time.Time{}
	}
	s.Force, s.Recreate, s.Redo = false, false, false
	s.Lane = store.Live
	s.Reason = o.reason
	if o.status == store.Failed {
		s.Status = store.Failed
		s.Attempts++
		s.Problem = it.tried(s.Problem)
		return s
	}
	s.Attempts, s.Problem, s.Left, s.Forgotten = 0, nil, nil, ""
	if it.parted {
		s.Person = nil
	}
	s.Mapping = it.mapping
	if o.status != store.Skipped || len(it.work.Records) == 0 { // else its records are as an earlier revision had them
		s.Revision = it.work.Call.Revision
	}
	switch {
	case o.status == store.Skipped || it.want.Skip != "":
		s.Status = store.Skipped
		s.Reason = cmp.Or(o.reason, it.want.Skip)
		return s
	case it.want.Interim:
		s.Status, s.Reason = store.Waiting, whyWaiting
	default:
		s.Status = store.Synced
	}
	s.SyncedAt = r.now
	return s
}

// eager is how many attempts may follow at once on a round's discovery, or wait
// for the circuit breaker alone, before the call backs off by itself. Calls that
// back off part: what goes with one that the CRM cannot take arrives without it.
const eager = 4

func (r *round) nextAttempt(attempts int, o outcome) time.Time {
	if o.again && o.retryAt.IsZero() && attempts <= eager {
		return r.now
	}
	if !o.retryAt.IsZero() {
		return earlier(o.retryAt, r.now.Add(farthest))
	}
	wait := r.loop.backoff(attempts)
	if r.trouble != nil && !o.again {
		if attempts <= eager {
			return r.now // the circuit breaker waits for all of them
		}
		wait = min(wait, maxBlock) // one of them may be what the CRM fails at
	}
	return r.now.Add(wait)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func (r *round) log(ctx context.Context, it *item) {
	s := r.pending.States[it.id()]
	attrs := []any{"callId", it.id(), "status", s.Status, "round", crm.RequestID(ctx)}
	level := slog.LevelInfo
	if p := it.outcome.problem; p != nil {
		attrs = append(attrs, "kind", p.Kind, "code", p.Code, "record", p.Record, "property", p.Property, "place", p.Place, "correlationId", p.RequestID)
		if s.Status == store.Failed {
			level = slog.LevelWarn
			attrs = append(attrs, "problem", p.Text)
		}
	}
	if s.Status == store.Skipped || it.outcome.problem == nil && s.Reason != "" {
		attrs = append(attrs, "reason", s.Reason)
	}
	if it.outcome.deferred {
		level = slog.LevelDebug
	}
	r.loop.log.Log(ctx, level, "call settled", attrs...)
}

func (r *round) report() Report {
	rep := Report{Destination: r.loop.name, Calls: len(r.items), Changes: r.wrote, Statuses: map[store.Status]int{}}
	for _, it := range r.items {
		o := it.outcome
		switch {
		case o.deferred:
			rep.Statuses[store.Pending]++
		case o.again:
			rep.Statuses[store.Retrying]++
		case o.status == "":
			rep.Statuses[store.Synced]++
		default:
			rep.Statuses[o.status]++
		}
	}
	return rep
}
