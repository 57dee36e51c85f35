package salesforce

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/callsync/callsync/crm"
)

// An apiError is one error as Salesforce spells it: with errorCode in answers
// to single requests, with statusCode in those to collections.
type apiError struct {
	ErrorCode  string          `json:"errorCode"`
	StatusCode string          `json:"statusCode"`
	Message    string          `json:"message"`
	Fields     []string        `json:"fields"`
	Misspelt   *duplicateFound `json:"duplicateResut"` // sic
	Duplicate  *duplicateFound `json:"duplicateResult"`
}

// A duplicateFound is what a duplicate rule matched.
type duplicateFound struct {
	MatchResults []struct {
		EntityType   string `json:"entityType"`
		MatchRecords []struct {
			MatchConfidence float64 `json:"matchConfidence"`
			Record          struct {
				Attributes struct {
					Type string `json:"type"`
				} `json:"attributes"`
				ID string `json:"Id"`
			} `json:"record"`
		} `json:"matchRecords"`
	} `json:"matchResults"`
}

func (e apiError) code() string {
	if e.ErrorCode != "" {
		return e.ErrorCode
	}
	return e.StatusCode
}

// unreachable is the error of a request without an answer.
func unreachable(op string, err error) error {
	var known *crm.Error
	if errors.As(err, &known) {
		return known
	}
	message := "no answer from Salesforce: " + err.Error()
	if errors.Is(err, context.DeadlineExceeded) {
		message = "no answer from Salesforce in time"
	}
	return &crm.Error{Kind: crm.Transient, Op: op, Message: message, Err: err}
}

// notJSON is the error of an answer within 2xx that cannot be read. status is 0
// where it is not known.
func notJSON(op string, status int) error {
	return &crm.Error{
		Kind: crm.Transient, Op: op, Status: status, Message: "the answer is not the JSON that was expected",
		Hint: "something between callsync and Salesforce may have replaced the answer",
	}
}

// refusal is the error of an answer outside 2xx. The body is an array of
// errors, or of one; proxies answer with HTML, which is not looked into.
func refusal(op string, status int, header http.Header, body []byte) *crm.Error {
	var list []apiError
	if json.Unmarshal(body, &list) != nil {
		var one apiError
		if json.Unmarshal(body, &one) == nil {
			list = []apiError{one}
		}
	}
	first := apiError{}
	if len(list) > 0 {
		first = list[0]
	}
	e := explain(op, status, first, nil)
	if e.Code == "" && e.Kind != crm.Transient && status != http.StatusUnauthorized && !crm.TooLarge(status) {
		e.Kind, e.Hint = crm.Transient, "the answer is not Salesforce's: something between callsync and the org may have answered in its place"
	}
	if s, err := strconv.Atoi(header.Get("Retry-After")); err == nil && s > 0 && s < 1e6 {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	e.RequestID = header.Get("X-Request-Id")
	return e
}

// explain turns a Salesforce error into a neutral one. values are what the
// request held; none of them appears in the message.
func explain(op string, status int, a apiError, values []string) *crm.Error {
	e := &crm.Error{Op: op, Status: status, Code: a.code(), Message: message(a, values)}
	if len(a.Fields) > 0 {
		e.Property = a.Fields[0]
	} else if m := unknownField.FindStringSubmatch(a.Message); m != nil {
		e.Property = m[1]
	}
	known, ok := codes[e.Code]
	switch {
	case e.Code == "REQUEST_LIMIT_EXCEEDED" && strings.Contains(a.Message, "Concurrent"):
		e.Kind = crm.Transient
	case strings.Contains(a.Message, "UNABLE_TO_LOCK_ROW"):
		e.Kind = crm.Transient // a trigger met the lock: the code is the trigger's
	case ok:
		e.Kind, e.Hint = known.kind, known.hint
	case strings.HasPrefix(e.Code, "INSUFFICIENT_ACCESS"):
		e.Kind, e.Hint = crm.Permanent, "give callsync's user access to the object and the record"
	default:
		e.Kind = kindOfStatus(status)
	}
	if e.Kind == crm.Quota {
		e.RetryAfter = quotaPause
	}
	return e
}

func kindOfStatus(status int) crm.ErrorKind {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return crm.Credential
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status >= 500,
		status >= 300 && status <= 399: // an org that is being moved sends elsewhere
		return crm.Transient
	default:
		return crm.Permanent
	}
}

func sessionRefused(err error) bool {
	var e *crm.Error
	return errors.As(err, &e) && e.Status == http.StatusUnauthorized
}

type knownCode struct {
	kind crm.ErrorKind
	hint string
}

const duplicateHint = "another record holds this unique value or matches a duplicate rule; merge the two in Salesforce"

