package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
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

// packSome gives callsync some seconds to have all calls settled, and has those that
// are lie in bundles.
func (w *world) packSome(ctx context.Context) {
	for began := time.Now(); time.Since(began) < 4*time.Second; {
		s, err := w.status(ctx)
		if err != nil {
			return
		}
		waiting := 0
		for _, d := range s.Destinations {
			waiting += d.Calls["pending"] + d.Calls["retrying"]
		}
		if waiting == 0 || pause(ctx, 20*time.Millisecond) != nil {
			break
		}
	}
	w.do(ctx, "compact")
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
