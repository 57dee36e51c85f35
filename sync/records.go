package sync

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// A job is one record of one call that may have to be written.
type job struct {
	item  *item
	want  crm.Record // zero when the call does not yield the record any more
	row   store.Record
	op    crm.Op
	diffs []diff
	edit  edit
	// present is what the CRM holds, of the properties read.
	present map[string]string
	links   []crm.Ref // as they should be
	link    []crm.Ref
	unlink  []crm.Ref
}

// exists reports whether the CRM has the record, as far as the journal knows.
func exists(row store.Record) bool { return row.ID != "" && row.Gone.IsZero() }

// decideRecords works out what has to be written of the activities, meetings and
// tasks of the round: jobs are all of them, changes what to send for those in
// sent.
func (r *round) decideRecords(ctx context.Context) (jobs []*job, changes []crm.Change, sent []*job, err error) {
	jobs = r.jobs()
	if err := r.locateRecords(ctx, jobs); err != nil {
		return nil, nil, nil, err
	}
	if err := r.reviewDeleted(ctx, jobs); err != nil {
		return nil, nil, nil, err
	}
	r.decideOps(jobs)
	if err := r.linkRecords(ctx, jobs); err != nil {
		return nil, nil, nil, err
	}
	resolved, err := r.resolve(ctx, recordLookups(jobs))
	if err != nil {
		return nil, nil, nil, err
	}
	present, err := r.read(ctx, r.recordReading(jobs, resolved))
	if err != nil {
		return nil, nil, nil, err
	}
	changes, sent = r.recordChanges(jobs, present, resolved)
	return jobs, changes, sent, nil
}

// writeRecords brings the activities, meetings and tasks of the round up to date.
func (r *round) writeRecords(ctx context.Context) error {
	_, changes, sent, err := r.decideRecords(ctx)
	if err != nil {
		return err
	}
	r.keepChoices()
	if err := r.flush(ctx); err != nil {
		return err
	}
	if len(changes) == 0 {
		return nil
	}
	for i, res := range r.write(ctx, changes) {
		r.recordResult(sent[i], res)
	}
	return r.settleDoubts(ctx)
}

// jobs lists the records the open calls want, and those they have but want no
// more.
func (r *round) jobs() []*job {
	var jobs []*job
	for _, it := range r.items {
		if !it.open() {
			continue
		}
		wanted := map[string]bool{}
		for _, w := range it.want.Records {
			wanted[w.Key] = true
			row, ok := it.work.Records[w.Key]
			if !ok {
				row = store.Record{Key: w.Key, Object: w.Object}
			}
			row.Block, row.Keep, row.KeepEdited = w.Block, w.Keep, w.KeepEdited
			row = r.standing(it, w, row)
			jobs = append(jobs, &job{item: it, want: w, row: row, op: None})
		}
		for _, key := range slices.Sorted(maps.Keys(it.work.Records)) {
			if !wanted[key] {
				jobs = append(jobs, &job{item: it, row: it.work.Records[key], op: None})
			}
		}
	}
	return jobs
}

