package hubspot_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/callsync/callsync/crm"
)

// against opens a portal whose every request h answers.
func against(t interface {
	Fatal(...any)
	Cleanup(func())
}, h http.HandlerFunc) crm.Destination {
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	d, err := crm.Open(crm.Settings{Name: "hs", Type: "hubspot", BaseURL: srv.URL, AccessToken: "secret-token", RatePerSecond: 1e6, SearchPerSecond: 1e6})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestErrors(t *testing.T) {
	tests := []struct {
		name   string
		status int
		body   string
		header http.Header
		want   crm.Error
		hint   string
	}{
		{
			name: "gateway in HTML", status: 502, body: "<html><body>502 Bad Gateway ann@example.com</body></html>",
			want: crm.Error{Kind: crm.Transient, Status: 502, Message: "Bad Gateway"},
		},
		{
			name: "gateway timeout", status: 504, body: "upstream",
			want: crm.Error{Kind: crm.Transient, Status: 504, Message: "Gateway Timeout"},
		},
		{
			name: "somebody else's 403", status: 403, body: "<html>blocked</html>",
			want: crm.Error{Kind: crm.Transient, Status: 403, Message: "Forbidden"},
			hint: "not HubSpot's",
		},
		{
			name: "somebody else's 404", status: 404, body: `{"reason":"no route"}`,
			want: crm.Error{Kind: crm.Transient, Status: 404, Message: "Not Found"},
			hint: "not HubSpot's",
		},
		{
			name: "too large for a gateway", status: 413, body: "<html>",
			want: crm.Error{Kind: crm.Permanent, Status: 413, Message: "Request Entity Too Large"},
		},
		{
			name: "no token, without words", status: 401, body: "",
			want: crm.Error{Kind: crm.Credential, Status: 401, Message: "Unauthorized"},
		},
		{
			name: "expired", status: 401, body: `{"status":"error","message":"The OAuth token used to make this call expired 2 hours ago.","correlationId":"c-1","category":"EXPIRED_AUTHENTICATION"}`,
			want: crm.Error{Kind: crm.Credential, Status: 401, Code: "EXPIRED_AUTHENTICATION", RequestID: "c-1", Message: "The OAuth token used to make this call expired 2 hours ago."},
			hint: "expired",
		},
		{
			name: "scope", status: 403, body: `{"status":"error","message":"This app hasn't been granted all required scopes to make this call.","category":"MISSING_SCOPES","errors":[{"message":"One or more of the following scopes are required.","context":{"requiredGranularScopes":["crm.objects.contacts.read"]}}]}`,
			want: crm.Error{Kind: crm.Credential, Status: 403, Code: "MISSING_SCOPES", Message: "This app hasn't been granted all required scopes to make this call.; One or more of the following scopes are required."},
			hint: "crm.objects.contacts.read",
		},
		{
			name: "scope, context as text", status: 403, body: `{"message":"no","category":"MISSING_SCOPES","errors":[{"message":"no","context":"{missingScopes=[scope.one, scope.two]}"}]}`,
			want: crm.Error{Kind: crm.Credential, Status: 403, Code: "MISSING_SCOPES", Message: "no"},
			hint: "scope.one, scope.two",
		},
		{
			name: "ten seconds", status: 429, header: http.Header{"Retry-After": {"7"}}, body: `{"message":"You have reached your ten_secondly_rolling limit.","errorType":"RATE_LIMIT","policyName":"TEN_SECONDLY_ROLLING"}`,
			want: crm.Error{Kind: crm.Transient, Status: 429, Code: "TEN_SECONDLY_ROLLING", RetryAfter: 7 * time.Second, Message: "You have reached your ten_secondly_rolling limit."},
		},
		{
			name: "daily", status: 429, body: `{"message":"You have reached your daily limit.","errorType":"RATE_LIMIT","policyName":"DAILY"}`,
			want: crm.Error{Kind: crm.Quota, Status: 429, Code: "DAILY", RetryAfter: time.Hour, Message: "You have reached your daily limit."},
			hint: "midnight",
		},
		{
			name: "moving", status: 477, header: http.Header{"Retry-After": {"60"}}, body: `{"message":"Migration in progress"}`,
			want: crm.Error{Kind: crm.Transient, Status: 477, RetryAfter: time.Minute, Message: "Migration in progress"},
		},
		{
			name: "locked", status: 423, body: `{"message":"Locked"}`,
			want: crm.Error{Kind: crm.Transient, Status: 423, Message: "Locked"},
		},
		{
			name: "redirect", status: 302, header: http.Header{"Location": {"https://elsewhere.example/"}}, body: "",
			want: crm.Error{Kind: crm.Transient, Status: 302, Message: "Found"},
		},
		{
			name: "validation", status: 400, body: `{"message":"Property values were not valid: [{\"isValid\":false,\"message\":\"SECRET was not one of the allowed options: [label: \\\"Busy\\\" value: \\\"BUSY\\\"]\",\"error\":\"INVALID_OPTION\",\"name\":\"hs_call_status\"}]","category":"VALIDATION_ERROR"}`,
			want: crm.Error{Kind: crm.Permanent, Status: 400, Code: "INVALID_OPTION", Property: "hs_call_status", Message: `Property values were not valid; … was not one of the allowed options: [label: "…" value: "BUSY"]`},
			hint: "option",
		},
		{
			name: "unknown property, details", status: 400, body: `{"message":"There was a problem with the request.","category":"VALIDATION_ERROR","errors":[{"message":"Property \"fooo_bar\" does not exist","code":"PROPERTY_DOESNT_EXIST","context":{"propertyName":["fooo_bar"]}}]}`,
			want: crm.Error{Kind: crm.Permanent, Status: 400, Code: "PROPERTY_DOESNT_EXIST", Property: "fooo_bar", Message: `There was a problem with the request.; Property "fooo_bar" does not exist`},
			hint: "callsync check",
		},
		{
			name: "conflict", status: 409, body: `{"message":"Contact already exists. Existing ID: 123","category":"CONFLICT","correlationId":"c-2"}`,
			want: crm.Error{Kind: crm.Exists, Status: 409, Code: "CONFLICT", RequestID: "c-2", Existing: crm.Ref{Object: "contacts", ID: "123"}, Message: "Contact already exists. Existing ID: 123"},
		},
		{
			name: "unique value as 400", status: 400, body: `{"message":"Property values were not valid: [{\"message\":\"Cannot set PropertyValueCoordinates{propertyName=callsync_contact_key, value=SECRET}. 77 already has that value.\",\"error\":\"CONFLICTING_UNIQUE_VALUE\",\"name\":\"callsync_contact_key\"}]","category":"VALIDATION_ERROR"}`,
			want: crm.Error{Kind: crm.Exists, Status: 400, Code: "CONFLICTING_UNIQUE_VALUE", Property: "callsync_contact_key", Existing: crm.Ref{Object: "contacts", ID: "77"}, Message: "Property values were not valid; Cannot set PropertyValueCoordinates{propertyName=callsync_contact_key, value=…}. 77 already has that value."},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := against(t, func(w http.ResponseWriter, _ *http.Request) {
				for name, v := range test.header {
					w.Header()[name] = v
				}
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.body))
			})
			create := contact("SECRET", "ann@example.com")
			e := asError(t, d.Write(t.Context(), []crm.Change{create})[0], test.want.Kind)
			test.want.Op = "contacts batch create"
			if !strings.Contains(e.Hint, test.hint) {
				t.Errorf("hint %q", e.Hint)
			}
			got := *e
			got.Hint = ""
			if got.RetryAfter.Round(time.Minute) == time.Hour {
				got.RetryAfter = time.Hour
			}
			if got != test.want {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	d, err := crm.Open(crm.Settings{Name: "hs", Type: "hubspot", BaseURL: "http://127.0.0.1:1", AccessToken: "secret-token"})
	if err != nil {
		t.Fatal(err)
	}
	e := asError(t, d.Write(t.Context(), []crm.Change{contact("+15551234567", "")})[0], crm.Transient)
	if e.Status != 0 || e.Err == nil || e.Hint == "" {
		t.Errorf("%+v", e)
	}
}

// Whatever HubSpot echoes of a request, the error holds none of its values.
func TestErrorsHoldNoValues(t *testing.T) {
	var message string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]any{
			"message": message, "category": "VALIDATION_ERROR",
			"errors": []map[string]any{{"message": message, "code": "INVALID", "context": map[string][]string{"value": {message}}}},
		})
	}))
	defer srv.Close()
	d, err := crm.Open(crm.Settings{Name: "hs", Type: "hubspot", BaseURL: srv.URL, AccessToken: "secret-token", RatePerSecond: 1e6})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.StringMatching(`[A-ZÄÖ][a-zé]{1,8}( [A-Z][a-z]{2,8})?`).Draw(rt, "name")
		email := rapid.StringMatching(`[a-z]{2,6}\.[a-z]{2,6}@[a-z]{3,8}\.(example|com)`).Draw(rt, "email")
		phone := rapid.StringMatching(`\+[1-9][0-9]{9,12}`).Draw(rt, "phone")
		layout := rapid.SampledFrom([]string{
			"%s was not valid", `"%s" is not valid`, "Cannot set {value=%s}.", "Email address %s is invalid", "[%s] (%s)", "'%s'",
		}).Draw(rt, "layout")
		for _, v := range []string{name, email, strings.ToUpper(email), phone} {
			if strings.Contains(layout, v) {
				continue // "Ca" is a name, and a part of "Cannot"
			}
			message = strings.ReplaceAll(layout, "%s", v)
			create := contact(phone, email)
			create.Properties["firstname"] = crm.Str(name)
			r := d.Write(t.Context(), []crm.Change{create})[0]
			if r.Err == nil || strings.Contains(fmt.Sprintf("%v %+v", r.Err, r.Err), v) {
				rt.Fatalf("value %q is in the error: %+v", v, r.Err)
			}
		}
	})
}

