package salesforce

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/callsync/callsync/crm"
)

func drawItems(t *rapid.T) []*item {
	n := rapid.SampledFrom([]int{0, 1, 60, 199, 200, 201, 450, 900, 1500}).Draw(t, "items")
	parents := rapid.SampledFrom([]int{1, 3, 20, 74, 75, 76, 300}).Draw(t, "parents")
	types := rapid.IntRange(1, 14).Draw(t, "types")
	items := make([]*item, n)
	seed := rapid.Uint64().Draw(t, "seed")
	next := func(m int) int {
		seed = seed*6364136223846793005 + 1442695040888963407
		return int(seed >> 33 % uint64(m))
	}
	for i := range items {
		items[i] = &item{
			index: i, table: fmt.Sprintf("T%02d__c", next(types)),
			op: []crm.Op{crm.Create, crm.Update, crm.Archive}[next(3)],
		}
		if next(5) > 0 {
			items[i].parent = fmt.Sprintf("p%d", next(parents))
		}
	}
	return items
}

func TestCollectionsKeepTheLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := drawItems(t)
		seen := map[int]bool{}
		requestOf := map[string]map[int]int{} // operation and parent, by request
		for n, request := range collectionRequests(items) {
			if len(request) == 0 || len(request) > maxCollection {
				t.Fatalf("a collection of %d", len(request))
			}
			chunks := 0
			for i, it := range request {
				if i == 0 || it.table != request[i-1].table {
					chunks++
				}
				if it.op != request[0].op || seen[it.index] {
					t.Fatalf("item %d, %s, does not belong into a collection of %s", it.index, it.op, request[0].op)
				}
				if i > 0 && it.table == request[i-1].table && it.parent < request[i-1].parent {
					t.Fatalf("parent %s after %s", it.parent, request[i-1].parent)
				}
				seen[it.index] = true
				if it.parent != "" {
					k := string(it.op) + it.parent
					if requestOf[k] == nil {
						requestOf[k] = map[int]int{}
					}
					requestOf[k][n]++
				}
			}
			if chunks > maxTypes {
				t.Fatalf("%d chunks in a collection", chunks)
			}
		}
		if len(seen) != len(items) {
			t.Fatalf("%d items sent, want %d", len(seen), len(items))
		}
		types := map[string]bool{}
		for _, it := range items {
			types[it.table] = true
		}
		for parent, requests := range requestOf {
			total := 0
			for _, n := range requests {
				total += n
			}
			if len(requests) > 1 && total <= maxCollection && len(types) <= maxTypes {
				t.Fatalf("%d items of %s in %d collections", total, parent, len(requests))
			}
		}
	})
}

func TestGraphsKeepTheLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := drawItems(t)
		seen := map[int]bool{}
		for _, request := range graphRequests(items) {
			nodes, kinds := 0, map[string]bool{}
			for _, graph := range request {
				for _, it := range graph {
					if seen[it.index] || it.parent != graph[0].parent || it.parent == "" && len(graph) > 1 {
						t.Fatalf("item %d of parent %q does not belong into a graph of %q", it.index, it.parent, graph[0].parent)
					}
					seen[it.index] = true
					nodes++
					kinds[string(it.op)+it.table] = true
				}
			}
			if len(request) == 0 || len(request) > maxGraphs || nodes > maxNodes {
				t.Fatalf("%d graphs with %d nodes", len(request), nodes)
			}
			if len(kinds) > maxKinds && len(request) > 1 {
				t.Fatalf("%d kinds of nodes", len(kinds))
			}
		}
		if len(seen) != len(items) {
			t.Fatalf("%d items sent, want %d", len(seen), len(items))
		}
	})
}
