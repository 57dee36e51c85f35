package hubspot_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/callsync/callsync/crm"
)

func contextWithTimeout(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}

// openOAuth starts a portal inside a synctest bubble and logs in.
func openOAuth(t *testing.T) (*account, *tokens) {
	t.Helper()
	store := &tokens{}
	p := openBubble(t, func(_ *simOptions, s *crm.Settings) {
		s.AccessToken, s.LoginURL, s.Tokens = "", "https://app.example", store
		s.OAuth = crm.OAuth{ClientID: "sandbox-client", ClientSecret: "sandbox-secret", RedirectURL: "http://127.0.0.1:9/callback"}
	})
	config, err := p.Destination.(crm.Authorizer).OAuthConfig()
	if err != nil {
		t.Fatal(err)
	}
	verifier := oauth2.GenerateVerifier()
	page, err := url.Parse(config.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier)))
	if err != nil {
		t.Fatal(err)
	}
	if page.Host != "app.example" || !strings.Contains(page.Query().Get("scope"), "crm.objects.contacts.write") {
		t.Fatalf("authorize page %s", page)
	}
	w := httptest.NewRecorder()
	p.sim.ServeHTTP(w, httptest.NewRequest("GET", page.RequestURI(), nil))
	back, err := url.Parse(w.Header().Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: inMemory{p.sim, 0}})
	if store.token, err = config.Exchange(ctx, back.Query().Get("code"), oauth2.VerifierOption(verifier)); err != nil {
		t.Fatal(err)
	}
	p.sim.ResetCounters()
	return p, store
}

func TestOAuthRefreshesOnceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, store := openOAuth(t)
		if err := p.reads(30); err != nil {
			t.Fatal(err)
		}
		if n := p.sim.Counts()["oauth token"].Requests; n != 0 {
			t.Fatalf("a good token was refreshed %d times", n)
		}
		time.Sleep(29 * time.Minute) // still good, but not for long
		if err := p.reads(30); err != nil {
			t.Fatal(err)
		}
		if n := p.sim.Counts()["oauth token"].Requests; n != 1 || store.saved != 1 {
			t.Errorf("30 requests refreshed %d times and saved %d tokens", n, store.saved)
		}
		if s := p.statuses(); s[401] > 0 {
			t.Errorf("answers: %v", s)
		}
	})
}

// A token that HubSpot no longer takes although its time is not up is renewed,
// and the request, which HubSpot did not look at, sent once more.
func TestOAuthRenewsRefusedToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := openOAuth(t)
		p.fault(fault{Operation: "contacts batch read", Status: 401, Kind: "EXPIRED_AUTHENTICATION", Times: 1})
		if err := p.reads(1); err != nil {
			t.Fatal(err)
		}
		if got := p.requests(); got != "contacts batch read, oauth token, contacts batch read" {
			t.Errorf("requests: %s", got)
		}
	})
}

func TestOAuthRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := openOAuth(t)
		p.sim.Configure(func(s *simSettings) { s.Revoked = true })
		for range 20 {
			e := asError(t, crm.Result{Err: p.reads(1)}, crm.Credential)
			if !strings.Contains(e.Hint, "callsync login") {
				t.Fatalf("%v: %s", e, e.Hint)
			}
		}
		if n := p.sim.Total(); n > 2 {
			t.Errorf("a revoked token caused %d requests: %s", n, p.requests())
		}
		p.sim.Configure(func(s *simSettings) { s.Revoked = false })
		time.Sleep(time.Minute)
		if err := p.reads(1); err != nil {
			t.Errorf("after it was granted again: %v", err)
		}
	})
}

// Somebody logs in while the daemon runs: the new token is taken at once.
func TestOAuthTakesNewLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, store := openOAuth(t)
		good := store.token
		store.token = &oauth2.Token{AccessToken: "old", RefreshToken: "old", Expiry: time.Now()}
		asError(t, crm.Result{Err: p.reads(1)}, crm.Credential)
		store.token = good
		if err := p.reads(1); err != nil {
			t.Errorf("after the login: %v", err)
		}
	})
}

func TestOAuthNotLoggedIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, store := openOAuth(t)
		store.token = nil
		e := asError(t, crm.Result{Err: p.reads(1)}, crm.Credential)
		if !strings.Contains(e.Hint, "callsync login") {
			t.Errorf("%v: %s", e, e.Hint)
		}
	})
}

func TestStaticTokenRefused(t *testing.T) {
	p := open(t)
	p.sim.Configure(func(s *simSettings) { s.Revoked = true })
	e := asError(t, p.Write(t.Context(), []crm.Change{call(1, "")})[0], crm.Credential)
	if e.Status != 401 || e.Code != "INVALID_AUTHENTICATION" || e.Hint == "" || e.RequestID == "" {
		t.Errorf("%+v", e)
	}
	if n := p.sim.Total(); n != 1 {
		t.Errorf("%d requests", n)
	}
	if _, err := p.Destination.(crm.Authorizer).OAuthConfig(); err == nil {
		t.Error("a login was offered although the destination has a token")
	}
}

func TestOpenChecksSettings(t *testing.T) {
	good := crm.Settings{Name: "hs", Type: "hubspot", AccessToken: "secret-token"}
	for want, spoil := range map[string]func(*crm.Settings){
		"access_token": func(s *crm.Settings) { s.AccessToken = "" },
		"2026-03":      func(s *crm.Settings) { s.API = "v1" },
		"base_url":     func(s *crm.Settings) { s.BaseURL = "::" },
		"quota_share":  func(s *crm.Settings) { s.QuotaShare = 2 },
	} {
		s := good
		spoil(&s)
		if _, err := crm.Open(s); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v", want, err)
		}
	}
	if _, err := crm.Open(good); err != nil {
		t.Error(err)
	}
}
