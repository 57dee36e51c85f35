// Package example is a connector to Rolodex, a CRM that does not exist: the
// smallest one that keeps every promise of [crm.Destination]. docs/adding-a-crm.md
// goes through it. callsync does not ship it; its test runs calls through it.
//
// What a connector must not do holds here too: retry a write, put a person's data
// into an error, or know a call, a mapping file or the journal.
package example

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/callsync/callsync/crm"
)

// A Rolodex is one account.
type Rolodex struct {
	base, token string
	http        *http.Client
	admit       func(ctx context.Context, account string, unknown error) error // nil admits any

	asking   sync.Mutex // guards admitted
	admitted bool

	mu      sync.Mutex
	counts  map[string]int64
	account string
}

// Open checks the settings and sends no request.
func Open(s crm.Settings) (crm.Destination, error) {
	if s.AccessToken == "" {
		return nil, errors.New("destination " + s.Name + ": access_token is missing; Rolodex shows it under Account, API")
	}
	return &Rolodex{
		base: cmp.Or(s.BaseURL, "https://api.rolodex.example"), token: s.AccessToken,
		http:   &http.Client{Transport: s.Transport, Timeout: 30 * time.Second},
		admit:  s.Admit,
		counts: map[string]int64{},
	}, nil
}

// A card is a record on the wire. Rolodex keeps keys unique itself and answers a
// second one with 409.
type card struct {
	ID         string            `json:"id,omitempty"`
	Key        string            `json:"key,omitempty"`
	Properties map[string]string `json:"properties,omitempty"`
	Links      []string          `json:"links,omitempty"`
	Unlinks    []string          `json:"unlinks,omitempty"`
	Modified   time.Time         `json:"modified,omitzero"`
}

// do sends one request to an account that may be used.
func (r *Rolodex) do(ctx context.Context, op, method, path string, in, out any) error {
	if err := r.recognize(ctx); err != nil {
		return err
	}
	return r.send(ctx, op, method, path, in, out)
}

// recognize finds out once, before anything else is asked, whose account it is, and
// whether it may be used.
func (r *Rolodex) recognize(ctx context.Context) error {
	r.asking.Lock()
	defer r.asking.Unlock()
	if r.admitted {
		return nil
	}
	var is struct{ ID string }
	unknown := r.send(ctx, "account read", http.MethodGet, "/account", nil, &is)
	r.mu.Lock()
	r.account = is.ID
	r.mu.Unlock()
	if r.admit != nil {
		if err := r.admit(ctx, is.ID, unknown); err != nil {
			return err
		}
	}
	r.admitted = unknown == nil
	return nil
}

// send sends one request, and turns a refusal into an error of the right kind: the
// kind is all the sync loop acts on.
func (r *Rolodex) send(ctx context.Context, op, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return &crm.Error{Kind: crm.Permanent, Op: op, Err: err}
	}
	req, err := http.NewRequestWithContext(ctx, method, r.base+path, bytes.NewReader(body))
	if err != nil {
		return &crm.Error{Kind: crm.Permanent, Op: op, Message: "the address is not usable", Hint: "correct base_url"}
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	r.count(op)
	resp, err := r.http.Do(req)
	if err != nil { // the answer may be lost, and the write done: the loop finds out
		return &crm.Error{Kind: crm.Transient, Op: op, Message: "Rolodex could not be reached, or its answer was lost"}
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return refusal(op, resp)
	}
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 16<<20)).Decode(out); err != nil {
		return &crm.Error{Kind: crm.Transient, Op: op, Status: resp.StatusCode, Message: "the answer was cut off"}
	}
	return nil
}

func refusal(op string, resp *http.Response) *crm.Error {
	var said struct{ Code, Property, Existing string }
	_ = json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&said) // a proxy answers with HTML
	e := &crm.Error{Op: op, Status: resp.StatusCode, Code: said.Code, Property: said.Property, Message: http.StatusText(resp.StatusCode)}
	switch s := resp.StatusCode; {
	case s == http.StatusUnauthorized, s == http.StatusForbidden:
		e.Kind, e.Hint = crm.Credential, "copy the token again from Rolodex, Account, API"
	case s == http.StatusNotFound, s == http.StatusGone:
		e.Kind = crm.Gone
	case s == http.StatusConflict:
		e.Kind, e.Existing.ID = crm.Exists, said.Existing
	case s == http.StatusTooManyRequests, s >= 500:
		e.Kind = crm.Transient
	default:
		e.Kind, e.Hint = crm.Permanent, "correct the property in the mapping"
	}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	return e
}

func (r *Rolodex) count(op string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[op]++
}

// BatchSize is small, since Rolodex has no batch requests.
func (r *Rolodex) BatchSize() int { return 20 }

// Ready finds out whether the token works. Rolodex's key field needs no set-up.
func (r *Rolodex) Ready(ctx context.Context) error {
	return r.do(ctx, "account read", http.MethodGet, "/account", nil, nil)
}

