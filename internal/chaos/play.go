package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// senders is how many deliveries are under way at once.
const senders = 4

// play plays a script to its end and returns what is wrong then.
func (w *world) play(ctx context.Context, s *script, verbose bool) []string {
	var names []string
	for _, a := range w.accounts {
		names = append(names, a.name)
	}
	s.cast(w.seed, names)
	if err := w.start(ctx); err != nil {
		return []string{err.Error()}
	}
	ends := map[int]int{} // account → round in which its disturbances end
	for i, x := range s.rounds {
		if verbose {
			fmt.Printf("%s  %3d  %s\n", time.Now().Format("15:04:05.000"), i, x.describe(s.load))
		}
		for account, end := range ends {
			if i >= end {
				delete(ends, account)
				if err := w.accounts[account].heal(); err != nil {
					return []string{err.Error()}
				}
			}
		}
		for _, d := range x.begin {
			ends[d.account] = max(ends[d.account], i+d.rounds)
		}
		if err := w.round(ctx, s.load, x); err != nil {
			return append([]string{fmt.Sprintf("round %d: %v", i, err)}, w.ledger.wrong...)
		}
	}
	w.trap.disarm()
	w.look()
	if err := w.redo(ctx, s); err != nil {
		return []string{err.Error()}
	}
	return w.judge(ctx, s.load)
}

// look notes what stands in the CRMs.
func (w *world) look() {
	for _, a := range w.accounts {
		a.seen.look(a.portray(a))
	}
}

// redo ends what was undone: a call that was taken back stays so until somebody
// asks for that very call. One that was never acknowledged may not be there.
func (w *world) redo(ctx context.Context, s *script) error {
	for _, x := range s.rounds {
		for _, id := range x.undo {
			err := w.ask(ctx, http.MethodPost, "/api/v1/resync", map[string]any{"ids": []string{id}}, nil)
			if err != nil && !strings.Contains(err.Error(), "404") {
				return err
			}
		}
	}
	return nil
}

// round plays one round; when it returns, callsync is running and every
// delivery that is not abandoned was acknowledged.
func (w *world) round(ctx context.Context, l *load, x round) error {
	w.look()
	for i, e := range x.edits {
		if err := w.accounts[i].edit(e); err != nil {
			return err
		}
	}
	if x.erase > 0 {
		w.leave(l, regulars+x.erase-1)
	}
	for _, d := range x.deletes {
		w.deleteOne(ctx, w.accounts[d.account], l, d.call)
	}
	for _, d := range x.partings {
		w.deletePerson(w.accounts[d.account], l, d.person)
	}
	for _, i := range x.join {
		w.accounts[i].joinNext()
	}
	for _, d := range x.begin {
		if err := d.begin(w.accounts[d.account]); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
	}
	for _, a := range w.accounts { // a pause of the round before outlives a kill
		if err := w.ask(ctx, http.MethodPost, "/api/v1/destinations/"+a.name+"/unpause", map[string]any{}, nil); err != nil {
			return err
		}
	}
	if x.pack {
		w.packSome(ctx)
	}
	if x.kill != nil {
		w.trap.arm(*x.kill)
	}
	p := w.current()
	delivered := make(chan error, 1)
	go func() { delivered <- w.deliver(ctx, l, x.deliveries) }()
	var meddlers sync.WaitGroup
	meddlers.Go(func() { w.meddle(ctx, l, x) })
	if x.starve > 0 {
		meddlers.Go(func() { w.starve(ctx, p, x.starve) })
	}
	err := w.die(ctx, p, x)
	if e := <-delivered; err == nil {
		err = e
	}
	meddlers.Wait()
	if err != nil {
		return err
	}
	return pause(ctx, x.rest)
}

// die sees to it that callsync dies as the round says, and is started again.
func (w *world) die(ctx context.Context, p *process, x round) error {
	if x.kill == nil {
		return nil
	}
	select {
	case <-p.ended:
	case <-time.After(x.kill.after):
		w.kill()
		<-p.ended
	case <-ctx.Done():
		return ctx.Err()
	}
	w.trap.disarm()
	if err := w.verdict(p); !errors.Is(err, errKilled) {
		return err
	}
	if x.restart != nil {
		p, err := w.launch()
		if err != nil {
			return err
		}
		time.AfterFunc(x.restart.after, func() { w.end(p, syscall.SIGKILL) })
		if err := w.ready(ctx, p); err != nil && !errors.Is(err, errKilled) {
			return err
		}
		<-p.ended
	}
	return w.start(ctx)
}

