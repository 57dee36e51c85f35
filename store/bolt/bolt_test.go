package bolt

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/store/storetest"
)

func TestJournal(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Journal { return openTest(t, Options{}) })
}

func TestReopen(t *testing.T) {
	storetest.RunReopen(t, func(t *testing.T) func(t *testing.T) store.Journal {
		path := filepath.Join(t.TempDir(), "callsync.db")
		return func(t *testing.T) store.Journal { return openPath(t, path, Options{}) }
	})
}

// A journal whose file is opened anew after every write is a journal like any other.
func TestRenewed(t *testing.T) {
	t.Run("journal", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Journal { return openTest(t, Options{renew: -1}) })
	})
	t.Run("growth", func(t *testing.T) {
		var opened atomic.Int64
		j := openTest(t, Options{renew: 20 << 20, openFile: func(name string, flag int, perm os.FileMode) (*os.File, error) {
			opened.Add(1)
			return os.OpenFile(name, flag, perm)
		}})
		deliver(t, j, "c1")
		first := opened.Load()
		for i := range 20 {
			d := testDelivery("large", noise(i, 1<<20))
			d.Call.CallID = strconv.Itoa(i)
			if _, err := j.Deliver(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		if later := opened.Load() - first; first != 1 || later == 0 {
			t.Errorf("the file was opened %d times, and %d while it grew by 20 MB", first, later)
		}
		if n := len(callIDs(t, j)); n != 21 {
			t.Errorf("there are %d calls, want 21", n)
		}
	})
}

// openTest opens a journal of its own for the test.
func openTest(t testing.TB, o Options) *Journal {
	t.Helper()
	return openPath(t, filepath.Join(t.TempDir(), "callsync.db"), o)
}

// openPath opens a journal, which is closed and audited when the test ends.
func openPath(t testing.TB, path string, o Options) *Journal {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	j, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		auditFile(t, path)
	})
	return j
}

func testDelivery(callID string, body []byte) store.Delivery {
	sum := sha256.Sum256(body)
	return store.Delivery{
		At: time.Now(), Peer: "192.0.2.1", Status: 200, Size: len(body), Body: body,
		Hash: hex.EncodeToString(sum[:]),
		Call: &julian.Call{CallID: callID, AgentID: "agent_1", Direction: "outbound", Result: julian.Result{ResultType: julian.GoalCompleted}},
	}
}

func deliver(t testing.TB, j *Journal, callID string) {
	t.Helper()
	r, err := j.Deliver(t.Context(), testDelivery(callID, []byte(callID)))
	if err != nil || r.Verdict != store.Accepted {
		t.Fatalf("delivering %s: %s, %v", callID, r.Verdict, err)
	}
}

// callIDs lists a journal's calls, newest first.
func callIDs(t testing.TB, j *Journal) []string {
	t.Helper()
	var ids []string
	for v, err := range j.Calls(t.Context(), store.CallFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, v.ID)
	}
	return ids
}

func TestFileMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "callsync.db")
	openPath(t, path, Options{})
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
}

func TestReadableFileIsWarnedAbout(t *testing.T) {
	path := filepath.Join(t.TempDir(), "callsync.db")
	openPath(t, path, Options{}).Close()
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	openPath(t, path, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if !strings.Contains(log.String(), "0600") {
		t.Errorf("the log does not say what to do: %q", log.String())
	}
}

func TestLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "callsync.db")
	j := openPath(t, path, Options{})
	if _, err := Open(path, Options{}); !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("opening it twice: %v, want ErrLocked and the path", err)
	}
	deliver(t, j, "still working")
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	openPath(t, path, Options{})
}

func TestNewer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "callsync.db")
	openPath(t, path, Options{}).Close()
	setSchema(t, path, "99")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(path, Options{})
	if !errors.Is(err, store.ErrNewer) || !strings.Contains(err.Error(), "99") || !strings.Contains(err.Error(), "backup") {
		t.Errorf("a newer journal: %v; want ErrNewer, the version and what to do", err)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, after) {
		t.Error("the newer file was written to")
	}
	setSchema(t, path, strconv.Itoa(len(migrations)))
}

func setSchema(t testing.TB, path, version string) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Put(schemaKey, []byte(version)) })
	if err != nil {
		t.Fatal(err)
	}
}

