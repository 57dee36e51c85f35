package salesforcesim_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/callsync/callsync/crm/sandbox/salesforcesim"
)

func sign(t *testing.T, key *rsa.PrivateKey, alg string, claims map[string]any) string {
	t.Helper()
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	unsigned := part(map[string]string{"alg": alg, "typ": "JWT"}) + "." + part(claims)
	sum := sha256.Sum256([]byte(unsigned))
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return unsigned + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func TestJWTBearer(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	o := newOrgWith(t, salesforcesim.Options{PublicKey: &key.PublicKey, Username: "bot@example.com"})
	claims := func(change map[string]any) map[string]any {
		c := map[string]any{
			"iss": "sandbox-client", "sub": "bot@example.com", "aud": "https://login.salesforce.com",
			"exp": o.clock.Now().Add(3 * time.Minute).Unix(),
		}
		for k, v := range change {
			c[k] = v
		}
		return c
	}
	for name, tc := range map[string]struct {
		key    *rsa.PrivateKey
		alg    string
		change map[string]any
		want   string // error; "" is success
	}{
		"good":            {key, "RS256", nil, ""},
		"own address":     {key, "RS256", map[string]any{"aud": o.url}, ""},
		"test host":       {key, "RS256", map[string]any{"aud": "https://test.salesforce.com"}, ""},
		"wrong key":       {other, "RS256", nil, "invalid_grant"},
		"other algorithm": {key, "none", nil, "invalid_grant"},
		"wrong client":    {key, "RS256", map[string]any{"iss": "x"}, "invalid_client_id"},
		"wrong user":      {key, "RS256", map[string]any{"sub": "x"}, "invalid_grant"},
		"wrong audience":  {key, "RS256", map[string]any{"aud": "https://example.com"}, "invalid_grant"},
		"expired":         {key, "RS256", map[string]any{"exp": o.clock.Now().Unix()}, "invalid_grant"},
		"lives too long":  {key, "RS256", map[string]any{"exp": o.clock.Now().Add(time.Hour).Unix()}, "invalid_grant"},
		"once":            {key, "RS256", map[string]any{"jti": "1"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := o.form("/services/oauth2/token", url.Values{
				"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"},
				"assertion":  {sign(t, tc.key, tc.alg, claims(tc.change))},
			})
			if tc.want != "" {
				if status != 400 || body["error"] != tc.want || body["error_description"] == "" {
					t.Errorf("got %d %v; want %s", status, body, tc.want)
				}
				return
			}
			if status != 200 || body["instance_url"] != o.url || body["token_type"] != "Bearer" || body["refresh_token"] != nil {
				t.Fatalf("got %d %v", status, body)
			}
			o.t, o.token = t, body["access_token"].(string)
			o.ok("GET", "limits", nil)
			if id := o.ok("GET", body["id"].(string)[len(o.url):], nil); id.at("username") != "bot@example.com" {
				t.Errorf("identity: %s", id.raw)
			}
		})
	}
	o.t = t
	again := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {sign(t, key, "RS256", claims(map[string]any{"jti": "1"}))}}
	if status, body := o.form("/services/oauth2/token", again); status != 400 {
		t.Errorf("a used assertion: %d %v", status, body)
	}
	user := o.sim.UserID()
	o.ok("PATCH", "sobjects/User/"+user, map[string]any{"IsActive": false})
	good := url.Values{"grant_type": again["grant_type"], "assertion": {sign(t, key, "RS256", claims(nil))}}
	if status, body := o.form("/services/oauth2/token", good); status != 400 || body["error"] != "invalid_grant" {
		t.Errorf("an inactive user: %d %v", status, body)
	}
}

