package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/config"
	"github.com/callsync/callsync/sync"
)

// printed is what commands print with --json.
var printed = map[string]any{
	"status":     admin.Status{},
	"calls":      admin.Calls{},
	"show":       admin.CallDetail{},
	"deliveries": admin.Deliveries{},
	"plan":       admin.Plans{},
	"sample":     admin.Plans{},
	"version":    admin.Build{},
	"resync":     admin.Resynced{},
	"undo":       []sync.Undo{},
	"verify":     admin.VerifyLine{},
	"pause":      []sync.Health{},
	"unpause":    []sync.Health{},
	"reload":     admin.Reloaded{},
	"setup":      []admin.SetupSteps{},
	"check":      []checked{},
	"export":     admin.Line{},
	"import":     admin.Imported{},
	"erase":      admin.Erasing{},
	"compact":    admin.Compacted{},
	"readmit":    admin.Readmitted{},
	"mapping":    admin.MappingVersion{},
}

// alsoPrinted is what a flag makes of it.
var alsoPrinted = map[string]map[string]any{
	"show":    {"--explain": []admin.Explained{}},
	"unpause": {"--account": sync.Adoption{}},
}

const (
	referenceFile = "../../docs/commands.md"
	referenceMark = "<!-- made by:"
)

// TestCommandsReference holds docs/commands.md to the command line and to the
// types that are printed.
func TestCommandsReference(t *testing.T) {
	b, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(b), referenceMark)
	mark, _, ended := strings.Cut(rest, "\n")
	if !ok || !ended {
		t.Fatal("the mark is missing")
	}
	want := head + referenceMark + mark + "\n" + reference(t)
	if string(b) == want {
		return
	}
	if os.Getenv("CALLSYNC_UPDATE_DOCS") != "" {
		if err := os.WriteFile(referenceFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("docs/commands.md is not what callsync does any more:\n%s\nCALLSYNC_UPDATE_DOCS=1 go test -run %s ./cmd/callsync writes it anew", firstDifference(string(b), want), t.Name())
}

func firstDifference(a, b string) string {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(as), len(bs)) {
		if as[i] != bs[i] {
			return fmt.Sprintf("line %d says %q, not %q", i+1, as[i], bs[i])
		}
	}
	return fmt.Sprintf("it has %d lines, not %d", len(as), len(bs))
}

func reference(t *testing.T) string {
	var b strings.Builder
	for _, command := range grammar(t).Model.Children {
		if command.Hidden {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n    callsync %s\n", command.Name, command.Help, command.Summary())
		if more := prose(command); more != "" {
			fmt.Fprintf(&b, "\n%s\n", more)
		}
		rows := ""
		for _, a := range command.Positional {
			rows += fmt.Sprintf("| `%s` | %s |\n", a.Summary(), cell(a.Help))
		}
		asJSON := command.Name == "export"
		for _, f := range command.Flags {
			if f.Hidden || f.Name == "help" {
				continue
			}
			asJSON = asJSON || f.Name == "json"
			rows += fmt.Sprintf("| `%s` | %s |\n", f.String(), cell(f.Help))
		}
		if rows != "" {
			fmt.Fprintf(&b, "\n| | |\n|---|---|\n%s", rows)
		}
		if list := examples[command.Name]; len(list) > 0 {
			b.WriteString("\n```sh\n")
			for _, e := range list {
				fmt.Fprintf(&b, "# %s\n%s\n", e.purpose, e.line)
			}
			b.WriteString("```\n")
		}
		v, known := printed[command.Name]
		if asJSON != known {
			t.Errorf("%s: it prints JSON is %v, but printed says %v", command.Name, asJSON, known)
		}
		if known {
			writeShape(&b, "", v)
			for flag, v := range alsoPrinted[command.Name] {
				writeShape(&b, "With `"+flag+"`:", v)
			}
		}
	}
	return b.String()
}

// prose is a command's own explanation, without the examples.
func prose(n *kong.Node) string {
	return strings.TrimSpace(strings.TrimSuffix(n.Detail, strings.TrimSpace(shown(examples[n.Name]))))
}

func cell(s string) string { return strings.NewReplacer("|", `\|`, "\n", " ").Replace(s) }

func writeShape(b *strings.Builder, title string, v any) {
	if title != "" {
		fmt.Fprintf(b, "\n%s\n", title)
	}
	lines := shape(reflect.TypeOf(v), "", nil)
	width := 0
	for _, l := range lines {
		width = max(width, len(l[0]))
	}
	b.WriteString("\n```text\n")
	for _, l := range lines {
		fmt.Fprintf(b, "%-*s  %s\n", width, l[0], l[1])
	}
	b.WriteString("```\n")
}

var (
	marshaler = reflect.TypeFor[json.Marshaler]()
	texts     = reflect.TypeFor[interface{ MarshalText() ([]byte, error) }]()
)

// shape lists the paths of a type's JSON and what is there.
func shape(t reflect.Type, path string, within []reflect.Type) [][2]string {
	is := func(what string) [][2]string {
		if path == "" {
			path = "the value"
		}
		return [][2]string{{path, what}}
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		return is("time")
	case t == reflect.TypeFor[time.Duration]():
		return is("nanoseconds")
	case t == reflect.TypeFor[json.RawMessage](), t.Kind() == reflect.Interface:
		return is("any JSON")
	case t.Implements(texts):
		return is("text")
	case t.Implements(marshaler):
		return is("any JSON")
	}
	switch t.Kind() {
	case reflect.Pointer:
		return shape(t.Elem(), path, within)
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return is("base64")
		}
		return shape(t.Elem(), path+"[]", within)
	case reflect.Map:
		return shape(t.Elem(), path+"{}", within)
	case reflect.Struct:
		for _, outer := range within {
			if outer == t {
				return is("the same again")
			}
		}
		return fieldsOf(t, path, append(within, t))
	case reflect.Bool:
		return is("true or false")
	case reflect.String:
		return is("text")
	default:
		return is("number")
	}
}

