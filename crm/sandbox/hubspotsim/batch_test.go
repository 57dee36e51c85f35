package hubspotsim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/callsync/callsync/crm/sandbox/hubspotsim"
)

type object map[string]any

func inputs(list ...object) object { return object{"inputs": list} }

func uniqueProperty(p *portal, objectType string) {
	p.t.Helper()
	group := map[string]string{"contacts": "contactinformation", "calls": "call", "meetings": "meeting", "tasks": "task"}[objectType]
	p.do("POST", "/crm/v3/properties/"+objectType, object{
		"name": "sync_key", "label": "Key", "groupName": group, "type": "string", "fieldType": "text", "hasUniqueValue": true,
	}).is(201)
}

func TestBatchCreate(t *testing.T) {
	p := newPortal(t)
	var list []object
	for i := range 100 {
		list = append(list, object{"properties": props{"email": fmt.Sprintf("p%d@example.com", i)}})
	}
	a := p.do("POST", "/crm/objects/2026-03/contacts/batch/create", inputs(list...)).is(201).says(`"status":"COMPLETE"`, "startedAt", "completedAt")
	if got := len(a.ids()); got != 100 {
		t.Fatalf("%d results", got)
	}
	if slices.IsSortedFunc(a.ids(), func(x, y string) int { return len(x) - len(y) | strings.Compare(x, y) }) {
		t.Error("results come in the order of the inputs, which HubSpot does not promise")
	}
	list = append(list, list[0])
	p.do("POST", "/crm/v3/objects/contacts/batch/create", inputs(list...)).is(400).says("100")
	p.do("POST", "/crm/v3/objects/contacts/batch/create", inputs()).is(400)
}

// One bad input refuses the batch, and the answer does not say which it was.
func TestBatchCreateIsAllOrNothing(t *testing.T) {
	p := newPortal(t)
	p.contact("taken@example.com")
	good := object{"properties": props{"email": "good@example.com"}}
	for status, bad := range map[int]object{
		400: {"properties": props{"email": "x@example.com", "hs_lead_status": "NOPE"}},
		409: {"properties": props{"email": "taken@example.com"}},
	} {
		a := p.do("POST", "/crm/v3/objects/contacts/batch/create", inputs(good, bad)).is(status)
		if strings.Contains(string(a.raw), "x@example.com") || strings.Contains(string(a.raw), "inputs[1]") {
			t.Errorf("the answer names the culprit: %s", a.raw)
		}
	}
	p.do("POST", "/crm/v3/objects/contacts/batch/create", inputs(good, good)).is(409)
	if n := len(p.Records("contacts")); n != 1 {
		t.Errorf("%d contacts, want the first only", n)
	}
}

func TestTracedBatchCreate(t *testing.T) {
	p := newPortal(t)
	taken := p.contact("taken@example.com")
	batch := inputs(
		object{"objectWriteTraceId": "a", "properties": props{"email": "a@example.com"}},
		object{"objectWriteTraceId": "b", "properties": props{"email": "b@example.com", "nope": "1"}},
		object{"objectWriteTraceId": "c", "properties": props{"email": "taken@example.com"}},
	)
	p.Configure(func(s *hubspotsim.Settings) { s.TraceCreate = false })
	p.do("POST", "/crm/v3/objects/contacts/batch/create", batch).is(400)

	p.Configure(func(s *hubspotsim.Settings) { s.TraceCreate = true })
	a := p.do("POST", "/crm/v3/objects/contacts/batch/create", batch).is(207)
	if a.at("numErrors") != 2.0 || len(a.ids()) != 1 || a.at("results", 0, "objectWriteTraceId") != nil {
		t.Fatalf("answer: %s", a.raw)
	}
	for i, want := range []struct{ trace, category string }{{"b", "VALIDATION_ERROR"}, {"c", "CONFLICT"}} {
		if a.at("errors", i, "context", "objectWriteTraceId", 0) != want.trace || a.at("errors", i, "category") != want.category {
			t.Errorf("error %d: %v", i, a.at("errors", i))
		}
	}
	if got := a.at("errors", 1, "context", "existingId", 0); got != taken {
		t.Errorf("conflict names %v, want %s", got, taken)
	}
	// Without a trace id of its own on every input, nothing is granular.
	batch["inputs"].([]object)[0]["objectWriteTraceId"] = "b"
	batch["inputs"].([]object)[0]["properties"] = props{"email": "d@example.com"}
	p.do("POST", "/crm/v3/objects/contacts/batch/create", batch).is(400)

	p.Configure(func(s *hubspotsim.Settings) { s.EchoTraceIDs = true })
	a = p.do("POST", "/crm/v3/objects/contacts/batch/create", inputs(object{"objectWriteTraceId": "z", "properties": props{"email": "z@example.com"}})).is(201)
	if a.at("results", 0, "objectWriteTraceId") != "z" {
		t.Errorf("trace id is not echoed: %s", a.raw)
	}
}