// locateRecords looks for records whose creation was attempted before: they may
// exist although no answer was ever seen.
func (r *round) locateRecords(ctx context.Context, jobs []*job) error {
	var keys []crm.KeyRef
	var tried []*job
	for _, j := range jobs {
		if j.row.ID == "" && !j.row.Intent.IsZero() {
			if j.row.Intent.After(r.now) { // by a clock that was ahead
				j.row.Intent = r.now
				r.setRecord(j.item, j.row)
			}
			keys = append(keys, crm.KeyRef{Object: j.row.Object, Key: j.row.Key, Since: j.row.Intent, Not: j.row.Replaced})
			tried = append(tried, j)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	locations, err := r.loop.destination.Locate(ctx, keys)
	if err != nil {
		return err
	}
	for i, j := range tried {
		switch loc := locations[i]; loc.State {
		case crm.Found:
			j.row.ID, j.row.Intent = loc.ID, time.Time{}
			r.setRecord(j.item, j.row)
		case crm.Unknown:
			j.item.wait(r.now, loc.RetryAfter, "an earlier attempt to create "+j.row.Key+" may still turn up in the CRM's search")
		}
	}
	return nil
}

// reviewDeleted looks which records still exist, of those that are to be made
// anew if they do not, and of those that callsync may have archived itself.
func (r *round) reviewDeleted(ctx context.Context, jobs []*job) error {
	var q reading
	doubtful := func(j *job) bool {
		return j.item.open() && j.want.Key != "" && exists(j.row) && (j.item.recreates() || j.row.Retracted)
	}
	for _, j := range jobs {
		if doubtful(j) {
			q.want(j.row.Ref(), nil)
		}
	}
	present, err := r.read(ctx, q)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		gone := !j.row.Gone.IsZero() && j.want.Key != "" && j.item.recreates()
		if doubtful(j) {
			gone = present[j.row.Ref()].Gone
		}
		switch {
		case gone:
			j.startAnew()
		case j.row.Retracted && doubtful(j): // and stands: it is wanted again
			j.row.Retracted = false
			r.setRecord(j.item, j.row)
		}
	}
	return nil
}

// startAnew forgets the record that stood in the CRM, of one that is wanted again.
func (j *job) startAnew() {
	replaced := append(slices.Clip(j.row.Replaced), j.row.ID)
	j.row = store.Record{Key: j.row.Key, Block: j.row.Block, Item: j.row.Item, Object: j.want.Object, Keep: j.row.Keep, KeepEdited: j.row.KeepEdited, Replaced: replaced}
}

// decideOps says what kind of change each record needs.
func (r *round) decideOps(jobs []*job) {
	for _, j := range jobs {
		switch {
		case !j.item.open():
		case j.want.Key == "":
			j.op = r.retraction(j)
		case j.row.ID == "":
			j.op, j.diffs = crm.Create, fresh(j.want.Fields)
		case j.row.Retracted && !j.row.Gone.IsZero(): // archived by callsync; the call yields it again
			j.startAnew()
			j.op, j.diffs = crm.Create, fresh(j.want.Fields)
		case !j.row.Gone.IsZero():
			j.staysDeleted()
		default:
			j.diffs = compareAll(j.want.Fields, j.row.Properties, j.item.work.State.Force)
			if len(j.diffs) > 0 {
				j.op = crm.Update
			}
		}
	}
}

// retraction decides about a record the call no longer yields. It is archived
// when the call was corrected since; an edit of the mapping alone never deletes
// anything in the CRM.
func (r *round) retraction(j *job) crm.Op {
	switch {
	case j.row.ID == "":
		r.forget(j.item, j.row.Key)
		return None
	case !j.row.Gone.IsZero():
		return None
	case j.row.Retracted: // begun, and without an answer
	case j.row.Keep || j.item.state.Revision == j.item.work.Call.Revision:
		j.stays("mapping")
		return None
	}
	return crm.Archive
}

// linkRecords works out the associations of each record, looking up related
// records only for those that are created or change hands.
func (r *round) linkRecords(ctx context.Context, jobs []*job) error {
	aliases, err := r.aliases(ctx, jobs)
	if err != nil {
		return err
	}
	var queries []crm.RelatedQuery
	var askers []*job
	for _, j := range jobs {
		p := j.item.person
		if j.want.Key == "" || !j.item.open() || j.op == None && !exists(j.row) {
			continue
		}
		if j.item.parted && j.op != crm.Create {
			j.unlink = j.row.Links
		}
		if p == nil || p.ref.IsZero() {
			continue
		}
		for i, l := range j.row.Links {
			j.row.Links[i] = aliases.Now(l)
		}
		j.links = []crm.Ref{p.ref}
		if j.op == crm.Create || j.row.Relink || !slices.Contains(j.row.Links, p.ref) {
			for _, rel := range j.want.Links {
				queries = append(queries, crm.RelatedQuery{Person: p.ref, Relation: rel})
				askers = append(askers, j)
			}
		} else {
			j.links = j.row.Links
		}
	}
	if len(queries) > 0 {
		related, err := r.loop.destination.Related(ctx, queries)
		if err != nil {
			return err
		}
		for i, j := range askers {
			j.links = append(j.links, related[i]...)
		}
	}
	for _, j := range jobs {
		if len(j.links) > 0 {
			j.link, j.unlink = linkDiff(j.links, j.row.Links)
		}
		if j.row.Relink { // an earlier request may have changed them, or not
			j.link = j.links
		}
		if j.op == None && len(j.link)+len(j.unlink) > 0 {
			j.op = crm.Update
		}
	}
	return nil
}

// aliases finds out which people that records are linked to have become others.
func (r *round) aliases(ctx context.Context, jobs []*job) (store.People, error) {
	var refs []crm.Ref
	for _, j := range jobs {
		p := j.item.person
		if p == nil || p.ref.IsZero() {
			continue
		}
		for _, l := range j.row.Links {
			if l != p.ref && slices.Contains(j.item.want.Person.Objects, l.Object) && !slices.Contains(refs, l) {
				refs = append(refs, l)
			}
		}
	}
	people, err := store.Trace(ctx, r.loop.journal, r.loop.name, refs...)
	if err != nil {
		return nil, journalError("load people", err)
	}
	return people, nil
}

// protected lists the properties by which a person's work in a record shows that is
// to be kept because of it. A call that was somebody else's leaves nothing there.
func (j *job) protected() []string {
	was := func(l crm.Ref) bool { return slices.Contains(j.item.former(), l) }
	if !j.row.KeepEdited || j.item.parted || slices.ContainsFunc(j.row.Links, was) {
		return nil
	}
	return writtenNames(j.row.Properties)
}

// stays leaves a record in the CRM that the call no longer yields.
func (j *job) stays(why string) {
	j.op = None
	j.item.warn(j.row.Key + " is no longer yielded by the " + why + "; left in the CRM")
}

// recordReading lists what has to be read to decide. A lookup the CRM does not
// know decides itself.
func (r *round) recordReading(jobs []*job, resolved map[crm.Value]string) reading {
	var q reading
	for _, j := range jobs {
		if j.op == crm.Update {
			open := slices.DeleteFunc(slices.Clone(j.diffs), func(d diff) bool {
				return d.field.Value.Kind == crm.Lookup && resolved[d.field.Value] == ""
			})
			if names := r.questions(open, false); len(names) > 0 {
				q.want(j.row.Ref(), names)
			}
		}
		if j.op == crm.Archive && !j.row.Retracted { // somebody may have deleted it before
			q.want(j.row.Ref(), j.protected())
		}
	}
	return q
}

func recordLookups(jobs []*job) []diff {
	var all []diff
	for _, j := range jobs {
		all = append(all, j.diffs...)
	}
	return all
}

// recordChanges turns jobs into requests, and records the intents of those that
// create.
func (r *round) recordChanges(jobs []*job, present map[crm.Ref]crm.Snapshot, resolved map[crm.Value]string) (changes []crm.Change, sent []*job) {
	for _, j := range jobs {
		if j.op == None || !j.item.open() {
			continue
		}
		snap := present[j.row.Ref()]
		if j.op == crm.Update && snap.Gone {
			r.deleted(j)
			continue
		}
		if j.op == crm.Archive && snap.Gone {
			j.row.Gone = r.now
			r.setRecord(j.item, j.row)
			continue
		}
		if j.op == crm.Archive && len(j.protected()) > 0 && !j.row.Retracted && len(editedNames(j.row.Properties, snap.Properties)) > 0 {
			j.stays("corrected call, and a person has changed it")
			continue
		}
		j.present = snap.Properties
		j.edit = r.edit(j.diffs, j.present, resolved)
		for _, w := range j.edit.warnings {
			j.item.warn(w)
		}
		if j.op == crm.Update && len(j.edit.send)+len(j.link)+len(j.unlink) == 0 {
			r.applied(j)
			continue
		}
		c := crm.Change{
			Op: j.op, Object: j.row.Object, ID: j.row.ID, Properties: j.edit.send,
			Link: j.link, Unlink: j.unlink, CallID: j.item.id(),
		}
		if j.op == crm.Create {
			c.Key, c.Object = j.row.Key, j.want.Object
		}
		r.announce(j)
		changes = append(changes, c)
		sent = append(sent, j)
	}
	return changes, sent
}

// announce records, before the request is sent, what it is about to change.
func (r *round) announce(j *job) {
	switch j.op {
	case crm.Create:
		j.row.Object, j.row.Intent = j.want.Object, r.now
		j.row.Properties, j.row.Links, j.row.Relink = attempted(j.row.Properties), j.links, true
	case crm.Archive:
		j.row.Retracted = true
	case crm.Update:
		if len(j.link)+len(j.unlink) > 0 {
			j.row.Links, j.row.Relink = slices.Concat(j.row.Links, j.link), true
		}
	}
	if len(j.edit.send) > 0 {
		j.row.Properties = j.edit.underway(j.row.Properties)
	}
	r.setRecord(j.item, j.row)
}

// attempted is what an earlier attempt to create a record sent: should it be
// carried out late, that is what stands in the CRM.
func attempted(properties map[string]store.Applied) map[string]store.Applied {
	earlier := map[string]store.Applied{}
	for name, a := range properties {
		if a.Unsure {
			earlier[name] = store.Applied{Value: a.Sent}
		}
	}
	return earlier
}

func (r *round) recordResult(j *job, res crm.Result) {
	if res.Err == nil {
		if j.op == crm.Archive {
			j.row.Gone, j.row.Retracted = r.now, true
			r.setRecord(j.item, j.row)
			return
		}
		if j.op == crm.Create {
			j.row.ID, j.row.Intent, j.row.Properties, j.row.Relink = res.ID, time.Time{}, nil, false
		}
		j.edit.leaveOut(res.Skipped)
		r.applied(j)
		return
	}
	if j.op == crm.Create && res.ID != "" { // it exists, but not all of it was done
		j.op, j.row.ID, j.row.Intent = crm.Update, res.ID, time.Time{}
		r.setRecord(j.item, j.row)
	}
	switch kind := crm.KindOf(res.Err); {
	case kind == crm.Gone && j.op == crm.Archive:
		j.row.Gone = r.now
		r.setRecord(j.item, j.row)
	case kind == crm.Gone && j.op == crm.Update && len(j.link)+len(j.unlink) > 0:
		r.doubts = append(r.doubts, j) // the record, or whom it is linked to
	case kind == crm.Gone && j.op == crm.Update:
		r.deleted(j)
	case kind == crm.Gone: // whom it should be linked to is gone
		r.forget(j.item, j.row.Key)
		r.miss(j.item.person)
	case kind == crm.Exists && j.op == crm.Create:
		if ref := existing(res.Err); !ref.IsZero() {
			j.row.ID, j.row.Intent = ref.ID, time.Time{}
			r.setRecord(j.item, j.row)
		}
		j.item.retry(fmt.Sprintf("the CRM already has %s; adopted", j.row.Key))
	case kind == crm.Permanent && j.op == crm.Create:
		r.forget(j.item, j.row.Key) // refused: nothing was created
		j.item.fail(r.now, j.row.Key, res.Err)
	default:
		j.item.fail(r.now, j.row.Key, res.Err)
	}
}

// settleDoubts finds out, where something was gone, whether it was the record or
// the person it was to be linked to.
func (r *round) settleDoubts(ctx context.Context) error {
	var q reading
	for _, j := range r.doubts {
		q.want(j.row.Ref(), nil)
	}
	present, err := r.read(ctx, q)
	if err != nil {
		return err
	}
	for _, j := range r.doubts {
		if present[j.row.Ref()].Gone {
			r.deleted(j)
		} else {
			r.miss(j.item.person)
		}
	}
	return r.trace(ctx)
}

// applied keeps what now stands in the CRM.
func (r *round) applied(j *job) {
	props := maps.Clone(j.row.Properties)
	if props == nil {
		props = map[string]store.Applied{}
	}
	maps.Copy(props, j.edit.applied)
	j.row.Properties = props
	if len(j.links)+len(j.unlink) > 0 {
		j.row.Links, j.row.Relink = j.links, false
	}
	r.setRecord(j.item, j.row)
}

// deleted keeps that somebody deleted a record in the CRM.
func (r *round) deleted(j *job) {
	j.row.Gone = r.now
	r.setRecord(j.item, j.row)
	j.staysDeleted()
}

func (j *job) staysDeleted() {
	j.item.warn(j.row.Key + " was deleted in the CRM and stays deleted; `callsync resync --recreate` makes it anew")
}
