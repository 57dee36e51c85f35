package hubspot_test

import (
	"testing"

	"github.com/callsync/callsync/crm"
)

// Somebody who is erased leaves nothing to restore, takes the calls that were
// theirs alone along, and their address cannot be written again.
func TestErase(t *testing.T) {
	p := open(t)
	both := p.write(
		crm.Change{Op: crm.Create, Object: "contacts", Key: "+14155550101", Properties: map[string]crm.Value{"email": crm.Str("ann@example.com")}},
		crm.Change{Op: crm.Create, Object: "contacts", Key: "+14155550102", Properties: map[string]crm.Value{"email": crm.Str("bob@example.com")}},
	)
	ann, bob := crm.Ref{Object: "contacts", ID: both[0]}, crm.Ref{Object: "contacts", ID: both[1]}
	its := crm.Ref{Object: "calls", ID: p.write(call(1, ann.ID))[0]}

	results := p.Destination.(crm.Eraser).Erase(t.Context(), []crm.Ref{ann, {Object: "contacts", ID: "999999"}, {Object: "companies", ID: "1"}})
	if results[0].Err != nil {
		t.Errorf("erasing Ann: %v", results[0].Err)
	}
	asError(t, results[1], crm.Gone)
	asError(t, results[2], crm.Permanent)

	found, err := p.Read(t.Context(), []crm.Ref{ann, bob}, []string{"email"})
	if err != nil {
		t.Fatal(err)
	}
	if !found[0].Gone || found[1].Gone {
		t.Errorf("Ann gone: %v, Bob gone: %v", found[0].Gone, found[1].Gone)
	}
	if found, err = p.Read(t.Context(), []crm.Ref{its}, []string{"hs_call_title"}); err != nil || !found[0].Gone {
		t.Errorf("Ann's call: %+v, %v", found, err)
	}
	again := p.Write(t.Context(), []crm.Change{{Op: crm.Create, Object: "contacts", Key: "+14155550103", Properties: map[string]crm.Value{"email": crm.Str("ann@example.com")}}})
	asError(t, again[0], crm.Permanent)
}
