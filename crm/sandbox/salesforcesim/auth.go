package salesforcesim

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// assertionLife is the most a JWT bearer assertion may claim to live.
// Salesforce documents three minutes; clocks get some slack on top.
const assertionLife = 5 * time.Minute

// authState holds what the authorization server has given out.
type authState struct {
	sessions map[string]time.Time // access token → when it ends
	refresh  map[string]bool      // refresh tokens
	codes    map[string]grantedCode
	used     map[string]bool // assertions' jti, where they have one
}

// A grantedCode is an authorization code that waits to be exchanged.
type grantedCode struct {
	redirect  string
	challenge string // PKCE, S256
	ends      time.Time
}

func newAuthState() authState {
	return authState{
		sessions: map[string]time.Time{},
		refresh:  map[string]bool{},
		codes:    map[string]grantedCode{},
		used:     map[string]bool{},
	}
}

func secret() string {
	var b [24]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// oauthError answers as RFC 6749 says, with Salesforce's descriptions.
func oauthError(w http.ResponseWriter, status int, code, description string) {
	answer(w, status, map[string]string{"error": code, "error_description": description})
}

// authenticate checks the session of an API request.
func (s *Server) authenticate(r *http.Request) *apiError {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	s.mu.RLock()
	defer s.mu.RUnlock()
	ends, ok := s.auth.sessions[strings.TrimSpace(token)]
	if !ok || !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "OAuth") || !s.Now().Before(ends) {
		return fail(http.StatusUnauthorized, "INVALID_SESSION_ID", "Session expired or invalid")
	}
	return nil
}

func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		oauthError(w, http.StatusBadRequest, "invalid_request", "the form could not be read")
		return
	}
	switch r.PostForm.Get("grant_type") {
	case "urn:ietf:params:oauth:grant-type:jwt-bearer":
		if problem := s.checkAssertion(r, r.PostForm.Get("assertion")); problem != nil {
			oauthError(w, http.StatusBadRequest, problem[0], problem[1])
			return
		}
		s.grantSession(w, r, false)
	case "client_credentials":
		if s.checkClient(w, r) {
			s.grantSession(w, r, false)
		}
	case "authorization_code":
		if s.checkClient(w, r) && s.redeem(w, r) {
			s.grantSession(w, r, true)
		}
	case "refresh_token":
		if !s.checkClient(w, r) {
			return
		}
		s.mu.RLock()
		known := s.auth.refresh[r.PostForm.Get("refresh_token")]
		s.mu.RUnlock()
		if !known {
			oauthError(w, http.StatusBadRequest, "invalid_grant", "expired access/refresh token")
			return
		}
		s.grantSession(w, r, false)
	default:
		oauthError(w, http.StatusBadRequest, "unsupported_grant_type", "grant type not supported")
	}
}

// checkClient verifies the connected app's key and secret, from the form or
// from HTTP basic authentication.
func (s *Server) checkClient(w http.ResponseWriter, r *http.Request) bool {
	id, password := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if user, pass, ok := r.BasicAuth(); ok {
		id, password = unescaped(user), unescaped(pass)
	}
	if id != s.opts.ClientID {
		oauthError(w, http.StatusBadRequest, "invalid_client_id", "client identifier invalid")
		return false
	}
	if password != s.opts.ClientSecret {
		oauthError(w, http.StatusBadRequest, "invalid_client", "invalid client credentials")
		return false
	}
	return true
}

func unescaped(s string) string {
	if u, err := url.QueryUnescape(s); err == nil {
		return u
	}
	return s
}

func (s *Server) grantSession(w http.ResponseWriter, r *http.Request, withRefresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	token := s.org.orgID + "!" + secret()
	s.auth.sessions[token] = s.Now().Add(time.Duration(s.settings.TokenLifetime))
	body := map[string]string{
		"access_token": token,
		"instance_url": origin(r),
		"id":           origin(r) + "/id/" + s.org.orgID + "/" + s.org.userID,
		"token_type":   "Bearer",
		"issued_at":    toText(float64(s.Now().UnixMilli())),
		"scope":        "api refresh_token",
	}
	if withRefresh {
		fresh := secret()
		s.auth.refresh[fresh] = true
		body["refresh_token"] = fresh
	}
	answer(w, http.StatusOK, body)
}

