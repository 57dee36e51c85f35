package salesforce_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/callsync/callsync/crm/sandbox/salesforcesim"
	"github.com/callsync/callsync/internal/backlog"
	"github.com/callsync/callsync/mappings"
)

// spent says how many requests the connector sent since it was last asked, and
// what for. Those for a token do not count against an org's limit.
func (w *world) spent() (total int, what string) {
	counts := w.sim.Counts()
	var parts []string
	for _, op := range slices.Sorted(maps.Keys(counts)) {
		if op != "token" {
			total += counts[op].Requests
			parts = append(parts, fmt.Sprintf("%s %d", op, counts[op].Requests))
		}
	}
	w.sim.ResetCounters()
	return total, strings.Join(parts, ", ")
}

// A step is what is done to a backlog of 1,000 calls over 200 people, by the
// loop, the journal and the shipped mapping: it is drained, resynced unchanged,
// and replayed after an edit of one field.
type step struct {
	name     string
	requests int
	what     string
}

func drainBacklog(tb testing.TB, uniqueKeys bool) []step {
	tb.Helper()
	shipped, err := mappings.Builtin("salesforce", nil)
	if err != nil {
		tb.Fatal(err)
	}
	source := strings.Replace(string(shipped.Source()), "'outbound': 'Outbound'", "'outbound': 'Internal'", 1)
	edited, err := mappings.Parse("edited.toml", []byte(source), nil)
	if err != nil {
		tb.Fatal(err)
	}
	w := ready(tb, func(s *salesforcesim.Settings) { s.ActivityUnique, s.ActivityExternalID = uniqueKeys, uniqueKeys })
	w.add("User", map[string]any{"Username": "host@example.com", "LastName": "Host", "Email": "host@example.com", "Alias": "host", "IsActive": true})
	w.sim.ResetCounters()
	bench := backlog.New(tb, w.dest, shipped, backlog.Calls(1000, 200))
	steps := []step{{name: "drain"}, {name: "resync"}, {name: "replay"}}
	for i, m := range []*mappings.Mapping{nil, shipped, edited} {
		if m != nil {
			bench.Resync(m)
		}
		bench.Drain()
		steps[i].requests, steps[i].what = w.spent()
	}
	if n := len(w.sim.Records("Lead")); n != 200 {
		tb.Errorf("%d leads, want 200", n)
	}
	return steps
}

func TestABacklogTakesFewRequests(t *testing.T) {
	if testing.Short() {
		t.Skip("drains 2,000 calls")
	}
	for name, unique := range map[string]bool{"unique keys": true, "plain keys": false} {
		t.Run(name, func(t *testing.T) {
			for i, s := range drainBacklog(t, unique) {
				t.Logf("%s: %d requests: %s", s.name, s.requests, s.what)
				if most := []int{40, 0, 10}[i]; s.requests > most {
					t.Errorf("%s: %d requests, want at most %d", s.name, s.requests, most)
				}
			}
		})
	}
}

func BenchmarkBacklog(b *testing.B) {
	for name, unique := range map[string]bool{"unique keys": true, "plain keys": false} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				for _, s := range drainBacklog(b, unique) {
					b.Logf("%s: %d requests: %s", s.name, s.requests, s.what)
					b.ReportMetric(float64(s.requests), "requests/"+s.name)
				}
			}
		})
	}
}
