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
// removes them at the end unless -dir says where to keep the journal; a journal
// that is there already is measured as it is.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

func main() {
	calls := flag.Int("calls", 100_000, "calls in the journal")
	dir := flag.String("dir", "", "folder to keep the journal in; a temporary one if empty")
	flag.Parse()
	if err := run(context.Background(), *calls, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, calls int, dir string) error {
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
	small, err := smallDrain(ctx, dir)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "callsync.db")
	if _, err := os.Stat(path); err != nil {
		if err := fill(ctx, path, calls); err != nil {
			return err
		}
	}
	if err := measureSize(ctx, path); err != nil {
		return err
	}
	large, err := drainMore(ctx, path)
	if err != nil {
		return err
	}
	fmt.Printf("drain rate: %.0f calls/s with 1,000 calls, %.0f with this many: %.2f\n", small, large, large/small)
	return measureDaemon(ctx, binary, dir)
}

// fill makes a journal of so many calls, all synced.
func fill(ctx context.Context, path string, calls int) error {
	w, err := open(ctx, path, uint64(calls), max(calls/3, 1))
	if err != nil {
		return err
	}
	defer w.close()
	begin := time.Now()
	first := min(calls, 1000)
	if err := w.deliver(ctx, first); err != nil {
		return err
	}
	if _, err := w.drain(ctx); err != nil {
		return err
	}
	patterns, err := w.patterns(ctx)
	if err != nil {
		return err
	}
	var peak int64
	const portion = 2000
	for done := first; done < calls; done += portion {
		n := min(portion, calls-done)
		if err := w.copies(ctx, patterns, n); err != nil {
			return err
		}
		peak = max(peak, anonymous(os.Getpid()))
		fmt.Printf("\r%d calls, %s, %d MiB", done+n, time.Since(begin).Round(time.Second), peak>>20)
	}
	fmt.Printf("\nfilled in %s; at most %d MiB of memory of its own; raw JSON %d bytes a call\n",
		time.Since(begin).Round(time.Second), peak>>20, w.raw/int64(calls))
	return os.WriteFile(path+".raw", fmt.Appendf(nil, "%d %d", w.raw, calls), 0o600)
}

// measureSize compares the file with the JSON that went in.
func measureSize(ctx context.Context, path string) error {
	var raw, calls int64
	if data, err := os.ReadFile(path + ".raw"); err != nil {
		return err
	} else if _, err := fmt.Sscan(string(data), &raw, &calls); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	fmt.Printf("size: %d bytes a call, %.3f of the raw JSON\n", info.Size()/calls, float64(info.Size())/float64(raw))
	return nil
}

// sampleCalls is over how many calls a drain rate is taken.
const sampleCalls = 3000

// smallDrain is the drain rate, in calls a second, with a thousand calls.
func smallDrain(ctx context.Context, dir string) (float64, error) {
	path := filepath.Join(dir, "small.db")
	defer os.Remove(path)
	w, err := open(ctx, path, 1, 1000)
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
	return w.rate(ctx)
}

func drainMore(ctx context.Context, path string) (float64, error) {
	w, err := open(ctx, path, uint64(time.Now().UnixNano()), 1_000_000)
	if err != nil {
		return 0, err
	}
	defer w.close()
	return w.rate(ctx)
}
