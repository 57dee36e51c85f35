package bolt

import (
	"errors"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"
)

// TestUnwritable has a write fail, and lets the journal find out by itself that
// it can be written again.
func TestUnwritable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		j, err := Open(filepath.Join(t.TempDir(), "journal.db"), Options{
			Logger: slog.New(slog.DiscardHandler),
			commit: func(b *bbolt.Tx) error {
				if full.Load() {
					return errors.Join(syscall.ENOSPC, b.Rollback())
				}
				return b.Commit()
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		full.Store(true)
		_ = j.update(t.Context(), func(*tx) error { return nil })
		time.Sleep(3 * retryAfter)
		if err := j.Unwritable(); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("it says %v, want why", err)
		}
		full.Store(false)
		time.Sleep(2 * retryAfter)
		if err := j.Unwritable(); err != nil {
			t.Errorf("there is room again, and it says %v", err)
		}
	})
}
