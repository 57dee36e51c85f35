package spelling_test

import (
	"testing"

	"github.com/callsync/callsync/internal/spelling"
)

func TestNearest(t *testing.T) {
	known := []string{"firstName", "lastName", "e164", "url", "länge"}
	for name, want := range map[string]string{
		"fistName":  "firstName",
		"FIRSTNAME": "firstName",
		"lsatName":  "lastName", // neighbours swapped are one mistake
		"lange":     "länge",    // one letter, although two bytes
		"urk":       "url",
		"xyz":       "", // as far away as url is long
		"something": "",
		"":          "",
	} {
		if got := spelling.Nearest(name, known); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	if got := spelling.Nearest("nake", []string{"name", "fake"}); got != "name" {
		t.Errorf("of two equally near %q, want the first", got)
	}
}
