package sync

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
)

// place gives the records that a block makes of a list the keys of those that
// stand for the same items already. A correction may drop, add or move items, and
// people work in the records: one that was completed must not become another
// item's. An item is known again by what only it and one record say of an item,
// wherever it is in the list now; else by its place, which takes a change of words
// for one.
//
// What was placed once stays so while the call is as it was; an edit of the
// mapping changes what is said of an item, and not which it is.
func place(want *crm.Desired, w store.Work) {
	for _, block := range lists(want) {
		l := listing{corrected: w.State.Revision != w.Call.Revision}
		for i := range want.Records {
			if rec := &want.Records[i]; rec.Block == block && rec.Item > 0 {
				l.items = append(l.items, rec)
			}
		}
		for key, row := range w.Records {
			if row.Block == block && listed(key) {
				l.rows = append(l.rows, row)
			}
		}
		slices.SortFunc(l.rows, func(a, b store.Record) int { return strings.Compare(a.Key, b.Key) })
		if len(l.rows) > 0 {
			l.place()
		}
	}
}

// lists names the blocks that make records of a list.
func lists(want *crm.Desired) (blocks []string) {
	for _, rec := range want.Records {
		if rec.Item > 0 && !slices.Contains(blocks, rec.Block) {
			blocks = append(blocks, rec.Block)
		}
	}
	return blocks
}

// ofList cuts a key of a record that a list's item yields: "call.abc#action/0".
func ofList(key string) (base, name string, ok bool) {
	i := strings.LastIndexByte(key, '/')
	if i < strings.LastIndexByte(key, '#') {
		return key, "", false
	}
	return key[:i+1], key[i+1:], true
}

func listed(key string) bool {
	_, _, ok := ofList(key)
	return ok
}

// standsFor is the item that a record of a list stands for, counted from 1; 0 for
// one that stands for none.
func standsFor(row store.Record) int {
	if row.Item != 0 {
		return max(row.Item, 0)
	}
	_, place, _ := ofList(row.Key)
	n, err := strconv.Atoi(place)
	if err != nil {
		return 0
	}
	return n + 1
}

// nothing is [store.Record.Item] of a record whose item is gone from the list,
// and another has its place.
const nothing = -1

// A listing is what a call yields of one list, and what it has of it.
type listing struct {
	items     []*crm.Record
	rows      []store.Record // in the order of their keys
	corrected bool
}

func (l *listing) place() {
	row := make([]int, len(l.items)) // index into rows, or -1
	for i := range row {
		row[i] = -1
	}
	if l.corrected {
		l.recognize(row)
	}
	for i, item := range l.items {
		if row[i] < 0 {
			at := slices.IndexFunc(l.rows, func(r store.Record) bool { return standsFor(r) == item.Item })
			if at >= 0 && !slices.Contains(row, at) {
				row[i] = at
			}
		}
	}
	taken := map[string]bool{}
	for _, r := range l.rows {
		taken[r.Key] = true
	}
	for i, item := range l.items {
		if row[i] >= 0 {
			item.Key = l.rows[row[i]].Key
			continue
		}
		base, _, _ := ofList(item.Key)
		item.Key = base + fingerprint(item)
		for n := 2; taken[item.Key]; n++ {
			item.Key = base + fingerprint(item) + "-" + strconv.Itoa(n)
		}
		taken[item.Key] = true
	}
}

// fingerprint names an item that came into a list later by what is said of it: a
// journal that was restored from before gives it the same key again, under which
// the CRM has it.
func fingerprint(item *crm.Record) string {
	h := fnv.New64a()
	for _, f := range item.Fields {
		if f.OfItem {
			fmt.Fprintf(h, "%q=%q;", f.Name, f.Value.String())
		}
	}
	return "x" + strconv.FormatUint(h.Sum64(), 36)
}

// recognize finds the items that say something which, among all of the list, one
// record says, too: the more there is of it, the sooner. In another place it takes
// half of what is said of the item.
func (l *listing) recognize(row []int) {
	votes := map[[2]int]int{}
	for name, said := range l.said() {
		for v, by := range said {
			if at := l.sayers(name, v); len(by) == 1 && len(at) == 1 {
				votes[[2]int{by[0], at[0]}]++
			}
		}
	}
	var pairs [][2]int
	for p, n := range votes {
		if l.moved(p) == 0 || 2*n >= telling(l.items[p[0]]) {
			pairs = append(pairs, p)
		}
	}
	slices.SortFunc(pairs, func(a, b [2]int) int {
		return cmp.Or(cmp.Compare(votes[b], votes[a]), cmp.Compare(l.moved(a), l.moved(b)), slices.Compare(a[:], b[:]))
	})
	for _, p := range pairs {
		if row[p[0]] < 0 && !slices.Contains(row, p[1]) {
			row[p[0]] = p[1]
		}
	}
}

