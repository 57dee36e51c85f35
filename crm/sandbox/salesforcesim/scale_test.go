package salesforcesim_test

import (
	"fmt"
	"net/url"
	"testing"
	"time"
)

// populate adds n contacts, each with an email and a phone of its own.
func populate(o *org, n int) {
	for from := 0; from < n; from += 200 {
		list := make([]map[string]any, 200)
		for i := range list {
			list[i] = map[string]any{
				"LastName": fmt.Sprintf("Person %d", from+i), "Email": fmt.Sprintf("p%d@example.com", from+i),
				"Phone": fmt.Sprintf("+1 (555) %03d-%04d", (from+i)/10000, (from+i)%10000),
			}
		}
		o.ok("POST", "composite/sobjects", map[string]any{"records": records("Contact", list...)})
	}
	o.clock.add(10 * time.Second)
}

// BenchmarkLookups asks an org of 20,000 people for one of them.
func BenchmarkLookups(b *testing.B) {
	o := newOrg(b)
	populate(o, 20_000)
	for name, path := range map[string]string{
		"SOQL": "query?q=" + url.QueryEscape("SELECT Id, Name FROM Contact WHERE Email IN ('p7@example.com', 'p19999@example.com')"),
		"SOSL": "search?q=" + url.QueryEscape("FIND {15550000007 OR 15550019999} IN PHONE FIELDS RETURNING Contact(Id, Phone)"),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				o.ok("GET", path, nil)
			}
		})
	}
}
