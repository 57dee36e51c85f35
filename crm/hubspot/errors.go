package hubspot

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/callsync/callsync/crm"
)

// classify turns a refusal into the error the sync loop acts on. sent is the
// request's body: nothing it holds may appear in the error.
func (p *Portal) classify(op string, a *answer, f refusal, sent []byte) *crm.Error {
	e := describe(op, a.status, f, sent)
	e.RequestID = newRedactor(sent).token(cmp.Or(f.CorrelationID, a.header.Get("X-HubSpot-Correlation-Id")))
	e.RetryAfter = retryAfter(a.header, p.now())
	if e.Kind == crm.Quota {
		e.RetryAfter = p.pace.quotaWait(a.header)
	}
	return e
}

// describe is classify without what only a whole answer has.
func describe(op string, status int, f refusal, sent []byte) *crm.Error {
	words := newRedactor(sent)
	e := &crm.Error{Kind: kindOf(status, f), Op: op, Status: status, Code: words.token(f.code()), Property: words.token(f.property())}
	e.Message = words.clean(strings.Join(unique(f.messages()), "; "))
	if e.Message == "" {
		e.Message = http.StatusText(status)
	}
	if e.Kind == crm.Exists {
		e.Existing.ID = f.existing()
	}
	var scopes []string
	for _, s := range f.scopes() {
		scopes = append(scopes, words.token(s))
	}
	e.Hint = hint(e, strings.Join(unique(scopes), ", "))
	if f.foreign() && status >= 400 && status < 500 && e.Kind == crm.Transient {
		e.Hint = "the answer is not HubSpot's: something in between may have answered in its place"
	}
	return e
}

func kindOf(status int, f refusal) crm.ErrorKind {
	switch {
	case f.foreign() && status != http.StatusUnauthorized && !crm.TooLarge(status):
		return crm.Transient
	case status == http.StatusUnauthorized, status == http.StatusForbidden, f.Category == "MISSING_SCOPES",
		strings.HasSuffix(f.Category, "_AUTHENTICATION"):
		return crm.Credential
	case status == http.StatusTooManyRequests, f.Category == "RATE_LIMITS", f.ErrorType == "RATE_LIMIT":
		if f.daily() {
			return crm.Quota
		}
		return crm.Transient
	case status >= 500, status < 400, // a redirect, where none belongs
		status == http.StatusRequestTimeout, status == http.StatusLocked,
		status == 477: // HubSpot's own: the portal is being moved (error handling guide)
		return crm.Transient
	case f.has("CONFLICTING_UNIQUE_VALUE"), status == http.StatusConflict, f.Category == "CONFLICT":
		return crm.Exists
	case f.Category == "OBJECT_NOT_FOUND", strings.HasSuffix(f.subCategory(), "INVALID_OBJECT_IDS"):
		return crm.Gone
	default:
		return crm.Permanent
	}
}

// statusOf gives a multi-status entry the HTTP status that it would have
// had as an answer of its own.
func statusOf(category string) int {
	switch category {
	case "CONFLICT":
		return http.StatusConflict
	case "OBJECT_NOT_FOUND":
		return http.StatusNotFound
	case "RATE_LIMITS":
		return http.StatusTooManyRequests
	case "MISSING_SCOPES":
		return http.StatusForbidden
	case "INTERNAL_ERROR", "SERVICE_UNAVAILABLE", "TIMEOUT":
		return http.StatusInternalServerError
	default:
		return http.StatusBadRequest
	}
}

var hints = map[string]string{
	"PROPERTY_DOESNT_EXIST":    "create the property in HubSpot or take it out of the mapping; `callsync check` shows the nearest existing name",
	"INVALID_OPTION":           "the property has no such option: change the value in the mapping to one that `callsync check` lists, or add the option in HubSpot",
	"INVALID_LONG":             "HubSpot wants a whole number here: change what the mapping gives, or the property's type",
	"INVALID_NUMBER":           "HubSpot wants a number here: change what the mapping gives, or the property's type",
	"INVALID_BOOLEAN":          "HubSpot wants true or false here: change what the mapping gives, or the property's type",
	"INVALID_DATE":             "HubSpot wants a date here: change what the mapping gives, or the property's type",
	"INVALID_EMAIL":            "HubSpot does not take this as an email address; clear or correct it in the mapping",
	"READ_ONLY_VALUE":          "HubSpot computes this property; take it out of the mapping",
	"CONFLICTING_UNIQUE_VALUE": "another record holds this unique value",
	"EXPIRED_AUTHENTICATION":   "the token has expired; give the destination a new one, or run `callsync login`",
	"INVALID_AUTHENTICATION":   "the token is not valid; copy the service key (or the private app's token) again from HubSpot",
}

func hint(e *crm.Error, scopes string) string {
	if scopes != "" {
		return "give the app the missing scope: " + scopes
	}
	if strings.Contains(e.Message, "GDPR") {
		return "the person had their data deleted for good, and HubSpot keeps the address out; it cannot be written again"
	}
	if h := hints[e.Code]; h != "" {
		return h
	}
	switch e.Kind {
	case crm.Credential:
		if e.Status == http.StatusForbidden {
			return "the token lacks a scope or permission for this; check the app's scopes in HubSpot"
		}
		return "HubSpot does not accept the token; give the destination a new one, or run `callsync login`"
	case crm.Quota:
		return "the portal's daily request quota is spent; it starts anew at midnight in the portal's time zone"
	case crm.Gone:
		return "a record was deleted or merged in HubSpot"
	case crm.Permanent:
		if e.Property != "" {
			return "change what the mapping gives for " + e.Property + ", or take it out; `callsync check` compares the mapping with what the portal has"
		}
		return "`callsync check` compares the mapping with what the portal has"
	}
	return ""
}

func unique(list []string) []string {
	var out []string
	seen := map[string]bool{"": true}
	for _, s := range list {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}
