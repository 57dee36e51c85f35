package salesforce

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/oauth2/jwt"

	"github.com/callsync/callsync/crm"
)

const (
	productionLogin = "https://login.salesforce.com"
	sandboxLogin    = "https://test.salesforce.com"
	// assertionLife is how long a JWT assertion is valid; Salesforce refuses
	// more than three minutes.
	assertionLife = 3 * time.Minute
)

var errNoClient = errors.New("oauth.client_id is missing: the connected app's consumer key")

// newGrant picks the OAuth flow the settings are for: a private key means JWT
// bearer; a token stored by `callsync login` means refresh; a client secret
// alone means client credentials. A static access token needs no flow.
func newGrant(s crm.Settings, base http.RoundTripper) (grant, error) {
	o := s.OAuth
	endpoint := tokenURL(s.LoginURL)
	switch {
	case s.AccessToken != "":
		if s.BaseURL == "" {
			return nil, errors.New("access_token needs base_url, the org's own address such as https://example.my.salesforce.com")
		}
		// A new value each time: the same token is no answer to its refusal.
		return func(context.Context) (*oauth2.Token, error) {
			return &oauth2.Token{AccessToken: s.AccessToken}, nil
		}, nil
	case o.ClientID == "":
		return nil, errNoClient
	case len(o.PrivateKey) > 0:
		return jwtBearer(o, endpoint, s.LoginURL, base)
	case o.ClientSecret == "" && s.Tokens == nil:
		return nil, errors.New("oauth needs key_file and username (JWT bearer), or client_secret, or a login by `callsync login`")
	}
	config := oauthConfig(s)
	credentials := clientcredentials.Config{
		ClientID: o.ClientID, ClientSecret: o.ClientSecret, TokenURL: endpoint,
		Scopes: o.Scopes, AuthStyle: oauth2.AuthStyleInParams,
	}
	return func(ctx context.Context) (*oauth2.Token, error) {
		ctx = withTransport(ctx, base)
		stored, err := storedToken(s.Tokens)
		if err != nil {
			return nil, err
		}
		if stored != nil {
			return refresh(ctx, config, s.Tokens, stored)
		}
		if o.ClientSecret == "" || o.RedirectURL != "" {
			return nil, &crm.Error{Kind: crm.Credential, Op: "token", Message: "nobody has logged in", Hint: "run `callsync login`"}
		}
		return credentials.Token(ctx)
	}, nil
}

func storedToken(store crm.TokenStore) (*oauth2.Token, error) {
	if store == nil {
		return nil, nil
	}
	t, err := store.Load()
	if err != nil {
		return nil, &crm.Error{Kind: crm.Credential, Op: "token", Message: "the stored login cannot be read: " + err.Error(), Err: err}
	}
	if t == nil || t.RefreshToken == "" {
		return nil, nil
	}
	return t, nil
}

// refresh gets a new access token, and with it the instance URL, which a stored
// token does not keep. An org may rotate refresh tokens: the old one is dead
// then, so the new one is saved before anything else happens.
func refresh(ctx context.Context, config *oauth2.Config, store crm.TokenStore, stored *oauth2.Token) (*oauth2.Token, error) {
	t, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: stored.RefreshToken}).Token()
	if err != nil {
		return nil, err
	}
	if t.RefreshToken != stored.RefreshToken {
		if err := store.Save(t); err != nil {
			return nil, &crm.Error{Kind: crm.Credential, Op: "token", Message: "the new refresh token cannot be stored: " + err.Error(), Err: err}
		}
	}
	return t, nil
}

// OAuthConfig implements [crm.Authorizer].
func (c *Connector) OAuthConfig() (*oauth2.Config, error) {
	if c.settings.OAuth.ClientID == "" {
		return nil, errNoClient
	}
	return oauthConfig(c.settings), nil
}

func oauthConfig(s crm.Settings) *oauth2.Config {
	scopes := s.OAuth.Scopes
	if len(scopes) == 0 {
		scopes = []string{"api", "refresh_token"}
	}
	return &oauth2.Config{
		ClientID: s.OAuth.ClientID, ClientSecret: s.OAuth.ClientSecret,
		RedirectURL: s.OAuth.RedirectURL, Scopes: scopes,
		Endpoint: oauth2.Endpoint{
			AuthURL:   loginURL(s.LoginURL) + "/services/oauth2/authorize",
			TokenURL:  tokenURL(s.LoginURL),
			AuthStyle: oauth2.AuthStyleInParams,
		},
	}
}

func jwtBearer(o crm.OAuth, endpoint, login string, base http.RoundTripper) (grant, error) {
	if o.Username == "" {
		return nil, errors.New("oauth.username is missing: the Salesforce user on whose behalf callsync works")
	}
	if err := checkKey(o.PrivateKey); err != nil {
		return nil, fmt.Errorf("oauth.key_file: %w", err)
	}
	config := &jwt.Config{
		Email: o.ClientID, Subject: o.Username, PrivateKey: o.PrivateKey,
		TokenURL: endpoint, Audience: audience(login), Expires: assertionLife,
	}
	return func(ctx context.Context) (*oauth2.Token, error) {
		return config.TokenSource(withTransport(ctx, base)).Token()
	}, nil
}

func checkKey(data []byte) error {
	block, _ := pem.Decode(data)
	if block == nil {
		return errors.New("no PEM block; a private key in PEM form is needed")
	}
	if _, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return fmt.Errorf("the %s is no RSA private key", block.Type)
	}
	if _, ok := key.(*rsa.PrivateKey); !ok {
		return fmt.Errorf("the key is a %T; Salesforce signs with RS256, which needs RSA", key)
	}
	return nil
}

func loginURL(s string) string {
	if s == "" {
		return productionLogin
	}
	return strings.TrimSuffix(s, "/")
}

func tokenURL(login string) string { return loginURL(login) + "/services/oauth2/token" }

// audience is the aud claim: the login host that serves the org, whatever its
// own domain is (Salesforce Help, "OAuth 2.0 JWT Bearer Flow").
func audience(login string) string {
	u, err := url.Parse(loginURL(login))
	if err != nil || !strings.HasSuffix(u.Hostname(), ".salesforce.com") {
		return loginURL(login)
	}
	host := u.Hostname()
	if host == "test.salesforce.com" || strings.Contains(host, ".sandbox.") {
		return sandboxLogin
	}
	return productionLogin
}

// withTransport makes x/oauth2's token requests go through base and end with
// ctx; its JWT flow knows no contexts.
func withTransport(ctx context.Context, base http.RoundTripper) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: bound{ctx, base}})
}

type bound struct {
	ctx  context.Context
	base http.RoundTripper
}

func (b bound) RoundTrip(req *http.Request) (*http.Response, error) {
	return b.base.RoundTrip(req.WithContext(b.ctx))
}
