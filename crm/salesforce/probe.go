package salesforce

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/callsync/callsync/crm"
)

// Probe implements [crm.Inspector]. It creates a task twice with one key, looks
// for it, and deletes what it created. What it learns about the key's uniqueness
// is remembered and believed over describe.
func (c *Connector) Probe(ctx context.Context) (findings []crm.Finding, err error) {
	d, err := c.catalog.fetch(ctx, task)
	if err != nil {
		return nil, err
	}
	f, ok := d.fields[keyField]
	if !ok {
		return nil, missingKey(task)
	}
	findings = append(findings,
		crm.Finding{Name: "activity key", OK: f.Unique, Text: describeKey(f)},
		crm.Finding{Name: "task subtype", OK: true, Text: subtypeText(d)},
	)
	key := "probe." + rand.Text()
	var made []string
	defer func() {
		if cleanErr := c.removeProbes(context.WithoutCancel(ctx), made); cleanErr != nil {
			err = errors.Join(err, fmt.Errorf("the probe's task, key %s, could not be deleted: %w", key, cleanErr))
		}
	}()
	first := c.probeTask(ctx, key)
	if first.Err != nil {
		return findings, first.Err
	}
	made = append(made, first.ID)
	second := c.probeTask(ctx, key)
	unique := crm.KindOf(second.Err) == crm.Exists
	switch {
	case unique:
		findings = append(findings, crm.Finding{Name: "second record with a key", OK: true, Text: "the org refuses a second record with a key, and names the first"})
	case second.Err == nil:
		made = append(made, second.ID)
		findings = append(findings, crm.Finding{Name: "second record with a key", Text: "the org accepts a second record with a key: callsync looks for the first before it creates"})
	default:
		return findings, second.Err
	}
	if err := c.rememberUnique(ctx, unique); err != nil {
		return findings, err
	}
	rows, err := c.byKey(ctx, task, []string{key})
	if err != nil {
		return findings, err
	}
	seen := crm.Finding{Name: "query after write", OK: len(rows[key]) > 0, Text: "a record just written is found by its key at once"}
	if !seen.OK {
		seen.Text = "a record just written is not found by its key at once: raise the destination's search_lag"
	}
	return append(findings, seen, c.usageFinding()), nil
}

func describeKey(f field) string {
	switch {
	case f.Unique && f.ExternalID:
		return "Task." + keyField + " is unique and an external id"
	case f.Unique:
		return "Task." + keyField + " is unique"
	default:
		return "Task." + keyField + " is plain text: the org does not refuse doubles, callsync looks for the key first"
	}
}

func subtypeText(d *description) string {
	if f := d.fields["TaskSubtype"]; !f.Updateable {
		return "TaskSubtype can be set only when a task is created"
	}
	return "TaskSubtype can be changed later"
}

func (c *Connector) usageFinding() crm.Finding {
	s := c.meter.status()
	return crm.Finding{
		Name: "API requests", OK: s.QuotaLimit > 0,
		Text: fmt.Sprintf("%d of %d requests of the last 24 hours are used; callsync stops at %.0f%%", s.QuotaUsed, s.QuotaLimit, 100*c.meter.share),
	}
}

// probeTask creates a completed task, without looking for its key first.
func (c *Connector) probeTask(ctx context.Context, key string) crm.Result {
	w := &writing{c: c, changes: []crm.Change{{Op: crm.Create, Object: task}}, results: make([]crm.Result, 1)}
	it := &item{op: crm.Create, object: task, table: task, key: key, body: map[string]any{
		"Subject": "callsync probe, removed at once", "Status": "Completed", keyField: key,
	}}
	if err := w.sendCollection(ctx, []*item{it}); err != nil {
		return crm.Result{Err: err}
	}
	return w.results[0]
}

func (c *Connector) removeProbes(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	var changes []crm.Change
	for _, id := range ids {
		changes = append(changes, crm.Change{Op: crm.Archive, Object: task, ID: id})
	}
	var errs []error
	for _, r := range c.Write(ctx, changes) {
		errs = append(errs, r.Err)
	}
	return errors.Join(errs...)
}
