// Command scale measures callsync with a large journal: how big it gets, how fast
// it drains, what the daemon takes at rest and how soon commands answer.
//
//	go run ./internal/scale -calls 1000000
//
// It makes a thousand calls with package payload, journals them through the store,
// syncs them with the real loop and the shipped HubSpot mapping to a CRM that takes
// everything at once, and fills the journal up with copies of them, under other
// ids and for other people. Then it measures how fast new calls are drained, and
// starts the real daemon on the file. It needs about 10 KB of disk a call, and
// removes them at the end unless -dir says where to keep the journal; one that is
// there already is filled up. With -load it also sends calls to a daemon over HTTP,
// and watches its memory.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/callsync/callsync/store"
)

func main() {
	calls := flag.Int("calls", 100_000, "calls in the journal")
	load := flag.Int("load", 0, "calls to send to a daemon over HTTP, with a journal of its own")
	dir := flag.String("dir", "", "folder to keep the journal in; a temporary one if empty")
	flag.Parse()
	if err := run(context.Background(), *calls, *load, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, calls, load int, dir string) error {
	if dir == "" {
		temporary, err := os.MkdirTemp("", "callsync-scale-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temporary)
		dir = temporary
	}
	binary, err := build(ctx, dir)
	if err != nil {
		return err
	}
	if load > 0 {
		if err := measureLoad(ctx, binary, filepath.Join(dir, "load"), load); err != nil {
			return err
		}
	}
	path := filepath.Join(dir, "callsync.db")
	if err := fill(ctx, path, calls); err != nil {
		return err
	}
	if err := compareDrains(ctx, path, filepath.Join(dir, "small.db")); err != nil {
		return err
	}
	return measureDaemon(ctx, binary, dir)
}

// fill brings a journal to so many calls, all synced.
func fill(ctx context.Context, path string, calls int) error {
	w, err := open(ctx, path, uint64(calls), max(calls/3, 1))
	if err != nil {
		return err
	}
	defer w.close()
	begin := time.Now()
	there, err := w.count(ctx)
	if err != nil {
		return err
	}
	w.copied = there
	if there == 0 {
		if err := w.deliver(ctx, min(calls, 1000)); err != nil {
			return err
		}
		if _, err := w.drain(ctx); err != nil {
			return err
		}
	}
	patterns, err := w.patterns(ctx)
	if err != nil {
		return err
	}
	var peak int64
	const portion = 2000
	for done := max(there, 1000); done < calls; done += portion {
		n := min(portion, calls-done)
		if err := w.copies(ctx, patterns, n); err != nil {
			return err
		}
		if err := w.pack(ctx); err != nil {
			return err
		}
		peak = max(peak, anonymous(os.Getpid()))
		fmt.Printf("\r%d calls, %s, %d MiB", done+n, time.Since(begin).Round(time.Second), peak>>20)
	}
	fmt.Printf("\nfilled in %s; at most %d MiB of memory of its own\n", time.Since(begin).Round(time.Second), peak>>20)
	return w.measureSize(ctx)
}

// pack does what the daemon does with calls that are settled, without waiting for
// an hour.
func (w *world) pack(ctx context.Context) error {
	for from := w.packed; ; {
		out, err := w.journal.Pack(ctx, time.Now(), from)
		if err != nil || out.Next == nil {
			return err
		}
		if out.Calls > 0 {
			w.packed = from
		}
		from = out.Next
	}
}

// measureSize compares the file with the JSON that went in, before and after it
// was compacted, and says how long a delivery had to wait meanwhile.
func (w *world) measureSize(ctx context.Context) error {
	calls, err := w.count(ctx)
	if err != nil {
		return err
	}
	raw, err := w.rawSize(ctx)
	if err != nil {
		return err
	}
	begin := time.Now()
	done, worst := make(chan struct{}), make(chan time.Duration)
	go func() { worst <- w.longestDelivery(ctx, done) }()
	before, after, err := w.journal.Compact(ctx)
	close(done)
	waited := <-worst
	if err != nil {
		return err
	}
	fmt.Printf("size: %d calls of %d bytes of JSON; %d bytes a call on disk, %.3f; compacted in %s to %d, %.3f; the longest delivery meanwhile took %s\n",
		calls, raw, before/int64(calls), float64(before)/float64(calls)/float64(raw),
		time.Since(begin).Round(time.Second), after/int64(calls), float64(after)/float64(calls)/float64(raw), waited.Round(time.Millisecond))
	return nil
}

const (
	// sampleCalls is over how many calls a drain rate is taken.
	sampleCalls = 3000
	// drainPairs is how often the two journals take turns: other programs share
	// the machine, so the best of each is compared.
	drainPairs = 4
)

// compareDrains says how much slower new calls are drained with a large journal
// than with one of a thousand calls.
func compareDrains(ctx context.Context, large, small string) error {
	defer os.Remove(small)
	var best [2]float64
	for pair := range drainPairs {
		for i, path := range []string{small, large} {
			if path == small {
				_ = os.Remove(small) // so that it stays small
			}
			rate, err := drainRate(ctx, path, uint64(time.Now().UnixNano())+uint64(pair))
			if err != nil {
				return err
			}
			best[i] = max(best[i], rate)
		}
	}
	fmt.Printf("drain rate: %.0f calls/s with few calls, %.0f with this many: %.2f\n", best[0], best[1], best[1]/best[0])
	return nil
}

// drainRate is how many new calls a second a journal's loop syncs.
func drainRate(ctx context.Context, path string, seed uint64) (float64, error) {
	w, err := open(ctx, path, seed, 1_000_000)
	if err != nil {
		return 0, err
	}
	defer w.close()
	if err := w.deliver(ctx, 1000); err != nil {
		return 0, err
	}
	if _, err := w.drain(ctx); err != nil {
		return 0, err
	}
	if err := w.deliver(ctx, sampleCalls); err != nil {
		return 0, err
	}
	took, err := w.drain(ctx)
	if err != nil {
		return 0, err
	}
	stats, err := w.journal.Stats(ctx)
	if err == nil && stats.Destinations[destination][store.Synced] != stats.Calls {
		err = fmt.Errorf("%d calls, but %v", stats.Calls, stats.Destinations)
	}
	return sampleCalls / took.Seconds(), err
}
