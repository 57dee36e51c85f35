package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/sync"
)

// ErrNoDaemon: nothing listens on the admin address.
var ErrNoDaemon = errors.New("no daemon is running")

// A Client speaks to the API. It is safe for concurrent use.
type Client struct {
	http  *http.Client
	base  string
	token string
	tell  func(Progress) // nil: nobody wants to know
}

// NewClient returns a client for the daemon that listens on an address as the
// configuration writes it.
func NewClient(listen, token string) *Client {
	network, address := splitAddress(listen)
	c := &Client{http: &http.Client{}, base: "http://" + address, token: token}
	if network == "unix" {
		c.base = "http://callsync"
		c.http.Transport = &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", address)
			},
		}
	}
	return c
}

// InProcess returns a client that calls h without a network.
func InProcess(h http.Handler) *Client {
	return &Client{http: &http.Client{Transport: handlerTransport{h}}, base: "http://callsync"}
}

// Version asks which callsync answers; the error wraps [ErrNoDaemon] when none
// does.
func (c *Client) Version(ctx context.Context) (b Build, err error) {
	return b, c.get(ctx, "/api/v1/version", nil, &b)
}

// Status asks how the daemon is doing.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.get(ctx, "/api/v1/status", nil, &s)
}

// Calls lists calls, newest first.
func (c *Client) Calls(ctx context.Context, sel Selection) (a Calls, err error) {
	return a, c.get(ctx, "/api/v1/calls", sel.query(), &a)
}

// CallsByCause is Calls with the causes of the state that calls are selected by.
func (c *Client) CallsByCause(ctx context.Context, sel Selection) (a Calls, err error) {
	q := sel.query()
	q.Set("causes", "1")
	return a, c.get(ctx, "/api/v1/calls", q, &a)
}

func (sel Selection) query() url.Values {
	q := url.Values{}
	set(q, "result", string(sel.Result))
	set(q, "agent", sel.Agent)
	set(q, "state", string(sel.State))
	set(q, "destination", sel.Destination)
	setTime(q, "since", sel.Since)
	setTime(q, "until", sel.Until)
	setInt(q, "limit", sel.Limit)
	q["id"] = sel.IDs
	return q
}

// Call explains one call; bodies asks for its revisions' bodies as well.
func (c *Client) Call(ctx context.Context, id string, bodies bool) (d CallDetail, err error) {
	q := url.Values{}
	if bodies {
		q.Set("bodies", "1")
	}
	return d, c.get(ctx, "/api/v1/calls/"+url.PathEscape(id), q, &d)
}

// Explain says how mappings read a call: one destination's, or all.
func (c *Client) Explain(ctx context.Context, id, destination string) (e []Explained, err error) {
	q := url.Values{}
	set(q, "destination", destination)
	return e, c.get(ctx, "/api/v1/calls/"+url.PathEscape(id)+"/explain", q, &e)
}

// Deliveries lists deliveries, newest first.
func (c *Client) Deliveries(ctx context.Context, f store.DeliveryFilter) (a Deliveries, err error) {
	q := url.Values{}
	set(q, "call", f.CallID)
	set(q, "verdict", string(f.Verdict))
	setTime(q, "since", f.Since)
	setTime(q, "until", f.Until)
	setInt(q, "limit", f.Limit)
	if f.Before > 0 {
		q.Set("before", strconv.FormatUint(f.Before, 10))
	}
	return a, c.get(ctx, "/api/v1/deliveries", q, &a)
}

// MappingVersion asks for a mapping that was in force once.
func (c *Client) MappingVersion(ctx context.Context, version string) (m MappingVersion, err error) {
	return m, c.get(ctx, "/api/v1/mappings/"+url.PathEscape(version), nil, &m)
}

// Plan asks what syncing would do.
func (c *Client) Plan(ctx context.Context, req PlanRequest) (p Plans, err error) {
	return p, c.postLong(ctx, "/api/v1/plan", req, &p)
}

// Resync asks for calls to be synced again.
func (c *Client) Resync(ctx context.Context, req ResyncRequest) (r Resynced, err error) {
	return r, c.postLong(ctx, "/api/v1/resync", req, &r)
}

// Erase removes a person or a call, or says what there is of them.
func (c *Client) Erase(ctx context.Context, req EraseRequest) (e Erasing, err error) {
	return e, c.postLong(ctx, "/api/v1/erase", req, &e)
}

