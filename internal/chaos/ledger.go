package main

import (
	"fmt"
	"slices"
	"sync"
)

// A ledger is what the callers know: what they sent and what was acknowledged.
type ledger struct {
	mu    sync.Mutex
	calls map[int]*entry
	sent  int
	acked int
	wrong []string // answers that cannot be right
}

// An entry is what is known of one call.
type entry struct {
	sync.Mutex              // held while a delivery of the call is under way
	newest     int          // version acknowledged last as new; -1 when none was
	open       []int        // versions sent since without an answer
	certain    map[int]bool // acknowledged at some time
	sent       map[int]bool
	acks       int
	erased     bool // its person asked for it; nothing is sent any more
}

func newLedger() *ledger { return &ledger{calls: map[int]*entry{}} }

func (l *ledger) entry(call int) *entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.calls[call]
	if e == nil {
		e = &entry{newest: -1, certain: map[int]bool{}, sent: map[int]bool{}}
		l.calls[call] = e
	}
	return e
}

func (l *ledger) counts() (sent, acked int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent, l.acked
}

func (l *ledger) object(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}

// unanswered notes a delivery that may have been taken or not.
func (l *ledger) unanswered(e *entry, d delivery) {
	e.sent[d.version] = true
	if d.version != e.newest && !slices.Contains(e.open, d.version) {
		e.open = append(e.open, d.version)
	}
}

// acknowledged notes an answer, and whether it is one that may be given. The
// verdict is "" when the status was read and the connection then broke.
func (l *ledger) acknowledged(e *entry, c *call, d delivery, verdict string) {
	l.mu.Lock()
	l.acked++
	l.mu.Unlock()
	if may := e.mayAnswer(c, d); verdict != "" && !slices.Contains(may, verdict) {
		l.object("%s: version %d was answered %q; right would be %q (newest %d, without answer %v)", c.id, d.version, verdict, may, e.newest, e.open)
	}
	if verdict == "" { // it was taken; as what is not known
		may := e.mayAnswer(c, d)
		if len(may) > 1 {
			l.unanswered(e, d)
			return
		}
		verdict = may[0]
	}
	e.acks++
	e.sent[d.version] = true
	switch verdict {
	case "accepted", "revised", "duplicate":
		e.newest, e.open = d.version, nil
		e.certain[d.version] = true
	}
}

// mayAnswer lists the verdicts that fit what is known.
func (e *entry) mayAnswer(c *call, d delivery) []string {
	var may []string
	add := func(v string) {
		if !slices.Contains(may, v) {
			may = append(may, v)
		}
	}
	for _, newest := range append(slices.Clone(e.open), e.newest) {
		switch {
		case newest < 0:
			add("accepted")
		case newest == d.version:
			add("duplicate")
		case c.versions[d.version].interim && !c.versions[newest].interim, e.certain[d.version]:
			add("stale")
		case e.sent[d.version]: // it may have been taken before
			add("stale")
			add("revised")
		default:
			add("revised")
		}
	}
	return may
}
