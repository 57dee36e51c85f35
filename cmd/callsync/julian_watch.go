package main

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/config"
	"github.com/callsync/callsync/julian"
)

const (
	// julianEvery is how often 11x is asked whether it takes the key.
	julianEvery = time.Hour
	// julianAgain is the same while it does not.
	julianAgain = 5 * time.Minute
)

// A julianWatch knows whether 11x's REST API can be used. callsync receives and
// syncs without it, so that a refused key is a warning and no more.
type julianWatch struct {
	ask    func(context.Context) error
	log    *slog.Logger
	status atomic.Pointer[admin.JulianStatus]
}

// watchJulian returns nil when [julian] has no key: there is nothing to watch.
func watchJulian(c config.Julian, log *slog.Logger) *julianWatch {
	if c.APIKey.IsZero() {
		return nil
	}
	client := julian.NewClient(julian.ClientOptions{BaseURL: c.BaseURL, Key: c.APIKey.Reveal()})
	return &julianWatch{ask: client.CheckKey, log: log}
}

// run asks at once and then now and again, until ctx ends.
func (w *julianWatch) run(ctx context.Context) {
	for {
		w.look(ctx)
		wait := julianEvery
		if !w.now().OK {
			wait = julianAgain
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

func (w *julianWatch) look(ctx context.Context) {
	err := w.ask(ctx)
	if ctx.Err() != nil {
		return
	}
	was := w.now()
	is := admin.JulianStatus{OK: err == nil, Asked: time.Now()}
	if err != nil {
		is.Problem = err.Error()
	}
	w.status.Store(&is)
	first := was.Asked.IsZero()
	switch {
	case errors.Is(err, julian.ErrUnauthorized) && (first || was.OK):
		w.log.Warn("11x refuses the api_key in [julian]; deliveries are taken all the same, `callsync sample` and key checks do not work", "error", err)
	case err != nil && (first || was.OK):
		w.log.Warn("11x's REST API cannot be used now; deliveries are taken all the same", "error", err)
	case err == nil && (first || !was.OK):
		w.log.Info("11x takes the api_key in [julian]")
	}
}

// now is what is known; the zero status before the first answer.
func (w *julianWatch) now() admin.JulianStatus {
	if s := w.status.Load(); s != nil {
		return *s
	}
	return admin.JulianStatus{}
}
