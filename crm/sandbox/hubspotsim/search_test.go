package hubspotsim_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/callsync/callsync/crm/sandbox"
	"github.com/callsync/callsync/crm/sandbox/hubspotsim"
)

func byEmail(email string) string {
	return `{"filterGroups":[{"filters":[{"propertyName":"email","operator":"EQ","value":"` + email + `"}]}]}`
}

// A record, a change and an archival reach search only after the lag; reads by
// id see them at once.
func TestSearchLags(t *testing.T) {
	p := newPortal(t)
	id := p.contact("ada@example.com")
	found := func(email string, want int) {
		t.Helper()
		if got := p.search("contacts", byEmail(email)).is(200).at("total"); got != float64(want) {
			t.Errorf("search for %s finds %v, want %d", email, got, want)
		}
		p.Advance(time.Second)
	}
	for range 5 {
		p.do("GET", "/crm/v3/objects/contacts/"+id, nil).is(200)
		found("ada@example.com", 0)
	}
	found("ada@example.com", 1)
	p.do("PATCH", "/crm/v3/objects/contacts/"+id, `{"properties":{"email":"lovelace@example.com"}}`).is(200)
	for range 5 {
		found("ada@example.com", 1)
	}
	found("lovelace@example.com", 1)
	found("ada@example.com", 0)
	p.do("DELETE", "/crm/v3/objects/contacts/"+id, nil).is(204)
	found("lovelace@example.com", 1)
	p.Advance(5 * time.Second)
	found("lovelace@example.com", 0)

	p.Configure(func(s *hubspotsim.Settings) { s.SearchLag = sandbox.Duration(30 * time.Second) })
	p.contact("late@example.com")
	p.Advance(29 * time.Second)
	found("late@example.com", 0)
	found("late@example.com", 1)
	p.Configure(func(s *hubspotsim.Settings) { s.SearchLag = 0 })
	p.contact("now@example.com")
	found("now@example.com", 1)
}