// Pause stops a destination until it is unpaused.
func (c *Client) Pause(ctx context.Context, destination, reason string) (h sync.Health, err error) {
	return h, c.post(ctx, destinationPath(destination, "pause"), PauseRequest{reason}, &h)
}

// Unpause lets a destination go on.
func (c *Client) Unpause(ctx context.Context, destination string) (h sync.Health, err error) {
	return h, c.post(ctx, destinationPath(destination, "unpause"), struct{}{}, &h)
}

// SetupPlan asks what an account lacks.
func (c *Client) SetupPlan(ctx context.Context, destination string) (s SetupSteps, err error) {
	return s, c.get(ctx, destinationPath(destination, "setup"), nil, &s)
}

// Setup creates what an account lacks.
func (c *Client) Setup(ctx context.Context, destination string) (s SetupSteps, err error) {
	return s, c.post(ctx, destinationPath(destination, "setup"), struct{}{}, &s)
}

// Check compares an account with what callsync and its mapping need.
func (c *Client) Check(ctx context.Context, destination string, req CheckRequest) (f Findings, err error) {
	return f, c.post(ctx, destinationPath(destination, "check"), req, &f)
}

// Reload lets the daemon read its configuration again.
func (c *Client) Reload(ctx context.Context) (r Reloaded, err error) {
	return r, c.post(ctx, "/api/v1/reload", struct{}{}, &r)
}

// Backup writes a consistent copy of the journal.
func (c *Client) Backup(ctx context.Context, w io.Writer) (int64, error) {
	_, n, err := c.copy(ctx, "/api/v1/backup", w)
	return n, err
}

// Import takes JSON lines in, each a [Line] or a payload.
func (c *Client) Import(ctx context.Context, r io.Reader) (i Imported, err error) {
	return i, c.answer(ctx, http.MethodPost, "/api/v1/import", r, &i)
}

// copy writes an answer to w, and returns what followed it.
func (c *Client) copy(ctx context.Context, path string, w io.Writer) (trailer http.Header, n int64, err error) {
	resp, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	if n, err = io.Copy(w, resp.Body); err != nil {
		return nil, n, fmt.Errorf("the copy broke off after %d bytes: %w", n, err)
	}
	return resp.Trailer, n, nil
}

func destinationPath(name, action string) string {
	return "/api/v1/destinations/" + url.PathEscape(name) + "/" + action
}

func (c *Client) get(ctx context.Context, path string, q url.Values, into any) error {
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	return c.answer(ctx, http.MethodGet, path, nil, into)
}

func (c *Client) post(ctx context.Context, path string, body, into any) error {
	resp, err := c.send(ctx, path, body)
	if err != nil {
		return err
	}
	return read(resp, into)
}

// send posts a request whose answer the caller reads.
func (c *Client) send(ctx context.Context, path string, body any) (*http.Response, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return c.do(ctx, http.MethodPost, path, bytes.NewReader(data))
}

func (c *Client) answer(ctx context.Context, method, path string, body io.Reader, into any) error {
	resp, err := c.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	return read(resp, into)
}

// read decodes an answer and closes it.
func read(resp *http.Response, into any) error {
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("the daemon's answer cannot be read: %w", err)
	}
	return nil
}

// do sends a request; an answer that is not 2xx becomes an [*Error].
func (c *Client) do(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.tell != nil {
		req.Header.Set("Accept", progressType)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("%w: %v", ErrNoDaemon, errors.Unwrap(err))
		}
		return nil, fmt.Errorf("ask the daemon: %w", err)
	}
	if resp.StatusCode >= 300 {
		defer resp.Body.Close()
		e := &Error{Status: resp.StatusCode}
		if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(e); err != nil || e.Message == "" {
			e.Message = "the daemon answered " + resp.Status
		}
		return nil, e
	}
	return resp, nil
}

func set(q url.Values, name, value string) {
	if value != "" {
		q.Set(name, value)
	}
}

func setTime(q url.Values, name string, t time.Time) {
	if !t.IsZero() {
		q.Set(name, t.Format(time.RFC3339Nano))
	}
}

func setInt(q url.Values, name string, n int) {
	if n > 0 {
		q.Set(name, strconv.Itoa(n))
	}
}
