package receiver

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Timeouts bound what a slow or idle peer can hold. Zero values mean the
// defaults named.
type Timeouts struct {
	Header time.Duration // for a request's header; 10 s
	Body   time.Duration // for its body; 30 s
	Idle   time.Duration // between requests; 2 min
}

const (
	// maxHeaders and maxHeaderBytes are ample for any proxy's headers; beyond them
	// the answer is 431.
	maxHeaders     = 200
	maxHeaderBytes = 32 << 10
	// readHeaderBytes is how much is read to answer that in words. Beyond it
	// net/http answers in its own and hangs up.
	readHeaderBytes = 256 << 10
)

// tooMuch reports whether a request's header is larger than allowed.
func tooMuch(header http.Header) bool {
	fields, size := 0, 0
	for name, values := range header {
		for _, v := range values {
			fields++
			size += len(name) + len(v) + len(": \r\n")
		}
	}
	return fields > maxHeaders || size > maxHeaderBytes
}

// NewServer returns a server for h that a hostile peer cannot wear down: every
// phase of a request has a deadline. Answers are expected to be short; a handler
// with longer ones needs another WriteTimeout.
func NewServer(h http.Handler, t Timeouts, log *slog.Logger) *http.Server {
	if t.Header <= 0 {
		t.Header = 10 * time.Second
	}
	if t.Body <= 0 {
		t.Body = 30 * time.Second
	}
	if t.Idle <= 0 {
		t.Idle = 2 * time.Minute
	}
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: t.Header,
		ReadTimeout:       t.Header + t.Body,
		WriteTimeout:      t.Header + t.Body + deliverTimeout + 10*time.Second,
		IdleTimeout:       t.Idle,
		MaxHeaderBytes:    readHeaderBytes,
	}
	if log != nil {
		// net/http's own lines name peers and broken requests.
		s.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	}
	return s
}

// Serve serves on l until ctx ends, then takes no new requests and waits up to
// grace for those under way. It speaks TLS by secure, see [Certificate.Config],
// and plain HTTP when that is nil. The error is nil after an orderly end.
func Serve(ctx context.Context, s *http.Server, l net.Listener, secure *tls.Config, grace time.Duration) error {
	serve := func() error { return s.Serve(l) }
	if secure != nil {
		s.TLSConfig = secure
		serve = func() error { return s.ServeTLS(l, "", "") }
	}
	done := make(chan error, 1)
	go func() { done <- serve() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := s.Shutdown(stop)
	if err != nil {
		err = errors.Join(err, s.Close())
	}
	<-done
	return err
}
