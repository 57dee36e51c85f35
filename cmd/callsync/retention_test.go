package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/config"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
)

// A daemon with a retention drops what is too old and done with as soon as it
// starts, and keeps what nobody has taken yet. Commands say what is missing.
func TestRetention(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.toml")
	text := `receiver = { listen = "127.0.0.1:0", api_keys = ["secret-key"] }
retention = { bodies = "365d", deliveries = "90d" }
destinations.hubspot = { type = "hubspot", base_url = "http://127.0.0.1:1", access_token = "token" }
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	prepareOld(t, cfg)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	d, err := start(ctx, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	client, err := daemonAt(path)
	if err != nil {
		t.Fatal(err)
	}
	err = await("what is too old to go", 30*time.Second, func(ctx context.Context) (bool, error) {
		c, err := client.Call(ctx, "done", true)
		return err == nil && c.Expired == 1 && len(c.Deliveries) == 0 && c.Revisions[0].Body == nil, err
	})
	if err != nil {
		t.Error(err)
	}
	for id, deliveries := range map[string]int{"waiting": 1, "months old": 0, "young": 1} {
		c, err := client.Call(ctx, id, true)
		if err != nil || c.Expired != 0 || len(c.Deliveries) != deliveries || c.Revisions[0].Body == nil {
			t.Errorf("%s: %+v, %v; want its body and %d deliveries", id, c, err, deliveries)
		}
	}
	if _, err := client.Explain(ctx, "done", ""); err == nil || !strings.Contains(err.Error(), "no longer holds the body") {
		t.Errorf("explaining a call without a body: %v", err)
	}
	if r, err := client.Resync(ctx, admin.ResyncRequest{Selection: admin.Selection{IDs: []string{"done"}}}); err != nil || r.Requested["hubspot"] != 0 {
		t.Errorf("resyncing a call without a body: %+v, %v", r, err)
	}
	if p, err := client.Plan(ctx, admin.PlanRequest{Selection: admin.Selection{IDs: []string{"done"}}}); err != nil || len(p.Plans) != 1 || p.Totals.Writing != 0 {
		t.Errorf("planning a call without a body: %+v, %v", p, err)
	}
	var out bytes.Buffer
	if _, err := client.Export(ctx, admin.Selection{}, &out); err != nil || strings.Count(out.String(), "\n") != 3 || strings.Contains(out.String(), `"done"`) {
		t.Errorf("export: %s, %v; want the other three", out.String(), err)
	}
	stop()
	if err := d.Wait(); err != nil {
		t.Error(err)
	}
}

// prepareOld journals calls of several ages, all but one of them synced.
func prepareOld(t *testing.T, cfg *config.Config) {
	t.Helper()
	journal, err := openJournal(cfg.Store.Path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer journal.Close()
	ctx := t.Context()
	if err := journal.Enroll(ctx, cfg.Names()); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for _, c := range []struct {
		id   string
		days int
	}{{"waiting", 800}, {"done", 700}, {"months old", 100}, {"young", 1}} {
		body := []byte(`{"callId":"` + c.id + `","callResult":{"resultType":"Busy"}}`)
		call, err := julian.Parse(body)
		if err != nil {
			t.Fatal(err)
		}
		d := store.Delivery{At: now.AddDate(0, 0, -c.days), Status: 200, Hash: c.id, Body: body, Call: call}
		if _, err := journal.Deliver(ctx, d); err != nil {
			t.Fatal(err)
		}
		works, err := journal.Load(ctx, "hubspot", []string{c.id})
		if err != nil {
			t.Fatal(err)
		}
		s := works[0].State
		if c.id == "waiting" {
			s.Status, s.Done, s.Next = store.Waiting, s.Wanted, time.Time{}
		} else {
			s.Status, s.Done, s.Next = store.Synced, s.Wanted, time.Time{}
		}
		if err := journal.Apply(ctx, "hubspot", store.Update{States: map[string]store.State{c.id: s}}); err != nil {
			t.Fatal(err)
		}
	}
}