func TestAuthorizationCode(t *testing.T) {
	o := newOrg(t)
	verifier := "a-verifier-that-is-long-enough-for-anybody-to-accept"
	sum := sha256.Sum256([]byte(verifier))
	page := url.Values{
		"response_type": {"code"}, "client_id": {"sandbox-client"}, "redirect_uri": {"http://127.0.0.1:1/callback"},
		"state": {"s1"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	code := func() string {
		resp, err := client.Get(o.url + "/services/oauth2/authorize?" + page.Encode())
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		to, err := resp.Location()
		if err != nil || to.Host != "127.0.0.1:1" || to.Query().Get("state") != "s1" {
			t.Fatalf("redirect: %v %v", to, err)
		}
		return to.Query().Get("code")
	}
	exchange := func(change url.Values) (int, map[string]any) {
		v := url.Values{
			"grant_type": {"authorization_code"}, "client_id": {"sandbox-client"}, "client_secret": {"sandbox-secret"},
			"redirect_uri": page["redirect_uri"], "code_verifier": {verifier},
		}
		for k, x := range change {
			v[k] = x
		}
		return o.form("/services/oauth2/token", v)
	}
	for name, change := range map[string]url.Values{
		"no code":        {"code": {"x"}},
		"other redirect": {"code": {code()}, "redirect_uri": {"http://127.0.0.1:2/"}},
		"other verifier": {"code": {code()}, "code_verifier": {"x"}},
		"secret":         {"code": {code()}, "client_secret": {"x"}},
		"client":         {"code": {code()}, "client_id": {"x"}},
	} {
		if status, body := exchange(change); status != 400 || body["error"] == nil {
			t.Errorf("%s: %d %v", name, status, body)
		}
	}
	once := code()
	status, body := exchange(url.Values{"code": {once}})
	refresh, _ := body["refresh_token"].(string)
	if status != 200 || refresh == "" {
		t.Fatalf("exchange: %d %v", status, body)
	}
	if status, _ := exchange(url.Values{"code": {once}}); status != 400 {
		t.Errorf("a code worked twice: %d", status)
	}
	late := code()
	o.clock.add(16 * time.Minute)
	if status, _ := exchange(url.Values{"code": {late}}); status != 400 {
		t.Errorf("an old code worked: %d", status)
	}
	renew := url.Values{"grant_type": {"refresh_token"}, "client_id": {"sandbox-client"}, "client_secret": {"sandbox-secret"}, "refresh_token": {refresh}}
	status, body = o.form("/services/oauth2/token", renew)
	if status != 200 {
		t.Fatalf("refresh: %d %v", status, body)
	}
	o.token = body["access_token"].(string)
	o.ok("GET", "limits", nil)
	if status, _ := o.form("/services/oauth2/revoke", url.Values{"token": {refresh}}); status != 200 {
		t.Errorf("revoke: %d", status)
	}
	if status, body := o.form("/services/oauth2/token", renew); status != 400 || body["error"] != "invalid_grant" {
		t.Errorf("a revoked refresh token: %d %v", status, body)
	}
	if status, body := o.form("/services/oauth2/token", url.Values{"grant_type": {"password"}}); status != 400 || body["error"] != "unsupported_grant_type" {
		t.Errorf("password: %d %v", status, body)
	}
}

func TestSessions(t *testing.T) {
	o := newOrg(t)
	o.ok("GET", "limits", nil)
	o.clock.add(2 * time.Hour)
	o.refused(401, "INVALID_SESSION_ID", "GET", "limits", nil)
	o.token = o.login()
	o.ok("GET", "limits", nil)
	o.sim.EndSessions()
	o.refused(401, "INVALID_SESSION_ID", "GET", "limits", nil)
	o.token = o.login()
	if status, _ := o.form("/services/oauth2/revoke", url.Values{"token": {o.token}}); status != 200 {
		t.Errorf("revoke: %d", status)
	}
	o.refused(401, "INVALID_SESSION_ID", "GET", "sobjects", nil)
	if a := o.do("GET", "/services/data", nil); a.status != 200 || a.at(0, "version") == nil {
		t.Errorf("the versions want no session: %d %s", a.status, a.raw)
	}
}

func TestDailyLimit(t *testing.T) {
	o := newOrg(t, func(s *salesforcesim.Settings) { s.DailyLimit, s.DailyUsed = 20, 17 })
	if got := o.ok("GET", "limits", nil).header.Get("Sforce-Limit-Info"); got != "api-usage=18/20" {
		t.Errorf("Sforce-Limit-Info: %s", got)
	}
	if got := o.ok("GET", "limits", nil); got.at("DailyApiRequests", "Remaining") != 1.0 || got.at("DailyApiRequests", "Max") != 20.0 {
		t.Errorf("limits: %s", got.raw)
	}
	o.ok("GET", "sobjects", nil)
	for range 2 {
		o.refused(403, "REQUEST_LIMIT_EXCEEDED", "GET", "limits", nil)
	}
	o.clock.add(25 * time.Hour)
	o.token = o.login()
	if got := o.ok("GET", "limits", nil).header.Get("Sforce-Limit-Info"); got != "api-usage=18/20" {
		t.Errorf("a day later: %s", got)
	}
}
