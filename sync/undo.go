package sync

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// ErrUndoLater: what the call did to the CRM is not settled yet; nothing was
// done. The error says what is open.
var ErrUndoLater = errors.New("it cannot be undone yet")

// An Undo is what taking a call back from a CRM would do, or did: what callsync
// created for it is archived, and the person's properties it changed get back
// what they would hold without it, where nobody changed them since.
type Undo struct {
	CallID      string `json:"callId"`
	Destination string `json:"destination"`
	// Left is what cannot be undone.
	Left     []Remainder  `json:"left,omitempty"`
	Person   PersonPlan   `json:"person"`
	Records  []RecordPlan `json:"records,omitempty"`
	Warnings []string     `json:"warnings,omitempty"`
	// Pending is true while a sync of the call is due, which an undo prevents.
	Pending bool `json:"pending,omitempty"`
	// Undone is true when the call is taken back: it stays out of the CRM until
	// it is asked for by its id.
	Undone bool `json:"undone"`
	// Final is true when the call's body has expired: taken back it cannot be
	// written again, unless a correction is delivered.
	Final bool `json:"final,omitempty"`
}

// A Remainder is something an undo leaves in the CRM.
type Remainder struct {
	Record   string `json:"record"` // its key; "contact" for the person
	Property string `json:"property,omitempty"`
	Why      string `json:"why"`
}

// Writes reports whether anything would be sent.
func (u *Undo) Writes() bool {
	return u.Person.Op != None || slices.ContainsFunc(u.Records, func(r RecordPlan) bool { return r.Op != None })
}

// whyUndone is the reason of a call that was taken back.
const whyUndone = "undone by a person; `callsync resync` with the call's id writes it again"

// whyUndoneFinally is whyUndone of a call whose body has expired.
const whyUndoneFinally = "undone by a person; its body has expired, and only a correction brings another"

// SaysUndone reports whether a state's reason is that a person took the call back.
func SaysUndone(reason string) bool { return strings.HasPrefix(reason, "undone ") }

func whyOut(c store.Call) string {
	if c.HasBody() {
		return whyUndone
	}
	return whyUndoneFinally
}

// undone reports whether a call stays out of the CRM because a person took it
// back. Corrections are journalled and wait with it.
func undone(s store.State) bool { return !s.Undone.IsZero() && !s.Redo }

// PlanUndo says what [Loop.Undo] would do. It reads from the CRM and writes
// nothing.
func (l *Loop) PlanUndo(ctx context.Context, callID string) (*Undo, error) {
	u, err := l.undoing(ctx, callID)
	if err != nil {
		return nil, err
	}
	return &u.out, nil
}

// Undo takes a call back from the CRM, between two rounds. It decides anew,
// whatever a plan said before. When the CRM refuses a part, the call stays out
// of the loop's way, its state says what is missing, and another Undo goes on.
//
// The error wraps [ErrUndoLater] while an attempt to create something may still
// turn up, and store.ErrLeased when another process runs the loop.
func (l *Loop) Undo(ctx context.Context, callID string) (*Undo, error) {
	var u *undoing
	err := l.Alone(ctx, func(ctx context.Context) error {
		err := l.destination.Ready(ctx)
		if err == nil {
			u, err = l.undoing(ctx, callID)
		}
		if err != nil {
			return err
		}
		return u.carryOut(ctx)
	})
	if err != nil {
		return nil, err
	}
	l.log.Info("call undone", "callId", callID, "complete", u.it.outcome.problem == nil)
	return &u.out, nil
}

// An undoing is one call on its way out of the CRM. It borrows a round's stages
// for what they have in common with syncing.
type undoing struct {
	r    *round
	it   *item
	jobs []*job // records to archive
	who  undoPerson
	out  Undo
}

func (l *Loop) undoing(ctx context.Context, callID string) (*undoing, error) {
	works, err := l.journal.Load(ctx, l.name, []string{callID})
	if err != nil {
		return nil, journalError("load", err)
	}
	if len(works) == 0 {
		return nil, fmt.Errorf("call %s: %w", callID, store.ErrNotFound)
	}
	if works[0].Damaged != nil {
		return nil, works[0].Damaged
	}
	u := &undoing{r: &round{loop: l, now: l.now()}}
	u.out = Undo{CallID: callID, Destination: l.name, Person: PersonPlan{Op: None}, Undone: undone(works[0].State)}
	u.out.Pending = works[0].State.Wanted > works[0].State.Done
	u.out.Final = !works[0].Call.HasBody()
	u.it = u.render(works[0])
	u.r.items = []*item{u.it}
	for _, stage := range []func(context.Context) error{u.settled, u.records, u.person} {
		if err := stage(ctx); err != nil {
			return nil, err
		}
	}
	return u, nil
}

// render finds out by what the call's person is found. A mapping that cannot be
// used does not keep a call from being undone.
func (u *undoing) render(w store.Work) *item {
	clean := w
	clean.State.Undone = time.Time{}
	it := u.r.render(clean)
	it.work.State, it.state, it.outcome = w.State, w.State, outcome{}
	return it
}

// settled refuses while somebody may be under creation.
func (u *undoing) settled(ctx context.Context) error {
	if err := u.r.loadIdentities(ctx); err != nil {
		return err
	}
	if u.it.state.Creating != 0 || u.it.work.State.Person == nil && u.it.conceived() {
		return fmt.Errorf("%w: an attempt to create the contact has no answer yet; try again when the call is synced or failed", ErrUndoLater)
	}
	return nil
}