// meddle does what operators do. It fails when callsync is dead, which is no
// matter.
func (w *world) meddle(ctx context.Context, l *load, x round) {
	if x.erase > 0 {
		_ = w.erase(ctx, l.people[regulars+x.erase-1])
	}
	switch x.resync {
	case "all":
		_ = w.ask(ctx, http.MethodPost, "/api/v1/resync", map[string]any{}, nil)
	case "force":
		_ = w.ask(ctx, http.MethodPost, "/api/v1/resync", map[string]any{"force": true}, nil)
	case "some":
		_ = w.ask(ctx, http.MethodPost, "/api/v1/resync", map[string]any{"ids": []string{"call.chaos000", "call.chaos003", "call.chaos008"}, "force": true}, nil)
	}
	for _, id := range x.undo {
		_ = w.ask(ctx, http.MethodPost, "/api/v1/calls/"+id+"/undo", map[string]any{}, nil)
	}
	for _, c := range x.chores {
		w.do(ctx, c)
	}
	if x.pause {
		for _, a := range w.accounts {
			_ = w.ask(ctx, http.MethodPost, "/api/v1/destinations/"+a.name+"/pause", map[string]any{"reason": "chaos"}, nil)
		}
	}
}

// deliver sends a round's deliveries, those of one call in order.
func (w *world) deliver(ctx context.Context, l *load, all []delivery) error {
	ctx, cancel := context.WithTimeout(ctx, 45*time.Second)
	defer cancel()
	var order []int
	byCall := map[int][]delivery{}
	for _, d := range all {
		if len(byCall[d.call]) == 0 {
			order = append(order, d.call)
		}
		byCall[d.call] = append(byCall[d.call], d)
	}
	queue := make(chan []delivery, len(order))
	for _, c := range order {
		queue <- byCall[c]
	}
	close(queue)
	var wg sync.WaitGroup
	errs := make([]error, senders)
	for i := range senders {
		wg.Go(func() {
			for ds := range queue {
				for _, d := range ds {
					errs[i] = errors.Join(errs[i], w.send(ctx, l.calls[d.call], d))
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// send makes one delivery, again and again until it is acknowledged unless it is
// one to abandon.
func (w *world) send(ctx context.Context, c *call, d delivery) error {
	e := w.ledger.entry(d.call)
	e.Lock()
	defer e.Unlock()
	if e.erased {
		return nil
	}
	body := c.versions[d.version].body
	if d.spaced {
		body = respace(body)
	}
	var last error
	for {
		if url := w.address(); url != "" {
			verdict, err := w.post(ctx, url, body)
			if err == nil {
				w.ledger.acknowledged(e, c, d, verdict)
				return nil
			}
			w.ledger.unanswered(e, d)
			last = err
			if d.abandon {
				return nil
			}
		}
		if pause(ctx, 5*time.Millisecond) != nil {
			return fmt.Errorf("%s, version %d was not acknowledged although callsync runs: %w", c.id, d.version, errors.Join(last, ctx.Err()))
		}
	}
}

// post returns the verdict of a delivery that was acknowledged; "" when the
// answer broke off after its status.
func (w *world) post(ctx context.Context, url string, body []byte) (string, error) {
	w.ledger.mu.Lock()
	w.ledger.sent++
	w.ledger.mu.Unlock()
	trace := &httptrace.ClientTrace{
		WroteRequest:         func(httptrace.WroteRequestInfo) { w.strike("post") },
		GotFirstResponseByte: func() { w.strike("ack") },
	}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("x-api-key", webhookKey)
	resp, err := w.callers.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if resp.StatusCode/100 != 2 {
		if resp.StatusCode != http.StatusServiceUnavailable {
			w.ledger.object("a good delivery was answered %s: %s", resp.Status, text)
		}
		return "", fmt.Errorf("answered %s: %s", resp.Status, text)
	}
	var answer struct {
		Status string `json:"status"`
	}
	if err != nil || json.Unmarshal(text, &answer) != nil {
		return "", nil
	}
	return answer.Status, nil
}

func (w *world) strike(what string) {
	if w.trap.count(what) {
		w.kill()
	}
}

// settleLimit is how long callsync may take, with everything in order again,
// until nothing is on its way any more.
const settleLimit = 2 * time.Minute

// settle ends all disturbances and waits until callsync has nothing left to do,
// doing what an operator would do: end pauses, and ask again for what a person
// had to mend.
func (w *world) settle(ctx context.Context) error {
	for _, a := range w.accounts {
		if err := a.heal(); err != nil {
			return err
		}
	}
	limit := settleLimit
	for _, a := range w.accounts {
		limit += 8 * a.patience() // who waits for an index may have to more than once
	}
	deadline := time.Now().Add(limit)
	mended, unplanned := 0, 0
	for n := 0; ; n++ {
		s, err := w.status(ctx)
		if err != nil {
			return err
		}
		busy, failed, planned := false, false, true
		for _, d := range s.Destinations {
			waiting := d.Calls["pending"] + d.Calls["retrying"]
			failed = failed || d.Calls["failed"] > 0
			busy = busy || waiting > 0
			path := "/api/v1/destinations/" + d.Destination
			switch {
			case d.Phase == "paused", d.Phase != "running" && n%20 == 0:
				if err := w.ask(ctx, http.MethodPost, path+"/unpause", map[string]any{}, nil); err != nil {
					return err
				}
			case waiting > 0 && d.NextAttempt.IsZero(): // once may be the moment in which the last one is done
				if planned = false; unplanned == 10 {
					return fmt.Errorf("%s: %d calls are on their way, and no attempt is planned", d.Destination, waiting)
				}
			case waiting > 0 && time.Until(d.NextAttempt) > 8*time.Second && n%20 == 0:
				again := map[string]any{"state": "retrying", "destination": d.Destination}
				if err := w.ask(ctx, http.MethodPost, "/api/v1/resync", again, nil); err != nil {
					return err
				}
			}
		}
		if unplanned++; planned {
			unplanned = 0
		}
		switch {
		case !busy && failed && mended < 3:
			mended++
			if err := w.ask(ctx, http.MethodPost, "/api/v1/resync", map[string]any{"state": "failed"}, nil); err != nil {
				return err
			}
		case !busy:
			return nil
		}
		if time.Now().After(deadline) {
			text, _ := json.Marshal(s.Destinations)
			return fmt.Errorf("not everything has arrived %s after all was in order again: %s", limit, text)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// judge lets callsync come to rest and compares: first as it is, then with calls in
// bundles, then with everything made anew that was deleted, then after the shipped
// mapping is back and everything was synced again, and once more, which may then
// find nothing left to write.
func (w *world) judge(ctx context.Context, l *load) []string {
	problems := slices.Clone(w.ledger.wrong)
	for _, stage := range []struct {
		when string
		run  func(context.Context, *load) []string
	}{
		{"at the end", w.rest},
		{"after a compaction", w.pack},
		{"after a resync with --recreate", w.recreated},
		{"after a restart", w.restart},
		{"after a forced resync", w.forced},
		{"after another resync", w.again},
		{"in the log", func(_ context.Context, l *load) []string { return w.auditLog(l) }},
	} {
		if found := stage.run(ctx, l); len(found) > 0 {
			for _, p := range found {
				problems = append(problems, stage.when+": "+p)
			}
			return problems
		}
	}
	return problems
}

// rest ends all disturbances and compares when nothing is on its way any more.
func (w *world) rest(ctx context.Context, l *load) []string {
	for _, a := range w.accounts {
		if err := a.heal(); err != nil {
			return []string{err.Error()}
		}
		if err := a.joinAll(ctx); err != nil {
			return []string{err.Error()}
		}
	}
	if err := w.eraseAll(ctx, l); err != nil {
		return []string{err.Error()}
	}
	if err := w.settle(ctx); err != nil {
		return append([]string{err.Error()}, w.audit(ctx, l, false)...)
	}
	return w.audit(ctx, l, false)
}

// pack has calls lie in bundles, if there is enough of them for one.
func (w *world) pack(ctx context.Context, l *load) []string {
	if err := w.ask(ctx, http.MethodPost, "/api/v1/compact", map[string]any{}, nil); err != nil {
		return []string{err.Error()}
	}
	return w.audit(ctx, l, false)
}

func (w *world) recreated(ctx context.Context, l *load) []string {
	if err := w.recreate(ctx, l); err != nil {
		return []string{err.Error()}
	}
	return w.audit(ctx, l, false)
}

// restart ends callsync as a service manager does, and starts it with the shipped
// mappings.
func (w *world) restart(ctx context.Context, _ *load) []string {
	for _, a := range w.accounts {
		if err := a.edit(shipped); err != nil {
			return []string{err.Error()}
		}
	}
	p := w.current()
	w.end(p, syscall.SIGTERM)
	<-p.ended
	if p.err != nil {
		return []string{"callsync did not end well after SIGTERM: " + p.err.Error()}
	}
	if err := w.start(ctx); err != nil {
		return []string{err.Error()}
	}
	return nil
}

// forced syncs everything again, which alone brings back what was lost in a merge.
func (w *world) forced(ctx context.Context, l *load) []string {
	return w.resync(ctx, l, true)
}

// again syncs everything once more, from bundles.
func (w *world) again(ctx context.Context, l *load) []string {
	if found := w.pack(ctx, l); len(found) > 0 {
		return found
	}
	before := w.written()
	found := w.resync(ctx, l, false)
	if n := w.written() - before; n > 0 && len(found) == 0 {
		found = append(found, fmt.Sprintf("%d requests that write were sent although nothing had changed", n))
	}
	return found
}

func (w *world) resync(ctx context.Context, l *load, force bool) []string {
	if err := w.ask(ctx, http.MethodPost, "/api/v1/resync", map[string]any{"force": force}, nil); err != nil {
		return []string{err.Error()}
	}
	if err := w.settle(ctx); err != nil {
		return []string{err.Error()}
	}
	return w.audit(ctx, l, true)
}
