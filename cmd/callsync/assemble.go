package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/config"
	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/sync"
)

// An assembly says how the parts are put together: for a daemon, or for one
// command over the journal's file.
type assembly struct {
	logger    *slog.Logger
	metrics   *admin.Metrics
	daemon    bool
	receivers []string
	reload    func() (admin.Reloaded, error)
	stale     func() []string
	julian    *julianWatch // nil: nobody asks 11x
}

// Parts are what a configuration describes, put together and not yet running.
type parts struct {
	destinations []*destination
	api          *admin.Server
}

// A destination is one CRM account with its loop.
type destination struct {
	config.Destination
	crm     crm.Destination
	mapping *liveMapping
	loop    *sync.Loop
}

// assemble puts the parts together. A daemon needs every mapping and connector
// to be usable; a command gets by with what there is.
func assemble(ctx context.Context, cfg *config.Config, journal store.Journal, how assembly) (*parts, error) {
	p := &parts{}
	var shown []admin.Destination
	for _, name := range cfg.Names() {
		d, err := assembleDestination(ctx, cfg.Destinations[name], journal, how)
		if err != nil {
			return nil, err
		}
		p.destinations = append(p.destinations, d)
		shown = append(shown, admin.Destination{
			Name: d.Name, Type: d.Type, Sync: d.loop, CRM: d.crm, Mapping: d.mapping.info,
			CheckMapping: d.checkMapping, Explain: d.mapping.explain, Compile: d.mapping.compile,
		})
	}
	o := admin.Options{
		Journal: journal, Destinations: shown, Daemon: how.daemon, Receivers: how.receivers,
		Build: build(), Metrics: how.metrics, Logger: how.logger, Reload: how.reload, Stale: how.stale,
		Disk: func() (int64, int64, error) { return diskSpace(filepath.Dir(cfg.Store.Path)) },
	}
	if how.julian != nil {
		o.Julian = how.julian.now
	}
	p.api = admin.New(o)
	return p, nil
}

func assembleDestination(ctx context.Context, c config.Destination, journal store.Journal, how assembly) (*destination, error) {
	log := how.logger.With("destination", c.Name)
	d := &destination{Destination: c}
	observe := func(context.Context, crm.Exchange) {}
	if how.metrics != nil {
		observe = func(_ context.Context, x crm.Exchange) { how.metrics.Request(c.Name, x) }
	}
	guard := sync.NewGuard(c.Name, journal, how.logger)
	var err error
	if d.crm, err = openCRM(c, guard, log, observe); err != nil {
		if how.daemon {
			return nil, usageError{err}
		}
		d.crm = outOfReach{err}
	}
	if d.mapping, err = newLiveMapping(ctx, c, journal, how.logger); err != nil && how.daemon {
		return nil, err
	}
	if inspector, ok := d.crm.(crm.Inspector); ok && how.daemon {
		d.mapping.account = inspector
	}
	o := sync.Options{
		Name: c.Name, Type: c.Type, Journal: journal, Mapping: d.mapping.inForce,
		Destination: d.crm, Guard: guard, Logger: how.logger, BatchSize: c.BatchSize,
	}
	if c.AutoSetup {
		o.Destination = &autoSetup{Destination: d.crm, mapping: d.mapping, log: log}
	}
	if how.metrics != nil {
		o.Observe = how.metrics.Round
	}
	d.loop = sync.New(o)
	if !how.daemon {
		return d, d.loop.Restore(ctx)
	}
	return d, nil
}

// checkMapping compares the mapping in force with the account's schema. What
// `callsync setup` creates is left to its plan.
func (d *destination) checkMapping(ctx context.Context) ([]crm.Finding, error) {
	m := d.mapping.current.Load()
	inspector, ok := d.crm.(crm.Inspector)
	if m == nil || !ok {
		return nil, nil
	}
	problems, err := m.Check(ctx, inspector)
	if err != nil {
		return nil, err
	}
	doubts := d.mapping.doubtsOf(problems)
	d.mapping.doubts.Store(&doubts)
	var found []crm.Finding
	if problem := d.mapping.problem.Load(); problem != nil {
		found = append(found, crm.Finding{Name: "mapping", Text: fmt.Sprintf("the file is not in force, version %s is: %v", m.Version(), problem)})
	}
	fits, declared := true, 0
	for _, p := range problems {
		if p.Declared {
			declared++
			continue
		}
		fits = false
		found = append(found, crm.Finding{Name: "mapping", Text: p.String()})
	}
	switch {
	case fits && declared > 0:
		found = append(found, crm.Finding{Name: "mapping", OK: true, Text: m.Name() + " fits the account, once `callsync setup` has created what it declares"})
	case fits:
		found = append(found, crm.Finding{Name: "mapping", OK: true, Text: m.Name() + " fits the account"})
	}
	return found, nil
}

// openCRM opens an account. guard keeps it to the one that the journal knows, and is
// nil where the journal plays no part.
func openCRM(c config.Destination, guard *sync.Guard, log *slog.Logger, observe func(context.Context, crm.Exchange)) (crm.Destination, error) {
	s := crm.Settings{
		Name: c.Name, Type: c.Type, BaseURL: c.BaseURL, LoginURL: c.LoginURL,
		AccessToken: c.AccessToken.Reveal(), API: c.API,
		RatePerSecond: c.RatePerSecond, SearchPerSecond: c.SearchPerSecond, QuotaShare: c.QuotaShare,
		SearchLag: c.SearchLag, Region: c.Region,
		Tokens: tokenFile(c.TokenFile),
		Logger: log, Observe: observe,
	}
	if guard != nil {
		s.Admit, s.Memory = guard.Admit, guard.Memory()
	}
	if o := c.OAuth; o != nil {
		s.OAuth = crm.OAuth{
			ClientID: o.ClientID, ClientSecret: o.ClientSecret.Reveal(), Username: o.Username,
			PrivateKey: []byte(o.PrivateKey.Reveal()), RedirectURL: o.RedirectURL, Scopes: o.Scopes,
		}
	}
	return crm.Open(s)
}
