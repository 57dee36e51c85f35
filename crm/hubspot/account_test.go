package hubspot_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/crm/sandbox/hubspotsim"
)

// A doorkeeper is a crm.Settings.Admit that judges as sync.Guard does.
type doorkeeper struct {
	mu     sync.Mutex
	only   string // "" admits any
	asked  []string
	reason error // why the last account was not known
}

func (d *doorkeeper) admit(_ context.Context, account string, unknown error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked, d.reason = append(d.asked, account), unknown
	switch {
	case d.only == "" || account == d.only:
		return nil
	case account != "":
		return &crm.Error{Kind: crm.OtherAccount, Op: "account", Message: "another account"}
	}
	return unknown
}

func (d *doorkeeper) admitsOnly(account string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.only = account
}

func (d *doorkeeper) settings(_ *simOptions, s *crm.Settings) { s.Admit = d.admit }

// Whatever a connector is asked to do, nothing but the question who it is reaches a
// portal that may not be used.
func TestNothingReachesAnotherPortal(t *testing.T) {
	door := &doorkeeper{only: "1"}
	p := openBare(t, door.settings)
	someone := crm.Ref{Object: "contacts", ID: "1001"}
	property := crm.Property{Object: "contacts", Name: "x", Type: crm.TypeString}
	does := func(f func(ctx context.Context) error) func() error { return func() error { return f(t.Context()) } }
	for name, do := range map[string]func() error{
		"ready": does(p.Ready),
		"find people": does(func(ctx context.Context) error {
			_, err := p.FindPeople(ctx, []crm.PersonQuery{{Objects: []string{"contacts"}, Match: []crm.Match{{Property: "email", Value: "a@example.com", Kind: crm.MatchEmail}}}})
			return err
		}),
		"locate": does(func(ctx context.Context) error {
			_, err := p.Locate(ctx, []crm.KeyRef{{Object: "calls", Key: "k"}})
			return err
		}),
		"read": does(func(ctx context.Context) error {
			_, err := p.Read(ctx, []crm.Ref{someone}, []string{"email"})
			return err
		}),
		"resolve": does(func(ctx context.Context) error {
			_, err := p.Resolve(ctx, []crm.Value{crm.LookupOf("owner", "owner@example.com")})
			return err
		}),
		"related": does(func(ctx context.Context) error {
			_, err := p.Related(ctx, []crm.RelatedQuery{{Person: someone, Relation: crm.Relation{Object: "deals", Which: "open"}}})
			return err
		}),
		"create": func() error { return p.Write(t.Context(), []crm.Change{call(1, "")})[0].Err },
		"update": func() error {
			return p.Write(t.Context(), []crm.Change{{Op: crm.Update, Object: "contacts", ID: "1001", Properties: map[string]crm.Value{"email": crm.Str("b@example.com")}}})[0].Err
		},
		"archive": func() error {
			return p.Write(t.Context(), []crm.Change{{Op: crm.Archive, Object: "calls", ID: "1001"}})[0].Err
		},
		"erase":  func() error { return p.Destination.(crm.Eraser).Erase(t.Context(), []crm.Ref{someone})[0].Err },
		"schema": does(func(ctx context.Context) error { _, err := p.inspector().Schema(ctx, "contacts"); return err }),
		"plan":   does(func(ctx context.Context) error { _, err := p.inspector().SetupPlan(ctx, nil); return err }),
		"setup": does(func(ctx context.Context) error {
			return p.inspector().Setup(ctx, []crm.SetupStep{{Kind: "property", Object: "contacts", Name: "x", Property: property}})
		}),
		"probe": does(func(ctx context.Context) error { _, err := p.inspector().Probe(ctx); return err }),
	} {
		if err := do(); crm.KindOf(err) != crm.OtherAccount {
			t.Errorf("%s: %v, want it refused", name, err)
		}
	}
	if got := strings.Trim(strings.ReplaceAll(p.requests(), "account read", ""), ", "); got != "" {
		t.Errorf("requests: %s", got)
	}
	if p.Status().Account != p.sim.Account() {
		t.Errorf("account %q", p.Status().Account)
	}
	door.admitsOnly(p.sim.Account()) // a person has decided
	p.setUp()
}

