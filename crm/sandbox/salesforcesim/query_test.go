package salesforcesim_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/callsync/callsync/crm/sandbox"
	"github.com/callsync/callsync/crm/sandbox/salesforcesim"
)

// people makes the contacts that TestSOQL asks for.
func people(o *org) (jane, john, nora string) {
	acme := o.create("Account", map[string]any{"Name": "Acme"})
	jane = o.create("Contact", map[string]any{
		"LastName": "O'Brien", "FirstName": "Jane", "Email": "jane@example.com", "AccountId": acme, "DoNotCall": true, "Department": "a_b%",
	})
	o.clock.add(20 * time.Minute)
	john = o.create("Contact", map[string]any{"LastName": "Smith", "FirstName": "John", "Email": "John@Example.com", "Department": `back\slash`})
	o.clock.add(20 * time.Minute)
	nora = o.create("Contact", map[string]any{"LastName": "Adams", "Department": "line\nbreak"})
	return jane, john, nora
}

func TestSOQL(t *testing.T) {
	o := newOrg(t)
	jane, john, nora := people(o)
	task := o.create("Task", map[string]any{"Subject": "Call", "WhoId": jane, "CallDurationInSeconds": 61, "ActivityDate": "2026-03-02"})
	for where, want := range map[string][]string{
		"":                                  {jane, john, nora},
		"WHERE Email = 'JANE@example.com'":  {jane},
		"where EMAIL = 'john@example.com'":  {john},
		"WHERE Email != 'jane@example.com'": {john, nora},
		"WHERE Email = null":                {nora},
		"WHERE Email = ''":                  {nora},
		"WHERE Email <> NULL":               {jane, john},
		"WHERE Email IN ('jane@example.com','x@y.de', 'john@example.com')":                 {jane, john},
		"WHERE Email NOT IN ('jane@example.com')":                                          {john, nora},
		"WHERE (NOT Email LIKE '%example%')":                                               {nora},
		"WHERE DoNotCall = true":                                                           {jane},
		"WHERE DoNotCall = FALSE AND (Email = null OR LastName = 'smith')":                 {john, nora},
		`WHERE LastName = 'O\'Brien'`:                                                      {jane},
		`WHERE LastName LIKE 'o\'b%'`:                                                      {jane},
		`WHERE Department LIKE 'a\_b\%'`:                                                   {jane},
		`WHERE Department LIKE '__b_'`:                                                     {jane},
		`WHERE Department LIKE 'back\\\\slash'`:                                            {},
		`WHERE Department = 'back\\slash'`:                                                 {john},
		`WHERE Department LIKE 'back\\s%'`:                                                 {john},
		`WHERE Department = 'line\nbreak'`:                                                 {nora},
		"WHERE LastName > 'b' AND LastName < 'P'":                                          {jane},
		"WHERE LastName >= 'smith'":                                                        {john},
		"WHERE LastName <= 'ADAMS'":                                                        {nora},
		"WHERE CreatedDate >= 2026-03-02T09:20:00Z":                                        {john, nora},
		"WHERE CreatedDate < 2026-03-02T10:20:00+01:00":                                    {jane},
		"WHERE CreatedDate = 2026-03-02T09:00:00.000Z":                                     {jane},
		"WHERE CreatedDate = TODAY AND CreatedDate = LAST_N_DAYS:3":                        {jane, john, nora},
		"WHERE CreatedDate < TODAY":                                                        {},
		"WHERE Id = '" + jane[:15] + "'":                                                   {jane},
		"WHERE Id IN ('" + nora + "', '" + jane + "')":                                     {jane, nora},
		"WHERE Account.Name = 'acme'":                                                      {jane},
		"WHERE Account.Owner.IsActive = true":                                              {jane},
		"WHERE Owner.Email = 'integration@example.com' AND AccountId != null":              {jane},
		"WHERE Id IN (SELECT WhoId FROM Task WHERE CallDurationInSeconds > 60.5)":          {jane},
		"WHERE Id NOT IN (SELECT WhoId FROM Task WHERE ActivityDate = 2026-03-02) LIMIT 1": {john},
		"ORDER BY LastName":                                                                {nora, jane, john},
		"ORDER BY Email DESC":                                                              {john, jane, nora},
		"ORDER BY Email DESC NULLS FIRST":                                                  {nora, john, jane},
		"ORDER BY Email NULLS LAST, LastName ASC LIMIT 2":                                  {jane, john},
		"ORDER BY Account.Name NULLS LAST, LastName LIMIT 2 OFFSET 1":                      {nora, john},
		"WHERE NOT (LastName = 'Smith') LIMIT 1":                                           {jane},
		"WHERE LastName = 'Smith' OR LastName = 'Adams' OR Email = 'jane@example.com'":     {jane, john, nora},
		"WHERE Id = '" + jane + "' OR Email = 'jane@example.com'":                          {jane},
		"LIMIT 0": {},
	} {
		t.Run(where, func(t *testing.T) {
			o.t = t
			if got := o.soql("SELECT Id FROM Contact "+where, "Id"); !slices.Equal(got, want) {
				t.Errorf("got %v; want %v", got, want)
			}
		})
	}
	rec := o.ok("GET", "query/?q="+url.QueryEscape("SELECT Who.Name, who.type, What.Name, Owner.Name FROM Task"), nil)
	for _, tc := range []struct {
		path []any
		want any
	}{
		{[]any{"Who", "Name"}, "Jane O'Brien"},
		{[]any{"Who", "Type"}, "Contact"},
		{[]any{"Who", "attributes", "type"}, "Contact"},
		{[]any{"Owner", "Name"}, "Integration"},
		{[]any{"What"}, nil},
	} {
		if got := at(rec.at("records", 0), tc.path...); got != tc.want {
			t.Errorf("%v is %v; want %v", tc.path, got, tc.want)
		}
	}
	if got := o.ok("GET", "query?q="+url.QueryEscape("select count() from contact where email != null"), nil); got.at("totalSize") != 2.0 {
		t.Errorf("COUNT() is %v", got.body)
	}
	o.ok("DELETE", "sobjects/Task/"+task, nil)
	if got := o.soql("SELECT Id FROM Task", "Id"); len(got) != 0 {
		t.Errorf("query shows the deleted task %v", got)
	}
	all := o.ok("GET", "queryAll?q="+url.QueryEscape("SELECT Id, IsDeleted FROM Task"), nil)
	if all.at("records", 0, "IsDeleted") != true {
		t.Errorf("queryAll: %v", all.body)
	}
}

