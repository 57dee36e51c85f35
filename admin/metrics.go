package admin

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/sync"
)

// Metrics are the daemon's numbers for Prometheus, on a registry of their own.
// No label holds personal data or grows with the number of calls.
type Metrics struct {
	registry   *prometheus.Registry
	deliveries *prometheus.CounterVec
	rejected   *prometheus.CounterVec
	unwritten  prometheus.Counter
	misses     *prometheus.CounterVec
	ack        prometheus.Histogram
	reloads    *prometheus.CounterVec
	rounds     *prometheus.HistogramVec
	batch      *prometheus.HistogramVec
	changes    *prometheus.CounterVec
	settled    *prometheus.CounterVec
	retries    *prometheus.CounterVec
	requests   *prometheus.CounterVec
	request    *prometheus.HistogramVec
	alerts     *prometheus.CounterVec

	// The same counts again, as the status tells them.
	unauthorized, lost atomic.Int64
	missed             missed
}

// NewMetrics returns metrics that count nothing yet.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "callsync_deliveries_total", Help: "Deliveries recorded since start, by verdict.",
		}, []string{"verdict"}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "callsync_deliveries_rejected_total", Help: "Deliveries rejected since start, by the HTTP status answered: 401 is a missing or wrong key.",
		}, []string{"status"}),
		unwritten: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "callsync_deliveries_unwritten_total", Help: "Deliveries that the journal could not record; their senders were told to try again.",
		}),
		misses: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "callsync_webhook_misses_total", Help: "Requests since start that never reached the webhook, by the HTTP status answered (404: another path, 405: not POST, 431: too large a header) and whether they brought an accepted key.",
		}, []string{"status", "key"}),
		ack: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "callsync_ack_seconds", Help: "Time from a delivery's headers to its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "callsync_mapping_reloads_total", Help: "Mapping files read again after a change, by result: applied or broken.",
		}, []string{"destination", "result"}),
		rounds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "callsync_round_seconds", Help: "How long a round took from the journal to the CRM and back.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120},
		}, []string{"destination"}),
		batch: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "callsync_round_calls", Help: "Calls taken along in one round.",
			Buckets: []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000},
		}, []string{"destination"}),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "callsync_crm_changes_total", Help: "Changes to records that the CRM accepted since start.",
		}, []string{"destination"}),
		settled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "callsync_calls_settled_total", Help: "Calls that rounds took along since start, by the state they came out with.",
		}, []string{"destination", "state"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "callsync_retries_total", Help: "Attempts at a call after which another one was planned.",
		}, []string{"destination"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "callsync_crm_requests_total", Help: "Requests sent to the CRM since start, by operation and HTTP status; status \"none\" had no answer.",
		}, []string{"destination", "operation", "status"}),
		request: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "callsync_crm_request_seconds", Help: "Time from a request to the CRM to the header of its answer.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120},
		}, []string{"destination"}),
		alerts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "callsync_alerts_sent_total", Help: "Attempts to send an alert since start, by service and result: sent or failed.",
		}, []string{"service", "result"}),
	}
	for _, v := range store.Verdicts() {
		m.deliveries.WithLabelValues(string(v))
	}
	m.rejected.WithLabelValues(strconv.Itoa(http.StatusUnauthorized))
	for _, status := range missStatuses {
		for _, keyed := range []bool{false, true} {
			m.misses.WithLabelValues(strconv.Itoa(status), keyLabel(keyed))
		}
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.deliveries, m.rejected, m.unwritten, m.misses, m.ack, m.reloads, m.rounds, m.batch, m.changes,
		m.settled, m.retries, m.requests, m.request, m.alerts,
	)
	return m
}

// Delivery counts one answer of the receiver: what the delivery turned out to
// be, "" when nothing was recorded, and how long the answer took.
func (m *Metrics) Delivery(v store.Verdict, status int, elapsed time.Duration) {
	switch {
	case v != "":
		m.deliveries.WithLabelValues(string(v)).Inc()
	case status >= 500:
		m.unwritten.Inc()
		m.lost.Add(1)
	default: // it reached nothing, see Miss
		return
	}
	if v == store.Rejected {
		m.rejected.WithLabelValues(strconv.Itoa(status)).Inc()
	}
	if status == http.StatusUnauthorized {
		m.unauthorized.Add(1)
	}
	m.ack.Observe(elapsed.Seconds())
}

