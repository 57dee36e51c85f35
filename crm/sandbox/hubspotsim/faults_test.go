package hubspotsim_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"github.com/callsync/callsync/crm/sandbox"
	"github.com/callsync/callsync/crm/sandbox/hubspotsim"
)

// Counters and faults go by operation, whichever path family was used.
func TestOperations(t *testing.T) {
	p := newPortal(t)
	for _, tt := range []struct{ method, path, operation string }{
		{"GET", "/crm/v3/objects/contacts", "contacts list"},
		{"POST", "/crm/objects/2026-03/contacts", "contacts create"},
		{"GET", "/crm/v3/objects/0-1/7", "contacts get"},
		{"PATCH", "/crm/v3/objects/call/7", "calls update"},
		{"DELETE", "/crm/objects/2026-03/calls/7", "calls archive"},
		{"POST", "/crm/v3/objects/contacts/batch/create", "contacts batch create"},
		{"POST", "/crm/objects/2026-03/tasks/batch/upsert", "tasks batch upsert"},
		{"POST", "/crm/v3/objects/contacts/search", "contacts search"},
		{"POST", "/crm/v3/objects/contacts/merge", "contacts merge"},
		{"POST", "/crm/v3/objects/contacts/gdpr-delete", "contacts gdpr-delete"},
		{"GET", "/crm/v4/objects/calls/7/associations/contacts", "associations calls contacts list"},
		{"PUT", "/crm/v4/objects/calls/7/associations/contacts/8", "associations calls contacts put"},
		{"PUT", "/crm/objects/2026-03/calls/7/associations/default/contacts/8", "associations calls contacts put default"},
		{"POST", "/crm/v4/associations/calls/contacts/batch/create", "associations calls contacts batch create"},
		{"POST", "/crm/associations/2026-03/call/contact/batch/associate/default", "associations calls contacts batch associate default"},
		{"GET", "/crm/v3/properties/contacts", "properties contacts list"},
		{"POST", "/crm/properties/2026-03/contacts", "properties contacts create"},
		{"GET", "/crm/v3/properties/contacts/email", "properties contacts get"},
		{"POST", "/crm/v3/properties/contacts/groups", "properties contacts groups create"},
		{"POST", "/crm/v3/properties/contacts/batch/read", "properties contacts batch read"},
		{"GET", "/crm/v3/owners/", "owners list"},
		{"GET", "/crm/owners/2026-03/7", "owners get"},
		{"GET", "/calling/v1/dispositions", "dispositions list"},
		{"GET", "/account-info/v3/details", "account read"},
		{"POST", "/oauth/v3/token", "oauth token"},
	} {
		p.ResetCounters()
		p.do(tt.method, tt.path, nil)
		if got := p.Requests()[0].Operation; got != tt.operation {
			t.Errorf("%s %s is %q, want %q", tt.method, tt.path, got, tt.operation)
		}
	}
}

func TestFaultBodies(t *testing.T) {
	p := newPortal(t)
	for _, tt := range []struct {
		status     int
		kind, want string
	}{
		{502, "", "<html>"}, {504, "", "<html>"}, {503, "", `"message":"internal error"`}, {503, "html", "<html>"},
		{429, "", "TEN_SECONDLY_ROLLING"}, {429, "DAILY", "You have reached your daily limit."}, {429, "SECONDLY", "SECONDLY"},
		{401, "", "INVALID_AUTHENTICATION"}, {401, "EXPIRED_AUTHENTICATION", "EXPIRED_AUTHENTICATION"}, {403, "", "MISSING_SCOPES"},
		{404, "", "OBJECT_NOT_FOUND"}, {409, "", "CONFLICT"}, {400, "", "VALIDATION_ERROR"},
	} {
		p.ClearFaults()
		if _, err := p.AddFault(sandbox.Fault{Operation: "contacts *", Status: tt.status, Kind: tt.kind}); err != nil {
			t.Fatal(err)
		}
		a := p.do("POST", "/crm/v3/objects/contacts", `{"properties":{"firstname":"x"}}`).is(tt.status).says(tt.want)
		if strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
			a.says("correlationId")
		}
	}
	if n := len(p.Records("contacts")); n != 0 {
		t.Errorf("%d contacts were made", n)
	}
}