// moved is 0 for an item and a record in the same place.
func (l *listing) moved(p [2]int) int {
	return rank(l.items[p[0]].Item != standsFor(l.rows[p[1]]))
}

// telling counts the properties that are made of an item.
func telling(item *crm.Record) (n int) {
	for _, f := range item.Fields {
		n += rank(f.OfItem && !f.Value.IsNull())
	}
	return n
}

// said lists by property and value, of what is made of an item, the items that
// have it.
func (l *listing) said() map[string]map[crm.Value][]int {
	said := map[string]map[crm.Value][]int{}
	for i, item := range l.items {
		for _, f := range item.Fields {
			if !f.OfItem || f.Value.IsNull() {
				continue
			}
			if said[f.Name] == nil {
				said[f.Name] = map[crm.Value][]int{}
			}
			said[f.Name][f.Value] = append(said[f.Name][f.Value], i)
		}
	}
	return said
}

// sayers are the records for which a value was written, or is being written; those
// that callsync archived only when there are no others.
func (l *listing) sayers(name string, v crm.Value) []int {
	var at, archived []int
	for i, r := range l.rows {
		switch a := r.Properties[name]; {
		case a.Value != v && !(a.Unsure && a.Sent == v):
		case r.Retracted:
			archived = append(archived, i)
		default:
			at = append(at, i)
		}
	}
	if len(at) == 0 {
		return archived
	}
	return at
}

// standing keeps which item a record stands for, and takes the place from one that
// stood for it before.
func (r *round) standing(it *item, rec crm.Record, row store.Record) store.Record {
	if rec.Item == 0 {
		return row
	}
	for key, other := range it.work.Records {
		if key != row.Key && other.Block == rec.Block && standsFor(other) == rec.Item {
			other.Item = nothing
			r.setRecord(it, other)
		}
	}
	if standsFor(row) != rec.Item {
		row.Item = rec.Item
		if _, known := it.work.Records[row.Key]; known {
			r.setRecord(it, row)
		}
	}
	return row
}

// retrace places the items of calls that have been corrected before anything of
// their lists was written, as far as the journal knows. An imported call, or one
// that is written to another account, may stand in the CRM already: its records
// then have the keys that one correction after the other gave them.
func (r *round) retrace(ctx context.Context) error {
	for _, it := range r.items {
		if !it.open() || it.work.Call.Revision < 2 || len(lists(it.want)) == 0 || slices.ContainsFunc(slices.Collect(maps.Keys(it.work.Records)), listed) {
			continue
		}
		revisions, err := r.revisions(ctx, it)
		if err != nil {
			return err
		}
		past := store.Work{Call: it.work.Call, Records: map[string]store.Record{}}
		for _, v := range revisions {
			if want := r.rendered(it, v); want != nil && want.Skip == "" && !want.Interim && v.N < it.work.Call.Revision {
				place(want, past)
				relive(want, past.Records)
			}
		}
		place(it.want, past)
	}
	return nil
}

// revisions are a call's; none when one of them has decayed, which is no reason to
// hold up other calls.
func (r *round) revisions(ctx context.Context, it *item) ([]store.Revision, error) {
	revisions, err := r.loop.journal.Revisions(ctx, it.id())
	switch {
	case errors.Is(err, store.ErrDamaged):
		return nil, nil
	case err != nil:
		return nil, journalError("read revisions", err)
	}
	return revisions, nil
}

// rendered is what an earlier revision of a call yields; nil when that cannot be
// told any more.
func (r *round) rendered(it *item, v store.Revision) *crm.Desired {
	if len(v.Body) == 0 {
		return nil
	}
	call, err := julian.Parse(v.Body)
	if err != nil {
		return nil
	}
	want, err := r.loop.mapping().Render(call, it.work.Call.ReceivedAt)
	if err != nil {
		return nil
	}
	return want
}

// relive has records be as they were when what a call yields had been written.
func relive(want *crm.Desired, records map[string]store.Record) {
	for key, row := range records {
		row.Retracted = true
		if slices.ContainsFunc(want.Records, func(rec crm.Record) bool { return rec.Block == row.Block && rec.Item == standsFor(row) }) {
			row.Item = nothing
		}
		records[key] = row
	}
	for _, rec := range want.Records {
		if rec.Item == 0 {
			continue
		}
		row := store.Record{Key: rec.Key, Block: rec.Block, Item: rec.Item, Properties: map[string]store.Applied{}}
		for _, f := range rec.Fields {
			row.Properties[f.Name] = store.Applied{Value: f.Value}
		}
		records[rec.Key] = row
	}
}