func TestMigrate(t *testing.T) {
	db, err := bbolt.Open(filepath.Join(t.TempDir(), "callsync.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var ran []int
	step := func(n int, err error) migration {
		return func(tx *bbolt.Tx) (bool, error) {
			ran = append(ran, n)
			if _, err := tx.CreateBucket(fmt.Append(nil, "step ", n)); err != nil {
				return false, err
			}
			return true, err
		}
	}
	broken := errors.New("broken")
	check := func(what string, steps []migration, wantErr error, wantFound, wantSchema int, wantRan ...int) {
		t.Helper()
		ran = nil
		found, err := migrate(db, steps)
		if !errors.Is(err, wantErr) {
			t.Errorf("%s: error %v, want %v", what, err, wantErr)
		}
		if found != wantFound || fmt.Sprint(ran) != fmt.Sprint(wantRan) {
			t.Errorf("%s: found schema %d and ran %v; want %d and %v", what, found, ran, wantFound, wantRan)
		}
		err = db.View(func(tx *bbolt.Tx) error {
			schema, _, err := schemaOf(tx)
			if schema != wantSchema {
				t.Errorf("%s: schema %d afterwards, want %d", what, schema, wantSchema)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	one, two := step(1, nil), step(2, nil)
	portions := 0
	inPortions := func(*bbolt.Tx) (bool, error) {
		ran = append(ran, 3)
		portions++
		return portions == 3, nil
	}
	check("new", []migration{one}, nil, 0, 1, 1)
	check("as it is", []migration{one}, nil, 1, 1)
	check("a step fails", []migration{one, two, step(3, broken)}, broken, 1, 2, 2, 3)
	check("goes on", []migration{one, two, inPortions}, nil, 2, 3, 3, 3, 3)
	check("newer", []migration{one, two}, store.ErrNewer, 3, 3)
}

func TestQuarantineLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "callsync.db")
	j := openPath(t, path, Options{Quarantine: 3000})
	var seqs []uint64
	for i := range 6 {
		body := noise(i, 980)
		r, err := j.Deliver(t.Context(), store.Delivery{Verdict: store.Rejected, Body: body})
		if err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, r.Seq)
	}
	check := func(j *Journal, first int) {
		t.Helper()
		for i, seq := range seqs {
			body, err := j.Quarantined(t.Context(), seq)
			if i < first {
				if !errors.Is(err, store.ErrNotFound) {
					t.Errorf("body %d: %v, want ErrNotFound", i, err)
				}
			} else if err != nil || !bytes.Equal(body, noise(i, 980)) {
				t.Errorf("body %d is not what was received: %v", i, err)
			}
		}
	}
	check(j, 3)
	if r, err := j.Deliver(t.Context(), store.Delivery{Verdict: store.Rejected, Body: noise(9, 5000)}); err != nil {
		t.Fatal(err)
	} else if _, err := j.Quarantined(t.Context(), r.Seq); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a body beyond the limit: %v, want ErrNotFound", err)
	}
	check(j, 3)
	j.Close()

	j = openPath(t, path, Options{Quarantine: 2000})
	r, err := j.Deliver(t.Context(), store.Delivery{Verdict: store.Rejected, Body: noise(6, 99)})
	if err != nil {
		t.Fatal(err)
	}
	check(j, 5)
	if _, err := j.Quarantined(t.Context(), r.Seq); err != nil {
		t.Error(err)
	}
	n := 0
	for _, err := range j.Deliveries(t.Context(), store.DeliveryFilter{Verdict: store.Rejected}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 8 {
		t.Errorf("%d rejected deliveries in the log, want all 8", n)
	}
	j.Close()

	j = openPath(t, path, Options{Quarantine: -1})
	if r, err := j.Deliver(t.Context(), store.Delivery{Verdict: store.Rejected, Body: noise(7, 9)}); err != nil {
		t.Fatal(err)
	} else if _, err := j.Quarantined(t.Context(), r.Seq); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("without quarantine: %v, want ErrNotFound", err)
	}
}

// noise is n bytes that cannot be compressed.
func noise(seed, n int) []byte {
	var out []byte
	for i := 0; len(out) < n; i++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "%d %d", seed, i))
		out = append(out, sum[:]...)
	}
	return out[:n]
}

func TestBackup(t *testing.T) {
	j := openTest(t, Options{})
	for i := range 20 {
		deliver(t, j, fmt.Sprint("call ", i))
	}
	// A backup is of one moment, however long it takes: a write in the middle of
	// it is not in it.
	path := filepath.Join(t.TempDir(), "backup.db")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Backup(t.Context(), &interrupted{Writer: f, between: func() { deliver(t, j, "meanwhile") }}); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	copied := openPath(t, path, Options{})
	if got, want := callIDs(t, copied), callIDs(t, j)[1:]; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the backup has the calls %v, want %v", got, want)
	}
	deliver(t, copied, "after the restore")
}

// interrupted runs between before its second write.
type interrupted struct {
	io.Writer
	between func()
	writes  int
}

func (w *interrupted) Write(p []byte) (int, error) {
	if w.writes++; w.writes == 2 {
		w.between()
	}
	return w.Writer.Write(p)
}

// Calls of every year that a time can be written in are listed, and found by time.
func TestCallsOfAnyYear(t *testing.T) {
	j := openTest(t, Options{})
	for _, year := range []int{0, 1, 2026, 8919, 9400, 9999} {
		d := testDelivery(fmt.Sprint(year), fmt.Append(nil, year))
		d.At = time.Date(year, 3, 1, 0, 0, 0, 0, time.UTC)
		if _, err := j.Deliver(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	in := func(year int) time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }
	for _, c := range []struct {
		f    store.CallFilter
		want string
	}{
		{store.CallFilter{}, "[9999 9400 8919 2026 1 0]"},
		{store.CallFilter{Since: in(9000)}, "[9999 9400]"},
		{store.CallFilter{Until: in(9500)}, "[9400 8919 2026 1 0]"},
		{store.CallFilter{Since: in(2), Until: in(9000)}, "[8919 2026]"},
	} {
		var got []string
		for v, err := range j.Calls(t.Context(), c.f) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, v.ID)
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("from %v to %v: %v, want %s", c.f.Since, c.f.Until, got, c.want)
		}
	}
}
