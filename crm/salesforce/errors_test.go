package salesforce

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/callsync/callsync/crm"
)

func TestMessagesTellNoValues(t *testing.T) {
	values := []string{"Jane", "jane@example.com", "+15551234567", "Carrier pigeon"}
	for _, a := range []apiError{
		{ErrorCode: "FIELD_CUSTOM_VALIDATION_EXCEPTION", Message: "Jane must not be called at +1 (555) 123-4567"},
		{ErrorCode: "INVALID_EMAIL_ADDRESS", Message: "Email: invalid email address: jane@example.com", Fields: []string{"Email"}},
		{ErrorCode: "STRING_TOO_LONG", Message: "First Name: data value too large: Jane (max length=3)", Fields: []string{"FirstName"}},
		{ErrorCode: "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", Message: "bad value for restricted picklist field: Carrier pigeon"},
		{ErrorCode: "JSON_PARSER_ERROR", Message: "Cannot deserialize instance of date from VALUE_STRING value Jane"},
		{ErrorCode: "SOMETHING_NEW", Message: "Jane, or somebody.else@example.com, at 555-987-6543"},
		{ErrorCode: "DUPLICATE_VALUE", Message: "duplicate value found: Email duplicates value jane@example.com on record with id: 003000000000001"},
	} {
		e := explain("Contact create", 400, a, values)
		for _, secret := range []string{"Jane", "jane", "somebody", "555", "pigeon"} {
			if strings.Contains(e.Error(), secret) {
				t.Errorf("%s: %q tells %q", a.ErrorCode, e.Error(), secret)
			}
		}
		if e.Message == "" {
			t.Errorf("%s: no message", a.ErrorCode)
		}
	}
	e := explain("Contact create", 400, apiError{ErrorCode: "STRING_TOO_LONG", Message: "data value too large: x (max length=40)", Fields: []string{"FirstName"}}, values)
	if !strings.Contains(e.Message, "40") || e.Property != "FirstName" {
		t.Errorf("%+v: what a person needs is missing", e)
	}
	e = explain("Contact query", 400, apiError{ErrorCode: "SOMETHING_NEW", Message: "WHERE LastName = 'Doe'"}, nil)
	if strings.Contains(e.Error(), "Doe") {
		t.Errorf("%q quotes a query", e.Error())
	}
	e = explain("Contact query", 400, apiError{ErrorCode: "INVALID_FIELD", Message: "WHERE LastName = 'Doe'\n ^\nERROR at Row:1:Column:8\nNo such column 'Nonesuch'"}, nil)
	if strings.Contains(e.Error(), "Doe") || !strings.Contains(e.Error(), "Nonesuch") {
		t.Errorf("%q: want the reason without the query", e.Error())
	}
}

// A refusal names the field, whether Salesforce does so in its list or its words.
func TestRefusalsNameTheField(t *testing.T) {
	for _, a := range []apiError{
		{ErrorCode: "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", Message: "bad value for restricted picklist field: Jane", Fields: []string{"Rating__c"}},
		{ErrorCode: "INVALID_FIELD", Message: "No such column 'Rating__c' on sobject of type Task"},
		{ErrorCode: "FIELD_CUSTOM_VALIDATION_EXCEPTION", Message: "Jane may not be rated", Fields: []string{"Rating__c"}},
	} {
		e := explain("Task create", 400, a, []string{"Jane"})
		if text := e.Error(); e.Property != "Rating__c" || strings.Count(text, "Rating__c") != 1 || strings.Contains(text, "Jane") || e.Hint == "" {
			t.Errorf("%s: %q about %q, hint %q", a.ErrorCode, text, e.Property, e.Hint)
		}
	}
}

func TestATriggerThatMetALockIsTransient(t *testing.T) {
	a := apiError{ErrorCode: "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", Message: "TaskTrigger: execution of AfterInsert caused by: UNABLE_TO_LOCK_ROW, unable to obtain exclusive access"}
	if e := explain("Task create", 0, a, []string{}); e.Kind != crm.Transient {
		t.Errorf("%+v, want Transient", e)
	}
	a.Message = "TaskTrigger: something else"
	if e := explain("Task create", 0, a, []string{}); e.Kind != crm.Permanent || e.Hint == "" {
		t.Errorf("%+v, want Permanent with a hint", e)
	}
}

