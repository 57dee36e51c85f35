package hubspot

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/callsync/callsync/crm"
)

// maxRefusals is how often HubSpot may refuse parts of one batch before the
// rest of it is left for a later round: an app's errors must stay under 5 % of
// its requests (HubSpot usage guidelines).
const maxRefusals = 20

// A batch writes changes of one kind to one object type.
type batch struct {
	portal   *Portal
	op       crm.Op
	object   string
	refusals int
}

func (b *batch) name() string { return b.object + " batch " + string(b.op) }

// write sends the changes in one request and settles each. A distinct
// objectWriteTraceId on every input makes HubSpot answer each on its own
// (multi-status errors, error handling guide). Where it refuses the batch whole
// all the same, nothing was written, and the culprits are isolated.
func (b *batch) write(ctx context.Context, changes []*change) {
	if len(changes) == 0 {
		return
	}
	if b.refusals >= maxRefusals {
		for _, c := range changes {
			c.fail(&crm.Error{Kind: crm.Transient, Op: b.name(), Message: "not sent: HubSpot refused too many of the records it was batched with"})
		}
		return
	}
	inputs := make([]input, len(changes))
	for i, c := range changes {
		c.input.TraceID = ""
		if b.op != crm.Archive {
			c.input.TraceID = strconv.Itoa(i)
		}
		inputs[i] = c.input
	}
	var a batchAnswer
	f, err := b.portal.do(ctx, request{
		op:     b.name(),
		method: http.MethodPost,
		path:   b.portal.paths.objects + b.object + "/batch/" + string(b.op),
		body:   batchRequest{Inputs: inputs},
	}, &a)
	if refusedWhole(err) {
		b.refusals++
	}
	switch {
	case err == nil && b.op == crm.Archive && len(a.Errors) == 0:
		for _, c := range changes {
			c.succeed(c.ID)
		}
	case err == nil:
		b.settle(ctx, changes, a)
	case len(changes) == 1 || !refusedWhole(err):
		for _, c := range changes {
			b.fail(c, err)
		}
	default:
		b.isolate(ctx, changes, f, err)
	}
}

// refusedWhole reports whether err says that HubSpot looked at the inputs and
// wrote none of them.
func refusedWhole(err error) bool {
	switch crm.KindOf(err) {
	case crm.Permanent, crm.Exists, crm.Gone:
		return true
	}
	return false
}

// fail settles a change with its own copy of an error.
func (b *batch) fail(c *change, err error) {
	var e *crm.Error
	if !errors.As(err, &e) {
		c.fail(err)
		return
	}
	own := *e
	switch {
	case own.Property == keyProperty(b.object) && own.Code == "PROPERTY_DOESNT_EXIST":
		b.portal.keys.forget(b.object)
		b.portal.account.lacks(b.object)
		own.Kind, own.Hint = lackOfKey(b.object)
	case own.Kind == crm.Exists && b.op != crm.Create:
		// Only a create can adopt the record that holds the value.
		own.Kind, own.Hint = crm.Permanent, "another record holds this unique value; merge the two in HubSpot"
		own.Existing.Object = b.object
	case own.Kind == crm.Exists:
		own.Existing.Object = b.object
	case own.Kind == crm.Gone && b.op == crm.Create:
		own.Hint = "a record this one is linked to was deleted or merged in HubSpot"
	}
	c.fail(&own)
}

// settle gives every change its part of a batch's answer.
func (b *batch) settle(ctx context.Context, changes []*change, a batchAnswer) {
	strangers := b.settleResults(changes, a)
	var unclear []refusal
	for _, f := range a.Errors {
		f = f.unfold()
		hit := b.concerned(changes, f)
		for _, c := range hit {
			b.fail(c, b.describe(f, c))
		}
		if len(hit) == 0 {
			unclear = append(unclear, f)
		}
	}
	open := slices.DeleteFunc(slices.Clone(changes), func(c *change) bool { return c.done })
	switch {
	case len(open) == 0:
	case b.op == crm.Archive && len(unclear) == 0:
		for _, c := range open {
			c.succeed(c.ID)
		}
	case strangers > 0 || len(unclear) == 0:
		for _, c := range open {
			c.fail(&crm.Error{Kind: crm.Transient, Op: b.name(), Message: "the answer does not say what became of this record"})
		}
	case len(open) == 1:
		b.fail(open[0], b.describe(unclear[0], open[0]))
	default:
		// What is neither a result nor attributed was refused.
		b.isolate(ctx, open, unclear[0], b.describe(unclear[0], open...))
	}
}

