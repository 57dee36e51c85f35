package salesforce

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/simpleforce/simpleforce"
	"golang.org/x/oauth2"

	"github.com/callsync/callsync/crm"
)

// An account is which org the token in use is for, and whether it may be used.
type account struct {
	ask    func(ctx context.Context, org string, unknown error) error // [crm.Settings.Admit]
	moved  func()                                                     // what is cached is another org's
	asking chan struct{}                                              // holds a token while ask and Salesforce are asked

	mu       sync.Mutex
	token    *oauth2.Token // what follows is about this one
	org      string        // "" where Salesforce does not tell
	answered bool
	admitted bool
	last     string // the org before
}

func newAccount(s crm.Settings) *account {
	return &account{ask: s.Admit, moved: func() {}, asking: make(chan struct{}, 1)}
}

// name is the org's id; "" while it is not known.
func (a *account) name() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.org
}

// passes reports whether a token's org may be used.
func (a *account) passes(t *oauth2.Token) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.token == t && a.admitted
}

// known is the org of a token; ok is false while it is to be found out.
func (a *account) known(t *oauth2.Token) (org string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.org, a.token == t && a.answered
}

// note keeps what is known about a token.
func (a *account) note(t *oauth2.Token, org string, answered bool) {
	a.mu.Lock()
	moved := org != "" && a.last != "" && org != a.last
	a.token, a.org, a.answered, a.admitted = t, org, answered, false
	if org != "" {
		a.last = org
	}
	a.mu.Unlock()
	if moved {
		a.moved()
	}
}

func (a *account) pass() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.admitted = true
}

// reconsider has an org that was not found out asked about anew, and reports whether
// it is known and may not be used.
func (a *account) reconsider() (refused bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.answered {
		a.token = nil
	}
	return a.answered && !a.admitted
}

// admit sees to it that nothing is read or written in an org that may not be used.
func (c *client) admit(ctx context.Context, t *oauth2.Token) error {
	a := c.account
	if a.ask == nil || a.passes(t) {
		return nil
	}
	select {
	case a.asking <- struct{}{}:
		defer func() { <-a.asking }()
	case <-ctx.Done():
		return unreachable(opUserinfo, ctx.Err())
	}
	if a.passes(t) {
		return nil
	}
	org, ok := a.known(t)
	var unknown error
	if !ok {
		org, unknown = c.orgOf(ctx, t)
		a.note(t, org, unknown == nil)
	}
	if err := a.ask(ctx, org, unknown); err != nil {
		return err
	}
	a.pass()
	return nil
}

const (
	opUserinfo   = "userinfo"
	pathUserinfo = "services/oauth2/userinfo"
)

// orgOf finds out an org's id: from the token's answer, which names it, or, for a
// token from the configuration, by the identity service. The error says why that
// did not answer; that it does not tell is none.
func (c *client) orgOf(ctx context.Context, t *oauth2.Token) (string, error) {
	if org, _ := identityOf(t); org != "" {
		return org, nil
	}
	var body []byte
	err := c.try(ctx, opUserinfo, t, func(sf *simpleforce.Client) (err error) {
		body, err = sf.ApexREST(http.MethodGet, pathUserinfo, nil)
		return err
	})
	if err != nil && !untold(err) {
		return "", err
	}
	var who struct {
		Org string `json:"organization_id"`
	}
	if err == nil && json.Unmarshal(body, &who) != nil {
		return "", notJSON(opUserinfo, 0)
	}
	return orgID(who.Org), nil
}

// untold reports whether an error is Salesforce's last word: the token may not ask,
// or there is nothing to be asked.
func untold(err error) bool {
	var e *crm.Error
	return errors.As(err, &e) && (e.Kind == crm.Credential && e.Status == http.StatusForbidden || e.Kind == crm.Permanent || e.Kind == crm.Gone)
}

// orgID is an org's id in its longer form; "" for anything else.
func orgID(s string) string {
	if id, ok := id18(s); ok && strings.HasPrefix(id, "00D") {
		return id
	}
	return ""
}

// identityOf returns the org's and the user's id from the identity URL of a token
// answer, .../id/{org}/{user}; "" when it has none.
func identityOf(t *oauth2.Token) (org, user string) {
	id, _ := t.Extra("id").(string)
	_, path, ok := strings.Cut(id, "/id/")
	if !ok {
		return "", ""
	}
	org, user, _ = strings.Cut(path, "/")
	return orgID(org), user
}