func TestDuplicatesAreReadInEitherSpelling(t *testing.T) {
	for _, key := range []string{"duplicateResut", "duplicateResult"} {
		body := `{"statusCode":"DUPLICATES_DETECTED","message":"Use one of these records?","` + key + `":{"matchResults":[
			{"entityType":"Lead","matchRecords":[{"matchConfidence":70,"record":{"attributes":{"type":"Lead"},"Id":"00Q000000000001"}}]},
			{"entityType":"Contact","matchRecords":[{"matchConfidence":99,"record":{"attributes":{"type":"Contact"},"Id":"003000000000002"}}]}]}}`
		var a apiError
		if err := json.Unmarshal([]byte(body), &a); err != nil {
			t.Fatal(err)
		}
		if got := a.matched(); got != (crm.Ref{Object: "Contact", ID: "003000000000002AAA"}) {
			t.Errorf("%s: %v, want the contact, which matched best", key, got)
		}
	}
}

func TestNamedRecords(t *testing.T) {
	for message, want := range map[string]crm.Ref{
		"duplicate value found: callsync_key__c duplicates value on record with id: 00T000000000001": {Object: "Task", ID: "00T000000000001EAA"},
		"duplicate value found: x duplicates value on record with id: 00Q000000000001.":              {Object: "Lead", ID: "00Q000000000001EAA"},
		"duplicate value found: x duplicates value on record with id: a01000000000001":               {Object: "Call__c", ID: "a01000000000001AAA"},
		"duplicate value found: <unknown> duplicates value on record with id: <unknown>":             {},
		"duplicate value found": {},
	} {
		if got := namedIn(message, "Call__c"); got != want {
			t.Errorf("%q: %v, want %v", message, got, want)
		}
	}
}

func FuzzRefusal(f *testing.F) {
	f.Add(400, []byte(`[{"errorCode":"MALFORMED_QUERY","message":"x@y.example","fields":["a"]}]`))
	f.Add(500, []byte(`<html>`))
	f.Add(400, []byte(`[]`))
	f.Add(404, []byte(`{"errorCode":"NOT_FOUND"}`))
	f.Add(400, []byte(`[{"errorCode":"DUPLICATES_DETECTED","duplicateResut":{"matchResults":[{}]}}]`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		e := refusal("op", status, http.Header{}, body)
		if e.Kind == "" || e.Message == "" {
			t.Errorf("%+v", e)
		}
		if emailLike.MatchString(e.Message) {
			t.Errorf("the message holds an address: %q", e.Message)
		}
	})
}

func FuzzLimitInfo(f *testing.F) {
	for _, s := range []string{"api-usage=18/5000", "api-usage=18/5000; per-app-api-usage=17/250(appName=x)", "api-usage=", "api-usage=1/0", "api-usage=-1/-5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m := newMeter(0.8, time.Now)
		m.observe(http.Header{"Sforce-Limit-Info": {s}})
		if m.limit < 0 || m.limit == 0 && m.used != 0 {
			t.Errorf("%q: %d of %d", s, m.used, m.limit)
		}
	})
}

func TestLimitInfo(t *testing.T) {
	m := newMeter(0, time.Now)
	m.observe(http.Header{"Sforce-Limit-Info": {"per-app-api-usage=17/250(appName=x); api-usage=18/5000"}})
	if m.used != 18 || m.limit != 5000 || m.share != defaultShare {
		t.Errorf("%d of %d, share %v", m.used, m.limit, m.share)
	}
}

func TestWire(t *testing.T) {
	at := crm.Time(time.Date(2025, 9, 25, 23, 20, 48, 123e6, time.UTC))
	for _, tc := range []struct {
		typ  string
		v    crm.Value
		want string
	}{
		{"boolean", crm.Boolean(true), `true`},
		{"boolean", crm.Str("TRUE"), `true`},
		{"boolean", crm.Value{}, `false`},
		{"double", crm.Str("4.50"), `4.50`},
		{"double", crm.Str("0x10"), `"0x10"`},
		{"int", crm.Int(46), `46`},
		{"string", crm.Int(46), `"46"`},
		{"string", crm.Value{}, `null`},
		{"date", at, `"2025-09-25"`},
		{"date", crm.Str("2025-09-25"), `"2025-09-25"`},
		{"datetime", at, `"2025-09-25T23:20:48.123+0000"`},
		{"datetime", crm.Value{}, `null`},
	} {
		got, err := json.Marshal(wire(field{Type: tc.typ}, tc.v))
		if err != nil || string(got) != tc.want {
			t.Errorf("%v as %s: %s, %v, want %s", tc.v, tc.typ, got, err, tc.want)
		}
	}
}
