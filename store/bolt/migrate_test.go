package bolt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"go.etcd.io/bbolt"

	"github.com/callsync/callsync/store"
)

// testdata/schema2.db.zst is a journal as schema 2 had it: calls accepted,
// corrected, repeated and refused, synced, failed and due at two destinations.
// schema2.json.zst is what callsync said of it then.
func TestMigrationFromSchema2(t *testing.T) {
	path := unpackFixture(t, "schema2.db.zst")
	migratedAs(t, path, "schema2.json.zst")
}

// A migration that is cut off goes on where it was.
func TestMigrationCutOff(t *testing.T) {
	path := unpackFixture(t, "schema2.db.zst")
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	killed := errors.New("killed")
	step, portions := placeCalls(7), 0
	for err = killed; errors.Is(err, killed); {
		_, err = migrate(db, []migration{createBuckets, indexKinds, func(t *bbolt.Tx) (bool, error) {
			if portions++; portions%2 == 0 {
				return false, killed
			}
			return step(t)
		}})
	}
	if err := errors.Join(err, db.Close()); err != nil || portions < 8 {
		t.Fatalf("after %d portions: %v", portions, err)
	}
	migratedAs(t, path, "schema2.json.zst")
}

// A version that does not know the schema to come would take calls that were moved
// for new ones: it must not open a journal that is half-way there.
func TestMigrationHalfwayIsNewer(t *testing.T) {
	path := unpackFixture(t, "schema2.db.zst")
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	killed := errors.New("killed")
	step, portions := placeCalls(7), 0
	_, err = migrate(db, []migration{createBuckets, indexKinds, func(t *bbolt.Tx) (bool, error) {
		if portions++; portions > 1 {
			return false, killed
		}
		return step(t)
	}})
	if !errors.Is(err, killed) {
		t.Fatal(err)
	}
	if _, err := migrate(db, []migration{createBuckets, indexKinds}); !errors.Is(err, store.ErrNewer) {
		t.Errorf("%v, want ErrNewer", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	migratedAs(t, path, "schema2.json.zst")
}

// Schema 1 had no index by kind.
func TestMigrationFromSchema1(t *testing.T) {
	path := unpackFixture(t, "schema2.db.zst")
	editFile(t, path, func(tx *bbolt.Tx) error {
		if err := tx.DeleteBucket(kindBucket); err != nil {
			return err
		}
		return tx.Bucket(metaBucket).Put(schemaKey, []byte("1"))
	})
	migratedAs(t, path, "schema2.json.zst")
}

// migratedAs opens a journal and expects it to say what it said before.
func migratedAs(t *testing.T, path, golden string) {
	t.Helper()
	want := readFixture(t, golden)
	j := openPath(t, path, Options{})
	if diff := cmp.Diff(string(want), string(describe(t, j))); diff != "" {
		t.Errorf("after the migration (-before +after):\n%s", diff)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	auditFile(t, path)
}

// unpackFixture makes a copy of a journal that may be written to.
func unpackFixture(t *testing.T, name string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "callsync.db")
	if err := os.WriteFile(path, readFixture(t, name), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func readFixture(t *testing.T, name string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func editFile(t *testing.T, path string, edit func(*bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Update(edit); err != nil {
		t.Fatal(err)
	}
}

// describe is everything a journal says of itself, but for its size.
func describe(t *testing.T, j store.Journal) []byte {
	t.Helper()
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetIndent("", " ")
	say := func(what string, v any, err error) {
		t.Helper()
		if err == nil {
			err = enc.Encode(map[string]any{what: v})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := context.Background()
	stats, err := j.Stats(ctx)
	stats.Bytes = 0
	say("stats", stats, err)
	for d, err := range j.Deliveries(ctx, store.DeliveryFilter{}) {
		say("delivery", d, err)
	}
	for i, err := range j.AllIdentities(ctx) {
		say("identity", i, err)
	}
	for p, err := range j.AllPeople(ctx) {
		say("person", p, err)
	}
	for _, destination := range []string{"hubspot", "salesforce"} {
		due, err := j.Due(ctx, destination, time.Now(), 1000)
		say("due at "+destination, due, err)
	}
	for v, err := range j.Calls(ctx, store.CallFilter{}) {
		say("call", v, err)
		works, err := j.View(ctx, v.ID)
		say("works", works, err)
		revisions, err := j.Revisions(ctx, v.ID)
		say("revisions", revisions, err)
		for _, r := range revisions {
			say("body", r.Body, nil)
		}
	}
	return out.Bytes()
}
