package mappings_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/mappings"
)

var update = flag.Bool("update", false, "write the golden files anew")

var received = time.Date(2025, 9, 25, 8, 25, 0, 0, time.UTC)

func readCall(t testing.TB, file string) *julian.Call {
	t.Helper()
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c, err := julian.Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestShippedMappings renders every payload of testdata with both shipped files
// and compares what comes out with the golden file beside it.
func TestShippedMappings(t *testing.T) {
	payloads, err := filepath.Glob("testdata/*.json")
	if err != nil || len(payloads) == 0 {
		t.Fatal("no payloads", err)
	}
	for _, kind := range []string{"hubspot", "salesforce"} {
		m, err := mappings.Builtin(kind, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, payload := range payloads {
			name := kind + "/" + strings.TrimSuffix(filepath.Base(payload), ".json")
			t.Run(name, func(t *testing.T) {
				d, err := m.Render(readCall(t, payload), received)
				if err != nil {
					t.Fatal(err)
				}
				golden(t, strings.TrimSuffix(payload, ".json")+"."+kind+".golden", describe(d))
			})
		}
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", file, diff)
	}
}

// describe writes what should stand in the CRM, a field a line.
func describe(d *crm.Desired) string {
	var b strings.Builder
	fmt.Fprintf(&b, "call %s at %s\n", d.CallID, d.At.Format(time.RFC3339Nano))
	if d.Skip != "" {
		fmt.Fprintf(&b, "skip: %s\n", d.Skip)
	}
	if d.Interim {
		fmt.Fprintln(&b, "interim")
	}
	p := d.Person
	fmt.Fprintf(&b, "\nperson in %s\n", strings.Join(p.Objects, ", "))
	for _, m := range p.Match {
		fmt.Fprintf(&b, "  match %d: %s %s = %s\n", m.Rule, m.Kind, m.Property, m.Value)
	}
	fmt.Fprintf(&b, "  create %q with key %q %s\n", p.Create, p.Key, p.WhyNot)
	describeFields(&b, p.Fields)
	for _, r := range d.Records {
		fmt.Fprintf(&b, "\n%s in %s, links %v, keep %v\n", r.Key, r.Object, r.Links, r.Keep)
		describeFields(&b, r.Fields)
	}
	for _, w := range d.Warnings {
		fmt.Fprintf(&b, "\nwarning: %s\n", w)
	}
	return b.String()
}

func describeFields(b *strings.Builder, fields []crm.Field) {
	for _, f := range fields {
		value := fmt.Sprintf("%s%s %q", f.Value.Kind, f.Value.Of, f.Value.Text)
		if f.Value.IsNull() {
			value = "nothing"
		}
		fmt.Fprintf(b, "  %s (%s): %s\n", strings.TrimPrefix(f.Object+"."+f.Name, "."), f.Write, value)
	}
}
