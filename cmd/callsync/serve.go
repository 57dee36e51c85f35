package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/callsync/callsync/internal/notify"
)

type serveCmd struct {
	LogLevel slog.Level `default:"info" placeholder:"LEVEL" help:"debug, info, warn or error (${default})."`
}

func (c *serveCmd) Run(ctx context.Context, a *app) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	log := logger(a.err.w, c.LogLevel)
	b := build()
	log.Info("callsync", "version", b.Version, "revision", b.Revision, "config", cfg.File, "journal", cfg.Store.Path)
	stopTracing, err := startTracing(ctx, log)
	if err != nil {
		return err
	}
	defer stopTracing()
	d, err := start(ctx, cfg, log)
	if err != nil {
		return err
	}
	manager := notify.FromEnvironment()
	tell(manager, log, "READY=1", "STATUS=taking deliveries at "+d.Webhook)
	go feed(ctx, manager.Watchdog(), d.alive, manager.Send, log)
	stopping := sync.OnceFunc(func() { tell(manager, log, "STOPPING=1", "STATUS=finishing what is under way") })
	context.AfterFunc(ctx, stopping)
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	for {
		select {
		case <-hangups:
			tell(manager, log, "RELOADING=1")
			_, _ = d.Reload(log) // it has logged what came of it
			tell(manager, log, "READY=1")
		case <-d.done:
			stopping() // the manager hears of it before the process is gone
			return d.Wait()
		}
	}
}
