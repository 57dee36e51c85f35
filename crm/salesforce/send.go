package salesforce

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/callsync/callsync/crm"
)

var methods = map[crm.Op]string{crm.Create: http.MethodPost, crm.Update: http.MethodPatch, crm.Archive: http.MethodDelete}

// sendCollections sends requests in order. After one that failed as a whole for
// a reason that concerns them all, the rest are answered with its error, unsent.
func (w *writing) sendCollections(ctx context.Context, requests [][]*item) {
	for i, items := range requests {
		if err := w.sendCollection(ctx, items); err != nil {
			for _, rest := range requests[i:] {
				w.answer(rest, err)
			}
			return
		}
	}
}

func (w *writing) answer(items []*item, err error) {
	for _, it := range items {
		if w.results[it.index].Err == nil {
			w.results[it.index].Err = err
		}
	}
}

// maxHalvings bounds the requests that one Write spends on finding the items
// that made Salesforce refuse a whole collection.
const maxHalvings = 40

// sendCollection sends one collection and settles its items. A collection that
// Salesforce refuses as malformed wrote nothing: it is halved until the item at
// fault is alone. The error is one that concerns every request; the items it
// leaves unsettled are the caller's.
func (w *writing) sendCollection(ctx context.Context, items []*item) error {
	op := "records " + string(items[0].op)
	var answers []struct {
		ID      string     `json:"id"`
		Success bool       `json:"success"`
		Errors  []apiError `json:"errors"`
	}
	err := w.postCollection(ctx, op, items, &answers)
	if err == nil && len(answers) != len(items) {
		err = &crm.Error{Kind: crm.Transient, Op: op, Message: "the answer does not have a result for every record"}
	}
	if err != nil {
		var e *crm.Error
		if crm.KindOf(err) != crm.Permanent {
			return err
		}
		if len(items) == 1 || w.halvings == maxHalvings || !errors.As(err, &e) || e.Status != http.StatusBadRequest {
			w.answer(items, err)
			return nil
		}
		w.halvings++
		half := len(items) / 2
		if err := w.sendCollection(ctx, items[:half]); err != nil {
			return err
		}
		return w.sendCollection(ctx, items[half:])
	}
	for i, it := range items {
		errs := answers[i].Errors
		if !answers[i].Success && len(errs) == 0 {
			errs = []apiError{{}}
		}
		w.settle(it, it.object+" "+string(it.op), 0, answers[i].ID, errs)
	}
	return nil
}

func (w *writing) postCollection(ctx context.Context, op string, items []*item, out any) error {
	path := w.c.client.data("composite/sobjects")
	if items[0].op == crm.Archive {
		var ids []string
		for _, it := range items {
			ids = append(ids, it.id)
		}
		q := call{op: op, method: http.MethodDelete, path: path + "?allOrNone=false&ids=" + url.QueryEscape(strings.Join(ids, ","))}
		return w.c.client.send(ctx, q, out)
	}
	records := make([]map[string]any, len(items))
	for i, it := range items {
		r := maps.Clone(it.body)
		r["attributes"] = map[string]string{"type": it.table}
		if it.id != "" {
			r["id"] = it.id
		}
		records[i] = r
	}
	body := map[string]any{"allOrNone": false, "records": records}
	return w.c.client.sendJSON(ctx, op, methods[items[0].op], path, body, out)
}

// A node is one operation of a composite graph.
type node struct {
	Method      string         `json:"method"`
	URL         string         `json:"url"`
	ReferenceID string         `json:"referenceId"`
	Body        map[string]any `json:"body,omitempty"`
}

// A nodeAnswer is a node's outcome. Its body is an id with success, an array of
// errors, or nothing.
type nodeAnswer struct {
	Body           json.RawMessage `json:"body"`
	HTTPStatusCode int             `json:"httpStatusCode"`
	ReferenceID    string          `json:"referenceId"`
}

