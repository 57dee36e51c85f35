package salesforcesim_test

import (
	"context"
	"encoding/json"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/callsync/callsync/crm/sandbox"
	"github.com/callsync/callsync/crm/sandbox/salesforcesim"
)

func TestTask(t *testing.T) {
	o := newOrg(t)
	acme := o.create("Account", m{"Name": "Acme"})
	who := o.create("Contact", m{"LastName": "A", "AccountId": acme})
	deal := o.create("Opportunity", m{"Name": "Deal", "StageName": "Prospecting", "CloseDate": "2026-04-01", "AccountId": acme})
	task := o.create("Task", m{
		"TaskSubtype": "Call", "Status": "Completed", "Subject": "Call", "CallType": "Outbound", "CallDurationInSeconds": 61,
		"CallDisposition": "Interested", "CallObject": "call.1", "WhoId": who[:15], "WhatId": deal, "ActivityDate": "2026-03-02", "Priority": "High",
	})
	got := o.get("Task", task)
	for k, want := range map[string]any{
		"WhoId": who, "AccountId": acme, "IsClosed": true, "IsHighPriority": true, "CompletedDateTime": "2026-03-02T09:00:00.000+0000",
		"CallDurationInSeconds": 61.0, "OwnerId": o.sim.UserID(), "TaskSubtype": "Call",
	} {
		if got[k] != want {
			t.Errorf("%s is %v; want %v", k, got[k], want)
		}
	}
	o.clock.add(time.Minute)
	o.ok("PATCH", "sobjects/Task/"+task, m{"Subject": "Call back"})
	if got := o.get("Task", task); got["CompletedDateTime"] != "2026-03-02T09:00:00.000+0000" || got["LastModifiedDate"] != "2026-03-02T09:01:00.000+0000" {
		t.Errorf("a later edit: %v", got)
	}
	o.ok("PATCH", "sobjects/Task/"+task, m{"Status": "In Progress", "WhoId": nil})
	if got := o.get("Task", task); got["IsClosed"] != false || got["CompletedDateTime"] != nil || got["WhoId"] != nil || got["AccountId"] != acme {
		t.Errorf("reopened: %v", got)
	}
	if got := o.get("Task", o.create("Task", m{})); got["Status"] != "Not Started" || got["Priority"] != "Normal" || got["TaskSubtype"] != "Task" {
		t.Errorf("defaults: %v", got)
	}
	o.refused(400, "REQUIRED_FIELD_MISSING", "PATCH", "sobjects/Task/"+task, m{"Status": nil})
	if got := o.get("Opportunity", deal); got["IsClosed"] != false {
		t.Errorf("opportunity: %v", got)
	}
	o.ok("PATCH", "sobjects/Opportunity/"+deal, m{"StageName": "Closed Won"})
	if got := o.get("Opportunity", deal); got["IsClosed"] != true || got["IsWon"] != true {
		t.Errorf("won: %v", got)
	}
}

