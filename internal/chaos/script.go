package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// A script is what a seed does to callsync.
type script struct {
	load   *load
	rounds []round
}

// A round is a burst of deliveries and what goes wrong meanwhile.
type round struct {
	deliveries []delivery
	begin      []disturbance
	kill       *kill
	restart    *kill // a second one while callsync starts again
	edits      map[int]edition
	resync     string        // "", "some", "all", "force"
	undo       []string      // calls that somebody takes back
	pause      bool          // somebody pauses the destinations until the next round
	chores     []chore       // with the whole journal
	pack       bool          // what is settled lies in bundles when the deliveries come
	starve     time.Duration // how long the disk is full; 0: it is not
	erase      int           // a leaver who asks to be erased, from 1; 0: nobody
	deletes    []deletePlan  // activities somebody deletes in a CRM
	partings   []partPlan    // people somebody deletes in a CRM
	join       []int         // accounts in which somebody merges or converts a person
	rest       time.Duration
}

// A deletePlan says in which account a record of which call is deleted.
type deletePlan struct {
	account int
	call    string
}

// A partPlan says which person is deleted in which account.
type partPlan struct{ account, person int }

// newScript draws a script in which callsync dies so many times.
func newScript(seed uint64, accounts, kills int) *script {
	r := rand.New(rand.NewPCG(seed, 1))
	s := &script{load: &load{people: people(seed), r: rand.New(rand.NewPCG(seed, 2)), long: r.IntN(3) == 0}}
	for left := kills; left > 0; {
		var x round
		for range 1 + r.IntN(8) {
			x.deliveries = append(x.deliveries, s.load.next())
		}
		if r.IntN(5) > 0 {
			x.kill = drawKill(r, accounts)
			left--
			if left > 0 && r.IntN(6) == 0 {
				x.restart = &kill{at: "start", after: time.Duration(r.IntN(120)) * time.Millisecond}
				left--
			}
		}
		for i := range accounts {
			for r.IntN(5) < 2 {
				x.begin = append(x.begin, disturbance{account: i})
			}
			if r.IntN(8) == 0 {
				x.join = append(x.join, i)
			}
			if r.IntN(12) == 0 {
				if x.edits == nil {
					x.edits = map[int]edition{}
				}
				x.edits[i] = edition(r.IntN(int(editions)))
			}
		}
		switch r.IntN(16) {
		case 0:
			x.resync = "all"
		case 1:
			x.resync = "force"
		case 2, 3:
			x.resync = "some"
		}
		if r.IntN(6) == 0 {
			x.undo = append(x.undo, s.load.calls[r.IntN(len(s.load.calls))].id)
		}
		if r.IntN(10) == 0 {
			x.erase = 1 + r.IntN(leavers)
		}
		x.pause = r.IntN(20) == 0
		if r.IntN(4) == 0 {
			x.chores = append(x.chores, chores[r.IntN(len(chores))])
		}
		if x.kill == nil && r.IntN(3) == 0 || r.IntN(12) == 0 {
			x.starve = time.Duration(20+r.IntN(400)) * time.Millisecond
		}
		if r.IntN(5) == 0 {
			x.deletes = append(x.deletes, deletePlan{r.IntN(accounts), s.load.calls[r.IntN(len(s.load.calls))].id})
		}
		if r.IntN(6) == 0 {
			x.partings = append(x.partings, partPlan{r.IntN(accounts), s.load.calls[r.IntN(len(s.load.calls))].draft.person})
		}
		if s.load.long && r.IntN(3) == 0 {
			x.pack = true
		}
		x.rest = []time.Duration{0, 0, 5, 40, 200, 800}[r.IntN(6)] * time.Millisecond
		s.rounds = append(s.rounds, x)
	}
	return s
}

// cast fills in the disturbances, which depend on what the accounts are.
func (s *script) cast(seed uint64, names []string) {
	r := rand.New(rand.NewPCG(seed, 4))
	for i := range s.rounds {
		for j, d := range s.rounds[i].begin {
			s.rounds[i].begin[j] = drawFault(r, d.account, names[d.account])
		}
	}
}

