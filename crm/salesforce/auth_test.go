package salesforce_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"golang.org/x/oauth2"

	"github.com/callsync/callsync/crm"
)

// store is a crm.TokenStore.
type store struct {
	mu    sync.Mutex
	token *oauth2.Token
	saved int
}

func (s *store) Load() (*oauth2.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token, nil
}

func (s *store) Save(t *oauth2.Token) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token, s.saved = t, s.saved+1
	return nil
}

func (w *world) reach(change func(*crm.Settings)) error {
	w.t.Helper()
	_, err := w.open(change).Read(w.ctx(), []crm.Ref{{Object: "Contact", ID: "003000000000001"}}, nil)
	return err
}

func TestFlows(t *testing.T) {
	w := ready(t)
	pkcs8, _ := x509.MarshalPKCS8PrivateKey(privateKey())
	for name, change := range map[string]func(*crm.Settings){
		"JWT bearer": nil,
		"JWT bearer with a PKCS 8 key": func(s *crm.Settings) {
			s.OAuth.PrivateKey = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
		},
		"client credentials": func(s *crm.Settings) {
			s.OAuth = crm.OAuth{ClientID: "sandbox-client", ClientSecret: "sandbox-secret"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := w.reach(change); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRefusedCredentialsAreExplained(t *testing.T) {
	w := ready(t)
	other, _ := rsa.GenerateKey(rand.Reader, 2048)
	for name, tc := range map[string]struct {
		change func(*crm.Settings)
		hint   string
	}{
		"another key":    {func(s *crm.Settings) { s.OAuth.PrivateKey = pemOf(other) }, "key_file"},
		"another user":   {func(s *crm.Settings) { s.OAuth.Username = "jane@example.com" }, "pre-authorize"},
		"another app":    {func(s *crm.Settings) { s.OAuth.ClientID = "x" }, "client_id"},
		"a wrong secret": {func(s *crm.Settings) { s.OAuth = crm.OAuth{ClientID: "sandbox-client", ClientSecret: "no"} }, "client_secret"},
		"no login yet": {func(s *crm.Settings) {
			s.OAuth = crm.OAuth{ClientID: "sandbox-client"}
			s.Tokens = &store{}
		}, "callsync login"},
		"a revoked login": {func(s *crm.Settings) {
			s.OAuth = crm.OAuth{ClientID: "sandbox-client", ClientSecret: "sandbox-secret"}
			s.Tokens = &store{token: &oauth2.Token{RefreshToken: "revoked"}}
		}, "callsync login"},
	} {
		t.Run(name, func(t *testing.T) {
			err := w.reach(tc.change)
			if e := asError(t, err); e.Kind != crm.Credential || !strings.Contains(e.Hint, tc.hint) || strings.Contains(e.Error(), "jane") {
				t.Errorf("%+v, want Credential with a hint about %s", e, tc.hint)
			}
		})
	}
}

func TestTokenEndpointTrouble(t *testing.T) {
	w := ready(t)
	for _, fault := range []salesforceFault{{Status: 503}, {Status: 429}, {Reset: true}, {Status: 400, Body: `{"error":"invalid_grant","error_description":"login rate exceeded"}`}} {
		fault.Operation = "token"
		id, err := w.sim.AddFault(fault)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.reach(nil); err == nil || crm.KindOf(err) != crm.Transient {
			t.Errorf("%+v: %v, want Transient", fault, err)
		}
		w.sim.RemoveFault(id)
	}
}

func TestLoginIsRefreshedAndRotated(t *testing.T) {
	w := ready(t)
	tokens := &store{}
	d := w.open(func(s *crm.Settings) {
		s.OAuth = crm.OAuth{ClientID: "sandbox-client", ClientSecret: "sandbox-secret", RedirectURL: "http://127.0.0.1:9/callback"}
		s.Tokens = tokens
	})
	config, err := d.(crm.Authorizer).OAuthConfig()
	if err != nil {
		t.Fatal(err)
	}
	verifier := oauth2.GenerateVerifier()
	noRedirect := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := noRedirect.Get(config.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier)))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	back, _ := url.Parse(resp.Header.Get("Location"))
	tokens.token, err = config.Exchange(w.ctx(), back.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	read := func() error {
		_, err := d.Read(w.ctx(), []crm.Ref{{Object: "Contact", ID: "003000000000001"}}, nil)
		return err
	}
	if err := read(); err != nil {
		t.Fatal(err)
	}
	w.sim.EndSessions()
	if err := read(); err != nil {
		t.Errorf("after the session ended: %v", err)
	}
	if tokens.saved != 0 {
		t.Errorf("the refresh token did not change, yet was saved %d times", tokens.saved)
	}
	before := tokens.token.RefreshToken
	w.sim.EndSessions()
	w.sim.AddFault(salesforceFault{Operation: "token", Status: 200, Times: 1, ContentType: "application/json",
		Body: `{"access_token":"x","refresh_token":"rotated","instance_url":"` + w.url + `"}`})
	if err := read(); crm.KindOf(err) != crm.Credential {
		t.Errorf("with a token the org does not know: %v, want Credential", err)
	}
	if tokens.token.RefreshToken != "rotated" || before == "rotated" {
		t.Errorf("the rotated refresh token was not saved")
	}
}

func TestAnUnsafeInstanceGetsNoToken(t *testing.T) {
	w := ready(t)
	w.sim.AddFault(salesforceFault{Operation: "token", Status: 200, ContentType: "application/json",
		Body: `{"access_token":"x","instance_url":"http://example.com"}`})
	if e := asError(t, w.reach(nil)); e.Kind != crm.Credential || !strings.Contains(e.Message, "https") {
		t.Errorf("%+v, want Credential", e)
	}
}

func TestOpenRefusesWhatCannotWork(t *testing.T) {
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	der, _ := x509.MarshalPKCS8PrivateKey(ec)
	for name, tc := range map[string]struct {
		s    crm.Settings
		want string
	}{
		"nothing":         {crm.Settings{}, "client_id"},
		"no secret":       {crm.Settings{OAuth: crm.OAuth{ClientID: "x"}}, "key_file"},
		"no user":         {crm.Settings{OAuth: crm.OAuth{ClientID: "x", PrivateKey: []byte("x")}}, "username"},
		"no PEM":          {crm.Settings{OAuth: crm.OAuth{ClientID: "x", Username: "u", PrivateKey: []byte("x")}}, "PEM"},
		"not RSA":         {crm.Settings{OAuth: crm.OAuth{ClientID: "x", Username: "u", PrivateKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})}}, "RSA"},
		"a static token":  {crm.Settings{AccessToken: "t"}, "base_url"},
		"an odd version":  {crm.Settings{API: "2026-03", OAuth: crm.OAuth{ClientID: "x", ClientSecret: "y"}}, "66.0"},
		"a hidden letter": {crm.Settings{API: "v66.x", OAuth: crm.OAuth{ClientID: "x", ClientSecret: "y"}}, "66.0"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.s.Type, tc.s.Name = "salesforce", "sf"
			_, err := crm.Open(tc.s)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "sf") {
				t.Errorf("%v, want an error about %s", err, tc.want)
			}
		})
	}
}
