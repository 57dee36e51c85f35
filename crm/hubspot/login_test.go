package hubspot_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/callsync/callsync/crm"
)

// elsewhere is a login to another portal, good for some time.
func elsewhere(good time.Duration) *oauth2.Token {
	t := &oauth2.Token{AccessToken: "elsewhere", RefreshToken: "elsewhere"}
	if good > 0 {
		t.Expiry = time.Now().Add(good)
	}
	return t
}

// openAtTwo opens a portal, the one that is admitted, where a token leads to another at
// which nothing but the question who it is may arrive. Both take a time to answer it.
func openAtTwo(t *testing.T, answers *time.Duration) (*account, *tokens) {
	t.Helper()
	p, store := openOAuth(t)
	door := &doorkeeper{only: p.sim.Account()}
	both := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asks := r.URL.Path == "/account-info/v3/details"
		if asks {
			time.Sleep(*answers)
		}
		if r.Header.Get("Authorization") != "Bearer elsewhere" {
			p.sim.ServeHTTP(w, r)
			return
		}
		if !asks {
			t.Errorf("%s %s reached the other portal", r.Method, r.URL.Path)
		}
		answer(200, `{"portalId":7781,"timeZone":"UTC"}`)(w, r)
	})
	var err error
	p.Destination, err = crm.Open(crm.Settings{
		Name: "hubspot", Type: "hubspot", BaseURL: "https://api.example", Tokens: store, Memory: p.memory, Region: "US",
		OAuth: crm.OAuth{ClientID: "sandbox-client", ClientSecret: "sandbox-secret"}, Transport: inMemory{both, 0}, Admit: door.admit,
	})
	if err != nil {
		t.Fatal(err)
	}
	p.setUp()
	return p, store
}

// Somebody logs in to another portal while the daemon runs: that is noticed before
// anything is sent with the new token, and so is the login that mends it.
func TestLoginToAnotherPortal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answers time.Duration
		p, store := openAtTwo(t, &answers)
		first := store.token
		store.token = elsewhere(0)
		time.Sleep(29 * time.Minute) // the token in use has to be renewed
		if err := p.reads(30); crm.KindOf(err) != crm.OtherAccount {
			t.Errorf("with the other login: %v", err)
		}
		if err := p.Ready(t.Context()); crm.KindOf(err) != crm.OtherAccount {
			t.Errorf("with the other login: %v", err)
		}
		store.token = &oauth2.Token{RefreshToken: first.RefreshToken}
		if err := p.Ready(t.Context()); err != nil {
			t.Errorf("after the right login: %v", err)
		}
		if err := p.reads(1); err != nil {
			t.Errorf("after the right login: %v", err)
		}
	})
}

// What the portal of the old login still answers says nothing of the new one's.
func TestLoginWhileThePortalIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answers time.Duration
		p, store := openAtTwo(t, &answers)
		// The token in use is renewed 2 minutes before its end, after 30 minutes.
		time.Sleep(28*time.Minute - 5*time.Second)
		answers = 10 * time.Second
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = p.Ready(t.Context()) // minutes have passed, so it asks
		}()
		time.Sleep(6 * time.Second)
		_ = store.Save(elsewhere(0))
		asError(t, p.Write(t.Context(), []crm.Change{call(1, "")})[0], crm.OtherAccount)
		<-done
	})
}

// A request that began under a login to another portal does not go there once the
// right one has been admitted.
func TestRequestFromBeforeTheLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answers time.Duration
		p, store := openAtTwo(t, &answers)
		first := store.token
		store.token = elsewhere(time.Hour)
		time.Sleep(time.Hour - 2*time.Minute - 5*time.Second) // the token it has is long stale, the other soon
		answers = 10 * time.Second
		done := make(chan struct{})
		go func() {
			defer close(done)
			if res := p.Write(t.Context(), []crm.Change{call(1, "")})[0]; res.Err != nil {
				t.Errorf("under the right login: %v", res.Err)
			}
		}()
		time.Sleep(6 * time.Second)
		_ = store.Save(&oauth2.Token{RefreshToken: first.RefreshToken})
		if err := p.reads(1); err != nil {
			t.Error(err)
		}
		<-done
	})
}
