package sync

import "context"

// Alone runs f between two rounds: as long as it takes, nothing is synced to the
// destination, and what f changes in the journal is not changed back by a round
// that began before. The error wraps store.ErrLeased when another process runs
// the loop.
func (l *Loop) Alone(ctx context.Context, f func(context.Context) error) error {
	return l.alone(ctx, f)
}
