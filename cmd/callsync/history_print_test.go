package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/store"
)

// The numbers of a summary count one thing, with one destination and with several.
func TestTotalsCountOneThing(t *testing.T) {
	totals := admin.PlanTotals{Calls: 9, Destinations: 1, Writing: 2, Statuses: map[string]int{string(store.Skipped): 7}}
	one := onTerminal(0, func(p *printer) { printTotals(p, totals) })
	if !strings.HasPrefix(one, "9 calls, 2 with something to write; ") || !strings.Contains(one, "7 calls would be skipped\n") {
		t.Errorf("one destination:\n%s", one)
	}
	totals.Destinations = 2
	two := onTerminal(0, func(p *printer) { printTotals(p, totals) })
	if !strings.HasPrefix(two, "9 calls at 2 destinations, 18 syncs: 2 with something to write; ") || !strings.Contains(two, "7 syncs would be skipped\n") {
		t.Errorf("two destinations:\n%s", two)
	}
}

func TestMissesReadOneWay(t *testing.T) {
	m := admin.Misses{Status: http.StatusMethodNotAllowed, Requests: 1, Keyed: 1, Method: "GET", Last: now()}
	if got := missText(m); !strings.HasPrefix(got, "1 request with an accepted key came to the webhook, but not as a POST, ") {
		t.Error(got)
	}
}