// A lost answer is the fault that makes doubles: the record is there, and the
// client does not know.
func TestLostAnswer(t *testing.T) {
	p := newPortal(t)
	if _, err := p.AddFault(sandbox.Fault{Operation: "contacts batch create", When: sandbox.After, Reset: true, Times: 1}); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest("POST", p.url+"/crm/v3/objects/contacts/batch/create", strings.NewReader(`{"inputs":[{"properties":{"email":"ada@example.com"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	req.Header.Set("Content-Type", "application/json")
	if _, err := http.DefaultClient.Do(req); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("error %v", err)
	}
	id := p.Records("contacts")[0].ID
	p.do("POST", "/crm/v3/objects/contacts", `{"properties":{"email":"ada@example.com"}}`).is(409).says("Existing ID: " + id)
}

func TestSettingsAndState(t *testing.T) {
	p := newPortal(t)
	for _, bad := range []string{`{"searchLag":"-1s"}`, `{"conflictStatus":418}`, `{"tenSecondLimit":-1}`, `{"uniqueProperties":{"ships":false}}`, `{"colour":"red"}`, `[]`} {
		p.do("PUT", "/_sandbox/settings", bad).is(400)
	}
	p.do("PUT", "/_sandbox/settings", `{"searchLag":"30s","uniqueProperties":{"calls":false}}`).is(200).says(`"searchLag": "30s"`, `"tenSecondLimit": 190`, `"calls": false`)
	id := p.contact("ada@example.com")
	p.do("DELETE", "/crm/v3/objects/contacts/"+id, nil).is(204)
	p.do("GET", "/_sandbox/state", nil).is(200).says("ada@example.com", `"archived": true`, `"calls": []`)
	p.do("GET", "/", nil).is(200).says("/crm/objects/2026-03/{type}")
}

func TestContentTypeAndBadJSON(t *testing.T) {
	p := newPortal(t)
	for _, body := range []string{"{", "[]", `"x"`, `{"properties":[]}`, "null and void"} {
		p.do("POST", "/crm/v3/objects/contacts", body).is(400).says("correlationId")
	}
	req, _ := http.NewRequest("POST", p.url+"/crm/v3/objects/contacts", strings.NewReader(`{"properties":{"firstname":"x"}}`))
	req.Header.Set("Authorization", "Bearer "+p.token)
	req.Header.Set("Content-Type", "text/plain")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 415 {
		t.Errorf("text/plain: %d", resp.StatusCode)
	}
}

// FuzzBodies sends any body to any operation: the answer is never a crash and
// never a success with an invalid record behind it.
func FuzzBodies(f *testing.F) {
	paths := []string{
		"POST /crm/v3/objects/contacts", "PATCH /crm/v3/objects/contacts/1001", "POST /crm/v3/objects/calls",
		"POST /crm/v3/objects/contacts/batch/create", "POST /crm/v3/objects/contacts/batch/read", "POST /crm/v3/objects/contacts/batch/update",
		"POST /crm/v3/objects/contacts/batch/upsert", "POST /crm/v3/objects/contacts/batch/archive", "POST /crm/v3/objects/contacts/search",
		"POST /crm/v3/objects/contacts/merge", "POST /crm/v3/objects/contacts/gdpr-delete", "POST /crm/v4/associations/calls/contacts/batch/create",
		"POST /crm/v4/associations/calls/contacts/batch/read", "POST /crm/v4/associations/calls/contacts/batch/archive",
		"PUT /crm/v4/objects/calls/1001/associations/contacts/1001", "POST /crm/v3/properties/contacts", "POST /crm/v3/properties/contacts/groups",
		"POST /crm/v3/properties/contacts/batch/create", "POST /oauth/v1/token", "PUT /_sandbox/settings", "POST /_sandbox/faults",
	}
	for i, body := range []string{
		`{"properties":{"email":"a@example.com","phone":"+1 555"}}`, `{"properties":{"email":null}}`, `{"properties":{"hs_timestamp":"1"},"associations":[{"to":{"id":"1001"},"types":[{"associationCategory":"HUBSPOT_DEFINED","associationTypeId":194}]}]}`,
		`{"inputs":[{"objectWriteTraceId":"1","properties":{"email":"b@example.com"}}]}`, `{"inputs":[{"id":"1001"}],"properties":["email"]}`, `{"inputs":[{"id":"1001","properties":{"firstname":"x"}}]}`,
		`{"inputs":[{"id":"c@example.com","idProperty":"email","properties":{}}]}`, `{"inputs":[{"id":"1001"}]}`, `{"filterGroups":[{"filters":[{"propertyName":"email","operator":"IN","values":["a"]}]}],"sorts":["-email"],"after":5}`,
		`{"primaryObjectId":"1001","objectIdToMerge":"1002"}`, `{"objectId":"1001"}`, `{"inputs":[{"from":{"id":"1001"},"to":{"id":"1001"},"types":[{"associationCategory":"HUBSPOT_DEFINED","associationTypeId":194}]}]}`,
		`{"inputs":[{"id":"1001","after":"3"}]}`, `{"inputs":[{"from":{"id":"1001"},"to":[{"id":"1001"}]}]}`,
		`[{"associationCategory":"HUBSPOT_DEFINED","associationTypeId":194}]`, `{"name":"x","label":"X","groupName":"contactinformation","type":"string","fieldType":"text","hasUniqueValue":true}`, `{"name":"g","label":"G"}`,
		`{"inputs":[{"name":"x"}]}`, `grant_type=refresh_token`, `{"searchLag":"1s"}`, `{"status":500}`,
	} {
		f.Add(uint(i), body)
	}
	f.Fuzz(func(t *testing.T, n uint, body string) {
		s := hubspotsim.New(hubspotsim.Options{Now: (&clock{at: start}).now})
		send := func(method, path, body string) *http.Response {
			r := httptest.NewRequest(method, path, strings.NewReader(body))
			r.Header.Set("Authorization", "Bearer "+hubspotsim.DefaultToken)
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			return w.Result()
		}
		for i := range 2 {
			send("POST", "/crm/v3/objects/contacts", fmt.Sprintf(`{"properties":{"email":"p%d@example.com"}}`, i))
		}
		send("POST", "/crm/v3/objects/calls", `{"properties":{"hs_timestamp":"1"}}`)
		method, path, _ := strings.Cut(paths[n%uint(len(paths))], " ")
		resp := send(method, path, body)
		if data, _ := io.ReadAll(resp.Body); resp.StatusCode >= 500 {
			t.Errorf("%s %s: %d %s", method, path, resp.StatusCode, data)
		}
		emails := map[string]bool{}
		for _, r := range s.Records("contacts") {
			if e := r.Properties["email"]; e != "" && emails[e] {
				t.Errorf("two contacts have %q", e)
			} else {
				emails[e] = true
			}
		}
		for _, r := range s.Records("calls") {
			if r.Properties["hs_timestamp"] == "" {
				t.Error("a call has no hs_timestamp")
			}
		}
	})
}

func BenchmarkBatchesAndSearches(b *testing.B) {
	for b.Loop() {
		settings := hubspotsim.DefaultSettings()
		settings.TenSecondLimit, settings.SearchesPerSecond, settings.SearchLag = 0, 0, 0
		s := hubspotsim.New(hubspotsim.Options{Settings: settings})
		send := func(path, body string) {
			r := httptest.NewRequest("POST", path, strings.NewReader(body))
			r.Header.Set("Authorization", "Bearer "+hubspotsim.DefaultToken)
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code >= 300 {
				b.Fatal(w.Code, w.Body)
			}
		}
		for batch := range 200 {
			var contacts, calls strings.Builder
			for i := range 100 {
				n := batch*100 + i
				fmt.Fprintf(&contacts, `,{"properties":{"email":"p%d@example.com","phone":"+1555%07d"}}`, n, n)
				fmt.Fprintf(&calls, `,{"properties":{"hs_timestamp":"1764072000000","hs_call_title":"t"},"associations":[{"to":{"id":"%d"},"types":[{"associationCategory":"HUBSPOT_DEFINED","associationTypeId":194}]}]}`, 1001+n)
			}
			send("/crm/v3/objects/contacts/batch/create", `{"inputs":[`+contacts.String()[1:]+`]}`)
			send("/crm/v3/objects/calls/batch/create", `{"inputs":[`+calls.String()[1:]+`]}`)
			send("/crm/v3/objects/contacts/search", fmt.Sprintf(`{"filterGroups":[{"filters":[{"propertyName":"email","operator":"IN","values":["p%d@example.com"]}]},{"filters":[{"propertyName":"hs_searchable_calculated_phone_number","operator":"EQ","value":"555%07d"}]}]}`, batch, batch))
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/40_000, "µs/record")
}
