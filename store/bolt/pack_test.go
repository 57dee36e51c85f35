package bolt

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/store/storetest"
)

// eager packs whatever is settled as soon as it is, into small bundles.
type eager struct {
	*Journal
	t testing.TB
}

func openEager(t testing.TB, path string) store.Journal {
	return &eager{openPath(t, path, Options{bundle: 3000}), t}
}

func (e *eager) pack() {
	var from []byte
	for {
		out, err := e.Pack(context.Background(), time.Now().AddDate(1000, 0, 0), from)
		if err != nil && !strings.Contains(err.Error(), "closed") {
			e.t.Error(err)
		}
		if from = out.Next; from == nil {
			return
		}
	}
}

func (e *eager) Apply(ctx context.Context, destination string, u store.Update) error {
	defer e.pack()
	return e.Journal.Apply(ctx, destination, u)
}

func (e *eager) Erase(ctx context.Context, x store.Erasure) (store.Erased, error) {
	defer e.pack()
	return e.Journal.Erase(ctx, x)
}

func (e *eager) Expire(ctx context.Context, x store.Expiry) (store.Expired, error) {
	defer e.pack()
	return e.Journal.Expire(ctx, x)
}

// A journal whose calls are packed is a journal like any other.
func TestPackedJournal(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Journal {
		return openEager(t, filepath.Join(t.TempDir(), "callsync.db"))
	})
}

func TestPackedReopen(t *testing.T) {
	storetest.RunReopen(t, func(t *testing.T) func(t *testing.T) store.Journal {
		path := filepath.Join(t.TempDir(), "callsync.db")
		return func(t *testing.T) store.Journal { return openEager(t, path) }
	})
}

// What a journal says of itself is the same before and after its calls are packed,
// and after some of them are taken out again.
func TestPacking(t *testing.T) {
	path := unpackFixture(t, "schema2.db.zst")
	j := openPath(t, path, Options{bundle: 4000})
	settle(t, j)
	before := describe(t, j)
	if n := packed(t, j); n < 20 {
		t.Errorf("%d calls were packed", n)
	}
	if diff := cmp.Diff(string(before), string(describe(t, j))); diff != "" {
		t.Errorf("packed (-before +after):\n%s", diff)
	}
	if n := packed(t, j); n != 0 {
		t.Errorf("%d calls were packed again", n)
	}
	var ids []string
	for v, err := range j.Calls(t.Context(), store.CallFilter{Status: store.Synced, Destination: "hubspot"}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, v.ID)
	}
	for _, id := range ids[:3] {
		works, err := j.Load(t.Context(), "hubspot", []string{id})
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Apply(t.Context(), "hubspot", store.Update{States: map[string]store.State{id: works[0].State}}); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(before), string(describe(t, j))); diff != "" {
		t.Errorf("some taken out (-before +after):\n%s", diff)
	}
	if n := packed(t, j); n == 0 {
		t.Error("what was taken out is not packed again")
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	auditFile(t, path)
}

// settle has every call done with, so that it can be packed.
func settle(t *testing.T, j *Journal) {
	t.Helper()
	for _, destination := range []string{"hubspot", "salesforce"} {
		for v, err := range j.Calls(t.Context(), store.CallFilter{Destination: destination}) {
			if err != nil {
				t.Fatal(err)
			}
			s, ok := v.States[destination]
			if !ok {
				continue
			}
			s.Status, s.Done, s.Next = store.Synced, s.Wanted, time.Time{}
			if err := j.Apply(t.Context(), destination, store.Update{States: map[string]store.State{v.ID: s}}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// packed packs what can be, and counts the calls.
func packed(t *testing.T, j *Journal) (calls int) {
	t.Helper()
	var from []byte
	for {
		out, err := j.Pack(t.Context(), time.Now(), from)
		if err != nil {
			t.Fatal(err)
		}
		calls += out.Calls
		if from = out.Next; from == nil {
			return calls
		}
	}
}

// What is not settled, or was touched lately, is left alone.
func TestPackingLeavesWhatIsInUse(t *testing.T) {
	j := openTest(t, Options{bundle: 1000})
	if err := j.Enroll(t.Context(), []string{"hubspot"}); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		deliverTest(t, j, fmt.Sprint("call", i))
	}
	if n := packed(t, j); n != 0 {
		t.Errorf("%d calls that are due were packed", n)
	}
	now := time.Now()
	for i := range 4 {
		id := fmt.Sprint("call", i)
		s := store.State{Status: []store.Status{store.Synced, store.Failed, store.Skipped, store.Synced}[i], Wanted: 1, Done: 1, Since: now.Add(-time.Hour)}
		if i == 3 {
			s.Since = now.Add(time.Hour) // touched after what counts as lately
		}
		if err := j.Apply(t.Context(), "hubspot", store.Update{States: map[string]store.State{id: s}}); err != nil {
			t.Fatal(err)
		}
	}
	if n := packed(t, j); n != 2 {
		t.Errorf("%d calls were packed, want those that are synced or skipped for a while", n)
	}
}

// A call that changes while it is being packed keeps its change.
func TestPackingMeetsAChange(t *testing.T) {
	j := openTest(t, Options{bundle: 1000})
	deliverTest(t, j, "call")
	s := store.State{Status: store.Synced, Wanted: 1, Done: 1}
	if err := j.Apply(t.Context(), "hubspot", store.Update{States: map[string]store.State{"call": s}}); err != nil {
		t.Fatal(err)
	}
	var g gathered
	err := j.view(t.Context(), func(r reader) (err error) {
		g, err = r.gather(time.Now(), nil, 1000)
		return err
	})
	if err != nil || len(g.bundle) != 1 {
		t.Fatalf("%d calls, %v", len(g.bundle), err)
	}
	value, err := g.encode()
	if err != nil {
		t.Fatal(err)
	}
	s.Mapping = "v2"
	if err := j.Apply(t.Context(), "hubspot", store.Update{States: map[string]store.State{"call": s}}); err != nil {
		t.Fatal(err)
	}
	err = j.update(t.Context(), func(x *tx) error {
		n, err := x.putGathered(&g, value)
		if n != 0 {
			t.Errorf("%d calls were packed as they were before the change", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	works, err := j.Load(t.Context(), "hubspot", []string{"call"})
	if err != nil || works[0].State.Mapping != "v2" {
		t.Errorf("%v, %v", works, err)
	}
}
