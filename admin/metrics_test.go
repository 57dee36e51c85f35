package admin_test

import (
	"context"
	"errors"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/store/bolt"
	"github.com/callsync/callsync/sync"
)

// scrape returns the values of all series, by name and labels as Prometheus
// writes them.
func (w *world) scrape(t *testing.T) map[string]float64 {
	t.Helper()
	r := httptest.NewRecorder()
	w.server.ServeHTTP(r, httptest.NewRequest("GET", "/metrics", nil))
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	series := map[string]float64{}
	for name, f := range families {
		for _, m := range f.Metric {
			labels := []string{}
			for _, l := range m.Label {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			suffix := ""
			if len(labels) > 0 {
				suffix = "{" + strings.Join(labels, ",") + "}"
			}
			switch {
			case m.Counter != nil:
				series[name+suffix] = m.Counter.GetValue()
			case m.Gauge != nil:
				series[name+suffix] = m.Gauge.GetValue()
			case m.Histogram != nil:
				series[name+"_count"+suffix] = float64(m.Histogram.GetSampleCount())
				series[name+"_sum"+suffix] = m.Histogram.GetSampleSum()
			}
		}
	}
	return series
}

// TestEveryMetricMoves does to a daemon what each metric is there to show.
func TestEveryMetricMoves(t *testing.T) {
	report := sync.Report{Destination: "hubspot", Calls: 4, Changes: 7, Took: time.Second, Statuses: map[store.Status]int{store.Synced: 3, store.Retrying: 1}}
	round := func(t *testing.T, w *world) { w.metrics.Round(report) }
	request := func(t *testing.T, w *world) {
		w.metrics.Request("hubspot", crm.Exchange{Operation: "calls batch create", Status: 429, Took: time.Second})
	}
	quota := func(t *testing.T, w *world) { w.loop.health.CRM = crm.Status{QuotaUsed: 3, QuotaLimit: 10} }
	phase := func(p sync.Phase) func(*testing.T, *world) {
		return func(_ *testing.T, w *world) { w.loop.health.Phase = p }
	}
	deliver := func(t *testing.T, w *world) { w.deliver(t, "call.1", julian.Voicemail) }
	answered := func(v store.Verdict, status int) func(*testing.T, *world) {
		return func(_ *testing.T, w *world) { w.metrics.Delivery(v, status, time.Second) }
	}
	moved := map[string]bool{}
	for _, x := range []struct {
		series   string
		from, to float64 // from -1: it is not there before
		act      func(*testing.T, *world)
	}{
		{"callsync_deliveries_total{verdict=accepted}", 0, 1, answered(store.Accepted, 200)},
		{"callsync_deliveries_total{verdict=revised}", 0, 1, answered(store.Revised, 200)},
		{"callsync_deliveries_total{verdict=duplicate}", 0, 1, answered(store.Duplicate, 200)},
		{"callsync_deliveries_total{verdict=stale}", 0, 1, answered(store.Stale, 200)},
		{"callsync_deliveries_total{verdict=rejected}", 0, 1, answered(store.Rejected, 401)},
		{"callsync_deliveries_rejected_total{status=401}", 0, 1, answered(store.Rejected, 401)},
		{"callsync_deliveries_rejected_total{status=413}", -1, 1, answered(store.Rejected, 413)},
		{"callsync_deliveries_unwritten_total", 0, 1, answered("", 503)},
		{"callsync_webhook_misses_total{key=accepted,status=404}", 0, 1, func(_ *testing.T, w *world) { w.metrics.Miss(404, admin.Miss{Keyed: true}) }},
		{"callsync_webhook_misses_total{key=none,status=405}", 0, 1, func(_ *testing.T, w *world) { w.metrics.Miss(405, admin.Miss{}) }},
		{"callsync_ack_seconds_count", 0, 1, answered(store.Accepted, 200)},
		{"callsync_ack_seconds_sum", 0, 1, answered(store.Accepted, 200)},
		{"callsync_journal_calls", 0, 1, deliver},
		{"callsync_journal_readable", 1, 0, func(_ *testing.T, w *world) { w.journal.Close() }},
		{"callsync_calls{destination=hubspot,state=pending}", 0, 1, deliver},
		{"callsync_destination_phase{destination=hubspot,phase=blocked}", 0, 1, phase(sync.Blocked)},
		{"callsync_destination_phase{destination=hubspot,phase=running}", 1, 0, phase(sync.Blocked)},
		{"callsync_circuit_open{destination=hubspot}", 0, 1, phase(sync.Broken)},
		{"callsync_last_sync_timestamp_seconds{destination=hubspot}", -1, 1700000000.5, func(_ *testing.T, w *world) {
			w.loop.health.LastSync = time.UnixMilli(1700000000500)
		}},
		{"callsync_crm_requests_total{destination=hubspot,operation=calls batch create,status=429}", -1, 1, request},
		{"callsync_crm_request_seconds_count{destination=hubspot}", -1, 1, request},
		{"callsync_crm_request_seconds_sum{destination=hubspot}", -1, 1, request},
		{"callsync_crm_changes_total{destination=hubspot}", -1, 7, round},
		{"callsync_crm_quota_used{destination=hubspot}", -1, 3, quota},
		{"callsync_crm_quota_limit{destination=hubspot}", -1, 10, quota},
		{"callsync_crm_quota_left{destination=hubspot}", -1, 7, quota},
		{"callsync_round_seconds_count{destination=hubspot}", -1, 1, round},
		{"callsync_round_seconds_sum{destination=hubspot}", -1, 1, round},
		{"callsync_round_calls_count{destination=hubspot}", -1, 1, round},
		{"callsync_round_calls_sum{destination=hubspot}", -1, 4, round},
		{"callsync_calls_settled_total{destination=hubspot,state=synced}", -1, 3, round},
		{"callsync_retries_total{destination=hubspot}", -1, 1, round},
		{"callsync_mapping_reloads_total{destination=hubspot,result=applied}", -1, 1, func(_ *testing.T, w *world) { w.metrics.MappingReloaded("hubspot", nil) }},
		{"callsync_mapping_reloads_total{destination=hubspot,result=broken}", -1, 1, func(_ *testing.T, w *world) { w.metrics.MappingReloaded("hubspot", errors.New("no")) }},
		{"callsync_mapping_broken{destination=hubspot}", 0, 1, func(_ *testing.T, w *world) {
			w.server.Destinations[0].Mapping = func() admin.MappingInfo { return admin.MappingInfo{Problem: "line 3"} }
		}},
		{"callsync_alerts_sent_total{result=sent,service=slack}", -1, 1, func(_ *testing.T, w *world) { w.metrics.Alert("slack", nil) }},
		{"callsync_alerts_sent_total{result=failed,service=slack}", -1, 1, func(_ *testing.T, w *world) { w.metrics.Alert("slack", errors.New("no")) }},
		{"callsync_disk_free_bytes", -1, 5, func(_ *testing.T, w *world) { w.server.Disk = func() (int64, int64, error) { return 5, 9, nil } }},
		{"callsync_disk_size_bytes", -1, 9, func(_ *testing.T, w *world) { w.server.Disk = func() (int64, int64, error) { return 5, 9, nil } }},
		{"callsync_julian_up", -1, 1, func(_ *testing.T, w *world) {
			w.server.Julian = func() admin.JulianStatus { return admin.JulianStatus{OK: true, Asked: time.Now()} }
		}},
		{"callsync_julian_up", -1, 0, func(_ *testing.T, w *world) {
			w.server.Julian = func() admin.JulianStatus { return admin.JulianStatus{Asked: time.Now()} }
		}},
		{"callsync_build_info{goversion=go1.27,revision=,version=v1.2.3}", -1, 1, func(_ *testing.T, w *world) { w.server.Build.Go = "go1.27" }},
	} {
		t.Run(x.series, func(t *testing.T) {
			w := newWorld(t)
			value := func(series map[string]float64) float64 {
				v, ok := series[x.series]
				if !ok {
					return -1
				}
				return v
			}
			if v := value(w.scrape(t)); v != x.from {
				t.Errorf("before: %v, not %v", v, x.from)
			}
			x.act(t, w)
			if v := value(w.scrape(t)); v != x.to {
				t.Errorf("after: %v, not %v", v, x.to)
			}
		})
		name, _, _ := strings.Cut(x.series, "{")
		moved[name] = true
	}
	t.Run("by themselves", func(t *testing.T) {
		w := newWorld(t)
		before := w.scrape(t)
		w.deliver(t, "call.1", julian.Voicemail)
		time.Sleep(time.Millisecond)
		w.server.Journal = grown{w.journal}
		after := w.scrape(t)
		for _, name := range []string{"callsync_journal_bytes", "callsync_oldest_unsynced_seconds{destination=hubspot}"} {
			if after[name] <= before[name] {
				t.Errorf("%s: %v, then %v", name, before[name], after[name])
			}
		}
		if s := after["callsync_start_timestamp_seconds"]; s < float64(time.Now().Add(-time.Minute).Unix()) || s > float64(time.Now().Unix()+1) {
			t.Errorf("started at %v", s)
		}
	})
	for _, name := range []string{"callsync_journal_bytes", "callsync_oldest_unsynced_seconds", "callsync_start_timestamp_seconds"} {
		moved[name] = true
	}
	names := newWorld(t).metrics.Names()
	for _, name := range names {
		if strings.HasPrefix(name, "callsync_") && !strings.HasSuffix(name, "_bucket") && !moved[name] {
			t.Errorf("no test moves %s", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(moved)) {
		if !slices.Contains(names, name) {
			t.Errorf("%s is not among the names", name)
		}
	}
}

// A grown journal is larger than it was.
type grown struct{ *bolt.Journal }

func (g grown) Stats(ctx context.Context) (store.Stats, error) {
	s, err := g.Journal.Stats(ctx)
	s.Bytes *= 2
	return s, err
}

// TestLabelsAreFew: whatever comes in, the number of series stays bounded, and
// none holds what a call says.
func TestLabelsAreFew(t *testing.T) {
	w := newWorld(t)
	w.deliver(t, "call.0", julian.Voicemail)
	before := len(w.scrape(t))
	for i := range 50 {
		w.deliver(t, "call.more-"+strings.Repeat("x", i), julian.Busy)
	}
	series := w.scrape(t)
	if len(series) != before {
		t.Errorf("%d series became %d", before, len(series))
	}
	for s := range series {
		for _, secret := range []string{"Wembly", "call.", "192.0.2.1", "agent."} {
			if strings.Contains(s, secret) {
				t.Errorf("%s holds %q", s, secret)
			}
		}
	}
}

// TestMissesInTheStatus: of what never reached the webhook the status names the last
// with an accepted key, and scanners are not in it.
func TestMissesInTheStatus(t *testing.T) {
	w := newWorld(t)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i, m := range []admin.Miss{
		{Method: "GET", Path: "/.env", Chance: true},
		{Method: "POST", Path: "/a"},
		{Method: "POST", Path: "/b", Keyed: true},
		{Method: "POST", Path: "/c"},
	} {
		m.At = at.Add(time.Duration(i) * time.Second)
		w.metrics.Miss(404, m)
	}
	s, err := w.server.Vitals(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := admin.Misses{Status: 404, Requests: 3, Keyed: 1, Last: at.Add(2 * time.Second), Method: "POST", Path: "/b"}
	if len(s.Misses) != 1 || s.Misses[0] != want {
		t.Errorf("the status has %+v, want %+v", s.Misses, want)
	}
}