// drawKill draws when callsync dies:
//
//	early, late  some time after the round's beginning
//	post         when a delivery has been sent
//	ack          when the first byte of an answer to one arrives
//	request      when the CRM is about to see a request that writes
//	any request  the same for every request
//	commit       when the CRM has committed one and has not answered
func drawKill(r *rand.Rand, accounts int) *kill {
	k := &kill{account: r.IntN(accounts), nth: 1 + r.IntN(4), after: 800 * time.Millisecond}
	switch r.IntN(12) {
	case 0:
		k.at, k.after = "early", time.Duration(r.IntN(30_000))*time.Microsecond
	case 1, 2:
		k.at, k.after = "late", time.Duration(r.IntN(700))*time.Millisecond
	case 3:
		k.at = "post"
	case 4, 5:
		k.at = "ack"
	case 6:
		k.at, k.nth = "any request", 1+r.IntN(12)
	case 7:
		k.at = "request"
	default:
		k.at = "commit"
	}
	if (k.at == "request" || k.at == "commit") && r.IntN(2) == 0 {
		k.object = []string{"contacts", "contacts", "calls", "tasks", "meetings", "associations", "archive"}[r.IntN(7)]
	}
	return k
}

func (k *kill) String() string {
	switch k.at {
	case "early", "late", "start":
		return fmt.Sprintf("%s, after %s", k.at, k.after)
	default:
		return fmt.Sprintf("%s %d%s (CRM %d)", k.at, k.nth, prefixed(" of ", k.object), k.account)
	}
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

func (s *script) String() string {
	var b strings.Builder
	for i, x := range s.rounds {
		fmt.Fprintf(&b, "  %3d  %s\n", i, x.describe(s.load))
	}
	return b.String()
}

func (x round) describe(l *load) string {
	var parts []string
	for _, i := range slices.Sorted(maps.Keys(x.edits)) {
		parts = append(parts, fmt.Sprintf("mapping %d %s", i, x.edits[i]))
	}
	for _, d := range x.begin {
		parts = append(parts, fmt.Sprintf("CRM %d: %s for %d rounds", d.account, d.name, d.rounds))
	}
	var calls []string
	for _, d := range x.deliveries {
		calls = append(calls, fmt.Sprintf("%s/%d", strings.TrimPrefix(l.calls[d.call].id, "call.chaos"), d.version))
	}
	if x.pack {
		parts = append(parts, "pack")
	}
	parts = append(parts, "deliver "+strings.Join(calls, " "))
	if x.resync != "" {
		parts = append(parts, "resync "+x.resync)
	}
	for _, id := range x.undo {
		parts = append(parts, "undo "+strings.TrimPrefix(id, "call.chaos"))
	}
	for _, i := range x.join {
		parts = append(parts, fmt.Sprintf("CRM %d: somebody merges or converts", i))
	}
	if x.pause {
		parts = append(parts, "pause")
	}
	for _, c := range x.chores {
		parts = append(parts, string(c))
	}
	if x.starve > 0 {
		parts = append(parts, "the disk is full for "+x.starve.String())
	}
	if x.erase > 0 {
		parts = append(parts, fmt.Sprintf("person %d is erased", regulars+x.erase-1))
	}
	for _, d := range x.deletes {
		parts = append(parts, fmt.Sprintf("CRM %d: somebody deletes an activity of %s", d.account, strings.TrimPrefix(d.call, "call.chaos")))
	}
	for _, d := range x.partings {
		parts = append(parts, fmt.Sprintf("CRM %d: somebody deletes person %d", d.account, d.person))
	}
	if x.kill != nil {
		parts = append(parts, "kill at "+x.kill.String())
	}
	if x.restart != nil {
		parts = append(parts, "and at the "+x.restart.String())
	}
	if x.rest > 0 {
		parts = append(parts, "rest "+x.rest.String())
	}
	return strings.Join(parts, "; ")
}