func TestEvent(t *testing.T) {
	o := newOrg(t)
	for name, tc := range map[string]struct {
		fields m
		end    string // of a good one
		code   string
	}{
		"end":            {m{"StartDateTime": "2026-03-02T10:00:00Z", "EndDateTime": "2026-03-02T10:30:00.500+00:00"}, "2026-03-02T10:30:00.000+0000", ""},
		"zone":           {m{"StartDateTime": "2026-03-02T10:00:00+0200", "EndDateTime": "2026-03-02T10:30:00Z"}, "2026-03-02T10:30:00.000+0000", ""},
		"duration":       {m{"StartDateTime": "2026-03-02T10:00:00Z", "DurationInMinutes": 45}, "2026-03-02T10:45:00.000+0000", ""},
		"activity date":  {m{"ActivityDateTime": "2026-03-02T10:00:00Z", "DurationInMinutes": 0}, "2026-03-02T10:00:00.000+0000", ""},
		"both":           {m{"StartDateTime": "2026-03-02T10:00:00Z", "EndDateTime": "2026-03-02T10:30:00Z", "DurationInMinutes": 30}, "2026-03-02T10:30:00.000+0000", ""},
		"all day":        {m{"IsAllDayEvent": true, "ActivityDate": "2026-03-02"}, "2026-03-02T00:00:00.000+0000", ""},
		"nothing":        {m{"Subject": "x"}, "", "REQUIRED_FIELD_MISSING"},
		"no end":         {m{"StartDateTime": "2026-03-02T10:00:00Z"}, "", "REQUIRED_FIELD_MISSING"},
		"no day":         {m{"IsAllDayEvent": true}, "", "REQUIRED_FIELD_MISSING"},
		"backwards":      {m{"StartDateTime": "2026-03-02T10:00:00Z", "EndDateTime": "2026-03-02T09:59:00Z"}, "", "FIELD_INTEGRITY_EXCEPTION"},
		"contradictory":  {m{"StartDateTime": "2026-03-02T10:00:00Z", "EndDateTime": "2026-03-02T10:30:00Z", "DurationInMinutes": 20}, "", "FIELD_INTEGRITY_EXCEPTION"},
		"fifteen days":   {m{"StartDateTime": "2026-03-02T10:00:00Z", "EndDateTime": "2026-03-17T10:00:00Z"}, "", "FIELD_INTEGRITY_EXCEPTION"},
		"not a time":     {m{"StartDateTime": "tomorrow", "DurationInMinutes": 1}, "", "JSON_PARSER_ERROR"},
		"reminder alone": {m{"StartDateTime": "2026-03-02T10:00:00Z", "DurationInMinutes": 1, "IsReminderSet": true}, "", "REQUIRED_FIELD_MISSING"},
	} {
		t.Run(name, func(t *testing.T) {
			o.t = t
			if tc.code != "" {
				o.refused(400, tc.code, "POST", "sobjects/Event", tc.fields)
				return
			}
			if got := o.get("Event", o.create("Event", tc.fields)); got["EndDateTime"] != tc.end {
				t.Errorf("ends %v; want %v", got["EndDateTime"], tc.end)
			}
		})
	}
	o.t = t
	id := o.create("Event", m{"StartDateTime": "2026-03-02T10:00:00Z", "DurationInMinutes": 30})
	o.ok("PATCH", "sobjects/Event/"+id, m{"StartDateTime": "2026-03-02T10:10:00Z"})
	if got := o.get("Event", id); got["DurationInMinutes"] != 20.0 || got["EndDateTime"] != "2026-03-02T10:30:00.000+0000" {
		t.Errorf("a later start: %v", got)
	}
	o.refused(400, "FIELD_INTEGRITY_EXCEPTION", "PATCH", "sobjects/Event/"+id, m{"StartDateTime": "2026-03-02T11:00:00Z"})
}

func TestConvertedLead(t *testing.T) {
	o := newOrg(t)
	lead := o.create("Lead", m{"LastName": "Roe", "FirstName": "Rita", "Company": "Roe Ltd", "Email": "rita@example.com"})
	task := o.create("Task", m{"WhoId": lead})
	contact := o.control("convert-lead", m{"leadId": lead}).at("contactId").(string)
	got := o.get("Lead", lead)
	if got["IsConverted"] != true || got["ConvertedContactId"] != contact || got["ConvertedAccountId"] == nil || got["ConvertedDate"] != "2026-03-02" {
		t.Errorf("lead: %v", got)
	}
	if c := o.get("Contact", contact); c["Name"] != "Rita Roe" || c["Email"] != "rita@example.com" || c["AccountId"] != got["ConvertedAccountId"] {
		t.Errorf("contact: %v", c)
	}
	if o.get("Task", task)["WhoId"] != contact {
		t.Error("the task stayed with the lead")
	}
	o.refused(400, "CANNOT_UPDATE_CONVERTED_LEAD", "PATCH", "sobjects/Lead/"+lead, m{"Phone": "1"})
	o.refused(400, "CANNOT_UPDATE_CONVERTED_LEAD", "POST", "sobjects/Task", m{"WhoId": lead})
	if _, err := o.sim.ConvertLead(lead, "", ""); err == nil {
		t.Error("a lead was converted twice")
	}
}

