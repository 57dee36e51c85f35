package hubspotsim_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/callsync/callsync/crm/sandbox/hubspotsim"
)

func TestProperties(t *testing.T) {
	p := newPortal(t)
	p.do("POST", "/crm/properties/2026-03/contacts/groups", `{"name":"callsync","label":"Callsync"}`).is(201)
	p.do("POST", "/crm/v3/properties/contacts/groups", `{"name":"callsync","label":"Callsync"}`).is(409)
	p.do("GET", "/crm/v3/properties/contacts/groups/callsync", nil).is(200)
	p.do("GET", "/crm/v3/properties/contacts/groups/nope", nil).is(404)
	p.do("GET", "/crm/v3/properties/contacts/groups", nil).is(200).says(`"name":"callsync"`, `"name":"contactinformation"`)

	valid := func(change object) object {
		o := object{"name": "mood", "label": "Mood", "groupName": "callsync", "type": "string", "fieldType": "text"}
		for k, v := range change {
			o[k] = v
		}
		return o
	}
	for name, change := range map[string]object{
		"bad name":            {"name": "Mood"},
		"reserved name":       {"name": "hs_mood"},
		"no label":            {"label": ""},
		"unknown group":       {"groupName": "nope"},
		"unknown type":        {"type": "json"},
		"unfit field type":    {"fieldType": "number"},
		"options on a string": {"options": []object{{"label": "A", "value": "a"}}},
		"enum without any":    {"type": "enumeration", "fieldType": "select"},
		"same option twice":   {"type": "enumeration", "fieldType": "select", "options": []object{{"label": "A", "value": "a"}, {"label": "B", "value": "a"}}},
		"unique bool":         {"type": "bool", "fieldType": "booleancheckbox", "hasUniqueValue": true},
	} {
		if a := p.do("POST", "/crm/v3/properties/contacts", valid(change)); a.status != 400 {
			t.Errorf("%s: %d %s", name, a.status, a.raw)
		}
	}
	a := p.do("POST", "/crm/properties/2026-03/contacts", valid(nil)).is(201)
	if a.at("hasUniqueValue") != false || a.at("hubspotDefined") != false || a.at("modificationMetadata", "readOnlyValue") != false {
		t.Errorf("created: %s", a.raw)
	}
	p.do("POST", "/crm/v3/properties/contacts", valid(nil)).is(409).says("already exists")
	p.do("PATCH", "/crm/v3/properties/contacts/mood", `{"label":"Temper"}`).is(200).says("Temper")
	p.do("PATCH", "/crm/v3/properties/contacts/email", `{"label":"x"}`).is(400)
	p.do("GET", "/crm/v3/properties/contacts", nil).is(200).says(`"name":"mood"`, `"name":"email"`)
	p.do("GET", "/crm/v3/properties/contacts/lastmodifieddate", nil).is(200).says(`"readOnlyValue":true`)
	p.do("GET", "/crm/v3/properties/contacts/nope", nil).is(404)

	id := p.create("contacts", props{"firstname": "Ada", "mood": "fine"})
	p.do("DELETE", "/crm/v3/properties/contacts/email", nil).is(400)
	p.do("DELETE", "/crm/v3/properties/contacts/mood", nil).is(204)
	p.do("PATCH", "/crm/v3/objects/contacts/"+id, `{"properties":{"mood":"bad"}}`).is(400).says("PROPERTY_DOESNT_EXIST")
	p.do("GET", "/crm/v3/properties/contacts/mood", nil).is(404)
	p.do("GET", "/crm/v3/properties/contacts/mood?archived=true", nil).is(200)
	p.do("POST", "/crm/v3/properties/contacts", valid(nil)).is(201)
	if got := p.Records("contacts")[0].Properties["mood"]; got != "" {
		t.Errorf("a recreated property still holds %q", got)
	}

	b := p.do("POST", "/crm/v3/properties/calls/batch/create", inputs(
		object{"name": "one", "label": "One", "groupName": "call", "type": "number", "fieldType": "number"},
		object{"name": "two", "label": "Two", "groupName": "nope", "type": "number", "fieldType": "number"},
	)).is(207)
	if b.at("results", 0, "name") != "one" || b.at("errors", 0, "context", "name", 0) != "two" {
		t.Errorf("batch: %s", b.raw)
	}
	b = p.do("POST", "/crm/v3/properties/calls/batch/read", object{"archived": false, "inputs": []object{{"name": "one"}, {"name": "two"}}}).is(207)
	if b.at("results", 0, "name") != "one" || b.at("numErrors") != 1.0 {
		t.Errorf("batch read: %s", b.raw)
	}
}

