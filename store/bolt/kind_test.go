package bolt

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
)

// A journal from before there was the index by kind gets it when it is opened.
func TestMigrationIndexesKinds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for i, id := range []string{"a", "b", "c"} {
		_, err := j.Deliver(t.Context(), store.Delivery{
			At: at.Add(time.Duration(i) * time.Second), Status: 200, Hash: id, Body: []byte("{}"),
			Call: &julian.Call{CallID: id, AgentID: []string{"x", "y"}[i%2], Result: julian.Result{ResultType: julian.Busy}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		if err := tx.DeleteBucket(kindBucket); err != nil {
			return err
		}
		return tx.Bucket(metaBucket).Put(schemaKey, []byte("1"))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	if j, err = Open(path, Options{}); err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	for _, x := range []struct {
		filter store.CallFilter
		want   []string
	}{
		{store.CallFilter{Agent: "x"}, []string{"c", "a"}},
		{store.CallFilter{Result: julian.Busy}, []string{"c", "b", "a"}},
		{store.CallFilter{Agent: "z"}, nil},
	} {
		var ids []string
		for v, err := range j.Calls(t.Context(), x.filter) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, v.ID)
		}
		if !slices.Equal(ids, x.want) {
			t.Errorf("%+v: %q, want %q", x.filter, ids, x.want)
		}
	}
}
