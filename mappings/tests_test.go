package mappings_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/callsync/callsync/mappings"
)

func TestMappingTests(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tests")
	source := head + "[contact.fields]\na = \"name\"\nb = \"'old'\"\n"
	parse := func(source string) *mappings.Mapping {
		t.Helper()
		m, err := mappings.Parse("m.toml", []byte(source), nil)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	run := func(m *mappings.Mapping) []mappings.TestResult {
		t.Helper()
		results, err := m.RunTests(dir)
		if err != nil {
			t.Fatal(err)
		}
		return results
	}
	m := parse(source)
	if results := run(m); len(results) != 0 {
		t.Errorf("tests in a folder that does not exist: %v", results)
	}
	payload, err := os.ReadFile("testdata/callresults-guide.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.WriteTest(dir, "guide", payload); err != nil {
		t.Fatal(err)
	}
	if results := run(m); len(results) != 1 || !results[0].OK || results[0].Name != "guide" {
		t.Errorf("a test just written: %+v", results)
	}
	if results := run(parse("# an edit that changes nothing\n" + source)); !results[0].OK {
		t.Errorf("an edit that changes nothing: %+v", results)
	}
	results := run(parse(strings.Replace(source, "'old'", "'new'", 1)))
	if want := "-   b (always) = \"old\"\n+   b (always) = \"new\"\n"; results[0].OK || results[0].Text != want {
		t.Errorf("an edit that changes a field: %+v", results)
	}
	results = run(parse(strings.Replace(source, "'old'", "customInputVariables.prospect_name * 2", 1)))
	if results[0].OK || !strings.Contains(results[0].Text, "m.toml:6:") {
		t.Errorf("an edit that fails: %+v", results)
	}
	if err := os.Remove(filepath.Join(dir, "guide.want")); err != nil {
		t.Fatal(err)
	}
	if results := run(m); results[0].OK {
		t.Error("a test without expected records passes")
	}
	for _, name := range []string{"", "../x", "a/b"} {
		if err := m.WriteTest(dir, name, payload); err == nil {
			t.Errorf("a test may be called %q", name)
		}
	}
	if err := m.WriteTest(dir, "broken", []byte("no payload")); err == nil {
		t.Error("a test of a payload that is none")
	}
}
