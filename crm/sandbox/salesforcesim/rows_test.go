package salesforcesim_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestRowLifecycle(t *testing.T) {
	o := newOrg(t)
	made := o.ok("POST", "sobjects/Contact", map[string]any{"LastName": " Doe ", "firstname": "Jane", "Email": "Jane@Example.com"})
	id := made.at("id").(string)
	if made.status != 201 || made.header.Get("Location") != "/services/data/v66.0/sobjects/Contact/"+id {
		t.Fatalf("create: %d %v", made.status, made.header)
	}
	got := o.ok("GET", "sobjects/Contact/"+id[:15]+"?fields=Name,Email,DoNotCall,Phone,CreatedDate,OwnerId", nil)
	for name, want := range map[string]any{
		"Name": "Jane Doe", "Email": "Jane@Example.com", "DoNotCall": false, "Phone": nil,
		"CreatedDate": "2026-03-02T09:00:00.000+0000", "OwnerId": o.sim.UserID(), "Id": id,
	} {
		if got.at(name) != want {
			t.Errorf("%s is %v; want %v", name, got.at(name), want)
		}
	}
	if got.at("attributes", "type") != "Contact" {
		t.Errorf("attributes are %v", got.at("attributes"))
	}
	if a := o.ok("PATCH", "sobjects/Contact/"+id, map[string]any{"Phone": "555", "FirstName": nil}); a.status != 204 || a.raw != "" {
		t.Errorf("update: %d %s", a.status, a.raw)
	}
	if got := o.get("Contact", id); got["Phone"] != "555" || got["Name"] != "Doe" {
		t.Errorf("after the update: %v", got)
	}
	if a := o.ok("DELETE", "sobjects/Contact/"+id, nil); a.status != 204 {
		t.Errorf("delete: %d", a.status)
	}
	for _, method := range []string{"GET", "DELETE"} {
		o.refused(404, "ENTITY_IS_DELETED", method, "sobjects/Contact/"+id, nil)
	}
	o.refused(404, "ENTITY_IS_DELETED", "PATCH", "sobjects/Contact/"+id, map[string]any{"Phone": "1"})
	if err := o.sim.Undelete(id); err != nil {
		t.Fatal(err)
	}
	if o.get("Contact", id)["Phone"] != "555" {
		t.Error("the undeleted contact lost its phone")
	}
}

