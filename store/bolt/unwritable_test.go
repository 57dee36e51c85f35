package bolt

import (
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"
)

// TestUnwritable has a write fail, and lets the journal find out by itself that
// one as large can be made again. That small ones can be does not count.
func TestUnwritable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const none, small, all = 0, 1, 2
		var room atomic.Int32
		room.Store(all)
		j, err := Open(filepath.Join(t.TempDir(), "journal.db"), Options{
			Logger: slog.New(slog.DiscardHandler),
			commit: func(b *bbolt.Tx) error {
				if r := room.Load(); r == none || r == small && len(settings(b)) > 1 {
					failAsOnDisk(b)
				}
				return b.Commit()
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		woken, cancel := j.Wake("hubspot")
		defer cancel()
		room.Store(none)
		if err := j.Set(t.Context(), "name", strings.Repeat("much ", 10_000)); err == nil {
			t.Fatal("it was written")
		}
		time.Sleep(3 * retryAfter)
		if err := j.Unwritable(); err == nil || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("it says %v, want why", err)
		}
		room.Store(small)
		for range 3 {
			if err := j.Set(t.Context(), "name", "2"); err != nil {
				t.Fatal(err)
			}
			if err := j.Unwritable(); err == nil {
				t.Errorf("a small write could be made, and it says %v", err)
			}
			time.Sleep(2 * retryAfter)
		}
		select {
		case <-woken:
			t.Error("somebody was woken, and there is no room")
		default:
		}
		room.Store(all)
		time.Sleep(2 * retryAfter)
		if err := j.Unwritable(); err != nil {
			t.Errorf("there is room again, and it says %v", err)
		}
		select {
		case <-woken:
		default:
			t.Error("nobody was woken, and there is room again")
		}
		_ = j.view(t.Context(), func(r reader) error {
			if left := settings(r.Tx); len(left) != 1 {
				t.Errorf("%d settings are left, want the one", len(left))
			}
			return nil
		})
	})
}

// TestProbeIsAsLargeAsWhatFailed: a probe that is smaller would tell nothing.
func TestProbeIsAsLargeAsWhatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		var probed atomic.Int64
		j, err := Open(filepath.Join(t.TempDir(), "journal.db"), Options{
			Logger: slog.New(slog.DiscardHandler),
			commit: func(b *bbolt.Tx) error {
				var size int64
				for _, value := range settings(b) {
					size += int64(len(value))
				}
				if !full.Load() {
					probed.Store(max(probed.Load(), size))
					return b.Commit()
				}
				failAsOnDisk(b)
				return b.Commit()
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		const large = 2 << 20
		full.Store(true)
		_ = j.update(t.Context(), func(x *tx) error { return x.Bucket(bodyBucket).Put([]byte("x"), make([]byte, large)) })
		time.Sleep(3 * retryAfter)
		if j.Unwritable() == nil {
			t.Fatal("it was written")
		}
		full.Store(false)
		time.Sleep(2 * retryAfter)
		if err := j.Unwritable(); err != nil || probed.Load() < large/2 || probed.Load() > 2*large {
			t.Errorf("%v after a probe of %d bytes, when a write of %d had failed", err, probed.Load(), large)
		}
	})
}

// failAsOnDisk has a commit fail when its pages have been allotted.
func failAsOnDisk(b *bbolt.Tx) { b.OnCommit(func() { panic(syscall.ENOSPC) }) }

func settings(b *bbolt.Tx) map[string][]byte {
	all := map[string][]byte{}
	_ = b.Bucket(settingBucket).ForEach(func(k, value []byte) error {
		all[string(k)] = value
		return nil
	})
	return all
}