// settleResults matches results with changes: by trace id, by record id, by
// callsync's key, and by position when nothing failed. It returns how many
// results belong to no change.
func (b *batch) settleResults(changes []*change, a batchAnswer) (strangers int) {
	byTrace, byID, byKey := map[string]*change{}, map[string]*change{}, map[string]*change{}
	for _, c := range changes {
		byTrace[c.input.TraceID] = c
		if c.ID != "" {
			byID[c.ID] = c
		}
		if c.Key != "" && b.op == crm.Create {
			byKey[c.Key] = c
		}
	}
	aligned := len(a.Results) == len(changes) && len(a.Errors) == 0
	for i, o := range a.Results {
		c := byTrace[o.TraceID]
		if o.TraceID == "" {
			if c = byID[string(o.ID)]; c == nil {
				c = byKey[o.Properties[keyProperty(b.object)]]
			}
		}
		if c == nil && aligned && !changes[i].done {
			c = changes[i]
		}
		if c == nil || c.done {
			strangers++
			continue
		}
		c.succeed(string(o.ID))
	}
	return strangers
}

// concerned returns the changes that a refusal certainly is about.
func (b *batch) concerned(changes []*change, f refusal) []*change {
	traces, ids := f.traces(), f.ids()
	return slices.DeleteFunc(slices.Clone(changes), func(c *change) bool {
		return c.done || !slices.Contains(traces, c.input.TraceID) &&
			!(c.ID != "" && slices.Contains(ids, c.ID))
	})
}

func (b *batch) describe(f refusal, changes ...*change) *crm.Error {
	inputs := make([]input, len(changes))
	for i, c := range changes {
		inputs[i] = c.input
	}
	return describe(b.name(), statusOf(f.Category), f, encode(batchRequest{Inputs: inputs}))
}

// isolate finds out which of several changes HubSpot refused, all of them
// unwritten, in few requests: it asks for the records that conflict, follows
// what the refusal names, and halves what is left.
func (b *batch) isolate(ctx context.Context, changes []*change, f refusal, err error) {
	rest := changes
	open := func() []*change {
		return slices.DeleteFunc(slices.Clone(rest), func(c *change) bool { return c.done })
	}
	if crm.KindOf(err) == crm.Exists && b.op == crm.Create {
		b.adopt(ctx, changes, err)
	}
	for _, c := range b.culprits(changes, f, err) {
		b.fail(c, err)
	}
	if rest = open(); len(rest) < len(changes) {
		b.write(ctx, rest)
		return
	}
	suspects, others := b.suspects(changes, err)
	if len(others) > 0 {
		b.write(ctx, others)
		if len(suspects) == 1 { // it may be innocent: the refusal may have been about another
			b.write(ctx, suspects)
			return
		}
	}
	half := (len(suspects) + 1) / 2
	b.write(ctx, suspects[:half])
	b.infect(suspects[:half], suspects[half:])
	rest = suspects[half:]
	b.write(ctx, open())
}

// culprits returns the changes that would be refused again whatever else is in
// the batch.
func (b *batch) culprits(changes []*change, f refusal, err error) []*change {
	hit := b.concerned(changes, f)
	ends, lacking := f.named("toObjectId", "toObjectIds"), f.lacking()
	for _, c := range changes {
		if linksTo(c, ends) || len(lacking) > 0 && !sends(c, lacking) {
			hit = append(hit, c)
		}
	}
	var e *crm.Error
	if len(hit) > 0 || !errors.As(err, &e) || !aboutProperty(e) {
		return hit
	}
	for _, c := range changes {
		if _, sent := c.input.Properties[e.Property]; sent {
			hit = append(hit, c)
		}
	}
	return hit
}

func linksTo(c *change, ids []string) bool {
	return slices.ContainsFunc(c.input.Associations, func(a association) bool { return slices.Contains(ids, string(a.To.ID)) })
}

func sends(c *change, names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return c.input.Properties[n] != "" })
}

