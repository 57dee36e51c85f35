package hubspot_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/callsync/callsync/crm"
)

// plainCalls is a portal that refuses unique properties on calls.
func plainCalls(o *simOptions, _ *crm.Settings) {
	o.Settings.UniqueProperties = map[string]bool{"calls": false}
	o.Settings.SearchLag = lag(30 * time.Second)
}

func (p *account) locate(keys ...crm.KeyRef) []crm.Location {
	p.t.Helper()
	found, err := p.Locate(p.t.Context(), keys)
	if err != nil {
		p.t.Fatal(err)
	}
	return found
}

func TestLocateByUniqueKeyDoesNotLag(t *testing.T) {
	p := open(t, func(o *simOptions, _ *crm.Settings) { o.Settings.SearchLag = lag(time.Hour) })
	ids := p.write(contact("+15551234567", ""), call(1, ""))
	p.sim.ResetCounters()
	got := p.locate(
		crm.KeyRef{Object: "contacts", Key: "+15551234567", Since: p.now.Now()},
		crm.KeyRef{Object: "calls", Key: "call.1#call", Since: p.now.Now()},
		crm.KeyRef{Object: "calls", Key: "call.2#call", Since: p.now.Now()},
	)
	want := []crm.Location{{State: crm.Found, ID: ids[0]}, {State: crm.Found, ID: ids[1]}, {State: crm.Absent}}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("key %d: %+v, want %+v", i, got[i], want[i])
		}
	}
	if n := p.sim.Total(); n != 2 {
		t.Errorf("two object types took %d requests", n)
	}
}

func TestLocateByPlainKeyWaitsForTheIndex(t *testing.T) {
	p := open(t, plainCalls)
	sent := p.now.Now()
	create := call(1, "")
	create.Key = "call.Abc#call"
	id := p.write(create)[0]
	ask := []crm.KeyRef{
		{Object: "calls", Key: "call.Abc#call", Since: sent},
		{Object: "calls", Key: "call.2#call", Since: sent},
		{Object: "calls", Key: "CALL.ABC#call"}, // another key: search folds case, callsync does not
	}
	p.now.Advance(20 * time.Second)
	for i, got := range p.locate(ask[:2]...) {
		if want := (crm.Location{State: crm.Unknown, RetryAfter: 40 * time.Second}); got != want {
			t.Errorf("within the lag, key %d: %+v, want %+v", i, got, want)
		}
	}
	if got := p.locate(crm.KeyRef{Object: "calls", Key: "call.2#call"})[0]; got.State != crm.Absent {
		t.Errorf("nothing was ever sent: %+v, want absent at once", got)
	}
	p.now.Advance(15 * time.Second)
	if got := p.locate(ask[0])[0]; got != (crm.Location{State: crm.Found, ID: id}) {
		t.Errorf("once indexed: %+v", got)
	}
	p.now.Advance(25 * time.Second)
	if got := p.locate(ask...); got[1].State != crm.Absent || got[2].State != crm.Absent {
		t.Errorf("after the lag: %+v", got[1:])
	}
}

func TestLocateUsesTheConfiguredLag(t *testing.T) {
	p := open(t, plainCalls, func(_ *simOptions, s *crm.Settings) { s.SearchLag = 5 * time.Minute })
	got := p.locate(crm.KeyRef{Object: "calls", Key: "call.1#call", Since: p.now.Now()})
	if got[0] != (crm.Location{State: crm.Unknown, RetryAfter: 5 * time.Minute}) {
		t.Errorf("got %+v", got[0])
	}
}

// Of two records with one key, the older one is callsync's.
func TestLocatePrefersTheOldest(t *testing.T) {
	p := open(t, plainCalls)
	first := p.make("calls", map[string]string{"hs_timestamp": "0", "callsync_key": "k"})
	p.make("calls", map[string]string{"hs_timestamp": "0", "callsync_key": "k"})
	p.sim.Advance(time.Minute)
	if got := p.locate(crm.KeyRef{Object: "calls", Key: "k"}); got[0].ID != first {
		t.Errorf("got %+v, want %s", got[0], first)
	}
}

func TestReady(t *testing.T) {
	p := openBare(t)
	err := p.Ready(t.Context())
	if crm.KindOf(err) != crm.NotReady {
		t.Fatalf("an empty portal: %v", err)
	}
	p.setUp()
	p.sim.ResetCounters()
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := p.sim.Total(); n != 0 {
		t.Errorf("a good answer was asked for again: %s", p.requests())
	}
	// Somebody deletes the property: the next create finds out, and Ready says so.
	p.raw("DELETE", "/crm/v3/properties/calls/callsync_key", "", nil)
	if r := p.Write(t.Context(), []crm.Change{call(1, "")})[0]; crm.KindOf(r.Err) != crm.NotReady {
		t.Errorf("a create without the key property: %v", r.Err)
	}
	if err := p.Ready(t.Context()); crm.KindOf(err) != crm.NotReady {
		t.Errorf("the key property is gone: %v", err)
	}
}

// A wrong address is not mistaken for a portal that lacks its properties.
func TestReadyAtTheWrongAddress(t *testing.T) {
	d := against(t, http.NotFound)
	e := asError(t, crm.Result{Err: d.Ready(t.Context())}, crm.Transient)
	if !strings.Contains(e.Hint, "base_url") {
		t.Errorf("hint: %s", e.Hint)
	}
}
