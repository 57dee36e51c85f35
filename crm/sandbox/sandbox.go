// Package sandbox holds what the emulated CRMs share: a clock that can be
// moved, faults that can be scripted, a log of requests, and the control API
// under /_sandbox/ through which people, tests and oracles reach all three.
//
// The emulations themselves live in hubspotsim and salesforcesim. They are
// independent witnesses: nothing in here or below may import a connector, and
// where a CRM's behaviour is in doubt the sandbox takes the stricter reading.
// A sandbox keeps everything in memory and has no defence against whoever can
// reach its port; it belongs on a loopback address.
package sandbox

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// maxBody is the most of a request's body that is read, in bytes. No request
// either CRM accepts comes near it.
const maxBody = 64 << 20

// ControlPrefix is where the control API answers. Requests below it are
// neither logged nor subject to faults.
const ControlPrefix = "/_sandbox/"

// Simulator is the CRM behind a Core, as the control API sees it.
type Simulator interface {
	// Settings returns the present settings, to be shown as JSON.
	Settings() any
	// ChangeSettings applies a JSON object that holds only the settings to
	// change. It applies all of them or, with an error, none.
	ChangeSettings(patch []byte) error
	// Dump returns every record held, to be shown as JSON.
	Dump() any
}

// Options configure a Core.
type Options struct {
	// Name of the CRM, for the index page.
	Name string
	// Account is the account's id, for the index page.
	Account string
	// Now is the clock. Nil means time.Now.
	Now func() time.Time
	// Operation names what a request does, such as "contacts batch create".
	// Faults match on it and requests are counted by it. It may not read the
	// request's body. Nil means method and path.
	Operation func(*http.Request) string
	// ErrorBody renders the body of an injected error the way the CRM would,
	// for faults that bring none. kind is the fault's Kind, possibly empty.
	// Nil means an empty body.
	ErrorBody func(status int, kind string) (contentType string, body []byte)
	// KeepRequests is how many of the newest requests are kept with their
	// bodies. 0 means 1000.
	KeepRequests int
}

// Core is the part of a sandbox that is the same for every CRM. Its methods
// may be called concurrently.
type Core struct {
	opts Options
	log  requestLog

	mu     sync.Mutex
	offset time.Duration
	faults []*activeFault
	lastID int
}

// NewCore returns a Core without faults and with an empty log.
func NewCore(opts Options) *Core {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Operation == nil {
		opts.Operation = func(r *http.Request) string { return r.Method + " " + r.URL.Path }
	}
	if opts.ErrorBody == nil {
		opts.ErrorBody = func(int, string) (string, []byte) { return "text/plain; charset=utf-8", nil }
	}
	if opts.KeepRequests == 0 {
		opts.KeepRequests = 1000
	}
	return &Core{opts: opts, log: requestLog{keep: opts.KeepRequests}}
}

// Account is the id of the account that is played.
func (c *Core) Account() string { return c.opts.Account }

// Now is the sandbox's time: the injected clock plus all that Advance added.
func (c *Core) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opts.Now().Add(c.offset)
}

// Advance moves the sandbox's clock forward, so that a search lag or a quota
// window passes without anybody waiting.
func (c *Core) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

// Wrap puts the request log and the faults in front of a CRM's handler. The
// handler always sees a body that has been read completely, so a client that
// goes away cancels the request's context.
func (c *Core) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, ControlPrefix) {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, "the request's body could not be read", http.StatusRequestEntityTooLarge)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		req := Request{
			Time:      c.Now(),
			Operation: c.opts.Operation(r),
			Method:    r.Method,
			Path:      r.URL.Path,
			Query:     r.URL.RawQuery,
			Body:      clip(body),
		}
		c.serve(w, r, next, &req)
	})
}

// serve answers one request, with the fault that applies to it if any. The
// request is in the log before the client can see the answer.
func (c *Core) serve(w http.ResponseWriter, r *http.Request, next http.Handler, req *Request) {
	f := c.pick(req)
	if f == nil {
		rec := c.run(next, r)
		req.Status, req.Handled = rec.status, rec.status
		c.log.add(*req)
		rec.replay(w)
		return
	}
	req.Fault = f.ID
	if !pause(r.Context(), time.Duration(f.Delay)) {
		c.log.add(*req)
		return
	}
	if f.When == Before {
		if f.passes() {
			rec := c.run(next, r)
			req.Status, req.Handled = rec.status, rec.status
			c.log.add(*req)
			rec.replay(w)
			return
		}
		req.Status = f.Status
		c.log.add(*req)
		c.fail(w, f)
		return
	}
	// The client may be gone by now; the CRM would commit all the same.
	rec := c.run(next, r.WithContext(context.WithoutCancel(r.Context())))
	req.Handled = rec.status
	if f.When == After {
		req.Status = f.Status
		c.log.add(*req)
		c.fail(w, f)
		return
	}
	id := c.log.add(*req)
	select {
	case <-f.released:
		c.log.answered(id, rec.status)
		rec.replay(w)
	case <-r.Context().Done():
	}
}

func (c *Core) run(next http.Handler, r *http.Request) *recorder {
	rec := &recorder{header: http.Header{}, status: http.StatusOK}
	next.ServeHTTP(rec, r)
	return rec
}

// fail gives the client a fault's answer in place of the CRM's.
func (c *Core) fail(w http.ResponseWriter, f *activeFault) {
	if f.Reset {
		reset(w)
		return
	}
	contentType, body := f.ContentType, []byte(f.Body)
	if f.Body == "" {
		contentType, body = c.opts.ErrorBody(f.Status, f.Kind)
	}
	if contentType == "" {
		contentType = http.DetectContentType(body)
	}
	w.Header().Set("Content-Type", contentType)
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	w.WriteHeader(f.Status)
	_, _ = w.Write(body) // a client that left needs no answer
}

// reset drops the connection so that the client sees ECONNRESET.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil { // not a plain HTTP/1 connection
		panic(http.ErrAbortHandler)
	}
	if l, ok := conn.(interface{ SetLinger(int) error }); ok {
		_ = l.SetLinger(0)
	}
	_ = conn.Close()
}

// pause waits for d. It reports false when the client left first.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// recorder holds a handler's answer back until it is known whether the client
// may see it.
type recorder struct {
	header http.Header
	status int
	wrote  bool
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if !r.wrote {
		r.status, r.wrote = status, true
	}
}

func (r *recorder) Write(p []byte) (int, error) {
	r.wrote = true
	return r.body.Write(p)
}

func (r *recorder) replay(w http.ResponseWriter) {
	for k, v := range r.header {
		w.Header()[k] = v
	}
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body.Bytes()) // a client that left needs no answer
}
