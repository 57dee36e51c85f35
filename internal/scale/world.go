package main

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/internal/payload"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/mappings"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/store/bolt"
	"github.com/callsync/callsync/sync"
)

const destination = "hubspot"

// A world is a journal with a source of calls and a loop that syncs them.
type world struct {
	journal *bolt.Journal
	source  *payload.Source
	mapping *mappings.Mapping
	crm     *instant
	copied  int
	packed  []byte // the place from which calls are not packed yet
}

func open(ctx context.Context, path string, seed uint64, people int) (*world, error) {
	m, err := mappings.Builtin("hubspot", mappings.Options{})
	if err != nil {
		return nil, err
	}
	j, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		return nil, err
	}
	w := &world{journal: j, source: payload.New(seed, people), mapping: m, crm: &instant{}}
	w.crm.last.Store(time.Now().UnixMilli())
	return w, j.Enroll(ctx, []string{destination})
}

func (w *world) close() { _ = w.journal.Close() }

// deliver journals n calls, many at a time.
func (w *world) deliver(ctx context.Context, n int) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(256)
	for range n {
		body := w.source.Next()
		g.Go(func() error {
			call, hash, err := julian.Receive(body)
			if err != nil {
				return err
			}
			_, err = w.journal.Deliver(ctx, store.Delivery{
				At: time.Now().Truncate(time.Millisecond), Peer: "203.0.113.7", RequestID: call.CallID[len(call.CallID)-24:], Status: 200,
				CallID: call.CallID, Size: len(body), Hash: hash, Body: body, Call: call,
			})
			return err
		})
	}
	return g.Wait()
}

func (w *world) count(ctx context.Context) (int, error) {
	stats, err := w.journal.Stats(ctx)
	return int(stats.Calls), err
}

// rawSize is the mean size of a call's JSON, over the newest calls.
func (w *world) rawSize(ctx context.Context) (int, error) {
	sum, n := 0, 0
	for v, err := range w.journal.Calls(ctx, store.CallFilter{Limit: 20_000}) {
		if err != nil {
			return 0, err
		}
		sum, n = sum+v.Size, n+1
	}
	return sum / max(n, 1), nil
}

// longestDelivery delivers one call after the other until done.
func (w *world) longestDelivery(ctx context.Context, done <-chan struct{}) (worst time.Duration) {
	for {
		select {
		case <-done:
			return worst
		default:
		}
		begin := time.Now()
		if err := w.deliver(ctx, 1); err != nil {
			return -1
		}
		worst = max(worst, time.Since(begin))
	}
}

// drain runs the loop until nothing is due.
func (w *world) drain(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	loop := sync.New(sync.Options{
		Name: destination, Type: destination, Journal: w.journal, Destination: w.crm,
		Mapping: func() sync.Mapping { return w.mapping },
		Observe: func(sync.Report) {
			if _, due, err := w.journal.NextDue(ctx, destination); err == nil && !due {
				cancel()
			}
		},
	})
	begin := time.Now()
	if err := loop.Run(ctx); err != nil {
		return 0, err
	}
	return time.Since(begin), nil
}

// An instant CRM knows nobody and takes everything at once.
type instant struct{ last atomic.Int64 }

func (c *instant) id() string { return strconv.FormatInt(c.last.Add(1), 10) }

func (*instant) BatchSize() int              { return 100 }
func (*instant) Ready(context.Context) error { return nil }
func (*instant) Status() crm.Status          { return crm.Status{} }

func (*instant) FindPeople(_ context.Context, queries []crm.PersonQuery) ([][]crm.Candidate, error) {
	return make([][]crm.Candidate, len(queries)), nil
}

func (*instant) Locate(_ context.Context, keys []crm.KeyRef) ([]crm.Location, error) {
	return make([]crm.Location, len(keys)), nil
}

func (*instant) Read(_ context.Context, refs []crm.Ref, _ []string) ([]crm.Snapshot, error) {
	out := make([]crm.Snapshot, len(refs))
	for i, ref := range refs {
		out[i] = crm.Snapshot{Ref: ref}
	}
	return out, nil
}

func (*instant) Resolve(_ context.Context, lookups []crm.Value) (map[crm.Value]string, error) {
	out := map[crm.Value]string{}
	for _, v := range lookups {
		out[v] = "73a0d17f-1163-4015-bdd5-ec830791da20"
	}
	return out, nil
}

func (*instant) Related(_ context.Context, queries []crm.RelatedQuery) ([][]crm.Ref, error) {
	return make([][]crm.Ref, len(queries)), nil
}

func (c *instant) Write(_ context.Context, changes []crm.Change) []crm.Result {
	out := make([]crm.Result, len(changes))
	for i, ch := range changes {
		if out[i].ID = ch.ID; ch.Op == crm.Create {
			out[i].ID = c.id()
		}
	}
	return out
}
