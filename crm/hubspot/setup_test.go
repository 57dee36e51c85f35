package hubspot_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/crm/sandbox/hubspotsim"
)

func (p *account) plan(declared ...crm.Property) []crm.SetupStep {
	p.t.Helper()
	steps, err := p.inspector().SetupPlan(p.t.Context(), declared)
	if err != nil {
		p.t.Fatal(err)
	}
	return steps
}

func texts(steps []crm.SetupStep) []string {
	out := []string{}
	for _, s := range steps {
		out = append(out, s.Text)
	}
	return out
}

func TestSetup(t *testing.T) {
	p := openBare(t)
	declared := []crm.Property{
		{Object: "contacts", Name: "julian_score", Type: crm.TypeNumber, Label: "Julian score"},
		{Object: "contacts", Name: "julian_score", Type: crm.TypeNumber}, // declared twice
		{Object: "contacts", Name: "email", Type: crm.TypeString},        // there already
		{Object: "notes", Name: "julian_mood", Type: crm.TypeEnum, Options: []crm.Option{{Value: "good"}, {Value: "bad", Label: "Bad"}}},
	}
	steps := p.plan(declared...)
	want := []string{
		"property group callsync on contacts",
		"unique string property callsync_contact_key on contacts",
		"number property julian_score on contacts",
		"property group callsync on calls",
		"unique string property callsync_key on calls",
		"property group callsync on meetings",
		"unique string property callsync_key on meetings",
		"property group callsync on tasks",
		"unique string property callsync_key on tasks",
		"property group callsync on notes",
		"unique string property callsync_key on notes",
		"enum property julian_mood on notes",
	}
	if diff := cmp.Diff(want, texts(steps)); diff != "" {
		t.Fatal(diff)
	}
	if slices.ContainsFunc(p.sim.Requests(), func(r request) bool { return r.Method != "GET" }) {
		t.Error("a plan wrote something")
	}
	for range 2 { // the second time everything is there
		if err := p.inspector().Setup(t.Context(), steps); err != nil {
			t.Fatal(err)
		}
	}
	if again := p.plan(declared...); len(again) != 0 {
		t.Errorf("after setup: %v", texts(again))
	}
	if err := p.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	schema, err := p.inspector().Schema(t.Context(), "notes")
	if err != nil {
		t.Fatal(err)
	}
	mood := schema.Properties["julian_mood"]
	if diff := cmp.Diff([]crm.Option{{Value: "good", Label: "good"}, {Value: "bad", Label: "Bad"}}, mood.Options); diff != "" {
		t.Error(diff)
	}
}

// A portal that takes no unique property on calls gets a plain one, and the
// next plan does not ask for a unique one again.
func TestSetupWithoutUnique(t *testing.T) {
	p := openBare(t, plainCalls)
	p.setUp()
	schema, err := p.inspector().Schema(t.Context(), "calls")
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := schema.Properties["callsync_key"]; !ok || got.Unique {
		t.Errorf("callsync_key on calls: %+v", got)
	}
	p.raw("DELETE", "/crm/v3/properties/calls/callsync_key", "", nil)
	if got := texts(p.plan()); !slices.Equal(got, []string{"string property callsync_key on calls"}) {
		t.Errorf("the refusal was forgotten: %v", got)
	}
}

func TestSetupStopsAtTheFirstError(t *testing.T) {
	p := openBare(t)
	bad := crm.SetupStep{Kind: "property", Object: "contacts", Name: "Bad Name", Property: crm.Property{Object: "contacts", Name: "Bad Name"}}
	later := crm.SetupStep{Kind: "group", Object: "calls"}
	if err := p.inspector().Setup(t.Context(), []crm.SetupStep{bad, later}); crm.KindOf(err) != crm.Permanent || err == nil {
		t.Fatalf("got %v", err)
	}
	if got := p.requests(); strings.Contains(got, "groups") {
		t.Errorf("it went on: %s", got)
	}
}

