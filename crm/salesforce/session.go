package salesforce

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"

	"github.com/callsync/callsync/crm"
)

// tokenTimeout bounds one request to the token endpoint.
const tokenTimeout = 30 * time.Second

// A session holds the access token in use. Salesforce does not say how long a
// token lives: it is used until it is refused, then renewed once, for however
// many requests met the refusal.
type session struct {
	grant    grant
	override string // the instance's address, if the configuration gives one
	insecure bool   // the instance may be reached over plain HTTP: a sandbox on this machine
	meter    *meter

	flight singleflight.Group
	mu     sync.Mutex
	now    *oauth2.Token
}

// A grant obtains an access token.
type grant func(context.Context) (*oauth2.Token, error)

// token returns a token other than the refused one, which may be nil. Callers
// that wait at the same time share one request to the token endpoint and its
// outcome.
func (s *session) token(ctx context.Context, refused *oauth2.Token) (*oauth2.Token, error) {
	if t := s.usable(refused); t != nil {
		return t, nil
	}
	done := s.flight.DoChan("token", func() (any, error) {
		if t := s.usable(refused); t != nil {
			return t, nil
		}
		// Others wait for this token: it must not end with the first caller.
		ctx, cancel := context.WithTimeout(crm.WithOperation(context.WithoutCancel(ctx), "token"), tokenTimeout)
		defer cancel()
		s.meter.count("token")
		t, err := s.grant(ctx)
		if err != nil {
			return nil, tokenError(err)
		}
		if err := s.checkInstance(t); err != nil {
			return nil, err
		}
		s.mu.Lock()
		s.now = t
		s.mu.Unlock()
		return t, nil
	})
	select {
	case r := <-done:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*oauth2.Token), nil
	case <-ctx.Done():
		return nil, unreachable("token", ctx.Err())
	}
}

func (s *session) usable(refused *oauth2.Token) *oauth2.Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil || s.now == refused || !s.now.Valid() {
		return nil
	}
	return s.now
}

// instance is the address of the org that issued t, without a trailing slash.
func (s *session) instance(t *oauth2.Token) string {
	if s.override != "" {
		return s.override
	}
	u, _ := t.Extra("instance_url").(string)
	return strings.TrimSuffix(u, "/")
}

// checkInstance refuses an answer that would send the token somewhere unsafe.
func (s *session) checkInstance(t *oauth2.Token) error {
	u, err := url.Parse(s.instance(t))
	if err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && s.insecure && loopback(u.Hostname())) {
		return nil
	}
	return &crm.Error{
		Kind: crm.Credential, Op: "token", Message: "the token answer names no https instance_url",
		Hint: "check that login_url is a Salesforce login host",
	}
}

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// identity returns the org's and the user's id as the token answer has them; ""
// when it has none.
func (s *session) identity() (org, user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil {
		return "", ""
	}
	return identityOf(s.now)
}

// drop has the next request ask for a new token, and so for a login made since.
func (s *session) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = nil
}

// tokenError explains a failure of the token endpoint.
func tokenError(err error) error {
	var known *crm.Error
	if errors.As(err, &known) {
		return known
	}
	var r *oauth2.RetrieveError
	if !errors.As(err, &r) {
		return &crm.Error{Kind: crm.Transient, Op: "token", Message: "no answer from the token endpoint: " + err.Error(), Err: err}
	}
	var body struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	_ = json.Unmarshal(r.Body, &body) // what is not JSON has no code
	e := &crm.Error{
		Kind: crm.Credential, Op: "token", Code: body.Error, Message: scrub(body.Description, nil),
		Hint: tokenHint(body.Error, body.Description),
	}
	if r.Response != nil {
		e.Status = r.Response.StatusCode
	}
	if e.Message == "" {
		e.Message = "Salesforce refused to issue a token"
	}
	if e.Status == http.StatusTooManyRequests || e.Status >= 500 || strings.Contains(body.Description, "rate exceeded") {
		e.Kind, e.Hint = crm.Transient, ""
	}
	return e
}

func tokenHint(code, description string) string {
	switch {
	case strings.Contains(description, "approved"):
		return "pre-authorize the user for the connected app (Manage Connected Apps, Permitted Users, Admin approved users)"
	case strings.Contains(description, "audience"):
		return "login_url must be https://test.salesforce.com for a sandbox org and https://login.salesforce.com otherwise"
	case code == "invalid_client_id", code == "invalid_client":
		return "check oauth.client_id and oauth.client_secret: the connected app's consumer key and secret"
	case code == "invalid_grant":
		return "check oauth.username and that the certificate of oauth.key_file is the connected app's, and this machine's clock; with a stored login, run `callsync login` again"
	default:
		return "check the destination's oauth table and the connected app"
	}
}