// aboutProperty reports whether an error holds for a property whatever its
// value is.
func aboutProperty(e *crm.Error) bool {
	return e.Property != "" && (e.Code == "PROPERTY_DOESNT_EXIST" || e.Code == "READ_ONLY_VALUE")
}

// suspects splits off the changes that carry the property at fault, ordered by
// its value so that equal ones end up in the same half.
func (b *batch) suspects(changes []*change, err error) (suspects, others []*change) {
	var e *crm.Error
	if errors.As(err, &e) && e.Property != "" {
		for _, c := range changes {
			if _, sent := c.input.Properties[e.Property]; sent {
				suspects = append(suspects, c)
			} else {
				others = append(others, c)
			}
		}
	}
	if len(suspects) == 0 {
		return changes, nil
	}
	slices.SortStableFunc(suspects, func(x, y *change) int {
		return strings.Compare(x.input.Properties[e.Property], y.input.Properties[e.Property])
	})
	return suspects, others
}

// infect fails those of others that carry the very value for which one of
// tried was refused.
func (b *batch) infect(tried, others []*change) {
	for _, t := range tried {
		var e *crm.Error
		if !errors.As(t.result.Err, &e) || e.Kind != crm.Permanent || e.Property == "" {
			continue
		}
		value, sent := t.input.Properties[e.Property]
		for _, c := range others {
			if v, ok := c.input.Properties[e.Property]; sent && ok && v == value && !c.done {
				b.fail(c, e)
			}
		}
	}
}

// nameExisting completes the Exists errors in which HubSpot did not name the
// record.
func (b *batch) nameExisting(ctx context.Context, changes []*change) {
	var nameless []*change
	for _, c := range changes {
		var e *crm.Error
		if errors.As(c.result.Err, &e) && e.Kind == crm.Exists && e.Existing.ID == "" {
			nameless = append(nameless, c)
		}
	}
	if len(nameless) == 0 {
		return
	}
	found, err := b.holders(ctx, nameless)
	for _, c := range nameless {
		var e *crm.Error
		errors.As(c.result.Err, &e)
		switch id := found[c]; {
		case id != "":
			e.Existing = crm.Ref{Object: b.object, ID: id}
		case err != nil:
			c.fail(err)
		default:
			e.Kind = crm.Transient
			e.Hint = "HubSpot says another record holds this value but does not show it; it may be in the recycle bin"
		}
	}
}

// adopt settles the creates whose key or email a record already holds.
func (b *batch) adopt(ctx context.Context, changes []*change, err error) {
	found, _ := b.holders(ctx, changes) // what stays unknown is isolated
	for c, id := range found {
		b.fail(c, err)
		var e *crm.Error
		errors.As(c.result.Err, &e)
		e.Existing.ID = id
	}
}

// holders looks up the records that hold the changes' unique values: callsync's
// key, and the email of contacts.
func (b *batch) holders(ctx context.Context, changes []*change) (map[*change]string, error) {
	found := map[*change]string{}
	unique, err := b.portal.uniqueKey(ctx, b.object)
	if err != nil {
		return nil, err
	}
	if unique {
		if err := b.holdersBy(ctx, keyProperty(b.object), changes, found); err != nil {
			return found, err
		}
	}
	if b.object != contacts {
		return found, nil
	}
	left := slices.DeleteFunc(slices.Clone(changes), func(c *change) bool { return found[c] != "" })
	return found, b.holdersBy(ctx, emailProperty, left, found)
}

func (b *batch) holdersBy(ctx context.Context, property string, changes []*change, found map[*change]string) error {
	byValue := map[string][]*change{}
	for _, c := range changes {
		if v := c.input.Properties[property]; v != "" {
			byValue[strings.ToLower(v)] = append(byValue[strings.ToLower(v)], c)
		}
	}
	show := []string{property}
	if property == emailProperty {
		show = append(show, moreEmails)
	}
	records, err := b.portal.batchRead(ctx, b.object, property, slices.Collect(maps.Keys(byValue)), show)
	if err != nil {
		return err
	}
	for _, o := range records {
		values := []string{o.Properties[property]}
		if property == emailProperty {
			values = append(values, strings.Split(o.Properties[moreEmails], ";")...)
		}
		for _, v := range values {
			for _, c := range byValue[strings.ToLower(strings.TrimSpace(v))] {
				found[c] = string(o.ID)
			}
		}
	}
	return nil
}
