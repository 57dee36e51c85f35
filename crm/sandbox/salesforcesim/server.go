// Package salesforcesim is Salesforce's REST API in memory, as far as a client
// that logs calls needs it: OAuth, describe, sObject rows, SOQL, SOSL,
// collections, composite graphs, and the setup of custom fields.
//
// It is a witness for tests and demonstrations, so it may never be kinder than
// the real CRM: a request that Salesforce would refuse is refused here with the
// same errorCode, and where the public documentation leaves a choice the
// stricter reading is taken or both can be set. It shares no code with the
// connector it is there to judge, and may not import it.
package salesforcesim

import (
	"crypto/rsa"
	"errors"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/callsync/callsync/crm/sandbox"
)

// Options configure a Server. Every zero value is usable.
type Options struct {
	// Now is the clock. Nil means time.Now.
	Now func() time.Time
	// ClientID and ClientSecret are the connected app's consumer key and
	// secret. They default to "sandbox-client" and "sandbox-secret".
	ClientID     string
	ClientSecret string
	// Username is the integration user, who owns every session. It defaults to
	// "integration@example.com".
	Username string
	// OrgID is the org's 18-character id. "" means one at random: a sandbox that
	// starts without records is another org. New panics when it is no org's id.
	OrgID string
	// PublicKey verifies JWT bearer assertions. Nil refuses them all.
	PublicKey *rsa.PublicKey
	// Settings the server starts with. Nil means DefaultSettings.
	Settings *Settings
	// WhileWriting, when set, is called by every request that holds locks on
	// the parents of what it wrote (see Settings.LockParents). Tests use it to
	// make two requests overlap.
	WhileWriting func()
}

// Settings can be changed while the server runs, through the control API too.
type Settings struct {
	// DailyLimit is the org's allowance of API requests per rolling 24 hours,
	// and DailyUsed how many of them were spent before the server started.
	DailyLimit int `json:"dailyLimit"`
	DailyUsed  int `json:"dailyUsed"`
	// SearchLag is how long a change takes to reach the SOSL index.
	SearchLag sandbox.Duration `json:"searchLag"`
	// TokenLifetime is how long an access token works.
	TokenLifetime sandbox.Duration `json:"tokenLifetime"`
	// PersonAccounts adds IsPersonAccount, PersonContactId, PersonEmail and
	// their like to Account, and IsPersonAccount to Contact.
	PersonAccounts bool `json:"personAccounts"`
	// DuplicateRules refuses a new Contact or Lead whose email another has.
	DuplicateRules bool `json:"duplicateRules"`
	// DuplicateResultName is where the details are: "duplicateResut", as
	// Salesforce spells it, or "duplicateResult", as its documents do.
	DuplicateResultName string `json:"duplicateResultName"`
	// ActivityExternalID and ActivityUnique let custom fields of Activity be
	// created as External ID or as unique. Orgs are said to differ.
	ActivityExternalID bool `json:"activityExternalId"`
	ActivityUnique     bool `json:"activityUnique"`
	// UnknownFieldFailsRequest answers 400 to a whole collection when one of
	// its records names an unknown field, instead of failing that record only.
	UnknownFieldFailsRequest bool `json:"unknownFieldFailsRequest"`
	// LockParents makes a write fail with UNABLE_TO_LOCK_ROW when another
	// request is writing records of the same parent. LockTime, on the real
	// clock, is how long a write holds its locks at least.
	LockParents bool             `json:"lockParents"`
	LockTime    sandbox.Duration `json:"lockTime"`
	// Refusals refuse single records: validation rules, triggers, locks.
	Refusals []Refusal `json:"refusals"`
	// RestrictedPicklists lists picklist fields ("Task.Status") that accept
	// only their defined values, beyond those that always do.
	RestrictedPicklists []string `json:"restrictedPicklists"`
	// ReadOnlyFields lists fields ("Contact.DoNotCall") that the integration
	// user may read but not edit; HiddenFields those it may not even see.
	ReadOnlyFields []string `json:"readOnlyFields"`
	HiddenFields   []string `json:"hiddenFields"`
}

// A Refusal makes saving a record of Object fail when its Field contains
// Contains, or is empty if Contains is "". An empty Field fits every record.
type Refusal struct {
	Object   string `json:"object"`
	Field    string `json:"field,omitempty"`
	Contains string `json:"contains,omitempty"`
	// Code is the statusCode; "" means FIELD_CUSTOM_VALIDATION_EXCEPTION.
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
	// Times is how often it strikes; 0 means until it is taken away.
	Times int `json:"times,omitempty"`
}

// DefaultSettings are those of an Enterprise org with one licence.
func DefaultSettings() Settings {
	return Settings{
		DailyLimit:               100_000,
		SearchLag:                sandbox.Duration(5 * time.Second),
		TokenLifetime:            sandbox.Duration(2 * time.Hour),
		DuplicateResultName:      "duplicateResut",
		ActivityExternalID:       true,
		ActivityUnique:           true,
		UnknownFieldFailsRequest: true,
	}
}

// Server is one org. Its methods may be called concurrently.
type Server struct {
	*sandbox.Core
	opts    Options
	handler http.Handler

	// mu guards everything below. A request holds it from the first record it
	// looks at to the last, so each sees a consistent org.
	mu       sync.RWMutex
	settings Settings
	auth     authState
	org      *org
	usage    usage

	locks parentLocks
}

// New returns an empty org with its integration user.
func New(opts Options) *Server {
	if opts.ClientID == "" {
		opts.ClientID = "sandbox-client"
	}
	if opts.ClientSecret == "" {
		opts.ClientSecret = "sandbox-secret"
	}
	if opts.Username == "" {
		opts.Username = "integration@example.com"
	}
	if opts.OrgID == "" {
		opts.OrgID = newID("00D", 1+rand.IntN(1<<30))
	}
	if !IsOrgID(opts.OrgID) {
		panic("salesforcesim: " + opts.OrgID + " is no org's id")
	}
	s := &Server{opts: opts, settings: DefaultSettings()}
	if opts.Settings != nil {
		s.settings = *opts.Settings
	}
	s.Core = sandbox.NewCore(sandbox.Options{
		Name:      "Salesforce",
		Account:   opts.OrgID,
		Now:       opts.Now,
		Operation: operation,
		ErrorBody: faultBody,
	})
	s.auth = newAuthState()
	s.org = newOrg(&s.settings, s.Core.Now)
	s.org.seed(opts.OrgID, opts.Username)
	s.handler = s.Core.Wrap(s.routes())
	return s
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// IsOrgID reports whether s is an org's id in its 18-character form.
func IsOrgID(s string) bool {
	id, ok := canonicalID(s)
	return ok && id == s && strings.HasPrefix(s, "00D")
}

var errNoSuchRecord = errors.New("there is no such record")
