package hubspot

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/callsync/callsync/crm"
)

// A change is a crm.Change on its way.
type change struct {
	*crm.Change
	input  input
	result *crm.Result
	done   bool      // result holds HubSpot's answer
	late   []crm.Ref // links that creating it did not make
}

func (c *change) fail(err error) {
	c.result.Err, c.done = err, true
}

func (c *change) succeed(id string) {
	c.result.ID, c.done = id, true
}

// Write sends the changes: creates, updates and archives in batches of 100 for
// each object type, all at once within the pacer's limits; then the links that
// creating did not make. A record whose links failed has both an ID and an error.
// Before anything is archived, and when HubSpot says that something is missing, it is
// asked whether the portal is still the same.
func (p *Portal) Write(ctx context.Context, changes []crm.Change) []crm.Result {
	results := make([]crm.Result, len(changes))
	mark := p.account.mark()
	if err := p.confirmArchiving(ctx, changes, mark); err != nil {
		for i := range results {
			results[i] = crm.Result{ID: changes[i].ID, Err: err}
		}
		return results
	}
	all := make([]*change, len(changes))
	for i := range changes {
		all[i] = prepare(&changes[i], &results[i])
	}
	twins := holdTwins(all)
	for _, wave := range waves(all) {
		p.writeWave(ctx, wave)
	}
	for twin, first := range twins {
		twin.fail(twinError(first))
	}
	p.writeLinks(ctx, all)
	p.believeResults(ctx, mark, changes, results)
	return results
}

// confirmArchiving asks whose portal it is if something is to be archived: HubSpot
// says nothing of an id that it does not have, and in another portal it is another's.
func (p *Portal) confirmArchiving(ctx context.Context, changes []crm.Change, mark int) error {
	if slices.ContainsFunc(changes, func(c crm.Change) bool { return c.Op == crm.Archive }) {
		return p.confirm(ctx, mark)
	}
	return nil
}

// believeResults asks once whether what is missing is missing of the portal that may
// be used. Where it is another by now, nothing counts as done, the less what was
// created: its ids are other records' in the one that may be used.
func (p *Portal) believeResults(ctx context.Context, mark int, changes []crm.Change, results []crm.Result) {
	i := slices.IndexFunc(results, func(r crm.Result) bool { return surprises(r.Err) })
	if i < 0 {
		return
	}
	other := p.confirm(ctx, mark)
	if other == nil {
		return
	}
	for i := range results {
		switch {
		case crm.KindOf(other) == crm.OtherAccount:
			results[i] = crm.Result{ID: changes[i].ID, Err: other}
		case surprises(results[i].Err):
			results[i].Err = other
		}
	}
}

// prepare puts a change into HubSpot's shape, or settles it right away.
func prepare(ch *crm.Change, result *crm.Result) *change {
	c := &change{Change: ch, result: result}
	result.ID = ch.ID
	values := make(map[string]string, len(ch.Properties)+1)
	for name, v := range ch.Properties {
		switch {
		case v.Kind == crm.Lookup:
			c.fail(&crm.Error{Kind: crm.Permanent, Op: ch.Object + " " + string(ch.Op), Property: name, Message: "the " + v.Of + " for this property was not found in HubSpot"})
			return c
		case v.IsNull() && ch.Op == crm.Create: // nothing to clear
		default:
			values[name] = wire(v)
		}
	}
	switch ch.Op {
	case crm.Create:
		if ch.Key != "" {
			values[keyProperty(ch.Object)] = ch.Key
		}
		c.input.Properties = values
		c.input.Associations, c.late = inline(ch.Object, ch.Link)
	case crm.Update:
		c.input.ID, c.input.Properties = ch.ID, values
		c.late = ch.Link
		c.done = len(values) == 0
	case crm.Archive:
		c.input.ID = ch.ID
	}
	return c
}

// holdTwins settles which of several creates with the same key or email is
// sent. HubSpot would refuse the whole batch.
func holdTwins(all []*change) map[*change]*change {
	twins := map[*change]*change{}
	first := map[string]*change{}
	for _, c := range all {
		if c.Op != crm.Create || c.done {
			continue
		}
		names := []string{"key " + c.Object + " " + c.Key}
		if c.Key == "" {
			names = nil
		}
		if email := c.input.Properties[emailProperty]; c.Object == contacts && email != "" {
			names = append(names, "email "+strings.ToLower(email))
		}
		for _, n := range names {
			if other := first[n]; other != nil {
				twins[c], c.done = other, true
				break
			}
		}
		if !c.done {
			for _, n := range names {
				first[n] = c
			}
		}
	}
	return twins
}

// twinError answers a create whose twin was sent instead.
func twinError(first *change) error {
	if first.result.Err != nil {
		return first.result.Err
	}
	return &crm.Error{
		Kind: crm.Exists, Op: first.Object + " batch create", Existing: crm.Ref{Object: first.Object, ID: first.result.ID},
		Message: "another change of the same round created this record",
	}
}

// waves splits the changes so that none has two for one record: HubSpot refuses
// a batch that names an id twice, and the order must hold.
func waves(all []*change) [][]*change {
	var waves [][]*change
	depth := map[crm.Ref]int{}
	for _, c := range all {
		if c.done {
			continue
		}
		n := 0
		if c.ID != "" {
			ref := crm.Ref{Object: c.Object, ID: c.ID}
			n = depth[ref]
			depth[ref]++
		}
		if n == len(waves) {
			waves = append(waves, nil)
		}
		waves[n] = append(waves[n], c)
	}
	return waves
}

func (p *Portal) writeWave(ctx context.Context, wave []*change) {
	type kind struct {
		op     crm.Op
		object string
	}
	groups := map[kind][]*change{}
	for _, c := range wave {
		k := kind{c.Op, c.Object}
		groups[k] = append(groups[k], c)
	}
	var wg sync.WaitGroup
	for k, group := range groups {
		for chunk := range slices.Chunk(group, maxInputs) {
			wg.Go(func() {
				b := &batch{portal: p, op: k.op, object: k.object}
				b.write(ctx, chunk)
				b.nameExisting(ctx, chunk)
			})
		}
	}
	wg.Wait()
}