func TestPortalIsAskedOnce(t *testing.T) {
	door := &doorkeeper{}
	p := open(t, door.settings)
	ann := crm.Ref{Object: "contacts", ID: p.make("contacts", map[string]string{"email": "ann@example.com"})}
	p.sim.ResetCounters()
	err := together(30, func() error {
		_, err := p.Read(t.Context(), []crm.Ref{ann}, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	p.now.Advance(time.Minute)
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := p.sim.Counts()["account read"].Requests; n != 0 {
		t.Errorf("%d more requests for what is known", n)
	}
	if !slices.Contains(door.asked, p.sim.Account()) || slices.Contains(door.asked, "") {
		t.Errorf("asked about %q", door.asked)
	}
}

// Where HubSpot does not answer, the reason is told and it is asked again; where it
// does not tell, that is its last word. Neither is an account.
func TestPortalThatDoesNotTell(t *testing.T) {
	for _, x := range []struct {
		name  string
		fault fault
		again bool
	}{
		{"in trouble", fault{Status: 502}, true},
		{"the token is refused", fault{Status: 401, Kind: "INVALID_AUTHENTICATION"}, true},
		{"of somebody else", fault{Status: 403, Body: "<html>"}, true},
		{"cut off", fault{Status: 200, Body: `{"portalId":42`}, true},
		{"may not be asked", fault{Status: 403, Kind: "MISSING_SCOPES"}, false},
		{"without an id", fault{Status: 200, Body: `{"portalId":"<b>"}`}, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			door := &doorkeeper{}
			p := open(t)
			p.fault(fault{Operation: "account read", Status: x.fault.Status, Kind: x.fault.Kind, Body: x.fault.Body, ContentType: "application/json"})
			p.Destination = reopen(t, p, door)
			if err := p.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			if door.asked[0] != "" || (door.reason != nil) != x.again || p.Status().Account != "" {
				t.Errorf("asked about %q, because of %v; account %q", door.asked, door.reason, p.Status().Account)
			}
			p.sim.ClearFaults()
			if err := p.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := slices.Contains(door.asked, p.sim.Account()); got != x.again {
				t.Errorf("asked about %q", door.asked)
			}
		})
	}
}

// reopen opens p's portal once more, as after a restart.
func reopen(t *testing.T, p *account, door *doorkeeper) crm.Destination {
	t.Helper()
	srv := httptest.NewServer(p.sim)
	t.Cleanup(srv.Close)
	d, err := crm.Open(crm.Settings{
		Name: "hubspot", Type: "hubspot", BaseURL: srv.URL, AccessToken: hubspotsim.DefaultToken, Memory: p.memory,
		Now: p.now.Now, RatePerSecond: 1e6, SearchPerSecond: 1e6, Region: "US", Admit: door.admit,
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A sandbox that was started again at the same address is another portal. It shows
// by its lack of callsync's keys.
func TestPortalInAnothersPlace(t *testing.T) {
	p, here := openMovable(t)
	fresh := hubspotsim.New(hubspotsim.Options{})
	here.Store(fresh)
	asError(t, p.Write(t.Context(), []crm.Change{call(1, "")})[0], crm.OtherAccount)
	if err := p.Ready(t.Context()); crm.KindOf(err) != crm.OtherAccount {
		t.Errorf("ready: %v", err)
	}
	if err := p.inspector().Setup(t.Context(), []crm.SetupStep{{Kind: "group", Object: "contacts"}}); crm.KindOf(err) != crm.OtherAccount {
		t.Errorf("setup: %v", err)
	}
	if got := p.Status().Account; got != fresh.Account() {
		t.Errorf("account %s, want %s", got, fresh.Account())
	}
}

// A portal that says once that it may not be asked, or says nothing of use, is asked
// again all the same: another in its place is not overlooked for good.
func TestPortalThatStopsTelling(t *testing.T) {
	for name, f := range map[string]fault{
		"may not be asked": {Operation: "account read", Status: 403, Kind: "MISSING_SCOPES", Times: 1},
		"no id":            {Operation: "account read", Status: 200, Body: `{}`, ContentType: "application/json", Times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			p, here := openMovable(t)
			p.now.Advance(5 * time.Minute)
			p.fault(f)
			if err := p.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			other := openBare(t)
			other.setUp()
			here.Store(other.sim)
			p.now.Advance(5 * time.Minute)
			if err := p.Ready(t.Context()); crm.KindOf(err) != crm.OtherAccount {
				t.Errorf("ready at another portal: %v", err)
			}
			asError(t, p.Write(t.Context(), []crm.Change{call(1, "")})[0], crm.OtherAccount)
		})
	}
}

// openMovable opens a portal in whose place another can be put. The first one alone is
// admitted.
func openMovable(t *testing.T) (*account, *atomic.Pointer[hubspotsim.Server]) {
	t.Helper()
	door := &doorkeeper{}
	p := open(t)
	here := &atomic.Pointer[hubspotsim.Server]{}
	here.Store(p.sim)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { here.Load().ServeHTTP(w, r) }))
	t.Cleanup(srv.Close)
	var err error
	p.Destination, err = crm.Open(crm.Settings{
		Name: "hubspot", Type: "hubspot", BaseURL: srv.URL, AccessToken: hubspotsim.DefaultToken, Memory: p.memory,
		Now: p.now.Now, RatePerSecond: 1e6, SearchPerSecond: 1e6, Region: "US", Admit: door.admit,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	door.admitsOnly(p.sim.Account())
	return p, here
}

// Another portal that was set up for callsync in the first one's place shows by nothing
// but what it lacks, or by its name, which is asked for every few minutes. What it
// lacks is never taken for deleted.
func TestPortalThatIsSetUpInAnothersPlace(t *testing.T) {
	for name, do := range map[string]func(p *account, known crm.Ref, record string) error{
		"a contact is read": func(p *account, known crm.Ref, _ string) error {
			_, err := p.Read(p.t.Context(), []crm.Ref{known}, []string{"email"})
			return err
		},
		"a contact is looked up": func(p *account, known crm.Ref, _ string) error {
			_, err := p.FindPeople(p.t.Context(), []crm.PersonQuery{{Match: []crm.Match{{Kind: crm.MatchID, Value: known.ID}}}})
			return err
		},
		"a contact is written": func(p *account, known crm.Ref, _ string) error {
			return p.Write(p.t.Context(), []crm.Change{{Op: crm.Update, Object: "contacts", ID: known.ID, Properties: map[string]crm.Value{"firstname": crm.Str("Bea")}}})[0].Err
		},
		"a call is linked": func(p *account, known crm.Ref, _ string) error {
			return p.Write(p.t.Context(), []crm.Change{call(7, known.ID)})[0].Err
		},
		"a call is archived": func(p *account, _ crm.Ref, record string) error {
			return p.Write(p.t.Context(), []crm.Change{{Op: crm.Archive, Object: "calls", ID: record}})[0].Err
		},
		"a property is missing": func(p *account, _ crm.Ref, _ string) error {
			ch := call(7, "")
			ch.Properties["of_the_first"] = crm.Str("x")
			return p.Write(p.t.Context(), []crm.Change{ch})[0].Err
		},
		"a contact is erased": func(p *account, known crm.Ref, _ string) error {
			return p.Destination.(crm.Eraser).Erase(p.t.Context(), []crm.Ref{known})[0].Err
		},
		"the setup is looked at": func(p *account, _ crm.Ref, _ string) error {
			_, err := p.inspector().SetupPlan(p.t.Context(), nil)
			return err
		},
		"minutes pass": func(p *account, _ crm.Ref, _ string) error {
			if err := p.Ready(p.t.Context()); err != nil {
				return err
			}
			p.now.Advance(5 * time.Minute)
			return p.Ready(p.t.Context())
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, here := openMovable(t)
			known := crm.Ref{Object: "contacts", ID: p.make("contacts", map[string]string{"email": "ann@example.com"})}
			record := p.write(call(1, known.ID))[0]
			other := openBare(t)
			other.setUp()
			here.Store(other.sim)
			other.sim.ResetCounters()
			if err := do(p, known, record); crm.KindOf(err) != crm.OtherAccount {
				t.Errorf("%v, want it to be another account", err)
			}
			if strings.Contains(other.requests(), "archive") || strings.Contains(other.requests(), "gdpr") {
				t.Errorf("requests: %s", other.requests())
			}
			if err := p.Ready(t.Context()); crm.KindOf(err) != crm.OtherAccount {
				t.Errorf("ready: %v", err)
			}
			here.Store(p.sim) // and the first one is back
			if err := p.Ready(t.Context()); err != nil {
				t.Errorf("ready: %v", err)
			}
		})
	}
}

// What was created before it showed that the portal is another has no id where it
// belongs: there it would be another record's.
func TestCreatedInAnotherPortal(t *testing.T) {
	p, here := openMovable(t)
	known := p.make("contacts", map[string]string{"email": "ann@example.com"})
	other := openBare(t)
	other.setUp()
	here.Store(other.sim)
	for i, res := range p.Write(t.Context(), []crm.Change{call(1, ""), call(2, known)}) {
		if asError(t, res, crm.OtherAccount); res.ID != "" {
			t.Errorf("call %d is said to be record %s", i+1, res.ID)
		}
	}
	if len(other.sim.Records("calls")) == 0 {
		t.Error("nothing was created")
	}
}

// A portal in use stays so when HubSpot does not say whose it is: nobody but a person
// puts another in its place. Only where something is missing does that not do.
func TestPortalInUseThatDoesNotAnswer(t *testing.T) {
	for _, f := range []fault{
		{Status: 502}, {Status: 403, Body: "<html>"}, {Status: 401, Kind: "INVALID_AUTHENTICATION"},
	} {
		t.Run(strconv.Itoa(f.Status), func(t *testing.T) {
			p, _ := openMovable(t)
			ann := crm.Ref{Object: "contacts", ID: p.make("contacts", map[string]string{"email": "ann@example.com"})}
			if err := p.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.Operation = "account read"
			p.fault(f)
			p.sim.ResetCounters()
			for range 10 { // minutes
				p.now.Advance(time.Minute)
				if err := p.Ready(t.Context()); err != nil {
					t.Fatal(err)
				}
				if _, err := p.Read(t.Context(), []crm.Ref{ann}, []string{"email"}); err != nil {
					t.Fatal(err)
				}
			}
			if n := p.sim.Counts()["account read"].Requests; n < 3 || n > 10 {
				t.Errorf("asked %d times", n)
			}
			if got := p.Status().Account; got != p.sim.Account() {
				t.Errorf("account %q", got)
			}
			if _, err := p.Read(t.Context(), []crm.Ref{{Object: "contacts", ID: "1"}}, []string{"email"}); err == nil {
				t.Error("a contact counts as deleted although nobody knows of which portal")
			}
			p.sim.ClearFaults()
			p.now.Advance(time.Minute)
			if got, err := p.Read(t.Context(), []crm.Ref{{Object: "contacts", ID: "1"}}, []string{"email"}); err != nil || !got[0].Gone {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// While there is something to write, whose portal it is is asked for every few minutes,
// and no more often than that.
func TestPortalIsAskedNowAndThen(t *testing.T) {
	door := &doorkeeper{}
	p := open(t, door.settings)
	for range 600 { // an hour with a round every six seconds
		if err := p.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.now.Advance(6 * time.Second)
	}
	if n := p.sim.Counts()["account read"].Requests; n < 12 || n > 30 {
		t.Errorf("asked %d times in an hour", n)
	}
}

// While the quota is spent, the question whether it still is goes out, and with it
// the one who asks.
func TestPortalUnderASpentQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		door := &doorkeeper{}
		p := openBubble(t, door.settings)
		p.setUp()
		again := openBubble(t, func(_ *simOptions, s *crm.Settings) { s.Admit, s.Transport = door.admit, inMemory{p.sim, 0} })
		p.sim.Configure(func(s *simSettings) { s.DailyLimit, s.DailyUsed = 10, 10 })
		for range 3 {
			if err := again.Ready(t.Context()); crm.KindOf(err) != crm.Quota {
				t.Fatalf("ready: %v", err)
			}
			time.Sleep(time.Minute)
		}
		p.sim.Configure(func(s *simSettings) { s.DailyLimit = 1000 })
		time.Sleep(time.Minute)
		if err := again.Ready(t.Context()); err != nil {
			t.Errorf("after the quota was raised: %v", err)
		}
		if got := again.Status().Account; got != p.sim.Account() {
			t.Errorf("account %q", got)
		}
	})
}

func TestPortalIDs(t *testing.T) {
	if _, err := strconv.Atoi(hubspotsim.New(hubspotsim.Options{}).Account()); err != nil {
		t.Error(err)
	}
	if got := hubspotsim.New(hubspotsim.Options{PortalID: 4242}).Account(); got != "4242" {
		t.Errorf("account %s", got)
	}
	a, b := hubspotsim.New(hubspotsim.Options{}).Account(), hubspotsim.New(hubspotsim.Options{}).Account()
	if c := hubspotsim.New(hubspotsim.Options{}).Account(); a == b && b == c {
		t.Errorf("three sandboxes are all account %s", a)
	}
}
