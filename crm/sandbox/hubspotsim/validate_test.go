package hubspotsim_test

import (
	"strings"
	"testing"
)

func TestRefusedValues(t *testing.T) {
	p := newPortal(t)
	long := strings.Repeat("x", 65_537)
	for _, tt := range []struct{ object, name, value, code string }{
		{"contacts", "shoe_size", "9", "PROPERTY_DOESNT_EXIST"},
		{"contacts", "hs_object_id", "7", "READ_ONLY_VALUE"},
		{"contacts", "lastmodifieddate", "7", "READ_ONLY_VALUE"},
		{"contacts", "hs_searchable_calculated_phone_number", "5551234567", "READ_ONLY_VALUE"},
		{"contacts", "email", "ada@", "INVALID_EMAIL"},
		{"contacts", "email", "Ada <ada@example.com>", "INVALID_EMAIL"},
		{"contacts", "email", "ada@localhost", "INVALID_EMAIL"},
		{"contacts", "hs_lead_status", "SOMEWHAT", "INVALID_OPTION"},
		{"contacts", "hubspot_owner_id", "1", "INVALID_OPTION"},
		{"calls", "hs_call_direction", "outbound", "INVALID_OPTION"},
		{"calls", "hs_call_disposition", "Connected", "INVALID_OPTION"},
		{"calls", "hs_call_duration", "46s", "INVALID_NUMBER"},
		{"calls", "hs_call_duration", "1e3", "INVALID_NUMBER"},
		{"calls", "hs_timestamp", "yesterday", "INVALID_LONG"},
		{"calls", "hs_timestamp", "2026-11-25", "INVALID_LONG"},
		{"calls", "hs_call_recording_url", "http://example.com/a.mp3", "INVALID_URL"},
		{"calls", "hs_call_body", long, "VALUE_TOO_LONG"},
		{"meetings", "hs_meeting_outcome", "DONE", "INVALID_OPTION"},
		{"tasks", "hs_task_priority", "URGENT", "INVALID_OPTION"},
	} {
		values := props{"firstname": "Ada", tt.name: tt.value}
		if tt.object != "contacts" {
			delete(values, "firstname")
			if tt.name != "hs_timestamp" {
				values["hs_timestamp"] = "1764072000000"
			}
		}
		body := map[string]any{"properties": values}
		a := p.do("POST", "/crm/v3/objects/"+tt.object, body).is(400).says(tt.code, "VALIDATION_ERROR", "Property values were not valid: [")
		if got := a.at("errors", 0, "context", "propertyName", 0); got != tt.name {
			t.Errorf("%s: error names property %v", tt.name, got)
		}
	}
	for _, object := range []string{"contacts", "calls", "meetings", "tasks"} {
		if n := len(p.Records(object)); n != 0 {
			t.Errorf("%d %s were created by refused requests", n, object)
		}
	}
}

func TestAcceptedValues(t *testing.T) {
	p := newPortal(t)
	p.do("POST", "/crm/v3/properties/calls", `{"name":"day","label":"Day","groupName":"call","type":"date","fieldType":"date"}`).is(201)
	p.do("POST", "/crm/v3/properties/calls", `{"name":"ok","label":"OK","groupName":"call","type":"bool","fieldType":"booleancheckbox"}`).is(201)
	p.do("POST", "/crm/v3/properties/calls", `{"name":"many","label":"Many","groupName":"call","type":"enumeration","fieldType":"checkbox","options":[{"label":"A","value":"a"},{"label":"B","value":"b"}]}`).is(201)
	for _, tt := range []struct{ name, value, stored string }{
		{"hs_timestamp", "2026-11-25T13:00:00.250+01:00", "2026-11-25T12:00:00.250Z"},
		{"hs_call_duration", "46000", "46000"},
		{"hs_call_duration", "-1.5", "-1.5"},
		{"hs_call_body", strings.Repeat("é", 65_536), strings.Repeat("é", 65_536)},
		{"hs_call_disposition", "f240bbac-87c9-4f6e-bf70-924b57d47db7", "f240bbac-87c9-4f6e-bf70-924b57d47db7"},
		{"day", "2026-11-25", "2026-11-25"},
		{"day", "1764028800000", "2025-11-25"},
		{"ok", "true", "true"},
		{"many", "b;a", "b;a"},
	} {
		values := props{"hs_timestamp": "1764072000000", tt.name: tt.value}
		id := p.create("calls", values)
		got := p.do("GET", "/crm/v3/objects/calls/"+id+"?properties="+tt.name, nil).is(200).at("properties", tt.name)
		if got != tt.stored {
			t.Errorf("%s %.40q is stored as %.40q", tt.name, tt.value, got)
		}
	}
	for name, value := range map[string]string{"day": "1764072000000", "ok": "yes", "many": "a;c"} {
		p.do("POST", "/crm/v3/objects/calls", map[string]any{"properties": props{"hs_timestamp": "1764072000000", name: value}}).is(400)
	}
}