func (m *Metrics) refused() Refused {
	return Refused{Unauthorized: m.unauthorized.Load(), Unwritten: m.lost.Load()}
}

// Round counts a round of a sync loop.
func (m *Metrics) Round(r sync.Report) {
	m.rounds.WithLabelValues(r.Destination).Observe(r.Took.Seconds())
	m.batch.WithLabelValues(r.Destination).Observe(float64(r.Calls))
	m.changes.WithLabelValues(r.Destination).Add(float64(r.Changes))
	for state, n := range r.Statuses {
		m.settled.WithLabelValues(r.Destination, string(state)).Add(float64(n))
	}
	m.retries.WithLabelValues(r.Destination).Add(float64(r.Statuses[store.Retrying]))
}

// Request counts a request to a CRM: its operation as the connector names it,
// the HTTP status, 0 when there was no answer, and how long that took.
func (m *Metrics) Request(destination string, x crm.Exchange) {
	status := "none"
	if x.Status != 0 {
		status = strconv.Itoa(x.Status)
	}
	m.requests.WithLabelValues(destination, x.Operation, status).Inc()
	m.request.WithLabelValues(destination).Observe(x.Took.Seconds())
}

// Alert counts an attempt to send an alert.
func (m *Metrics) Alert(service string, err error) {
	result := "sent"
	if err != nil {
		result = "failed"
	}
	m.alerts.WithLabelValues(service, result).Inc()
}

