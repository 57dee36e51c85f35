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

// The loop, the journal and the shipped mapping drain 1,000 calls over 200
// people, resync them unchanged, and replay them after an edit of one field.
func TestABacklogTakesFewRequests(t *testing.T) {
	shipped, err := mappings.Builtin("salesforce", nil)
	if err != nil {
		t.Fatal(err)
	}
	source := strings.Replace(string(shipped.Source()), "'outbound': 'Outbound'", "'outbound': 'Internal'", 1)
	edited, err := mappings.Parse("edited.toml", []byte(source), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, unique := range map[string]bool{"unique keys": true, "plain keys": false} {
		t.Run(name, func(t *testing.T) {
			w := ready(t, func(s *salesforcesim.Settings) { s.ActivityUnique, s.ActivityExternalID = unique, unique })
			w.add("User", map[string]any{"Username": "host@example.com", "LastName": "Host", "Email": "host@example.com", "Alias": "host", "IsActive": true})
			w.sim.ResetCounters()
			bench := backlog.New(t, w.dest, shipped, backlog.Calls(1000, 200))
			for _, step := range []struct {
				name    string
				mapping *mappings.Mapping
				most    int
			}{{"drain", nil, 40}, {"resync", shipped, 0}, {"replay", edited, 10}} {
				if step.mapping != nil {
					bench.Resync(step.mapping)
				}
				bench.Drain()
				total, what := w.spent()
				t.Logf("%s: %d requests: %s", step.name, total, what)
				if total > step.most {
					t.Errorf("%s: %d requests, want at most %d", step.name, total, step.most)
				}
			}
			if n := len(w.sim.Records("Lead")); n != 200 {
				t.Errorf("%d leads, want 200", n)
			}
		})
	}
}