func TestSchema(t *testing.T) {
	p := open(t)
	schema, err := p.inspector().Schema(t.Context(), "calls")
	if err != nil {
		t.Fatal(err)
	}
	check := func(name string, want crm.Property) {
		t.Helper()
		got := schema.Properties[name]
		got.Options, got.Description = nil, ""
		want.Object, want.Name, want.Label = "calls", name, got.Label
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	check("hs_timestamp", crm.Property{Type: crm.TypeDateTime, Required: true})
	check("hs_call_title", crm.Property{Type: crm.TypeString, MaxLen: 65536})
	check("hs_call_body", crm.Property{Type: crm.TypeText, MaxLen: 65536})
	check("hs_call_duration", crm.Property{Type: crm.TypeNumber})
	check("hs_call_status", crm.Property{Type: crm.TypeEnum})
	check("hs_call_disposition", crm.Property{Type: crm.TypeEnum, OpenOptions: true})
	check("hubspot_owner_id", crm.Property{Type: crm.TypeRef, OpenOptions: true})
	check("hs_object_id", crm.Property{Type: crm.TypeNumber, ReadOnly: true})
	check("callsync_key", crm.Property{Type: crm.TypeString, MaxLen: 65536, Unique: true})
	if got := schema.Properties["hs_call_direction"].Options; !slices.Equal(got, []crm.Option{{Value: "INBOUND", Label: "INBOUND"}, {Value: "OUTBOUND", Label: "OUTBOUND"}}) {
		t.Errorf("options: %v", got)
	}

	schema, err = p.inspector().Schema(t.Context(), "contacts")
	if err != nil {
		t.Fatal(err)
	}
	if !schema.Properties["email"].Unique || !schema.Properties["hs_searchable_calculated_phone_number"].ReadOnly {
		t.Error("email is unique by nature, and calculated properties are read-only")
	}
	if _, err := p.inspector().Schema(t.Context(), "unicorns"); crm.KindOf(err) != crm.Permanent {
		t.Errorf("an unknown type: %v", err)
	}
}

func TestProbe(t *testing.T) {
	p := openBare(t, plainCalls)
	findings, err := p.inspector().Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, f := range findings {
		got[f.Name] = f.OK
		if f.Text == "" {
			t.Errorf("%s says nothing", f.Name)
		}
	}
	want := map[string]bool{"unique properties on calls": false, "unique properties on meetings": true, "unique properties on tasks": true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, object := range []string{"calls", "meetings", "tasks"} {
		if status := p.raw("GET", "/crm/v3/properties/"+object+"/callsync_probe", "", nil); status != 404 {
			t.Errorf("the probe's property is left on %s", object)
		}
		if n := p.count(object); n != 0 {
			t.Errorf("%d records of the probe are left in %s", n, object)
		}
		if status := p.raw("GET", "/crm/v3/properties/"+object+"/groups/callsync", "", nil); status != 404 {
			t.Errorf("a group of the probe's is left on %s", object)
		}
	}
	if got := texts(p.plan()); !slices.Contains(got, "string property callsync_key on calls") || !slices.Contains(got, "unique string property callsync_key on tasks") {
		t.Errorf("the plan after the probe: %v", got)
	}
}

func TestSetupWithoutScope(t *testing.T) {
	p := openBare(t, func(o *simOptions, s *crm.Settings) {
		s.AccessToken = "narrow"
		o.Tokens = []hubspotsim.Token{{Value: "narrow", Scopes: []string{"crm.objects.contacts.read", "crm.schemas.contacts.read"}}}
	})
	err := p.inspector().Setup(t.Context(), p.plan())
	e := asError(t, crm.Result{Err: err}, crm.Credential)
	if e.Code != "MISSING_SCOPES" || !strings.Contains(e.Hint, "crm.schemas.contacts.write") {
		t.Errorf("%v: %s", e, e.Hint)
	}
}

// A property that is taken as unique and then not kept so is no key.
func TestProbeNotEnforced(t *testing.T) {
	archived := 0
	d := against(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodDelete:
			archived++
			w.WriteHeader(http.StatusNoContent)
		case strings.HasSuffix(r.URL.Path, "/batch/read"):
			answer(200, `{"results":[]}`)(w, r)
		case strings.HasSuffix(r.URL.Path, "/groups"):
			answer(200, `{"results":[{"name":"callsync"}]}`)(w, r)
		default:
			answer(201, `{"id":"1"}`)(w, r)
		}
	})
	findings, err := d.(crm.Inspector).Probe(t.Context())
	if err != nil || len(findings) != 3 || findings[0].OK || !strings.Contains(findings[0].Text, "does not enforce") {
		t.Fatalf("%+v, %v", findings, err)
	}
	if archived != 9 { // on each type two records and the property
		t.Errorf("%d things were removed", archived)
	}
}