// records decides about everything callsync created for the call.
func (u *undoing) records(ctx context.Context) error {
	var all []*job
	for _, key := range slices.Sorted(maps.Keys(u.it.work.Records)) {
		all = append(all, &job{item: u.it, row: u.it.work.Records[key], op: None})
	}
	if err := u.r.locateRecords(ctx, all); err != nil {
		return err
	}
	if !u.it.open() {
		return fmt.Errorf("%w: %s", ErrUndoLater, u.it.outcome.reason)
	}
	q := readings{}
	for _, j := range all {
		if exists(j.row) {
			q.want(j.row.Ref(), writtenNames(j.row.Properties))
		}
	}
	present, err := u.r.readEach(ctx, q)
	if err != nil {
		return err
	}
	for _, j := range all {
		u.record(j, present[j.row.Ref()])
	}
	return nil
}

func (u *undoing) record(j *job, snap crm.Snapshot) {
	rp := RecordPlan{Key: j.row.Key, Block: j.row.Block, Object: j.row.Object, ID: j.row.ID, Op: None}
	switch {
	case j.row.ID == "":
		u.r.forget(u.it, j.row.Key) // never created
		return
	case !j.row.Gone.IsZero():
		rp.Note = "no longer in the CRM"
	case snap.Gone && j.row.Retracted:
		rp.Note = "archived already"
		j.row.Gone = u.r.now
		u.r.setRecord(u.it, j.row)
	case snap.Gone: // and stays so when the call is written again
		rp.Note = "a person deleted it in the CRM"
		j.row.Gone = u.r.now
		u.r.setRecord(u.it, j.row)
	default:
		rp.Op = crm.Archive
		j.op = crm.Archive
		u.jobs = append(u.jobs, j)
		if edited := editedNames(j.row.Properties, snap.Properties); len(edited) > 0 {
			u.out.Warnings = append(u.out.Warnings, fmt.Sprintf("%s: a person changed %s; that is archived along", j.row.Key, strings.Join(edited, ", ")))
		}
	}
	u.out.Records = append(u.out.Records, rp)
}

// writtenNames lists the properties that callsync wrote.
func writtenNames(applied map[string]store.Applied) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(applied)) {
		if a := applied[name]; !wrote(a).IsNull() || a.Unsure {
			names = append(names, name)
		}
	}
	return names
}

// editedNames lists the properties that hold something else than callsync wrote.
func editedNames(applied map[string]store.Applied, present map[string]string) []string {
	var names []string
	for _, name := range writtenNames(applied) {
		if !ours(applied[name], present[name]) {
			names = append(names, name)
		}
	}
	return names
}

// carryOut archives and restores. First the journal learns that the call is
// undone, so that whatever happens, no round writes it again.
func (u *undoing) carryOut(ctx context.Context) error {
	if !u.out.Undone && !u.out.Pending && len(u.it.work.Records) == 0 && u.who.ref.IsZero() {
		return nil // nothing of it was ever written, nor is going to be
	}
	for _, j := range u.jobs {
		u.r.announce(j)
	}
	u.out.Undone = true
	u.state(fmt.Sprintf("being undone; if that broke off, `callsync undo %s` goes on", u.it.id()))
	if err := u.r.flush(ctx); err != nil {
		return err
	}
	u.archive(ctx)
	if err := u.restorePerson(ctx); err != nil {
		return err
	}
	if p := u.it.outcome.problem; p != nil {
		u.it.state.Problem = p
		u.state(fmt.Sprintf("undone in part; `callsync undo %s` goes on", u.it.id()))
	} else {
		u.it.state.Problem, u.it.state.Person = nil, nil
		u.state(whyOut(u.it.work.Call))
	}
	if u.r.trouble != nil {
		u.r.loop.trouble(u.r.trouble)
	}
	return u.r.flush(ctx)
}

// state stages the state of a call that is taken back.
func (u *undoing) state(reason string) {
	s := &u.it.state
	if s.Undone.IsZero() {
		s.Undone = u.r.now
	}
	s.Status, s.Reason, s.Since = store.Skipped, reason, u.r.now
	s.Done, s.Next, s.Lane, s.Attempts = s.Wanted, time.Time{}, store.Live, 0
	s.Force, s.Recreate, s.Redo, s.Warnings = false, false, false, nil
	if len(u.it.work.Records) == 0 { // else they are as an earlier revision had them
		s.Revision = u.it.work.Call.Revision
	}
	u.r.pending.States = map[string]store.State{u.it.id(): *s}
}

func (u *undoing) archive(ctx context.Context) {
	if len(u.jobs) == 0 {
		return
	}
	changes := make([]crm.Change, len(u.jobs))
	for i, j := range u.jobs {
		changes[i] = crm.Change{Op: crm.Archive, Object: j.row.Object, ID: j.row.ID, CallID: u.it.id()}
	}
	for i, res := range u.r.write(ctx, changes) {
		j := u.jobs[i]
		if res.Err != nil && crm.KindOf(res.Err) != crm.Gone {
			u.left(j.row.Key, res.Err)
			continue
		}
		j.row.Gone, j.row.Retracted = u.r.now, true
		u.r.setRecord(u.it, j.row)
	}
}

// left notes that the CRM would not take something back.
func (u *undoing) left(record string, err error) {
	u.out.Left = append(u.out.Left, Remainder{Record: record, Why: err.Error()})
	u.it.outcome.problem = problemOf(u.r.now, record, err)
	for i := range u.out.Records {
		if u.out.Records[i].Key == record {
			u.out.Records[i].Op = None
		}
	}
}
