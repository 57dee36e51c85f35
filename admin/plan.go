package admin

import (
	"context"
	"net/http"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/sync"
)

const (
	// chunk is how many calls are planned in one step.
	chunk = 500
	// requested is how many calls are requested in one transaction, for which
	// deliveries wait: taking that many out of as many bundles takes a fifth of a
	// second.
	requested = 100
	// maxPlans is how many plans one answer lists; totals go on counting.
	maxPlans = 100
)

// asked reads a request about a selection of calls, which is part of it, and
// returns the destinations that it is about.
func (s *Server) asked(r *http.Request, into any, selection *Selection) ([]Destination, error) {
	if err := decode(r, into); err != nil {
		return nil, err
	}
	if err := checkSelection(*selection); err != nil {
		return nil, err
	}
	return s.chosen(selection.Destination)
}

func (s *Server) plan(r *http.Request) (any, error) {
	var req PlanRequest
	destinations, err := s.asked(r, &req, &req.Selection)
	if err != nil {
		return nil, err
	}
	if req.Mapping != nil {
		if destinations, err = s.withMapping(destinations, *req.Mapping); err != nil {
			return nil, err
		}
	}
	if req.Live {
		if req.Mapping != nil {
			return nil, invalid("a live plan is made by the mapping in force")
		}
		destinations = alive(destinations)
	}
	if len(req.Payload) > 0 {
		return s.planPayload(r.Context(), destinations, req.Payload)
	}
	totals := newTally(0)
	totals.again = len(req.IDs) > 0
	return s.planCalls(r.Context(), destinations, req.Selection, totals, nil)
}

// withMapping returns the one destination as if m were in force there.
func (s *Server) withMapping(destinations []Destination, m MappingSource) ([]Destination, error) {
	if len(destinations) != 1 {
		return nil, invalid("a mapping is planned for one destination: name one of %s", list(s.names()))
	}
	d := destinations[0]
	if d.Compile == nil {
		return nil, invalid("%s cannot plan by another mapping", d.Name)
	}
	compiled, err := d.Compile(m)
	if err != nil {
		return nil, invalid("%v", err)
	}
	d.Sync = otherwise{d.Sync, d.Name, compiled, s.Journal}
	return []Destination{d}, nil
}

// otherwise plans by a mapping that is not in force.
type otherwise struct {
	Syncer
	destination string
	mapping     sync.Mapping
	history     store.History
}

func (o otherwise) Plan(ctx context.Context, work []store.Work) ([]sync.CallPlan, error) {
	return sync.Plan(ctx, o.destination, o.mapping, o.history, work)
}

// live plans against what the CRM holds.
type live struct{ Syncer }

func (l live) Plan(ctx context.Context, work []store.Work) ([]sync.CallPlan, error) {
	return l.PlanLive(ctx, work)
}

// alive returns destinations that plan against their CRM.
func alive(destinations []Destination) []Destination {
	var all []Destination
	for _, d := range destinations {
		d.Sync = live{d.Sync}
		all = append(all, d)
	}
	return all
}

// planPayload plans a body as if it had just been delivered.
func (s *Server) planPayload(ctx context.Context, destinations []Destination, body []byte) (*Plans, error) {
	now, err := Incoming(body, s.Now())
	if err != nil {
		return nil, err
	}
	totals := newTally(1)
	totals.t.Destinations = len(destinations)
	for _, d := range destinations {
		w := now
		w.Destination = d.Name
		known, err := s.Journal.Load(ctx, d.Name, []string{w.Call.ID})
		if err != nil {
			return nil, err
		}
		if len(known) == 1 {
			if known[0].Damaged != nil {
				return nil, known[0].Damaged
			}
			w.State, w.Records = known[0].State, known[0].Records
			w.Call.ReceivedAt, w.Call.Revision = known[0].Call.ReceivedAt, known[0].Call.Revision+1
		}
		plans, err := d.Sync.Plan(ctx, []store.Work{w})
		if err != nil {
			return nil, err
		}
		totals.add(plans, true)
	}
	return totals.plans(), nil
}

// Incoming is a body as it would stand in the journal if it were delivered now,
// for the first time.
func Incoming(body []byte, now time.Time) (store.Work, error) {
	c, err := julian.Parse(body)
	if err != nil {
		return store.Work{}, invalid("the payload cannot be used: %v", err)
	}
	call := store.Call{
		ID: c.CallID, AgentID: c.AgentID, Direction: c.Direction, ResultType: c.Result.ResultType,
		Interim: c.Interim(), ReceivedAt: now, RevisedAt: now, Revision: 1, Size: len(body), Warnings: c.Warnings,
	}
	if c.ScheduledAt != nil {
		call.ScheduledAt = *c.ScheduledAt
	}
	return store.Work{Call: call, Body: body}, nil
}

