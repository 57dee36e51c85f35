package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/callsync/callsync/config"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/store/bolt"
)

// TestDamagedJournal starts a daemon on a journal that is torn, not one at all, or
// of a newer version. It must be refused with what to do, and left as it is; a
// backup taken from the running daemon then works in its place, and what is
// delivered again is in the CRM once.
func TestDamagedJournal(t *testing.T) {
	s := newServed(t, "hubspot")
	dir := filepath.Dir(s.config)
	journal, backup := filepath.Join(dir, "callsync.db"), filepath.Join(dir, "backup.db")
	s.start()
	s.take(1, 0, "some words")
	s.settle(time.Minute)
	s.command("backup", backup)
	s.take(1, 1, "other words") // not in the backup
	s.take(2, 0, "new words")
	s.settle(time.Minute)
	s.stop()
	whole, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}

	for name, x := range map[string]struct {
		damage func(t *testing.T)
		says   []string
	}{
		"torn":            {func(t *testing.T) { overwrite(t, journal, whole[:4*os.Getpagesize()]) }, []string{"damaged", "callsync backup"}},
		"text":            {func(t *testing.T) { overwrite(t, journal, bytes.Repeat([]byte("no journal\n"), 1000)) }, []string{"damaged", "callsync backup"}},
		"zeros":           {func(t *testing.T) { overwrite(t, journal, make([]byte, len(whole))) }, []string{"damaged", "callsync backup"}},
		"a newer version": {func(t *testing.T) { overwrite(t, journal, whole); raiseSchema(t, journal) }, []string{"newer", "999", "backup"}},
	} {
		t.Run(name, func(t *testing.T) {
			x.damage(t)
			before, err := os.ReadFile(journal)
			if err != nil {
				t.Fatal(err)
			}
			for _, command := range []string{"serve", "calls", "status"} {
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				cmd := exec.CommandContext(ctx, "callsync", command, "--config", s.config)
				out, err := cmd.CombinedOutput()
				if cmd.ProcessState.ExitCode() != exitFailed {
					t.Errorf("%s: %v: %s", command, err, out)
				}
				for _, want := range append(x.says, journal) {
					if !strings.Contains(string(out), want) {
						t.Errorf("%s does not say %q: %s", command, want, out)
					}
				}
			}
			after, err := os.ReadFile(journal)
			if err != nil || !bytes.Equal(before, after) {
				t.Errorf("the file was written to (%v)", err)
			}
		})
	}

	copied, err := os.ReadFile(backup)
	if err != nil {
		t.Fatal(err)
	}
	overwrite(t, journal, copied)
	s.start()
	s.take(1, 0, "some words")
	s.take(1, 1, "other words")
	s.take(2, 0, "new words")
	s.settle(time.Minute)
	s.stop()
	s.hasOnce(map[int][]string{1: {"some words", "other words"}, 2: {"new words"}})
}

// TestDamagedBundle damages some dozens of calls that lie together in the journal.
// Every command passes over them, says which they are, and fails; an erasure does not
// say that nothing is held of somebody whom it cannot know about.
func TestDamagedBundle(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.toml")
	overwrite(t, path, []byte(`receiver = { listen = "127.0.0.1:0", api_keys = ["secret-key"] }
destinations.hubspot = { type = "hubspot", base_url = "http://127.0.0.1:1", access_token = "token" }
`))
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	syncedBefore(t, cfg, "old", 30, 2*time.Hour)
	told := func(wantCode int, args ...string) (out, stderr string) {
		t.Helper()
		var o, e strings.Builder
		if code := run(t.Context(), append(args, "--config", path), strings.NewReader(""), &o, &e); code != wantCode {
			t.Errorf("%q ended with %d: %s%s", args, code, &o, &e)
		}
		return o.String(), e.String()
	}
	told(exitDone, "compact")
	syncedBefore(t, cfg, "young", 2, time.Minute)
	change(t, cfg.Store.Path, func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("bundle"))
		k, value := b.Cursor().First()
		torn := bytes.Clone(value)
		torn[0] = 77
		return b.Put(k, torn)
	})

	// A damaged copy takes the place of no other, unless that is said.
	backup := filepath.Join(dir, "backup.db")
	overwrite(t, backup, []byte("the last good one"))
	if _, stderr := told(exitFailed, "backup", "--force", backup); !strings.Contains(stderr, "is as it was") || !strings.Contains(stderr, "30 of its calls cannot be read") || !strings.Contains(stderr, "--unchecked") {
		t.Errorf("backup says %s", stderr)
	}
	if kept, err := os.ReadFile(backup); err != nil || string(kept) != "the last good one" {
		t.Errorf("the last backup has %d bytes now, %v", len(kept), err)
	}
	told(exitDone, "backup", "--force", "--unchecked", backup)
	if err := bolt.Examine(t.Context(), backup); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("the copy: %v", err)
	}

	const which = "left out: 30 calls that cannot be read, received "
	for _, args := range [][]string{
		{"calls"}, {"calls", "--state", "synced"}, {"calls", "--json"}, {"export"}, {"plan", "--all"}, {"resync", "--all", "--dry-run"},
		{"resync", "--all", "--no-wait"}, {"erase", "--phone", "+46701234567", "--yes"},
	} {
		out, stderr := told(exitFailed, args...)
		if !strings.Contains(stderr, which) || !strings.Contains(stderr, "old-29, old-28, old-27, old-26, old-25 and 25 more") || !strings.Contains(stderr, "callsync backup") {
			t.Errorf("%q does not say which calls it left out: %s", args, stderr)
		}
		if (args[0] == "calls" || args[0] == "export") && !strings.Contains(out, "young-1") {
			t.Errorf("%q ends at the damage: %s", args, out)
		}
		if args[0] == "erase" && !strings.Contains(out, "nothing that can be read is held of them") {
			t.Errorf("%q says %s", args, out)
		}
	}
	if out, _ := told(exitDone, "export", "young-0"); !strings.Contains(out, "young-0") {
		t.Errorf("a call that is whole: %s", out)
	}
	for _, args := range [][]string{{"export", "old-3"}, {"show", "old-3"}, {"resync", "old-3"}, {"erase", "--call", "old-3", "--yes"}} {
		if _, stderr := told(exitFailed, args...); !strings.Contains(stderr, "damaged") || !strings.Contains(stderr, "old-3") {
			t.Errorf("%q: %s", args, stderr)
		}
	}
	change(t, cfg.Store.Path, func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("body"))
		k, value := b.Cursor().Last()
		return b.Put(k, value[:len(value)/2])
	})
	if out, _ := told(exitDone, "show", "young-1"); !strings.Contains(out, "damaged: revision 1 of call young-1: ") || !strings.Contains(out, "hubspot: pending") {
		t.Errorf("a call without a legible payload is shown as %s", out)
	}
	if _, stderr := told(exitFailed, "export"); !strings.Contains(stderr, "left out: 31 calls") {
		t.Errorf("an export beside a damaged payload says %s", stderr)
	}
	if out, _ := told(exitDone, "erase", "--call", "young-0", "--yes"); !strings.Contains(out, "journal: 1 call,") {
		t.Errorf("erasing a call that is whole: %s", out)
	}
}

// change writes to a journal that nobody has open.
func change(t *testing.T, file string, f func(*bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(file, 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Update(f); err != nil {
		t.Fatal(err)
	}
}

func overwrite(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// raiseSchema makes a journal one of a version that does not exist yet.
func raiseSchema(t *testing.T, file string) {
	t.Helper()
	change(t, file, func(tx *bbolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("schema"), []byte("999")) })
}