func TestSearchOperators(t *testing.T) {
	p := newPortal(t, func(o *hubspotsim.Options) {
		s := hubspotsim.DefaultSettings()
		s.TenSecondLimit, s.SearchesPerSecond = 0, 0
		o.Settings = s
	})
	call := func(title, duration, at, status string) string {
		return p.create("calls", props{"hs_call_title": title, "hs_call_duration": duration, "hs_timestamp": at, "hs_call_status": status})
	}
	names := map[string]string{
		call("Intro Call", "900", "2026-11-01T10:00:00Z", "COMPLETED"):       "a",
		call("Second call, Berlin", "46000", "2026-11-02T10:00:00Z", "BUSY"): "b",
		call("", "", "2026-11-03T10:00:00Z", "COMPLETED"):                    "c",
	}
	p.indexAll()
	for _, tt := range []struct{ filter, want string }{
		{`"hs_call_title","operator":"EQ","value":"intro CALL"`, "a"},
		{`"hs_call_title","operator":"NEQ","value":"Intro Call"`, "bc"},
		{`"hs_call_title","operator":"IN","values":["intro call","x"]`, "a"},
		{`"hs_call_title","operator":"IN","values":["Intro Call"]`, ""}, // must be lower case
		{`"hs_call_title","operator":"NOT_IN","values":["intro call"]`, "b"},
		{`"hs_call_title","operator":"HAS_PROPERTY"`, "ab"},
		{`"hs_call_title","operator":"NOT_HAS_PROPERTY"`, "c"},
		{`"hs_call_title","operator":"CONTAINS_TOKEN","value":"call"`, "ab"},
		{`"hs_call_title","operator":"CONTAINS_TOKEN","value":"ber*"`, "b"},
		{`"hs_call_title","operator":"CONTAINS_TOKEN","value":"*lin second"`, "b"},
		{`"hs_call_title","operator":"CONTAINS_TOKEN","value":"ber"`, ""},
		{`"hs_call_title","operator":"NOT_CONTAINS_TOKEN","value":"berlin"`, "ac"},
		{`"hs_call_status","operator":"IN","values":["COMPLETED"]`, "ac"},
		{`"hs_call_duration","operator":"EQ","value":"900.0"`, "a"},
		{`"hs_call_duration","operator":"GT","value":"1000"`, "b"},
		{`"hs_call_duration","operator":"GTE","value":"900"`, "ab"},
		{`"hs_call_duration","operator":"LT","value":"46000"`, "a"},
		{`"hs_call_duration","operator":"LTE","value":"46000"`, "ab"},
		{`"hs_call_duration","operator":"BETWEEN","value":"900","highValue":"1000"`, "a"},
		{`"hs_timestamp","operator":"GTE","value":"2026-11-02T10:00:00Z"`, "bc"},
		{`"hs_timestamp","operator":"LT","value":"` + fmt.Sprint(time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC).UnixMilli()) + `"`, "a"},
		{`"hs_timestamp","operator":"EQ","value":"2026-11-02T11:00:00+01:00"`, "b"},
		{`"hs_object_id","operator":"EQ","value":"1001"`, "a"},
	} {
		a := p.search("calls", `{"filterGroups":[{"filters":[{"propertyName":`+tt.filter+`}]}]}`).is(200)
		got := ""
		for _, id := range a.ids() {
			got += names[id]
		}
		if got != tt.want {
			t.Errorf("%s finds %q, want %q", tt.filter, got, tt.want)
		}
	}
	// Groups are alternatives, filters of a group conditions.
	a := p.search("calls", `{"filterGroups":[
		{"filters":[{"propertyName":"hs_call_status","operator":"EQ","value":"COMPLETED"},{"propertyName":"hs_call_title","operator":"HAS_PROPERTY"}]},
		{"filters":[{"propertyName":"hs_call_status","operator":"EQ","value":"BUSY"}]}],
		"properties":["hs_call_title","hs_call_body"],"sorts":[{"propertyName":"hs_timestamp","direction":"DESCENDING"}]}`).is(200)
	if a.at("total") != 2.0 || names[a.ids()[0]] != "b" || names[a.ids()[1]] != "a" {
		t.Errorf("groups: %s", a.raw)
	}
	if v, there := a.at("results", 0, "properties").(map[string]any)["hs_call_body"]; !there || v != nil {
		t.Errorf("an unset property is %v", v)
	}
	if got := p.search("calls", `{"sorts":["-hs_timestamp"],"limit":1}`).is(200); names[got.ids()[0]] != "c" || got.at("total") != 3.0 {
		t.Errorf("sort by name: %s", got.raw)
	}
	if got := p.search("calls", `{"query":"berl"}`).is(200); got.at("total") != 1.0 {
		t.Errorf("query: %s", got.raw)
	}
}

func TestSearchPhonesAndAdditionalEmails(t *testing.T) {
	p := newPortal(t)
	id := p.create("contacts", props{"email": "ada@example.com", "phone": "(555) 123-4567", "mobilephone": "+49 171 2345678"})
	other := p.contact("lovelace@example.com")
	p.do("POST", "/crm/v3/objects/contacts/merge", object{"primaryObjectId": id, "objectIdToMerge": other}).is(200)
	p.indexAll()
	for filter, want := range map[string]float64{
		`"hs_searchable_calculated_phone_number","operator":"EQ","value":"5551234567"`:         1,
		`"hs_searchable_calculated_phone_number","operator":"EQ","value":"15551234567"`:        0,
		`"hs_searchable_calculated_phone_number","operator":"IN","values":["5551234567"]`:      1,
		`"hs_searchable_calculated_mobile_number","operator":"EQ","value":"1712345678"`:        1,
		`"phone","operator":"EQ","value":"5551234567"`:                                         0,
		`"hs_additional_emails","operator":"IN","values":["lovelace@example.com"]`:             1,
		`"hs_additional_emails","operator":"EQ","value":"lovelace@example.com"`:                1,
		`"hs_additional_emails","operator":"CONTAINS_TOKEN","value":"lovelace@example.com"`:    1,
		`"email","operator":"EQ","value":"lovelace@example.com"`:                               0,
		`"hs_additional_emails","operator":"CONTAINS_TOKEN","value":"lovelace@example.org.uk"`: 0,
	} {
		if got := p.search("contacts", `{"filterGroups":[{"filters":[{"propertyName":`+filter+`}]}]}`).is(200).at("total"); got != want {
			t.Errorf("%s finds %v, want %v", filter, got, want)
		}
		p.Advance(time.Second)
	}
}

