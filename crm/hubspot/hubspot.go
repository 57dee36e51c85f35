// Package hubspot is the connector to one HubSpot portal: it implements
// [crm.Destination], [crm.Inspector], [crm.Authorizer] and [crm.Eraser] over
// HubSpot's public CRM API and registers itself as "hubspot". It is a small client
// of its own over golang.org/x/oauth2: github.com/hubspot/hubspot-api-go does not
// exist on the module proxy, and HubSpot publishes no client library for Go.
//
// What may not happen here: a write sent twice (a request that got no answer
// goes back to the sync loop, whose journal knows what may be tried again; only
// batches that HubSpot certainly refused whole are split and sent again), a
// person's data in an error or a log line, and a request that went round the
// pacer.
//
// What is said about HubSpot's behaviour comes from its public developer
// documentation, named where it is used.
package hubspot

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/callsync/callsync/crm"
)

// Limits of single requests, from HubSpot's CRM objects, search and
// associations guides.
const (
	maxInputs     = 100   // inputs of one batch request
	maxPairs      = 1000  // inputs of one association batch
	maxSearchBody = 3000  // characters of a search's body
	maxGroups     = 5     // filter groups of one search
	maxValues     = 100   // values of one IN filter
	pageSize      = 200   // results of one search page
	maxResults    = 10000 // results of one search over all its pages
	maxText       = 65536 // characters of one property
)

const (
	defaultBaseURL   = "https://api.hubapi.com"
	defaultLoginURL  = "https://app.hubspot.com"
	defaultSearchLag = 60 * time.Second
	defaultShare     = 0.9
	requestTimeout   = 30 * time.Second

	// roundSize is how many calls a round gathers: enough that the last, partly
	// filled batch of each object type weighs little.
	roundSize = 500
)

func init() { crm.Register("hubspot", Open) }

// A Portal is one HubSpot account. Its methods may be called concurrently.
type Portal struct {
	settings crm.Settings
	base     *url.URL
	paths    paths
	http     *http.Client
	auth     *authorizer
	pace     *pacer
	log      *slog.Logger
	now      func() time.Time
	lag      time.Duration

	keys         *keyCache
	owners       *directory
	dispositions *directory
	account      *account
}

// Open checks the settings of a portal. It sends no request.
func Open(s crm.Settings) (crm.Destination, error) {
	base, err := url.Parse(cmp.Or(s.BaseURL, defaultBaseURL))
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("destination %s: base_url is not an address such as %s", s.Name, defaultBaseURL)
	}
	base.Path = strings.TrimRight(base.Path, "/")
	paths, err := pathsOf(s.API)
	if err != nil {
		return nil, fmt.Errorf("destination %s: %w", s.Name, err)
	}
	if s.QuotaShare < 0 || s.QuotaShare > 1 {
		return nil, fmt.Errorf("destination %s: quota_share is %g; it is a part between 0 and 1", s.Name, s.QuotaShare)
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Portal{
		settings: s,
		base:     base,
		paths:    paths,
		log:      s.Logger,
		now:      s.Now,
		lag:      cmp.Or(s.SearchLag, defaultSearchLag),
		http: &http.Client{
			Transport: transport(s),
			// A redirect would carry the token to an address nobody configured.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		pace:    newPacer(s),
		keys:    newKeyCache(),
		account: newAccount(),
	}
	if p.auth, err = newAuthorizer(p); err != nil {
		return nil, fmt.Errorf("destination %s: %w", s.Name, err)
	}
	p.owners = newDirectory(p, p.listOwners)
	p.dispositions = newDirectory(p, p.listDispositions)
	return p, nil
}

// transport keeps as many connections open as requests may be under way.
func transport(s crm.Settings) http.RoundTripper {
	standard, ok := http.DefaultTransport.(*http.Transport)
	if s.Transport != nil || !ok {
		return crm.Observe(s.Transport, s.Observe)
	}
	t := standard.Clone()
	t.MaxIdleConnsPerHost = maxConcurrent
	return crm.Observe(t, s.Observe)
}

// BatchSize is several of HubSpot's batches of 100, so that searches and the
// last batch of each type are shared by more calls.
func (p *Portal) BatchSize() int { return roundSize }

// Status tells what is known about limits, without a request.
func (p *Portal) Status() crm.Status {
	s := p.pace.status()
	s.Account = p.account.name()
	return s
}

// paths is one family of HubSpot's paths.
type paths struct {
	objects, properties, owners, associations, token string
}

// pathsOf returns the family of paths that Settings.API names. Both are in
// HubSpot's API reference: the date-versioned one is current, v3 (with v4
// associations) is what its own client libraries still use.
func pathsOf(api string) (paths, error) {
	switch api {
	case "", "2026-03":
		return paths{
			objects:      "/crm/objects/2026-03/",
			properties:   "/crm/properties/2026-03/",
			owners:       "/crm/owners/2026-03",
			associations: "/crm/associations/2026-03/",
			token:        "/oauth/2026-03/token",
		}, nil
	case "v3":
		return paths{
			objects:      "/crm/v3/objects/",
			properties:   "/crm/v3/properties/",
			owners:       "/crm/v3/owners",
			associations: "/crm/v4/associations/",
			token:        "/oauth/v1/token",
		}, nil
	default:
		return paths{}, fmt.Errorf(`api is %q; HubSpot's are "2026-03" and "v3"`, api)
	}
}

// keyProperty names the property that carries callsync's key on an object type.
func keyProperty(object string) string {
	if object == contacts {
		return crm.PersonKeyProperty
	}
	return crm.KeyProperty
}

const contacts = "contacts"

var (
	_ crm.Destination = (*Portal)(nil)
	_ crm.Inspector   = (*Portal)(nil)
	_ crm.Authorizer  = (*Portal)(nil)
	_ crm.Eraser      = (*Portal)(nil)
)
