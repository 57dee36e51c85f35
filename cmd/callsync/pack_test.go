package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/callsync/callsync/config"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
)

// A daemon packs calls that were settled more than an hour ago, and no others; all
// of them can be asked for as before.
func TestDaemonPacksSettledCalls(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	text := `receiver = { listen = "127.0.0.1:0", api_keys = ["secret-key"] }
destinations.hubspot = { type = "hubspot", base_url = "http://127.0.0.1:1", access_token = "token" }
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	syncedBefore(t, cfg, "old", 30, 2*time.Hour)
	syncedBefore(t, cfg, "young", 30, time.Minute)

	var log lockedBuffer
	d, err := start(t.Context(), cfg, slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	err = await("the old calls to be packed", 30*time.Second, func(context.Context) (bool, error) {
		log.mu.Lock()
		defer log.mu.Unlock()
		return strings.Contains(log.b.String(), `"msg":"packed settled calls","calls":30}`), fmt.Errorf("the log says %s", log.b.String())
	})
	if err != nil {
		t.Error(err)
	}
	client, err := daemonAt(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"old-7", "young-7"} {
		c, err := client.Call(t.Context(), id, true)
		if err != nil || c.Call.ID != id || len(c.Revisions) != 1 || len(c.Revisions[0].Body) < 10_000 {
			t.Errorf("%s: %+v, %v", id, c.Call, err)
		}
	}
	if err := d.Stop(); err != nil {
		t.Error(err)
	}
}

// syncedBefore journals calls with transcripts that were synced some time ago.
func syncedBefore(t *testing.T, cfg *config.Config, prefix string, n int, ago time.Duration) {
	t.Helper()
	journal, err := openJournal(cfg.Store.Path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer journal.Close()
	if err := journal.Enroll(t.Context(), cfg.Names()); err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-ago)
	u := store.Update{States: map[string]store.State{}}
	for i := range n {
		id := fmt.Sprintf("%s-%d", prefix, i)
		body, err := json.Marshal(map[string]any{
			"callId":     id,
			"callResult": map[string]any{"resultType": "Busy", "transcription": strings.Repeat("User: is this call recorded? ", 400)},
		})
		if err != nil {
			t.Fatal(err)
		}
		call, err := julian.Parse(body)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := journal.Deliver(t.Context(), store.Delivery{At: at, Status: 200, Hash: id, Size: len(body), Body: body, Call: call}); err != nil {
			t.Fatal(err)
		}
		u.States[id] = store.State{Status: store.Synced, Wanted: 1, Done: 1, Since: at, SyncedAt: at}
	}
	if err := journal.Apply(t.Context(), "hubspot", u); err != nil {
		t.Fatal(err)
	}
}