func TestSearchLimits(t *testing.T) {
	p := newPortal(t, func(o *hubspotsim.Options) {
		s := hubspotsim.DefaultSettings()
		s.TenSecondLimit, s.SearchesPerSecond, s.SearchLag = 0, 0, 0
		o.Settings = s
	})
	filter := object{"propertyName": "firstname", "operator": "HAS_PROPERTY"}
	group := func(n int) object { return object{"filters": slices.Repeat([]object{filter}, n)} }
	groups := func(sizes ...int) object {
		var list []object
		for _, n := range sizes {
			list = append(list, group(n))
		}
		return object{"filterGroups": list}
	}
	values := func(n int) object {
		return object{"filterGroups": []object{{"filters": []object{{"propertyName": "firstname", "operator": "IN", "values": slices.Repeat([]string{"a"}, n)}}}}}
	}
	one := func(filter object) object { return object{"filterGroups": []object{{"filters": []object{filter}}}} }
	for name, tt := range map[string]struct {
		body   object
		status int
	}{
		"5 groups":              {groups(1, 1, 1, 1, 1), 200},
		"6 groups":              {groups(1, 1, 1, 1, 1, 1), 400},
		"6 filters in a group":  {groups(6), 200},
		"7 filters in a group":  {groups(7), 400},
		"19 filters":            {groups(6, 6, 6, 1), 400},
		"an empty group":        {groups(0), 400},
		"100 values":            {values(100), 200},
		"101 values":            {values(101), 400},
		"no values":             {values(0), 400},
		"unknown property":      {one(object{"propertyName": "nope", "operator": "HAS_PROPERTY"}), 400},
		"unknown operator":      {one(object{"propertyName": "email", "operator": "LIKE", "value": "x"}), 400},
		"IN with value":         {one(object{"propertyName": "email", "operator": "IN", "value": "x"}), 400},
		"EQ with values":        {one(object{"propertyName": "email", "operator": "EQ", "values": []string{"x"}}), 400},
		"EQ without value":      {one(object{"propertyName": "email", "operator": "EQ"}), 400},
		"BETWEEN half open":     {one(object{"propertyName": "createdate", "operator": "BETWEEN", "value": "1"}), 400},
		"a time that is none":   {one(object{"propertyName": "createdate", "operator": "GT", "value": "soon"}), 400},
		"200 a page":            {object{"limit": 200}, 200},
		"201 a page":            {object{"limit": 201}, 400},
		"the last page":         {object{"limit": 200, "after": "9800"}, 200},
		"beyond 10,000":         {object{"limit": 200, "after": "9801"}, 400},
		"a cursor that is none": {object{"after": "x"}, 400},
		"two sorts":             {object{"sorts": []string{"email", "firstname"}}, 400},
		"unknown sort":          {object{"sorts": []string{"nope"}}, 400},
	} {
		if a := p.do("POST", "/crm/objects/2026-03/contacts/search", tt.body); a.status != tt.status {
			t.Errorf("%s: %d, want %d: %s", name, a.status, tt.status, a.raw)
		}
	}
	body := func(n int) string {
		s := `{"query":"` + strings.Repeat("é", n) + `"}`
		return s
	}
	p.search("contacts", body(3000-len(`{"query":""}`))).is(200)
	p.search("contacts", body(3001-len(`{"query":""}`))).is(400)

	for i := range 25 {
		p.contact(fmt.Sprintf("p%02d@example.com", i))
	}
	seen, after := map[string]bool{}, ""
	for page := 0; ; page++ {
		req, _ := json.Marshal(object{"limit": 10, "after": after, "sorts": []string{"email"}})
		a := p.search("contacts", string(req)).is(200)
		for _, id := range a.ids() {
			seen[id] = true
		}
		if a.body["paging"] == nil {
			break
		}
		after = a.at("paging", "next", "after").(string)
	}
	if len(seen) != 25 {
		t.Errorf("paging found %d of 25", len(seen))
	}
}
