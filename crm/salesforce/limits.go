package salesforce

import (
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/callsync/callsync/crm"
)

const (
	// defaultShare of an org's daily API requests may be used up, by anybody,
	// before callsync stops and leaves the rest to others.
	defaultShare = 0.8
	// quotaPause is how long to wait before looking whether usage, counted over
	// a rolling 24 hours, has fallen.
	quotaPause = 15 * time.Minute
	// quotaLook is how soon somebody who asks for it, as by `callsync unpause`,
	// may have it looked at again.
	quotaLook = 15 * time.Second
)

// A meter knows the daily quota and counts requests.
type meter struct {
	share float64
	now   func() time.Time

	mu       sync.Mutex
	requests map[string]int64
	used     int64
	limit    int64
	looked   time.Time // while over the share: when a request was let pass
}

func newMeter(share float64, now func() time.Time) *meter {
	if share <= 0 || share > 1 {
		share = defaultShare
	}
	return &meter{share: share, now: now, requests: map[string]int64{}}
}

// admit counts a request that is about to be sent, or refuses it because the
// org's usage has reached callsync's share. Whoever waits as long as the refusal
// says, or asks again after quotaLook, has one request pass, so that its answer
// tells when usage has fallen.
func (m *meter) admit(op string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.limit > 0 && float64(m.used) >= m.share*float64(m.limit) {
		now := m.now()
		if since := now.Sub(m.looked); since >= 0 && since < quotaLook {
			return &crm.Error{
				Kind: crm.Quota, Op: op, RetryAfter: quotaPause - since,
				Message: fmt.Sprintf("the org has used %d of its %d API requests per 24 hours; callsync leaves the last %.0f%% to others",
					m.used, m.limit, 100*(1-m.share)),
				Hint: "it goes on by itself as usage falls; `callsync unpause` looks again, within a minute; raise the destination's quota_share to let callsync use more",
			}
		}
		m.looked = now
	}
	m.requests[op]++
	return nil
}

// count counts a request outside the quota.
func (m *meter) count(op string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests[op]++
}

// observe reads Sforce-Limit-Info, such as "api-usage=18/5000" (REST API
// Developer Guide, "Limit Info Header").
func (m *meter) observe(h http.Header) {
	for part := range strings.SplitSeq(strings.Join(h.Values("Sforce-Limit-Info"), ";"), ";") {
		usage, ok := strings.CutPrefix(strings.TrimSpace(part), "api-usage=")
		if !ok {
			continue
		}
		u, l, _ := strings.Cut(usage, "/")
		used, errU := strconv.ParseInt(strings.TrimSpace(u), 10, 64)
		limit, errL := strconv.ParseInt(strings.TrimSpace(l), 10, 64)
		if errU != nil || errL != nil || limit <= 0 {
			continue
		}
		m.mu.Lock()
		crossed := float64(m.used) < m.share*float64(m.limit) || m.limit == 0
		m.used, m.limit = used, limit
		if crossed && float64(used) >= m.share*float64(limit) {
			m.looked = m.now()
		}
		m.mu.Unlock()
	}
}

func (m *meter) status() crm.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return crm.Status{Requests: maps.Clone(m.requests), QuotaUsed: m.used, QuotaLimit: m.limit}
}
