package hubspot_test

import (
	"context"
	"fmt"
	"maps"
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

// A portal is a HubSpot sandbox over HTTP with a connector that is set up in it.
type portal struct {
	sim  *hubspotsim.Server
	dest crm.Destination
}

func openPortal(tb testing.TB, m *mappings.Mapping, limited bool) *portal {
	tb.Helper()
	settings := hubspotsim.DefaultSettings()
	if !limited {
		settings.Unlimited()
	}
	sim := hubspotsim.New(hubspotsim.Options{Settings: &settings, Owners: []hubspotsim.Owner{{Email: "host@example.com"}}})
	server := httptest.NewServer(sim)
	tb.Cleanup(server.Close)
	d, err := crm.Open(crm.Settings{Name: "bench", Type: "hubspot", BaseURL: server.URL, AccessToken: hubspotsim.DefaultToken})
	if err != nil {
		tb.Fatal(err)
	}
	steps, err := d.(crm.Inspector).SetupPlan(context.Background(), m.Declared())
	if err != nil {
		tb.Fatal(err)
	}
	if err := d.(crm.Inspector).Setup(context.Background(), steps); err != nil {
		tb.Fatal(err)
	}
	sim.ResetCounters()
	return &portal{sim, d}
}

// spent says what requests were sent, and what for.
func (p *portal) spent() (total int, what string) {
	counts := p.sim.Counts()
	var parts []string
	for _, op := range slices.Sorted(maps.Keys(counts)) {
		total += counts[op].Total
		parts = append(parts, fmt.Sprintf("%s %d", op, counts[op].Total))
	}
	p.sim.ResetCounters()
	return total, strings.Join(parts, ", ")
}

// BenchmarkBacklog drains 1,000 calls over 200 people, resyncs them unchanged,
// and replays them after an edit of one field.
func BenchmarkBacklog(b *testing.B) {
	shipped, err := mappings.Builtin("hubspot", nil)
	if err != nil {
		b.Fatal(err)
	}
	edited, err := mappings.Parse("edited.toml", []byte(strings.Replace(string(shipped.Source()), "hs_call_title", "hs_call_source", 1)), nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		p := openPortal(b, shipped, false)
		bench := backlog.New(b, p.dest, shipped, backlog.Calls(1000, 200))
		bench.Drain()
		drain, what := p.spent()
		b.Logf("drain: %d requests: %s", drain, what)
		bench.Resync(shipped)
		bench.Drain()
		resync, what := p.spent()
		b.Logf("resync unchanged: %d requests: %s", resync, what)
		bench.Resync(edited)
		bench.Drain()
		replay, what := p.spent()
		b.Logf("replay after editing a field: %d requests: %s", replay, what)
		b.ReportMetric(float64(drain), "requests/drain")
		b.ReportMetric(float64(resync), "requests/resync")
		b.ReportMetric(float64(replay), "requests/replay")
	}
}