// control sends a control request that must succeed.
func (o *org) control(what string, body any) answer {
	o.t.Helper()
	return o.ok("POST", "/_sandbox/"+what, body)
}

func TestMerge(t *testing.T) {
	o := newOrg(t)
	master, loser := o.contact("A"), o.contact("A")
	event := o.create("Event", m{"WhoId": loser, "StartDateTime": "2026-03-02T10:00:00Z", "DurationInMinutes": 30})
	o.control("merge", m{"masterId": master, "loserId": loser[:15]})
	o.refused(404, "ENTITY_IS_DELETED", "GET", "sobjects/Contact/"+loser, nil)
	all := o.ok("GET", "queryAll?q=SELECT+MasterRecordId,IsDeleted+FROM+Contact+WHERE+Id='"+loser+"'", nil)
	if all.at("records", 0, "MasterRecordId") != master || all.at("records", 0, "IsDeleted") != true {
		t.Errorf("loser: %s", all.raw)
	}
	if o.get("Event", event)["WhoId"] != master {
		t.Error("the event stayed with the loser")
	}
	if err := o.sim.Merge(master, loser); err == nil {
		t.Error("a deleted contact was merged")
	}
	o.control("undelete", m{"id": loser})
	if o.get("Contact", loser)["MasterRecordId"] != nil {
		t.Error("the undeleted contact still names a master")
	}
}

func TestDuplicateRules(t *testing.T) {
	o := newOrg(t, func(s *salesforcesim.Settings) { s.DuplicateRules = true })
	first := o.create("Contact", m{"LastName": "A", "Email": "a@example.com"})
	again := m{"LastName": "A", "Email": "A@example.com"}
	got := o.refused(400, "DUPLICATES_DETECTED", "POST", "sobjects/Contact", again)
	if got.at(0, "duplicateResut", "matchResults", 0, "matchRecords", 0, "record", "Id") != first || got.at(0, "message") != "Use one of these records?" {
		t.Errorf("%s", got.raw)
	}
	bulk := o.ok("POST", "composite/sobjects", m{"records": records("Contact", again)})
	if bulk.at(0, "errors", 0, "duplicateResut", "allowSave") != true {
		t.Errorf("%s", bulk.raw)
	}
	o.sim.Configure(func(s *salesforcesim.Settings) { s.DuplicateResultName = "duplicateResult" })
	if got := o.refused(400, "DUPLICATES_DETECTED", "POST", "sobjects/Contact", again); got.at(0, "duplicateResult") == nil {
		t.Errorf("%s", got.raw)
	}
	o.header.Set("Sforce-Duplicate-Rule-Header", "allowSave=true")
	o.create("Contact", m{"LastName": "A", "Email": "a@example.com"})
	o.header.Set("Sforce-Duplicate-Rule-Header", "allowSave=false")
	o.refused(400, "DUPLICATES_DETECTED", "POST", "sobjects/Contact", m{"LastName": "A", "Email": "a@example.com"})
}

func TestRefusals(t *testing.T) {
	o := newOrg(t, func(s *salesforcesim.Settings) {
		s.Refusals = []salesforcesim.Refusal{
			{Object: "Task", Field: "Subject", Contains: "forbidden", Message: "Not on our watch"},
			{Object: "Contact", Code: "UNABLE_TO_LOCK_ROW", Times: 1},
		}
	})
	got := o.refused(400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "POST", "sobjects/Task", m{"Subject": "a forbidden one"})
	if got.at(0, "message") != "Not on our watch" || got.at(0, "fields", 0) != "Subject" {
		t.Errorf("%s", got.raw)
	}
	o.create("Task", m{"Subject": "fine"})
	bulk := o.ok("POST", "composite/sobjects", m{"records": records("Contact", m{"LastName": "A"}, m{"LastName": "B"})})
	if want := []string{"UNABLE_TO_LOCK_ROW", ""}; !slices.Equal(codes(bulk), want) {
		t.Errorf("%v; want %v", codes(bulk), want)
	}
	o.sim.Configure(func(s *salesforcesim.Settings) { s.Refusals = s.Refusals[1:] })
	o.refused(400, "UNABLE_TO_LOCK_ROW", "POST", "sobjects/Contact", m{"LastName": "C"})
}

