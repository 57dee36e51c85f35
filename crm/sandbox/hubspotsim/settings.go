package hubspotsim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/callsync/callsync/crm/sandbox"
)

// Settings are what differs between accounts, or is not settled by HubSpot's
// documentation. They can be changed while the server runs.
type Settings struct {
	// SearchLag is how long a write takes to reach search.
	SearchLag sandbox.Duration `json:"searchLag"`

	// TenSecondLimit is the requests an app may make in any ten seconds: 100
	// (Free, Starter), 190 (Professional, Enterprise), 250 with the add-on, 110
	// for OAuth apps. 0 means no limit.
	TenSecondLimit int `json:"tenSecondLimit"`
	// SearchesPerSecond is the account's search limit. 0 means no limit.
	SearchesPerSecond int `json:"searchesPerSecond"`
	// SearchesCountInWindow makes searches count against TenSecondLimit too.
	// Documents do not settle it; true is the stricter reading.
	SearchesCountInWindow bool `json:"searchesCountInWindow"`
	// DailyLimit is the account's quota of requests a day. 0 means none.
	DailyLimit int `json:"dailyLimit"`
	// DailyUsed is how much of it is spent. Setting it moves the counter.
	DailyUsed int `json:"dailyUsed"`
	// RetryAfter adds a Retry-After header to 429 answers.
	RetryAfter bool `json:"retryAfter"`

	// Revoked refuses every token and every refresh token until it is unset.
	Revoked bool `json:"revoked"`

	// NamelessContacts lets contacts be created without email, firstname and
	// lastname. The contacts guide requires one of them.
	NamelessContacts bool `json:"namelessContacts"`
	// UniqueProperties says on which object types a property with
	// hasUniqueValue can be created. A type not named allows it.
	UniqueProperties map[string]bool `json:"uniqueProperties"`
	// ConflictStatus answers a taken value of a custom unique property: 400
	// (CONFLICTING_UNIQUE_VALUE) or 409 (CONFLICT). Both have been seen.
	ConflictStatus int `json:"conflictStatus"`
	// MissingTogether reports the missing ids of a batch in one error that
	// lists them all, rather than in one error each. Both have been seen.
	MissingTogether bool `json:"missingTogether"`
	// TraceCreate and TraceUpdate answer 207 with an error for each input of a
	// batch when every input has a distinct objectWriteTraceId. Documented for
	// create, seen for update.
	TraceCreate bool `json:"traceCreate"`
	TraceUpdate bool `json:"traceUpdate"`
	// EchoTraceIDs puts objectWriteTraceId into the results as well; the
	// documented example has it in the errors only.
	EchoTraceIDs bool `json:"echoTraceIds"`
	// InputOrder returns a batch's results in the order of its inputs, which
	// HubSpot does not promise and often does not do.
	InputOrder bool `json:"inputOrder"`
	// Refusals make inputs fail that nothing is wrong with.
	Refusals []Refusal `json:"refusals,omitempty"`

	// MergeMakesNewRecord gives merged contacts a new id to which both old
	// ones lead, in place of the primary's.
	MergeMakesNewRecord bool `json:"mergeMakesNewRecord"`
}

// A Refusal refuses records whose property holds a text. The error names
// neither the record nor the property, so a client has to find the culprit in
// a batch by itself, or by trace id.
type Refusal struct {
	Object   string `json:"object"`
	Property string `json:"property"`
	Contains string `json:"contains"`
	// Status is what a refused request is answered with; 0 means 400.
	Status int `json:"status,omitempty"`
	// Category is the error's; empty means VALIDATION_ERROR.
	Category string `json:"category,omitempty"`
	// Times is how many inputs are refused. 0 means any number.
	Times int `json:"times,omitempty"`
}

// tiers lists the limits of HubSpot's subscriptions and of OAuth apps: requests
// in ten seconds and a day. Source: HubSpot API usage guidelines.
var tiers = map[string]struct{ tenSeconds, day int }{
	"free":         {100, 250_000},
	"starter":      {100, 250_000},
	"professional": {190, 625_000},
	"enterprise":   {190, 1_000_000},
	"addon":        {250, 1_000_000},
	"oauth":        {110, 0},
}

