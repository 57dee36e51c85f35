package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	gosync "sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/alert"
	"github.com/callsync/callsync/config"
	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/receiver"
	"github.com/callsync/callsync/store"
)

const (
	// receiverGrace is how long deliveries under way may take at the end.
	receiverGrace = 20 * time.Second
	// adminGrace is the same for requests to the admin API.
	adminGrace = 2 * time.Second
)

// A daemon is a running callsync.
type daemon struct {
	// Webhook is the address for deliveries, Admin the one of the API as the
	// configuration would write it.
	Webhook, Admin string
	parts          *parts
	receiver       *receiver.Receiver
	alerts         *alert.Engine
	julian         *julianWatch // nil: nobody asks 11x

	reloading gosync.Mutex
	cfg       *config.Config // guarded by reloading

	stop func()
	done chan struct{}
	err  error // set before done is closed
}

// Stop ends the daemon in order: no more deliveries, the batches in flight
// finished, the journal closed.
func (d *daemon) Stop() error {
	d.stop()
	return d.Wait()
}

// Wait waits for the end.
func (d *daemon) Wait() error {
	<-d.done
	return d.err
}

// start starts a daemon, which runs until ctx ends or something it cannot do
// without fails. When start returns, deliveries are being taken.
func start(ctx context.Context, cfg *config.Config, log *slog.Logger) (_ *daemon, err error) {
	for _, w := range cfg.Warnings {
		log.Warn(w)
	}
	var undo []func() error
	defer func() {
		if err == nil {
			return
		}
		for i := len(undo) - 1; i >= 0; i-- {
			_ = undo[i]()
		}
	}()
	secure, err := certificate(cfg.Receiver)
	if err != nil {
		return nil, err
	}
	// The socket first: it tells a second daemon more than the locked journal.
	adminListener, err := admin.Listen(cfg.Admin.Listen, cfg.Admin.Token.Reveal())
	if err != nil {
		return nil, err
	}
	undo = append(undo, adminListener.Close)
	journal, err := openJournal(cfg.Store.Path, log)
	if errors.Is(err, store.ErrLocked) {
		return nil, fmt.Errorf("another process holds the journal %s: is another daemon running?", cfg.Store.Path)
	}
	if err != nil {
		return nil, err
	}
	undo = append(undo, journal.Close)
	webhook, err := net.Listen("tcp", cfg.Receiver.Listen)
	if err != nil {
		return nil, fmt.Errorf("receiver: %w", err)
	}
	undo = append(undo, webhook.Close)

	d := &daemon{Webhook: webhookURL(cfg.Receiver, webhook.Addr()), Admin: adminAddress(cfg.Admin, adminListener.Addr()), done: make(chan struct{})}
	metrics := admin.NewMetrics()
	d.cfg = cfg
	d.receiver = newReceiver(cfg.Receiver, journal, metrics, log)
	d.julian = watchJulian(cfg.Julian, log)
	d.parts, err = assemble(ctx, cfg, journal, assembly{
		logger: log, metrics: metrics, daemon: true, receivers: []string{d.Webhook},
		reload: func() (admin.Reloaded, error) { return d.Reload(log) },
		stale:  d.stale,
		julian: d.julian,
	})
	if err != nil {
		return nil, err
	}
	if d.alerts, err = newAlerts(cfg.Alerts, d.parts.api, journal, metrics, log); err != nil {
		return nil, err
	}
	if err := journal.Enroll(ctx, cfg.Names()); err != nil {
		return nil, err
	}
	for _, dest := range d.parts.destinations {
		if err := dest.mapping.admit(ctx); err != nil {
			return nil, err
		}
	}
	ctx, d.stop = context.WithCancel(ctx)
	go d.run(ctx, cfg, log, running{journal, metrics, webhook, secure, adminListener})
	log.Info("taking deliveries", "url", d.Webhook)
	log.Info("admin API", "listen", d.Admin)
	return d, nil
}

// Running is what a daemon holds open.
type running struct {
	journal store.Journal
	metrics *admin.Metrics
	webhook net.Listener
	secure  *tls.Config // of webhook; nil for plain HTTP
	admin   net.Listener
}

