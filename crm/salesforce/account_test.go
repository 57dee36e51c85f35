package salesforce_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/oauth2"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/crm/sandbox/salesforcesim"
)

// A doorkeeper is a crm.Settings.Admit.
type doorkeeper struct {
	mu     sync.Mutex
	only   string // "" admits any
	asked  []string
	reason error // why the last org was not known
}

func (d *doorkeeper) admit(_ context.Context, account string, unknown error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked, d.reason = append(d.asked, account), unknown
	if d.only != "" && account != d.only {
		return &crm.Error{Kind: crm.OtherAccount, Op: "account", Message: "another account"}
	}
	return nil
}

func (d *doorkeeper) admitsOnly(account string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.only = account
}

// Whatever a connector is asked to do, nothing reaches an org that may not be used.
func TestNothingReachesAnotherOrg(t *testing.T) {
	w := newWorld(t)
	door := &doorkeeper{only: "00D000000000001EAA"}
	w.dest = w.open(func(s *crm.Settings) { s.Admit = door.admit })
	someone := crm.Ref{Object: "Contact", ID: "003000000000001AAA"}
	for name, do := range map[string]func() error{
		"ready": func() error { return w.dest.Ready(w.ctx()) },
		"find people": func() error {
			_, err := w.dest.FindPeople(w.ctx(), []crm.PersonQuery{byEmail("a@example.com")})
			return err
		},
		"locate": func() error {
			_, err := w.dest.Locate(w.ctx(), []crm.KeyRef{{Object: "Task", Key: "k"}})
			return err
		},
		"read": func() error {
			_, err := w.dest.Read(w.ctx(), []crm.Ref{someone}, []string{"Email"})
			return err
		},
		"resolve": func() error {
			_, err := w.dest.Resolve(w.ctx(), []crm.Value{crm.LookupOf("owner", "integration@example.com")})
			return err
		},
		"write": func() error {
			return w.dest.Write(w.ctx(), []crm.Change{{Op: crm.Update, Object: "Contact", ID: someone.ID, Properties: map[string]crm.Value{"Email": crm.Str("b@example.com")}}})[0].Err
		},
		"archive": func() error {
			return w.dest.Write(w.ctx(), []crm.Change{{Op: crm.Archive, Object: "Contact", ID: someone.ID}})[0].Err
		},
		"schema": func() error { _, err := w.inspector().Schema(w.ctx(), "Contact"); return err },
		"plan":   func() error { _, err := w.inspector().SetupPlan(w.ctx(), nil); return err },
		"setup": func() error {
			return w.inspector().Setup(w.ctx(), []crm.SetupStep{{Kind: "permission", Object: "PermissionSet"}})
		},
		"probe": func() error { _, err := w.inspector().Probe(w.ctx()); return err },
	} {
		if err := do(); crm.KindOf(err) != crm.OtherAccount {
			t.Errorf("%s: %v, want it refused", name, err)
		}
	}
	if n := w.requests(); n != 0 {
		t.Errorf("%d requests: %v", n, w.sim.Counts())
	}
	if got := w.dest.Status().Account; got != w.sim.Account() {
		t.Errorf("account %q", got)
	}
	door.admitsOnly(w.sim.Account()) // a person has decided
	w.setup()
	if err := w.dest.Ready(w.ctx()); err != nil {
		t.Error(err)
	}
	if n := w.count("userinfo"); n != 0 {
		t.Errorf("%d requests for what the token says", n)
	}
}

// A token from the configuration does not say whose it is.
func TestOrgOfAStaticToken(t *testing.T) {
	w := ready(t)
	token := sessionOf(t, w)
	open := func(door *doorkeeper) crm.Destination {
		return w.open(func(s *crm.Settings) {
			s.AccessToken, s.BaseURL, s.OAuth, s.Admit = token, w.url, crm.OAuth{}, door.admit
		})
	}
	door := &doorkeeper{only: w.sim.Account()}
	d := open(door)
	for range 3 {
		if err := d.Ready(w.ctx()); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.count("userinfo"); n != 1 || d.Status().Account != w.sim.Account() {
		t.Errorf("%d requests for account %q", n, d.Status().Account)
	}

	w.sim.AddFault(salesforceFault{Operation: "userinfo", Status: 503, Times: 1})
	door = &doorkeeper{}
	d = open(door)
	if err := d.Ready(w.ctx()); err != nil || door.asked[0] != "" || door.reason == nil {
		t.Errorf("%v; asked about %q, because of %v", err, door.asked, door.reason)
	}
	if err := d.Ready(w.ctx()); err != nil || !slices.Contains(door.asked, w.sim.Account()) {
		t.Errorf("%v; asked about %q", err, door.asked)
	}

	w.sim.AddFault(salesforceFault{Operation: "userinfo", Status: 403, Kind: "FUNCTIONALITY_NOT_ENABLED", Times: 1})
	door = &doorkeeper{}
	d = open(door)
	for range 2 {
		if err := d.Ready(w.ctx()); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(door.asked, []string{""}) || door.reason != nil {
		t.Errorf("asked about %q, because of %v", door.asked, door.reason)
	}
}

func sessionOf(t *testing.T, w *world) string {
	t.Helper()
	resp, err := http.PostForm(w.url+"/services/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {"sandbox-client"}, "client_secret": {"sandbox-secret"}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var token oauth2.Token
	if err := json.NewDecoder(resp.Body).Decode(&token); err != nil {
		t.Fatal(err)
	}
	return token.AccessToken
}

// The org behind the address is another: its sessions say so at once.
func TestOrgInAnothersPlace(t *testing.T) {
	w := ready(t)
	key := &privateKey().PublicKey
	fresh := salesforcesim.New(salesforcesim.Options{PublicKey: key})
	var here atomic.Pointer[salesforcesim.Server]
	here.Store(w.sim)
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { here.Load().ServeHTTP(rw, r) }))
	t.Cleanup(srv.Close)
	door := &doorkeeper{}
	d := w.open(func(s *crm.Settings) { s.Admit, s.LoginURL = door.admit, srv.URL })
	if err := d.Ready(w.ctx()); err != nil {
		t.Fatal(err)
	}
	door.admitsOnly(w.sim.Account())
	here.Store(fresh)
	r := d.Write(w.ctx(), []crm.Change{{Op: crm.Update, Object: "Contact", ID: "003000000000001AAA", Properties: map[string]crm.Value{"Email": crm.Str("b@example.com")}}})[0]
	if crm.KindOf(r.Err) != crm.OtherAccount {
		t.Errorf("write: %v", r.Err)
	}
	for op, n := range fresh.Counts() {
		if n.Statuses[http.StatusOK] > 0 && op != "token" {
			t.Errorf("%s reached the other org", op)
		}
	}
	door.admitsOnly(fresh.Account()) // a person has decided: nothing cached of the other is believed
	if err := d.Ready(w.ctx()); crm.KindOf(err) != crm.NotReady {
		t.Errorf("ready: %v, want the new org to lack callsync's fields", err)
	}
}

func TestOrgIDs(t *testing.T) {
	a, b := salesforcesim.New(salesforcesim.Options{}).Account(), salesforcesim.New(salesforcesim.Options{}).Account()
	if a == b || !salesforcesim.IsOrgID(a) || !strings.HasPrefix(a, "00D") {
		t.Errorf("orgs %s and %s", a, b)
	}
	const given = "00D000000000001EAA"
	if got := salesforcesim.New(salesforcesim.Options{OrgID: given}).Account(); got != given {
		t.Errorf("org %s", got)
	}
}