// A probe that is cut short still removes what it made.
func TestProbeCleansUpWhenCut(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := openBare(t, func(_ *simOptions, s *crm.Settings) {
		s.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			resp, err := http.DefaultTransport.RoundTrip(r)
			if strings.HasSuffix(r.URL.Path, "/objects/2026-03/calls") {
				cancel() // the record is there by now
			}
			return resp, err
		})
	})
	if _, err := p.inspector().Probe(ctx); err == nil {
		t.Fatal("no error")
	}
	if status := p.raw("GET", "/crm/v3/properties/calls/callsync_probe", "", nil); status != 404 {
		t.Error("the property is left")
	}
	if n := p.count("calls"); n != 0 {
		t.Errorf("%d records are left", n)
	}
}

// count returns how many records of a type there are.
func (p *account) count(object string) int {
	p.t.Helper()
	var list struct {
		Results []any `json:"results"`
	}
	p.raw("GET", "/crm/v3/objects/"+object, "", &list)
	return len(list.Results)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// keyOn is what a mapping declares that writes records of an object type.
func keyOn(object string) crm.Property {
	return crm.Property{Object: object, Name: crm.KeyProperty, Type: crm.TypeString, Unique: true}
}

// A mapping's records get a key wherever they are written. A type that does not
// exist is for `callsync check` to report.
func TestSetupWhereRecordsAreWritten(t *testing.T) {
	p := open(t)
	steps := p.plan(keyOn("notes"), keyOn("calls"), keyOn("contacts"), keyOn("wombats"))
	want := []string{"property group callsync on notes", "unique string property callsync_key on notes"}
	if diff := cmp.Diff(want, texts(steps)); diff != "" {
		t.Fatal(diff)
	}
	mood := crm.Property{Object: "wombats", Name: "mood", Type: crm.TypeString}
	if _, err := p.inspector().SetupPlan(t.Context(), []crm.Property{keyOn("wombats"), mood}); crm.KindOf(err) != crm.Permanent {
		t.Errorf("a declared property of a type that does not exist: %v", err)
	}
}

// Where a key is missing that not every destination needs, only the records that
// need it fail, and setup mends that.
func TestRecordWithoutKeyFailsAlone(t *testing.T) {
	p := open(t)
	person := p.write(contact("+15551", "a@example.com"))[0]
	note := crm.Change{
		Op: crm.Create, Object: "notes", Key: "call.1#note", Link: []crm.Ref{{Object: "contacts", ID: person}},
		Properties: map[string]crm.Value{"hs_timestamp": crm.Time(start), "hs_note_body": crm.Str("x")},
	}
	other := note
	other.Key = "call.2#note"
	results := p.Write(t.Context(), []crm.Change{note, call(1, person), other})
	for _, i := range []int{0, 2} {
		if e := asError(t, results[i], crm.Permanent); !strings.Contains(e.Hint, "callsync setup") || e.Property != crm.KeyProperty {
			t.Errorf("change %d: %v, %+v", i, e, e)
		}
	}
	if results[1].Err != nil {
		t.Errorf("the call failed as well: %v", results[1].Err)
	}
	_, err := p.Locate(t.Context(), []crm.KeyRef{{Object: "notes", Key: note.Key, Since: start}})
	if e := asError(t, crm.Result{Err: err}, crm.Permanent); !strings.Contains(e.Hint, "callsync setup") {
		t.Errorf("locating it: %v, hint %q", e, e.Hint)
	}
	if err := p.Ready(t.Context()); err != nil {
		t.Errorf("the destination stands still: %v", err)
	}
	if err := p.inspector().Setup(t.Context(), p.plan(keyOn("notes"))); err != nil {
		t.Fatal(err)
	}
	p.write(note, other)

	p.raw("DELETE", "/crm/v3/properties/calls/callsync_key", "", nil)
	asError(t, p.Write(t.Context(), []crm.Change{call(2, person)})[0], crm.NotReady)
}

// An account that takes no property at all teaches nothing about unique ones.
func TestProbeRefusedForAnotherReason(t *testing.T) {
	d := against(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			answer(200, `{"results":[{"name":"callinformation"}]}`)(w, r)
			return
		}
		answer(400, `{"status":"error","category":"VALIDATION_ERROR","message":"the limit of custom properties is reached"}`)(w, r)
	})
	findings, err := d.(crm.Inspector).Probe(t.Context())
	if len(findings) != 0 || crm.KindOf(err) != crm.Permanent || err == nil {
		t.Errorf("%+v, %v", findings, err)
	}
}
