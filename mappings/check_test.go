package mappings_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/mappings"
)

// An account is an Inspector with a schema that the test writes.
type account map[string]*crm.Schema

func (a account) Schema(_ context.Context, object string) (*crm.Schema, error) {
	if object == "down" {
		return nil, &crm.Error{Kind: crm.Transient, Op: "schema", Status: 503}
	}
	if s, ok := a[object]; ok {
		return s, nil
	}
	return nil, &crm.Error{Kind: crm.Permanent, Op: "schema", Status: 404}
}

func (account) SetupPlan(context.Context, []crm.Property) ([]crm.SetupStep, error) { return nil, nil }
func (account) Setup(context.Context, []crm.SetupStep) error                       { return nil }
func (account) Probe(context.Context) ([]crm.Finding, error)                       { return nil, nil }

func schema(object string, properties ...crm.Property) *crm.Schema {
	s := &crm.Schema{Object: object, Properties: map[string]crm.Property{}}
	for _, p := range properties {
		p.Object = object
		s.Properties[p.Name] = p
	}
	return s
}

func enum(name string, values ...string) crm.Property {
	p := crm.Property{Name: name, Type: crm.TypeEnum}
	for _, v := range values {
		p.Options = append(p.Options, crm.Option{Value: v, Label: strings.ToUpper(v[:1]) + strings.ToLower(v[1:])})
	}
	return p
}

func of(t crm.PropertyType, names ...string) []crm.Property {
	var out []crm.Property
	for _, n := range names {
		out = append(out, crm.Property{Name: n, Type: t})
	}
	return out
}

// portal is a HubSpot account as its property reference describes it, as far as
// the shipped mapping goes.
func portal() account {
	calls := append(of(crm.TypeDateTime), crm.Property{Name: "hs_timestamp", Type: crm.TypeDateTime, Required: true},
		enum("hs_call_direction", "INBOUND", "OUTBOUND"),
		enum("hs_call_status", "BUSY", "CALLING_CRM_USER", "CANCELED", "COMPLETED", "CONNECTING", "FAILED", "IN_PROGRESS", "NO_ANSWER", "QUEUED", "RINGING"),
		crm.Property{Name: "hs_call_duration", Type: crm.TypeNumber},
		crm.Property{Name: "hs_call_body", Type: crm.TypeText, MaxLen: 65536},
		crm.Property{Name: "hs_object_id", Type: crm.TypeNumber, ReadOnly: true})
	calls = append(calls, of(crm.TypeString, "hs_call_from_number", "hs_call_to_number", "hs_call_recording_url", "hs_call_title", "hs_call_disposition")...)
	meetings := append(of(crm.TypeDateTime, "hs_timestamp", "hs_meeting_start_time", "hs_meeting_end_time"),
		enum("hs_meeting_outcome", "SCHEDULED", "COMPLETED", "RESCHEDULED", "NO_SHOW", "CANCELED"), crm.Property{Name: "hubspot_owner_id", Type: crm.TypeRef})
	meetings = append(meetings, of(crm.TypeText, "hs_meeting_title", "hs_meeting_body", "hs_internal_meeting_notes")...)
	tasks := append(of(crm.TypeDateTime, "hs_timestamp"), enum("hs_task_status", "NOT_STARTED", "IN_PROGRESS", "WAITING", "COMPLETED", "DEFERRED"),
		enum("hs_task_priority", "LOW", "MEDIUM", "HIGH"), enum("hs_task_type", "TODO", "CALL", "EMAIL"), crm.Property{Name: "hubspot_owner_id", Type: crm.TypeRef})
	tasks = append(tasks, of(crm.TypeText, "hs_task_subject", "hs_task_body")...)
	contacts := append(of(crm.TypeString, "email", "firstname", "lastname", "phone"), of(crm.TypeBool, "callsync_do_not_call")...)
	return account{
		"contacts": schema("contacts", contacts...), "calls": schema("calls", calls...),
		"meetings": schema("meetings", meetings...), "tasks": schema("tasks", tasks...),
	}
}

func TestCheckShippedMapping(t *testing.T) {
	m, err := mappings.Builtin("hubspot", nil)
	if err != nil {
		t.Fatal(err)
	}
	in := portal()
	problems, err := m.Check(t.Context(), in)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	delete(in["contacts"].Properties, "callsync_do_not_call")
	problems, err = m.Check(t.Context(), in)
	if err != nil || len(problems) != 1 || !strings.Contains(problems[0].Hint, "`callsync setup` creates it") {
		t.Errorf("a declared property that is missing: %v %v", problems, err)
	}
}

