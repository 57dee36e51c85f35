package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestFeed: the watchdog is fed three times in its time, not while something
// does not answer, and again afterwards.
func TestFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		fed := 0
		var sick error
		var hang chan struct{}
		become := func(illness error, hanging chan struct{}) {
			mu.Lock()
			defer mu.Unlock()
			sick, hang = illness, hanging
		}
		alive := func(context.Context) error {
			mu.Lock()
			wait, err := hang, sick
			mu.Unlock()
			if wait != nil {
				<-wait
			}
			return err
		}
		send := func(variables ...string) error {
			if !slices.Equal(variables, []string{"WATCHDOG=1"}) {
				t.Errorf("sent %q", variables)
			}
			mu.Lock()
			defer mu.Unlock()
			fed++
			return nil
		}
		count := func() int {
			mu.Lock()
			defer mu.Unlock()
			return fed
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			feed(ctx, time.Minute, alive, send, slog.New(slog.DiscardHandler))
		}()
		during := func(d time.Duration) int {
			before := count()
			time.Sleep(d)
			synctest.Wait()
			return count() - before
		}
		if n := during(10*time.Minute + time.Second); n < 30 || n > 31 {
			t.Errorf("fed %d times in ten minutes", n)
		}
		become(errors.New("the journal does not answer"), nil)
		if n := during(10 * time.Minute); n != 0 {
			t.Errorf("fed %d times while sick", n)
		}
		become(nil, nil)
		if n := during(10 * time.Minute); n < 29 {
			t.Errorf("fed %d times after that", n)
		}
		stuck := make(chan struct{})
		become(nil, stuck)
		if n := during(10 * time.Minute); n > 1 {
			t.Errorf("fed %d times while the check hangs", n)
		}
		become(nil, nil)
		close(stuck)
		if n := during(10 * time.Minute); n < 29 {
			t.Errorf("fed %d times after that", n)
		}
		cancel()
		<-done
		feed(t.Context(), 0, alive, send, slog.New(slog.DiscardHandler)) // nobody to feed
	})
}

// A serviceManager is what systemd would be: it starts callsync and hears what
// callsync says of itself.
type serviceManager struct {
	t      *testing.T
	cmd    *exec.Cmd
	socket *net.UnixConn
	log    string
}

func startService(t *testing.T, binary, dir string, watchdog time.Duration, env ...string) *serviceManager {
	t.Helper()
	short, err := os.MkdirTemp("", "n") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(short) })
	name := filepath.Join(short, "s")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Skip("no Unix datagrams here: ", err)
	}
	m := &serviceManager{t: t, socket: socket, log: filepath.Join(dir, "service.log")}
	log, err := os.Create(m.log)
	if err != nil {
		t.Fatal(err)
	}
	m.cmd = exec.Command(binary, "serve")
	m.cmd.Dir, m.cmd.Stdout, m.cmd.Stderr = dir, log, log
	m.cmd.Env = append(os.Environ(), "CALLSYNC_CONFIG=config.toml", "NOTIFY_SOCKET="+name, "WATCHDOG_USEC="+usec(watchdog))
	m.cmd.Env = append(m.cmd.Env, env...)
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = m.cmd.Process.Kill()
		_ = m.cmd.Wait()
		socket.Close()
		log.Close()
	})
	return m
}

func usec(d time.Duration) string { return strconv.FormatInt(d.Microseconds(), 10) }

// hears waits for a message that has a variable.
func (m *serviceManager) hears(variable string) string {
	m.t.Helper()
	_ = m.socket.SetReadDeadline(time.Now().Add(30 * time.Second))
	b := make([]byte, 4096)
	for {
		n, err := m.socket.Read(b)
		if err != nil {
			text, _ := os.ReadFile(m.log)
			m.t.Fatalf("the service manager did not hear %s: %v\n%s", variable, err, text)
		}
		if message := string(b[:n]); slices.Contains(strings.Split(message, "\n"), variable) {
			return message
		}
	}
}

func (m *serviceManager) stop() {
	m.t.Helper()
	if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		m.t.Fatal(err)
	}
	m.hears("STOPPING=1")
	if err := m.cmd.Wait(); err != nil {
		text, _ := os.ReadFile(m.log)
		m.t.Fatalf("%v\n%s", err, text)
	}
}

func TestUnderServiceManager(t *testing.T) {
	account := httptest.NewServer(newAccount())
	t.Cleanup(account.Close)
	dir := t.TempDir()
	if _, err := writeConfig(dir, account.URL, "auto_setup = true"); err != nil {
		t.Fatal(err)
	}
	m := startService(t, "callsync", dir, 300*time.Millisecond)
	ready := m.hears("READY=1")
	_, url, _ := strings.Cut(ready, "taking deliveries at ")
	// Ready means that a delivery is taken now, not soon.
	body, err := os.ReadFile("testdata/demo/guide.json")
	if err != nil {
		t.Fatal(err)
	}
	if status, answer, err := deliver(url, body); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s %v", status, answer, err)
	}
	m.hears("WATCHDOG=1")
	m.hears("WATCHDOG=1")
	if err := m.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	m.hears("RELOADING=1")
	m.hears("READY=1")
	m.stop()
}
