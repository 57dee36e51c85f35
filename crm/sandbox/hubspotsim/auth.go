package hubspotsim

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// accessLife is how long an OAuth access token lives. Source: HubSpot OAuth
// guide.
const accessLife = 30 * time.Minute

// codeLife is how long an authorization code can be exchanged.
const codeLife = 5 * time.Minute

// An OAuthClient is the registered OAuth app. Empty fields are "sandbox-client"
// and "sandbox-secret". Any loopback redirect is allowed when RedirectURIs is
// empty.
type OAuthClient struct {
	ID, Secret   string
	RedirectURIs []string
}

// grant is what an access token allows.
type grant struct {
	oauth   bool
	scopes  map[string]bool // nil allows everything
	expires time.Time       // zero never
	app     *grant          // of an OAuth token: the app, whose window it spends
}

type authCode struct {
	redirect  string
	challenge string
	method    string
	scopes    []string
	expires   time.Time
}

func scopeSet(scopes []string) map[string]bool {
	if len(scopes) == 0 {
		return nil
	}
	set := map[string]bool{}
	for _, s := range scopes {
		set[s] = true
	}
	return set
}

func (s *Server) authenticate(c *call) (*grant, *apiError) {
	token, ok := strings.CutPrefix(c.Header.Get("Authorization"), "Bearer ")
	g := s.tokens[token]
	switch {
	case !ok || g == nil || s.settings.Revoked:
		return nil, unauthorized()
	case !g.expires.IsZero() && !c.now.Before(g.expires):
		return nil, &apiError{
			status: http.StatusUnauthorized, Category: "EXPIRED_AUTHENTICATION",
			Message: "The OAuth token used to make this call expired " + c.now.Sub(g.expires).Truncate(time.Second).String() + " ago.",
			Context: map[string][]string{"expireTime": {stamp(g.expires)}},
		}
	}
	return g, nil
}

func unauthorized() *apiError {
	return &apiError{
		status: http.StatusUnauthorized, Category: "INVALID_AUTHENTICATION",
		Message: "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview",
	}
}

// require checks the scopes of a route. Calls, meetings, tasks and notes ride
// on the contacts scopes; definitions can be read with either kind of scope.
func (g *grant) require(need access, t *objectType) *apiError {
	if g.scopes == nil {
		return nil
	}
	any := []string{need.scope}
	if need.scope == "" {
		object := "contacts"
		if t != nil && !t.activity {
			object = t.name
		}
		right := "read"
		if need.write {
			right = "write"
		}
		any = []string{"crm.objects." + object + "." + right}
		if need.schema {
			any = []string{"crm.schemas." + object + "." + right}
			if !need.write {
				any = append(any, "crm.objects."+object+".read")
			}
		}
	}
	if slices.ContainsFunc(any, func(scope string) bool { return g.scopes[scope] }) {
		return nil
	}
	return missingScopes(any)
}

func missingScopes(any []string) *apiError {
	return &apiError{
		status: http.StatusForbidden, Category: "MISSING_SCOPES",
		Message: "This app hasn't been granted all required scopes to make this call. Read more about required scopes here: https://developers.hubspot.com/scopes.",
		Errors: []errorDetail{{
			Message: "One or more of the following scopes are required.",
			Context: map[string][]string{"requiredGranularScopes": any},
		}},
		Links: map[string]string{"scopes": "https://developers.hubspot.com/scopes"},
	}
}

// authorize stands for the page on which a person installs the app. It agrees
// at once and redirects with the code and the state.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	redirect, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || !s.allowedRedirect(redirect) || q.Get("client_id") != s.clientID() {
		http.Error(w, "client_id or redirect_uri is not registered", http.StatusBadRequest)
		return
	}
	method := q.Get("code_challenge_method")
	if q.Get("scope") == "" || q.Get("code_challenge") != "" && method != "" && method != "S256" && method != "plain" {
		http.Error(w, "scope is missing, or code_challenge_method is unknown", http.StatusBadRequest)
		return
	}
	code := rand.Text()
	s.mu.Lock()
	s.codes[code] = &authCode{
		redirect: redirect.String(), challenge: q.Get("code_challenge"), method: method,
		scopes: strings.Fields(q.Get("scope")), expires: s.Now().Add(codeLife),
	}
	s.mu.Unlock()
	back := redirect.Query()
	back.Set("code", code)
	if q.Has("state") {
		back.Set("state", q.Get("state"))
	}
	redirect.RawQuery = back.Encode()
	http.Redirect(w, r, redirect.String(), http.StatusFound)
}