// codes are the status codes whose meaning is not clear from the HTTP status
// (REST API Developer Guide, "Status Codes and Error Responses"; SOAP API
// Developer Guide, "StatusCode").
var codes = map[string]knownCode{
	"UNABLE_TO_LOCK_ROW":       {kind: crm.Transient},
	"SERVER_UNAVAILABLE":       {kind: crm.Transient},
	"REQUEST_RUNNING_TOO_LONG": {kind: crm.Transient},
	"QUERY_TIMEOUT":            {kind: crm.Transient},
	"UNKNOWN_EXCEPTION":        {kind: crm.Transient},
	"PROCESSING_HALTED":        {kind: crm.Transient},

	"INVALID_SESSION_ID":        {crm.Credential, "the session ended and could not be renewed; check the connected app"},
	"API_CURRENTLY_DISABLED":    {crm.Credential, "the API is disabled for this user or org; the edition must include API access"},
	"API_DISABLED_FOR_ORG":      {crm.Credential, "the org's edition does not include API access"},
	"REQUEST_LIMIT_EXCEEDED":    {crm.Quota, "the org has used its API requests of the last 24 hours; callsync goes on by itself as usage falls (Setup, Company Information, API Requests)"},
	"STORAGE_LIMIT_EXCEEDED":    {crm.Quota, "the org's data storage is full; free some or buy more (Setup, Storage Usage)"},
	"DUPLICATE_VALUE":           {crm.Permanent, duplicateHint},
	"DUPLICATES_DETECTED":       {crm.Permanent, duplicateHint},
	"ENTITY_IS_DELETED":         {kind: crm.Gone},
	"INVALID_FIELD":             {crm.Permanent, "the field does not exist or field-level security hides it from callsync's user; run `callsync check`"},
	"REQUIRED_FIELD_MISSING":    {crm.Permanent, "the org requires this field: give it a value in the mapping"},
	"STRING_TOO_LONG":           {crm.Permanent, "shorten the value in the mapping, with truncate"},
	"INACTIVE_OWNER_OR_USER":    {crm.Permanent, "the owner's user is not active"},
	"INVALID_EMAIL_ADDRESS":     {crm.Permanent, "Salesforce does not accept the email address: clear or correct it in the mapping"},
	"FIELD_INTEGRITY_EXCEPTION": {crm.Permanent, "a value does not fit the record: change what the mapping gives for the field, or take it out"},

	"CANNOT_UPDATE_CONVERTED_LEAD":            {crm.Gone, "the lead was converted; its contact takes its place"},
	"INVALID_FIELD_FOR_INSERT_UPDATE":         {crm.Permanent, "the field cannot be written in this way; run `callsync check`"},
	"INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": {crm.Permanent, "the picklist does not allow the value: add it in Salesforce or change the mapping"},
	"FIELD_CUSTOM_VALIDATION_EXCEPTION":       {crm.Permanent, "a validation rule of the org refuses the record: change what the mapping gives, or the rule"},
	"CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY":    {crm.Permanent, "an Apex trigger or flow of the org failed on the record"},
}

// worded codes have messages made of the org's own names and rules. Those of
// other codes may quote a query, whose values are not known here, and are
// replaced; of a write the values are known, and taken out of the message.
var worded = map[string]bool{
	"REQUIRED_FIELD_MISSING": true, "FIELD_CUSTOM_VALIDATION_EXCEPTION": true,
	"INVALID_FIELD_FOR_INSERT_UPDATE": true, "REQUEST_LIMIT_EXCEEDED": true,
	"INVALID_SESSION_ID": true, "UNABLE_TO_LOCK_ROW": true, "ENTITY_IS_DELETED": true,
	"SERVER_UNAVAILABLE": true, "QUERY_TIMEOUT": true, "REQUEST_RUNNING_TOO_LONG": true,
	"CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": true, "FIELD_INTEGRITY_EXCEPTION": true,
	"CANNOT_UPDATE_CONVERTED_LEAD": true, "API_CURRENTLY_DISABLED": true,
	"API_DISABLED_FOR_ORG": true, "STORAGE_LIMIT_EXCEEDED": true, "NOT_FOUND": true,
	"INVALID_FIELD": true, "INACTIVE_OWNER_OR_USER": true, "PROCESSING_HALTED": true,
	"INSUFFICIENT_ACCESS_OR_READONLY": true, "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": true,
	"INVALID_CROSS_REFERENCE_KEY": true, "INVALID_TYPE": true, "DUPLICATE_DEVELOPER_NAME": true,
}

// quoting codes have messages that quote a value in a form of Salesforce's own.
var quoting = map[string]bool{
	"INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": true, "INVALID_EMAIL_ADDRESS": true,
	"JSON_PARSER_ERROR": true, "NUMBER_OUTSIDE_VALID_RANGE": true,
}

// unknownField is how Salesforce names a field that it does not have.
var unknownField = regexp.MustCompile(`No such column '(\w+)'`)

var maxLength = regexp.MustCompile(`\(max length=\d+\)`)

// message is Salesforce's words without personal data.
func message(a apiError, values []string) string {
	fields := ""
	if len(a.Fields) > 0 {
		fields = " (" + strings.Join(a.Fields, ", ") + ")"
	}
	switch code := a.code(); {
	case code == "":
		return "Salesforce gave no reason"
	case code == "STRING_TOO_LONG":
		return "the value is too long " + maxLength.FindString(a.Message) + fields
	case code == "DUPLICATE_VALUE":
		return "a record with this unique value exists" + fields
	case code == "DUPLICATES_DETECTED":
		return "a duplicate rule matched an existing record"
	case worded[code], values != nil && !quoting[code]:
		// Errors about a statement quote it; the last line is the reason.
		lines := strings.Split(strings.TrimSpace(a.Message), "\n")
		if reason := scrub(lines[len(lines)-1], values); reason != "" {
			return reason + fields
		}
	}
	return "refused" + fields
}

var (
	emailLike  = regexp.MustCompile(`[^\s<>'"(,;:=]+@[^\s<>'"),;]+`)
	numberLike = regexp.MustCompile(`\+?\(?\d[\d\s().\-]{5,}\d`)
)

// scrub removes from s the values given and whatever looks like an email
// address or a phone number.
func scrub(s string, values []string) string {
	for _, v := range values {
		if len(v) >= 3 {
			s = strings.ReplaceAll(s, v, "[value]")
		}
	}
	s = emailLike.ReplaceAllString(s, "[email]")
	return numberLike.ReplaceAllString(s, "[number]")
}