// planCalls plans calls in the journal and adds them to totals. adjust, if not nil,
// changes the work before it is planned.
func (s *Server) planCalls(ctx context.Context, destinations []Destination, sel Selection, totals *tally, adjust func(*store.Work)) (*Plans, error) {
	totals.t.Destinations = len(destinations)
	unread, err := s.eachChunk(ctx, sel, func(ids []string, _ []store.CallView) error {
		totals.t.Calls += len(ids)
		for _, d := range destinations {
			plans, err := s.planChunk(ctx, d, ids, adjust)
			if err != nil {
				return err
			}
			totals.add(plans, len(sel.IDs) > 0)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	totals.t.Unread = unread
	return totals.plans(), nil
}

// planChunk plans calls on all processors, since rendering is what takes time.
// adjust may be nil.
func (s *Server) planChunk(ctx context.Context, d Destination, ids []string, adjust func(*store.Work)) ([]sync.CallPlan, error) {
	share := max(1, (len(ids)+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0))
	parts := slices.Collect(slices.Chunk(ids, share))
	plans := make([][]sync.CallPlan, len(parts))
	g, ctx := errgroup.WithContext(ctx)
	for i, part := range parts {
		g.Go(func() error {
			work, err := s.Journal.Load(ctx, d.Name, part)
			if err != nil {
				return err
			}
			for i := range work {
				if adjust != nil {
					adjust(&work[i])
				}
			}
			plans[i], err = d.Sync.Plan(ctx, work)
			return err
		})
	}
	err := g.Wait()
	return slices.Concat(plans...), err
}

func (s *Server) resync(r *http.Request) (any, error) {
	var req ResyncRequest
	destinations, err := s.asked(r, &req, &req.Selection)
	if err != nil {
		return nil, err
	}
	if req.DryRun {
		return s.dryRun(r.Context(), destinations, req)
	}
	answer := &Resynced{Requested: map[string]int{}, Daemon: s.Daemon}
	for _, d := range destinations {
		answer.Requested[d.Name] = 0
	}
	ask := store.Request{At: s.Now(), Lane: store.Replay, Force: req.Force, Recreate: req.Recreate}
	if len(req.IDs) > 0 {
		ask.Lane, ask.Redo = store.Live, true
	}
	answer.Unread, err = s.eachChunk(r.Context(), req.Selection, func(ids []string, calls []store.CallView) error {
		answer.Calls += len(ids)
		expired, undone := 0, map[string]bool{}
		for _, d := range destinations {
			wanted := standing(ids, calls, d.Name, undone)
			if req.Changed {
				if wanted, err = s.changed(r.Context(), d, wanted); err != nil {
					return err
				}
			}
			asked := 0
			for portion := range slices.Chunk(wanted, requested) {
				n, err := s.Journal.Request(r.Context(), d.Name, portion, ask)
				if err != nil {
					return err
				}
				asked += n
			}
			answer.Requested[d.Name] += asked
			expired = max(expired, len(wanted)-asked)
		}
		answer.Expired += expired
		answer.Undone += len(undone)
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.Logger.Info("resync requested", "calls", answer.Calls, "force", req.Force, "recreate", req.Recreate)
	return answer, nil
}

// standing leaves out the calls that a person took back from a destination, and adds
// them to undone. Of calls that were asked for by id nothing is known, or left out.
func standing(ids []string, calls []store.CallView, destination string, undone map[string]bool) []string {
	out := map[string]bool{}
	for _, c := range calls {
		if s := c.States[destination]; !s.Undone.IsZero() && !s.Redo {
			out[c.ID], undone[c.ID] = true, true
		}
	}
	if len(out) == 0 {
		return ids
	}
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return out[id] })
}

// changed leaves out the calls for which nothing would be sent, or nothing but what
// was refused before.
func (s *Server) changed(ctx context.Context, d Destination, ids []string) ([]string, error) {
	plans, err := s.planChunk(ctx, d, ids, nil)
	if err != nil {
		return nil, err
	}
	var wanted []string
	for _, p := range plans {
		if p.Writes() && !p.Tried {
			wanted = append(wanted, p.CallID)
		}
	}
	return wanted, nil
}

func (s *Server) dryRun(ctx context.Context, destinations []Destination, req ResyncRequest) (*Resynced, error) {
	totals := newTally(0)
	totals.again = !req.Changed
	plans, err := s.planCalls(ctx, destinations, req.Selection, totals, func(w *store.Work) {
		w.State.Force = w.State.Force || req.Force
		w.State.Recreate = w.State.Recreate || req.Recreate
		w.State.Redo = w.State.Redo || len(req.IDs) > 0 && !req.Changed
	})
	if err != nil {
		return nil, err
	}
	return &Resynced{Calls: plans.Totals.Calls, Daemon: s.Daemon, Plan: plans, Unread: plans.Totals.Unread}, nil
}

// known fails if the journal does not have one of the calls.
func (s *Server) known(ctx context.Context, ids []string) error {
	for _, id := range ids {
		if _, err := s.Journal.Call(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// eachChunk hands the ids of the selected calls to f, a chunk at a time, and unless
// they were asked for by id with where they stood when they were listed. An id
// that was asked for and is not in the journal, or cannot be read, is an error before
// anything is done. Others that cannot be read are left out and returned.
func (s *Server) eachChunk(ctx context.Context, sel Selection, f func(ids []string, calls []store.CallView) error) (unread *Unread, err error) {
	if len(sel.IDs) > 0 {
		if err := s.known(ctx, sel.IDs); err != nil {
			return nil, err
		}
		for ids := range slices.Chunk(sel.IDs, chunk) {
			if err := f(ids, nil); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}
	var p Progress
	if sel.everything() {
		stats, err := s.Journal.Stats(ctx)
		if err != nil {
			return nil, err
		}
		p.Of = stats.Calls
	}
	ids, calls := make([]string, 0, chunk), make([]store.CallView, 0, chunk)
	flush := func() error {
		if err := ctx.Err(); err != nil { // given up: no further chunk is begun
			return err
		}
		if err := f(ids, calls); err != nil {
			return err
		}
		p.Calls += len(ids)
		tell(ctx, p)
		ids, calls = ids[:0], calls[:0]
		return nil
	}
	for c, err := range s.Journal.Calls(ctx, sel.filter()) {
		if err != nil {
			return unread, err
		}
		if c.Damaged != nil {
			unread = unread.call(c)
			continue
		}
		calls = append(calls, c)
		if ids = append(ids, c.ID); len(ids) == chunk {
			if err := flush(); err != nil {
				return unread, err
			}
		}
	}
	if len(ids) == 0 {
		return unread, nil
	}
	return unread, flush()
}
