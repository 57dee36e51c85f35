package crm_test

import (
	"testing"
	"time"

	"github.com/callsync/callsync/crm"
)

func TestSameComparesInstantsToThePrecisionACRMKeeps(t *testing.T) {
	v := crm.Time(time.Date(2025, 9, 25, 23, 20, 48, 123e6, time.FixedZone("", 3600)))
	for present, want := range map[string]bool{
		"2025-09-25T22:20:48.123+0000": true,
		"2025-09-25T22:20:48.000+0000": true,
		"2025-09-25T22:20:48Z":         true,
		"1758838848123":                true,
		"2025-09-25":                   true,
		"2025-09-25T22:20:48.124+0000": false,
		"2025-09-25T22:20:49.000+0000": false,
		"2025-09-26":                   false,
		"2025-09-xx":                   false,
		"":                             false,
	} {
		if got := crm.Same(v, present); got != want {
			t.Errorf("Same(%v, %q) = %v, want %v", v, present, got, want)
		}
	}
}

func TestParseTimeKeepsToWhatTheJournalCanHold(t *testing.T) {
	for text, want := range map[string]bool{
		"9999-12-31T23:59:59Z":      true,
		"9999-12-31T23:59:59-05:00": false,
		"253402300799999":           true, // the last millisecond of 9999
		"253402300800000":           false,
		"9223372036854775807":       false,
	} {
		at, err := crm.ParseTime(text)
		if _, cannot := at.UTC().MarshalJSON(); (err == nil) != want || cannot != nil {
			t.Errorf("%s: %v, %v, in JSON %v", text, at, err, cannot)
		}
	}
}
