package hubspotsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// apiError is HubSpot's error body. Source: HubSpot error handling reference.
type apiError struct {
	status        int
	traceContext  map[string][]string // goes into a multi-status error only
	Message       string
	CorrelationID string
	Category      string
	SubCategory   string
	Errors        []errorDetail
	Context       map[string][]string
	Links         map[string]string
	ErrorType     string
	PolicyName    string
}

type errorDetail struct {
	Message string              `json:"message"`
	In      string              `json:"in,omitempty"`
	Code    string              `json:"code,omitempty"`
	Context map[string][]string `json:"context,omitempty"`
}

// MarshalJSON renders the body of a refused request.
func (e *apiError) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Status        string              `json:"status"`
		Message       string              `json:"message"`
		CorrelationID string              `json:"correlationId"`
		Category      string              `json:"category,omitempty"`
		SubCategory   string              `json:"subCategory,omitempty"`
		Errors        []errorDetail       `json:"errors,omitempty"`
		Context       map[string][]string `json:"context,omitempty"`
		Links         map[string]string   `json:"links,omitempty"`
		ErrorType     string              `json:"errorType,omitempty"`
		PolicyName    string              `json:"policyName,omitempty"`
	}{"error", e.Message, e.CorrelationID, e.Category, e.SubCategory, e.Errors, e.Context, e.Links, e.ErrorType, e.PolicyName})
}

// itemError is one error of a 207 answer.
type itemError struct {
	Status      string              `json:"status"`
	Category    string              `json:"category"`
	SubCategory string              `json:"subCategory,omitempty"`
	Message     string              `json:"message"`
	Context     map[string][]string `json:"context"`
}

// item renders the error inside a 207 answer, where HubSpot names the input
// by its trace id.
func (e *apiError) item(traceID string) itemError {
	ctx := map[string][]string{}
	for k, v := range e.Context {
		ctx[k] = v
	}
	for k, v := range e.traceContext {
		ctx[k] = v
	}
	if traceID != "" {
		ctx["objectWriteTraceId"] = []string{traceID}
	}
	return itemError{"error", e.Category, e.SubCategory, e.Message, ctx}
}

func invalid(message string) *apiError {
	return &apiError{status: http.StatusBadRequest, Category: "VALIDATION_ERROR", Message: message}
}

func notFound(message string) *apiError {
	return &apiError{status: http.StatusNotFound, Category: "OBJECT_NOT_FOUND", Message: message}
}

// badValue is what is wrong with one property's value.
type badValue struct{ name, code, message string }

// badValues renders refused property values. HubSpot puts a JSON array into
// the message and says which property, but not which input, it means.
func (s *Server) badValues(bad []badValue) *apiError {
	type entry struct {
		IsValid   bool   `json:"isValid"`
		Message   string `json:"message"`
		Error     string `json:"error"`
		Name      string `json:"name"`
		Localized string `json:"localizedErrorMessage"`
		PortalID  int    `json:"portalId"`
	}
	e := invalid("")
	var entries []entry
	for _, b := range bad {
		entries = append(entries, entry{false, b.message, b.code, b.name, b.message, s.opts.PortalID})
		e.Errors = append(e.Errors, errorDetail{
			Message: b.message, Code: b.code, Context: map[string][]string{"propertyName": {b.name}},
		})
	}
	list, _ := json.Marshal(entries) // strings and numbers only
	e.Message = "Property values were not valid: " + string(list)
	return e
}

// faultBody renders an injected error. kind is an error category, for 429 a
// policy name, or "html".
func faultBody(status int, kind string) (string, []byte) {
	if kind == "html" || kind == "" && (status == http.StatusBadGateway || status == http.StatusGatewayTimeout) {
		text := fmt.Sprintf("%d %s", status, http.StatusText(status))
		return "text/html; charset=utf-8", []byte("<html>\r\n<head><title>" + text + "</title></head>\r\n<body>\r\n<center><h1>" + text + "</h1></center>\r\n</body>\r\n</html>\r\n")
	}
	var e *apiError
	switch status {
	case http.StatusTooManyRequests:
		if kind == "" {
			kind = policyTenSeconds
		}
		e = tooMany(kind)
	case http.StatusBadRequest:
		e = invalid("The request was not valid")
	case http.StatusUnauthorized:
		e = unauthorized()
	case http.StatusForbidden:
		e = missingScopes(nil)
	case http.StatusNotFound:
		e = notFound("resource not found")
	case http.StatusConflict:
		e = &apiError{Category: "CONFLICT", Message: "The request conflicts with another"}
	default:
		e = &apiError{Message: "internal error"}
	}
	if kind != "" && status != http.StatusTooManyRequests {
		e.Category = strings.ToUpper(kind)
	}
	e.CorrelationID = correlationID()
	body, _ := json.Marshal(e) // strings only
	return "application/json;charset=utf-8", body
}