func TestCheck(t *testing.T) {
	fields := func(lines string) string { return record + "[record.fields]\nhs_timestamp = \"received\"\n" + lines }
	for _, test := range []struct{ name, source, want string }{
		{"fine", fields(`hs_call_status = "duration > 0 ? 'COMPLETED' : nil"`), ""},
		{"unknown object", strings.ReplaceAll(fields(""), `"calls"`, `"callz"`), `m.toml:4:3: the CRM has no object "callz"`},
		{"unknown property", fields(`hs_call_titel = "name"`), "m.toml:9:1: calls has no property hs_call_titel; did you mean hs_call_title?"},
		{"unknown match property", strings.ReplaceAll(fields(""), `"phone"`, `"phones"`), "m.toml:3:12: contacts has no property phones; did you mean phone?"},
		{"read-only", fields(`hs_object_id = 5`), "m.toml:9:1: hs_object_id of calls cannot be written"},
		{"unknown option", fields(`hs_call_status = "duration > 0 ? 'COMPLETE' : 'BUSY'"`), `m.toml:9:34: hs_call_status has no option "COMPLETE"; did you mean COMPLETED?`},
		{"option by its label", fields(`hs_call_status = "'Busy'"`), `m.toml:9:19: hs_call_status has no option "Busy"; write 'BUSY'`},
		{"option in a table", fields(`hs_call_direction = "{'inbound': 'IN', 'outbound': 'OUTBOUND'}[direction]"`), `m.toml:9:34: hs_call_direction has no option "IN"; its options are INBOUND, OUTBOUND`},
		{"time in a number", fields(`hs_call_duration = "received"`), "m.toml:9:20: hs_call_duration of calls is a number, the expression gives a time"},
		{"text in a number", fields(`hs_call_duration = "lower(name)"`), "hs_call_duration of calls is a number, the expression gives a text"},
		{"fixed text in a number", fields(`hs_call_duration = "'long'"`), `m.toml:9:21: hs_call_duration of calls is a number, which "long" is not`},
		{"bool in a number", fields(`hs_call_duration = true`), "m.toml:9:1: hs_call_duration of calls is a number, this is true or false"},
		{"text too long", fields(`hs_call_body = "'` + strings.Repeat("x", 10_000) + `'"`), ""},
		{"cut too late", fields(`hs_call_body = "htmlTruncate(html(summary), 70000)"`), "m.toml:9:16: hs_call_body of calls holds 65536 characters, the expression cuts to 70000"},
		{"required", record + "[record.fields]\n", "m.toml:4:3: calls requires hs_timestamp, which is not mapped"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, err := mappings.Parse("m.toml", []byte(test.source), nil)
			if err != nil {
				t.Fatal(err)
			}
			problems, err := m.Check(t.Context(), portal())
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, p := range problems {
				got += p.String() + "\n"
			}
			if (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// TestCheckPerObject holds that fields and requirements count for the object
// they concern.
func TestCheckPerObject(t *testing.T) {
	org := account{
		"Contact": schema("Contact", crm.Property{Name: "LastName", Required: true, Type: crm.TypeString}, crm.Property{Name: "Phone", Type: crm.TypeString}),
		"Lead": schema("Lead", crm.Property{Name: "LastName", Required: true, Type: crm.TypeString, MaxLen: 5}, crm.Property{Name: "Phone", Type: crm.TypeString},
			crm.Property{Name: "Company", Required: true, Type: crm.TypeString}),
	}
	source := `[contact]
object = ["Contact", "Lead"]
match  = [{ property = "Phone", value = "phoneNumber" }]
create = "'Lead'"
[contact.fields]
LastName = "'Unknown'"
`
	for extra, want := range map[string]string{
		`Company = { value = "name", object = "Lead" }`: `m.toml:6:13: this text has 7 characters, LastName holds 5`,
		`Company = "name"`: "Contact has no property Company",
		``:                 "m.toml:4:10: Lead requires Company",
	} {
		m, err := mappings.Parse("m.toml", []byte(source+extra+"\n"), nil)
		if err != nil {
			t.Fatal(err)
		}
		problems, err := m.Check(t.Context(), org)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, p := range problems {
			got += p.String() + "\n"
		}
		if !strings.Contains(got, want) || (strings.Contains(extra, "object") && len(problems) != 1) {
			t.Errorf("%s:\ngot  %s\nwant %s", extra, got, want)
		}
	}
}

func TestCheckPassesOnErrors(t *testing.T) {
	m, err := mappings.Parse("m.toml", []byte(strings.ReplaceAll(record, `"calls"`, `"down"`)+"[record.fields]\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	var e *crm.Error
	if _, err := m.Check(t.Context(), portal()); !errors.As(err, &e) || e.Status != 503 {
		t.Errorf("got %v", err)
	}
}

func TestExplain(t *testing.T) {
	m, err := mappings.Builtin("hubspot", nil)
	if err != nil {
		t.Fatal(err)
	}
	call := readCall(t, "testdata/full.json")
	call.Result.HumanActions = call.Result.HumanActions[:2]
	e, err := m.Explain(call, received)
	if err != nil {
		t.Fatal(err)
	}
	find := func(kind mappings.RuleKind, record, name string) *mappings.Rule {
		for i, r := range e.Rules {
			if r.Kind == kind && r.Record == record && r.Name == name {
				return &e.Rules[i]
			}
		}
		t.Fatalf("no rule %s of %s for %q", name, record, kind)
		return nil
	}
	last := find(mappings.RuleField, "", "lastname")
	if last.Text != "truncate(lastName(name), 255)" || last.Write != crm.IfEmpty || len(last.Inputs) != 1 ||
		last.Inputs[0].Name != "name" || last.Inputs[0].Value != call.Name || !strings.HasSuffix(last.Result, "Söhne") {
		t.Errorf("lastname: %+v", last)
	}
	owner := find(mappings.RuleField, "call.full-1#action/0", "hubspot_owner_id")
	if owner.Inputs[0].Name != "followUpMeetingDetails.hostEmail" || owner.Result != "owner jane.host@example.com" {
		t.Errorf("owner: %+v", owner)
	}
	if r := find(mappings.RuleWhen, "call.full-1#action/1", ""); r.Result != "false" {
		t.Errorf("the completed action: %+v", r)
	}
	if r := find(mappings.RuleForEach, "call.full-1#action", ""); r.Result != "2 items" {
		t.Errorf("for_each: %+v", r)
	}
	if r := find(mappings.RuleCreate, "", ""); r.Result != "true" || r.Inputs[0].Value != "Goal Completed" {
		t.Errorf("create: %+v", r)
	}
	d, err := m.Render(call, received)
	if err != nil || mappings.Outline(d) != mappings.Outline(e.Desired) {
		t.Error("Explain wants something else than Render", err)
	}
}

func TestExplainUnusableMatch(t *testing.T) {
	m, err := mappings.Builtin("hubspot", nil)
	if err != nil {
		t.Fatal(err)
	}
	call, err := julian.Parse([]byte(`{"callId":"call.1","customInputVariables":{"email":"<string>"}}`))
	if err != nil {
		t.Fatal(err)
	}
	e, err := m.Explain(call, received)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range e.Rules {
		if r.Kind == mappings.RuleMatch && r.Note == "" {
			t.Errorf("a rule without a usable value is not explained: %+v", r)
		}
	}
}

// TestPositions holds that every place a rendering names is where the property,
// rule or record stands in the file.
func TestPositions(t *testing.T) {
	for _, kind := range []string{"hubspot", "salesforce"} {
		m, err := mappings.Builtin(kind, nil)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(m.Source()), "\n")
		at := func(p crm.Pos) string {
			if p.File != m.Name() || p.Line < 1 || p.Line > len(lines) {
				t.Fatalf("no such place: %v", p)
			}
			return string([]rune(lines[p.Line-1])[p.Column-1:])
		}
		d, err := m.Render(readCall(t, "testdata/full.json"), received)
		if err != nil {
			t.Fatal(err)
		}
		fields := d.Person.Fields
		for _, r := range d.Records {
			fields = append(fields, r.Fields...)
			if !strings.HasPrefix(at(r.Pos), "record]]") {
				t.Errorf("%s is said to stand at %q", r.Key, at(r.Pos))
			}
		}
		for _, f := range fields {
			if !strings.HasPrefix(at(f.Pos), f.Name) {
				t.Errorf("%s is said to stand at %q", f.Name, at(f.Pos))
			}
		}
		for _, match := range d.Person.Match {
			if s := at(match.Pos); !strings.HasPrefix(s, "property") && !strings.HasPrefix(s, "id") {
				t.Errorf("match rule %d is said to stand at %q", match.Rule, s)
			}
		}
	}
}

func TestWarnings(t *testing.T) {
	source := record + `when = "resultType == 'Goal Complete' or direction in ['inbond', 'outbound']"
[record.fields]
a = "{'Voice mail': 1, 'Busy': 2}[callResult.resultType]"
b = "'finished' != sequence.lifecycleStatus and resultType != '' and name == 'Goal Complete'"
`
	m, err := mappings.Parse("m.toml", []byte(source), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, p := range m.Warnings() {
		got += p.String() + "\n"
	}
	want := `m.toml:7:23: 11x documents no resultType "Goal Complete"; did you mean Goal Completed?
m.toml:7:56: 11x documents no direction "inbond"; did you mean inbound?
m.toml:9:7: 11x documents no resultType "Voice mail"; did you mean Voicemail?
m.toml:10:6: 11x documents no lifecycleStatus "finished"
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	for _, kind := range []string{"hubspot", "salesforce"} {
		m, err := mappings.Builtin(kind, nil)
		if err != nil || len(m.Warnings()) > 0 {
			t.Errorf("%s: %v %v", kind, m.Warnings(), err)
		}
	}
}

func TestOutcomeNames(t *testing.T) {
	source := record + `when = "any(outcomes, .name == 'interested') or 'call back' in map(callResult.outcomes, .name)"
[record.fields]
a = "outcomes[0].name in ['x', 'y'] ? 'z' : name"
[[record]]
key = "outcome"
object = "notes"
for_each = "outcomes"
when = "item.name != 'spam'"
[record.fields]
`
	m, err := mappings.Parse("m.toml", []byte(source), nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range m.OutcomeNames() {
		got = append(got, o.Name)
		if o.Pos.Line == 0 {
			t.Errorf("%s has no place", o.Name)
		}
	}
	if want := "interested,call back,x,y,spam"; strings.Join(got, ",") != want {
		t.Errorf("%v, want %s", got, want)
	}
	unknown := ""
	for _, p := range m.UnknownOutcomes([]string{"call back", "intrested", "x", "y"}) {
		unknown += p.String() + "\n"
	}
	if want := `m.toml:7:32: no agent seen so far can report the outcome "interested"; did you mean intrested?
m.toml:14:22: no agent seen so far can report the outcome "spam"; there are: call back, intrested, x, y
`; unknown != want {
		t.Errorf("got\n%swant\n%s", unknown, want)
	}
}

// TestDeclared holds that whatever a mapping writes, also by way of a route, is
// set up: the properties it declares and callsync's key on each record's object.
func TestDeclared(t *testing.T) {
	dir := t.TempDir()
	routed := "[contact]\nobject = \"contacts\"\nmatch = [{ property = \"phone\", value = \"phoneNumber\" }]\n" +
		"[[property]]\nobject = \"notes\"\nname = \"mood\"\ntype = \"string\"\n"
	for _, object := range []string{"notes", "calls", "notes"} {
		routed += fmt.Sprintf("[[record]]\nkey = \"r%d\"\nobject = %q\nwhen = \"terminal\"\n[record.fields]\nhs_timestamp = \"received\"\n", len(routed), object)
	}
	if err := os.WriteFile(filepath.Join(dir, "routed.toml"), []byte(routed), 0o600); err != nil {
		t.Fatal(err)
	}
	main := "[[route]]\nwhen = \"interim\"\nmapping = \"routed.toml\"\n[[route]]\nwhen = \"terminal\"\nmapping = \"builtin:hubspot\"\n"
	m, err := mappings.Parse(filepath.Join(dir, "main.toml"), []byte(main), nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range m.Declared() {
		if p.Name == crm.KeyProperty && (!p.Unique || p.Type != crm.TypeString || p.Pos.Line == 0) {
			t.Errorf("the key is declared as %+v", p)
		}
		got = append(got, p.Object+"."+p.Name)
	}
	want := "notes.mood contacts.callsync_do_not_call notes.callsync_key calls.callsync_key meetings.callsync_key tasks.callsync_key"
	if strings.Join(got, " ") != want {
		t.Errorf("declared %v\nwant     %s", got, want)
	}
}
