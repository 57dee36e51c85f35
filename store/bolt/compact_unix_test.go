//go:build unix

package bolt

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/callsync/callsync/store"
)

// The file behind a link is replaced, not the link: else what was erased would stay
// in the file that nobody looks at any more.
func TestCompactFollowsLinks(t *testing.T) {
	file, link := filepath.Join(t.TempDir(), "journal.db"), filepath.Join(t.TempDir(), "callsync.db")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file+compactSuffix, []byte("half a journal"), 0o600); err != nil {
		t.Fatal(err)
	}
	j := openPath(t, link, Options{})
	if _, err := os.Stat(file + compactSuffix); !os.IsNotExist(err) {
		t.Errorf("what a compaction left that was broken off: %v", err)
	}
	deliverTest(t, j, "call-of-jane")
	deliverTest(t, j, "call-of-joe")
	if _, err := j.Erase(t.Context(), store.Erasure{Calls: []string{"call-of-jane"}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := j.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(link); err != nil || to != file {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), "call-of-jane") || !strings.Contains(string(data), "call-of-joe") {
		t.Error("the file holds what was erased, or lacks what was not")
	}
	deliverTest(t, j, "afterwards")
}

// Whoever compacts, the journal stays whose it was: root would lock the daemon out.
func TestCompactKeepsOwnerAndMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "callsync.db")
	j := openPath(t, path, Options{})
	deliverTest(t, j, "call")
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(path, 65534, 65533); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := j.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	was, is := before.Sys().(*syscall.Stat_t), after.Sys().(*syscall.Stat_t)
	if after.Mode() != before.Mode() || is.Uid != was.Uid || is.Gid != was.Gid {
		t.Errorf("it was %v of %d:%d, and is %v of %d:%d", before.Mode(), was.Uid, was.Gid, after.Mode(), is.Uid, is.Gid)
	}
}