func TestPersonAccounts(t *testing.T) {
	o := newOrg(t)
	if f := o.describeField("Account", "PersonEmail"); f != nil {
		t.Error("PersonEmail without person accounts")
	}
	o.sim.Configure(func(s *salesforcesim.Settings) { s.PersonAccounts, s.SearchLag = true, 0 })
	id := o.create("Account", m{"FirstName": "Pia", "LastName": "Person", "PersonEmail": "pia@example.com", "PersonMobilePhone": "5551234567"})
	got := o.get("Account", id)
	contact, _ := got["PersonContactId"].(string)
	if got["IsPersonAccount"] != true || got["Name"] != "Pia Person" || contact == "" {
		t.Fatalf("account: %v", got)
	}
	c := o.get("Contact", contact)
	if c["Email"] != "pia@example.com" || c["IsPersonAccount"] != true || c["AccountId"] != id {
		t.Errorf("contact: %v", c)
	}
	if found := o.sosl("FIND {5551234567} IN PHONE FIELDS RETURNING Account(Id), Contact(Id)"); !slices.Equal(found, []string{id, contact}) {
		t.Errorf("found %v", found)
	}
	o.ok("PATCH", "sobjects/Account/"+id, m{"PersonDoNotCall": true})
	if o.get("Contact", contact)["DoNotCall"] != true {
		t.Error("the contact did not follow")
	}
	o.refused(400, "INVALID_FIELD_FOR_INSERT_UPDATE", "PATCH", "sobjects/Contact/"+contact, m{"Phone": "1"})
	o.refused(400, "INVALID_FIELD_FOR_INSERT_UPDATE", "PATCH", "sobjects/Account/"+id, m{"Name": "x"})
	if o.get("Account", o.create("Account", m{"Name": "Acme"}))["IsPersonAccount"] != false {
		t.Error("Acme is a person")
	}
	o.create("Task", m{"WhoId": contact, "WhatId": id})
	o.ok("DELETE", "sobjects/Account/"+id, nil)
	o.refused(404, "ENTITY_IS_DELETED", "GET", "sobjects/Contact/"+contact, nil)
}

func TestLockedParents(t *testing.T) {
	holding, release := make(chan struct{}), make(chan struct{})
	var armed bool
	opts := salesforcesim.Options{WhileWriting: func() {
		if armed {
			armed = false
			close(holding)
			<-release
		}
	}}
	o := newOrgWith(t, opts, func(s *salesforcesim.Settings) { s.LockParents = true })
	who, other := o.contact("A"), o.contact("B")
	task := o.create("Task", m{"WhoId": who})
	armed = true
	done := make(chan answer)
	go func() {
		done <- o.do("POST", "composite/sobjects", m{"records": records("Task", m{"WhoId": who, "Subject": "one"})})
	}()
	<-holding
	got := o.ok("POST", "composite/sobjects", m{"records": records("Task", m{"WhoId": who}, m{"WhoId": other})})
	if want := []string{"UNABLE_TO_LOCK_ROW", ""}; !slices.Equal(codes(got), want) {
		t.Errorf("%v; want %v", codes(got), want)
	}
	o.refused(400, "UNABLE_TO_LOCK_ROW", "PATCH", "sobjects/Contact/"+who, m{"Phone": "1"})
	o.refused(400, "UNABLE_TO_LOCK_ROW", "PATCH", "sobjects/Task/"+task, m{"Subject": "two"})
	close(release)
	if first := <-done; first.status != 200 || first.at(0, "success") != true {
		t.Errorf("the first: %s", first.raw)
	}
	o.create("Task", m{"WhoId": who})
}