// Batches of different types, and of one type, are under way together.
func TestWriteConcurrently(t *testing.T) {
	const batches = 4
	arrived := make(chan struct{}, batches)
	release := make(chan struct{})
	d := against(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		select {
		case <-release:
		case <-r.Context().Done():
		}
		w.WriteHeader(http.StatusBadGateway)
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		changes := append(calls(250, ""), contact("+15551234567", "")) // three batches of calls, one of contacts
		d.Write(t.Context(), changes)
	}()
	for range batches {
		select {
		case <-arrived:
		case <-time.After(10 * time.Second):
			t.Fatal("the batches wait for one another")
		}
	}
	close(release)
	<-done
}

// A conflict that does not name the record is looked up; one that cannot be
// found is tried again later rather than given up.
func TestNamelessConflict(t *testing.T) {
	for _, there := range []bool{true, false} {
		d := against(t, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.Contains(r.URL.Path, "/crm/properties/"):
				_, _ = w.Write([]byte(`{"name":"callsync_contact_key","hasUniqueValue":true}`))
			case strings.HasSuffix(r.URL.Path, "/batch/read") && there:
				_, _ = w.Write([]byte(`{"results":[{"id":55,"properties":{"callsync_contact_key":"+15551234567"}}]}`))
			case strings.HasSuffix(r.URL.Path, "/batch/read"):
				w.WriteHeader(http.StatusMultiStatus)
				_, _ = w.Write([]byte(`{"results":[],"errors":[{"category":"OBJECT_NOT_FOUND","context":{"ids":["x"]}}]}`))
			default:
				w.WriteHeader(http.StatusMultiStatus)
				_, _ = w.Write([]byte(`{"results":[],"errors":[{"category":"CONFLICT","message":"A record with that value exists","context":{"objectWriteTraceId":["0"]}}]}`))
			}
		})
		r := d.Write(t.Context(), []crm.Change{contact("+15551234567", "ann@example.com")})[0]
		if !there {
			asError(t, r, crm.Transient)
			continue
		}
		if e := asError(t, r, crm.Exists); e.Existing != (crm.Ref{Object: "contacts", ID: "55"}) {
			t.Errorf("existing %v", e.Existing)
		}
	}
}