func TestRowRefusals(t *testing.T) {
	o := newOrg(t)
	contact := o.contact("Doe")
	account := o.create("Account", map[string]any{"Name": "Acme"})
	lead := o.create("Lead", map[string]any{"LastName": "Roe", "Company": "Roe Ltd"})
	idle := o.sim.AddUser("idle@example.com", "Ida", "Idle", false)
	gone := o.contact("Gone")
	o.ok("DELETE", "sobjects/Contact/"+gone, nil)
	task := o.create("Task", map[string]any{"Subject": "Call", "TaskSubtype": "Call"})
	for name, tc := range map[string]struct {
		method, path string
		body         any
		status       int
		code         string
		message      string
	}{
		"required contact":   {"POST", "sobjects/Contact", map[string]any{"FirstName": "A"}, 400, "REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]"},
		"required lead":      {"POST", "sobjects/Lead", map[string]any{"FirstName": "A"}, 400, "REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName, Company]"},
		"required emptied":   {"PATCH", "sobjects/Contact/" + contact, map[string]any{"LastName": ""}, 400, "REQUIRED_FIELD_MISSING", "LastName"},
		"unknown field":      {"POST", "sobjects/Contact", map[string]any{"LastName": "A", "Nope__c": 1}, 400, "INVALID_FIELD", "No such column 'Nope__c' on sobject of type Contact"},
		"too long":           {"POST", "sobjects/Contact", map[string]any{"LastName": strings.Repeat("ü", 81)}, 400, "STRING_TOO_LONG", "(max length=80)"},
		"restricted":         {"POST", "sobjects/Task", map[string]any{"CallType": "Sideways"}, 400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "Call Type: bad value for restricted picklist field: Sideways"},
		"email":              {"POST", "sobjects/Contact", map[string]any{"LastName": "A", "Email": "a@b"}, 400, "INVALID_EMAIL_ADDRESS", "Email: invalid email address: a@b"},
		"subtype update":     {"PATCH", "sobjects/Task/" + task, map[string]any{"TaskSubtype": "Task"}, 400, "INVALID_FIELD_FOR_INSERT_UPDATE", "Unable to create/update fields: TaskSubtype."},
		"system field":       {"PATCH", "sobjects/Contact/" + contact, map[string]any{"CreatedDate": "2020-01-01T00:00:00Z"}, 400, "INVALID_FIELD_FOR_INSERT_UPDATE", "CreatedDate"},
		"lead with what":     {"POST", "sobjects/Task", map[string]any{"WhoId": lead, "WhatId": account}, 400, "FIELD_INTEGRITY_EXCEPTION", "Related To ID"},
		"who is an account":  {"POST", "sobjects/Task", map[string]any{"WhoId": account}, 400, "FIELD_INTEGRITY_EXCEPTION", "Name ID: id value of incorrect type: " + account},
		"malformed who":      {"POST", "sobjects/Task", map[string]any{"WhoId": "jane"}, 400, "MALFORMED_ID", "Name ID: id value of incorrect type: jane"},
		"wrong checksum":     {"POST", "sobjects/Task", map[string]any{"WhoId": contact[:15] + "ZZZ"}, 400, "MALFORMED_ID", "Name ID"},
		"nobody":             {"POST", "sobjects/Task", map[string]any{"WhoId": "003Ws0000000zzz"}, 400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id"},
		"deleted who":        {"POST", "sobjects/Task", map[string]any{"WhoId": gone}, 404, "ENTITY_IS_DELETED", "entity is deleted"},
		"idle owner":         {"POST", "sobjects/Task", map[string]any{"OwnerId": idle}, 400, "INACTIVE_OWNER_OR_USER", "as owner of task"},
		"int as text":        {"POST", "sobjects/Task", map[string]any{"CallDurationInSeconds": "12"}, 400, "JSON_PARSER_ERROR", "VALUE_STRING value 12"},
		"fraction":           {"POST", "sobjects/Task", map[string]any{"CallDurationInSeconds": 1.5}, 400, "JSON_PARSER_ERROR", "int"},
		"big int":            {"POST", "sobjects/Task", map[string]any{"CallDurationInSeconds": 3e9}, 400, "NUMBER_OUTSIDE_VALID_RANGE", ""},
		"text as number":     {"POST", "sobjects/Contact", map[string]any{"LastName": 7}, 400, "JSON_PARSER_ERROR", "VALUE_NUMBER_INT"},
		"bool as text":       {"POST", "sobjects/Contact", map[string]any{"LastName": "A", "DoNotCall": "true"}, 400, "JSON_PARSER_ERROR", "boolean"},
		"null bool":          {"POST", "sobjects/Contact", map[string]any{"LastName": "A", "DoNotCall": nil}, 400, "INVALID_TYPE_ON_FIELD_IN_RECORD", ""},
		"date with time":     {"POST", "sobjects/Task", map[string]any{"ActivityDate": "2026-03-02T09:00:00Z"}, 400, "JSON_PARSER_ERROR", "date"},
		"syntax":             {"POST", "sobjects/Contact", `{"LastName":`, 400, "JSON_PARSER_ERROR", ""},
		"two values":         {"POST", "sobjects/Contact", `{"LastName":"A"}{}`, 400, "JSON_PARSER_ERROR", ""},
		"no body":            {"POST", "sobjects/Contact", nil, 400, "JSON_PARSER_ERROR", ""},
		"id in create":       {"POST", "sobjects/Contact", map[string]any{"Id": contact, "LastName": "A"}, 400, "INVALID_FIELD_FOR_INSERT_UPDATE", "Id"},
		"id in update":       {"PATCH", "sobjects/Contact/" + contact, map[string]any{"id": contact}, 400, "INVALID_FIELD", "The Id field should not be specified"},
		"unknown type":       {"POST", "sobjects/Kontakt", map[string]any{}, 404, "NOT_FOUND", ""},
		"unknown id":         {"GET", "sobjects/Contact/003Ws0000000zzz", nil, 404, "NOT_FOUND", ""},
		"unknown read field": {"GET", "sobjects/Contact/" + contact + "?fields=Nope", nil, 400, "INVALID_FIELD", "No such column 'Nope' on entity 'Contact'"},
		"method":             {"PUT", "sobjects/Contact/" + contact, map[string]any{}, 405, "METHOD_NOT_ALLOWED", ""},
		"version":            {"GET", "/services/data/v99.0/sobjects", nil, 404, "NOT_FOUND", ""},
		"delete a user":      {"DELETE", "sobjects/User/" + idle, nil, 400, "INSUFFICIENT_ACCESS_OR_READONLY", ""},
	} {
		t.Run(name, func(t *testing.T) {
			o.t = t
			a := o.refused(tc.status, tc.code, tc.method, tc.path, tc.body)
			if got, _ := a.at(0, "message").(string); !strings.Contains(got, tc.message) {
				t.Errorf("message is %q; want %q in it", got, tc.message)
			}
		})
	}
}

func TestMediaType(t *testing.T) {
	o := newOrg(t)
	req, err := http.NewRequest("POST", o.url+"/services/data/v66.0/sobjects/Contact", strings.NewReader(`{"LastName":"A"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+o.token)
	req.Header.Set("Content-Type", "text/plain")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("a text body: %d; want 415", resp.StatusCode)
	}
}
