package notify_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/callsync/callsync/internal/notify"
)

func listen(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Skip("no Unix datagrams here: ", err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestSend(t *testing.T) {
	dir, err := os.MkdirTemp("", "n") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, name := range []string{filepath.Join(dir, "s"), "@callsync-test-" + strconv.Itoa(os.Getpid())} {
		c := listen(t, name)
		t.Setenv("NOTIFY_SOCKET", name)
		m := notify.FromEnvironment()
		if err := m.Send("READY=1", "STATUS=taking deliveries"); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1000)
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := c.Read(b)
		if err != nil || string(b[:n]) != "READY=1\nSTATUS=taking deliveries" {
			t.Errorf("%s got %q, %v", name, b[:n], err)
		}
		if os.Getenv("NOTIFY_SOCKET") != "" {
			t.Error("a child process would speak in callsync's place")
		}
	}
}

func TestWithoutManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "60000000")
	m := notify.FromEnvironment()
	if err := m.Send("READY=1"); err != nil {
		t.Error(err)
	}
	if m.Watchdog() != 0 {
		t.Error("there is nobody to feed")
	}
}

func TestWatchdog(t *testing.T) {
	for _, c := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"60000000", "", time.Minute},
		{"60000000", strconv.Itoa(os.Getpid()), time.Minute},
		{"60000000", "1", 0},
		{"", "", 0},
		{"soon", "", 0},
		{"-5", "", 0},
	} {
		t.Setenv("NOTIFY_SOCKET", "/run/systemd/notify")
		t.Setenv("WATCHDOG_USEC", c.usec)
		t.Setenv("WATCHDOG_PID", c.pid)
		if got := notify.FromEnvironment().Watchdog(); got != c.want {
			t.Errorf("%q for %q: %v", c.usec, c.pid, got)
		}
	}
}