// Values are strings on the wire; anything else is refused.
func TestOnlyStrings(t *testing.T) {
	p := newPortal(t)
	for _, v := range []string{"1", "true", "[]", "{}"} {
		p.do("POST", "/crm/v3/objects/contacts", `{"properties":{"firstname":`+v+`}}`).is(400)
	}
	p.do("POST", "/crm/v3/objects/contacts", `{"properties":{"firstname":"Ada","lastname":null}}`).is(201)
}

func TestRequiredProperties(t *testing.T) {
	p := newPortal(t)
	for _, object := range []string{"calls", "meetings", "tasks", "notes"} {
		p.do("POST", "/crm/v3/objects/"+object, `{"properties":{}}`).is(400).says("hs_timestamp", "required")
		id := p.create(object, props{"hs_timestamp": "1764072000000"})
		p.do("PATCH", "/crm/v3/objects/"+object+"/"+id, `{"properties":{"hs_timestamp":""}}`).is(400)
	}
	p.do("POST", "/crm/v3/objects/contacts", `{"properties":{"phone":"+15551234567"}}`).is(400).says("firstname")
	if err := p.ChangeSettings([]byte(`{"namelessContacts":true}`)); err != nil {
		t.Fatal(err)
	}
	p.create("contacts", props{"phone": "+15551234567"})
}

// A lifecycle stage moves forward or is cleared; backward writes are ignored.
func TestLifecycleStage(t *testing.T) {
	p := newPortal(t)
	id := p.create("contacts", props{"firstname": "Ada", "lifecyclestage": "opportunity"})
	path := "/crm/v3/objects/contacts/" + id
	for _, tt := range []struct {
		write string
		want  any
	}{{"lead", "opportunity"}, {"customer", "customer"}, {"", nil}, {"lead", "lead"}} {
		p.do("PATCH", path, map[string]any{"properties": props{"lifecyclestage": tt.write}}).is(200)
		if got := p.do("GET", path+"?properties=lifecyclestage", nil).at("properties", "lifecyclestage"); got != tt.want {
			t.Errorf("after writing %q the stage is %v, want %v", tt.write, got, tt.want)
		}
	}
}

func TestSearchablePhones(t *testing.T) {
	p := newPortal(t)
	for phone, want := range map[string]any{
		"+1 (555) 123-4567":      "5551234567",
		"(555) 123-4567":         "5551234567",
		"1-555-123-4567 x12":     "5551234567",
		"+49 30 1234567":         "301234567",
		"+44 (0)20 7946 0958":    "2079460958",
		"+39 06 1234567":         "061234567",
		"+423 234 56 78":         "2345678",
		"0049 30 1234567":        "301234567",
		"+49301234567;ext=12":    "301234567",
		"call the office please": nil,
	} {
		id := p.create("contacts", props{"firstname": "Ada", "phone": phone, "mobilephone": phone})
		a := p.do("GET", "/crm/v3/objects/contacts/"+id+"?properties=hs_searchable_calculated_phone_number,hs_searchable_calculated_mobile_number", nil)
		for _, name := range []string{"hs_searchable_calculated_phone_number", "hs_searchable_calculated_mobile_number"} {
			if got := a.at("properties", name); got != want {
				t.Errorf("%s of %q is %v, want %v", name, phone, got, want)
			}
		}
	}
}
