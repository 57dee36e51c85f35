package hubspot

import (
	"encoding/json"
	"slices"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// Whatever is searched for, every body keeps HubSpot's limits and together they
// look for every value in every property, once.
func TestPackKeepsLimits(t *testing.T) {
	lists := [][]string{{"email", "hs_additional_emails"}, {calculatedPhone, calculatedMobile}, {"a"}, {"b"}, {"c"}, {"d"}, {"e"}}
	rapid.Check(t, func(t *rapid.T) {
		terms := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) term {
			return term{rapid.SampledFrom(lists).Draw(t, "properties"), rapid.StringN(1, 60, 200).Draw(t, "value")}
		}), 0, 400).Draw(t, "terms")
		type want struct{ property, value string }
		wanted := map[want]bool{}
		for _, x := range terms {
			for _, name := range x.properties {
				wanted[want{name, x.value}] = true
			}
		}
		for _, body := range pack(slices.Clone(terms), []string{"email", "phone"}) {
			body.After = "10000"
			wire, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			if n := utf8.RuneCount(wire); n > 3000 {
				t.Fatalf("a body of %d characters", n)
			}
			if len(body.FilterGroups) < 1 || len(body.FilterGroups) > 5 {
				t.Fatalf("%d filter groups", len(body.FilterGroups))
			}
			for _, g := range body.FilterGroups {
				f := g.Filters[0]
				if len(g.Filters) != 1 || len(f.Values) < 1 || len(f.Values) > 100 {
					t.Fatalf("%d filters, %d values", len(g.Filters), len(f.Values))
				}
				for _, v := range f.Values {
					if !wanted[want{f.Property, v}] {
						t.Fatalf("%s=%q was not asked for, or twice", f.Property, v)
					}
					delete(wanted, want{f.Property, v})
				}
			}
		}
		if len(wanted) > 0 {
			t.Fatalf("%d values are not searched for", len(wanted))
		}
	})
}