func TestBatchReadAndUpdateReportMissingIDs(t *testing.T) {
	p := newPortal(t)
	id := p.contact("ada@example.com")
	gone := p.contact("gone@example.com")
	p.do("DELETE", "/crm/v3/objects/contacts/"+gone, nil).is(204)
	read := object{"properties": []string{"email"}, "inputs": []object{{"id": id}, {"id": gone}, {"id": "999999"}, {"id": id}}}
	write := inputs(
		object{"id": id, "properties": props{"firstname": "Ada"}},
		object{"id": gone, "properties": props{"firstname": "x"}},
		object{"id": "999999", "properties": props{"firstname": "x"}},
	)
	for path, body := range map[string]object{"read": read, "update": write} {
		p.Configure(func(s *hubspotsim.Settings) { s.MissingTogether = false })
		a := p.do("POST", "/crm/v3/objects/contacts/batch/"+path, body).is(207)
		if got := a.ids(); len(got) != 1 || got[0] != id || a.at("numErrors") != 2.0 || a.at("errors", 0, "category") != "OBJECT_NOT_FOUND" {
			t.Errorf("%s, one error each: %s", path, a.raw)
		}
		p.Configure(func(s *hubspotsim.Settings) { s.MissingTogether = true })
		a = p.do("POST", "/crm/v3/objects/contacts/batch/"+path, body).is(207)
		if a.at("numErrors") != 1.0 || len(a.at("errors", 0, "context", "ids").([]any)) != 2 {
			t.Errorf("%s, together: %s", path, a.raw)
		}
	}
	p.do("POST", "/crm/v3/objects/contacts/batch/read?archived=true", read).is(207).says(`"archived":true`)
}

func TestBatchUpdate(t *testing.T) {
	p := newPortal(t)
	a, b := p.contact("a@example.com"), p.contact("b@example.com")
	path := "/crm/v3/objects/contacts/batch/update"
	first := func(name, value string, more object) object {
		in := object{"id": a, "properties": props{name: value}}
		for k, v := range more {
			in[k] = v
		}
		return in
	}
	bad := object{"id": b, "properties": props{"hs_lead_status": "NOPE"}}
	p.do("POST", path, inputs(first("firstname", "x", nil), bad)).is(400)
	if got := p.Records("contacts")[0].Properties["firstname"]; got != "" {
		t.Errorf("a refused batch set %q", got)
	}
	bad["objectWriteTraceId"] = "2"
	r := p.do("POST", path, inputs(first("firstname", "x", object{"objectWriteTraceId": "1"}), bad)).is(207)
	if r.at("errors", 0, "context", "objectWriteTraceId", 0) != "2" || len(r.ids()) != 1 {
		t.Errorf("traced: %s", r.raw)
	}
	p.do("POST", path, inputs(first("firstname", "x", nil), first("lastname", "y", nil))).is(400).says("Duplicate IDs")
	p.do("POST", path, inputs(object{"id": "a@example.com", "idProperty": "email", "properties": props{"firstname": "x"}})).is(400).says("non-unique")
	p.do("POST", path, inputs(object{"id": a, "idProperty": "hs_object_id", "properties": props{"firstname": "x"}})).is(400).says("non-unique")
	p.do("POST", path, inputs(object{"id": a, "properties": props{"email": "b@example.com"}})).is(409).says("Existing ID: " + b)

	r = p.do("POST", path, inputs(object{"id": a, "properties": props{"lastname": "L"}})).is(200)
	if r.at("results", 0, "properties", "lastname") != "L" || r.at("results", 0, "properties").(map[string]any)["email"] != nil {
		t.Errorf("an update answers with what it wrote: %s", r.raw)
	}
}

