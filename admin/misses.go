package admin

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A Miss is a request that never reached the webhook, as its receiver describes
// it. Path is fit to be shown. Chance marks what looks like a scanner or a health
// check.
type Miss struct {
	At     time.Time
	Method string
	Path   string
	Keyed  bool // it brought an accepted key
	Chance bool
}

// Misses counts, since the daemon started, requests that never reached the webhook
// but look as if they were meant for it.
type Misses struct {
	Status   int   `json:"status"` // answered: 404 another path, 405 no POST, 431 too large a header
	Requests int64 `json:"requests"`
	Keyed    int64 `json:"keyed,omitempty"` // those with an accepted key
	// The last one of those with an accepted key, else of all.
	Last   time.Time `json:"last"`
	Method string    `json:"method"`
	Path   string    `json:"path"`
}

// missed keeps one row for each status.
type missed struct {
	mu       sync.Mutex
	byStatus map[int]*Misses
}

func (m *missed) add(status int, miss Miss) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byStatus == nil {
		m.byStatus = map[int]*Misses{}
	}
	row := m.byStatus[status]
	if row == nil {
		row = &Misses{Status: status}
		m.byStatus[status] = row
	}
	row.Requests++
	if miss.Keyed {
		row.Keyed++
	}
	if miss.Keyed || row.Keyed == 0 {
		row.Last, row.Method, row.Path = miss.At, miss.Method, miss.Path
	}
}

func (m *missed) list() []Misses {
	m.mu.Lock()
	defer m.mu.Unlock()
	var rows []Misses
	for _, status := range slices.Sorted(maps.Keys(m.byStatus)) {
		rows = append(rows, *m.byStatus[status])
	}
	return rows
}

// Miss counts a request that never reached the webhook, and the HTTP status it was
// answered.
func (m *Metrics) Miss(status int, miss Miss) {
	m.misses.WithLabelValues(strconv.Itoa(status), keyLabel(miss.Keyed)).Inc()
	if !miss.Chance {
		m.missed.add(status, miss)
	}
}

func keyLabel(accepted bool) string {
	if accepted {
		return "accepted"
	}
	return "none"
}

// missStatuses are what misses are answered.
var missStatuses = []int{http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusRequestHeaderFieldsTooLarge}
