package bolt

import (
	"path/filepath"
	"testing"

	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/store/storetest"
)

func TestJournal(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Journal { return openTest(t, Options{}) })
}

func TestReopen(t *testing.T) {
	storetest.RunReopen(t, func(t *testing.T) func(*testing.T) store.Journal {
		path := filepath.Join(t.TempDir(), "callsync.db")
		return func(t *testing.T) store.Journal { return openPath(t, path, Options{}) }
	})
}

// openTest opens a journal of its own for the test.
func openTest(t testing.TB, o Options) *Journal {
	t.Helper()
	return openPath(t, filepath.Join(t.TempDir(), "callsync.db"), o)
}

func openPath(t testing.TB, path string, o Options) *Journal {
	t.Helper()
	j, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}