// UseTier sets the limits of a subscription: free, starter, professional,
// enterprise, addon (the API limit increase), or oauth (a marketplace app,
// whose daily quota is not limited).
func (s *Settings) UseTier(name string) error {
	t, ok := tiers[name]
	if !ok {
		return fmt.Errorf("unknown tier %q; use free, starter, professional, enterprise, addon or oauth", name)
	}
	s.TenSecondLimit, s.DailyLimit = t.tenSeconds, t.day
	return nil
}

// DefaultSettings is a Professional account that searches five seconds late.
func DefaultSettings() *Settings {
	return &Settings{
		SearchLag:             sandbox.Duration(5 * time.Second),
		TenSecondLimit:        190,
		SearchesPerSecond:     5,
		SearchesCountInWindow: true,
		DailyLimit:            625_000,
		ConflictStatus:        400,
		TraceCreate:           true,
		TraceUpdate:           true,
		UniqueProperties:      map[string]bool{},
	}
}

func (s *Settings) clone() Settings {
	c := *s
	c.Refusals = slices.Clone(s.Refusals)
	c.UniqueProperties = maps.Clone(s.UniqueProperties)
	if c.UniqueProperties == nil {
		c.UniqueProperties = map[string]bool{}
	}
	return c
}

func (s *Settings) validate() error {
	switch {
	case s.SearchLag < 0:
		return fmt.Errorf("searchLag is negative")
	case s.ConflictStatus != 400 && s.ConflictStatus != 409:
		return fmt.Errorf("conflictStatus is %d; use 400 or 409", s.ConflictStatus)
	case s.TenSecondLimit < 0 || s.SearchesPerSecond < 0 || s.DailyLimit < 0 || s.DailyUsed < 0:
		return fmt.Errorf("limits are not negative")
	}
	for _, r := range s.Refusals {
		if typeNames[r.Object] != r.Object || r.Property == "" || r.Contains == "" {
			return fmt.Errorf("refusals: each needs an object type, a property and a text it contains")
		}
		if r.Status != 0 && (r.Status < 400 || r.Status > 599) {
			return fmt.Errorf("refusals: status is %d; use 400 to 599", r.Status)
		}
		if r.Times < 0 {
			return fmt.Errorf("refusals: times is negative")
		}
	}
	for name := range s.UniqueProperties {
		if typeNames[name] != name {
			return fmt.Errorf("uniqueProperties: %q is no object type", name)
		}
	}
	return nil
}

// Settings returns a copy of the settings as JSON shows them.
func (s *Server) Settings() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.settings.clone()
	c.DailyUsed = s.limits.usedToday(s.Now(), s.opts.Zone)
	return c
}

// ChangeSettings applies a JSON object with the fields to change.
func (s *Server) ChangeSettings(patch []byte) error {
	return s.change(func(next *Settings) error {
		kept := next.Refusals
		next.Refusals = nil // a decoder would mix old elements into new ones
		dec := json.NewDecoder(bytes.NewReader(patch))
		dec.DisallowUnknownFields()
		if err := dec.Decode(next); err != nil {
			return err
		}
		if next.Refusals == nil {
			next.Refusals = kept
		}
		return nil
	})
}

// Configure lets f change the settings, for tests in the same process. It
// panics when the result makes no sense.
func (s *Server) Configure(f func(*Settings)) {
	if err := s.change(func(next *Settings) error { f(next); return nil }); err != nil {
		panic("hubspotsim: " + err.Error())
	}
}

func (s *Server) change(f func(*Settings) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Now()
	next := s.settings.clone()
	next.DailyUsed = s.limits.usedToday(now, s.opts.Zone)
	if err := f(&next); err != nil {
		return err
	}
	if err := next.validate(); err != nil {
		return err
	}
	s.limits.setUsedToday(now, s.opts.Zone, next.DailyUsed)
	s.settings = next.clone()
	return nil
}