// sendGraphs sends graphs and settles their items, but for those that were
// rolled back or never begun because of another one's failure: it returns them,
// and they were certainly not written.
func (w *writing) sendGraphs(ctx context.Context, requests [][][]*item) []*item {
	var halted []*item
	for i, graphs := range requests {
		again, err := w.sendGraph(ctx, graphs)
		halted = append(halted, again...)
		if err == nil {
			continue
		}
		if crm.KindOf(err) == crm.Permanent {
			// Refused as malformed, so nothing was written; collections isolate.
			halted = append(halted, slices.Concat(graphs...)...)
			continue
		}
		for _, rest := range requests[i:] {
			w.answer(slices.Concat(rest...), err)
		}
		w.answer(halted, err)
		return nil
	}
	return halted
}

func (w *writing) sendGraph(ctx context.Context, graphs [][]*item) ([]*item, error) {
	type graph struct {
		GraphID          string `json:"graphId"`
		CompositeRequest []node `json:"compositeRequest"`
	}
	var body struct {
		Graphs []graph `json:"graphs"`
	}
	items := map[string]*item{}
	for i, group := range graphs {
		g := graph{GraphID: "g" + strconv.Itoa(i)}
		for _, it := range group {
			items[it.reference()] = it
			g.CompositeRequest = append(g.CompositeRequest, w.node(it))
		}
		body.Graphs = append(body.Graphs, g)
	}
	var answer struct {
		Graphs []struct {
			GraphResponse struct {
				CompositeResponse []nodeAnswer `json:"compositeResponse"`
			} `json:"graphResponse"`
			IsSuccessful bool `json:"isSuccessful"`
		} `json:"graphs"`
	}
	err := w.c.client.sendJSON(ctx, "composite graph", http.MethodPost, w.c.client.data("composite/graph"), body, &answer)
	if err != nil {
		return nil, err
	}
	var halted []*item
	for _, g := range answer.Graphs {
		for _, n := range g.GraphResponse.CompositeResponse {
			it, ok := items[n.ReferenceID]
			if !ok {
				continue
			}
			delete(items, n.ReferenceID)
			if !w.settleNode(it, n, g.IsSuccessful) {
				halted = append(halted, it)
			}
		}
	}
	for _, it := range items { // whatever became of them, it was not said
		w.results[it.index].Err = &crm.Error{Kind: crm.Transient, Op: "composite graph", Message: "the answer does not have a result for every record"}
	}
	slices.SortFunc(halted, func(a, b *item) int { return a.index - b.index })
	return halted, nil
}

// refersToNodes reports whether a value of the item would be taken, in a graph,
// for a reference to another node's outcome. There is no way to escape it.
func refersToNodes(it *item) bool {
	for _, v := range it.body {
		if s, ok := v.(string); ok && strings.Contains(s, "@{") {
			return true
		}
	}
	return false
}

func (w *writing) node(it *item) node {
	url := "/" + w.c.client.data("sobjects/"+it.table+"/")
	return node{Method: methods[it.op], URL: url + it.id, ReferenceID: it.reference(), Body: it.body}
}

// settleNode records a node's outcome. It answers false for a node that was
// halted or rolled back through no fault of its own.
func (w *writing) settleNode(it *item, n nodeAnswer, committed bool) bool {
	op := it.object + " " + string(it.op)
	if n.HTTPStatusCode >= 200 && n.HTTPStatusCode <= 299 {
		if !committed {
			return false
		}
		var ok struct {
			ID string `json:"id"`
		}
		_ = json.Unmarshal(n.Body, &ok) // updates and deletions have no body
		w.settle(it, op, n.HTTPStatusCode, ok.ID, nil)
		return true
	}
	var errs []apiError
	if json.Unmarshal(n.Body, &errs) != nil || len(errs) == 0 {
		errs = []apiError{{}}
	}
	if errs[0].code() == "PROCESSING_HALTED" {
		return false
	}
	w.settle(it, op, n.HTTPStatusCode, "", errs)
	return true
}
