package salesforce

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/callsync/callsync/crm"
)

// An item is one change on its way.
type item struct {
	index  int // in the changes given to Write
	op     crm.Op
	object string // as the mapping names it
	table  string
	id     string
	key    string
	parent string // the record whose lock the write takes: one request for all of a parent's
	body   map[string]any
	values []string // what must not appear in an error
}

// A writing is one call of Write.
type writing struct {
	c       *Connector
	changes []crm.Change
	results []crm.Result
	items   []*item
}

// Write implements [crm.Destination]. The changes go out in composite graphs or
// in sObject Collections, whichever takes fewer requests, one request after the
// other, since two at a time would meet at the locks of shared accounts. What
// describe says cannot be written in this way is left out and listed in the
// result; what cannot be written at all is an error of that change.
func (c *Connector) Write(ctx context.Context, changes []crm.Change) []crm.Result {
	w := &writing{c: c, changes: changes, results: make([]crm.Result, len(changes))}
	links, err := c.prepareLinks(ctx, changes)
	if err != nil {
		w.failAll(err)
		return w.results
	}
	for i := range changes {
		if it, err := w.prepare(ctx, i, links); err != nil {
			w.results[i].Err = err
		} else if it != nil {
			w.items = append(w.items, it)
		}
	}
	w.adoptExisting(ctx)
	pending := w.items
	if graphs := graphRequests(pending); len(graphs) < len(collectionRequests(pending)) && !slices.ContainsFunc(pending, refersToNodes) {
		pending = w.sendGraphs(ctx, graphs)
	}
	w.sendCollections(ctx, collectionRequests(pending))
	w.nameExisting(ctx)
	return w.results
}

func (w *writing) failAll(err error) {
	for i := range w.results {
		w.results[i].Err = err
	}
}

// prepare turns a change into what is sent, or answers nil when nothing is left
// to send.
func (w *writing) prepare(ctx context.Context, i int, links linkage) (*item, error) {
	ch := w.changes[i]
	it := &item{index: i, op: ch.Op, object: ch.Object, table: tableOf(ch.Object), key: ch.Key, body: map[string]any{}}
	if ch.Op != crm.Create {
		id, ok := id18(ch.ID)
		if !ok {
			return nil, w.permanent(ch, "", "MALFORMED_ID", "the record's id is not a Salesforce id", "")
		}
		it.id, it.parent = id, id
		w.results[i].ID = id
		if ch.Op == crm.Archive {
			return it, nil
		}
	}
	need := slices.Collect(maps.Keys(ch.Properties))
	if ch.Op == crm.Create && ch.Key != "" {
		need = append(need, keyOf(ch.Object))
	}
	d, err := w.c.catalog.get(ctx, ch.Object, need...)
	if err != nil {
		return nil, err
	}
	if ch.Op == crm.Create && ch.Key != "" {
		f, ok := d.fields[keyOf(ch.Object)]
		if !ok || !f.Createable {
			return nil, missingKey(ch.Object)
		}
		it.body[f.Name] = ch.Key
		it.values = append(it.values, ch.Key)
	}
	for _, name := range slices.Sorted(maps.Keys(ch.Properties)) {
		if err := w.setProperty(ctx, it, d, ch, name); err != nil {
			return nil, err
		}
	}
	if err := links.apply(it, ch, d); err != nil {
		return nil, err
	}
	if it.op == crm.Update && len(it.body) == 0 {
		return nil, nil
	}
	return it, nil
}

// setProperty puts one property into the body, or leaves it out with a note in
// the result.
func (w *writing) setProperty(ctx context.Context, it *item, d *description, ch crm.Change, name string) error {
	v := ch.Properties[name]
	f, ok := d.fields[name]
	if !ok {
		if w.c.elsewhere(ctx, ch.Object, name) {
			w.skip(it, name)
			return nil
		}
		return w.permanent(ch, name, "INVALID_FIELD",
			fmt.Sprintf("%s has no field %s, or field-level security hides it from callsync's user", ch.Object, name),
			"correct the mapping or give callsync's user access to the field; callsync check shows which")
	}
	if ch.Op == crm.Create && v.IsNull() {
		return nil
	}
	switch writable := ch.Op == crm.Create && f.Createable || ch.Op == crm.Update && f.Updateable; {
	case writable:
		it.body[f.Name] = wire(f, v)
		it.values = append(it.values, v.Text)
	case f.Createable || f.Updateable:
		w.skip(it, name)
	default:
		return w.permanent(ch, name, "INVALID_FIELD_FOR_INSERT_UPDATE",
			fmt.Sprintf("%s.%s is read-only for callsync's user", ch.Object, name),
			"take the field out of the mapping, or let callsync's user edit it")
	}
	return nil
}

