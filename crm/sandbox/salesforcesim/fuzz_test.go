package salesforcesim

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

func FuzzSOQL(f *testing.F) {
	for _, q := range []string{
		"SELECT Id, Owner.Name FROM Contact WHERE Email IN ('a@b.c', null) AND (NOT Phone LIKE '%5\\_') ORDER BY LastName DESC NULLS LAST LIMIT 5 OFFSET 2",
		"SELECT COUNT() FROM Task WHERE WhoId IN (SELECT Id FROM Contact) AND CreatedDate >= LAST_N_DAYS:7",
		"SELECT Id FROM Event WHERE StartDateTime < 2026-03-02T10:00:00+01:00 OR IsAllDayEvent != true",
		`SELECT Id FROM Contact WHERE LastName = 'O\'Brien\u00fc' ALL ROWS`,
		"SELECT Id FROM Contact WHERE ((((((", "SELECT Id FROM Contact WHERE NOT NOT NOT x = 1", "SELECT a.b.c.d.e.f.g.h FROM Contact", "'", `'\`,
	} {
		f.Add(q)
	}
	srv := fuzzServer()
	f.Fuzz(func(t *testing.T, q string) {
		srv.fuzz(t, "GET", "/services/data/v66.0/query?q="+url.QueryEscape(q), nil)
	})
}

func FuzzSOSL(f *testing.F) {
	for _, q := range []string{
		`FIND {5551234567 OR "555 123 4567"} IN PHONE FIELDS RETURNING Contact(Id, Phone WHERE DoNotCall = true ORDER BY LastName LIMIT 2), Lead(Id) LIMIT 20`,
		`FIND {jane AND NOT (sm?th* OR "a b")} IN NAME FIELDS`, `FIND {O\'Brien \{\*\}}`, `FIND {((((`, `FIND {a\`, `FIND {"\"`, `FIND {}`,
	} {
		f.Add(q)
	}
	srv := fuzzServer()
	f.Fuzz(func(t *testing.T, q string) {
		srv.fuzz(t, "GET", "/services/data/v66.0/search?q="+url.QueryEscape(q), nil)
	})
}

func FuzzBodies(f *testing.F) {
	for i := range fuzzTargets {
		for _, body := range []string{
			`{"LastName":"A","Email":"a@example.com"}`, `{"records":[{"attributes":{"type":"Contact"},"id":"003Ws0000000001","LastName":null}],"allOrNone":true}`,
			`{"graphs":[{"graphId":"1","compositeRequest":[{"method":"POST","url":"/services/data/v66.0/sobjects/Task","referenceId":"a","body":{"WhoId":"@{a.id}"}}]}]}`,
			`{"compositeRequest":[{"method":"GET","url":"/services/data/v66.0/sobjects/Contact/@{x","referenceId":"a"}]}`,
			`{"ids":["003Ws0000000001"],"fields":["Id"]}`, `{"FullName":"Activity.a__c","Metadata":{"label":"A","type":"Picklist","valueSet":{}}}`,
			`{"q":"5551234567","in":"phone","sobjects":[{"name":"Contact","where":"(Id = null"}]}`,
			`{"StartDateTime":"2026-03-02T10:00:00Z","DurationInMinutes":1e300}`, `null`, `[]`, `{"records":[null]}`, `{"graphs":[null]}`,
		} {
			f.Add(uint8(i), []byte(body))
		}
	}
	srv := fuzzServer()
	f.Fuzz(func(t *testing.T, target uint8, body []byte) {
		to := fuzzTargets[int(target)%len(fuzzTargets)]
		srv.fuzz(t, to[0], "/services/data/v66.0/"+to[1], body)
	})
}

var fuzzTargets = [][2]string{
	{"POST", "sobjects/Contact"}, {"POST", "sobjects/Event"}, {"PATCH", "sobjects/Task/00TWs0000000001"},
	{"POST", "sobjects/FieldPermissions"}, {"POST", "composite/sobjects"}, {"PATCH", "composite/sobjects"},
	{"POST", "composite/sobjects/Contact"}, {"POST", "composite/graph"}, {"POST", "composite"},
	{"POST", "tooling/sobjects/CustomField"}, {"POST", "parameterizedSearch"},
}

// A fuzzed is a server with a session and somebody to find.
type fuzzed struct {
	*Server
	token string
}

func fuzzServer() fuzzed {
	st := DefaultSettings()
	st.SearchLag, st.DailyLimit = 0, 1<<40
	srv := fuzzed{New(Options{Settings: &st}), "fuzz"}
	srv.auth.sessions[srv.token] = srv.Now().AddDate(1, 0, 0)
	c := &call{g: srv.org, tx: new(tx)}
	for _, last := range []string{"O'Brien", "Smith"} {
		if _, e := c.create(srv.org.object("Contact"), map[string]any{"LastName": last, "Phone": "555 123 4567"}); e != nil {
			panic(e)
		}
	}
	return srv
}

// fuzz sends a request, which must be answered in JSON or not at all, and
// never with a server error.
func (srv fuzzed) fuzz(t *testing.T, method, target string, body []byte) {
	r := httptest.NewRequest(method, target, bytes.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+srv.token)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	srv.ServeHTTP(w, r)
	switch {
	case w.Code == http.StatusRequestURITooLong:
	case w.Code >= 500:
		t.Fatalf("%d: %s", w.Code, w.Body)
	case w.Body.Len() > 0 && !json.Valid(w.Body.Bytes()):
		t.Fatalf("%d, not JSON: %s", w.Code, w.Body)
	}
}
