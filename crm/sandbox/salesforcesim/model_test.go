package salesforcesim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestIndexesAgree runs random saves, many of them rolled back, and then asks
// by every indexed way for what a look at all records shows.
func TestIndexesAgree(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		o := newOrg(t)
		o.customField("Contact.key__c", keyField("Key"))
		var ids []string
		emails := []string{"a@example.com", "B@example.com", "c@example.com"}
		keys := []string{"k1", "K1", "k2", "k3"}
		draw := func() m {
			rec := m{"LastName": rapid.SampledFrom([]string{"A", "B", ""}).Draw(rt, "last")}
			if rapid.Bool().Draw(rt, "withEmail") {
				rec["Email"] = rapid.SampledFrom(emails).Draw(rt, "email")
			}
			if rapid.Bool().Draw(rt, "withPhone") {
				rec["Phone"] = fmt.Sprintf("+1 555 %d", rapid.IntRange(1, 3).Draw(rt, "phone"))
			}
			if rapid.Bool().Draw(rt, "withKey") {
				rec["key__c"] = rapid.SampledFrom(keys).Draw(rt, "key")
			}
			return rec
		}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			switch rapid.IntRange(0, 4).Draw(rt, "op") {
			case 0:
				a := o.ok("POST", "composite/sobjects", m{"allOrNone": rapid.Bool().Draw(rt, "aon"), "records": records("Contact", draw(), draw())})
				for i := range 2 {
					if id, ok := a.at(i, "id").(string); ok {
						ids = append(ids, id)
					}
				}
			case 1:
				if len(ids) > 1 {
					x, y := draw(), draw()
					x["id"], y["id"] = rapid.SampledFrom(ids).Draw(rt, "x"), rapid.SampledFrom(ids).Draw(rt, "y")
					o.ok("PATCH", "composite/sobjects", m{"allOrNone": rapid.Bool().Draw(rt, "aon"), "records": records("Contact", x, y)})
				}
			case 2:
				x := draw()
				x["key__c"] = rapid.SampledFrom(keys).Draw(rt, "key")
				if id, ok := o.ok("PATCH", "composite/sobjects/Contact/key__c", m{"records": records("Contact", x)}).at(0, "id").(string); ok {
					ids = append(ids, id)
				}
			case 3:
				a := o.graphs(graphOf("1", node("POST", "sobjects/Contact", "x", draw()), node("PATCH", "sobjects/Contact/@{x.id}", "y", draw())))
				if id, ok := at(nodeOf(a, 0, 0), "body", "id").(string); ok {
					ids = append(ids, id)
				}
			case 4:
				if len(ids) > 0 {
					o.ok("DELETE", "composite/sobjects?allOrNone="+fmt.Sprint(rapid.Bool().Draw(rt, "aon"))+"&ids="+rapid.SampledFrom(ids).Draw(rt, "x")+",003Ws0000000zzz", nil)
				}
			}
		}
		o.clock.add(10 * time.Second)
		checkIndexes(rt, o, emails, keys)
	})
}

func checkIndexes(t *rapid.T, o *org, emails, keys []string) {
	live := func(field, value string) []string {
		found := []string{}
		for _, r := range o.sim.Records("Contact") {
			if v, _ := r.Fields[field].(string); !r.Deleted && strings.EqualFold(v, value) {
				found = append(found, r.ID)
			}
		}
		return found
	}
	for _, email := range emails {
		want := live("Email", email)
		if got := o.soql("SELECT Id FROM Contact WHERE Email = '"+email+"'", "Id"); !slices.Equal(got, want) {
			t.Fatalf("SOQL by email %s: %v; want %v", email, got, want)
		}
		if got := o.sosl("FIND {" + email + "} IN EMAIL FIELDS RETURNING Contact(Id)"); !slices.Equal(got, want) {
			t.Fatalf("SOSL by email %s: %v; want %v", email, got, want)
		}
	}
	for i := 1; i <= 3; i++ {
		want := live("Phone", fmt.Sprintf("+1 555 %d", i))
		if got := o.sosl(fmt.Sprintf("FIND {1555%d} IN PHONE FIELDS RETURNING Contact(Id)", i)); !slices.Equal(got, want) {
			t.Fatalf("SOSL by phone %d: %v; want %v", i, got, want)
		}
	}
	for _, key := range keys {
		want := live("key__c", key)
		if got := o.soql("SELECT Id FROM Contact WHERE key__c = '"+key+"'", "Id"); !slices.Equal(got, want) || len(want) > 1 {
			t.Fatalf("SOQL by key %s: %v; want %v, one at most", key, got, want)
		}
	}
}
