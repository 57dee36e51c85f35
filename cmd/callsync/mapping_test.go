package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/callsync/callsync/config"
	"github.com/callsync/callsync/store"
)

// newLive is a live mapping over a journal in dir.
func newLive(t *testing.T, dir, file string) (*liveMapping, store.Journal) {
	t.Helper()
	journal, err := openJournal(filepath.Join(dir, "callsync.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { journal.Close() })
	d := config.Destination{Name: "hubspot", Type: "hubspot", Mapping: file}
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

// TestEditsAreFollowed changes a mapping in the ways that editors and deployments
// do it. Other files in the folder are written all the while.
func TestEditsAreFollowed(t *testing.T) {
	text := shippedMapping(t)
	edited := strings.Replace(text, "ms(duration)", "ms(duration + 1)", 1)
	rename := func(t *testing.T, from, to string) {
		if err := os.Rename(from, to); err != nil {
			t.Error(err)
		}
	}
	link := func(t *testing.T, target, name string) {
		if err := os.Symlink(target, name); err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range []struct {
		name    string
		prepare func(t *testing.T, dir string)
		edit    func(t *testing.T, dir string)
	}{
		{"written in place", nil, func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "hubspot.toml"), edited)
		}},
		{"written in two steps", nil, func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "hubspot.toml"), edited[:len(edited)/2])
			time.Sleep(2 * settle) // the half is read and refused
			write(t, filepath.Join(dir, "hubspot.toml"), edited)
		}},
		{"another file put in its place", nil, func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, ".hubspot.toml.swp"), edited)
			rename(t, filepath.Join(dir, ".hubspot.toml.swp"), filepath.Join(dir, "hubspot.toml"))
		}},
		{"moved away and written anew", nil, func(t *testing.T, dir string) {
			rename(t, filepath.Join(dir, "hubspot.toml"), filepath.Join(dir, "hubspot.toml~"))
			time.Sleep(2 * settle)
			write(t, filepath.Join(dir, "hubspot.toml"), edited)
		}},
		{"the folder replaced", nil, func(t *testing.T, dir string) {
			rename(t, dir, dir+".old")
			time.Sleep(2 * settle)
			write(t, filepath.Join(dir+".new", "hubspot.toml"), edited)
			rename(t, dir+".new", dir)
		}},
		// Kubernetes: the file is a link through a folder's link, and only that
		// one moves.
		{"a config map", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "v1", "hubspot.toml"), text)
			write(t, filepath.Join(dir, "v2", "hubspot.toml"), edited)
			link(t, "v1", filepath.Join(dir, "..data"))
			link(t, "..data/hubspot.toml", filepath.Join(dir, "hubspot.toml"))
		}, func(t *testing.T, dir string) {
			link(t, "v2", filepath.Join(dir, "..data_tmp"))
			rename(t, filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data"))
		}},
		{"behind a link", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "elsewhere", "mine.toml"), text)
			link(t, "elsewhere/mine.toml", filepath.Join(dir, "hubspot.toml"))
		}, func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "elsewhere", "mine.toml"), edited)
		}},
		{"a file it routes to", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "hubspot.toml"), "[[route]]\nwhen = \"true\"\nmapping = \"agents/one.toml\"\n")
			write(t, filepath.Join(dir, "agents", "one.toml"), text)
		}, func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "agents", "one.toml"), edited)
		}},
		{"a new route before the file it leads to", nil, func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "hubspot.toml"), "[[route]]\nwhen = \"true\"\nmapping = \"agents/one.toml\"\n")
			time.Sleep(2 * settle)
			write(t, filepath.Join(dir, "agents", "one.toml"), edited)
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "mappings")
			write(t, filepath.Join(dir, "noise"), "")
			if x.prepare == nil {
				write(t, filepath.Join(dir, "hubspot.toml"), text)
			} else {
				x.prepare(t, dir)
			}
			l, journal := newLive(t, t.TempDir(), filepath.Join(dir, "hubspot.toml"))
			if err := l.keep(t.Context()); err != nil {
				t.Fatal(err)
			}
			old := l.info().Version
			ctx, cancel := context.WithCancel(t.Context())
			var running gosync.WaitGroup
			running.Go(func() {
				watchMappings(ctx, []*liveMapping{l}, slog.New(slog.DiscardHandler), func(string, error) {})
			})
			running.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					_ = os.WriteFile(filepath.Join(dir, fmt.Sprint("noise", n%10)), nil, 0o600)
					_ = os.Remove(filepath.Join(dir, fmt.Sprint("noise", (n+5)%10)))
					time.Sleep(settle / 5)
				}
			})
			x.edit(t, dir)
			err := await("the new version", 30*time.Second, func(context.Context) (bool, error) {
				info := l.info()
				return info.Version != old && info.Problem == "", fmt.Errorf("%+v", info)
			})
			cancel()
			running.Wait()
			if err != nil {
				t.Fatal(err)
			}
			kept, err := journal.Mapping(t.Context(), l.info().Version)
			all := string(kept.Source)
			for _, routed := range kept.Routed {
				all += string(routed)
			}
			if err != nil || !strings.Contains(all, "ms(duration + 1)") {
				t.Errorf("the version in force is not in the journal: %v", err)
			}
		})
	}
}