func TestSOQLRefusals(t *testing.T) {
	o := newOrg(t)
	jane, _, _ := people(o)
	for q, want := range map[string][2]string{
		"":                             {"MALFORMED_QUERY", "<EOF>"},
		"SELECT":                       {"MALFORMED_QUERY", "unexpected token"},
		"SELECT Id Contact":            {"MALFORMED_QUERY", "unexpected token: 'Contact'"},
		"SELECT Id FROM Contact WHERE": {"MALFORMED_QUERY", "<EOF>"},
		"SELECT * FROM Contact":        {"MALFORMED_QUERY", "'*'"},
		"SELECT Id FROM Contact; DROP": {"MALFORMED_QUERY", "';'"},
		"SELECT Id FROM Contact WHERE LastName = 'a' AND Email = null OR Email = 'b'":                          {"MALFORMED_QUERY", "unexpected token: 'OR'"},
		"SELECT Id FROM Contact WHERE LastName = 'O'Brien'":                                                    {"MALFORMED_QUERY", ""},
		"SELECT Id FROM Contact WHERE LastName = 'a\nb'":                                                       {"MALFORMED_QUERY", "mismatched character"},
		`SELECT Id FROM Contact WHERE LastName = 'a\q'`:                                                        {"MALFORMED_QUERY", `\q`},
		`SELECT Id FROM Contact WHERE LastName = 'a\%'`:                                                        {"MALFORMED_QUERY", `\%`},
		"SELECT Id FROM Contact WHERE Email IN ()":                                                             {"MALFORMED_QUERY", "unexpected token: ')'"},
		"SELECT Id FROM Contact LIMIT -1":                                                                      {"MALFORMED_QUERY", "-1"},
		"SELECT Id FROM Contact WHERE " + strings.Repeat("(", 500) + "Email = null" + strings.Repeat(")", 500): {"MALFORMED_QUERY", "nested"},
		"SELECT Id FROM Contact WHERE " + strings.Repeat("NOT ", 500) + "Email = null":                         {"MALFORMED_QUERY", "nested"},
		"SELECT Id FROM Contact OFFSET 2001":                                                                   {"NUMBER_OUTSIDE_VALID_RANGE", "2000"},
		"SELECT Nope FROM Contact":                                                                             {"INVALID_FIELD", "No such column 'Nope' on entity 'Contact'"},
		"SELECT Id, Id FROM Contact":                                                                           {"INVALID_FIELD", "duplicate field selected: Id"},
		"SELECT Boss.Name FROM Contact":                                                                        {"INVALID_FIELD", "Didn't understand relationship 'Boss'"},
		"SELECT Who.Company FROM Task":                                                                         {"INVALID_FIELD", "entity 'Name'"},
		"SELECT Id FROM Contact WHERE Nope = 1":                                                                {"INVALID_FIELD", "Nope"},
		"SELECT Id FROM Contact ORDER BY Nope":                                                                 {"INVALID_FIELD", "Nope"},
		"SELECT Id FROM Contact WHERE Description = 'x'":                                                       {"INVALID_FIELD", "can not be filtered"},
		"SELECT Id FROM Contact WHERE LastName = 5":                                                            {"INVALID_FIELD", "must be of type string and should be enclosed in quotes"},
		"SELECT Id FROM Contact WHERE DoNotCall = 'true'":                                                      {"INVALID_FIELD", "must be of type boolean and should not be enclosed"},
		"SELECT Id FROM Contact WHERE CreatedDate > '2026-03-02T00:00:00Z'":                                    {"INVALID_FIELD", "must be of type dateTime"},
		"SELECT Id FROM Contact WHERE CreatedDate > 2026-03-02":                                                {"INVALID_FIELD", "must be of type dateTime"},
		"SELECT Id FROM Contact WHERE LastName = TODAY":                                                        {"INVALID_FIELD", "date literal"},
		"SELECT Id FROM Contact WHERE DoNotCall > false":                                                       {"INVALID_QUERY_FILTER_OPERATOR", "invalid operator on boolean field"},
		"SELECT Id FROM Contact WHERE Id = 'jane'":                                                             {"INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: jane"},
		"SELECT Id FROM Contact WHERE Id LIKE '003%'":                                                          {"INVALID_QUERY_FILTER_OPERATOR", "invalid operator on id field"},
		"SELECT Id FROM Contact WHERE AccountId > '" + jane + "'":                                              {"INVALID_QUERY_FILTER_OPERATOR", "reference"},
		"SELECT Id FROM Contact WHERE Id IN (SELECT Subject FROM Task)":                                        {"MALFORMED_QUERY", "must be an ID"},
		"SELECT Id FROM Kontakt":                                                                               {"INVALID_TYPE", "sObject type 'Kontakt' is not supported"},
		"SELECT Id FROM CustomField":                                                                           {"INVALID_TYPE", "CustomField"},
	} {
		t.Run(q[:min(len(q), 60)], func(t *testing.T) {
			o.t = t
			a := o.refused(400, want[0], "GET", "query?q="+url.QueryEscape(q), nil)
			if got, _ := a.at(0, "message").(string); !strings.Contains(got, want[1]) {
				t.Errorf("message is %q; want %q in it", got, want[1])
			}
		})
	}
	long := "SELECT Id FROM Contact WHERE LastName = '" + strings.Repeat("x", 16_000) + "'"
	if a := o.do("GET", "query?q="+url.QueryEscape(long), nil); a.status != 414 {
		t.Errorf("a URL of %d bytes: %d; want 414", len(long), a.status)
	}
}

