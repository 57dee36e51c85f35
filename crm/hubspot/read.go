package hubspot

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/callsync/callsync/crm"
)

// Read returns the records as they stand, merges followed: HubSpot answers for a
// merged contact with the record it went into. None is said to be gone before it is
// sure that the portal is still the same.
func (p *Portal) Read(ctx context.Context, refs []crm.Ref, properties []string) ([]crm.Snapshot, error) {
	mark := p.account.mark()
	ids := map[string][]string{}
	for _, r := range refs {
		ids[r.Object] = append(ids[r.Object], r.ID)
	}
	found := map[string][]record{}
	for object, list := range ids {
		records, err := p.byID(ctx, object, list, properties)
		if err != nil {
			return nil, p.believe(ctx, mark, err)
		}
		found[object] = records
	}
	snapshots := make([]crm.Snapshot, len(refs))
	for i, r := range refs {
		o, ok := pick(found[r.Object], r.ID)
		if !ok {
			snapshots[i].Gone = true
			continue
		}
		snapshots[i] = crm.Snapshot{
			Ref:        crm.Ref{Object: r.Object, ID: string(o.ID)},
			Properties: o.Properties,
			Modified:   o.modified(),
		}
	}
	if slices.ContainsFunc(snapshots, func(s crm.Snapshot) bool { return s.Gone }) {
		if err := p.confirm(ctx, mark); err != nil {
			return nil, err
		}
	}
	return snapshots, nil
}

// pick returns the record that answers to an id now.
func pick(records []record, id string) (record, bool) {
	i := slices.IndexFunc(records, func(o record) bool { return string(o.ID) == id })
	if i < 0 {
		i = slices.IndexFunc(records, func(o record) bool { return o.answersTo(id) })
	}
	if i < 0 || records[i].Archived {
		return record{}, false
	}
	return records[i], true
}

// byID reads records by id. Those that are gone are left out.
func (p *Portal) byID(ctx context.Context, object string, ids, properties []string) ([]record, error) {
	if object == contacts && !slices.Contains(properties, mergedIDs) {
		properties = append(slices.Clone(properties), mergedIDs)
	}
	// An id that is no number would have the whole batch refused.
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !isID(id) })
	return p.batchRead(ctx, object, "", ids, properties)
}

// batchRead reads records by id or by a unique property, 100 a request. It is
// not subject to the search index's lag.
func (p *Portal) batchRead(ctx context.Context, object, idProperty string, ids, properties []string) ([]record, error) {
	ids = slices.Sorted(slices.Values(ids))
	ids = slices.Compact(ids)
	chunks := slices.Collect(slices.Chunk(ids, maxInputs))
	found := make([][]record, len(chunks))
	group, ctx := errgroup.WithContext(ctx)
	for i, chunk := range chunks {
		group.Go(func() (err error) {
			found[i], err = p.readChunk(ctx, object, idProperty, chunk, properties)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(found...), nil
}

// readChunk reads at most 100 records. HubSpot answers for missing ones with an
// error each, with one error that lists them, or by refusing the batch.
func (p *Portal) readChunk(ctx context.Context, object, idProperty string, ids, properties []string) ([]record, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	inputs := make([]idOnly, len(ids))
	for i, id := range ids {
		inputs[i].ID = text(id)
	}
	op := object + " batch read"
	var a batchAnswer
	f, err := p.do(ctx, request{
		op:     op,
		method: http.MethodPost,
		path:   p.paths.objects + object + "/batch/read",
		body:   batchRequest{Inputs: inputs, IDProperty: idProperty, Properties: properties},
	}, &a)
	if err != nil && crm.KindOf(err) == crm.Gone {
		missing := f.ids()
		rest := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return slices.Contains(missing, id) })
		if len(rest) < len(ids) || len(ids) == 1 {
			return p.readChunk(ctx, object, idProperty, rest[:min(len(rest), len(ids)-1)], properties)
		}
	}
	if err != nil {
		return nil, err
	}
	for _, f := range a.Errors {
		f = f.unfold()
		if f.Category != "OBJECT_NOT_FOUND" {
			return nil, describe(op, statusOf(f.Category), f, nil)
		}
	}
	return a.Results, nil
}

func isID(s string) bool {
	return s != "" && len(s) <= 20 && strings.Trim(s, "0123456789") == ""
}
