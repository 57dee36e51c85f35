// Package admin is the daemon's local API: everything the command line and a
// console can say, as JSON over HTTP, beside health and metrics.
//
// There is one handler. The daemon serves it on a unix socket or on TCP behind a
// token; a command that finds no daemon runs the same handler inside itself over
// the opened journal. So nothing may be possible here for one of them only, and
// no caller reaches past the handler into the journal. Bodies of calls leave it
// only when a request asks for them.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/sync"
)

// A Journal is the part of the journal that the API works on.
type Journal interface {
	store.Inbox
	store.Reader
	store.Forgetter
	store.History
	Load(ctx context.Context, destination string, callIDs []string) ([]store.Work, error)
	NextDue(ctx context.Context, destination string) (time.Time, bool, error)
	Backlog(ctx context.Context, destination string, now time.Time) (store.Backlog, error)
	Request(ctx context.Context, destination string, callIDs []string, r store.Request) (int, error)
	Mapping(ctx context.Context, version string) (store.MappingVersion, error)
	Backup(ctx context.Context, w io.Writer) error
}

// A Syncer is what the API needs of a sync loop, running or not.
type Syncer interface {
	Health() sync.Health
	Pause(ctx context.Context, reason string) error
	Unpause(ctx context.Context) error
	// Adopt makes another account the one that is used under the destination's name.
	Adopt(ctx context.Context, account string, tell func(calls int)) (*sync.Adoption, error)
	// AdoptPlan says what that would forget.
	AdoptPlan(ctx context.Context, account string, tell func(calls int)) (*sync.Adoption, error)
	// Alone runs f while the destination is not being synced.
	Alone(ctx context.Context, f func(context.Context) error) error
	// Plan says what syncing calls would do, offline.
	Plan(ctx context.Context, work []store.Work) ([]sync.CallPlan, error)
	Mender
}

// A Destination is one CRM account as the API shows it.
type Destination struct {
	Name, Type string
	Sync       Syncer
	CRM        crm.Destination
	// Mapping describes the mapping in force.
	Mapping func() MappingInfo
	// CheckMapping compares the mapping in force with the account's schema; nil
	// when that cannot be done.
	CheckMapping func(ctx context.Context) ([]crm.Finding, error)
	// Explain tells how the mapping in force came to what it wants for a call;
	// the answer is shown as JSON.
	Explain func(c *julian.Call, received time.Time) (any, error)
	// Compile compiles a mapping that is not in force, with the destination's
	// options.
	Compile func(MappingSource) (sync.Mapping, error)
}

// MappingInfo describes a mapping in force.
type MappingInfo struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// Problem is why the file's present content is not in force: the last good
	// version is. "" when they are the same.
	Problem string `json:"problem,omitempty"`
	// Doubts are what the account may not take of the version in force, as found
	// when it was last compared with the account.
	Doubts   []string       `json:"doubts,omitempty"`
	Declared []crm.Property `json:"-"`
}

// Options is what a [Server] works with.
type Options struct {
	Journal      Journal
	Destinations []Destination
	// Daemon is true in the process that receives and syncs.
	Daemon bool
	// Receivers lists the addresses on which deliveries are taken.
	Receivers []string
	Build     Build
	Metrics   *Metrics // nil: no /metrics
	// Disk tells how many bytes of the journal's file system are free and how
	// many there are; nil where that is not known.
	Disk func() (free, size int64, err error)
	// Julian tells whether 11x's REST API can be used; nil where nobody asks it.
	Julian func() JulianStatus
	// Stale names the tables of the configuration file that differ from what is in
	// force; nil where no daemon runs.
	Stale func() []string
	// Reload reads the configuration again; nil where no daemon runs.
	Reload func() (Reloaded, error)
	Logger *slog.Logger
	Now    func() time.Time // nil means time.Now
}

// A Server answers the API. It is an http.Handler, safe for concurrent use.
type Server struct {
	Options
	mux     *http.ServeMux
	started time.Time
}

