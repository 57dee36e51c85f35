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

func openTest(t testing.TB, o Options) *Journal {
	t.Helper()
	j, err := Open(filepath.Join(t.TempDir(), "callsync.db"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}
