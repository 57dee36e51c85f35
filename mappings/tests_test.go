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
	wantFile, err := m.WriteTest(dir, "guide", payload)
	if err != nil || wantFile != filepath.Join(dir, "guide.m.want") {
		t.Fatal(wantFile, err)
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
	// Another mapping may expect something else of the same payload.
	other, err := mappings.Parse("other.toml", []byte(strings.Replace(source, "'old'", "'other'", 1)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if results := run(other); len(results) != 0 {
		t.Errorf("a test of another mapping: %+v", results)
	}
	if _, err := other.WriteTest(dir, "guide", payload); err != nil {
		t.Fatal(err)
	}
	for _, x := range []*mappings.Mapping{m, other} {
		if results := run(x); len(results) != 1 || !results[0].OK {
			t.Errorf("%s of two: %+v", x.Name(), results)
		}
	}
	// What every mapping should give stands in a file without a mapping's name.
	if err := os.Rename(filepath.Join(dir, "guide.m.want"), filepath.Join(dir, "guide.want")); err != nil {
		t.Fatal(err)
	}
	if results := run(m); len(results) != 1 || !results[0].OK {
		t.Errorf("of all mappings: %+v", results)
	}
	for _, file := range []string{"guide.want", "guide.other.want"} {
		if err := os.Remove(filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
	}
	if results := run(m); len(results) != 1 || results[0].OK {
		t.Error("a test without expected records passes")
	}
	for _, name := range []string{"", "../x", "a/b"} {
		if _, err := m.WriteTest(dir, name, payload); err == nil {
			t.Errorf("a test may be called %q", name)
		}
	}
	if _, err := m.WriteTest(dir, "broken", []byte("no payload")); err == nil {
		t.Error("a test of a payload that is none")
	}
}