func origin(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// checkAssertion verifies a JWT bearer assertion and names what is wrong.
func (s *Server) checkAssertion(r *http.Request, assertion string) []string {
	parts := strings.Split(assertion, ".")
	var header struct{ Alg string }
	var claims struct {
		Iss, Sub, Prn string
		Aud           any
		Exp           float64
		Jti           string
	}
	if len(parts) != 3 || !decodePart(parts[0], &header) || !decodePart(parts[1], &claims) {
		return []string{"invalid_grant", "invalid assertion"}
	}
	if claims.Iss != s.opts.ClientID {
		return []string{"invalid_client_id", "client identifier invalid"}
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err != nil || header.Alg != "RS256" || s.opts.PublicKey == nil ||
		rsa.VerifyPKCS1v15(s.opts.PublicKey, crypto.SHA256, sum[:], signature) != nil {
		return []string{"invalid_grant", "invalid assertion"}
	}
	now := s.Now()
	exp := time.Unix(int64(claims.Exp), 0)
	if !now.Before(exp) {
		return []string{"invalid_grant", "assertion is not yet valid or has expired"}
	}
	if exp.Sub(now) > assertionLife {
		return []string{"invalid_grant", "assertion expiration is too far in the future"}
	}
	if !s.audience(r, claims.Aud) {
		return []string{"invalid_grant", "audience is invalid"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if claims.Sub != s.opts.Username || !s.org.find(s.org.userID).flag("IsActive") {
		return []string{"invalid_grant", "user hasn't approved this consumer"}
	}
	if claims.Jti != "" {
		if s.auth.used[claims.Jti] {
			return []string{"invalid_grant", "assertion has been used already"}
		}
		s.auth.used[claims.Jti] = true
	}
	return nil
}

// audience accepts the login hosts, and the sandbox's own address as a My
// Domain URL.
func (s *Server) audience(r *http.Request, aud any) bool {
	valid := []string{"https://login.salesforce.com", "https://test.salesforce.com", origin(r)}
	name, _ := aud.(string)
	if list, ok := aud.([]any); ok && len(list) == 1 {
		name, _ = list[0].(string)
	}
	return slices.Contains(valid, strings.TrimSuffix(name, "/"))
}

func decodePart(part string, v any) bool {
	b, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(b, v) == nil
}

// authorize stands for the page where a person logs in and consents: it sends
// the browser back at once.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	redirect, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || !redirect.IsAbs() {
		oauthError(w, http.StatusBadRequest, "redirect_uri_mismatch", "redirect_uri must match configuration")
		return
	}
	back := redirect.Query()
	if state := q.Get("state"); state != "" {
		back.Set("state", state)
	}
	switch {
	case q.Get("client_id") != s.opts.ClientID:
		oauthError(w, http.StatusBadRequest, "invalid_client_id", "client identifier invalid")
		return
	case q.Get("response_type") != "code":
		back.Set("error", "unsupported_response_type")
	case q.Get("code_challenge") != "" && q.Get("code_challenge_method") != "S256":
		back.Set("error", "invalid_request")
	default:
		code := secret()
		s.mu.Lock()
		s.auth.codes[code] = grantedCode{
			redirect: q.Get("redirect_uri"), challenge: q.Get("code_challenge"),
			ends: s.Now().Add(15 * time.Minute),
		}
		s.mu.Unlock()
		back.Set("code", code)
	}
	redirect.RawQuery = back.Encode()
	http.Redirect(w, r, redirect.String(), http.StatusFound)
}

// redeem uses up an authorization code.
func (s *Server) redeem(w http.ResponseWriter, r *http.Request) bool {
	s.mu.Lock()
	code := r.PostForm.Get("code")
	granted, ok := s.auth.codes[code]
	delete(s.auth.codes, code)
	s.mu.Unlock()
	sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	switch {
	case !ok || !s.Now().Before(granted.ends):
		oauthError(w, http.StatusBadRequest, "invalid_grant", "expired authorization code")
	case granted.redirect != r.PostForm.Get("redirect_uri"):
		oauthError(w, http.StatusBadRequest, "redirect_uri_mismatch", "redirect_uri must match configuration")
	case granted.challenge != "" && granted.challenge != base64.RawURLEncoding.EncodeToString(sum[:]):
		oauthError(w, http.StatusBadRequest, "invalid_grant", "invalid code verifier")
	default:
		return true
	}
	return false
}

// revoke ends a session, or a refresh token for good.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	token := r.FormValue("token")
	s.mu.Lock()
	_, session := s.auth.sessions[token]
	refresh := s.auth.refresh[token]
	delete(s.auth.sessions, token)
	delete(s.auth.refresh, token)
	s.mu.Unlock()
	if !session && !refresh {
		oauthError(w, http.StatusBadRequest, "unsupported_token_type", "this token type is not supported")
		return
	}
	w.WriteHeader(http.StatusOK)
}

// identity tells a client which user and org its session belongs to.
func (s *Server) identity(w http.ResponseWriter, r *http.Request) {
	if e := s.authenticate(r); e != nil {
		refuse(w, e)
		return
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	u := s.org.find(s.org.userID)
	answer(w, http.StatusOK, map[string]any{
		"id":              origin(r) + "/id/" + s.org.orgID + "/" + u.id,
		"user_id":         u.id,
		"organization_id": s.org.orgID,
		"username":        u.text("Username"),
		"display_name":    u.text("Name"),
		"email":           u.text("Email"),
		"active":          u.flag("IsActive"),
		"urls": map[string]string{
			"rest":     origin(r) + "/services/data/v{version}/",
			"sobjects": origin(r) + "/services/data/v{version}/sobjects/",
			"query":    origin(r) + "/services/data/v{version}/query/",
			"search":   origin(r) + "/services/data/v{version}/search/",
		},
	})
}

// EndSessions makes every access token given out so far invalid, as an
// administrator can; refresh tokens keep working.
func (s *Server) EndSessions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.auth.sessions)
}