func TestABusyJournalHoldsNoReloadBack(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "hubspot.toml"), shippedMapping(t))
	l, _ := newLive(t, dir, filepath.Join(dir, "hubspot.toml"))
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
	l, journal := newLive(t, dir, filepath.Join(dir, "hubspot.toml"))
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

	// So it does when what broke is a file that is routed to.
	part := filepath.Join(dir, "part.toml")
	write(t, part, text)
	write(t, file, "[[route]]\nwhen = \"true\"\nmapping = \"part.toml\"\n")
	if changed, err := l.reload(ctx); !changed || err != nil {
		t.Fatalf("a new route: %t %v", changed, err)
	}
	good = l.info().Version
	write(t, part, "[contakt]\n")
	again, err = newLiveMapping(ctx, l.destination, journal, slog.New(slog.DiscardHandler))
	if err != nil || again.info().Version != good || !strings.Contains(again.info().Problem, "part.toml:1:2: ") {
		t.Errorf("a broken route after a restart: %+v %v", again.info(), err)
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

func TestVersionsStayInTheJournal(t *testing.T) {
	dir := t.TempDir()
	file, part := filepath.Join(dir, "hubspot.toml"), filepath.Join(dir, "part.toml")
	text := "[[route]]\nwhen = \"duration > 5\"\nmapping = \"part.toml\"\n" + shippedMapping(t)
	write(t, file, text)
	write(t, part, shippedMapping(t))
	l, journal := newLive(t, dir, file)
	if err := l.keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	version := l.info().Version
	write(t, file, shippedMapping(t))
	if changed, err := l.reload(t.Context()); !changed || err != nil {
		t.Fatal(changed, err)
	}
	if err := journal.Close(); err != nil {
		t.Fatal(err)
	}
	config, err := writeConfig(dir, "http://127.0.0.1:1", `mapping = "hubspot.toml"`)
	if err != nil {
		t.Fatal(err)
	}
	var out, stderr strings.Builder
	if c := run(t.Context(), []string{"mapping", version, "--config", config}, nil, &out, &stderr); c != exitDone || out.String() != text {
		t.Errorf("exit code %d: %s\n%s", c, stderr.String(), out.String())
	}
	if !strings.Contains(stderr.String(), "it routes to "+part) {
		t.Error(stderr.String())
	}
	if c := run(t.Context(), []string{"mapping", "000000000000", "--config", config}, nil, &out, &stderr); c != exitFailed || !strings.Contains(stderr.String(), "mapping version 000000000000: not found") {
		t.Errorf("exit code %d: %s", c, stderr.String())
	}
}
