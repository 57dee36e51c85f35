package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
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
	d, err := start(ctx, cfg, log)
	if err != nil {
		return err
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	for {
		select {
		case <-hangups:
			_, _ = d.Reload(log) // it has logged what came of it
		case <-d.done:
			return d.Wait()
		}
	}
}
