// Package hubspotsim is HubSpot's CRM HTTP API in memory: objects, batches,
// search with its lag, associations, properties, owners, OAuth and the limits,
// under the date-versioned paths and under the older v3/v4 ones.
//
// It is a witness, so it may not import a connector, and it follows HubSpot's
// public developer documentation to the letter where that is stricter than
// what portals are known to let pass. What documents leave open is a field of
// Settings.
package hubspotsim

import (
	"bytes"
	crand "crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/callsync/callsync/crm/sandbox"
)

// DefaultToken is the access token accepted when Options name none.
const DefaultToken = "sandbox-token"

// Options configure a Server. The zero value is a Professional portal with
// one owner, open to DefaultToken.
type Options struct {
	// Now is the clock everything runs by. Nil means time.Now.
	Now func() time.Time
	// Tokens are the static access tokens of private apps.
	Tokens []Token
	// OAuth is the one registered OAuth app.
	OAuth OAuthClient
	// Owners exist from the start. Nil means one, owner@example.com.
	Owners []Owner
	// Settings to start with. Nil means DefaultSettings().
	Settings *Settings
	// Zone is the account's time zone, in which the daily quota resets. Nil
	// means UTC.
	Zone *time.Location
	// PortalID is the account's number. 0 means one of eight digits, at random: a
	// sandbox that starts without records is another account.
	PortalID int
	// Logger, if set, is told of each request at debug level: operation and
	// status, never data.
	Logger *slog.Logger
}

// A Token is a private app's access token. No scopes means all of them.
type Token struct {
	Value  string
	Scopes []string
}

// Server is one HubSpot account. It is an http.Handler and safe for
// concurrent use.
type Server struct {
	*sandbox.Core
	opts    Options
	handler http.Handler

	mu       sync.Mutex
	settings Settings
	types    map[string]*objectType // by plural name
	owners   []Owner
	tokens   map[string]*grant // by access token
	refresh  map[string]*grant // by refresh token
	codes    map[string]*authCode
	limits   limiter
	seq      int // counts record creations, the default search order
}

// New returns an account with HubSpot's default properties and no records.
func New(opts Options) *Server {
	if len(opts.Tokens) == 0 {
		opts.Tokens = []Token{{Value: DefaultToken}}
	}
	if opts.Owners == nil {
		opts.Owners = []Owner{{Email: "owner@example.com", FirstName: "Olive", LastName: "Owner"}}
	}
	if opts.Settings == nil {
		opts.Settings = DefaultSettings()
	}
	if opts.Zone == nil {
		opts.Zone = time.UTC
	}
	if opts.PortalID == 0 {
		opts.PortalID = 10_000_000 + rand.IntN(90_000_000)
	}
	s := &Server{
		opts:     opts,
		settings: opts.Settings.clone(),
		tokens:   map[string]*grant{},
		refresh:  map[string]*grant{},
		codes:    map[string]*authCode{},
	}
	s.Core = sandbox.NewCore(sandbox.Options{
		Name:      "HubSpot",
		Account:   strconv.Itoa(opts.PortalID),
		Now:       opts.Now,
		Operation: func(r *http.Request) string { return operation(r.Method, canonical(r.URL.Path)) },
		ErrorBody: faultBody,
	})
	s.types = defaultTypes(s.Now())
	for _, t := range opts.Tokens {
		s.tokens[t.Value] = &grant{scopes: scopeSet(t.Scopes)}
	}
	for _, o := range opts.Owners {
		s.AddOwner(o)
	}
	mux := http.NewServeMux()
	s.routes(mux)
	mux.Handle(sandbox.ControlPrefix, sandbox.ControlHandler(s.Core, s))
	s.handler = s.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, sandbox.ControlPrefix) {
			r.URL.Path, r.URL.RawPath = canonical(r.URL.Path), ""
		}
		mux.ServeHTTP(w, r)
	}))
	return s
}

// ServeHTTP answers both the CRM's API and the control API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// call is one request on its way through a handler. The server's lock is held.
type call struct {
	*http.Request
	body []byte
	now  time.Time
	typ  *objectType // of the path's {type}, if it has one
}

// A handler returns the status and body of its answer, or an error. A nil body
// sends none.
type handler func(c *call) (int, any, *apiError)

// access says what a route asks of the caller.
type access struct {
	write  bool
	schema bool   // of the property definitions rather than the records
	scope  string // replaces what the object type would ask for
	search bool
}

// serve wraps a handler with authentication, scopes, limits and encoding.
func (s *Server) serve(need access, h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := &call{Request: r}
		var err error
		if c.body, err = io.ReadAll(r.Body); err != nil {
			http.Error(w, "the request's body could not be read", http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		c.now = s.Now()
		status, body, fail := s.answer(w.Header(), c, need, h)
		s.mu.Unlock()
		if fail != nil {
			status, body = fail.status, fail
		}
		send(w, status, body)
		if s.opts.Logger != nil {
			s.opts.Logger.DebugContext(r.Context(), "request", "operation", operation(r.Method, r.URL.Path), "status", status)
		}
	}
}

func (s *Server) answer(header http.Header, c *call, need access, h handler) (int, any, *apiError) {
	g, fail := s.authenticate(c)
	if fail != nil {
		return 0, nil, fail
	}
	if fail := s.spend(header, c.now, g, need.search); fail != nil {
		return 0, nil, fail
	}
	if name := c.PathValue("type"); name != "" {
		if c.typ = s.types[plural(name)]; c.typ == nil {
			return 0, nil, invalid(fmt.Sprintf("Unable to infer object type from: %s", name))
		}
	}
	if fail := g.require(need, c.typ); fail != nil {
		return 0, nil, fail
	}
	if len(c.body) > 0 && !strings.HasPrefix(c.Header.Get("Content-Type"), "application/json") {
		return 0, nil, &apiError{status: http.StatusUnsupportedMediaType, Category: "VALIDATION_ERROR", Message: "The request's content type is not application/json"}
	}
	return h(c)
}

// decode reads a JSON body. Unknown members are ignored, as HubSpot does.
func (c *call) decode(v any) *apiError {
	if err := json.Unmarshal(c.body, v); err != nil {
		return invalid("Invalid input JSON: " + err.Error())
	}
	return nil
}

func send(w http.ResponseWriter, status int, body any) {
	if body == nil {
		w.WriteHeader(status)
		return
	}
	if e, ok := body.(*apiError); ok && e.CorrelationID == "" {
		e.CorrelationID = correlationID()
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		http.Error(w, "the answer could not be encoded", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(buf.Bytes()) // a client that left needs no answer
}

func correlationID() string {
	var b [16]byte
	_, _ = crand.Read(b[:]) // never fails
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// stamp renders a time as HubSpot does: UTC, with milliseconds unless they
// are zero.
func stamp(t time.Time) string {
	t = t.UTC().Truncate(time.Millisecond)
	if t.Nanosecond() == 0 {
		return t.Format("2006-01-02T15:04:05Z")
	}
	return t.Format("2006-01-02T15:04:05.000Z")
}
