package hubspot

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/callsync/callsync/crm"
)

const (
	// refreshEarly is how long before its end a token is renewed, so that no
	// request under way outlives it. HubSpot's access tokens live 30 minutes
	// (HubSpot OAuth guide).
	refreshEarly = 2 * time.Minute
	// refusedFor is how long a refused refresh token is not tried again, unless
	// another one is stored meanwhile.
	refusedFor = time.Minute
)

// defaultScopes are what callsync needs; calls, meetings and tasks ride on the
// contacts scopes (HubSpot scopes reference).
var defaultScopes = []string{
	"crm.objects.contacts.read", "crm.objects.contacts.write",
	"crm.schemas.contacts.read", "crm.schemas.contacts.write",
	"crm.objects.owners.read",
}

// An authorizer hands out access tokens: a private app's own, or those OAuth
// renews, once for everybody who waits.
type authorizer struct {
	static *oauth2.Token
	config *oauth2.Config
	store  crm.TokenStore
	anew   func() // called when somebody has logged in since, before that token is used
	http   *http.Client
	now    func() time.Time
	log    *slog.Logger

	lock      lock // guards what follows, across requests
	current   *oauth2.Token
	refused   string // the refresh token that was refused
	refusedAt time.Time
	refusal   error
}

func newAuthorizer(p *Portal) (*authorizer, error) {
	s := p.settings
	a := &authorizer{http: p.http, now: p.now, log: p.log, store: s.Tokens, anew: p.account.moveIn, lock: newLock()}
	if s.AccessToken != "" {
		a.static = &oauth2.Token{AccessToken: s.AccessToken}
		return a, nil
	}
	if s.OAuth.ClientID == "" {
		return nil, errors.New("neither access_token nor an oauth table with client_id is set; a service key as access_token is the simplest")
	}
	if s.Tokens == nil {
		return nil, errors.New("OAuth needs a place to keep tokens")
	}
	scopes := s.OAuth.Scopes
	if len(scopes) == 0 {
		scopes = defaultScopes
	}
	a.config = &oauth2.Config{
		ClientID:     s.OAuth.ClientID,
		ClientSecret: s.OAuth.ClientSecret,
		RedirectURL:  s.OAuth.RedirectURL,
		Scopes:       scopes,
		Endpoint: oauth2.Endpoint{
			AuthURL:   strings.TrimRight(cmp.Or(s.LoginURL, defaultLoginURL), "/") + "/oauth/authorize",
			TokenURL:  p.base.String() + p.paths.token,
			AuthStyle: oauth2.AuthStyleInParams,
		},
	}
	return a, nil
}

// OAuthConfig returns the authorization code flow's configuration.
func (p *Portal) OAuthConfig() (*oauth2.Config, error) {
	if p.auth.config == nil {
		return nil, errors.New("the destination uses access_token; a login needs an oauth table with client_id and client_secret instead")
	}
	c := *p.auth.config
	return &c, nil
}

func (a *authorizer) renewable() bool { return a.static == nil }

// token returns a token that is good for at least refreshEarly.
func (a *authorizer) token(ctx context.Context) (*oauth2.Token, error) {
	if a.static != nil {
		return a.static, nil
	}
	if err := a.lock.acquire(ctx); err != nil {
		return nil, unsent("oauth token", err)
	}
	defer a.lock.release()
	if a.good(a.current) {
		return a.current, nil
	}
	stored, err := a.store.Load()
	if err != nil {
		return nil, &crm.Error{Kind: crm.Credential, Op: "oauth token", Message: "the stored token cannot be read", Hint: "run `callsync login`", Err: err}
	}
	if stored == nil {
		return nil, &crm.Error{Kind: crm.Credential, Op: "oauth token", Message: "nobody has logged in yet", Hint: "run `callsync login`"}
	}
	if a.current == nil || stored.RefreshToken != a.current.RefreshToken {
		another := a.current != nil
		a.current = stored
		if another {
			a.anew()
		}
		if a.good(stored) {
			return stored, nil
		}
	}
	return a.refresh(ctx)
}

// reread takes up a login that was stored since, although the token in use is good.
func (a *authorizer) reread(ctx context.Context) {
	if a.static != nil || a.lock.acquire(ctx) != nil {
		return
	}
	defer a.lock.release()
	stored, err := a.store.Load()
	if err != nil || stored == nil || a.current == nil || stored.RefreshToken == a.current.RefreshToken {
		return
	}
	a.current = stored
	a.anew()
}

func (a *authorizer) good(t *oauth2.Token) bool {
	return t != nil && t.AccessToken != "" && (t.Expiry.IsZero() || a.now().Before(t.Expiry.Add(-refreshEarly)))
}

func (a *authorizer) refresh(ctx context.Context) (*oauth2.Token, error) {
	old := a.current
	if a.refusal != nil && a.refused == old.RefreshToken && a.now().Sub(a.refusedAt) < refusedFor {
		return nil, a.refusal
	}
	ctx = crm.WithOperation(context.WithValue(ctx, oauth2.HTTPClient, a.http), "oauth token")
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	fresh, err := a.config.TokenSource(ctx, &oauth2.Token{RefreshToken: old.RefreshToken}).Token()
	if err != nil {
		err = refreshError(err)
		if crm.KindOf(err) == crm.Credential {
			a.refused, a.refusedAt, a.refusal = old.RefreshToken, a.now(), err
		}
		return nil, err
	}
	a.refusal = nil
	a.current = fresh
	if err := a.store.Save(fresh); err != nil {
		a.log.Error("the renewed token could not be stored; after a restart a login may be needed", "error", err)
	}
	return fresh, nil
}

// expire forgets a token that HubSpot no longer takes. Somebody else may have
// renewed it already.
func (a *authorizer) expire(ctx context.Context, t *oauth2.Token) {
	if a.lock.acquire(ctx) != nil {
		return // the caller is leaving, and whoever comes next is told again
	}
	defer a.lock.release()
	if a.current != nil && a.current.AccessToken == t.AccessToken {
		a.current = &oauth2.Token{RefreshToken: t.RefreshToken}
	}
}

func refreshError(err error) error {
	var re *oauth2.RetrieveError
	if !errors.As(err, &re) || re.Response == nil {
		return unreachable("oauth token", err)
	}
	e := &crm.Error{Kind: crm.Transient, Op: "oauth token", Status: re.Response.StatusCode, Code: re.ErrorCode, Message: "the token was not renewed"}
	if s := e.Status; s == http.StatusBadRequest || s == http.StatusUnauthorized || s == http.StatusForbidden {
		e.Kind = crm.Credential
		e.Message = "HubSpot refuses the stored refresh token or the client"
		e.Hint = "the app may have been removed from the portal, or its secret changed; run `callsync login`"
	}
	return e
}

// A lock is a mutex that can be waited for with a context.
type lock chan struct{}

func newLock() lock { return make(lock, 1) }

func (l lock) acquire(ctx context.Context) error {
	select {
	case l <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l lock) release() { <-l }
