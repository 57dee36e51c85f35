package mappings_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/mappings"
)

const head = `[contact]
object = "contacts"
match = [{ property = "phone", value = "phoneNumber" }]
`

const record = head + `[[record]]
key = "call"
object = "calls"
`

// TestErrors pins what is said about each kind of mistake, and where.
func TestErrors(t *testing.T) {
	for _, test := range []struct{ name, source, want string }{
		{"not TOML", "[contact\n", `m.toml:1:9: not valid TOML`},
		{"not TOML, shown", head + "[contact.fields]\nx = \"name\n", `(here: x = "name)`},
		{"key twice", head + `object = "a"`, `m.toml:4:1: not valid TOML`},
		{"empty", "# nothing\n", `m.toml:1:1: the file says nothing`},
		{"unknown table", head + "[[recrod]]\n", `m.toml:4:3: unknown key "recrod" at the top of the file; did you mean record?`},
		{"unknown key", record + "whn = \"true\"\n[record.fields]\n", `m.toml:7:1: unknown key "whn" in [[record]]; did you mean when?`},
		{"unknown key, nothing near", head + "colour = 1\n", `m.toml:4:1: unknown key "colour" in [contact]; the keys here are object, match`},
		{"unknown key in a rule", "[contact]\nobject = \"c\"\nmatch = [\n  { property = \"phone\", vlaue = \"phoneNumber\" },\n]\n", `m.toml:4:25: unknown key "vlaue" in a match rule; did you mean value?`},
		{"unknown key in a field", head + "[contact.fields]\nx = { value = \"name\", wirte = \"always\" }\n", `m.toml:5:23: unknown key "wirte" in a field; did you mean write?`},
		{"no contact", "[[record]]\nkey = \"a\"\nobject = \"b\"\n[record.fields]\n", `m.toml:1:3: there are records but no [contact]`},
		{"single bracket", head + "[record]\nkey = \"a\"\n", `m.toml:4:2: `},
		{"wrong kind", head + "unlinked = \"yes\"\n", "m.toml:4:12: `unlinked` must be true or false, this is a string"},
		{"unknown name", head + "[contact.fields]\nx = \"nmae\"\n", `m.toml:5:6: unknown name "nmae"; did you mean name?`},
		{"unknown function", head + "[contact.fields]\nx = \"fistName(name)\"\n", `m.toml:5:6: unknown name "fistName"; did you mean firstName?`},
		{"fixed text without quotes", head + "[contact.fields]\nx = \"SCHEDULED\"\n", `m.toml:5:6: unknown name "SCHEDULED"; a fixed text is written in quotes of its own: "'SCHEDULED'"`},
		{"unknown field", head + "[contact.fields]\nx = \"callResult.sumary\"\n", `m.toml:5:17: there is no field "sumary" here; did you mean summary?`},
		{"unknown field of a meeting", head + "[contact.fields]\nx = \"followUpMeetingDetails.startTme\"\n", `m.toml:5:29: there is no field "startTme" here; did you mean startTime?`},
		{"unknown field of an item", record + "for_each = \"humanActions\"\n[record.fields]\nx = \"item.desciption\"\n", `m.toml:9:11: there is no field "desciption" here; did you mean description?`},
		{"unknown field in map", head + "[contact.fields]\nx = \"join(map(outcomes, .nam))\"\n", `there is no field "nam" here; did you mean name?`},
		{"unknown option", "[options]\ntranscript = false\n" + head + "[contact.fields]\nx = \"options.transcrpt\"\n", `m.toml:7:14: there is no field "transcrpt" here; did you mean transcript?`},
		{"item outside for_each", record + "[record.fields]\nx = \"item.description\"\n", `m.toml:8:6: unknown name "item"; it exists only in a [[record]] with for_each`},
		{"several lines", head + "[contact.fields]\nx = \"\"\"\nname +\n  sumary\"\"\"\n", `m.toml:7:3: unknown name "sumary"; did you mean summary?`},
		{"after escapes", head + "[contact.fields]\nx = \"\\\"\\u00e9\\\" + sumary\"\n", `m.toml:5:19: unknown name "sumary"`},
		{"after wide characters", head + "[contact.fields]\nx = '\"日本\" + sumary'\n", `m.toml:5:13: unknown name "sumary"`},
		{"line continued", head + "[contact.fields]\nx = \"\"\"\\\n  name + \\\n  sumary\"\"\"\n", `m.toml:7:3: unknown name "sumary"`},
		{"syntax", head + "[contact.fields]\nx = \"name +\"\n", `m.toml:5:11: the expression ends too early; a value or a closing bracket is missing (here: name +)`},
		{"empty expression", head + "[contact.fields]\nx = \"\"\n", `m.toml:5:5: the expression is empty`},
		{"when gives a text", record + "when = \"resultType\"\n[record.fields]\n", "m.toml:7:8: `when` must be true or false, this gives a text; compare it with something"},
		{"field gives a list", head + "[contact.fields]\nx = \"outcomes\"\n", "m.toml:5:5: `x` must give one value, this gives a list; join(list"},
		{"for_each gives a text", record + "for_each = \"name\"\n[record.fields]\n", "m.toml:7:12: `for_each` must give a list, this gives a text"},
		{"wrong argument", head + "[contact.fields]\nx = \"truncate(name, 'ten')\"\n", `m.toml:5:21: truncate wants a number here, this is a text; it is used as truncate(x, characters[, ending])`},
		{"too few arguments", head + "[contact.fields]\nx = \"truncate(name)\"\n", `it is used as truncate(x, characters[, ending])`},
		{"mismatch", head + "[contact.fields]\nx = \"duration > 'long'\"\n", "m.toml:5:15: `>` cannot be used between a number and a text; both sides"},
		{"text as condition", head + "[contact.fields]\nx = \"not name ? 1 : 2\"\n", "m.toml:5:6: `not` cannot be used on a text; it joins conditions"},
		{"field of a list", head + "[contact.fields]\nx = \"outcomes.name\"\n", `this is a list, so its items have to be gone through; write map(list, .field)`},
		{"no list", head + "[contact.fields]\nx = \"sum(name)\"\n", `sum goes through a list, this is a text`},
		{"stray sign", head + "[contact.fields]\nx = \"join([name)\"\n", `m.toml:5:16: unexpected ")"`},
		{"quote left open", head + "[contact.fields]\nx = \"name + 'x\"\n", `the text has no closing quote`},
		{"object times number", head + "[contact.fields]\nx = \"customInputVariables * 2\"\n", "m.toml:5:27: `*` cannot be used between an object and a number"},
		{"no function", head + "[contact.fields]\nx = \"timezone('x')\"\n", `m.toml:5:6: `},
		{"now", head + "[contact.fields]\nx = \"now()\"\n", `m.toml:5:6: unknown name "now"; a mapping gives the same records whenever it runs`},
		{"method", head + "[contact.fields]\nx = \"scheduledAt.Local()\"\n", `only the functions of the documentation can be called`},
		{"environment", head + "[contact.fields]\nx = \"$env['name']\"\n", `unknown name "$env"`},
		{"write mode", head + "[contact.fields]\nx = { value = \"name\", write = \"if_emtpy\" }\n", "m.toml:5:31: `write` must be always, if_empty or if_unchanged; did you mean if_empty?"},
		{"own key", head + "[contact.fields]\ncallsync_contact_key = \"name\"\n", `m.toml:5:1: callsync_contact_key is callsync's own key`},
		{"field without value", head + "[contact.fields]\nx = { write = \"always\" }\n", `m.toml:5:1: the field x has no value`},
		{"keys twice", record + "[record.fields]\n[[record]]\nkey = \"call\"\nobject = \"calls\"\n[record.fields]\n", `m.toml:9:7: there are two records with the key "call"`},
		{"bad key", strings.Replace(record, `"call"`, `"My call"`, 1) + "[record.fields]\n", `m.toml:5:7: the key "My call" cannot be used`},
		{"no fields", record, `m.toml:4:3: the [[record]] has no fields`},
		{"create names another object", head + "create = \"'Lead'\"\n", "m.toml:4:11: `create` names \"Lead\", which `object` does not list"},
		{"create gives a number", head + "create = \"duration\"\n", "m.toml:4:10: `create` must be true, false or the object to create, this gives a number"},
		{"route without consequence", head + "[[route]]\nwhen = \"true\"\n", `m.toml:4:3: a [[route]] has either mapping or skip`},
		{"route to nowhere", head + "[[route]]\nwhen = \"true\"\nmapping = \"none.toml\"\n", `m.toml:6:11: the mapping it routes to cannot be read: there is no such file`},
		{"association", record + "associate = [\"deals\"]\n[record.fields]\n", `m.toml:7:14: an association names an object and which of its records`},
		{"on_removed", record + "on_removed = \"delete\"\n[record.fields]\n", "m.toml:7:14: `on_removed` must be archive, keep or keep_edited"},
		{"property type", head + "[[property]]\nobject = \"c\"\nname = \"x\"\ntype = \"boolean\"\n", `m.toml:7:8: there is no property type "boolean"`},
		{"region", "[options]\nregion = \"USA\"\n" + head, "m.toml:2:10: `region` must be a country of two letters"},
		{"field of no object", head + "[contact.fields]\nx = { value = \"name\", object = \"Lead\" }\n", "m.toml:5:32: a field's `object` must be one that [contact] lists"},
		{"id with property", "[contact]\nobject = \"c\"\nmatch = [{ id = \"callId\", property = \"x\" }]\n", `m.toml:3:12: a match rule has either id, or property and value`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := mappings.Parse("m.toml", []byte(test.source), nil)
			if err == nil {
				t.Fatalf("no error in\n%s", test.source)
			}
			var e *mappings.Error
			if !errors.As(err, &e) {
				t.Errorf("%T is no *Error", err)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestAllErrorsOfAFileAtOnce(t *testing.T) {
	source := record + "whn = \"true\"\n[record.fields]\na = \"nmae\"\nb = \"fistName(name)\"\n"
	_, err := mappings.Parse("m.toml", []byte(source), nil)
	var all mappings.Errors
	if !errors.As(err, &all) || len(all) != 3 {
		t.Fatalf("want three errors, got %v", err)
	}
	for i, line := range []int{7, 9, 10} {
		if all[i].Pos.Line != line {
			t.Errorf("error %d is at line %d, want %d", i, all[i].Pos.Line, line)
		}
	}
}

// TestRenderErrors holds that an expression that fails names the call and its
// place, and nothing of the call's content.
func TestRenderErrors(t *testing.T) {
	call, err := julian.Parse([]byte(`{"callId":"call.1","phoneNumber":"+15551234567","customInputVariables":{"secret":"hunter2","list":["hunter2"],"map":{"hunter2":1}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for expression, want := range map[string]string{
		"customInputVariables.secret * 2":                     "m.toml:5:34: call call.1: * works on numbers, not on a text and a number",
		"customInputVariables.secret > 2":                     "m.toml:5:34: call call.1: a text cannot be compared with a number",
		"customInputVariables.secret ? 1 : 2":                 "call call.1: a condition must be true or false, this is a text",
		"customInputVariables.list":                           "m.toml:5:5: call call.1: a property holds one value, this is a list; join(list",
		"customInputVariables.list contains 'a'":              "a text is wanted here, this is a list",
		"map(customInputVariables.secret, #)":                 "call call.1: ",
		"sum(customInputVariables.list)":                      "call call.1: ",
		"sort(customInputVariables.list + 1)":                 "call call.1: ",
		"'x' matches customInputVariables.secret + '('":       "call call.1: ",
		"customInputVariables.map + 'x'":                      "+ cannot join an object and a text",
		"sortBy(customInputVariables.list, .a)":               "",
		"join(map(1..9000, customInputVariables.list[0]))[9]": "call call.1: ",
	} {
		m, err := mappings.Parse("m.toml", []byte(head+"[contact.fields]\nx = \""+expression+"\"\n"), nil)
		if err != nil {
			continue // found while loading: better still
		}
		_, err = m.Render(call, received)
		if err == nil {
			if want != "" && !strings.HasSuffix(expression, "]") {
				t.Errorf("%s: no error", expression)
			}
			continue
		}
		var e *mappings.Error
		if !errors.As(err, &e) || e.Call != "call.1" || e.Pos.Line != 5 {
			t.Errorf("%s: %#v", expression, err)
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\ngot  %v\nwant %s", expression, err, want)
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error holds a value: %v", expression, err)
		}
	}
}

func TestOptions(t *testing.T) {
	source := "[options]\ntranscript = false\nlimit = 10\nshare = 0.5\nzone = 'UTC'\n" + head +
		"[contact.fields]\nx = \"join([options.transcript, options.limit, options.share, options.zone], ' ')\"\n"
	for _, test := range []struct {
		options mappings.Options
		want    string
	}{
		{nil, "false 10 0.5 UTC"},
		{mappings.Options{"transcript": true, "limit": int64(5), "share": int64(1), "zone": "x"}, "true 5 1 x"},
		{mappings.Options{"transcrpt": true}, `error: m.toml: the configuration sets the option "transcrpt", which the mapping does not have; did you mean transcript?`},
		{mappings.Options{"transcript": "yes"}, "error: m.toml:2:1: the configuration sets the option transcript to a text; it must be true or false"},
		{mappings.Options{"limit": 1.5}, "error: m.toml:3:1: the configuration sets the option limit to a number; it must be a whole number"},
	} {
		got := ""
		m, err := mappings.Parse("m.toml", []byte(source), test.options)
		if err != nil {
			got = "error: " + err.Error()
		} else if d, err := m.Render(readCall(t, "testdata/full.json"), received); err != nil {
			t.Fatal(err)
		} else {
			got = d.Person.Fields[0].Value.Text
		}
		if got != test.want {
			t.Errorf("%v:\ngot  %s\nwant %s", test.options, got, test.want)
		}
	}
}

func TestVersion(t *testing.T) {
	version := func(source string, o mappings.Options) string {
		t.Helper()
		m, err := mappings.Parse("m.toml", []byte(source), o)
		if err != nil {
			t.Fatal(err)
		}
		return m.Version()
	}
	source := "[options]\na = false\n" + head
	first := version(source, nil)
	if first != version(source, nil) || first == "" {
		t.Error("the version of the same file differs")
	}
	if first != version(source, mappings.Options{"a": false}) {
		t.Error("setting an option to its default changes the version")
	}
	if first == version(source, mappings.Options{"a": true}) {
		t.Error("an option does not change the version")
	}
	if first == version(source+"# more\n", nil) {
		t.Error("an edit does not change the version")
	}
}

func TestRoutes(t *testing.T) {
	dir := t.TempDir()
	write := func(name, source string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(source), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	field := func(text string) string {
		return head + "[contact.fields]\nx = \"'" + text + "'\"\n[[property]]\nobject = \"contacts\"\nname = \"" + text + "\"\ntype = \"string\"\n"
	}
	main := write("main.toml", "[[route]]\nwhen = \"direction == 'inbound'\"\nskip = \"inbound calls are not logged\"\n"+
		"[[route]]\nwhen = \"agentId == 'agent.def456'\"\nmapping = \"agents/other.toml\"\n"+field("main"))
	other := write("agents/other.toml", "[[route]]\nwhen = \"duration == 7\"\nmapping = \"../third.toml\"\n"+field("other"))
	third := write("third.toml", field("third"))
	m, err := mappings.Load(main, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ payload, want string }{
		{`"direction":"inbound"`, "skip: inbound calls are not logged"},
		{`"agentId":"agent.def456"`, "other"},
		{`"agentId":"agent.def456","duration":7`, "third"},
		{`"agentId":"agent.abc123"`, "main"},
	} {
		call, err := julian.Parse([]byte(`{"callId":"call.1",` + test.payload + `}`))
		if err != nil {
			t.Fatal(err)
		}
		d, err := m.Render(call, received)
		if err != nil {
			t.Fatal(err)
		}
		got := "skip: " + d.Skip
		if d.Skip == "" {
			got = d.Person.Fields[0].Value.Text
		} else if len(d.Records) > 0 || len(d.Person.Objects) > 0 {
			t.Error("a skipped call has records or a person")
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.payload, got, test.want)
		}
	}
	if got := fmt.Sprint(m.Files()); got != fmt.Sprint([]string{main, other, third}) {
		t.Errorf("files %v", got)
	}
	if got := len(m.Declared()); got != 3 {
		t.Errorf("%d declared properties, want those of all three files", got)
	}
	before, sources := m.Version(), m.Routed()
	if len(sources) != 2 || string(sources[third]) != field("third") {
		t.Errorf("%d sources of routed files", len(sources))
	}
	write("third.toml", field("changed"))
	if r, err := mappings.Restore(main, m.Source(), sources, nil); err != nil || r.Version() != before || len(r.Files()) != 2 {
		t.Error("what was in force cannot be had again after an edit of a routed file", err)
	}
	delete(sources, other)
	if _, err := mappings.Restore(main, m.Source(), sources, nil); err == nil || !strings.Contains(err.Error(), "main.toml:6:11: the mapping it routes to cannot be read: there is no such file") {
		t.Errorf("restored without a routed file: %v", err)
	}
	if m, err = mappings.Load(main, nil); err != nil || m.Version() == before {
		t.Error("an edit of a routed file does not change the version", err)
	}
	write("third.toml", "[[route]]\nwhen = \"true\"\nmapping = \"main.toml\"\n")
	if _, err = mappings.Load(main, nil); err == nil || !strings.Contains(err.Error(), "third.toml:3:11: the route leads back to") {
		t.Errorf("a circle of routes: %v", err)
	}
	write("third.toml", head+"[contact.fields]\nx = \"nmae\"\n")
	if _, err = mappings.Load(main, nil); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "third.toml")+":5:6: ") {
		t.Errorf("an error of a routed file: %v", err)
	}
}

func TestRouteToBuiltin(t *testing.T) {
	m, err := mappings.Parse("m.toml", []byte("[[route]]\nwhen = \"direction == 'outbound'\"\nmapping = \"builtin:hubspot\"\n"), mappings.Options{"transcript": true})
	if err != nil {
		t.Fatal(err)
	}
	d, err := m.Render(readCall(t, "testdata/callresults-guide.json"), received)
	if err != nil || len(d.Records) != 1 || !strings.Contains(mappings.Outline(d), "User: ...") {
		t.Error("the built-in mapping was not used with its option", err)
	}
	d, err = m.Render(readCall(t, "testdata/web.json"), received)
	if err != nil || d.Skip != "no route in m.toml takes this call" {
		t.Errorf("skip %q, %v", d.Skip, err)
	}
	if _, err := mappings.Parse("m.toml", []byte("[[route]]\nwhen = \"true\"\nmapping = \"builtin:pipedrive\"\n"), nil); err == nil || !strings.Contains(err.Error(), "hubspot, salesforce") {
		t.Error(err)
	}
}
