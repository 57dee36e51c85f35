package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/callsync/callsync/store"
)

var errDisk = errors.New("input/output error")

// A disk decides how commits end.
type disk struct {
	mu   sync.Mutex
	fail func(*bbolt.Tx) error // nil while the disk is well
}

func (d *disk) set(fail func(*bbolt.Tx) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = fail
}

func (d *disk) commit(tx *bbolt.Tx) error {
	d.mu.Lock()
	fail := d.fail
	d.mu.Unlock()
	if fail != nil {
		return fail(tx)
	}
	return tx.Commit()
}

// The two ways in which a commit fails: before its head page was written, and
// after, when the last sync reports an error although the kernel shows the head.
func failEarly(tx *bbolt.Tx) error {
	return errors.Join(tx.Rollback(), errDisk)
}

func failLate(tx *bbolt.Tx) error {
	return errors.Join(tx.Commit(), errDisk)
}

// panicEarly leaves bbolt's locks held.
func panicEarly(*bbolt.Tx) error {
	panic("page 7 already freed")
}

func panicLate(tx *bbolt.Tx) error {
	tx.Commit()
	panic("page 7 already freed")
}

func TestFailedCommit(t *testing.T) {
	for name, fail := range map[string]func(*bbolt.Tx) error{
		"before the head": failEarly, "after the head": failLate,
		"panic before the head": panicEarly, "panic after the head": panicLate,
	} {
		t.Run(name, func(t *testing.T) {
			d := &disk{}
			path := filepath.Join(t.TempDir(), "callsync.db")
			var log bytes.Buffer
			j := openPath(t, path, Options{commit: d.commit, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if err := j.Enroll(t.Context(), []string{"hubspot"}); err != nil {
				t.Fatal(err)
			}
			want := []string{"before"}
			deliver(t, j, "before")
			for round := range 3 {
				d.set(fail)
				for i := range 3 {
					r, err := j.Deliver(t.Context(), testDelivery(fmt.Sprint("lost ", i), []byte("x")))
					if !errors.Is(err, store.ErrUnavailable) || r != (store.Receipt{}) {
						t.Fatalf("answered %+v, %v; want ErrUnavailable", r, err)
					}
					if err := j.Set(t.Context(), "paused", "yes"); !errors.Is(err, store.ErrUnavailable) {
						t.Fatalf("Set: %v, want ErrUnavailable", err)
					}
				}
				if got := callIDs(t, j); !slices.Equal(got, want) {
					t.Fatalf("while the disk fails the journal shows %v, want %v", got, want)
				}
				d.set(nil)
				id := fmt.Sprint("after ", round)
				deliver(t, j, id)
				want = append([]string{id}, want...)
			}
			deliver(t, j, "lost 0") // a sender tries again, and it is news
			want = append([]string{"lost 0"}, want...)
			j.Close()
			if n := strings.Count(log.String(), "level="); n != 6 {
				t.Errorf("%d log lines about 3 spells of trouble, want 6:\n%s", n, log.String())
			}

			j = openPath(t, path, Options{})
			if got := callIDs(t, j); !slices.Equal(got, want) {
				t.Errorf("the file has %v, want %v", got, want)
			}
			if v, err := j.Get(t.Context(), "paused"); err != nil || v != "" {
				t.Errorf("a setting that was refused is %q, %v", v, err)
			}
		})
	}
}

// writeTo has failed writes undone by way of another descriptor, and returns the one
// before.
func writeTo(t *testing.T, j *Journal, f *os.File) (before *os.File) {
	t.Helper()
	if err := j.alone(t.Context(), func() error { before, j.file = j.file, f; return nil }); err != nil {
		t.Fatal(err)
	}
	return before
}

// The head that must not count cannot be wiped out either: until it can, nothing
// is taken and reading goes on.
func TestDoubtThatLasts(t *testing.T) {
	d := &disk{}
	path := filepath.Join(t.TempDir(), "callsync.db")
	j := openPath(t, path, Options{commit: d.commit})
	deliver(t, j, "before")

	readOnly, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer readOnly.Close()
	writable := writeTo(t, j, readOnly)
	d.set(failLate)
	for range 3 {
		if _, err := j.Deliver(t.Context(), testDelivery("lost", []byte("x"))); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("answered %v, want ErrUnavailable", err)
		}
		d.set(nil)
	}
	if _, err := j.Call(t.Context(), "before"); err != nil {
		t.Errorf("reading meanwhile: %v", err)
	}
	writeTo(t, j, writable)
	deliver(t, j, "after")
	if got, want := callIDs(t, j), []string{"after", "before"}; !slices.Equal(got, want) {
		t.Errorf("the journal has %v, want %v", got, want)
	}
}

// The file cannot be opened again at once: reading has to wait too.
func TestReopenThatFails(t *testing.T) {
	d := &disk{}
	var mu sync.Mutex
	var refuse error
	open := func(name string, flag int, perm os.FileMode) (*os.File, error) {
		mu.Lock()
		defer mu.Unlock()
		if refuse != nil {
			return nil, &os.PathError{Op: "open", Path: name, Err: refuse}
		}
		return os.OpenFile(name, flag, perm)
	}
	j := openTest(t, Options{commit: d.commit, openFile: open})
	deliver(t, j, "before")
	mu.Lock()
	refuse = errDisk
	mu.Unlock()
	d.set(failLate)
	for range 2 {
		if _, err := j.Deliver(t.Context(), testDelivery("lost", []byte("x"))); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("answered %v, want ErrUnavailable", err)
		}
		if _, err := j.Call(t.Context(), "before"); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("reading: %v, want ErrUnavailable", err)
		}
	}
	d.set(nil)
	mu.Lock()
	refuse = nil
	mu.Unlock()
	if err := os.Rename(j.path, j.path+".away"); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Deliver(t.Context(), testDelivery("lost", []byte("x"))); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("without its file: %v, want ErrUnavailable", err)
	}
	if err := os.Rename(j.path+".away", j.path); err != nil {
		t.Fatal(err)
	}
	deliver(t, j, "after")
	if got, want := callIDs(t, j), []string{"after", "before"}; !slices.Equal(got, want) {
		t.Errorf("the journal has %v, want %v", got, want)
	}
}

