package salesforce

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/simpleforce/simpleforce"
	"golang.org/x/oauth2"
	"golang.org/x/time/rate"

	"github.com/callsync/callsync/crm"
)

const (
	// maxConcurrent requests are in flight at a time. An org allows 25 that run
	// longer than 20 s, shared by everything that talks to it.
	maxConcurrent = 5
	// requestTimeout bounds one request, from sending to the last byte.
	requestTimeout = 2 * time.Minute
	// maxAnswer bounds an answer's body, in bytes.
	maxAnswer = 64 << 20
)

// A client sends requests to an org. It is safe for concurrent use.
type client struct {
	session *session
	account *account
	base    http.RoundTripper
	version string // "66.0"
	slots   chan struct{}
	pace    *rate.Limiter
	meter   *meter
	log     *slog.Logger
}

// A call is one request to be sent.
type call struct {
	op     string // for errors and counters, such as "Contact query"
	method string
	path   string // under the instance URL, without a leading slash
	body   []byte
}

// data is the path of a REST resource in the API version in use.
func (c *client) data(resource string) string {
	return "services/data/v" + c.version + "/" + resource
}

// get fetches a resource and decodes its JSON into out.
func (c *client) get(ctx context.Context, op, path string, out any) error {
	return c.send(ctx, call{op: op, method: http.MethodGet, path: path}, out)
}

// sendJSON carries out a call whose body is in as JSON.
func (c *client) sendJSON(ctx context.Context, op, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return c.send(ctx, call{op: op, method: method, path: path, body: body}, out)
}

// send carries out a call and decodes the answer's JSON into out, unless out is
// nil. The error is a *crm.Error.
func (c *client) send(ctx context.Context, q call, out any) error {
	var body []byte
	err := c.do(ctx, q.op, func(sf *simpleforce.Client) error {
		var r io.Reader
		if q.body != nil {
			r = bytes.NewReader(q.body)
		}
		var err error
		body, err = sf.ApexREST(q.method, q.path, r)
		return err
	})
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(body, out); err != nil {
		return notJSON(q.op, 0)
	}
	return nil
}

// query runs a SOQL statement and follows its pages. With all set, deleted and
// archived rows are among the answers.
func (c *client) query(ctx context.Context, op, soql string, all bool) ([]simpleforce.SObject, error) {
	if all {
		soql = "/" + c.data("queryAll?q="+url.QueryEscape(soql))
	}
	return c.pages(ctx, op, soql)
}

// pages runs a query, or a path that answers like one.
func (c *client) pages(ctx context.Context, op, next string) ([]simpleforce.SObject, error) {
	var rows []simpleforce.SObject
	for next != "" {
		var page *simpleforce.QueryResult
		err := c.do(ctx, op, func(sf *simpleforce.Client) (err error) {
			page, err = sf.Query(next)
			return err
		})
		if err != nil {
			return nil, err
		}
		rows = append(rows, page.Records...)
		next = page.NextRecordsURL
		if page.Done {
			break
		}
	}
	return rows, nil
}

// do runs one request of the library, and runs it once more with a new token if
// Salesforce refuses the session: a refused request was not carried out.
func (c *client) do(ctx context.Context, op string, run func(*simpleforce.Client) error) error {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return unreachable(op, ctx.Err())
	}
	token, err := c.token(ctx, nil)
	if err != nil {
		return err
	}
	err = c.try(ctx, op, token, run)
	if !sessionRefused(err) {
		return err
	}
	if token, err = c.token(ctx, token); err != nil {
		return err
	}
	err = c.try(ctx, op, token, run)
	if sessionRefused(err) {
		var e *crm.Error
		errors.As(err, &e)
		e.Hint = "Salesforce refuses even a new session: check that the connected app's user may use the API and is not frozen"
	}
	return err
}

// token is a token other than the refused one, which may be nil, whose org may be
// used.
func (c *client) token(ctx context.Context, refused *oauth2.Token) (*oauth2.Token, error) {
	t, err := c.session.token(ctx, refused)
	if err != nil {
		return nil, err
	}
	return t, c.admit(ctx, t)
}

func (c *client) try(ctx context.Context, op string, token *oauth2.Token, run func(*simpleforce.Client) error) error {
	if err := c.pace.Wait(ctx); err != nil {
		return unreachable(op, err)
	}
	if err := c.meter.admit(op); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(crm.WithOperation(ctx, op), requestTimeout)
	defer cancel()
	x := &exchange{ctx: ctx, base: &oauth2.Transport{Source: oauth2.StaticTokenSource(token), Base: c.base}}
	instance := c.session.instance(token)
	sf := simpleforce.NewClient(instance, "callsync", c.version)
	sf.SetHttpClient(&http.Client{Transport: x})
	sf.SetSidLoc(token.AccessToken, instance)
	begin := time.Now()
	err := run(sf)
	c.log.DebugContext(ctx, "request", "operation", op, "status", x.status, "took", time.Since(begin), "round", crm.RequestID(ctx))
	c.meter.observe(x.header)
	switch {
	case x.err != nil:
		return unreachable(op, x.err)
	case x.status < 200 || x.status > 299:
		return refusal(op, x.status, x.header, x.body)
	case err != nil:
		return notJSON(op, x.status)
	}
	return nil
}

// An exchange is the transport of one request. Whatever happens, it answers 200
// and keeps what really happened for the adapter: see the package comment.
type exchange struct {
	ctx  context.Context
	base http.RoundTripper

	status int
	header http.Header
	body   []byte
	err    error
}

func (x *exchange) RoundTrip(req *http.Request) (*http.Response, error) {
	shown := []byte("{}")
	if x.perform(req) && len(x.body) > 0 {
		shown = x.body
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {"application/json"}},
		Body:          io.NopCloser(bytes.NewReader(shown)),
		ContentLength: int64(len(shown)),
		Request:       req,
	}, nil
}

// perform sends the request and reads the whole answer. It reports whether
// there was one.
func (x *exchange) perform(req *http.Request) bool {
	req = req.Clone(x.ctx)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "callsync")
	resp, err := x.base.RoundTrip(req)
	if err != nil {
		x.err = err
		return false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("the answer is larger than %d MiB", maxAnswer>>20)
	}
	x.status, x.header, x.body, x.err = resp.StatusCode, resp.Header, body, err
	return err == nil
}

// apiVersion reads "v66.0" or "66.0".
func apiVersion(s string) (string, error) {
	if s == "" {
		return defaultVersion, nil
	}
	v := strings.TrimPrefix(s, "v")
	major, minor, ok := strings.Cut(v, ".")
	if !ok || major == "" || minor == "" || strings.Trim(major+minor, "0123456789") != "" {
		return "", fmt.Errorf("api %q is not a Salesforce API version; write it like v%s", s, defaultVersion)
	}
	return v, nil
}