func (d *daemon) run(ctx context.Context, cfg *config.Config, log *slog.Logger, r running) {
	defer close(d.done)
	defer d.stop()
	adminCtx, adminStop := context.WithCancel(context.WithoutCancel(ctx))
	adminDone := make(chan error, 1)
	go func() { adminDone <- serveAdmin(adminCtx, cfg.Admin, r.admin, d.parts.api, log) }()

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.receive(ctx, cfg.Receiver, log, r.webhook, r.secure) })
	for _, dest := range d.parts.destinations {
		g.Go(func() error { return dest.loop.Run(ctx) })
		g.Go(func() error { dest.greet(ctx, log); return nil })
	}
	g.Go(func() error {
		var live []*liveMapping
		for _, dest := range d.parts.destinations {
			live = append(live, dest.mapping)
		}
		watchMappings(ctx, live, log, r.metrics.MappingReloaded)
		return nil
	})
	g.Go(func() error { retain(ctx, r.journal, cfg.Retention, log); return nil })
	g.Go(func() error { packSettled(ctx, r.journal, log); return nil })
	g.Go(func() error { d.alerts.Run(ctx); return nil })
	if d.julian != nil {
		g.Go(func() error { d.julian.run(ctx); return nil })
	}
	err := g.Wait()
	// The API answers to the last, so that the end can be watched.
	adminStop()
	d.err = errors.Join(err, <-adminDone, r.journal.Close())
	log.Info("stopped")
}

func newReceiver(c config.Receiver, inbox store.Inbox, metrics *admin.Metrics, log *slog.Logger) *receiver.Receiver {
	return receiver.New(inbox, receiver.Options{
		Path: c.Path, Keys: revealed(c.APIKeys), MaxBody: c.MaxBody, BodyTimeout: c.BodyTimeout, Logger: log,
		Observe: func(o receiver.Observation) {
			if o.Miss != nil {
				metrics.Miss(o.Status, admin.Miss(*o.Miss))
				return
			}
			metrics.Delivery(o.Verdict, o.Status, o.Elapsed)
		},
	})
}

func (d *daemon) receive(ctx context.Context, c config.Receiver, log *slog.Logger, l net.Listener, secure *tls.Config) error {
	s := receiver.NewServer(d.receiver, receiver.Timeouts{Header: c.HeaderTimeout, Body: c.BodyTimeout, Idle: c.IdleTimeout}, log)
	if err := receiver.Serve(ctx, s, l, secure, receiverGrace); err != nil {
		return fmt.Errorf("receiver: %w", err)
	}
	return nil
}

// certificate loads the webhook's TLS certificate; nil when it has none.
func certificate(c config.Receiver) (*tls.Config, error) {
	secure, err := receiver.Certificate{CertFile: c.TLSCert, KeyFile: c.TLSKey}.Config()
	if err != nil {
		return nil, usagef("receiver: %w; correct tls_cert and tls_key in [receiver]", err)
	}
	return secure, nil
}

func revealed(secrets []config.Secret) []string {
	texts := make([]string, len(secrets))
	for i, s := range secrets {
		texts[i] = s.Reveal()
	}
	return texts
}

func serveAdmin(ctx context.Context, c config.Admin, l net.Listener, api http.Handler, log *slog.Logger) error {
	if network, _ := c.Address(); network == "tcp" {
		api = admin.RequireToken(c.Token.Reveal(), api)
	}
	s := receiver.NewServer(api, receiver.Timeouts{}, log)
	s.WriteTimeout = 10 * time.Minute // planning a long history
	if err := receiver.Serve(ctx, s, l, nil, adminGrace); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("admin: %w", err)
	}
	return nil
}

// greet says at the start what a destination lacks, rather than with the first
// call.
func (d *destination) greet(ctx context.Context, log *slog.Logger) {
	log = log.With("destination", d.Name)
	if problem := d.mapping.info().Problem; problem != "" {
		log.Error("the mapping file cannot be used; the last good version is in force", "error", problem)
	}
	err := d.crm.Ready(ctx)
	if crm.KindOf(err) == crm.NotReady && d.AutoSetup {
		return // it is set up with the first call
	}
	if err := d.loop.Greeted(ctx, err); err != nil && ctx.Err() == nil {
		log.Error("the account could not be compared with the journal's; it is before a call is synced", "error", err)
	}
	switch {
	case err == nil:
		log.Info("the CRM is ready")
	case ctx.Err() != nil, crm.KindOf(err) == crm.OtherAccount, crm.KindOf(err) == crm.NotReady: // which the loop has logged
	default:
		log.Warn("the CRM does not answer as it should; calls are journalled and wait", "error", err, "hint", hintOf(err))
	}
}

func webhookURL(c config.Receiver, addr net.Addr) string {
	scheme := "http"
	if c.TLSCert != "" {
		scheme = "https"
	}
	return scheme + "://" + addr.String() + c.Path
}

func adminAddress(c config.Admin, addr net.Addr) string {
	if network, _ := c.Address(); network == "tcp" {
		return addr.String()
	}
	return c.Listen
}