func TestReadOnlyDescriptor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "callsync.db")
	openPath(t, path, Options{}).Close()
	j := openPath(t, path, Options{openFile: func(name string, _ int, perm os.FileMode) (*os.File, error) {
		return os.OpenFile(name, os.O_RDONLY, perm)
	}})
	if _, err := j.Deliver(t.Context(), testDelivery("lost", []byte("x"))); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("answered %v, want ErrUnavailable", err)
	}
	if got := callIDs(t, j); len(got) != 0 {
		t.Errorf("the journal has %v", got)
	}
}

func TestFileMovedAway(t *testing.T) {
	for name, o := range map[string]Options{"written to": {}, "about to be opened anew": {renew: -1}} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "callsync.db")
			j := openPath(t, path, o)
			deliver(t, j, "before")
			if err := os.Rename(path, path+".away"); err != nil {
				t.Fatal(err)
			}
			if _, err := j.Deliver(t.Context(), testDelivery("lost", []byte("x"))); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("moved away: %v, want ErrUnavailable", err)
			}
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if _, err := j.Deliver(t.Context(), testDelivery("lost", []byte("x"))); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "restart") {
					t.Errorf("replaced: %v, want ErrUnavailable and what to do", err)
				}
			}
			if err := os.Rename(path+".away", path); err != nil {
				t.Fatal(err)
			}
			deliver(t, j, "after")
			if got := callIDs(t, j); !slices.Equal(got, []string{"after", "before"}) {
				t.Errorf("the journal has %v", got)
			}
		})
	}
}