// New returns the handler of the API. Who may reach it is the listener's
// business: see [Listen] and [RequireToken].
func New(o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{Options: o, mux: http.NewServeMux(), started: o.Now()}
	s.route("GET /api/v1/version", s.version)
	s.route("GET /api/v1/status", s.status)
	s.route("GET /api/v1/calls", s.calls)
	s.route("GET /api/v1/calls/{id}", s.call)
	s.route("GET /api/v1/calls/{id}/explain", s.explain)
	s.route("GET /api/v1/deliveries", s.deliveries)
	s.route("GET /api/v1/mappings/{version}", s.mappingVersion)
	s.long("POST /api/v1/plan", s.plan)
	s.long("POST /api/v1/resync", s.resync)
	s.long("POST /api/v1/erase", s.erase)
	s.menderRoutes()
	s.route("POST /api/v1/destinations/{name}/pause", s.pause)
	s.route("POST /api/v1/destinations/{name}/unpause", s.unpause)
	s.long("POST /api/v1/destinations/{name}/account", s.account)
	s.route("GET /api/v1/destinations/{name}/setup", s.setupPlan)
	s.route("POST /api/v1/destinations/{name}/setup", s.setup)
	s.route("POST /api/v1/destinations/{name}/check", s.check)
	s.route("POST /api/v1/reload", s.reload)
	s.route("POST /api/v1/deliveries/{seq}/readmit", s.readmit)
	s.mux.HandleFunc("GET /api/v1/deliveries/{seq}/body", s.quarantined)
	s.mux.HandleFunc("GET /api/v1/backup", s.backup)
	s.mux.HandleFunc("POST /api/v1/compact", s.compact)
	s.mux.HandleFunc("GET /api/v1/export", s.export)
	s.mux.HandleFunc("POST /api/v1/import", s.importCalls)
	s.mux.HandleFunc("GET /healthz", s.healthz)
	s.mux.HandleFunc("GET /readyz", s.readyz)
	if o.Metrics != nil {
		o.Metrics.watch(s)
		s.mux.Handle("GET /metrics", o.Metrics.handler())
	}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, &Error{Status: http.StatusNotFound, Code: "not_found", Message: "there is nothing at " + r.URL.Path})
	})
	return s
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// route registers a handler whose answer or error is sent as JSON.
func (s *Server) route(pattern string, h func(*http.Request) (any, error)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.answer(w, r, h) })
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, h func(*http.Request) (any, error)) {
	r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
	answer, err := h(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		s.Logger.Debug("an answer of the admin API was not delivered", "path", r.URL.Path, "error", err)
	}
}

// maxRequest bounds a request's body: a payload to plan may be as large as a
// delivery.
const maxRequest = 32 << 20

// An Error is a refusal by the API, on both sides of the wire.
type Error struct {
	Status  int    `json:"-"`     // HTTP status
	Code    string `json:"error"` // "not_found", "invalid", "crm_transient", …
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"` // what to do
}

func (e *Error) Error() string { return e.Message }

func invalid(format string, args ...any) error {
	return &Error{Status: http.StatusBadRequest, Code: "invalid", Message: fmt.Sprintf(format, args...)}
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := asError(err)
	if e.Status >= 500 {
		s.Logger.Warn("the admin API could not answer", "path", r.URL.Path, "error", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Status)
	_ = json.NewEncoder(w).Encode(e)
}

func asError(err error) *Error {
	var e *Error
	var c *crm.Error
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &c):
		return &Error{Status: http.StatusBadGateway, Code: "crm_" + string(c.Kind), Message: err.Error(), Hint: c.Hint}
	case errors.As(err, &tooLarge):
		return &Error{Status: http.StatusRequestEntityTooLarge, Code: "too_large", Message: fmt.Sprintf("the request is larger than %d bytes", tooLarge.Limit)}
	case errors.Is(err, store.ErrNotFound):
		return &Error{Status: http.StatusNotFound, Code: "not_found", Message: err.Error()}
	case errors.Is(err, store.ErrLeased):
		return &Error{Status: http.StatusConflict, Code: "leased", Message: err.Error(), Hint: "ask the process that syncs this destination, or stop it and wait for its hold to run out"}
	case errors.Is(err, store.ErrUnavailable):
		return &Error{Status: http.StatusServiceUnavailable, Code: "unavailable", Message: err.Error()}
	default:
		return &Error{Status: http.StatusInternalServerError, Code: "internal", Message: err.Error()}
	}
}

func decode(r *http.Request, into any) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return err
		}
		return invalid("the request is not as expected: %v", err)
	}
	return nil
}

func (s *Server) destination(name string) (*Destination, error) {
	i := slices.IndexFunc(s.Destinations, func(d Destination) bool { return d.Name == name })
	if i < 0 {
		return nil, &Error{Status: http.StatusNotFound, Code: "not_found", Message: fmt.Sprintf("there is no destination %q; there are: %s", name, list(s.names()))}
	}
	return &s.Destinations[i], nil
}

// chosen returns the destinations that a request names, or all.
func (s *Server) chosen(name string) ([]Destination, error) {
	if name == "" {
		return s.Destinations, nil
	}
	d, err := s.destination(name)
	if err != nil {
		return nil, err
	}
	return []Destination{*d}, nil
}

func (s *Server) names() []string {
	var names []string
	for _, d := range s.Destinations {
		names = append(names, d.Name)
	}
	return names
}
