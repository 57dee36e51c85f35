package salesforce

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/callsync/callsync/crm"
)

// Objects with a part of their own to play.
const (
	contact = "Contact"
	lead    = "Lead"
	task    = "Task"
	event   = "Event"
	// personAccount is a mapping's name for an Account that is a person; the
	// API knows it as an Account with IsPersonAccount.
	personAccount = "PersonAccount"
)

// callsync's key fields. That of activities is defined once, on Activity, and
// appears on Task and Event.
const (
	keyField       = crm.KeyProperty + "__c"
	personKeyField = crm.PersonKeyProperty + "__c"
)

const (
	defaultVersion = "66.0"
	// defaultSettle is how long a request whose answer was lost may still be at
	// work in the org. Queries are consistent, so nothing else delays certainty.
	defaultSettle = 30 * time.Second
	// batchSize is how many calls make one round: their people fit one query
	// per object and one search, their records two collections of 200.
	batchSize = 400
)

func init() { crm.Register("salesforce", Open) }

// A Connector talks to one org. It implements [crm.Destination] and
// [crm.Inspector] and is safe for concurrent use.
type Connector struct {
	settings crm.Settings
	session  *session
	client   *client
	catalog  *catalog
	meter    *meter
	owners   *owners
	settle   time.Duration
	log      *slog.Logger
	now      func() time.Time
}

// Open is the connector's [crm.Opener].
func Open(s crm.Settings) (crm.Destination, error) {
	version, err := apiVersion(s.API)
	if err != nil {
		return nil, fmt.Errorf("destination %s: %w", s.Name, err)
	}
	base := crm.Observe(s.Transport, s.Observe)
	now := s.Now
	if now == nil {
		now = time.Now
	}
	log := s.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	grant, err := newGrant(s, base)
	if err != nil {
		return nil, fmt.Errorf("destination %s: %w", s.Name, err)
	}
	c := &Connector{settings: s, settle: s.SearchLag, log: log, now: now}
	if c.settle <= 0 {
		c.settle = defaultSettle
	}
	c.meter = newMeter(s.QuotaShare, now)
	c.session = &session{grant: grant, override: strings.TrimRight(s.BaseURL, "/"), insecure: plainLoopback(s), meter: c.meter}
	pace := rate.Inf
	if s.RatePerSecond > 0 {
		pace = rate.Limit(s.RatePerSecond)
	}
	c.client = &client{
		session: c.session, account: newAccount(s), base: base, version: version, meter: c.meter,
		slots: make(chan struct{}, maxConcurrent), pace: rate.NewLimiter(pace, maxConcurrent), log: log,
	}
	c.catalog = newCatalog(c.client, now)
	c.owners = &owners{}
	c.client.account.moved = c.forget
	return c, nil
}

// plainLoopback reports whether the configuration itself names an address on
// this machine: only then may a token be sent over plain HTTP.
func plainLoopback(s crm.Settings) bool {
	for _, raw := range []string{s.LoginURL, s.BaseURL} {
		if u, err := url.Parse(raw); err == nil && u.Scheme == "http" && loopback(u.Hostname()) {
			return true
		}
	}
	return false
}

// BatchSize implements [crm.Destination].
func (c *Connector) BatchSize() int { return batchSize }

// Status implements [crm.Destination]. Usage is counted over a rolling day, so
// QuotaReset is not known.
func (c *Connector) Status() crm.Status {
	s := c.meter.status()
	if s.Account = c.client.account.name(); s.Account == "" {
		s.Account, _ = c.session.identity()
	}
	return s
}

// forget drops what is cached of an org, because another is in use.
func (c *Connector) forget() {
	c.catalog.forget()
	c.owners.mu.Lock()
	defer c.owners.mu.Unlock()
	clear(c.owners.known)
}

// reconsider has an unknown org asked about anew, and takes up a login that somebody
// has made since to one that may be used.
func (c *Connector) reconsider() {
	if c.client.account.reconsider() && c.settings.Tokens != nil {
		c.session.drop()
	}
}

// recognize makes sure, if it has not been made sure of, that the org may be used.
func (c *Connector) recognize(ctx context.Context) error {
	if c.client.account.ask == nil {
		return nil
	}
	_, err := c.client.token(ctx, nil)
	return err
}

// keyed are the objects whose key [Connector.Ready] asks for.
var keyed = []string{task, event, contact, lead}

// Ready implements [crm.Destination].
func (c *Connector) Ready(ctx context.Context) error {
	c.reconsider()
	if err := c.recognize(ctx); err != nil {
		return err
	}
	for _, object := range keyed {
		key := keyOf(object)
		d, err := c.catalog.get(ctx, object, has(key))
		switch {
		case isAbsent(err) && (object == lead || object == event):
			continue // an org may do without
		case isAbsent(err):
			return &crm.Error{
				Kind: crm.NotReady, Op: "describe " + object, Status: http.StatusNotFound,
				Message: "the org shows callsync's user no object " + object,
				Hint:    "give callsync's user access to it, and check that the org knows API version " + c.client.version,
			}
		case err != nil:
			return err
		}
		if !has(key)(d) {
			return missingKey(object)
		}
	}
	return nil
}

// tableOf is the API's name for an object.
func tableOf(object string) string {
	if object == personAccount {
		return "Account"
	}
	return object
}

func isPerson(object string) bool {
	return object == contact || object == lead || object == personAccount
}

func isActivity(object string) bool { return object == task || object == event }

// keyOf is the field that carries callsync's key on an object.
func keyOf(object string) string {
	if isPerson(object) {
		return personKeyField
	}
	return keyField
}

var (
	_ crm.Destination = (*Connector)(nil)
	_ crm.Inspector   = (*Connector)(nil)
	_ crm.Authorizer  = (*Connector)(nil)
)
