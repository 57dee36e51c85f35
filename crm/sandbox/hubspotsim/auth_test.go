package hubspotsim_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/callsync/callsync/crm/sandbox/hubspotsim"
)

func TestTokens(t *testing.T) {
	p := newPortal(t)
	for _, token := range []string{"", "wrong"} {
		p.token = token
		p.do("GET", "/crm/v3/owners", nil).is(401).says("INVALID_AUTHENTICATION", "correlationId")
	}
	p.token = hubspotsim.DefaultToken
	p.do("GET", "/crm/v3/owners", nil).is(200)
	p.Configure(func(s *hubspotsim.Settings) { s.Revoked = true })
	p.do("GET", "/crm/v3/owners", nil).is(401).says("INVALID_AUTHENTICATION")
	p.Configure(func(s *hubspotsim.Settings) { s.Revoked = false })
	p.do("GET", "/crm/v3/owners", nil).is(200)
}

func TestScopes(t *testing.T) {
	for _, tt := range []struct {
		scopes       []string
		method, path string
		body         any
		status       int
	}{
		{[]string{"crm.objects.contacts.read"}, "GET", "/crm/v3/objects/contacts/1", nil, 404},
		{[]string{"crm.objects.contacts.read"}, "GET", "/crm/v3/objects/calls/1", nil, 404},
		{[]string{"crm.objects.contacts.read"}, "POST", "/crm/v3/objects/contacts/search", "{}", 200},
		{[]string{"crm.objects.contacts.read"}, "POST", "/crm/v3/objects/calls/batch/read", `{"inputs":[{"id":"1"}]}`, 207},
		{[]string{"crm.objects.contacts.read"}, "POST", "/crm/v3/objects/calls", `{"properties":{"hs_timestamp":"1"}}`, 403},
		{[]string{"crm.objects.contacts.write"}, "POST", "/crm/v3/objects/calls", `{"properties":{"hs_timestamp":"1"}}`, 201},
		{[]string{"crm.objects.contacts.write"}, "GET", "/crm/v3/objects/contacts/1", nil, 403},
		{[]string{"crm.objects.contacts.read"}, "GET", "/crm/v3/objects/deals/1", nil, 403},
		{[]string{"crm.objects.deals.read"}, "GET", "/crm/v3/objects/deals/1", nil, 404},
		{[]string{"crm.objects.contacts.read"}, "GET", "/crm/v3/properties/calls", nil, 200},
		{[]string{"crm.schemas.contacts.read"}, "GET", "/crm/v3/properties/calls", nil, 200},
		{[]string{"crm.objects.contacts.write"}, "POST", "/crm/v3/properties/calls/groups", `{"name":"g","label":"G"}`, 403},
		{[]string{"crm.schemas.contacts.write"}, "POST", "/crm/v3/properties/calls/groups", `{"name":"g","label":"G"}`, 201},
		{[]string{"crm.objects.contacts.read"}, "GET", "/crm/v3/owners", nil, 403},
		{[]string{"crm.objects.owners.read"}, "GET", "/crm/v3/owners", nil, 200},
	} {
		p := newPortal(t, func(o *hubspotsim.Options) { o.Tokens = []hubspotsim.Token{{Value: "limited", Scopes: tt.scopes}} })
		p.token = "limited"
		a := p.do(tt.method, tt.path, tt.body)
		if a.status != tt.status {
			t.Errorf("%v: %s %s: %d, want %d: %s", tt.scopes, tt.method, tt.path, a.status, tt.status, a.raw)
		}
		if a.status == 403 {
			a.says(`"category":"MISSING_SCOPES"`, "requiredGranularScopes")
		}
	}
}

// authorize follows the install page and returns the code it hands out.
func (p *portal) authorize(query url.Values) (*http.Response, string) {
	p.t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(p.url + "/oauth/authorize?" + query.Encode())
	if err != nil {
		p.t.Fatal(err)
	}
	resp.Body.Close()
	to, err := resp.Location()
	if err != nil {
		return resp, ""
	}
	if got := to.Query().Get("state"); got != query.Get("state") {
		p.t.Errorf("state is %q, want %q", got, query.Get("state"))
	}
	return resp, to.Query().Get("code")
}

