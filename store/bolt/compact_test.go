package bolt

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/callsync/callsync/store"
)

// A compaction that fails leaves the journal as it was, and nothing behind.
func TestCompactFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "callsync.db")
	full := errors.New("no space left on device")
	j := openPath(t, path, Options{openFile: func(name string, flag int, perm os.FileMode) (*os.File, error) {
		if strings.HasSuffix(name, compactSuffix) {
			return nil, full
		}
		return os.OpenFile(name, flag, perm)
	}})
	deliverTest(t, j, "before")
	if _, _, err := j.Compact(t.Context()); !errors.Is(err, full) {
		t.Errorf("Compact: %v, want %v", err, full)
	}
	deliverTest(t, j, "after")
	if _, err := os.Stat(path + compactSuffix); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the unfinished file: %v", err)
	}
}

// A file that a killed process left is removed, and the journal is the old one.
func TestCompactBrokenOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "callsync.db")
	if err := os.WriteFile(path+compactSuffix, []byte("half a journal"), 0o600); err != nil {
		t.Fatal(err)
	}
	openPath(t, path, Options{})
	if _, err := os.Stat(path + compactSuffix); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the unfinished file: %v", err)
	}
}

// Nothing of what was dropped is left in the file, and it shrinks.
func TestCompactLeavesNoTrace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "callsync.db")
	j := openPath(t, path, Options{})
	for i := range 300 {
		deliverTest(t, j, fmt.Sprintf("call-of-jane-%03d", i))
	}
	var ids []string
	for i := range 299 {
		ids = append(ids, fmt.Sprintf("call-of-jane-%03d", i))
	}
	if _, err := j.Erase(t.Context(), store.Erasure{Calls: ids}); err != nil {
		t.Fatal(err)
	}
	before, after, err := j.Compact(t.Context())
	if err != nil || after >= before {
		t.Errorf("%d bytes before, %d after, %v", before, after, err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), "call-of-jane-000") || !strings.Contains(string(data), "call-of-jane-299") {
		t.Error("the file holds what was erased, or lacks what was not")
	}
	deliverTest(t, j, "next")
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	again := openPath(t, path, Options{})
	for _, id := range []string{"call-of-jane-299", "next"} {
		if _, err := again.Call(t.Context(), id); err != nil {
			t.Errorf("%s after a restart: %v", id, err)
		}
	}
}

// A reader that takes its time, such as a backup, is waited for.
func TestCompactWaitsForReaders(t *testing.T) {
	j := openTest(t, Options{})
	deliverTest(t, j, "call")
	r, w := io.Pipe()
	backup := make(chan error, 1)
	go func() {
		err := j.Backup(t.Context(), w)
		w.CloseWithError(err)
		backup <- err
	}()
	if _, err := io.ReadFull(r, make([]byte, 100)); err != nil { // it has begun
		t.Fatal(err)
	}
	compacted := make(chan error, 1)
	go func() {
		_, _, err := j.Compact(t.Context())
		compacted <- err
	}()
	deliverTest(t, j, "meanwhile")
	select {
	case err := <-compacted:
		t.Fatalf("compacted under a backup: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(<-backup, <-compacted); err != nil {
		t.Fatal(err)
	}
	deliverTest(t, j, "afterwards")
}

func deliverTest(t *testing.T, j *Journal, id string) {
	t.Helper()
	if _, err := j.Deliver(t.Context(), testDelivery(id, []byte(`{"callId":"`+id+`"}`))); err != nil {
		t.Fatal(err)
	}
}

// What a compaction copied while a failed write was still to be seen is copied again
// once that is undone.
func TestCompactDuringDoubt(t *testing.T) {
	d := &disk{}
	path := filepath.Join(t.TempDir(), "callsync.db")
	j := openPath(t, path, Options{commit: d.commit})
	deliver(t, j, "before")
	c := &compaction{journal: j, path: path + compactSuffix, replaces: path, notes: &tail{keys: touched{}}}
	if err := c.open(); err != nil {
		t.Fatal(err)
	}
	defer c.cleanUp()
	if err := j.update(t.Context(), func(*tx) error { j.tail = c.notes; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := c.copyAll(t.Context()); err != nil {
		t.Fatal(err)
	}

	readOnly, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer readOnly.Close()
	writable := writeTo(t, j, readOnly) // so that the failed write cannot be undone
	d.set(failLate)
	if _, err := j.Deliver(t.Context(), testDelivery("lost", []byte("x"))); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("answered %v, want ErrUnavailable", err)
	}
	if err := c.catchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.set(nil)
	writeTo(t, j, writable)
	deliver(t, j, "after")
	if err := j.alone(t.Context(), c.swap); err != nil {
		t.Fatal(err)
	}
	if got, want := callIDs(t, j), []string{"after", "before"}; !slices.Equal(got, want) {
		t.Errorf("the compacted journal has %v, want %v", got, want)
	}
}

// A compaction whose first write fails, as on a full disk, leaves nothing behind that
// goes on noting what is written.
func TestCompactThatCannotBegin(t *testing.T) {
	d := &disk{}
	j := openPath(t, filepath.Join(t.TempDir(), "callsync.db"), Options{commit: d.commit})
	d.set(func(t *bbolt.Tx) error { return errors.Join(t.Rollback(), errDisk) })
	if _, _, err := j.Compact(t.Context()); !errors.Is(err, errDisk) {
		t.Fatalf("Compact: %v", err)
	}
	d.set(nil)
	deliver(t, j, "after")
	if err := j.alone(t.Context(), func() error {
		if j.tail != nil {
			t.Errorf("%d keys are noted for a compaction that is over", j.tail.len())
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