func (s *Server) clientID() string     { return cmp.Or(s.opts.OAuth.ID, "sandbox-client") }
func (s *Server) clientSecret() string { return cmp.Or(s.opts.OAuth.Secret, "sandbox-secret") }

func (s *Server) allowedRedirect(u *url.URL) bool {
	if len(s.opts.OAuth.RedirectURIs) > 0 {
		return slices.Contains(s.opts.OAuth.RedirectURIs, u.String())
	}
	return u.Scheme == "http" && (u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1")
}

// token exchanges a code or a refresh token. Source: HubSpot OAuth guide.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		refuseToken(w, http.StatusBadRequest, "BAD_REQUEST", "invalid_request", "the body is not a form")
		return
	}
	form := r.PostForm
	id, secret := form.Get("client_id"), form.Get("client_secret")
	if user, pass, ok := r.BasicAuth(); ok {
		id, _ = url.QueryUnescape(user)
		secret, _ = url.QueryUnescape(pass)
	}
	if id != s.clientID() || secret != s.clientSecret() {
		refuseToken(w, http.StatusBadRequest, "BAD_CLIENT_ID", "invalid_client", "missing or unknown client id or secret")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch form.Get("grant_type") {
	case "authorization_code":
		code := s.codes[form.Get("code")]
		delete(s.codes, form.Get("code"))
		if code == nil || code.redirect != form.Get("redirect_uri") || !s.Now().Before(code.expires) || !code.proves(form.Get("code_verifier")) {
			refuseToken(w, http.StatusBadRequest, "BAD_AUTH_CODE", "invalid_grant", "missing or unknown auth code")
			return
		}
		refresh := rand.Text()
		s.refresh[refresh] = &grant{oauth: true, scopes: scopeSet(code.scopes)}
		s.issue(w, refresh)
	case "refresh_token":
		refresh := form.Get("refresh_token")
		if s.refresh[refresh] == nil || s.settings.Revoked {
			refuseToken(w, http.StatusBadRequest, "BAD_REFRESH_TOKEN", "invalid_grant", "missing or invalid refresh token")
			return
		}
		s.issue(w, refresh)
	default:
		refuseToken(w, http.StatusBadRequest, "BAD_GRANT_TYPE", "unsupported_grant_type", "missing or unknown grant type")
	}
}

// proves checks a PKCE verifier against the challenge, if there was one.
func (c *authCode) proves(verifier string) bool {
	switch {
	case c.challenge == "":
		return true
	case c.method == "S256":
		sum := sha256.Sum256([]byte(verifier))
		return base64.RawURLEncoding.EncodeToString(sum[:]) == c.challenge
	}
	return verifier == c.challenge
}

// issue answers with a new access token for a refresh token.
func (s *Server) issue(w http.ResponseWriter, refresh string) {
	app := s.refresh[refresh]
	access := rand.Text()
	s.tokens[access] = &grant{oauth: true, scopes: app.scopes, expires: s.Now().Add(accessLife), app: app}
	scopes := []string{}
	for scope := range app.scopes {
		scopes = append(scopes, scope)
	}
	slices.Sort(scopes)
	send(w, http.StatusOK, map[string]any{
		"token_type": "bearer", "access_token": access, "refresh_token": refresh,
		"expires_in": int(accessLife / time.Second), "hub_id": s.opts.PortalID, "user_id": 9001,
		"token_use": "access_token", "scopes": scopes,
	})
}

// refuseToken answers with HubSpot's own error members and OAuth's.
func refuseToken(w http.ResponseWriter, status int, code, oauth, message string) {
	send(w, status, map[string]string{
		"status": code, "message": message, "correlationId": correlationID(),
		"error": oauth, "error_description": message,
	})
}
