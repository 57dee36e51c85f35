package salesforce

import (
	"context"
	"fmt"
	"maps"
	"slices"

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
	// halvings counts the collections that were halved after a refusal.
	halvings int
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
	w.reviewReferences(ctx)
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
			return nil, permanent(ch, "", "MALFORMED_ID", "the record's id is not a Salesforce id", "")
		}
		it.id, it.parent = id, id
		w.results[i].ID = id
		if ch.Op == crm.Archive {
			return it, nil
		}
	}
	d, err := w.c.catalog.get(ctx, ch.Object, func(d *description) bool {
		for name := range ch.Properties {
			if f := d.fields[name]; !f.Createable && !f.Updateable {
				return false
			}
		}
		return ch.Op != crm.Create || has(keyOf(ch.Object))(d)
	})
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
		if err := w.setProperty(it, d, ch, name); err != nil {
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
func (w *writing) setProperty(it *item, d *description, ch crm.Change, name string) error {
	v := ch.Properties[name]
	f, ok := d.fields[name]
	if !ok {
		return permanent(ch, name, "INVALID_FIELD",
			fmt.Sprintf("%s has no field %s, or field-level security hides it from callsync's user", ch.Object, name),
			"correct the mapping or give callsync's user access to the field; `callsync check` shows which")
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
		return permanent(ch, name, "INVALID_FIELD_FOR_INSERT_UPDATE",
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

// permanent is the error of a change that cannot be sent as it is.
func permanent(ch crm.Change, property, code, message, hint string) error {
	return &crm.Error{
		Kind: crm.Permanent, Op: ch.Object + " " + string(ch.Op),
		Code: code, Message: message, Hint: hint, Property: property,
	}
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
	case e.Code == "NOT_FOUND":
		e.Kind = crm.Gone
	case e.Kind == crm.Gone && it.op == crm.Update && e.Property == whoID && len(w.changes[it.index].Link) == 0:
		e.Kind, e.Hint = crm.Permanent, "the person that the mapping puts into WhoId is gone"
	}
}
