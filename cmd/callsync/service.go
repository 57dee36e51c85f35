package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/callsync/callsync/internal/notify"
)

// stuck is how long a destination's loop may stay away before it is given up:
// far longer than any round takes, whatever a CRM's limits make of it.
const stuck = 15 * time.Minute

// alive reports what does not answer: the journal, or a loop.
func (d *daemon) alive(ctx context.Context) error {
	if _, err := d.parts.api.Vitals(ctx); err != nil {
		return err
	}
	for _, dest := range d.parts.destinations {
		came := dest.loop.CameRound()
		if away := now().Sub(came); !came.IsZero() && away > stuck {
			return fmt.Errorf("the loop of %s has not come round for %s", dest.Name, away.Round(time.Second))
		}
	}
	return nil
}

// feed feeds the service manager's watchdog until ctx ends, three times in the
// time it would wait, as long as alive answers and finds nothing. A check that
// does not come back is waited for, and feeds nothing meanwhile.
func feed(ctx context.Context, watchdog time.Duration, alive func(context.Context) error, send func(...string) error, log *slog.Logger) {
	if watchdog <= 0 {
		return
	}
	tick := time.NewTicker(watchdog / 3)
	defer tick.Stop()
	for {
		checked := make(chan error, 1)
		go func() { checked <- alive(ctx) }()
		select {
		case <-ctx.Done():
			return
		case err := <-checked:
			if err == nil {
				err = send("WATCHDOG=1")
			}
			if err != nil && ctx.Err() == nil {
				log.Error("the watchdog is not fed; unless this passes, the service manager starts callsync again", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tell sends the service manager a message; that it cannot be reached is worth a
// line in the log, and no more.
func tell(m notify.Manager, log *slog.Logger, variables ...string) {
	if err := m.Send(variables...); err != nil {
		log.Warn("the service manager could not be told", "error", err)
	}
}
