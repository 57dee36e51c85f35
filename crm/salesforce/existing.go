package salesforce

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/callsync/callsync/crm"
)

// adoptExisting looks for the keys of records about to be created, where the
// org does not refuse a second record with a key by itself.
func (w *writing) adoptExisting(ctx context.Context) {
	keys := map[string][]*item{}
	for _, it := range w.items {
		if it.op == crm.Create && it.key != "" {
			keys[it.object] = append(keys[it.object], it)
		}
	}
	for object, items := range keys {
		unique, err := w.c.keyUnique(ctx, object)
		if err == nil && unique {
			continue
		}
		if err == nil {
			err = w.adopt(ctx, object, items)
		}
		if err != nil {
			w.drop(items, err)
		}
	}
}

func (w *writing) adopt(ctx context.Context, object string, items []*item) error {
	rows, err := w.c.byKey(ctx, object, keysOf(items))
	if err != nil {
		return err
	}
	for _, it := range items {
		if existing := rows[it.key]; len(existing) > 0 && !existing[0].deleted {
			w.drop([]*item{it}, &crm.Error{
				Kind: crm.Exists, Op: object + " create", Code: "DUPLICATE_VALUE",
				Message: "a record with callsync's key exists", Existing: existing[0].current(),
			})
		}
	}
	return nil
}

// drop answers items with an error and sends them no more.
func (w *writing) drop(items []*item, err error) {
	for _, it := range items {
		w.results[it.index].Err = err
	}
	w.items = slices.DeleteFunc(w.items, func(it *item) bool { return slices.Contains(items, it) })
}

// nameExisting completes the errors of kind Exists: it finds the records that
// Salesforce does not name, and follows people who were merged or converted.
func (w *writing) nameExisting(ctx context.Context) {
	unnamed := map[string][]*item{}
	var people []crm.Ref
	for _, it := range w.items {
		e := w.exists(it)
		switch {
		case e == nil:
		case e.Existing.IsZero() && it.key != "":
			unnamed[it.object] = append(unnamed[it.object], it)
		case isPerson(e.Existing.Object):
			people = append(people, e.Existing)
		}
	}
	for object, items := range unnamed {
		rows, err := w.c.byKey(ctx, object, keysOf(items))
		for _, it := range items {
			e := w.exists(it)
			switch existing := rows[it.key]; {
			case err != nil:
				w.results[it.index].Err = err
			case len(existing) > 0 && !existing[0].deleted:
				e.Existing = existing[0].current()
			default:
				e.Kind, e.Hint = crm.Permanent, duplicateHint
			}
		}
	}
	now, err := w.c.load(ctx, people, nil)
	if err != nil {
		return // what is named is still right, only not the last in its chain
	}
	for _, it := range w.items {
		if e := w.exists(it); e != nil {
			if r, ok := now[e.Existing]; ok {
				e.Existing = r.ref
			}
		}
	}
}

// exists is an item's error of kind Exists, or nil.
func (w *writing) exists(it *item) *crm.Error {
	if e, ok := w.results[it.index].Err.(*crm.Error); ok && e.Kind == crm.Exists {
		return e
	}
	return nil
}

func keysOf(items []*item) []string {
	var out []string
	for _, it := range items {
		out = append(out, it.key)
	}
	return out
}

// reviewReferences looks into references that Salesforce calls invalid without
// naming the field: a record that is not there any more, or whose person is not,
// is gone; any other reference is the mapping's affair.
func (w *writing) reviewReferences(ctx context.Context) {
	doubtful := map[crm.Ref][]*item{}
	for _, it := range w.items {
		e, ok := w.results[it.index].Err.(*crm.Error)
		if !ok || e.Code != "INVALID_CROSS_REFERENCE_KEY" {
			continue
		}
		who := stringOf(it.body[whoID])
		for _, ref := range []crm.Ref{{Object: it.object, ID: it.id}, {Object: objectOf(who), ID: who}} {
			if ref.ID != "" && ref.Object != "" {
				doubtful[ref] = append(doubtful[ref], it)
			}
		}
	}
	if len(doubtful) == 0 {
		return
	}
	alive, err := w.c.load(ctx, slices.Collect(maps.Keys(doubtful)), nil)
	for ref, items := range doubtful {
		for _, it := range items {
			if err != nil {
				w.results[it.index].Err = err
			} else if r, ok := alive[ref]; !ok || r.ref != ref && r.ref.Object != personAccount {
				e := *w.results[it.index].Err.(*crm.Error)
				e.Kind = crm.Gone
				w.results[it.index].Err = &e
			}
		}
	}
}

// namedIn finds the record that a DUPLICATE_VALUE message names, "… duplicates
// value on record with id: 00T…", by its 15-character id. The zero Ref means
// that none is named.
func namedIn(message, object string) crm.Ref {
	_, after, ok := strings.Cut(message, "with id:")
	if !ok {
		return crm.Ref{}
	}
	word, _, _ := strings.Cut(strings.TrimSpace(after), " ")
	id, ok := id18(strings.TrimRight(word, ".,;\"'"))
	if !ok {
		return crm.Ref{}
	}
	if known := objectOf(id); known != "" {
		object = known
	}
	return crm.Ref{Object: object, ID: id}
}

// matched is the record that a duplicate rule matched best.
func (e apiError) matched() crm.Ref {
	found := e.Duplicate
	if found == nil {
		found = e.Misspelt
	}
	if found == nil {
		return crm.Ref{}
	}
	var best crm.Ref
	confidence := -1.0
	for _, m := range found.MatchResults {
		for _, r := range m.MatchRecords {
			id, ok := id18(r.Record.ID)
			object := objectOf(id)
			if object == "" {
				object = r.Record.Attributes.Type
			}
			if ok && isPerson(object) && r.MatchConfidence > confidence {
				best, confidence = crm.Ref{Object: object, ID: id}, r.MatchConfidence
			}
		}
	}
	return best
}
