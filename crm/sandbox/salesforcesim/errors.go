package salesforcesim

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// An apiError is one refusal in the terms of the REST API. Rows answer it as
// an element of an array with "errorCode", collections with "statusCode".
type apiError struct {
	status  int
	code    string
	message string
	fields  []string
	// duplicates are the records a duplicate rule found, answered under
	// duplicatesName.
	duplicates     []*row
	duplicatesName string
	// choices are the URLs of a 300, for an external id several records have.
	choices []string
	// wholeRequest is set on errors that Salesforce finds while it parses the
	// body, before it looks at single records.
	wholeRequest bool
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

func fail(status int, code, format string, args ...any) *apiError {
	return &apiError{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

// bad is a 400 with the fields at fault.
func bad(code, message string, fields ...string) *apiError {
	return &apiError{status: http.StatusBadRequest, code: code, message: message, fields: fields}
}

func parseError(format string, args ...any) *apiError {
	e := fail(http.StatusBadRequest, "JSON_PARSER_ERROR", format, args...)
	e.wholeRequest = true
	return e
}

var errNotFound = fail(http.StatusNotFound, "NOT_FOUND", "The requested resource does not exist")

// body renders e as an sObject row resource answers it.
func (e *apiError) body() any {
	if e.choices != nil {
		return e.choices
	}
	item := map[string]any{"message": e.message, "errorCode": e.code}
	if e.fields != nil {
		item["fields"] = e.fields
	}
	if e.duplicates != nil {
		item[e.duplicatesName] = duplicateResult(e.duplicates)
	}
	return []any{item}
}

// saveError renders e as an element of a collection's "errors".
func (e *apiError) saveError() any {
	fields := e.fields
	if fields == nil {
		fields = []string{}
	}
	item := map[string]any{"statusCode": e.code, "message": e.message, "fields": fields}
	if e.duplicates != nil {
		item[e.duplicatesName] = duplicateResult(e.duplicates)
	}
	return item
}

// duplicateResult has the parts of a DuplicateResult that a client acts on.
func duplicateResult(found []*row) any {
	records := make([]any, 0, len(found))
	for _, r := range found {
		records = append(records, map[string]any{
			"additionalInformation": []any{},
			"fieldDiffs":            []any{},
			"matchConfidence":       100.0,
			"record": map[string]any{
				"attributes": map[string]any{
					"type": r.object.Name, "url": "/services/data/v66.0/sobjects/" + r.object.Name + "/" + r.id,
				},
				"Id": r.id,
			},
		})
	}
	name := found[0].object.Name
	return map[string]any{
		"allowSave":               true,
		"duplicateRule":           "Standard_" + name + "_Duplicate_Rule",
		"duplicateRuleEntityType": name,
		"errorMessage":            "You're creating a duplicate record. We recommend you use an existing record instead.",
		"matchResults": []any{map[string]any{
			"entityType":   name,
			"errors":       []any{},
			"matchEngine":  "ExactMatchEngine",
			"matchRecords": records,
			"rule":         "Standard_" + name + "_Match_Rule",
			"size":         len(found),
			"success":      true,
		}},
	}
}

// faultCodes are the errorCodes a fault gets that names no kind.
var faultCodes = map[int]string{
	http.StatusUnauthorized:        "INVALID_SESSION_ID",
	http.StatusForbidden:           "REQUEST_LIMIT_EXCEEDED",
	http.StatusNotFound:            "NOT_FOUND",
	http.StatusTooManyRequests:     "REQUEST_LIMIT_EXCEEDED",
	http.StatusInternalServerError: "UNKNOWN_EXCEPTION",
	http.StatusServiceUnavailable:  "SERVER_UNAVAILABLE",
}

// faultMessages are what Salesforce says with some errorCodes.
var faultMessages = map[string]string{
	"INVALID_SESSION_ID":       "Session expired or invalid",
	"REQUEST_LIMIT_EXCEEDED":   "TotalRequests Limit exceeded.",
	"SERVER_UNAVAILABLE":       "Server is too busy. Please try your request again later.",
	"UNABLE_TO_LOCK_ROW":       "unable to obtain exclusive access to this record",
	"REQUEST_RUNNING_TOO_LONG": "Your request was running for too long, and has been stopped.",
	"QUERY_TIMEOUT":            "Your query request was running for too long.",
}

// faultBody renders an injected error the way the REST API would.
func faultBody(status int, kind string) (string, []byte) {
	if kind == "html" {
		return "text/html; charset=utf-8", []byte("<html><head><title>Error</title></head><body><h1>Service Unavailable</h1></body></html>")
	}
	if kind == "" {
		kind = faultCodes[status]
	}
	if kind == "" {
		kind = "UNKNOWN_EXCEPTION"
	}
	message := faultMessages[kind]
	if message == "" {
		message = "An unexpected error occurred."
	}
	body, err := json.Marshal([]any{map[string]string{"message": message, "errorCode": kind}})
	if err != nil {
		return "text/plain; charset=utf-8", []byte(err.Error())
	}
	return "application/json;charset=UTF-8", body
}
