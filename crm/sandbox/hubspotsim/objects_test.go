package hubspotsim_test

import (
	"testing"
)

// Both path families answer for the same records.
func TestPathFamilies(t *testing.T) {
	p := newPortal(t)
	id := p.do("POST", "/crm/objects/2026-03/contacts", `{"properties":{"email":"Ada@Example.com","firstname":"Ada"}}`).is(201).id()
	for _, path := range []string{
		"/crm/v3/objects/contacts/" + id,
		"/crm/objects/2026-03/contacts/" + id,
		"/crm/v3/objects/contact/" + id,
		"/crm/v3/objects/0-1/" + id,
		"/crm/v3/objects/contacts/ada%40example.com?idProperty=email",
	} {
		a := p.do("GET", path, nil).is(200)
		if a.id() != id || a.at("properties", "email") != "ada@example.com" {
			t.Errorf("%s: %s", path, a.raw)
		}
		for _, member := range []string{"createdAt", "updatedAt"} {
			if a.at(member) != "2026-11-25T12:00:00Z" {
				t.Errorf("%s: %s is %v", path, member, a.at(member))
			}
		}
		if a.at("archived") != false {
			t.Errorf("archived is %v", a.at("archived"))
		}
	}
	p.do("GET", "/crm/v7/objects/contacts/"+id, nil).is(404)
	p.do("GET", "/objects/contacts/"+id, nil).is(404)
	p.do("GET", "/crm/v3/objects/spaceships/1", nil).is(400).says("VALIDATION_ERROR")
}

func TestLifecycleOfARecord(t *testing.T) {
	p := newPortal(t)
	id := p.create("calls", props{"hs_timestamp": "1764072000000", "hs_call_title": "x"})
	a := p.do("GET", "/crm/v3/objects/calls/"+id+"?properties=hs_timestamp,hs_call_title,hs_call_body,nonsense", nil).is(200)
	if a.at("properties", "hs_timestamp") != "2025-11-25T12:00:00Z" {
		t.Errorf("milliseconds come back as %v", a.at("properties", "hs_timestamp"))
	}
	if v, there := a.at("properties").(map[string]any)["hs_call_body"]; !there || v != nil {
		t.Errorf("an unset property is %v, %v; want null", v, there)
	}
	if _, there := a.at("properties").(map[string]any)["nonsense"]; there {
		t.Error("an unknown property is in the answer")
	}
	p.Advance(1e9)
	u := p.do("PATCH", "/crm/v3/objects/calls/"+id, `{"properties":{"hs_call_title":null}}`).is(200)
	if u.at("updatedAt") != "2026-11-25T12:00:01Z" || u.at("properties", "hs_call_title") != nil {
		t.Errorf("after clearing: %s", u.raw)
	}
	p.do("DELETE", "/crm/v3/objects/calls/"+id, nil).is(204)
	p.do("GET", "/crm/v3/objects/calls/"+id, nil).is(404).says("OBJECT_NOT_FOUND", "correlationId")
	p.do("PATCH", "/crm/v3/objects/calls/"+id, `{"properties":{"hs_call_title":"y"}}`).is(404)
	p.do("GET", "/crm/v3/objects/calls/"+id+"?archived=true", nil).is(200).says(`"archived":true`, `"archivedAt":"2026-11-25T12:00:01Z"`)
	p.do("DELETE", "/crm/v3/objects/calls/"+id, nil).is(204)
	p.do("DELETE", "/crm/v3/objects/calls/999999", nil).is(404)
}
