package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/callsync/callsync/crm/sandbox"
	"github.com/callsync/callsync/receiver"
)

// A crmSandbox is an emulated CRM. Connectors that bring one add it to
// sandboxes.
type crmSandbox struct {
	// port is where it listens unless told otherwise.
	port int
	// new makes an empty account whose searches lag; its id is one of its own unless
	// it is given.
	new func(lag time.Duration, account string) (emulated, error)
	// snippet is the destination's table for a configuration, with a %s for the
	// address and another for how long its searches lag.
	snippet string
	// token says how to get in, for people.
	token string
	// portrait reads back over HTTP what stands in the account.
	portrait func(ctx context.Context, url string) (*portrait, error)
}

// Emulated is a running account.
type emulated interface {
	http.Handler
	AddFault(sandbox.Fault) (string, error)
	Account() string
}

var sandboxes = map[string]crmSandbox{}

type sandboxCmd struct {
	CRM     string        `name:"crm" default:"hubspot" placeholder:"CRM" help:"hubspot, salesforce, or both (${default})."`
	Listen  string        `default:"127.0.0.1" placeholder:"ADDR" help:"Address, or address:port when it is one CRM (${default})."`
	Lag     time.Duration `default:"5s" help:"How long a new record stays invisible to searches (${default})."`
	Account string        `placeholder:"ID" help:"The account's id, for a sandbox that is to pass for one that callsync knows already; it is another each time without."`
	Fault   []string      `sep:"none" placeholder:"FAULT" help:"A fault to begin with, such as \"operation=calls batch create,status=503,times=2\". May be repeated."`
}

func (c *sandboxCmd) Run(ctx context.Context, a *app) error {
	kinds, err := sandboxKinds(c.CRM)
	if err != nil {
		return err
	}
	if c.Account != "" && len(kinds) > 1 {
		return usagef("--account is for one CRM")
	}
	var faults []sandbox.Fault
	for _, s := range c.Fault {
		f, err := sandbox.ParseFault(s)
		if err != nil {
			return usageError{err}
		}
		faults = append(faults, f)
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, kind := range kinds {
		address, err := c.address(kind, len(kinds))
		if err != nil {
			return err
		}
		s := sandboxes[kind]
		account, err := s.new(c.Lag, c.Account)
		if err != nil {
			return err
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		for _, f := range faults {
			if _, err := account.AddFault(f); err != nil {
				return usageError{err}
			}
		}
		url := "http://" + l.Addr().String()
		a.out.f("%s emulated at %s, account %s; %s\n", kind, url, account.Account(), s.token)
		a.out.f("  faults, request log, state: %s%s\n", url, sandbox.ControlPrefix)
		a.out.f("  to try callsync on it, in config.toml:\n\n")
		fmt.Fprintf(a.out.w, s.snippet+"\n", url, 2*c.Lag)
		g.Go(func() error { return serveSandbox(ctx, l, account) })
	}
	return g.Wait()
}

// serveSandbox serves an emulated CRM until ctx ends. It has no timeouts:
// faults may hold an answer back for as long as they like.
func serveSandbox(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	err := receiver.Serve(ctx, s, l, nil, 100*time.Millisecond)
	if errors.Is(err, context.DeadlineExceeded) { // an answer held back by a fault
		return nil
	}
	return err
}

// sandboxNames lists the CRMs that can be emulated, in order.
func sandboxNames() []string { return slices.Sorted(maps.Keys(sandboxes)) }

// sandboxKinds are the CRMs that --crm asks for.
func sandboxKinds(crm string) ([]string, error) {
	known := sandboxNames()
	if crm == "both" {
		return known, nil
	}
	if !slices.Contains(known, crm) {
		return nil, usagef("there is no sandbox for %q; there are: %s", crm, join(known))
	}
	return []string{crm}, nil
}

func (c *sandboxCmd) address(kind string, kinds int) (string, error) {
	if _, _, err := net.SplitHostPort(c.Listen); err == nil {
		if kinds > 1 {
			return "", usagef("--listen with a port is for one CRM; give an address alone")
		}
		return c.Listen, nil
	}
	return net.JoinHostPort(c.Listen, fmt.Sprint(sandboxes[kind].port)), nil
}