func (w *writing) skip(it *item, property string) {
	r := &w.results[it.index]
	r.Skipped = append(r.Skipped, property)
	w.c.log.Debug("property left out: the record's type does not take it in this way",
		"object", it.object, "property", property, "op", string(it.op), "callId", w.changes[it.index].CallID)
}

func (w *writing) permanent(ch crm.Change, property, code, message, hint string) error {
	return &crm.Error{
		Kind: crm.Permanent, Op: ch.Object + " " + string(ch.Op),
		Code: code, Message: message, Hint: hint, Property: property,
	}
}

// elsewhere reports whether a property that a person's object lacks belongs to
// another object people are kept in: a mapping names the fields of all of them
// in one table, such as Lead's Company.
func (c *Connector) elsewhere(ctx context.Context, object, property string) bool {
	if !isPerson(object) {
		return false
	}
	for _, other := range []string{contact, lead, personAccount} {
		if other == object {
			continue
		}
		if d, err := c.catalog.get(ctx, other); err == nil {
			if _, ok := d.fields[property]; ok {
				return true
			}
		}
	}
	return false
}

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
				Message: "a record with callsync's key exists", Existing: existing[0].ref,
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

// nameExisting finds the records that Salesforce says exist without naming them.
func (w *writing) nameExisting(ctx context.Context) {
	unnamed := map[string][]*item{}
	for _, it := range w.items {
		e, ok := w.results[it.index].Err.(*crm.Error)
		if ok && e.Kind == crm.Exists && e.Existing.IsZero() && it.key != "" {
			unnamed[it.object] = append(unnamed[it.object], it)
		}
	}
	for object, items := range unnamed {
		rows, err := w.c.byKey(ctx, object, keysOf(items))
		for _, it := range items {
			e := w.results[it.index].Err.(*crm.Error)
			switch existing := rows[it.key]; {
			case err != nil:
				w.results[it.index].Err = err
			case len(existing) > 0 && !existing[0].deleted:
				e.Existing = existing[0].ref
			default:
				e.Kind = crm.Permanent
			}
		}
	}
}

func keysOf(items []*item) []string {
	var out []string
	for _, it := range items {
		out = append(out, it.key)
	}
	return out
}

// settle records the outcome of one item.
func (w *writing) settle(it *item, op string, status int, id string, errs []apiError) {
	r := &w.results[it.index]
	if len(errs) == 0 {
		if full, ok := id18(id); ok {
			r.ID = full
		}
		return
	}
	e := explain(op, status, errs[0], it.values)
	r.Err = e
	switch {
	case it.op == crm.Archive && e.Code == "ENTITY_IS_DELETED", it.op == crm.Archive && e.Code == "NOT_FOUND":
		r.Err = nil // as wanted
	case e.Code == "DUPLICATE_VALUE" && it.op == crm.Create:
		e.Kind, e.Hint = crm.Exists, ""
		e.Existing = namedIn(errs[0].Message, it.object)
	case e.Code == "DUPLICATES_DETECTED" && it.op == crm.Create:
		if existing := errs[0].matched(); !existing.IsZero() {
			e.Kind, e.Hint, e.Existing = crm.Exists, "", existing
		}
	case e.Code == "NOT_FOUND", e.Code == "INVALID_CROSS_REFERENCE_KEY" && concernsPerson(errs[0].Fields):
		e.Kind, e.Hint = crm.Gone, "the record, or the person it belongs to, is no longer there"
	}
}

// concernsPerson reports whether an invalid reference can only be the record's
// own id or the person it is linked to.
func concernsPerson(fields []string) bool {
	for _, f := range fields {
		if !strings.EqualFold(f, "Id") && !strings.EqualFold(f, "WhoId") {
			return false
		}
	}
	return true
}