func (p *portal) exchange(path string, form url.Values) *answer {
	p.t.Helper()
	resp, err := http.PostForm(p.url+path, form)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	a := &answer{t: p.t, status: resp.StatusCode}
	if err := json.NewDecoder(resp.Body).Decode(&a.body); err != nil {
		p.t.Fatal(err)
	}
	a.raw, _ = json.Marshal(a.body)
	return a
}

const loopback = "http://127.0.0.1:8765/callback"

func TestOAuth(t *testing.T) {
	p := newPortal(t)
	verifier := "a-verifier-of-at-least-forty-three-characters-in-all"
	sum := sha256.Sum256([]byte(verifier))
	query := url.Values{
		"client_id": {"sandbox-client"}, "redirect_uri": {loopback}, "state": {"s1"},
		"scope":          {"crm.objects.contacts.read crm.objects.owners.read"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for _, path := range []string{"/oauth/v1/token", "/oauth/v3/token", "/oauth/2026-03/token"} {
		form := func(change func(url.Values)) url.Values {
			_, code := p.authorize(query)
			f := url.Values{
				"grant_type": {"authorization_code"}, "client_id": {"sandbox-client"}, "client_secret": {"sandbox-secret"},
				"redirect_uri": {loopback}, "code": {code}, "code_verifier": {verifier},
			}
			change(f)
			return f
		}
		for name, change := range map[string]func(url.Values){
			"another verifier": func(f url.Values) { f.Set("code_verifier", "x") },
			"another redirect": func(f url.Values) { f.Set("redirect_uri", "http://127.0.0.1:1/") },
			"another secret":   func(f url.Values) { f.Set("client_secret", "x") },
			"no such code":     func(f url.Values) { f.Set("code", "x") },
			"no grant type":    func(f url.Values) { f.Del("grant_type") },
			"a late exchange":  func(url.Values) { p.Advance(6 * time.Minute) },
		} {
			if a := p.exchange(path, form(change)); a.status != 400 || a.body["message"] == nil || a.body["error"] == nil {
				t.Errorf("%s: %d %s", name, a.status, a.raw)
			}
		}
		good := form(func(url.Values) {})
		a := p.exchange(path, good).is(200)
		if a.body["expires_in"] != 1800.0 || a.body["token_type"] != "bearer" {
			t.Errorf("token: %s", a.raw)
		}
		p.exchange(path, good).is(400).says("BAD_AUTH_CODE") // a code serves once

		p.token = a.body["access_token"].(string)
		got := p.do("GET", "/crm/v3/owners", nil).is(200)
		if got.header.Get("X-HubSpot-RateLimit-Max") == "" || got.header.Get("X-HubSpot-RateLimit-Daily") != "" {
			t.Errorf("rate headers under OAuth: %v", got.header)
		}
		p.do("POST", "/crm/v3/objects/contacts", `{"properties":{"firstname":"x"}}`).is(403)
		p.Advance(30 * time.Minute)
		p.do("GET", "/crm/v3/owners", nil).is(401).says("EXPIRED_AUTHENTICATION")

		refresh := url.Values{
			"grant_type": {"refresh_token"}, "client_id": {"sandbox-client"}, "client_secret": {"sandbox-secret"},
			"refresh_token": {a.body["refresh_token"].(string)},
		}
		p.token = p.exchange(path, refresh).is(200).body["access_token"].(string)
		p.do("GET", "/crm/v3/owners", nil).is(200)
		p.Configure(func(s *hubspotsim.Settings) { s.Revoked = true })
		p.exchange(path, refresh).is(400).says("invalid_grant")
		p.Configure(func(s *hubspotsim.Settings) { s.Revoked = false })
	}
	for name, change := range map[string][2]string{
		"a foreign redirect": {"redirect_uri", "https://evil.example.com/"},
		"another client":     {"client_id", "x"},
		"no scope":           {"scope", ""},
	} {
		bad := url.Values{}
		for k, v := range query {
			bad[k] = v
		}
		bad.Set(change[0], change[1])
		if resp, code := p.authorize(bad); resp.StatusCode != 400 || code != "" {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
}
