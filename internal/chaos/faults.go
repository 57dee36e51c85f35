package main

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/callsync/callsync/crm/sandbox"
)

// A disturbance is something a CRM does to callsync for some rounds.
type disturbance struct {
	account     int
	name        string
	fault       sandbox.Fault
	patch       string // settings
	endSessions bool
	later       time.Duration // how far the CRM's clock moves: tokens expire
	rounds      int
}

// begin puts a disturbance in force.
func (d disturbance) begin(a *account) error {
	if d.patch != "" {
		if err := a.sim.ChangeSettings([]byte(d.patch)); err != nil {
			return err
		}
	}
	if d.later > 0 {
		a.sim.Advance(d.later)
	}
	if s, ok := a.sim.(interface{ EndSessions() }); ok && d.endSessions {
		s.EndSessions()
	}
	if d.fault != (sandbox.Fault{}) {
		_, err := a.sim.AddFault(d.fault)
		return err
	}
	return nil
}

// drawFault draws a disturbance that any CRM may cause.
func drawFault(r *rand.Rand, account int, name string) disturbance {
	d := disturbance{account: account, rounds: 1 + r.IntN(3)}
	if r.IntN(2) == 0 {
		own := kinds[name].faults(r)
		own.account, own.rounds = d.account, d.rounds
		return own
	}
	f := sandbox.Fault{When: sandbox.Before, Times: 1 + r.IntN(8), Skip: r.IntN(3), Seed: r.Uint64()}
	if r.IntN(2) == 0 {
		f.When = sandbox.After
	}
	if r.IntN(2) == 0 {
		f.Method = http.MethodPost
	}
	switch r.IntN(7) {
	case 0:
		d.name, f.Status = "500", 500
	case 1:
		d.name, f.Status, f.RetryAfter = "503 with Retry-After", 503, "1"
	case 2:
		d.name, f.Status, f.Kind = "502 in HTML", 502, "html"
	case 3:
		d.name, f.Status, f.Kind = "504 in HTML", 504, "html"
	case 4:
		d.name, f.Reset = "reset", true
	case 5:
		d.name, f.When, f.Delay = "delay", sandbox.Before, sandbox.Duration(20+r.IntN(300))*sandbox.Duration(time.Millisecond)
	case 6:
		d.name, f.Status, f.Times, f.Probability = "every third request 503", 503, 0, 0.3
	}
	if f.When == sandbox.After {
		d.name += " after the commit"
	}
	d.fault = f
	return d
}

// A kill says when callsync dies.
type kill struct {
	at      string // see script.go
	account int
	nth     int           // of the requests, answers or POSTs that count
	after   time.Duration // from the beginning of the round
	object  string        // part of the request's path; "" for any
}

type moment int

const (
	never moment = iota
	beforeCommit
	afterCommit
)

// A trap waits for a request by callsync.
type trap struct {
	mu   sync.Mutex
	set  bool
	kill kill
	seen int
}

func (t *trap) arm(k kill) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.set, t.kill, t.seen = true, k, 0
}

func (t *trap) disarm() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.set = false
}

// spring says whether the trap strikes this request.
func (t *trap) spring(a *account, r *http.Request) moment {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.kill
	if k.at != "request" && k.at != "any request" && k.at != "commit" {
		return never
	}
	if !t.set || k.account != a.index || strings.HasPrefix(r.URL.Path, sandbox.ControlPrefix) {
		return never
	}
	if k.object != "" && !strings.Contains(r.URL.Path, k.object) || k.at != "any request" && !a.writes(r) {
		return never
	}
	t.seen++
	if t.seen < k.nth {
		return never
	}
	t.set = false
	if k.at == "commit" {
		return afterCommit
	}
	return beforeCommit
}

// count strikes at the nth of something other than requests to the CRM.
func (t *trap) count(what string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.set || t.kill.at != what {
		return false
	}
	t.seen++
	if t.seen < t.kill.nth {
		return false
	}
	t.set = false
	return true
}
