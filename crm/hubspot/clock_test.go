package hubspot_test

import (
	"sync"
	"time"

	"github.com/callsync/callsync/crm/sandbox"
	"github.com/callsync/callsync/crm/sandbox/hubspotsim"
)

type simOptions = hubspotsim.Options

var start = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// A clock moves only when a test says so.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: start} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

type lag = sandbox.Duration

type (
	request     = sandbox.Request
	fault       = sandbox.Fault
	simSettings = hubspotsim.Settings
)
