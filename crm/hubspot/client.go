package hubspot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"

	"github.com/callsync/callsync/crm"
)

// maxAnswer bounds how much of an answer is read, in bytes. A page of 200 full
// records stays far below it.
const maxAnswer = 64 << 20

// A request is one request to HubSpot.
type request struct {
	op     string // what it does, as Status counts it: "calls batch create"
	method string
	path   string
	query  url.Values
	body   any
	search bool // counts against the search budget as well
	// asks sends it although the day's quota is said to be spent, or HubSpot asked
	// for a long pause: its answer tells whether that still holds.
	asks bool
	// identifies marks the one request that may go to any portal: which one is it?
	identifies bool
}

// do sends r once, paced, and decodes a 2xx answer into out, which may be nil.
// The error is a *[crm.Error]; when HubSpot refused, the refusal as it was sent
// is returned beside it. It may hold personal data and stays in this package.
//
// The only request that is sent again is one HubSpot answered with 401 under
// OAuth: it was not looked at, and a new token may mend it.
func (p *Portal) do(ctx context.Context, r request, out any) (refusal, error) {
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return refusal{}, &crm.Error{Kind: crm.Permanent, Op: r.op, Message: "the request could not be encoded", Err: err}
		}
	}
	for renewed := false; ; renewed = true {
		token, err := p.admitted(ctx, r)
		if err != nil {
			return refusal{}, err
		}
		a, err := p.exchange(ctx, r, body, token.SetAuthHeader)
		if err != nil {
			return refusal{}, err
		}
		if a.status == http.StatusUnauthorized && !renewed && p.auth.renewable() {
			p.auth.expire(ctx, token)
			continue
		}
		return p.read(r, body, a, out)
	}
}

// admitted returns the token for r, of a login to a portal that may be used. Somebody
// may log in while that is found out.
func (p *Portal) admitted(ctx context.Context, r request) (*oauth2.Token, error) {
	for {
		login := p.account.login()
		token, err := p.auth.token(ctx)
		if err != nil {
			return nil, err
		}
		if !r.identifies {
			if err := p.admit(ctx, r.asks); err != nil {
				return nil, err
			}
		}
		if p.account.login() == login {
			return token, nil
		}
	}
}

// An answer is HubSpot's answer, read completely.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (p *Portal) exchange(ctx context.Context, r request, body []byte, sign func(*http.Request)) (*answer, error) {
	release, err := p.pace.admit(ctx, r)
	if err != nil {
		return nil, err
	}
	defer release()
	ctx, cancel := context.WithTimeout(crm.WithOperation(ctx, r.op), requestTimeout)
	defer cancel()

	u := *p.base
	u.Path += r.path
	u.RawQuery = r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, &crm.Error{Kind: crm.Permanent, Op: r.op, Message: "the request could not be made", Err: err}
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "callsync")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	sign(req)

	begin := p.now()
	resp, err := p.http.Do(req)
	if err != nil {
		return nil, unreachable(r.op, err)
	}
	defer resp.Body.Close()
	p.log.DebugContext(ctx, "request", "operation", r.op, "status", resp.StatusCode, "took", p.now().Sub(begin), "round", crm.RequestID(ctx), "correlationId", resp.Header.Get("X-Hubspot-Correlation-Id"))
	a := &answer{status: resp.StatusCode, header: resp.Header}
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	p.pace.observe(r, a)
	if err != nil {
		return nil, unreachable(r.op, err)
	}
	return a, nil
}

func (p *Portal) read(r request, sent []byte, a *answer, out any) (refusal, error) {
	if a.status < 200 || a.status > 299 {
		f := parseRefusal(a)
		return f, p.classify(r.op, a, f, sent)
	}
	if out == nil || len(bytes.TrimSpace(a.body)) == 0 {
		return refusal{}, nil
	}
	if err := json.Unmarshal(a.body, out); err != nil {
		return refusal{}, &crm.Error{
			Kind: crm.Transient, Op: r.op, Status: a.status,
			Message: "the answer is not the JSON that was expected",
			Hint:    "something between callsync and HubSpot may have replaced the answer",
		}
	}
	return refusal{}, nil
}

// unsent is the error of a request whose caller left before its turn came.
func unsent(op string, err error) *crm.Error {
	return &crm.Error{Kind: crm.Transient, Op: op, Message: "not sent: " + err.Error(), Err: err}
}

// unreachable is the error of a request that got no answer. Whether HubSpot
// carried it out is not known.
func unreachable(op string, err error) *crm.Error {
	e := &crm.Error{Kind: crm.Transient, Op: op, Err: err, Hint: "HubSpot could not be reached, or its answer was lost"}
	var u *url.Error
	if errors.As(err, &u) { // its text holds the address with its query
		e.Err = u.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		e.Message = fmt.Sprintf("no answer within %v", requestTimeout)
	}
	return e
}
