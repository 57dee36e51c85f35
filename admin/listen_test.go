package admin_test

import (
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/callsync/callsync/admin"
)

func TestSocketIsPrivateAndReplacesAStaleOne(t *testing.T) {
	path := filepath.Join(shortDir(t), "callsync.sock")
	l, err := admin.Listen("unix:"+path, "")
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("mode %o", got)
	}
	// A daemon that lives is not pushed aside.
	if _, err := admin.Listen("unix:"+path, ""); !errors.Is(err, admin.ErrDaemonRunning) {
		t.Errorf("a second daemon: %v", err)
	}
	// One that was killed leaves its socket behind.
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	again, err := admin.Listen("unix:"+path, "")
	if err != nil {
		t.Fatalf("a stale socket was not replaced: %v", err)
	}
	w := newWorld(t)
	go http.Serve(again, w.server)
	defer again.Close()
	if b, err := admin.NewClient("unix:"+path, "").Version(t.Context()); err != nil || b.Version != "v1.2.3" {
		t.Error(b, err)
	}
}

func TestListenRefuses(t *testing.T) {
	dir := shortDir(t)
	file := filepath.Join(dir, "precious.txt")
	if err := os.WriteFile(file, []byte("keep me"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct{ listen, want string }{
		"a file that is no socket": {"unix:" + file, "is no socket"},
		"a path that is too long":  {"unix:/" + strings.Repeat("x", 200), "at most"},
		"TCP without a token":      {"127.0.0.1:0", "needs a token"},
	} {
		l, err := admin.Listen(x.listen, "")
		if err == nil {
			l.Close()
			t.Errorf("%s: accepted", name)
		} else if !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "keep me" {
		t.Error("the file was touched:", string(b), err)
	}
	l, err := admin.Listen("127.0.0.1:0", "secret")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

func TestNoDaemon(t *testing.T) {
	missing := "unix:" + filepath.Join(shortDir(t), "none.sock")
	if _, err := admin.NewClient(missing, "").Version(t.Context()); !errors.Is(err, admin.ErrNoDaemon) {
		t.Errorf("no socket: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := admin.NewClient(l.Addr().String(), "x").Version(t.Context()); !errors.Is(err, admin.ErrNoDaemon) {
		t.Errorf("nobody on the port: %v", err)
	}
}

// shortDir is a folder whose path leaves room for a socket's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "admin-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