func TestQueryMore(t *testing.T) {
	o := newOrg(t)
	for range 5 {
		var list []map[string]any
		for range 90 {
			list = append(list, map[string]any{"LastName": "Many"})
		}
		o.ok("POST", "composite/sobjects", map[string]any{"records": records("Contact", list...)})
	}
	o.header.Set("Sforce-Query-Options", "batchSize=200")
	page := o.ok("GET", "query?q="+url.QueryEscape("SELECT Id FROM Contact"), nil)
	seen := columnOf(page.at("records"), "Id")
	pages := 1
	for page.at("done") == false {
		if page.at("totalSize") != 450.0 {
			t.Errorf("totalSize is %v", page.at("totalSize"))
		}
		page = o.ok("GET", page.at("nextRecordsUrl").(string), nil)
		seen = append(seen, columnOf(page.at("records"), "Id")...)
		pages++
	}
	slices.Sort(seen)
	if len(slices.Compact(seen)) != 450 || pages != 3 {
		t.Errorf("%d records in %d pages; want 450 in 3", len(seen), pages)
	}
	o.refused(400, "INVALID_QUERY_LOCATOR", "GET", "query/01g000000000099-200", nil)
	first := o.ok("GET", "query?q="+url.QueryEscape("SELECT Id FROM Contact"), nil).at("nextRecordsUrl").(string)
	o.ok("GET", first, nil)
	for range 10 {
		o.ok("GET", "query?q="+url.QueryEscape("SELECT Id FROM Contact"), nil)
	}
	o.refused(400, "INVALID_QUERY_LOCATOR", "GET", first, nil)
}

