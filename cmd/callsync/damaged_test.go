package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
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

func overwrite(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// raiseSchema makes a journal one of a version that does not exist yet.
func raiseSchema(t *testing.T, file string) {
	t.Helper()
	db, err := bbolt.Open(file, 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("schema"), []byte("999")) })
	if err != nil {
		t.Fatal(err)
	}
}