// The missing ids of a batch read may also refuse it whole.
func TestReadRefusedWhole(t *testing.T) {
	d := against(t, func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Inputs []struct{ ID string } `json:"inputs"`
		}
		_ = json.NewDecoder(r.Body).Decode(&body)
		if len(body.Inputs) > 1 {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"category":"OBJECT_NOT_FOUND","message":"Could not get some CALL objects","context":{"ids":["2","3"]}}`))
			return
		}
		_, _ = w.Write([]byte(`{"results":[{"id":"1","properties":{"hs_call_title":null}}]}`))
	})
	got, err := d.Read(t.Context(), []crm.Ref{{Object: "calls", ID: "1"}, {Object: "calls", ID: "2"}, {Object: "calls", ID: "3"}}, []string{"hs_call_title"})
	if err != nil {
		t.Fatal(err)
	}
	if got[0].Gone || !got[1].Gone || !got[2].Gone {
		t.Errorf("got %+v", got)
	}
}

// In a multi-status answer every input has its own fate.
func TestMultiStatusKinds(t *testing.T) {
	d := against(t, answer(http.StatusMultiStatus, `{"status":"COMPLETE","results":[{"id":"9","objectWriteTraceId":"1","properties":{}}],"numErrors":2,"errors":[
		{"status":"error","category":"INTERNAL_ERROR","message":"try again","context":{"objectWriteTraceId":["0"]}},
		{"status":"error","category":"VALIDATION_ERROR","message":"no","context":{"objectWriteTraceId":["2"]}}]}`))
	results := d.Write(t.Context(), calls(3, ""))
	asError(t, results[0], crm.Transient)
	if results[1].Err != nil || results[1].ID != "9" {
		t.Errorf("got %+v", results[1])
	}
	asError(t, results[2], crm.Permanent)
}