func TestDamagedFile(t *testing.T) {
	healthy := healthyFile(t)
	page := os.Getpagesize()
	for name, damage := range map[string]func([]byte) []byte{
		"text":                 func([]byte) []byte { return []byte(strings.Repeat("not a journal\n", 2000)) },
		"a few bytes":          func([]byte) []byte { return []byte("oops") },
		"zeros":                func(b []byte) []byte { return make([]byte, len(b)) },
		"cut after the heads":  func(b []byte) []byte { return b[:2*page] },
		"cut in the first":     func(b []byte) []byte { return b[:page/2] },
		"cut in the middle":    func(b []byte) []byte { return b[:len(b)/2/page*page] },
		"cut by a page":        func(b []byte) []byte { return b[:len(b)-page] },
		"both heads overtyped": func(b []byte) []byte { copy(b[:2*page], noise(1, 2*page)); return b },
		"all pages overtyped":  func(b []byte) []byte { copy(b[2*page:], noise(1, len(b)-2*page)); return b },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "callsync.db")
			if err := os.WriteFile(path, damage(slices.Clone(healthy)), 0o600); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second finds it unlocked
				j, err := Open(path, Options{})
				if err == nil {
					j.Close()
				}
				if !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), "backup") || !strings.Contains(err.Error(), path) {
					t.Fatalf("%v; want ErrDamaged, the path and what to do", err)
				}
			}
		})
	}
}

// healthyFile is a compact journal file with some calls.
func healthyFile(t *testing.T) []byte {
	t.Helper()
	j := openTest(t, Options{})
	for i := range 50 {
		if _, err := j.Deliver(t.Context(), testDelivery(fmt.Sprint("call ", i), noise(i, 3000))); err != nil {
			t.Fatal(err)
		}
	}
	var b strings.Builder
	if err := j.Backup(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return []byte(b.String())
}

// One bad page in the middle must not bring the daemon down, nor take along what
// lies elsewhere.
func TestDamagedPage(t *testing.T) {
	healthy := healthyFile(t)
	page := os.Getpagesize()
	met := 0
	for n := 2; n < len(healthy)/page; n += 3 {
		path := filepath.Join(t.TempDir(), "callsync.db")
		file := slices.Clone(healthy)
		copy(file[n*page:(n+1)*page], noise(n, page))
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := Open(path, Options{})
		if err != nil {
			if !errors.Is(err, store.ErrDamaged) {
				t.Errorf("page %d: %v, want ErrDamaged", n, err)
			}
			continue
		}
		for i := range 50 {
			id := fmt.Sprint("call ", i)
			w, err := j.Load(t.Context(), "hubspot", []string{id})
			switch {
			case errors.Is(err, store.ErrDamaged), len(w) == 1 && errors.Is(w[0].Damaged, store.ErrDamaged):
				met++
			case err != nil:
				t.Errorf("page %d, %s: %v, want ErrDamaged", n, id, err)
			case len(w) == 1 && string(w[0].Body) != string(noise(i, 3000)):
				t.Errorf("page %d, %s: a body that is not what was received", n, id)
			}
			_, err = j.Deliver(t.Context(), testDelivery(id, []byte("corrected")))
			if err != nil && !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("page %d, %s: Deliver: %v, want ErrUnavailable", n, id, err)
			}
		}
		if err := contain(j.Close); err != nil {
			t.Errorf("page %d: Close: %v", n, err)
		}
	}
	if met == 0 {
		t.Error("no read met the damage")
	}
}

func TestForeignFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "callsync.db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("widgets"))
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{}); !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), "another program") {
		t.Errorf("%v, want ErrDamaged and why", err)
	}
}

func TestPathThatCannotBe(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "missing", "callsync.db"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing folder: %v, want ErrNotExist", err)
	}
	if _, err := Open(t.TempDir(), Options{}); err == nil {
		t.Error("a folder was opened as a journal")
	}
	empty := filepath.Join(t.TempDir(), "callsync.db")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	deliver(t, openPath(t, empty, Options{}), "into an empty file")
}
