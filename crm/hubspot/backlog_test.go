package hubspot_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/callsync/callsync/crm"
	_ "github.com/callsync/callsync/crm/hubspot"
	"github.com/callsync/callsync/crm/sandbox/hubspotsim"
	"github.com/callsync/callsync/internal/backlog"
	"github.com/callsync/callsync/mappings"
)

// A busyPortal is a HubSpot sandbox on the wall clock, with a connector that is
// set up in it.
type busyPortal struct {
	sim  *hubspotsim.Server
	dest crm.Destination
}

func openBusy(b *testing.B, m *mappings.Mapping, settings *hubspotsim.Settings) *busyPortal {
	b.Helper()
	sim := hubspotsim.New(hubspotsim.Options{Settings: settings, Owners: []hubspotsim.Owner{{Email: "host@example.com"}}})
	server := httptest.NewServer(sim)
	b.Cleanup(server.Close)
	s := crm.Settings{Name: "bench", Type: "hubspot", BaseURL: server.URL, AccessToken: hubspotsim.DefaultToken, Memory: &memory{}}
	if settings.TenSecondLimit == 0 {
		s.RatePerSecond, s.SearchPerSecond = 1e6, 1e6
	}
	d, err := crm.Open(s)
	if err != nil {
		b.Fatal(err)
	}
	steps, err := d.(crm.Inspector).SetupPlan(context.Background(), m.Declared())
	if err != nil {
		b.Fatal(err)
	}
	if err := d.(crm.Inspector).Setup(context.Background(), steps); err != nil {
		b.Fatal(err)
	}
	sim.ResetCounters()
	return &busyPortal{sim, d}
}

// spent says how many requests were sent since it was last asked, what for, and
// how many were refused for being too many.
func (p *busyPortal) spent() (total, tooMany int, what string) {
	counts := p.sim.Counts()
	var parts []string
	for _, op := range slices.Sorted(maps.Keys(counts)) {
		total += counts[op].Requests
		tooMany += counts[op].Statuses[http.StatusTooManyRequests]
		parts = append(parts, fmt.Sprintf("%s %d", op, counts[op].Requests))
	}
	p.sim.ResetCounters()
	return total, tooMany, strings.Join(parts, ", ")
}

func unlimited() *hubspotsim.Settings {
	s := hubspotsim.DefaultSettings()
	s.TenSecondLimit, s.SearchesPerSecond = 0, 0
	return s
}

// BenchmarkBacklog drains 1,000 calls over 200 people, resyncs them unchanged,
// and replays them after an edit of one field.
func BenchmarkBacklog(b *testing.B) {
	shipped, err := mappings.Builtin("hubspot", nil)
	if err != nil {
		b.Fatal(err)
	}
	source := strings.Replace(string(shipped.Source()), "'outbound': 'OUTBOUND'", "'outbound': 'INBOUND'", 1)
	edited, err := mappings.Parse("edited.toml", []byte(source), nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		p := openBusy(b, shipped, unlimited())
		bench := backlog.New(b, p.dest, shipped, backlog.Calls(1000, 200))
		for _, step := range []struct {
			name    string
			mapping *mappings.Mapping
		}{{"drain", nil}, {"resync", shipped}, {"replay", edited}} {
			if step.mapping != nil {
				bench.Resync(step.mapping)
			}
			bench.Drain()
			total, _, what := p.spent()
			b.Logf("%s: %d requests: %s", step.name, total, what)
			b.ReportMetric(float64(total), "requests/"+step.name)
		}
	}
}

// BenchmarkLimits drains 20,000 calls over 4,000 people from a Professional
// portal that enforces its limits.
func BenchmarkLimits(b *testing.B) {
	shipped, err := mappings.Builtin("hubspot", nil)
	if err != nil {
		b.Fatal(err)
	}
	const calls = 20_000
	for b.Loop() {
		p := openBusy(b, shipped, hubspotsim.DefaultSettings())
		bench := backlog.New(b, p.dest, shipped, backlog.Calls(calls, calls/5))
		took := bench.Drain()
		total, tooMany, what := p.spent()
		b.Logf("%d requests, %d of them answered 429: %s", total, tooMany, what)
		b.ReportMetric(calls/took.Seconds(), "calls/s")
		b.ReportMetric(float64(tooMany), "429s")
		b.ReportMetric(float64(total), "requests")
	}
}