func TestBatchUpsert(t *testing.T) {
	p := newPortal(t)
	for _, objectType := range []string{"contacts", "calls", "meetings", "tasks"} {
		uniqueProperty(p, objectType)
		values := props{"hs_timestamp": "1764072000000"}
		if objectType == "contacts" {
			values = props{"firstname": "Ada"}
		}
		path := "/crm/v3/objects/" + objectType + "/batch/upsert"
		in := func(key string) object { return object{"id": key, "idProperty": "sync_key", "properties": values} }
		a := p.do("POST", path, inputs(in("k1"), in("k2"))).is(200)
		if a.at("results", 0, "new") != true || a.at("results", 1, "new") != true {
			t.Errorf("%s: new: %s", objectType, a.raw)
		}
		a = p.do("POST", path, inputs(in("k1"))).is(200)
		if a.at("results", 0, "new") != false || a.at("results", 0, "properties", "sync_key") != "k1" {
			t.Errorf("%s: again: %s", objectType, a.raw)
		}
		if n := len(p.Records(objectType)); n != 2 {
			t.Errorf("%d %s, want 2", n, objectType)
		}
		p.do("POST", path, inputs(in("k3"), in("k3"))).is(400).says("Duplicate IDs")
		p.do("POST", path, inputs(in("k1"), in("k1"))).is(400).says("Duplicate IDs")
		p.do("POST", path, inputs(in("k4"), object{"id": "k5", "idProperty": "sync_key", "properties": props{"nope": ""}})).is(400)
		p.do("POST", path, inputs(object{"id": "k5", "properties": values})).is(400).says("idProperty")
		p.do("POST", path, inputs(object{"id": "x", "idProperty": "hs_object_source", "properties": values})).is(400)
		with := in("k6")
		with["associations"] = []object{}
		p.do("POST", path, inputs(with)).is(400).says("associations")
		if n := len(p.Records(objectType)); n != 2 {
			t.Errorf("refused upserts made %d %s of 2", n, objectType)
		}
		// An archived record gives its key up.
		id := p.do("GET", "/crm/v3/objects/"+objectType+"/k1?idProperty=sync_key", nil).is(200).id()
		p.do("POST", "/crm/v3/objects/"+objectType+"/batch/archive", inputs(object{"id": id})).is(204)
		a = p.do("POST", path, inputs(in("k1"))).is(200)
		if a.at("results", 0, "new") != true || a.at("results", 0, "id") == id {
			t.Errorf("%s: upsert of an archived record's key: %s", objectType, a.raw)
		}
	}
	a := p.do("POST", "/crm/v3/objects/contacts/batch/upsert", inputs(object{"id": "New@Example.com", "idProperty": "email", "properties": props{"firstname": "N"}})).is(200)
	if a.at("results", 0, "properties", "email") != "new@example.com" {
		t.Errorf("upsert by email: %s", a.raw)
	}
}

func TestUniqueConflicts(t *testing.T) {
	p := newPortal(t)
	uniqueProperty(p, "contacts")
	holder := p.create("contacts", props{"firstname": "Ada", "sync_key": "k", "email": "ada@example.com"})
	other := p.create("contacts", props{"firstname": "Bob"})
	body := object{"properties": props{"firstname": "x", "sync_key": "k"}}
	p.do("POST", "/crm/v3/objects/contacts", body).is(400).says("CONFLICTING_UNIQUE_VALUE", holder)
	p.Configure(func(s *hubspotsim.Settings) { s.ConflictStatus = 409 })
	p.do("POST", "/crm/v3/objects/contacts", body).is(409).says(`"category":"CONFLICT"`, holder)
	p.do("PATCH", "/crm/v3/objects/contacts/"+other, body).is(409)
	p.do("PATCH", "/crm/v3/objects/contacts/"+holder, body).is(200)

	want := `"message":"Contact already exists. Existing ID: ` + holder + `"`
	p.do("POST", "/crm/v3/objects/contacts", `{"properties":{"email":" ADA@example.com"}}`).is(409).says(want)
	p.do("PATCH", "/crm/v3/objects/contacts/"+other, `{"properties":{"email":"ada@example.com"}}`).is(409).says(want)

	p.do("PATCH", "/crm/v3/objects/contacts/"+holder, `{"properties":{"sync_key":"k2","email":"ada2@example.com"}}`).is(200)
	p.do("PATCH", "/crm/v3/objects/contacts/"+other, `{"properties":{"sync_key":"k","email":"ada@example.com"}}`).is(200)
	p.create("contacts", props{"firstname": "no phone is unique", "phone": "1"})
	p.create("contacts", props{"firstname": "no phone is unique", "phone": "1"})
}
