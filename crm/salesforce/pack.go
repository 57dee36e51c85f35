package salesforce

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/callsync/callsync/crm"
)

// Limits of one request (REST API Developer Guide, "sObject Collections" and
// "Composite Graph Limits").
const (
	maxCollection = 200 // records
	maxTypes      = 10  // chunks of one type each
	maxGraphs     = 75
	maxNodes      = 500
	maxKinds      = 15 // different nodes: type and method
)

// byParent groups items by the record whose lock they take, in order of its id:
// requests that lock the same rows then do so in the same order. Items without a
// parent are groups of their own.
func byParent(items []*item) [][]*item {
	sorted := slices.Clone(items)
	slices.SortStableFunc(sorted, func(a, b *item) int { return cmp.Compare(a.parent, b.parent) })
	var groups [][]*item
	for i, it := range sorted {
		if i > 0 && it.parent != "" && it.parent == sorted[i-1].parent {
			groups[len(groups)-1] = append(groups[len(groups)-1], it)
		} else {
			groups = append(groups, []*item{it})
		}
	}
	return groups
}

// collectionRequests packs items into sObject Collections, which take one
// operation each. A parent's items stay together; a collection is ordered by
// type, so that it has one chunk a type, then by parent.
func collectionRequests(items []*item) [][]*item {
	var out [][]*item
	for _, op := range []crm.Op{crm.Create, crm.Update, crm.Archive} {
		var ofOp []*item
		for _, it := range items {
			if it.op == op {
				ofOp = append(ofOp, it)
			}
		}
		var current []*item
		types := map[string]bool{}
		flush := func() {
			if len(current) > 0 {
				slices.SortStableFunc(current, func(a, b *item) int { return cmp.Compare(a.table, b.table) })
				out = append(out, current)
			}
			current, types = nil, map[string]bool{}
		}
		for _, group := range byParent(ofOp) {
			if len(group) <= maxCollection && len(current)+len(group) > maxCollection {
				flush()
			}
			for _, it := range group {
				if len(current) == maxCollection || !types[it.table] && len(types) == maxTypes {
					flush()
				}
				current = append(current, it)
				types[it.table] = true
			}
		}
		flush()
	}
	return out
}

// graphRequests packs items into composite graphs, one graph a parent: a graph
// fails as a whole, so unrelated records do not share one.
func graphRequests(items []*item) [][][]*item {
	var out [][][]*item
	var current [][]*item
	nodes, kinds := 0, map[string]bool{}
	for _, parent := range byParent(items) {
		for graph := range slices.Chunk(parent, maxNodes) {
			fresh := 0
			for _, k := range kindsOf(graph) {
				if !kinds[k] {
					fresh++
				}
			}
			if len(current) == maxGraphs || nodes+len(graph) > maxNodes || len(current) > 0 && len(kinds)+fresh > maxKinds {
				out, current = append(out, current), nil
				nodes, kinds = 0, map[string]bool{}
			}
			current = append(current, graph)
			nodes += len(graph)
			for _, k := range kindsOf(graph) {
				kinds[k] = true
			}
		}
	}
	if len(current) > 0 {
		out = append(out, current)
	}
	return out
}

func kindsOf(graph []*item) []string {
	var out []string
	for _, it := range graph {
		if k := string(it.op) + " " + it.table; !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

// reference is an item's name within a request.
func (it *item) reference() string { return "r" + strconv.Itoa(it.index) }
