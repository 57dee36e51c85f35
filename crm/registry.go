package crm

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

// Settings is what a connector gets to open an account: one destination's table
// from the configuration, with its secrets read, and the services a connector
// may use.
type Settings struct {
	Name     string // the destination's name in the configuration
	Type     string
	BaseURL  string // the API's address; "" means the CRM's own
	LoginURL string
	// AccessToken is a private app's static token; "" when OAuth is used.
	AccessToken string
	OAuth       OAuth
	// API picks a family of paths or a version: "2026-03" or "v3", "v66.0".
	API string
	// RatePerSecond and SearchPerSecond bound requests; 0 means the CRM's
	// documented limit.
	RatePerSecond   float64
	SearchPerSecond float64
	// QuotaShare is the part of the daily quota callsync may use, 0 to 1; 0
	// means the connector's default.
	QuotaShare float64
	// SearchLag is how long a new record may stay invisible to searches; 0
	// means the connector's default.
	SearchLag time.Duration
	// Region is the ISO 3166 country of phone numbers written without a country
	// code, such as those people typed into the CRM.
	Region string

	// Admit decides whether the account that the token is for may be used. A
	// connector asks it before the first request that reads or writes there, with the
	// portal's or org's id, and again when the token may be for another account since;
	// its error stands for the answer of every request until it has none. Where the
	// CRM does not tell which account it is, account is ""; unknown is nil if that is
	// its last word, and else why it did not answer this time. nil admits any.
	Admit func(ctx context.Context, account string, unknown error) error

	Tokens    TokenStore
	Memory    Memory
	Transport http.RoundTripper // nil means http.DefaultTransport
	// Observe is called after each request, concurrently; nil means not at all.
	// A connector sees to it with [Observe] and [WithOperation].
	Observe func(context.Context, Exchange)
	Logger  *slog.Logger
	Now     func() time.Time // nil means time.Now
}

// OAuth holds the keys of a destination's oauth table. Which of them a
// connector needs depends on the flow.
type OAuth struct {
	ClientID     string
	ClientSecret string
	Username     string // Salesforce's JWT bearer flow: on whose behalf
	PrivateKey   []byte // PEM, from key_file
	RedirectURL  string
	Scopes       []string
}

// A TokenStore keeps the token that `callsync login` obtained, outside the
// configuration. Load answers nil when there is none.
type TokenStore interface {
	Load() (*oauth2.Token, error)
	Save(*oauth2.Token) error
}

// A Memory keeps small facts about an account across restarts, such as what a
// probe found. Get answers "" for a name it does not know.
type Memory interface {
	Get(ctx context.Context, name string) (string, error)
	Set(ctx context.Context, name, value string) error
}

// An Opener opens an account. It checks settings but sends no request.
type Opener func(Settings) (Destination, error)

var (
	openersMu sync.RWMutex
	openers   = map[string]Opener{}
)

// Register makes a connector available under a type name. Connectors call it
// from an init function; a second registration of a name panics.
func Register(name string, open Opener) {
	openersMu.Lock()
	defer openersMu.Unlock()
	if _, ok := openers[name]; ok {
		panic("crm: connector " + name + " registered twice")
	}
	openers[name] = open
}

// Types lists the registered connectors' type names in order.
func Types() []string {
	openersMu.RLock()
	defer openersMu.RUnlock()
	return slices.Sorted(maps.Keys(openers))
}

// Open opens the account that s describes.
func Open(s Settings) (Destination, error) {
	openersMu.RLock()
	open, ok := openers[s.Type]
	openersMu.RUnlock()
	if !ok {
		return nil, fmt.Errorf("destination %s: no connector of type %q; there are: %s", s.Name, s.Type, strings.Join(Types(), ", "))
	}
	return open(s)
}
