package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/callsync/callsync/config"
	"github.com/callsync/callsync/store"
)

const (
	// sweepEvery is how often the journal is looked through for what is too old.
	sweepEvery = time.Hour
	// sweepRows is how many rows are looked at in one transaction, and sweepRest
	// the pause after it: deliveries and rounds go first.
	sweepRows = 500
	sweepRest = 50 * time.Millisecond
)

// retain drops what the configuration no longer wants kept, now and every hour,
// until ctx ends.
func retain(ctx context.Context, journal store.Forgetter, keep config.Retention, log *slog.Logger) {
	if keep == (config.Retention{}) {
		return
	}
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		dropped, err := sweep(ctx, journal, expiry(keep, time.Now()))
		if dropped.Bodies+dropped.Deliveries > 0 {
			log.Info("dropped what has expired", "bodies", dropped.Bodies, "deliveries", dropped.Deliveries)
		}
		if err != nil && ctx.Err() == nil {
			log.Warn("what has expired could not be dropped; it is tried again in an hour", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func expiry(keep config.Retention, now time.Time) store.Expiry {
	x := store.Expiry{Limit: sweepRows}
	if keep.Bodies > 0 {
		x.Bodies = now.Add(-keep.Bodies)
	}
	if keep.Deliveries > 0 {
		x.Deliveries = now.Add(-keep.Deliveries)
	}
	return x
}

// sweep runs an expiry to its end, in small steps.
func sweep(ctx context.Context, journal store.Forgetter, x store.Expiry) (sum store.Expired, err error) {
	for {
		step, err := journal.Expire(ctx, x)
		if err != nil {
			return sum, err
		}
		sum.Bodies += step.Bodies
		sum.Deliveries += step.Deliveries
		if x.From = step.Next; x.From == nil {
			return sum, nil
		}
		select {
		case <-ctx.Done():
			return sum, ctx.Err()
		case <-time.After(sweepRest):
		}
	}
}
