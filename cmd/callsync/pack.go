package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/callsync/callsync/store"
)

const (
	// packEvery is how often the journal is looked through for calls to pack.
	packEvery = 10 * time.Minute
	// packAfter is how long a call must have been left alone: most corrections
	// come within minutes, and a call that is packed has to be unpacked for one.
	packAfter = time.Hour
	// packRest is the pause after a step, which packs some dozens of calls, some
	// hundred rows of the log, or finds nothing in some thousand calls: deliveries
	// and rounds go first.
	packRest = 20 * time.Millisecond
)

// packSettled packs calls that nobody works on any more, until ctx ends.
func packSettled(ctx context.Context, journal store.Forgetter, log *slog.Logger) {
	tick := time.NewTicker(packEvery)
	defer tick.Stop()
	for {
		if calls, err := packPass(ctx, journal, time.Now().Add(-packAfter)); err != nil && ctx.Err() == nil {
			log.Warn("settled calls could not be packed; it is tried again in ten minutes", "packed", calls, "error", err)
		} else if calls > 0 {
			log.Debug("packed settled calls", "calls", calls)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// packPass packs what was settled before a time, in small steps.
func packPass(ctx context.Context, journal store.Forgetter, before time.Time) (calls int, err error) {
	var from []byte
	for {
		step, err := journal.Pack(ctx, before, from)
		if err != nil {
			return calls, err
		}
		calls += step.Calls
		if from = step.Next; from == nil {
			return calls, nil
		}
		select {
		case <-ctx.Done():
			return calls, ctx.Err()
		case <-time.After(packRest):
		}
	}
}