// Names lists the metrics there can be, for what refers to them. Histograms are
// listed under the names of their series.
func (m *Metrics) Names() []string {
	ch := make(chan *prometheus.Desc)
	go func() {
		defer close(ch)
		m.registry.Describe(ch)
	}()
	histograms := map[string]bool{}
	for _, h := range []prometheus.Collector{m.ack, m.rounds, m.batch, m.request} {
		for _, name := range described(h) {
			histograms[name] = true
		}
	}
	names := []string{}
	for d := range ch {
		name := nameOf(d)
		if !histograms[name] {
			names = append(names, name)
			continue
		}
		for _, series := range []string{"_bucket", "_sum", "_count"} {
			names = append(names, name+series)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func described(c prometheus.Collector) (names []string) {
	ch := make(chan *prometheus.Desc, 16)
	c.Describe(ch)
	close(ch)
	for d := range ch {
		names = append(names, nameOf(d))
	}
	return names
}

// nameOf reads a metric's name, which the library shows only in a Desc's text.
func nameOf(d *prometheus.Desc) string {
	_, rest, _ := strings.Cut(d.String(), `fqName: "`)
	name, _, _ := strings.Cut(rest, `"`)
	return name
}

// MappingReloaded counts a reload of a destination's mapping file.
func (m *Metrics) MappingReloaded(destination string, err error) {
	result := "applied"
	if err != nil {
		result = "broken"
	}
	m.reloads.WithLabelValues(destination, result).Inc()
}

func (m *Metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// watch makes the journal's and the loops' numbers part of m.
func (m *Metrics) watch(s *Server) { m.registry.MustRegister(&snapshot{s}) }

// A snapshot collects, at the moment Prometheus asks, what is counted elsewhere.
type snapshot struct{ s *Server }

var (
	buildInfo       = prometheus.NewDesc("callsync_build_info", "Which callsync runs; always 1.", []string{"version", "revision", "goversion"}, nil)
	journalCalls    = prometheus.NewDesc("callsync_journal_calls", "Calls in the journal.", nil, nil)
	journalBytes    = prometheus.NewDesc("callsync_journal_bytes", "Size of the journal on disk.", nil, nil)
	callsDesc       = prometheus.NewDesc("callsync_calls", "Calls by destination and state.", []string{"destination", "state"}, nil)
	oldestDesc      = prometheus.NewDesc("callsync_oldest_unsynced_seconds", "Age of the oldest call still on its way to the destination; 0 when there is none.", []string{"destination"}, nil)
	lastSyncDesc    = prometheus.NewDesc("callsync_last_sync_timestamp_seconds", "When the destination last took something.", []string{"destination"}, nil)
	phaseDesc       = prometheus.NewDesc("callsync_destination_phase", "1 for the phase the destination's loop is in.", []string{"destination", "phase"}, nil)
	quotaUsed       = prometheus.NewDesc("callsync_crm_quota_used", "Requests counted against the CRM's daily quota, by everybody.", []string{"destination"}, nil)
	quotaLimit      = prometheus.NewDesc("callsync_crm_quota_limit", "The CRM's daily quota.", []string{"destination"}, nil)
	quotaLeft       = prometheus.NewDesc("callsync_crm_quota_left", "What is left of the CRM's daily quota; 0 when it is overdrawn.", []string{"destination"}, nil)
	circuitOpen     = prometheus.NewDesc("callsync_circuit_open", "1 while the circuit breaker keeps requests from the CRM after transient errors.", []string{"destination"}, nil)
	diskFree        = prometheus.NewDesc("callsync_disk_free_bytes", "What callsync may still use of the journal's file system.", nil, nil)
	diskSize        = prometheus.NewDesc("callsync_disk_size_bytes", "Size of the journal's file system.", nil, nil)
	julianUp        = prometheus.NewDesc("callsync_julian_up", "1 when 11x's REST API took the key when last asked; absent without a key.", nil, nil)
	startedDesc     = prometheus.NewDesc("callsync_start_timestamp_seconds", "When the daemon started.", nil, nil)
	mappingBad      = prometheus.NewDesc("callsync_mapping_broken", "1 while the mapping file's content cannot be used and the last good version is in force.", []string{"destination"}, nil)
	journalReadable = prometheus.NewDesc("callsync_journal_readable", "1 when the journal could be read for these metrics.", nil, nil)
)

func (c *snapshot) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		buildInfo, journalCalls, journalBytes, callsDesc, oldestDesc, lastSyncDesc, phaseDesc,
		quotaUsed, quotaLimit, quotaLeft, circuitOpen, mappingBad, journalReadable,
		diskFree, diskSize, julianUp, startedDesc,
	} {
		ch <- d
	}
}

func (c *snapshot) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	b := c.s.Build
	gauge(buildInfo, 1, b.Version, b.Revision, b.Go)
	gauge(startedDesc, float64(c.s.started.UnixMilli())/1000)
	if free, size := c.s.disk(); size > 0 {
		gauge(diskFree, float64(free))
		gauge(diskSize, float64(size))
	}
	if c.s.Julian != nil {
		if julian := c.s.Julian(); !julian.Asked.IsZero() {
			gauge(julianUp, truth(julian.OK))
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	stats, err := c.s.Journal.Stats(ctx)
	gauge(journalReadable, truth(err == nil))
	if err == nil {
		gauge(journalCalls, float64(stats.Calls))
		gauge(journalBytes, float64(stats.Bytes))
	}
	for _, d := range c.s.Destinations {
		if err == nil {
			for _, state := range store.Statuses() {
				gauge(callsDesc, float64(stats.Destinations[d.Name][state]), d.Name, string(state))
			}
			age := 0.0
			if since, ok := stats.Oldest[d.Name]; ok && !since.IsZero() {
				age = max(0, c.s.Now().Sub(since).Seconds())
			}
			gauge(oldestDesc, age, d.Name)
		}
		h := d.Sync.Health()
		for _, phase := range []sync.Phase{sync.Running, sync.Paused, sync.Blocked, sync.Broken, sync.Standby} {
			gauge(phaseDesc, truth(h.Phase == phase), d.Name, string(phase))
		}
		if !h.LastSync.IsZero() {
			gauge(lastSyncDesc, float64(h.LastSync.UnixMilli())/1000, d.Name)
		}
		gauge(circuitOpen, truth(h.Phase == sync.Broken), d.Name)
		if h.CRM.QuotaLimit > 0 {
			gauge(quotaUsed, float64(h.CRM.QuotaUsed), d.Name)
			gauge(quotaLimit, float64(h.CRM.QuotaLimit), d.Name)
			gauge(quotaLeft, float64(max(0, h.CRM.QuotaLimit-h.CRM.QuotaUsed)), d.Name)
		}
		if d.Mapping != nil {
			gauge(mappingBad, truth(d.Mapping().Problem != ""), d.Name)
		}
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
