package julian

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/time/rate"
)

// DefaultBaseURL is where 11x's REST API lives.
const DefaultBaseURL = "https://julian.11x.ai/api/v1"

const (
	// maxAnswer bounds what is read of an answer; a sample may hold a
	// transcript.
	maxAnswer = 16 << 20
	// maxAttempts is how often a request is sent while the API answers 429.
	maxAttempts = 5
	// maxWait is the longest Retry-After that is waited for; a longer one is for
	// the caller to hear about.
	maxWait = 30 * time.Second
)

// ErrUnauthorized means that the API refused the key: its UNAUTHORIZED and
// INVALID_API_KEY. Test with errors.Is; errors.As with *[APIError] has the rest.
var ErrUnauthorized = errors.New("11x refuses the API key")

// An APIError is the API's refusal.
type APIError struct {
	Op      string // "call_event_sample"
	Status  int    // HTTP
	Code    string // "INVALID_API_KEY"; "" when the answer was not the API's own
	Message string // the API's words
}

func (e *APIError) Error() string {
	s := fmt.Sprintf("11x %s: %d", e.Op, e.Status)
	if e.Code != "" {
		s += " " + e.Code
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	if e.Is(ErrUnauthorized) {
		s += "; check api_key under [julian]"
	}
	return s
}

// Is makes an APIError with status 401 an [ErrUnauthorized].
func (e *APIError) Is(target error) bool {
	return target == ErrUnauthorized && e.Status == http.StatusUnauthorized
}

// A Client reads 11x's REST API. It keeps to the documented 10 requests a second
// for each key and waits and tries again, with jitter, when the API still
// answers 429. Make one for each key; its methods may be called concurrently.
type Client struct {
	base  string
	key   string
	http  *http.Client
	limit *rate.Limiter
	sleep func(context.Context, time.Duration) error
}

// ClientOptions configure a [Client]. Only Key is needed.
type ClientOptions struct {
	BaseURL string // DefaultBaseURL when empty
	Key     string
	HTTP    *http.Client // when nil, one with a time-out of 30 s
	// Sleep waits between attempts; nil means in real time.
	Sleep func(context.Context, time.Duration) error
}

// NewClient returns a client; it sends nothing.
func NewClient(o ClientOptions) *Client {
	c := &Client{
		base:  strings.TrimRight(o.BaseURL, "/"),
		key:   o.Key,
		limit: rate.NewLimiter(10, 1),
		sleep: o.Sleep,
	}
	if c.base == "" {
		c.base = DefaultBaseURL
	}
	// A redirect would carry the key to wherever it points.
	h := http.Client{Timeout: 30 * time.Second}
	if o.HTTP != nil {
		h = *o.HTTP
	}
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = &h
	if c.sleep == nil {
		c.sleep = sleep
	}
	return c
}

// Sample returns a sample callResults body for an agent.
func (c *Client) Sample(ctx context.Context, agentID string) ([]byte, error) {
	return c.get(ctx, "call_event_sample", "agent", agentID, "call_event_sample")
}

// A ConfiguredOutcome is an outcome that an agent can report.
type ConfiguredOutcome struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
}

// Outcomes returns the outcomes configured for an agent.
func (c *Client) Outcomes(ctx context.Context, agentID string) ([]ConfiguredOutcome, error) {
	const op = "outcomes"
	body, err := c.get(ctx, op, "agents", agentID, "outcomes")
	if err != nil {
		return nil, err
	}
	outcomes, err := readOutcomes(body)
	if err != nil {
		return nil, fmt.Errorf("11x %s: the answer cannot be read: %w", op, err)
	}
	return outcomes, nil
}