func TestIDsDifferByCase(t *testing.T) {
	o := newOrg(t)
	var list []map[string]any
	for range 36 {
		list = append(list, map[string]any{"LastName": "Many"})
	}
	made := o.ok("POST", "composite/sobjects", map[string]any{"records": records("Contact", list...)})
	upper, lower := made.at(9, "id").(string), made.at(35, "id").(string)
	if !strings.EqualFold(upper[:15], lower[:15]) {
		t.Fatalf("%s and %s differ in more than case", upper, lower)
	}
	task := o.create("Task", map[string]any{"WhoId": upper})
	o.create("Task", map[string]any{"WhoId": lower})
	if got := o.soql("SELECT Id FROM Task WHERE WhoId = '"+upper[:15]+"'", "Id"); !slices.Equal(got, []string{task}) {
		t.Errorf("got %v; want %s", got, task)
	}
}

func TestSOSL(t *testing.T) {
	o := newOrg(t)
	jane := o.create("Contact", map[string]any{"LastName": "O'Brien", "FirstName": "Jane", "Phone": "(555) 123-4567", "Email": "jane@example.com", "Description": "met in Rome"})
	john := o.create("Contact", map[string]any{"LastName": "Smith", "MobilePhone": "+44 20 7946 0958 ext 89", "DoNotCall": true})
	lead := o.create("Lead", map[string]any{"LastName": "Roe", "Company": "Star {*} Ltd", "Phone": "555.123.4567"})
	if got := o.sosl(`FIND {5551234567} IN PHONE FIELDS RETURNING Contact(Id)`); len(got) != 0 {
		t.Fatalf("the index shows %v without lag", got)
	}
	o.clock.add(5 * time.Second)
	for q, want := range map[string][]string{
		`FIND {5551234567} IN PHONE FIELDS RETURNING Contact(Id), Lead(Id)`:                                            {jane, lead},
		`find {5551234567} in phone fields returning lead(id), contact(id)`:                                            {lead, jane},
		`FIND {"555 123 4567"} IN PHONE FIELDS RETURNING Contact(Id)`:                                                  {jane},
		`FIND {\(555\) 123\-4567} IN PHONE FIELDS RETURNING Contact(Id)`:                                               {jane},
		`FIND {1234567} IN PHONE FIELDS RETURNING Contact(Id)`:                                                         {jane},
		`FIND {4567} IN PHONE FIELDS RETURNING Contact(Id)`:                                                            {},
		`FIND {15551234567} IN PHONE FIELDS RETURNING Contact(Id)`:                                                     {},
		`FIND {555123*} IN PHONE FIELDS RETURNING Contact(Id)`:                                                         {jane},
		`FIND {442079460958 OR 5551234567 OR 999} IN PHONE FIELDS RETURNING Contact(Id)`:                               {jane, john},
		`FIND {"442079460958" OR "5551234567"} IN PHONE FIELDS RETURNING Contact(Id WHERE DoNotCall = true), Lead(Id)`: {john, lead},
		`FIND {442079460958 OR 5551234567} IN PHONE FIELDS RETURNING Contact(Id ORDER BY LastName DESC LIMIT 1)`:       {john},
		`FIND {442079460958 OR 5551234567} IN PHONE FIELDS RETURNING Contact(Id), Lead(Id) LIMIT 2`:                    {jane, john},
		`FIND {jane@example.com} IN EMAIL FIELDS RETURNING Contact(Id)`:                                                {jane},
		`FIND {JANE@EXAMPLE.COM}`:                                      {jane},
		`FIND {jane smith} IN NAME FIELDS RETURNING Contact(Id)`:       {},
		`FIND {jane OR smith} IN NAME FIELDS RETURNING Contact(Id)`:    {jane, john},
		`FIND {sm* AND NOT jane} IN NAME FIELDS RETURNING Contact(Id)`: {john},
		`FIND {smi?h} IN NAME FIELDS RETURNING Contact(Id)`:            {john},
		`FIND {O\'Brien} IN NAME FIELDS RETURNING Contact(Id)`:         {jane},
		`FIND {"Jane O\'Brien"} IN NAME FIELDS RETURNING Contact(Id)`:  {jane},
		`FIND {Star \{\*\} Ltd} IN NAME FIELDS RETURNING Lead(Id)`:     {lead},
		`FIND {(rome OR paris) AND jane}`:                              {jane},
	} {
		t.Run(q, func(t *testing.T) {
			o.t = t
			if got := o.sosl(q); !slices.Equal(got, want) {
				t.Errorf("got %v; want %v", got, want)
			}
		})
	}
	// The index lags behind updates and deletes; the values it answers don't.
	o.ok("PATCH", "sobjects/Contact/"+jane, map[string]any{"Phone": "777 000 1111"})
	found := o.ok("GET", "search?q="+url.QueryEscape(`FIND {5551234567} IN PHONE FIELDS RETURNING Contact(Id, Phone)`), nil)
	if found.at("searchRecords", 0, "Phone") != "777 000 1111" {
		t.Errorf("right after an update: %s", found.raw)
	}
	o.clock.add(5 * time.Second)
	if got := o.sosl(`FIND {5551234567} IN PHONE FIELDS RETURNING Contact(Id)`); len(got) != 0 {
		t.Errorf("the old number still finds %v", got)
	}
	if got := o.sosl(`FIND {7770001111} IN PHONE FIELDS RETURNING Contact(Id)`); !slices.Equal(got, []string{jane}) {
		t.Errorf("the new number finds %v", got)
	}
	o.ok("DELETE", "sobjects/Contact/"+jane, nil)
	if got := o.sosl(`FIND {7770001111} IN PHONE FIELDS RETURNING Contact(Id)`); len(got) != 0 {
		t.Errorf("the index shows the deleted %v", got)
	}
}

