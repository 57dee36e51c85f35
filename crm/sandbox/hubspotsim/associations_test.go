package hubspotsim_test

import (
	"maps"
	"slices"
	"testing"
)

func spec(typeID int) []object {
	return []object{{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": typeID}}
}

func link(id string, typeID int) object {
	return object{"to": object{"id": id}, "types": spec(typeID)}
}

func TestInlineAssociations(t *testing.T) {
	p := newPortal(t)
	company := p.create("companies", props{"name": "Acme"})
	deal := p.create("deals", props{"dealname": "Big"})
	// Ids of different types collide, so a mix-up shows: this contact's id is
	// no company's.
	p.contact("first@example.com")
	contact := p.contact("ada@example.com")
	for object, types := range map[string][3]int{
		"calls": {194, 182, 206}, "meetings": {200, 188, 212}, "tasks": {204, 192, 216}, "notes": {202, 190, 214},
	} {
		a := p.do("POST", "/crm/v3/objects/"+object+"/batch/create", inputs(map[string]any{
			"properties":   props{"hs_timestamp": "1764072000000"},
			"associations": []any{link(contact, types[0]), link(company, types[1]), link(deal, types[2])},
		})).is(201)
		id := a.at("results", 0, "id").(string)
		got := p.Records(object)[0].Associations
		for to, target := range map[string]string{"contacts": contact, "companies": company, "deals": deal} {
			if _, ok := got[to][target]; !ok {
				t.Errorf("%s %s is not associated with %s %s: %v", object, id, to, target, got)
			}
		}
		back := p.do("POST", "/crm/v4/associations/contacts/"+object+"/batch/read", inputs(map[string]any{"id": contact})).is(200)
		if back.at("results", 0, "to", 0, "toObjectId") != id || back.at("results", 0, "to", 0, "associationTypes", 0, "typeId") != float64(types[0]-1) {
			t.Errorf("from the contact: %s", back.raw)
		}
	}
	call := p.Records("calls")[0].ID
	a := p.do("GET", "/crm/v3/objects/calls/"+call+"?associations=contacts,companies", nil).is(200)
	if a.at("associations", "contacts", "results", 0, "id") != contact || a.at("associations", "contacts", "results", 0, "type") != "call_to_contact" {
		t.Errorf("inline: %s", a.raw)
	}
}

func TestRefusedAssociations(t *testing.T) {
	p := newPortal(t)
	contact := p.contact("ada@example.com")
	gone := p.contact("gone@example.com")
	p.do("DELETE", "/crm/v3/objects/contacts/"+gone, nil).is(204)
	for name, bad := range map[string]object{
		"the other direction": link(contact, 193),
		"another pair":        link(contact, 200),
		"unknown type":        link(contact, 99999),
		"unknown contact":     link("999999", 194),
		"archived contact":    link(gone, 194),
		"no type":             {"to": object{"id": contact}},
		"user-defined":        {"to": object{"id": contact}, "types": []object{{"associationCategory": "USER_DEFINED", "associationTypeId": 194}}},
	} {
		in := object{"properties": props{"hs_timestamp": "1764072000000"}, "associations": []object{bad}}
		if a := p.do("POST", "/crm/v3/objects/calls", in); a.status != 400 {
			t.Errorf("%s: %d %s", name, a.status, a.raw)
		}
		in["objectWriteTraceId"] = "1"
		if a := p.do("POST", "/crm/v3/objects/calls/batch/create", inputs(in)); a.status != 207 {
			t.Errorf("%s, traced: %d %s", name, a.status, a.raw)
		}
	}
	if n := len(p.Records("calls")); n != 0 {
		t.Errorf("%d calls were created", n)
	}
}

func TestAssociationBatches(t *testing.T) {
	p := newPortal(t)
	contact := p.contact("ada@example.com")
	call := p.create("calls", props{"hs_timestamp": "1764072000000"})
	pair := func(from, to string) object { return object{"from": object{"id": from}, "to": object{"id": to}} }
	for _, base := range []string{"/crm/v4/associations/calls/contacts", "/crm/associations/2026-03/calls/contacts"} {
		labelled := pair(call, contact)
		labelled["types"] = spec(194)
		a := p.do("POST", base+"/batch/create", inputs(labelled)).is(201).says(`"COMPLETE"`)
		if a.at("results", 0, "fromObjectId") != call || a.at("results", 0, "toObjectId") != contact || a.at("results", 0, "fromObjectTypeId") != "0-48" {
			t.Errorf("create: %s", a.raw)
		}
		lost := pair(call, "999999")
		lost["types"] = spec(194)
		a = p.do("POST", base+"/batch/create", inputs(labelled, lost)).is(207)
		if a.at("numErrors") != 1.0 || a.at("errors", 0, "category") != "OBJECT_NOT_FOUND" {
			t.Errorf("a missing end: %s", a.raw)
		}
		p.do("POST", base+"/batch/archive", inputs(object{"from": object{"id": call}, "to": []object{{"id": contact}}})).is(204)
		wrong := pair(call, contact)
		wrong["types"] = spec(200)
		p.do("POST", base+"/batch/create", inputs(labelled, wrong)).is(400)
		p.do("POST", "/crm/v4/associations/calls/meetings/batch/associate/default", inputs(pair(call, contact))).is(400)
		a = p.do("POST", base+"/batch/read", inputs(object{"id": call})).is(207)
		if a.at("errors", 0, "subCategory") != "crm.associations.NO_ASSOCIATIONS_FOUND" {
			t.Errorf("after archiving: %s", a.raw)
		}
		a = p.do("POST", base+"/batch/associate/default", inputs(pair(call, contact))).is(200)
		if a.at("results", 0, "associationSpec", "associationTypeId") != 194.0 || a.at("results", 1, "associationSpec", "associationTypeId") != 193.0 {
			t.Errorf("default: %s", a.raw)
		}
		a = p.do("POST", base+"/batch/read", inputs(object{"id": call})).is(200)
		if a.at("results", 0, "to", 0, "toObjectId") != contact || a.at("results", 0, "to", 0, "associationTypes", 0, "typeId") != 194.0 {
			t.Errorf("read: %s", a.raw)
		}
		p.do("POST", base+"/batch/read", inputs(slices.Repeat([]object{{"id": call}}, 1001)...)).is(400)
		p.do("POST", base+"/batch/create", inputs(slices.Repeat([]object{pair(call, contact)}, 2001)...)).is(400)
	}
	a := p.do("GET", "/crm/v4/associations/calls/contacts/labels", nil).is(200)
	if a.at("results", 0, "typeId") != 194.0 || len(a.body["results"].([]any)) != 1 {
		t.Errorf("labels: %s", a.raw)
	}
}

func TestSingleAssociations(t *testing.T) {
	p := newPortal(t)
	contact := p.contact("ada@example.com")
	call := p.create("calls", props{"hs_timestamp": "1764072000000"})
	for _, base := range []string{"/crm/v4/objects/calls/", "/crm/objects/2026-03/calls/"} {
		path := base + call + "/associations/contacts"
		p.do("PUT", path+"/"+contact, spec(194)).is(201)
		if a := p.do("GET", path, nil).is(200); a.at("results", 0, "toObjectId") != contact {
			t.Errorf("list: %s", a.raw)
		}
		p.do("DELETE", path+"/"+contact, nil).is(204)
		if a := p.do("GET", path, nil).is(200); len(a.body["results"].([]any)) != 0 {
			t.Errorf("after delete: %s", a.raw)
		}
		p.do("PUT", base+call+"/associations/default/contacts/"+contact, nil).is(200)
		p.do("PUT", base+call+"/associations/default/contacts/999", nil).is(404)
	}
}

// The first company is the primary one; naming another moves the label.
func TestPrimaryCompany(t *testing.T) {
	p := newPortal(t)
	contact := p.contact("ada@example.com")
	one, two := p.create("companies", props{"name": "One"}), p.create("companies", props{"name": "Two"})
	put := func(company string, typeID int) {
		p.do("PUT", "/crm/v4/objects/contacts/"+contact+"/associations/companies/"+company, spec(typeID)).is(201)
	}
	check := func(want map[string][]int) {
		t.Helper()
		got := p.Records("contacts")[0].Associations["companies"]
		if !maps.EqualFunc(got, want, slices.Equal) {
			t.Errorf("associations are %v, want %v", got, want)
		}
	}
	put(one, 279)
	check(map[string][]int{one: {1, 279}})
	put(two, 279)
	check(map[string][]int{one: {1, 279}, two: {279}})
	put(two, 1)
	check(map[string][]int{one: {279}, two: {1, 279}})
	if got := p.Records("companies")[1].Associations["contacts"][contact]; !slices.Equal(got, []int{2, 280}) {
		t.Errorf("from the company: %v", got)
	}
}

func TestMerge(t *testing.T) {
	for _, fresh := range []bool{false, true} {
		p := newPortal(t)
		if fresh {
			if err := p.ChangeSettings([]byte(`{"mergeMakesNewRecord":true}`)); err != nil {
				t.Fatal(err)
			}
		}
		uniqueProperty(p, "contacts")
		winner := p.create("contacts", props{"email": "ada@example.com", "firstname": "Ada"})
		loser := p.create("contacts", props{"email": "lovelace@example.com", "firstname": "A.", "lastname": "Lovelace", "sync_key": "k"})
		call := p.create("calls", props{"hs_timestamp": "1764072000000"})
		p.do("PUT", "/crm/v4/objects/calls/"+call+"/associations/default/contacts/"+loser, nil).is(200)

		a := p.do("POST", "/crm/objects/2026-03/contacts/merge", object{"primaryObjectId": winner, "objectIdToMerge": loser}).is(200)
		id := a.id()
		if (id == winner) == fresh {
			t.Errorf("fresh %v: merged into %s", fresh, id)
		}
		for name, want := range map[string]string{
			"firstname": "Ada", "lastname": "Lovelace", "sync_key": "k", "email": "ada@example.com", "hs_additional_emails": "lovelace@example.com",
		} {
			if got := a.at("properties", name); got != want {
				t.Errorf("%s is %v, want %s", name, got, want)
			}
		}
		a.says(loser)
		for _, path := range []string{"/" + loser, "/" + winner, "/lovelace@example.com?idProperty=email", "/ada@example.com?idProperty=email", "/k?idProperty=sync_key"} {
			if got := p.do("GET", "/crm/v3/objects/contacts"+path, nil).is(200).id(); got != id {
				t.Errorf("%s answers with %s, want %s", path, got, id)
			}
		}
		p.do("PATCH", "/crm/v3/objects/contacts/"+loser, `{"properties":{"firstname":"Countess"}}`).is(200).says(`"id":"` + id + `"`)
		r := p.do("POST", "/crm/v3/objects/contacts/batch/update", inputs(object{"id": loser, "properties": props{"firstname": "X"}})).is(200)
		if r.at("results", 0, "id") != id {
			t.Errorf("batch update by the loser's id: %s", r.raw)
		}
		p.do("POST", "/crm/v3/objects/contacts", `{"properties":{"email":"lovelace@example.com"}}`).is(409).says("Existing ID: " + id)
		if got := p.Records("calls")[0].Associations["contacts"]; len(got) != 1 || !slices.Equal(got[id], []int{194}) {
			t.Errorf("the call's contacts are %v", got)
		}
		if n := len(p.Records("contacts")); n != 1 {
			t.Errorf("%d contacts are left", n)
		}
		p.do("POST", "/crm/v3/objects/contacts/merge", object{"primaryObjectId": winner, "objectIdToMerge": loser}).is(400)
		p.indexAll()
		if got := p.search("contacts", `{}`).at("total"); got != 1.0 {
			t.Errorf("search finds %v contacts", got)
		}
	}
}

func TestGDPRDelete(t *testing.T) {
	p := newPortal(t)
	id, other := p.contact("ada@example.com"), p.contact("bob@example.com")
	own := p.do("POST", "/crm/v3/objects/calls", object{"properties": props{"hs_timestamp": "1764072000000"}, "associations": []object{link(id, 194)}}).is(201).id()
	shared := p.do("POST", "/crm/v3/objects/calls", object{"properties": props{"hs_timestamp": "1764072000000"}, "associations": []object{link(id, 194), link(other, 194)}}).is(201).id()
	p.do("POST", "/crm/v3/objects/contacts/gdpr-delete", object{"objectId": "ada@example.com", "idProperty": "email"}).is(204)
	p.do("GET", "/crm/v3/objects/contacts/"+id, nil).is(404)
	p.do("GET", "/crm/v3/objects/contacts/"+id+"?archived=true", nil).is(404)
	p.do("GET", "/crm/v3/objects/calls/"+own, nil).is(404)
	p.do("GET", "/crm/v3/objects/calls/"+shared, nil).is(200)
	p.do("POST", "/crm/v3/objects/contacts", `{"properties":{"email":"ada@example.com"}}`).is(400).says("INVALID_EMAIL")
	p.do("POST", "/crm/v3/objects/contacts/gdpr-delete", object{"objectId": id}).is(404)
}

func TestList(t *testing.T) {
	p := newPortal(t)
	for _, email := range []string{"a@example.com", "b@example.com", "c@example.com"} {
		p.contact(email)
	}
	a := p.do("GET", "/crm/v3/objects/contacts?limit=2&properties=email", nil).is(200)
	if len(a.ids()) != 2 {
		t.Fatalf("first page: %s", a.raw)
	}
	b := p.do("GET", "/crm/v3/objects/contacts?limit=2&after="+a.at("paging", "next", "after").(string), nil).is(200)
	if len(b.ids()) != 1 || b.body["paging"] != nil {
		t.Errorf("second page: %s", b.raw)
	}
	p.do("GET", "/crm/v3/objects/contacts?limit=101", nil).is(400)
}

// Making an additional email the main one takes it off the additional ones.
func TestPromotedEmail(t *testing.T) {
	p := newPortal(t)
	winner, loser := p.contact("ada@example.com"), p.contact("lovelace@example.com")
	p.do("POST", "/crm/v3/objects/contacts/merge", object{"primaryObjectId": winner, "objectIdToMerge": loser}).is(200)
	path := "/crm/v3/objects/contacts/" + winner
	p.do("PATCH", path, `{"properties":{"email":"lovelace@example.com"}}`).is(200)
	if got := p.do("GET", path+"?properties=hs_additional_emails", nil).at("properties", "hs_additional_emails"); got != nil {
		t.Errorf("additional emails are %v", got)
	}
	p.do("PATCH", path, `{"properties":{"email":"countess@example.com"}}`).is(200)
	p.contact("lovelace@example.com")
}