// readOutcomes accepts a list, or an object that holds it under "outcomes" or
// "data": the public reference does not show the envelope.
func readOutcomes(body []byte) ([]ConfiguredOutcome, error) {
	var list []ConfiguredOutcome
	if err := json.Unmarshal(body, &list); err == nil {
		return list, nil
	}
	var envelope struct {
		Outcomes *[]ConfiguredOutcome `json:"outcomes"`
		Data     *[]ConfiguredOutcome `json:"data"`
	}
	if err := json.Unmarshal(body, &envelope); err != nil {
		return nil, errors.New("it is neither a list nor an object with one")
	}
	switch {
	case envelope.Outcomes != nil:
		return *envelope.Outcomes, nil
	case envelope.Data != nil:
		return *envelope.Data, nil
	default:
		return nil, errors.New("it holds no outcomes")
	}
}

// CreditsUsage returns the account's usage as the API words it.
func (c *Client) CreditsUsage(ctx context.Context) (json.RawMessage, error) {
	body, err := c.get(ctx, "credits usage", "credits", "usage")
	if err != nil {
		return nil, err
	}
	if !json.Valid(body) {
		return nil, errors.New("11x credits usage: the answer is not JSON")
	}
	return body, nil
}

// CheckKey asks something cheap. The error is an [ErrUnauthorized] when the key
// is refused; any other says nothing about the key.
func (c *Client) CheckKey(ctx context.Context) error {
	_, err := c.CreditsUsage(ctx)
	return err
}

func (c *Client) get(ctx context.Context, op string, path ...string) ([]byte, error) {
	address := c.base
	for _, p := range path {
		if p == "" || p == "." || p == ".." {
			return nil, fmt.Errorf("11x %s: %q is not an id", op, p)
		}
		address += "/" + url.PathEscape(p)
	}
	for attempt := 1; ; attempt++ {
		body, wait, err := c.try(ctx, op, address)
		if wait == 0 || wait > maxWait || attempt == maxAttempts {
			return body, err
		}
		// Full jitter above what the API asked for.
		backoff := time.Second << (attempt - 1)
		if err := c.sleep(ctx, wait+rand.N(backoff)); err != nil {
			return nil, fmt.Errorf("11x %s: %w", op, err)
		}
	}
}

// try sends one request. A wait above zero means that it may be sent again
// after it.
func (c *Client) try(ctx context.Context, op, address string) (body []byte, wait time.Duration, err error) {
	if err := c.limit.Wait(ctx); err != nil {
		return nil, 0, fmt.Errorf("11x %s: %w", op, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, 0, fmt.Errorf("11x %s: %w", op, err)
	}
	r.Header.Set("x-api-key", c.key)
	r.Header.Set("Accept", "application/json")
	res, err := c.http.Do(r)
	if err != nil {
		return nil, 0, fmt.Errorf("11x %s: %w", op, err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, 0, fmt.Errorf("11x %s: the answer ended early: %w", op, err)
	case len(body) > maxAnswer:
		return nil, 0, fmt.Errorf("11x %s: the answer has more than %d bytes", op, maxAnswer)
	case res.StatusCode == http.StatusTooManyRequests:
		return nil, askedWait(res.Header), apiError(op, res.StatusCode, body)
	case res.StatusCode != http.StatusOK:
		return nil, 0, apiError(op, res.StatusCode, body)
	}
	return body, 0, nil
}

// askedWait is Retry-After in seconds, at least something above zero.
func askedWait(h http.Header) time.Duration {
	seconds, err := strconv.ParseUint(h.Get("Retry-After"), 10, 31)
	if err != nil {
		return time.Millisecond
	}
	return max(time.Duration(seconds)*time.Second, time.Millisecond)
}

func apiError(op string, status int, body []byte) *APIError {
	e := &APIError{Op: op, Status: status}
	var answer struct {
		Error   string `json:"error"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &answer) == nil {
		e.Code, e.Message = plain(answer.Error), plain(answer.Message)
	}
	return e
}

// plain makes text from outside fit for a line of a log.
func plain(s string) string {
	const most = 200
	var b strings.Builder
	for _, r := range s {
		if b.Len() > most {
			b.WriteRune('…')
			break
		}
		if !unicode.IsPrint(r) {
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String()
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