// FindPeople searches rule by rule.
func (r *Rolodex) FindPeople(ctx context.Context, queries []crm.PersonQuery) ([][]crm.Candidate, error) {
	answers := make([][]crm.Candidate, len(queries))
	for i, q := range queries {
		for _, m := range q.Match {
			found, err := r.search(ctx, "people", m.Property, m.Value)
			if err != nil {
				return nil, err
			}
			for _, c := range found {
				answers[i] = append(answers[i], crm.Candidate{
					Ref: crm.Ref{Object: "people", ID: c.ID}, Rule: m.Rule, Exact: true, Modified: c.Modified,
				})
			}
			if len(found) > 0 && m.Kind == crm.MatchID {
				break
			}
		}
	}
	return answers, nil
}

// search finds records by a property, by "key", or by id where it is "". Rolodex
// has no index that lags.
func (r *Rolodex) search(ctx context.Context, object, property, value string) (found []card, err error) {
	q := url.Values{cmp.Or(property, "id"): {value}}
	err = r.do(ctx, object+" search", http.MethodGet, "/"+object+"?"+q.Encode(), nil, &found)
	return found, err
}

// Locate finds records by callsync's key: after a crash, before a creation is
// tried again.
func (r *Rolodex) Locate(ctx context.Context, keys []crm.KeyRef) ([]crm.Location, error) {
	answers := make([]crm.Location, len(keys))
	for i, k := range keys {
		found, err := r.search(ctx, k.Object, "key", k.Key)
		if err != nil {
			return nil, err
		}
		for _, c := range found {
			if !slices.Contains(k.Not, c.ID) {
				answers[i] = crm.Location{State: crm.Found, ID: c.ID}
			}
		}
	}
	return answers, nil
}

// Read returns what stands in the CRM now, for the write modes that protect
// people's edits.
func (r *Rolodex) Read(ctx context.Context, refs []crm.Ref, _ []string) ([]crm.Snapshot, error) {
	answers := make([]crm.Snapshot, len(refs))
	for i, ref := range refs {
		var c card
		err := r.do(ctx, ref.Object+" read", http.MethodGet, path(ref), nil, &c)
		switch {
		case crm.KindOf(err) == crm.Gone:
			answers[i].Gone = true
		case err != nil:
			return nil, err
		default:
			answers[i] = crm.Snapshot{Ref: crm.Ref{Object: ref.Object, ID: c.ID}, Properties: c.Properties, Modified: c.Modified}
		}
	}
	return answers, nil
}

// Resolve turns a colleague's address into their id. Whom Rolodex does not know
// is left out.
func (r *Rolodex) Resolve(ctx context.Context, lookups []crm.Value) (map[crm.Value]string, error) {
	answers := map[crm.Value]string{}
	for _, v := range lookups {
		if v.Of != "owner" {
			continue
		}
		found, err := r.search(ctx, "users", "email", v.Text)
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			answers[v] = found[0].ID
		}
	}
	return answers, nil
}

// Related finds nothing: Rolodex has neither deals nor companies.
func (r *Rolodex) Related(_ context.Context, queries []crm.RelatedQuery) ([][]crm.Ref, error) {
	return make([][]crm.Ref, len(queries)), nil
}

// Write sends changes one by one and answers each on its own.
func (r *Rolodex) Write(ctx context.Context, changes []crm.Change) []crm.Result {
	results := make([]crm.Result, len(changes))
	for i, c := range changes {
		results[i].ID, results[i].Err = r.write(ctx, c)
	}
	return results
}

func (r *Rolodex) write(ctx context.Context, c crm.Change) (id string, err error) {
	ref := crm.Ref{Object: c.Object, ID: c.ID}
	body := card{Key: c.Key, Properties: map[string]string{}}
	for name, v := range c.Properties {
		body.Properties[name] = wire(v)
	}
	for _, to := range c.Link {
		body.Links = append(body.Links, to.ID)
	}
	for _, to := range c.Unlink {
		body.Unlinks = append(body.Unlinks, to.ID)
	}
	switch c.Op {
	case crm.Create:
		var made card
		err := r.do(ctx, c.Object+" create", http.MethodPost, "/"+c.Object, body, &made)
		var e *crm.Error
		if errors.As(err, &e) && e.Kind == crm.Exists {
			e.Existing.Object = c.Object
		}
		return made.ID, err
	case crm.Archive:
		return c.ID, r.do(ctx, c.Object+" archive", http.MethodDelete, path(ref), nil, nil)
	default:
		return c.ID, r.do(ctx, c.Object+" update", http.MethodPatch, path(ref), body, nil)
	}
}

// Status needs no request.
func (r *Rolodex) Status() crm.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := crm.Status{Requests: map[string]int64{}, Account: r.account}
	for op, n := range r.counts {
		s.Requests[op] = n
	}
	return s
}

func path(ref crm.Ref) string { return "/" + ref.Object + "/" + url.PathEscape(ref.ID) }

// wire is a value as Rolodex writes it: times are whole seconds.
func wire(v crm.Value) string {
	if t, ok := v.Time(); ok {
		return t.UTC().Format(time.RFC3339)
	}
	return v.Text
}

var _ crm.Destination = (*Rolodex)(nil)
