package salesforce_test

import (
	"testing"

	"github.com/callsync/callsync/crm"
)

// People go to the recycle bin like other records, and somebody who is there
// already counts as gone.
func TestArchivePeople(t *testing.T) {
	w := newWorld(t)
	contact := w.add("Contact", map[string]any{"LastName": "Lindqvist"})
	lead := w.add("Lead", map[string]any{"LastName": "Okafor", "Company": "Northwind"})
	for range 2 {
		for i, res := range w.write(
			crm.Change{Op: crm.Archive, Object: "Contact", ID: contact},
			crm.Change{Op: crm.Archive, Object: "Lead", ID: lead},
		) {
			if res.Err != nil && crm.KindOf(res.Err) != crm.Gone {
				t.Errorf("change %d: %v", i, res.Err)
			}
		}
	}
	found, err := w.dest.Read(w.ctx(), []crm.Ref{{Object: "Contact", ID: contact}, {Object: "Lead", ID: lead}}, []string{"LastName"})
	if err != nil || !found[0].Gone || !found[1].Gone {
		t.Errorf("afterwards: %+v, %v", found, err)
	}
}
