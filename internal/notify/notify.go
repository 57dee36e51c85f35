// Package notify tells the service manager how the daemon is doing: the
// sd_notify protocol of systemd, in which a message is one datagram to a Unix
// socket. Other service managers speak it too.
//
// Whoever runs under none loses nothing: there is no socket, and messages go
// nowhere.
package notify

import (
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// A Manager is a service manager that listens; the zero value is none.
type Manager struct {
	socket   string
	watchdog time.Duration
}

// FromEnvironment finds the service manager of this process and takes its
// variables out of the environment, so that child processes do not speak in its
// place (sd_notify(3), sd_watchdog_enabled(3)).
func FromEnvironment() Manager {
	m := Manager{socket: os.Getenv("NOTIFY_SOCKET")}
	// Another process's watchdog is none of ours.
	if pid := os.Getenv("WATCHDOG_PID"); pid == "" || pid == strconv.Itoa(os.Getpid()) {
		if n, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64); err == nil && n > 0 && m.socket != "" {
			m.watchdog = time.Duration(n) * time.Microsecond
		}
	}
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		_ = os.Unsetenv(name)
	}
	return m
}

// Watchdog is after what silence the manager ends this process; 0 means never.
func (m Manager) Watchdog() time.Duration { return m.watchdog }

// Send sends variables such as "READY=1" in one message.
func (m Manager) Send(variables ...string) error {
	if m.socket == "" {
		return nil
	}
	// A name that begins with @ is in Linux's abstract namespace.
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: m.socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Write([]byte(strings.Join(variables, "\n")))
	return err
}