func TestLockTime(t *testing.T) {
	o := newOrg(t)
	who := o.contact("A")
	o.sim.Configure(func(s *salesforcesim.Settings) { s.LockParents, s.LockTime = true, sandbox.Duration(time.Hour) })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", o.url+"/services/data/v66.0/sobjects/Task", strings.NewReader(`{"WhoId":"`+who+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+o.token)
	req.Header.Set("Content-Type", "application/json")
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
		}
	}()
	for len(o.sim.Records("Task")) == 0 {
		runtime.Gosched()
	}
	o.refused(400, "UNABLE_TO_LOCK_ROW", "PATCH", "sobjects/Contact/"+who, m{"Phone": "1"})
	o.sim.Configure(func(s *salesforcesim.Settings) { s.LockTime = 0 })
	cancel()
	<-gone
	// The server notices that its client left a little later.
	for o.do("PATCH", "sobjects/Contact/"+who, m{"Phone": "1"}).status != 204 {
		runtime.Gosched()
	}
}

func TestFaults(t *testing.T) {
	o := newOrg(t)
	fault := func(f sandbox.Fault) {
		if _, err := o.sim.AddFault(f); err != nil {
			t.Fatal(err)
		}
	}
	fault(sandbox.Fault{Operation: "collections create", Status: 503, Kind: "SERVER_UNAVAILABLE", Times: 1})
	list := m{"records": records("Contact", m{"LastName": "A"})}
	o.refused(503, "SERVER_UNAVAILABLE", "POST", "composite/sobjects", list)
	if n := len(o.sim.Records("Contact")); n != 0 {
		t.Errorf("a fault before the commit left %d records", n)
	}
	fault(sandbox.Fault{Operation: "Contact create", When: sandbox.After, Status: 500, Times: 1})
	o.refused(500, "UNKNOWN_EXCEPTION", "POST", "sobjects/Contact", m{"LastName": "A"})
	if n := len(o.sim.Records("Contact")); n != 1 {
		t.Errorf("a fault after the commit left %d records", n)
	}
	fault(sandbox.Fault{Operation: "token", Status: 502, Kind: "html", Times: 1})
	resp, err := http.Post(o.url+"/services/oauth2/token", "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 502 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		t.Errorf("html: %d %v", resp.StatusCode, resp.Header)
	}
	counts := o.sim.Counts()
	for op, want := range map[string]int{"collections create": 1, "Contact create": 1, "token": 2} {
		if counts[op].Requests != want {
			t.Errorf("%s: %d requests; want %d", op, counts[op].Requests, want)
		}
	}
}

func TestControlAPI(t *testing.T) {
	o := newOrg(t)
	id := o.contact("A")
	settings := o.ok("GET", "/_sandbox/settings", nil)
	if settings.at("searchLag") != "5s" || settings.at("dailyLimit") != 100000.0 {
		t.Errorf("settings: %s", settings.raw)
	}
	o.ok("PUT", "/_sandbox/settings", m{"searchLag": "1m", "refusals": []m{{"object": "Task", "code": "X"}}})
	o.refused(400, "X", "POST", "sobjects/Task", m{})
	for _, patch := range []any{m{"serchLag": "1m"}, m{"tokenLifetime": "0s"}, m{"refusals": []m{{"object": "Nope"}}}, m{"dailyLimit": -1}} {
		if a := o.do("PUT", "/_sandbox/settings", patch); a.status != 400 || a.at("error") == nil {
			t.Errorf("%v: %d %s", patch, a.status, a.raw)
		}
	}
	var state map[string][]salesforcesim.Record
	if err := json.Unmarshal([]byte(o.ok("GET", "/_sandbox/state", nil).raw), &state); err != nil {
		t.Fatal(err)
	}
	if got := state["Contact"]; len(got) != 1 || got[0].ID != id || got[0].Fields["LastName"] != "A" {
		t.Errorf("state: %v", got)
	}
	o.control("end-sessions", nil)
	o.refused(401, "INVALID_SESSION_ID", "GET", "limits", nil)
	if a := o.do("POST", "/_sandbox/convert-lead", m{"leadId": id}); a.status != 400 {
		t.Errorf("converting a contact: %d %s", a.status, a.raw)
	}
}
