// Command chaos tries to break callsync. It runs the real program as a child
// process on a real journal, between a seeded load of calls and emulated CRMs
// that live in this process, kills it over and over, lets the CRMs fail in every
// way they are known to, and in the end compares what the CRMs hold with the
// journal and with what was acknowledged.
//
//	go run ./internal/chaos                  fresh seeds for an hour
//	go run ./internal/chaos -seed 17         one seed again
//	go run ./internal/chaos -short           for two to three minutes, as CI does
//
// It exits 0 when every seed ran clean, and 1 after the first that did not: then
// it has printed the seed, the script and what is wrong, and the folder with
// configuration, journal, log and state of the CRMs is left in place. A seed
// decides the load, the faults and when kills are meant to strike; where exactly
// they strike is the machine's business, so a seed may have to be run again to
// fail again.
//
// The oracle shares no code with callsync's sync loop, mappings or connectors:
// it reads payloads, the local API and the sandboxes' state by itself.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

type options struct {
	crm      string
	seed     uint64
	seeds    int
	kills    int
	limit    time.Duration
	parallel int
	race     bool
	keep     bool
	verbose  bool
}

func main() {
	var o options
	short := flag.Bool("short", false, "run for two to three minutes, with fewer kills a seed, three seeds at once")
	flag.StringVar(&o.crm, "crm", "both", "hubspot, salesforce, or both at once")
	flag.Uint64Var(&o.seed, "seed", 0, "run this seed only")
	flag.IntVar(&o.seeds, "seeds", 0, "stop after this many seeds; 0: when the time is over")
	flag.IntVar(&o.kills, "kills", 20, "how often each seed kills callsync")
	flag.DurationVar(&o.limit, "for", time.Hour, "begin no further seed after this time")
	flag.IntVar(&o.parallel, "parallel", 1, "how many seeds run at once")
	flag.BoolVar(&o.race, "race", false, "build callsync with the race detector")
	flag.BoolVar(&o.keep, "keep", false, "leave the folders of clean seeds too")
	flag.BoolVar(&o.verbose, "v", false, "print the script while it is played")
	flag.Parse()
	if *short {
		o.limit, o.kills, o.parallel = min(o.limit, 90*time.Second), min(o.kills, 8), max(o.parallel, 3)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1)
	}
}

// run plays seeds until one fails, they are through, or the time is over.
func run(ctx context.Context, o options) error {
	kinds, err := accountKinds(o.crm)
	if err != nil {
		return err
	}
	b, err := build(ctx, o.race)
	if err != nil {
		return err
	}
	defer b.remove()

	first := o.seed
	if first == 0 {
		first = uint64(time.Now().UnixNano()) / 1000 % 1_000_000_000
	} else if o.seeds == 0 {
		o.seeds = 1
	}
	fmt.Printf("chaos: %s, seeds from %d, %d kills each\n", strings.Join(kinds, " and "), first, o.kills)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began := time.Now()
	next := make(chan uint64)
	go func() {
		defer close(next)
		for n := 0; o.seeds == 0 || n < o.seeds; n++ {
			if n > 0 && time.Since(began) > o.limit {
				return
			}
			select {
			case next <- first + uint64(n):
			case <-ctx.Done():
				return
			}
		}
	}()
	var sum tally
	var wg sync.WaitGroup
	for range max(1, o.parallel) {
		wg.Go(func() {
			for seed := range next {
				if err := runSeed(ctx, b, kinds, seed, o, &sum); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	fmt.Printf("chaos: %s in %s\n", &sum, time.Since(began).Round(100*time.Millisecond))
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// runSeed plays one seed and prints how it went.
func runSeed(ctx context.Context, b *binary, kinds []string, seed uint64, o options, sum *tally) error {
	began := time.Now()
	w, err := newWorld(b, kinds, seed)
	if err != nil {
		return err
	}
	s := newScript(seed, len(kinds), o.kills)
	problems := w.play(ctx, s, o.verbose)
	w.close()
	if ctx.Err() != nil {
		w.discard()
		return context.Cause(ctx)
	}
	sum.add(w.tally())
	if len(problems) == 0 {
		fmt.Printf("seed %d: clean, %s in %s\n", seed, w.tally(), time.Since(began).Round(100*time.Millisecond))
		if !o.keep {
			w.discard()
		}
		return nil
	}
	fmt.Printf("\nseed %d: FAILED, %s in %s\n", seed, w.tally(), time.Since(began).Round(100*time.Millisecond))
	fmt.Printf("script:\n%s\n", s)
	for _, p := range problems {
		fmt.Printf("  %s\n", p)
	}
	fmt.Printf("everything is in %s; to run it again:\n  go run ./internal/chaos -crm %s -seed %d -kills %d\n\n", w.dir, o.crm, seed, o.kills)
	return fmt.Errorf("seed %d failed", seed)
}

// A tally counts what was done to callsync.
type tally struct {
	mu                                                  sync.Mutex
	seeds, kills, deliveries, acked, requests, refusals int
	starved, deleted, parted                            int
}

func (t *tally) add(other *tally) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seeds += other.seeds
	t.kills += other.kills
	t.deliveries += other.deliveries
	t.acked += other.acked
	t.requests += other.requests
	t.refusals += other.refusals
	t.starved += other.starved
	t.deleted += other.deleted
	t.parted += other.parted
}

func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := fmt.Sprintf("%d kills, %d deliveries (%d acknowledged), %d CRM requests (%d hit by a fault), disk full %d times, %d activities and %d people deleted",
		t.kills, t.deliveries, t.acked, t.requests, t.refusals, t.starved, t.deleted, t.parted)
	if t.seeds > 1 {
		s = fmt.Sprintf("%d seeds, %s", t.seeds, s)
	}
	return s
}
