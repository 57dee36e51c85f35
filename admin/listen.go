package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"
)

// ErrDaemonRunning: another daemon answers on the address.
var ErrDaemonRunning = errors.New("another daemon is running")

// maxSocketPath is how long a unix socket's path may be: Linux has 108 bytes for
// it with the closing NUL, macOS 104.
const maxSocketPath = 103

// splitAddress takes a listen address from the configuration apart:
// "unix:/run/callsync.sock" or "127.0.0.1:9180".
func splitAddress(listen string) (network, address string) {
	if path, ok := strings.CutPrefix(listen, "unix:"); ok {
		return "unix", path
	}
	return "tcp", listen
}

// Listen opens the admin listener. A unix socket gets mode 0600; one that a
// crashed daemon left behind is replaced, one on which a daemon answers is
// [ErrDaemonRunning]. A TCP address needs a token, also on the loopback
// interface, where every user of the machine could connect.
func Listen(listen, token string) (net.Listener, error) {
	network, address := splitAddress(listen)
	if network == "tcp" {
		if token == "" {
			return nil, fmt.Errorf("admin on %s: over TCP the admin API needs a token: set token in [admin], or listen on a unix socket", address)
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			return nil, fmt.Errorf("admin: %w", err)
		}
		return l, nil
	}
	return listenUnix(address)
}

func listenUnix(path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("admin: the socket path %s has %d bytes, at most %d work; choose a shorter one in [admin]", path, len(path), maxSocketPath)
	}
	if err := removeStale(path); err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	l, err := listenPrivately(path)
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	return l, nil
}

func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("%s is there and is no socket; move it away or choose another path in [admin]", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return fmt.Errorf("%w: it answers on %s", ErrDaemonRunning, path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%s is there and cannot be examined: %w", path, err)
	}
	return os.Remove(path)
}

// unauthorized is what somebody is told who brought a wrong token, or none.
func unauthorized(given bool) *Error {
	e := &Error{
		Code: "unauthorized", Message: "the admin API needs its token",
		Hint: `send it as "Authorization: Bearer …"; it is token in [admin]`,
	}
	if given {
		e.Message = "the admin API refuses this token"
		e.Hint = "token in [admin] must be the one that the daemon was started with: compare the two configurations, or restart the daemon if you changed it"
	}
	return e
}

// RequireToken lets only requests with the bearer token through. /healthz and
// /readyz stay open for load balancers; they hold no data. Tokens are compared
// in constant time.
func RequireToken(token string, h http.Handler) http.Handler {
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		got := sha256.Sum256([]byte(given))
		open := r.URL.Path == "/healthz" || r.URL.Path == "/readyz"
		if !open && (!ok || subtle.ConstantTimeCompare(want[:], got[:]) != 1) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_ = json.NewEncoder(w).Encode(unauthorized(ok))
			return
		}
		h.ServeHTTP(w, r)
	})
}
