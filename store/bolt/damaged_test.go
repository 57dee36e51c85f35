package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
)

// damagedAt makes a value unreadable.
func damagedAt(t *testing.T, j *Journal, name []byte, k key) {
	t.Helper()
	err := j.update(t.Context(), func(x *tx) error {
		b := x.Bucket(name)
		torn := bytes.Clone(b.Get(k))
		if len(torn) == 0 {
			t.Errorf("%s has no %x", name, k)
			return nil
		}
		codec := 0
		if string(name) == string(logBundleBucket) {
			codec = 8 // behind its number
		}
		torn[codec] = 77
		return b.Put(k, torn)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A call of which a part cannot be read is loaded with what is wrong, beside those
// that are whole, and can be told that it failed: then it is due no more.
func TestDamagedCall(t *testing.T) {
	for name, part := range map[string]key{
		"body": nil, "call": {rowCall}, "state": stateKey("hubspot"), "record": recordKey("hubspot", "bad#call"),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "callsync.db")
			j, err := Open(path, Options{Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := j.Close(); err != nil {
					t.Error(err)
				}
				if name != "call" {
					auditFile(t, path)
				}
			}()
			if err := j.Enroll(t.Context(), []string{"hubspot"}); err != nil {
				t.Fatal(err)
			}
			deliver(t, j, "bad")
			deliver(t, j, "good")
			record := store.Record{Key: "bad#call", Object: "calls", ID: "1"}
			err = j.Apply(t.Context(), "hubspot", store.Update{Records: map[string][]store.Record{"bad": {record}}})
			if err != nil {
				t.Fatal(err)
			}
			if part == nil {
				damagedAt(t, j, bodyBucket, key{}.uint64(1))
			} else {
				damagedAt(t, j, rowBucket, append(placeOfCall(t, j, "bad"), part...))
			}

			works, err := j.Load(t.Context(), "hubspot", []string{"bad", "good"})
			if err != nil || len(works) != 2 {
				t.Fatalf("loaded %d, %v", len(works), err)
			}
			if w := works[0]; w.Call.ID != "bad" || !errors.Is(w.Damaged, store.ErrDamaged) {
				t.Errorf("the damaged one: %+v", w)
			}
			if w := works[1]; w.Call.ID != "good" || w.Damaged != nil || string(w.Body) != "good" {
				t.Errorf("the other: %+v", w)
			}
			s := works[0].State
			s.Status, s.Done, s.Next, s.Problem = store.Failed, s.Wanted, time.Time{}, &store.Problem{Kind: crm.Permanent}
			if err := j.Apply(t.Context(), "hubspot", store.Update{States: map[string]store.State{"bad": s}}); err != nil {
				t.Fatal(err)
			}
			due, err := j.Due(t.Context(), "hubspot", time.Now(), 10)
			if err != nil || len(due) != 1 || due[0].CallID != "good" {
				t.Errorf("due: %v, %v", due, err)
			}
			stats, err := j.Stats(t.Context())
			if n := stats.Destinations["hubspot"]; err != nil || n[store.Failed] != 1 || n[store.Pending] != 1 {
				t.Errorf("counted %v, %v", n, err)
			}
		})
	}
}

func placeOfCall(t *testing.T, j *Journal, id string) (place key) {
	t.Helper()
	err := j.view(t.Context(), func(r reader) error {
		place = bytes.Clone(r.Bucket(idBucket).Get([]byte(id)))
		return nil
	})
	if err != nil || place == nil {
		t.Fatal("no such call", err)
	}
	return place
}

// A body that cannot be read is replaced when the same comes again, and the call is
// due. One that can is left alone.
func TestDamagedBodyDeliveredAgain(t *testing.T) {
	j := openTest(t, Options{})
	if err := j.Enroll(t.Context(), []string{"hubspot"}); err != nil {
		t.Fatal(err)
	}
	deliver(t, j, "call")
	settle(t, j)
	again := func() int {
		t.Helper()
		r, err := j.Deliver(t.Context(), testDelivery("call", []byte("call")))
		if err != nil || r.Verdict != store.Duplicate || r.Revision != 1 {
			t.Fatalf("%+v, %v", r, err)
		}
		due, err := j.Due(t.Context(), "hubspot", time.Now(), 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(due)
	}
	if n := again(); n != 0 {
		t.Errorf("a duplicate made %d calls due", n)
	}
	damagedAt(t, j, bodyBucket, key{}.uint64(1))
	if n := again(); n != 1 {
		t.Errorf("%d calls are due once the body is there again", n)
	}
	works, err := j.Load(t.Context(), "hubspot", []string{"call"})
	if err != nil || works[0].Damaged != nil || string(works[0].Body) != "call" {
		t.Errorf("%+v, %v", works, err)
	}
}

// What cannot be read is kept, and everything else expires.
func TestRetentionPassesDamage(t *testing.T) {
	j, err := Open(filepath.Join(t.TempDir(), "callsync.db"), Options{bundle: 8000, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if err := j.Enroll(t.Context(), []string{"hubspot"}); err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		deliver(t, j, fmt.Sprintf("call%02d", i))
	}
	for i := range 20 {
		deliver(t, j, fmt.Sprintf("later%02d", i))
	}
	settle(t, j)
	damagedAt(t, j, rowBucket, append(placeOfCall(t, j, "later03"), rowCall))
	damagedAt(t, j, rowBucket, append(placeOfCall(t, j, "later04"), stateKey("hubspot")...))
	row := key{}.time(time.Now()).text(string(store.Accepted)).byte(77)
	if err := j.update(t.Context(), func(x *tx) error { return x.Bucket(deliveryBucket).Put(key{}.uint64(66), row) }); err != nil {
		t.Fatal(err)
	}
	packed(t, j)
	damagedAt(t, j, bundleBucket, key{}.uint64(1))
	damagedAt(t, j, logBundleBucket, key{}.uint64(8)) // the second: of seven rows
	j.shelves = &shelves{}

	expireAll(t, j, store.Expiry{Deliveries: time.Now(), Bodies: time.Now(), Limit: 7})
	stats, err := j.Stats(t.Context())
	if n := stats.Deliveries[store.Accepted]; err != nil || n != 8 {
		t.Errorf("%d deliveries are left, %v; want seven of a bundle, and one of a call whose state is unknown", n, err)
	}
	if c, err := j.Call(t.Context(), "later19"); err != nil || c.HasBody() {
		t.Errorf("a body behind the damage: %v", err)
	}
}

// A list passes over what cannot be read, if asked to, and says what that is; else it
// ends there.
func TestListsPassDamage(t *testing.T) {
	j, err := Open(filepath.Join(t.TempDir(), "callsync.db"), Options{bundle: 8000, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if err := j.Enroll(t.Context(), []string{"hubspot"}); err != nil {
		t.Fatal(err)
	}
	const calls = 300
	for i := range calls {
		deliver(t, j, fmt.Sprintf("call%03d", i))
	}
	settle(t, j)
	packed(t, j)
	damagedAt(t, j, bundleBucket, key{}.uint64(1))
	damagedAt(t, j, logBundleBucket, key{}.uint64(8))
	for i := range 3 {
		deliver(t, j, fmt.Sprintf("late%d", i))
	}
	damagedAt(t, j, rowBucket, append(placeOfCall(t, j, "late1"), rowCall))
	j.shelves = &shelves{}

	list := func(f store.CallFilter) (whole, torn []string) {
		t.Helper()
		f.Damaged = true
		for c, err := range j.Calls(t.Context(), f) {
			switch {
			case err != nil:
				t.Fatal(err)
			case c.Damaged == nil:
				whole = append(whole, c.ID)
			case !errors.Is(c.Damaged, store.ErrDamaged) || c.ReceivedAt.IsZero():
				t.Errorf("%+v", c)
			default:
				torn = append(torn, c.ID)
			}
		}
		return whole, torn
	}
	whole, torn := list(store.CallFilter{})
	if len(torn) < 3 || len(whole)+len(torn) != calls+3 || torn[0] != "late1" || torn[len(torn)-1] != "call000" || slices.Contains(torn, "") {
		t.Errorf("%d calls are listed, and %q cannot be read", len(whole), torn)
	}
	if got, lost := list(store.CallFilter{Status: store.Synced}); len(got) != len(whole)-2 || len(lost) != len(torn)-1 {
		t.Errorf("by status: %d calls, and %q cannot be read", len(got), lost)
	}
	if got, lost := list(store.CallFilter{Result: julian.GoalCompleted}); len(got) != len(whole) || len(lost) != len(torn) {
		t.Errorf("by kind: %d calls, and %q cannot be read", len(got), lost)
	}
	if got, lost := list(store.CallFilter{IDs: []string{"call000", "late0", "late1"}}); len(got) != 1 || fmt.Sprint(lost) != "[late1 call000]" {
		t.Errorf("by id: %q, and %q cannot be read", got, lost)
	}
	if got, lost := list(store.CallFilter{Limit: 2}); len(got) != 2 || len(lost) != 1 {
		t.Errorf("the newest two: %q, and %q cannot be read", got, lost)
	}
	var last error
	for _, last = range j.Calls(t.Context(), store.CallFilter{}) {
	}
	if !errors.Is(last, store.ErrDamaged) {
		t.Errorf("a list that did not ask for damage ended with %v", last)
	}

	n, bad := 0, 0
	for d, err := range j.Deliveries(t.Context(), store.DeliveryFilter{Damaged: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; d.Damaged != nil {
			bad++
		}
	}
	if bad != 1 || n != calls+3-7+1 {
		t.Errorf("%d deliveries are listed, %d of them unreadable", n, bad)
	}
	for _, last = range j.Deliveries(t.Context(), store.DeliveryFilter{}) {
	}
	if !errors.Is(last, store.ErrDamaged) {
		t.Errorf("a list that did not ask for damage ended with %v", last)
	}
}

func expireAll(t *testing.T, j *Journal, x store.Expiry) {
	t.Helper()
	for {
		step, err := j.Expire(t.Context(), x)
		if err != nil {
			t.Fatal(err)
		}
		if x.From = step.Next; x.From == nil {
			return
		}
	}
}

// A delivery that a wrong clock dated far ahead keeps no other from being packed and
// dropped.
func TestDeliveryFromTheFuture(t *testing.T) {
	j := openTest(t, Options{bundle: 8000})
	if err := j.Enroll(t.Context(), []string{"hubspot"}); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		d := testDelivery(fmt.Sprint("call", i), []byte("words"))
		if i%40 == 3 {
			d.At = time.Now().AddDate(10, 0, 0)
		}
		if _, err := j.Deliver(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	settle(t, j)
	packed(t, j)
	loose := 0
	if err := j.view(t.Context(), func(r reader) error { loose = r.Bucket(deliveryBucket).Stats().KeyN; return nil }); err != nil {
		t.Fatal(err)
	}
	if loose > 10 {
		t.Errorf("%d rows of the log lie in no bundle", loose)
	}
	expireAll(t, j, store.Expiry{Deliveries: time.Now(), Limit: 7})
	var left int
	for d, err := range j.Deliveries(t.Context(), store.DeliveryFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if left++; d.At.Before(time.Now()) {
			t.Fatalf("delivery %d is left", d.Seq)
		}
	}
	if left != 3 {
		t.Errorf("%d deliveries are left, want the three from the future", left)
	}
}

// An identity that cannot be read is none, and leaves nothing that leads to whom it
// named once it is written anew. It can be erased by its key.
func TestDamagedIdentity(t *testing.T) {
	j := openTest(t, Options{})
	jane, joe := crm.Ref{Object: "contacts", ID: "1"}, crm.Ref{Object: "contacts", ID: "2"}
	set := func(k string, ref crm.Ref) {
		t.Helper()
		err := j.Apply(t.Context(), "hubspot", store.Update{Identities: map[string]store.Identity{k: {Ref: ref}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range []string{"email:a@example.com", "email:aa@example.com", "phone:+15550100"} {
		set(k, jane)
	}
	damagedAt(t, j, identityBucket, identityKey("hubspot", "email:a@example.com"))
	damagedAt(t, j, identityBucket, identityKey("hubspot", "phone:+15550100"))
	found, err := j.Identities(t.Context(), "hubspot", []string{"email:a@example.com", "email:aa@example.com"})
	if err != nil || len(found) != 1 || found["email:aa@example.com"].Ref != jane {
		t.Errorf("found %v, %v", found, err)
	}
	set("email:a@example.com", joe)
	n := 0
	for i, err := range j.AllIdentities(t.Context()) {
		if n++; err != nil || i.Key == "phone:+15550100" && !i.Ref.IsZero() {
			t.Errorf("%+v, %v", i, err)
		}
	}
	if n != 3 {
		t.Errorf("%d identities are listed, want 3", n)
	}
	out, err := j.Erase(t.Context(), store.Erasure{Identities: map[string][]string{"hubspot": {"phone:+15550100"}}})
	if err != nil || out.Identities != 1 {
		t.Errorf("erased %+v, %v", out, err)
	}
}
