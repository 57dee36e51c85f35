package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/callsync/callsync/config"
	"github.com/callsync/callsync/store"
)

// newLive is a live mapping over a journal, both in dir.
func newLive(t *testing.T, dir string) (*liveMapping, store.Journal) {
	t.Helper()
	journal, err := openJournal(filepath.Join(dir, "callsync.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { journal.Close() })
	d := config.Destination{Name: "hubspot", Type: "hubspot", Mapping: filepath.Join(dir, "hubspot.toml")}
	l, err := newLiveMapping(t.Context(), d, journal, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return l, journal
}

func shippedMapping(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../mappings/hubspot.toml")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestConfigMapIsFollowed replaces a mapping as Kubernetes does: the file is a
// link through a folder's link, and only that one moves.
func TestConfigMapIsFollowed(t *testing.T) {
	dir := t.TempDir()
	text := shippedMapping(t)
	write(t, filepath.Join(dir, "v1", "hubspot.toml"), text)
	write(t, filepath.Join(dir, "v2", "hubspot.toml"), strings.Replace(text, "ms(duration)", "ms(duration + 1)", 1))
	for link, target := range map[string]string{"..data": "v1", "hubspot.toml": "..data/hubspot.toml", "next": "v2"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	l, journal := newLive(t, dir)
	if err := l.keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	old := l.info().Version
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		watchMappings(ctx, []*liveMapping{l}, slog.New(slog.DiscardHandler), func(string, error) {})
	}()
	// The link is moved again and again, in case the watcher was not there yet.
	err := await("the new version", 30*time.Second, func(ctx context.Context) (bool, error) {
		if err := os.Symlink("v2", filepath.Join(dir, "next")); err != nil && !errors.Is(err, os.ErrExist) {
			return false, err
		}
		if err := os.Rename(filepath.Join(dir, "next"), filepath.Join(dir, "..data")); err != nil {
			return false, err
		}
		time.Sleep(2 * settle)
		return l.info().Version != old, nil
	})
	cancel()
	<-ended
	if err != nil {
		t.Fatal(err)
	}
	kept, err := journal.Mapping(t.Context(), l.info().Version)
	if err != nil || !strings.Contains(string(kept.Source), "ms(duration + 1)") {
		t.Errorf("the version in force is not in the journal: %v", err)
	}
}

func TestABusyJournalHoldsNoReloadBack(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "hubspot.toml"), shippedMapping(t))
	l, _ := newLive(t, dir)
	for _, x := range []struct {
		name string
		op   fsnotify.Op
		want bool
	}{
		{"callsync.db", fsnotify.Write, false},
		{"hubspot.toml~", fsnotify.Chmod, false},
		{"hubspot.toml", fsnotify.Write, true},
		{"hubspot.toml", fsnotify.Remove, true},
		{"..data", fsnotify.Create, true},
	} {
		e := fsnotify.Event{Name: filepath.Join(dir, x.name), Op: x.op}
		if got := concerns(e, []*liveMapping{l}); got != x.want {
			t.Errorf("%s: %t", e, got)
		}
	}
}

func TestBrokenEditKeepsTheLastGoodVersion(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "hubspot.toml")
	text := shippedMapping(t)
	write(t, file, text)
	l, journal := newLive(t, dir)
	ctx := t.Context()
	if err := l.keep(ctx); err != nil {
		t.Fatal(err)
	}
	good := l.info().Version

	write(t, file, strings.Replace(text, "[contact]", "[contakt]", 1))
	if changed, err := l.reload(ctx); changed || err == nil || !strings.Contains(err.Error(), "hubspot.toml:") {
		t.Fatalf("a broken edit: %t %v", changed, err)
	}
	if _, err := l.reload(ctx); err != nil {
		t.Errorf("the same mistake was reported twice: %v", err)
	}
	info := l.info()
	if info.Version != good || !strings.Contains(info.Problem, "contakt") {
		t.Errorf("%+v", info)
	}

	// A restart finds the last good version in the journal.
	again, err := newLiveMapping(ctx, l.destination, journal, slog.New(slog.DiscardHandler))
	if err != nil || again.info().Version != good || again.info().Problem == "" {
		t.Errorf("after a restart: %+v %v", again.info(), err)
	}

	write(t, file, text)
	if changed, err := l.reload(ctx); changed || err != nil || l.info().Problem != "" {
		t.Errorf("mended: %t %v %+v", changed, err, l.info())
	}

	// Where no version was ever in force, there is nothing to fall back on.
	other := l.destination
	other.Name = "never"
	write(t, file, "[contakt]\n")
	var usage usageError
	if _, err := newLiveMapping(ctx, other, journal, slog.New(slog.DiscardHandler)); !errors.As(err, &usage) {
		t.Errorf("no good version at all: %v", err)
	}
}
