package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A chore is something an operator does with the whole journal while callsync
// works.
type chore string

var chores = []chore{"backup", "compact", "verify", "verify and repair", "export and import"}

// do begins a chore and does not mind how it ends: callsync may die meanwhile.
func (w *world) do(ctx context.Context, c chore) {
	switch c {
	case "backup":
		_ = w.ask(ctx, http.MethodGet, "/api/v1/backup", nil, nil)
	case "compact":
		_ = w.ask(ctx, http.MethodPost, "/api/v1/compact", map[string]any{}, nil)
	case "verify", "verify and repair":
		for _, a := range w.accounts {
			req := map[string]any{"destination": a.name, "repair": c != "verify"}
			_ = w.ask(ctx, http.MethodPost, "/api/v1/verify", req, nil)
		}
	case "export and import":
		w.reimport(ctx)
	}
}

// reimport takes in again what was just exported. Nothing in it is new, unless
// what it is was sent and revised in between; no call may be delivered meanwhile.
func (w *world) reimport(ctx context.Context) {
	lines, err := w.raw(ctx, http.MethodGet, "/api/v1/export", nil)
	if err != nil {
		return // it was killed
	}
	text, err := w.raw(ctx, http.MethodPost, "/api/v1/import", lines)
	if err != nil {
		return
	}
	var answer struct {
		Verdicts map[string]int `json:"verdicts"`
		Refused  []any          `json:"refused"`
	}
	if json.Unmarshal(text, &answer) != nil {
		return
	}
	if n := answer.Verdicts["accepted"] + answer.Verdicts["revised"]; n > 0 || len(answer.Refused) > 0 {
		w.ledger.object("what was exported is not what was imported: %s", text)
	}
}

// raw calls the local API with and for plain bytes.
func (w *world) raw(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://callsync"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := w.api.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s", method, path, resp.Status)
	}
	return text, err
}

// starve takes the disk away from callsync for some time, and gives it back.
// Deliveries are not acknowledged meanwhile, and callsync has to go on by itself:
// it is not restarted.
func (w *world) starve(ctx context.Context, p *process, d time.Duration) {
	if fillDisk(p.cmd.Process.Pid, true) != nil {
		return // it died before, or this system cannot
	}
	w.mu.Lock()
	w.starved++
	w.mu.Unlock()
	_ = pause(ctx, d)
	_ = fillDisk(p.cmd.Process.Pid, false)
}

// A deletion is a record that somebody in the CRM deleted although callsync knew
// it well.
type deletion struct{ key, call string }

type deletions struct {
	mu   sync.Mutex
	list []deletion
}

// keys are those of the records that were deleted.
func (d *deletions) keys() map[string]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	keys := map[string]bool{}
	for _, x := range d.list {
		keys[x.key] = true
	}
	return keys
}

// calls are those the records belong to.
func (d *deletions) calls() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var ids []string
	for _, x := range d.list {
		if !slices.Contains(ids, x.call) {
			ids = append(ids, x.call)
		}
	}
	return ids
}

// forget says that everything was asked for again.
func (d *deletions) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = nil
}

// deleteOne deletes an activity, of a call or else of one of those before it, if
// the journal knows it: what became of a creation without an answer nobody can
// say, and it may be made anew.
func (w *world) deleteOne(ctx context.Context, a *account, l *load, callID string) {
	i := slices.IndexFunc(l.calls, func(c *call) bool { return c.id == callID })
	for ; i >= 0; i-- {
		if w.deleteOf(ctx, a, l.calls[i].id) {
			return
		}
	}
}

func (w *world) deleteOf(ctx context.Context, a *account, callID string) bool {
	var j journalled
	if w.ask(ctx, http.MethodGet, "/api/v1/calls/"+callID, nil, &j) != nil {
		return false
	}
	at := slices.IndexFunc(j.Destinations, func(s standing) bool { return s.Destination == a.name && s.Status == "synced" })
	if at < 0 {
		return false
	}
	p := a.portray(a)
	for _, r := range j.Destinations[at].Records {
		if r.ID == "" || !r.Gone.IsZero() || !r.Intent.IsZero() {
			continue
		}
		is := func(x crmRecord) bool { return x.id == r.ID && x.key == r.Key }
		i := slices.IndexFunc(p.records, is)
		if i < 0 {
			continue
		}
		// A fault may strike after the commit.
		if a.remove(a, p.records[i]) != nil && slices.ContainsFunc(a.portray(a).records, is) {
			continue
		}
		a.removed.Add(1)
		a.deleted.mu.Lock()
		a.deleted.list = append(a.deleted.list, deletion{r.Key, callID})
		a.deleted.mu.Unlock()
		return true
	}
	return false
}

// recreate asks for everything that was deleted in a CRM to be made anew, and
// waits for it.
func (w *world) recreate(ctx context.Context, l *load) error {
	for _, a := range w.accounts {
		ids := slices.DeleteFunc(a.deleted.calls(), func(id string) bool { return w.isErased(l, id) })
		if len(ids) == 0 {
			continue
		}
		req := map[string]any{"ids": ids, "destination": a.name, "recreate": true, "force": true}
		if err := w.ask(ctx, http.MethodPost, "/api/v1/resync", req, nil); err != nil {
			return err
		}
		a.deleted.forget()
	}
	return w.settle(ctx)
}
