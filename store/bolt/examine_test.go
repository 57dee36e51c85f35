package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/callsync/callsync/store"
)

// Whatever page is noise, Examine says so, or all calls read as they did before.
func TestExamine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "callsync.db")
	j := openPath(t, path, Options{bundle: 4 << 10})
	for i := range 60 {
		deliver(t, j, fmt.Sprintf("call-%02d", i))
	}
	settle(t, j)
	if _, _, err := j.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		deliver(t, j, fmt.Sprintf("young-%02d", i))
	}
	want := bodies(t, j)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Examine(t.Context(), path); err != nil {
		t.Fatalf("the whole journal: %v", err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(want["call-07"]); n != 1 || len(want) != 80 {
		t.Fatalf("%d calls, one with %d revisions", len(want), n)
	}
	size, found := os.Getpagesize(), 0
	for page := 2; page < len(whole)/size && page < 200; page++ {
		noisy := bytes.Clone(whole)
		for i := page*size + 16; i < (page+1)*size; i++ {
			noisy[i] = byte(i * 167 >> 3)
		}
		if err := os.WriteFile(path, noisy, 0o600); err != nil {
			t.Fatal(err)
		}
		err := Examine(t.Context(), path)
		if errors.Is(err, store.ErrDamaged) {
			found++
			continue
		}
		if err != nil {
			t.Errorf("page %d: %v", page, err)
			continue
		}
		j, err := Open(path, Options{})
		if err != nil {
			continue // which says so
		}
		if diff := cmp.Diff(want, bodies(t, j)); diff != "" {
			t.Errorf("page %d is noise, which was not noticed (-before +after):\n%s", page, diff)
		}
		if err := j.Close(); err != nil {
			t.Logf("page %d: %v", page, err)
		}
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil { // which is audited in the end
		t.Fatal(err)
	}
	if found < 10 {
		t.Errorf("%d damaged pages were noticed", found)
	}
}

// bodies are all calls' revisions.
func bodies(t *testing.T, j *Journal) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for c, err := range j.Calls(t.Context(), store.CallFilter{}) {
		if err != nil {
			t.Error(err)
			return nil
		}
		revisions, err := j.Revisions(t.Context(), c.ID)
		if err != nil {
			t.Error(err)
		}
		for _, r := range revisions {
			all[c.ID] = append(all[c.ID], string(r.Body))
		}
	}
	return all
}

// An empty file is a new journal's, as after a crash at the very first start, or what is
// left of an old one: it is taken, and that is said.
func TestEmptyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "callsync.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	openPath(t, path, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "put its backup in its place") {
		t.Errorf("the log says %q", log.String())
	}
}
