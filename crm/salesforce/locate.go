package salesforce

import (
	"context"
	"slices"
	"time"

	"github.com/callsync/callsync/crm"
)

// clockSlack is how far an org's clock and this machine's may differ.
const clockSlack = 5 * time.Minute

// Locate implements [crm.Destination]. It asks with queryAll, since Salesforce
// archives activities a year after they are due and leaves archived rows out of
// ordinary queries. A deleted row is the answer only if it was created after
// Since: then it is what the lost request made and somebody deleted, and must
// not be made again; an older one is another story, and so is one that is known
// to be replaced.
func (c *Connector) Locate(ctx context.Context, keys []crm.KeyRef) ([]crm.Location, error) {
	byObject := map[string][]string{}
	for _, k := range keys {
		byObject[k.Object] = append(byObject[k.Object], k.Key)
	}
	found := map[string]map[string][]row{}
	unique := map[string]bool{}
	for object, values := range byObject {
		rows, err := c.byKey(ctx, object, values)
		if err != nil {
			return nil, err
		}
		found[object] = rows
		if unique[object], err = c.keyUnique(ctx, object); err != nil {
			return nil, err
		}
	}
	out := make([]crm.Location, len(keys))
	for i, k := range keys {
		out[i] = c.locate(k, found[k.Object][k.Key], unique[k.Object])
	}
	return out, nil
}

func (c *Connector) locate(k crm.KeyRef, rows []row, unique bool) crm.Location {
	var made row
	for _, r := range rows {
		if slices.Contains(k.Not, r.ref.ID) {
			continue
		}
		if r.deleted && r.next.IsZero() {
			if !k.Since.IsZero() && !r.created.Before(k.Since.Add(-clockSlack)) {
				made = r
			}
			continue
		}
		if !r.next.IsZero() && r.deleted {
			return crm.Location{State: crm.Found, ID: r.next.ID} // merged into it
		}
		return crm.Location{State: crm.Found, ID: r.ref.ID}
	}
	if !made.ref.IsZero() {
		return crm.Location{State: crm.Found, ID: made.ref.ID}
	}
	// Where the org refuses a second record with the key, it is safe to create;
	// elsewhere the lost request has to be given time to finish.
	if wait := k.Since.Add(c.settle).Sub(c.now()); !unique && !k.Since.IsZero() && wait > 0 {
		return crm.Location{State: crm.Unknown, RetryAfter: wait}
	}
	return crm.Location{State: crm.Absent}
}

// byKey reads the rows with the given keys, deleted ones included, live ones
// first.
func (c *Connector) byKey(ctx context.Context, object string, keys []string) (map[string][]row, error) {
	key := keyOf(object)
	d, err := c.catalog.get(ctx, object, has(key))
	if err != nil {
		return nil, err
	}
	f, ok := d.fields[key]
	if !ok {
		return nil, missingKey(object)
	}
	var conditions []condition
	for _, k := range keys {
		conditions = append(conditions, condition{f.Name, quote(k)})
	}
	s := selection{columns: selectColumns(d, key), from: d.table}
	out := map[string][]row{}
	found, err := c.query(ctx, object+" query by key", s, conditions, true)
	if err != nil {
		return nil, err
	}
	for _, fields := range found {
		k := text(fields[f.Name])
		out[k] = append(out[k], newRow(d, fields))
	}
	for _, rows := range out {
		slices.SortFunc(rows, func(a, b row) int {
			if a.deleted != b.deleted {
				if a.deleted {
					return 1
				}
				return -1
			}
			return a.created.Compare(b.created)
		})
	}
	return out, nil
}

// keyUnique reports whether the org itself refuses a second record with a key.
func (c *Connector) keyUnique(ctx context.Context, object string) (bool, error) {
	d, err := c.catalog.get(ctx, object, has(keyOf(object)))
	if err != nil {
		return false, err
	}
	f, ok := d.fields[keyOf(object)]
	if !ok {
		return false, missingKey(object)
	}
	if !f.Unique || !isActivity(object) || c.settings.Memory == nil {
		return f.Unique, nil
	}
	probed, err := c.settings.Memory.Get(ctx, memoryUnique)
	return probed != uniqueRefused, err
}

// missingKey says that an object has no key field. Only where [Connector.Ready]
// asks for it does that stop the whole destination.
func missingKey(object string) error {
	e := &crm.Error{
		Kind: crm.NotReady, Op: "describe " + object, Property: keyOf(object),
		Message: object + "." + keyOf(object) + " does not exist, or callsync's user may not write it",
		Hint:    "run `callsync setup`",
	}
	if !slices.Contains(keyed, object) {
		e.Kind, e.Hint = crm.Permanent, "run `callsync setup`, then `callsync resync --state failed`"
	}
	return e
}
