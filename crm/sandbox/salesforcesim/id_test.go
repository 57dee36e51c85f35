package salesforcesim

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestKnownIDs uses ids that Salesforce's own documents and public reports
// show.
func TestKnownIDs(t *testing.T) {
	for _, id := range []string{"001R00000064wdtIAA", "0015w000029KTYHAA4", "00Qd000000aaSv2EAE"} {
		for _, given := range []string{id, id[:15], strings.ToLower(id), strings.ToUpper(id)} {
			if got, ok := canonicalID(given); !ok || got != id {
				t.Errorf("canonicalID(%s) is %s, %v; want %s", given, got, ok, id)
			}
		}
	}
	for _, bad := range []string{"", "001R00000064wdt ", "001R00000064wdtIAB", "001R00000064wd-", "jane"} {
		if got, ok := canonicalID(bad); ok {
			t.Errorf("canonicalID(%q) is %s", bad, got)
		}
	}
}

func TestIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.IntRange(1, 1<<40).Draw(t, "a"), rapid.IntRange(1, 1<<40).Draw(t, "b")
		x, y := newID("003", a), newID("003", b)
		if (x == y) != (a == b) {
			t.Fatalf("%d is %s and %d is %s", a, x, b, y)
		}
		if strings.EqualFold(x, y) && a != b {
			t.Fatalf("%s and %s differ in case only", x, y)
		}
		if got, ok := canonicalID(strings.ToLower(x)); !ok || got != x {
			t.Fatalf("%s in lower case is %s", x, got)
		}
	})
}
