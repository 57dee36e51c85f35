package sandbox

import (
	"maps"
	"sync"
	"time"
	"unicode/utf8"
)

// keepBody is how much of each body the log holds, in bytes.
const keepBody = 64 << 10

// Request is one request as the log keeps it.
type Request struct {
	// N numbers the requests from 1 since the last reset.
	N         int       `json:"n"`
	Time      time.Time `json:"time"`
	Operation string    `json:"operation"`
	Method    string    `json:"method"`
	Path      string    `json:"path"`
	Query     string    `json:"query,omitempty"`
	// Body is cut after 64 KiB.
	Body string `json:"body,omitempty"`
	// Status is what the client was sent; 0 when it was sent nothing, because
	// the connection was dropped or the answer is still held back.
	Status int `json:"status"`
	// Handled is what the CRM made of the request; 0 when a fault kept the
	// request from it.
	Handled int `json:"handled"`
	// Fault is the id of the fault that struck.
	Fault string `json:"fault,omitempty"`
}

// Count is how often one operation was asked for since the last reset.
type Count struct {
	Requests int `json:"requests"`
	// Statuses counts the answers sent, by HTTP status; 0 is none.
	Statuses map[int]int `json:"statuses"`
	// Faults counts the requests that a fault struck.
	Faults int `json:"faults,omitempty"`
}

type requestLog struct {
	keep int

	mu     sync.Mutex
	epoch  int // resets so far, so that a late answer finds its own count or none
	total  int
	ring   []Request // the newest, oldest at total%keep once full
	counts map[string]*Count
}

type logID struct{ epoch, n int }

func (l *requestLog) add(r Request) logID {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total++
	r.N = l.total
	if len(l.ring) < l.keep {
		l.ring = append(l.ring, r)
	} else {
		l.ring[(r.N-1)%l.keep] = r
	}
	if l.counts == nil {
		l.counts = map[string]*Count{}
	}
	n := l.counts[r.Operation]
	if n == nil {
		n = &Count{Statuses: map[int]int{}}
		l.counts[r.Operation] = n
	}
	n.Requests++
	n.Statuses[r.Status]++
	if r.Fault != "" {
		n.Faults++
	}
	return logID{l.epoch, r.N}
}

// answered notes that a request logged as unanswered got its answer after all.
func (l *requestLog) answered(id logID, status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id.epoch != l.epoch || l.total-id.n >= l.keep {
		return
	}
	r := &l.ring[(id.n-1)%l.keep]
	r.Status = status
	n := l.counts[r.Operation]
	n.Statuses[status]++
	if n.Statuses[0]--; n.Statuses[0] == 0 {
		delete(n.Statuses, 0)
	}
}

// Requests returns the kept requests, oldest first.
func (c *Core) Requests() []Request {
	l := &c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	start := 0
	if len(l.ring) == l.keep {
		start = l.total % l.keep
	}
	return append(append(make([]Request, 0, len(l.ring)), l.ring[start:]...), l.ring[:start]...)
}

// Counts returns the requests since the last reset by operation.
func (c *Core) Counts() map[string]Count {
	l := &c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := make(map[string]Count, len(l.counts))
	for op, n := range l.counts {
		counts[op] = Count{Requests: n.Requests, Statuses: maps.Clone(n.Statuses), Faults: n.Faults}
	}
	return counts
}

// Total returns the number of requests since the last reset.
func (c *Core) Total() int {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	return c.log.total
}

// ResetCounters empties the log and its counters. Faults stay.
func (c *Core) ResetCounters() {
	l := &c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	l.epoch++
	l.total, l.ring, l.counts = 0, nil, nil
}

func clip(b []byte) string {
	if len(b) <= keepBody {
		return string(b)
	}
	b = b[:keepBody]
	for len(b) > 0 && !utf8.RuneStart(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return string(b)
}