func fieldsOf(t reflect.Type, path string, within []reflect.Type) (all [][2]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported() && !f.Anonymous:
			continue
		case f.Anonymous && name == "":
			all = append(all, fieldsOf(f.Type, path, within)...)
			continue
		case name == "":
			name = f.Name
		}
		if path != "" {
			name = path + "." + name
		}
		if strings.Contains(options, "omit") {
			name += "?"
		}
		all = append(all, shape(f.Type, name, within)...)
	}
	return all
}

// settledDaemon is a daemon that has synced three calls and turned a delivery
// away; it answers the path of its configuration.
func settledDaemon(t *testing.T) (file string) {
	t.Helper()
	account := httptest.NewServer(newAccount())
	t.Cleanup(account.Close)
	file, err := writeConfig(t.TempDir(), account.URL, "auto_setup = true")
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	d, err := start(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	})
	for _, name := range []string{"guide", "meeting", "voicemail"} {
		body, err := os.ReadFile("testdata/demo/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		if status, answer, err := deliver(d.Webhook, body); err != nil || status != http.StatusOK {
			t.Fatalf("%d %s %v", status, answer, err)
		}
	}
	if _, _, err := deliverAs("wrong", d.Webhook, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if status, answer, err := deliver(d.Webhook, []byte(`{"callId":"torn"`)); err != nil || status != http.StatusBadRequest {
		t.Fatalf("%d %s %v", status, answer, err)
	}
	if err := awaitSettled(file, time.Minute); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestTablesFit: on a terminal of 60 columns as on one of 80, no row breaks.
func TestTablesFit(t *testing.T) {
	file := settledDaemon(t)
	for _, width := range []int{60, 80} {
		for name, c := range map[string]interface {
			Run(context.Context, *app) error
		}{
			"calls": &callsCmd{Limit: 50}, "deliveries": &deliveriesCmd{Limit: 50},
		} {
			var out bytes.Buffer
			a := &app{configPath: file, out: &printer{w: &out, width: width}, err: &printer{w: io.Discard}}
			if err := c.Run(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if len(lines) < 4 {
				t.Errorf("%s shows\n%s", name, out.String())
			}
			for _, line := range lines {
				if columns(line) > width {
					t.Errorf("%s: %d columns on a terminal of %d: %s", name, columns(line), width, line)
				}
			}
		}
	}
}

// TestJSONIsAsDocumented runs the commands and reads what they print into the
// types that the reference shows: nothing may be there that these do not have.
func TestJSONIsAsDocumented(t *testing.T) {
	file := settledDaemon(t)
	run := func(args ...string) []byte {
		t.Helper()
		var out, complaint bytes.Buffer
		run(t.Context(), append(args, "--config", file), strings.NewReader(""), &out, &complaint)
		if out.Len() == 0 {
			t.Fatalf("%q prints nothing: %s", args, complaint.String())
		}
		return out.Bytes()
	}
	var status admin.Status
	if err := json.Unmarshal(run("status", "--json"), &status); err != nil {
		t.Fatal(err)
	}
	exported := filepath.Join(t.TempDir(), "calls.jsonl")
	if err := os.WriteFile(exported, append(run("export"), "not JSON\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	ran := map[string]bool{"sample": true} // as plan; 11x is another test's
	for _, line := range []string{
		"status --json", "calls --json", "show call.abc123 --json", "show call.abc123 --json --body",
		"show call.abc123 --json --explain", "deliveries --json", "compact --json", "plan call.abc123 --json", "version --json",
		"resync --all --json", "resync --all --json --dry-run --force", "verify --json", "pause --json", "unpause --json",
		"unpause hubspot --json --yes --account " + status.Destinations[0].CRM.Account,
		"reload --json", "setup --json --yes", "check --json", "check --json --live", "export", "import --json " + exported,
		"mapping --json " + status.Destinations[0].MappingFile.Version,
		"readmit 5 --json --file testdata/demo/guide.json", "undo call.demo-meeting --json --yes", "erase --json --yes --call call.demo-voicemail",
	} {
		args := strings.Fields(line)
		t.Run(line, func(t *testing.T) {
			ran[args[0]] = true
			v := printed[args[0]]
			for flag, other := range alsoPrinted[args[0]] {
				if slices.Contains(args, flag) {
					v = other
				}
			}
			dec := json.NewDecoder(bytes.NewReader(run(args...)))
			dec.DisallowUnknownFields()
			for n := 0; ; n++ {
				err := dec.Decode(reflect.New(reflect.TypeOf(v)).Interface())
				if err == io.EOF && n > 0 {
					return
				}
				if err != nil {
					t.Fatalf("value %d: %v", n+1, err)
				}
			}
		})
	}
	for name := range printed {
		if !ran[name] {
			t.Errorf("%s was not run", name)
		}
	}
}
