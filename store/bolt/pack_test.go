package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/store/storetest"
)

// eager packs whatever is settled as soon as it is, into small bundles.
type eager struct {
	*Journal
	t          testing.TB
	deliveries atomic.Int64
}

func openEager(t testing.TB, path string) store.Journal {
	return &eager{Journal: openPath(t, path, Options{bundle: 3000}), t: t}
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

// Deliver packs, but for a test that makes thousands of calls not every time.
func (e *eager) Deliver(ctx context.Context, d store.Delivery) (store.Receipt, error) {
	if n := e.deliveries.Add(1); n < 100 || n%100 == 0 {
		defer e.pack()
	}
	return e.Journal.Deliver(ctx, d)
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

// A call that lies in a bundle may be delivered, listed, corrected, erased and
// forgotten in part, like any other.
func TestPackedCalls(t *testing.T) {
	path := filepath.Join(t.TempDir(), "callsync.db")
	j := openPath(t, path, Options{bundle: 4000})
	if err := j.Enroll(t.Context(), []string{"hubspot", "salesforce"}); err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		deliverTest(t, j, fmt.Sprintf("call%02d", i))
	}
	settle(t, j)
	if n := packed(t, j); n < 25 {
		t.Fatalf("%d calls were packed", n)
	}
	deliver := func(id, body string, want store.Verdict) {
		t.Helper()
		r, err := j.Deliver(t.Context(), testDelivery(id, []byte(body)))
		if err != nil || r.Verdict != want {
			t.Errorf("%s: %v, %v, want %s", id, r.Verdict, err, want)
		}
	}
	listed := func(f store.DeliveryFilter) (n int) {
		t.Helper()
		for _, err := range j.Deliveries(t.Context(), f) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	in := func(id string) (bundled bool) {
		t.Helper()
		err := j.view(t.Context(), func(r reader) error {
			d, err := r.known(id)
			bundled = d.bundled != nil
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return bundled
	}
	first := `{"callId":"call03"}`
	deliver("call03", first, store.Duplicate)
	deliver("call03", first, store.Duplicate)
	if !in("call03") || listed(store.DeliveryFilter{CallID: "call03"}) != 3 {
		t.Errorf("a repetition took the call out, or is not listed: %d deliveries", listed(store.DeliveryFilter{CallID: "call03"}))
	}
	deliver("call03", `{"callId":"call03","summary":"corrected"}`, store.Revised)
	deliver("call03", first, store.Stale)
	if in("call03") || listed(store.DeliveryFilter{CallID: "call03"}) != 5 {
		t.Errorf("after a correction: %d deliveries", listed(store.DeliveryFilter{CallID: "call03"}))
	}
	if r, err := j.Revisions(t.Context(), "call03"); err != nil || len(r) != 2 || string(r[0].Body) != first {
		t.Errorf("revisions: %v, %v", r, err)
	}
	deliver("call04", `{"callId":"call04"}`, store.Duplicate)
	settle(t, j)
	packed(t, j)
	if !in("call03") || listed(store.DeliveryFilter{CallID: "call03"}) != 5 || listed(store.DeliveryFilter{CallID: "call04"}) != 2 {
		t.Error("packed again, deliveries are missing")
	}
	if n := listed(store.DeliveryFilter{Verdict: store.Duplicate}); n != 3 {
		t.Errorf("%d repetitions are listed", n)
	}
	if n := listed(store.DeliveryFilter{Verdict: store.Accepted, Limit: 25}); n != 25 {
		t.Errorf("%d accepted deliveries are listed", n)
	}

	out, err := j.Erase(t.Context(), store.Erasure{Calls: []string{"call03", "call04"}})
	if want := (store.Erased{Calls: 2, Bodies: 3, Deliveries: 7, States: 4}); err != nil || out != want {
		t.Errorf("erased %+v, %v, want %+v", out, err, want)
	}
	if n := listed(store.DeliveryFilter{}); n != 28 {
		t.Errorf("%d deliveries are left", n)
	}
	expired := store.Expired{Next: []byte{}}
	for from := []byte(nil); expired.Next != nil; from = expired.Next {
		step, err := j.Expire(t.Context(), store.Expiry{Deliveries: time.Now(), Bodies: time.Now(), Limit: 3, From: from})
		if err != nil {
			t.Fatal(err)
		}
		expired = store.Expired{Bodies: expired.Bodies + step.Bodies, Deliveries: expired.Deliveries + step.Deliveries, Next: step.Next}
	}
	if expired.Bodies != 28 || expired.Deliveries != 28 {
		t.Errorf("expired: %+v", expired)
	}
	if n := listed(store.DeliveryFilter{CallID: "call05"}); n != 0 {
		t.Errorf("%d deliveries of a call are listed that the log has no more", n)
	}
	packed(t, j)
	if c, err := j.Call(t.Context(), "call05"); err != nil || c.HasBody() || !in("call05") {
		t.Errorf("a call without its body: %+v, %v", c, err)
	}
	if _, _, err := j.Compact(t.Context()); err != nil {
		t.Fatal(err)
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

// A call that would make a bundle many times too large stays by itself.
func TestPackingLeavesWhatIsLarge(t *testing.T) {
	j := openTest(t, Options{bundle: 1000})
	if err := j.Enroll(t.Context(), []string{"hubspot"}); err != nil {
		t.Fatal(err)
	}
	for i, size := range []int{900, 9000, 900} {
		if _, err := j.Deliver(t.Context(), testDelivery(fmt.Sprint("call", i), bytes.Repeat([]byte("x"), size))); err != nil {
			t.Fatal(err)
		}
	}
	settle(t, j)
	if n := packed(t, j); n != 2 {
		t.Errorf("%d calls were packed, want 2", n)
	}
}

// A call that was corrected very often, with large bodies, is given up as soon as it
// is seen to be too large: all its revisions would fill the memory.
func TestPackingLeavesManyRevisions(t *testing.T) {
	j := openTest(t, Options{bundle: 1000})
	if err := j.Enroll(t.Context(), []string{"hubspot"}); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		body := fmt.Appendf(bytes.Repeat([]byte("words "), 200_000), "%d", i)
		if _, err := j.Deliver(t.Context(), testDelivery("call", body)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := j.Deliver(t.Context(), testDelivery("call", []byte("short"))); err != nil {
		t.Fatal(err)
	}
	settle(t, j)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if n := packed(t, j); n != 0 {
		t.Errorf("%d calls were packed", n)
	}
	runtime.ReadMemStats(&after)
	if n := (after.TotalAlloc - before.TotalAlloc) >> 20; n > 20 {
		t.Errorf("%d MiB were allocated to find out that 48 are too many", n)
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
	value, err := g.bundle.encode()
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

// What cannot be read is left where it is, and keeps nothing else from being packed
// or compacted.
func TestPackingLeavesWhatIsDamaged(t *testing.T) {
	j, err := Open(filepath.Join(t.TempDir(), "callsync.db"), Options{bundle: 4000, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if err := j.Enroll(t.Context(), []string{"hubspot"}); err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		deliverTest(t, j, fmt.Sprintf("call%02d", i))
	}
	settle(t, j)
	torn := []byte{zippedWith, 1, 2, 3}
	at := key{}.uint64(4) // of call03
	err = j.update(t.Context(), func(x *tx) error {
		log := x.Bucket(deliveryBucket)
		head := key{}.time(time.Now()).text(string(store.Accepted))
		return errors.Join(x.Bucket(bodyBucket).Put(at, torn), log.Put(at, append(head, torn...)))
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := j.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		id := fmt.Sprintf("call%02d", i)
		works, err := j.Load(t.Context(), "hubspot", []string{id})
		if err != nil || len(works) != 1 || errors.Is(works[0].Damaged, store.ErrDamaged) != (id == "call03") {
			t.Errorf("%s: %+v, %v", id, works, err)
		}
	}
	for _, id := range []string{"call02", "call03", "call04"} {
		for _, err := range j.Deliveries(t.Context(), store.DeliveryFilter{CallID: id}) {
			if damaged := errors.Is(err, store.ErrDamaged); damaged != (id == "call03") {
				t.Errorf("the delivery of %s: %v", id, err)
			}
		}
	}
	if packed := countBundled(t, j); packed < 20 || packed == 30 {
		t.Errorf("%d calls are packed", packed)
	}
}

// A bundle that cannot be read takes nothing with it but its own calls.
func TestDamagedBundle(t *testing.T) {
	for name, value := range map[string][]byte{
		"empty":          {},
		"torn":           {zippedWith, 1, 2, 3},
		"of no calls":    {plain},
		"cut off":        {plain, 1, 2, 3},
		"without end":    append(append([]byte{plain}, make([]byte, placeSize)...), 0xff, 0xff),
		"an empty row":   append(append([]byte{plain}, make([]byte, placeSize)...), 0, 1, 0, 0),
		"large promises": append(append([]byte{plain}, make([]byte, placeSize)...), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f),
	} {
		t.Run(name, func(t *testing.T) {
			j, err := Open(filepath.Join(t.TempDir(), "callsync.db"), Options{bundle: 2000, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			defer j.Close()
			if err := j.Enroll(t.Context(), []string{"hubspot"}); err != nil {
				t.Fatal(err)
			}
			for i := range 30 {
				deliverTest(t, j, fmt.Sprintf("call%02d", i))
			}
			settle(t, j)
			packed(t, j)
			if err := j.update(t.Context(), func(x *tx) error { return x.Bucket(bundleBucket).Put(key{}.uint64(1), value) }); err != nil {
				t.Fatal(err)
			}
			j.shelves = &shelves{}
			if _, err := j.Call(t.Context(), "call00"); !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), "bundle 1") {
				t.Errorf("a call in it: %v", err)
			}
			for _, body := range []string{`{"callId":"call00"}`, "corrected"} {
				if _, err := j.Deliver(t.Context(), testDelivery("call00", []byte(body))); !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("a delivery of it: %v", err)
				}
			}
			if _, err := j.Erase(t.Context(), store.Erasure{Calls: []string{"call00"}}); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("its erasure: %v", err)
			}
			if _, _, err := j.Compact(t.Context()); err != nil {
				t.Errorf("Compact: %v", err)
			}
			deliverTest(t, j, "call29")
			if works, err := j.Load(t.Context(), "hubspot", []string{"call28", "call29"}); err != nil || len(works) != 2 {
				t.Errorf("others: %d, %v", len(works), err)
			}
		})
	}
}

// countBundled counts the calls that lie in bundles.
func countBundled(t *testing.T, j *Journal) (n int) {
	t.Helper()
	err := j.view(t.Context(), func(r reader) error {
		for place := range r.places(nil) {
			if d, err := r.at(place); err != nil {
				return err
			} else if d.bundled != nil {
				n++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
