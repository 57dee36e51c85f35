package erasure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// A Receipt says what was erased, without saying of whom.
type Receipt struct {
	At      time.Time    `json:"at"`
	Journal store.Erased `json:"journal"`
	CRMs    []CRMReceipt `json:"crms"` // empty when the CRMs were left alone
	// Unread counts what could not be read, since the journal is damaged there, and so
	// was neither found nor erased: calls, and places in the log of deliveries.
	Unread int `json:"unread,omitempty"`
}

// A CRMReceipt says what was erased at one destination.
type CRMReceipt struct {
	Destination string `json:"destination"`
	People      int    `json:"people"`
	Records     int    `json:"records"`
	// Restorable: people went to the CRM's recycle bin, not for good.
	Restorable bool `json:"restorable,omitempty"`
	// RestorableRecords is how many of the records this erasure moved to the CRM's
	// recycle bin, where people can bring them back until it is emptied.
	RestorableRecords int `json:"restorableRecords,omitempty"`
}

// ErrLater: it is open whether something exists in the CRM; nothing was erased
// there.
var ErrLater = errors.New("it cannot be erased yet")

const (
	// portion is how many calls one transaction of the journal erases, and how many
	// records one request of a CRM's.
	portion = 100
	// rejectedPortion is the same for rejected deliveries, which take less.
	rejectedPortion = 500
)

// FromJournal erases what was found from the journal. Broken off, it can be
// begun anew with another Find.
func (f *Finding) FromJournal(ctx context.Context, j store.Forgetter) (store.Erased, error) {
	var sum store.Erased
	for calls := range slices.Chunk(f.Calls, portion) {
		e, err := j.Erase(ctx, store.Erasure{Calls: calls})
		if err != nil {
			return sum, err
		}
		sum.Add(e)
	}
	for rejected := range slices.Chunk(f.Rejected, rejectedPortion) {
		e, err := j.Erase(ctx, store.Erasure{Deliveries: rejected})
		if err != nil {
			return sum, err
		}
		sum.Add(e)
	}
	// The people last: they lead to the calls.
	e, err := j.Erase(ctx, store.Erasure{People: f.People, Identities: f.Identities, Kept: f.kept})
	sum.Add(e)
	return sum, err
}

// FromCRM erases what was found from one CRM: a person for good where d is a
// [crm.Eraser], else into the recycle bin, where their records always go that
// are left by then. It stops at the first refusal, and may be repeated.
func (f *Finding) FromCRM(ctx context.Context, destination string, d crm.Destination) (CRMReceipt, error) {
	out := CRMReceipt{Destination: destination}
	people, records, err := f.inCRM(ctx, destination, d)
	if err != nil {
		return out, err
	}
	eraser, forGood := d.(crm.Eraser)
	out.Restorable = !forGood && len(people) > 0
	for some := range slices.Chunk(people, portion) {
		var results []crm.Result
		if forGood {
			results = eraser.Erase(ctx, some)
		} else {
			results = d.Write(ctx, archiving(some))
		}
		n, _, err := count(some, results)
		out.People += n
		if err != nil {
			return out, err
		}
	}
	for some := range slices.Chunk(records, portion) {
		n, archived, err := count(some, d.Write(ctx, archiving(some)))
		out.Records += n
		out.RestorableRecords += archived
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

func archiving(refs []crm.Ref) []crm.Change {
	changes := make([]crm.Change, len(refs))
	for i, ref := range refs {
		changes[i] = crm.Change{Op: crm.Archive, Object: ref.Object, ID: ref.ID}
	}
	return changes
}

// count counts what is gone, and of that what went by this, and returns the first
// refusal. What was not there is as gone as the rest.
func count(refs []crm.Ref, results []crm.Result) (gone, now int, err error) {
	for i, r := range results {
		switch {
		case r.Err == nil:
			gone, now = gone+1, now+1
		case crm.KindOf(r.Err) == crm.Gone:
			gone++
		case err == nil:
			err = fmt.Errorf("%s: %w", refs[i], r.Err)
		}
	}
	return gone, now, err
}

// inCRM lists what there is in a CRM, having looked for what may have been
// created without an answer.
func (f *Finding) inCRM(ctx context.Context, destination string, d crm.Destination) (people, records []crm.Ref, err error) {
	var open []crm.KeyRef
	for _, r := range f.Records[destination] {
		switch {
		case r.ID != "" && r.Gone.IsZero():
			records = append(records, r.Ref())
		case r.ID == "" && !r.Intent.IsZero():
			open = append(open, crm.KeyRef{Object: r.Object, Key: r.Key, Since: r.Intent})
		}
	}
	before := len(open)
	if f.person {
		for _, ref := range f.People[destination] {
			if !strings.HasPrefix(ref.ID, store.Unborn("", "").ID) {
				people = append(people, ref)
			}
		}
		open = append(open, f.creating[destination]...)
	}
	if len(open) == 0 {
		return people, records, nil
	}
	found, err := d.Locate(ctx, open)
	if err != nil {
		return nil, nil, err
	}
	for i, l := range found {
		ref := crm.Ref{Object: open[i].Object, ID: l.ID}
		switch {
		case l.State == crm.Unknown:
			return nil, nil, fmt.Errorf("%w: something may have been created a moment ago that the CRM does not show yet; try again in %s", ErrLater, l.RetryAfter.Round(time.Second))
		case l.State == crm.Found && i < before:
			records = append(records, ref)
		case l.State == crm.Found:
			people = append(people, ref)
		}
	}
	return people, records, nil
}