func TestUniquePropertyRules(t *testing.T) {
	p := newPortal(t)
	unique := func(n int) string {
		return fmt.Sprintf(`{"name":"key%d","label":"K%d","groupName":"call","type":"string","fieldType":"text","hasUniqueValue":true}`, n, n)
	}
	p.Configure(func(s *hubspotsim.Settings) { s.UniqueProperties["calls"] = false })
	p.do("POST", "/crm/v3/properties/calls", unique(0)).is(400)
	p.do("POST", "/crm/v3/properties/calls", strings.Replace(unique(0), "true", "false", 1)).is(201)
	p.Configure(func(s *hubspotsim.Settings) { s.UniqueProperties["calls"] = true })
	for n := 1; n <= 10; n++ {
		p.do("POST", "/crm/v3/properties/calls", unique(n)).is(201).says(`"hasUniqueValue":true`)
	}
	p.do("POST", "/crm/v3/properties/calls", unique(11)).is(400).says("10")
	p.do("DELETE", "/crm/v3/properties/calls/key1", nil).is(204)
	p.do("POST", "/crm/v3/properties/calls", unique(11)).is(201)
	p.do("GET", "/crm/v3/objects/calls/x?idProperty=key1", nil).is(400).says("non-unique")
	p.do("GET", "/crm/v3/objects/calls/x?idProperty=key2", nil).is(404)
}

func TestOwners(t *testing.T) {
	p := newPortal(t, func(o *hubspotsim.Options) {
		o.Owners = []hubspotsim.Owner{{Email: "a@example.com"}, {Email: "b@example.com"}, {Email: "c@example.com", Archived: true}}
	})
	added := p.AddOwner(hubspotsim.Owner{Email: "d@example.com", FirstName: "Dee", LastName: "Dee"})
	for _, base := range []string{"/crm/v3/owners", "/crm/v3/owners/", "/crm/owners/2026-03"} {
		a := p.do("GET", base+"?email=D@example.com", nil).is(200)
		if got := a.ids(); len(got) != 1 || got[0] != added || a.at("results", 0, "archived") != false || a.at("results", 0, "firstName") != "Dee" {
			t.Errorf("%s by email: %s", base, a.raw)
		}
		if a.at("results", 0, "userId") == nil {
			t.Errorf("no userId: %s", a.raw)
		}
		a = p.do("GET", base+"?limit=2", nil).is(200)
		b := p.do("GET", base+"?limit=2&after="+a.at("paging", "next", "after").(string), nil).is(200)
		if len(a.ids()) != 2 || len(b.ids()) != 1 || b.body["paging"] != nil {
			t.Errorf("%s pages: %s %s", base, a.raw, b.raw)
		}
		if a := p.do("GET", base+"?archived=true", nil).is(200); len(a.ids()) != 1 {
			t.Errorf("%s archived: %s", base, a.raw)
		}
	}
	p.do("GET", "/crm/v3/owners/"+added, nil).is(200)
	p.do("GET", "/crm/v3/owners/1", nil).is(404)
	p.create("contacts", props{"firstname": "Ada", "hubspot_owner_id": added})
}

func TestDispositions(t *testing.T) {
	p := newPortal(t)
	p.do("GET", "/calling/v1/dispositions", nil).is(200).says(
		`{"id":"f240bbac-87c9-4f6e-bf70-924b57d47db7","label":"Connected","deleted":false}`, "Wrong number", "Meeting booked")
}