func TestSOSLRefusals(t *testing.T) {
	o := newOrg(t)
	for q, want := range map[string]string{
		``:                                      "MALFORMED_SEARCH",
		`FIND 5551234567 IN PHONE FIELDS`:       "MALFORMED_SEARCH",
		`FIND {5551234567`:                      "MALFORMED_SEARCH",
		`FIND {}`:                               "MALFORMED_SEARCH",
		`FIND {a}`:                              "MALFORMED_SEARCH",
		`FIND {+15551234567} IN PHONE FIELDS`:   "MALFORMED_SEARCH",
		`FIND {555-1234} IN PHONE FIELDS`:       "MALFORMED_SEARCH",
		`FIND {"+15551234567"} IN PHONE FIELDS`: "MALFORMED_SEARCH",
		`FIND {O'Brien}`:                        "MALFORMED_SEARCH",
		`FIND {(555 1234}`:                      "MALFORMED_SEARCH",
		`FIND {"555 1234}`:                      "MALFORMED_SEARCH",
		`FIND {*5551234}`:                       "MALFORMED_SEARCH",
		`FIND {a\qb}`:                           "MALFORMED_SEARCH",
		`FIND {one OR}`:                         "MALFORMED_SEARCH",
		`FIND {OR two}`:                         "MALFORMED_SEARCH",
		`FIND {one} IN PHONES FIELDS`:           "MALFORMED_SEARCH",
		`FIND {one} RETURNING`:                  "MALFORMED_SEARCH",
		`FIND {one} RETURNING Contact(Id`:       "MALFORMED_SEARCH",
		`FIND {one} RETURNING Contact(Id) LIMIT 2001`:                                    "MALFORMED_SEARCH",
		`FIND {one} RETURNING Kontakt(Id)`:                                               "INVALID_TYPE",
		`FIND {one} RETURNING PermissionSet(Id)`:                                         "INVALID_TYPE",
		`FIND {one} RETURNING Contact(Nope)`:                                             "INVALID_FIELD",
		`FIND {` + strings.Repeat("5551234567 OR ", 800) + `5551234567} IN PHONE FIELDS`: "MALFORMED_SEARCH",
		`FIND {` + strings.Repeat("(", 300) + `one` + strings.Repeat(")", 300) + `}`:     "MALFORMED_SEARCH",
	} {
		t.Run(q[:min(len(q), 60)], func(t *testing.T) {
			o.t = t
			o.refused(400, want, "GET", "search?q="+url.QueryEscape(q), nil)
		})
	}
}

func TestParameterizedSearch(t *testing.T) {
	o := newOrg(t, func(s *salesforcesim.Settings) { s.SearchLag = sandbox.Duration(0) })
	jane := o.create("Contact", map[string]any{"LastName": "Doe", "FirstName": "Jane", "Phone": "+1 555 123 4567"})
	got := o.ok("POST", "parameterizedSearch", map[string]any{
		"q": "+1 (555) 123-4567", "in": "PHONE",
		"sobjects": []any{map[string]any{"name": "Contact", "fields": []string{"Id", "Name"}, "where": "LastName = 'Doe'"}},
	})
	if got.at("searchRecords", 0, "Id") != jane || got.at("searchRecords", 0, "Name") != "Jane Doe" {
		t.Errorf("POST: %s", got.raw)
	}
	got = o.ok("GET", "parameterizedSearch/?q=15551234567&in=phone&sobject=Contact&fields=Id", nil)
	if got.at("searchRecords", 0, "Id") != jane {
		t.Errorf("GET: %s", got.raw)
	}
}
