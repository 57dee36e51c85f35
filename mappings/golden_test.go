package mappings_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
				golden(t, strings.TrimSuffix(payload, ".json")+"."+kind+".golden", mappings.Outline(d))
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

// HubSpot creates nobody without a name or an email. Of a caller of whom nothing
// is known but the number, that has to do.
func TestNamelessCallersHaveAFirstName(t *testing.T) {
	m, err := mappings.Builtin("hubspot", nil)
	if err != nil {
		t.Fatal(err)
	}
	for payload, want := range map[string]string{
		`"phoneNumber":"+15551234567"`:                                                         "+15551234567",
		`"phoneNumber":"+15551234567","name":"  "`:                                             "+15551234567",
		`"phoneNumber":"+15551234567","name":"Ada Lindqvist"`:                                  "Ada",
		`"phoneNumber":"+15551234567","customInputVariables":{"email":"ada@example.com"}`:      "",
		`"phoneNumber":"+15551234567","callResult":{"resultType":"Invalid Phone Number"}`:      "",
		`"phoneNumber":"unknown","customInputVariables":{"email":"ada@example.com"},"name":""`: "",
	} {
		c, err := julian.Parse([]byte(`{"callId":"call.1",` + payload + `}`))
		if err != nil {
			t.Fatal(err)
		}
		d, err := m.Render(c, received)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, f := range d.Person.Fields {
			if f.Name == "firstname" {
				got = f.Value.Text
			}
		}
		if got != want {
			t.Errorf("%s: the first name is %q, want %q", payload, got, want)
		}
	}
}
