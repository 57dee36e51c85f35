package hubspot_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/crm/sandbox"
)

// asError returns a result's *crm.Error of the wanted kind.
func asError(t *testing.T, r crm.Result, kind crm.ErrorKind) *crm.Error {
	t.Helper()
	var e *crm.Error
	if !errors.As(r.Err, &e) || e.Kind != kind {
		t.Fatalf("got %+v, want an error of kind %s", r, kind)
	}
	return e
}

func calls(n int, person string) []crm.Change {
	var changes []crm.Change
	for i := range n {
		changes = append(changes, call(i, person))
	}
	return changes
}

// linked returns the ids that a record is associated with.
func (p *account) linked(object, id, to string) []string {
	p.t.Helper()
	var a struct {
		Results []struct {
			To string `json:"toObjectId"`
		} `json:"results"`
	}
	p.raw("GET", "/crm/v4/objects/"+object+"/"+id+"/associations/"+to, "", &a)
	ids := []string{}
	for _, r := range a.Results {
		ids = append(ids, r.To)
	}
	return ids
}

func TestWriteCreatesInBatches(t *testing.T) {
	for _, api := range []string{"2026-03", "v3"} {
		for _, echo := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s echo %v", api, echo), func(t *testing.T) {
				p := open(t, func(o *simOptions, s *crm.Settings) {
					s.API, o.Settings.EchoTraceIDs = api, echo
				})
				ann := p.write(contact("+15551234567", "ann@example.com"))[0]
				if got := p.props("contacts", ann, "callsync_contact_key")["callsync_contact_key"]; got != "+15551234567" {
					t.Errorf("the contact's key is %q", got)
				}
				p.sim.ResetCounters()
				changes := calls(150, ann)
				ids := p.write(changes...)
				if got := p.requests(); got != "calls batch create, calls batch create" {
					t.Errorf("150 calls with their links took: %s", got)
				}
				for i, id := range ids {
					if got := p.props("calls", id, "callsync_key")["callsync_key"]; got != changes[i].Key {
						t.Fatalf("change %s was answered with the record of %s", changes[i].Key, got)
					}
				}
				if diff := cmp.Diff([]string{ann}, p.linked("calls", ids[149], "contacts")); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func TestWriteValues(t *testing.T) {
	p := open(t)
	create := call(1, "")
	create.Properties["hs_call_title"] = crm.Value{} // nothing to clear on a create
	create.Properties["hs_call_duration"] = crm.Int(46000)
	id := p.write(create)[0]
	if body := p.sim.Requests()[0].Body; !strings.Contains(body, `"hs_timestamp":"2026-11-25T12:00:00.000Z"`) ||
		!strings.Contains(body, `"hs_call_duration":"46000"`) || strings.Contains(body, "hs_call_title") {
		t.Errorf("on the wire: %s", body)
	}
	p.write(crm.Change{Op: crm.Update, Object: "calls", ID: id, Properties: map[string]crm.Value{
		"hs_call_duration": {}, "hs_call_title": crm.Str("Second"),
	}})
	got := p.props("calls", id, "hs_call_duration", "hs_call_title")
	if got["hs_call_duration"] != "" || got["hs_call_title"] != "Second" {
		t.Errorf("after the update: %v", got)
	}
	r := p.Write(t.Context(), []crm.Change{{Op: crm.Update, Object: "calls", ID: id, Properties: map[string]crm.Value{"hubspot_owner_id": crm.LookupOf("owner", "x@example.com")}}})
	if e := asError(t, r[0], crm.Permanent); e.Property != "hubspot_owner_id" || strings.Contains(e.Error(), "@") {
		t.Errorf("an owner that was not looked up: %v", e)
	}
}

// One bad record among 100 does not stop the others, whether HubSpot answers
// each input on its own or refuses the batch whole.
func TestWriteIsolatesTheBad(t *testing.T) {
	tests := []struct {
		name     string
		spoil    func(*crm.Change)
		kind     crm.ErrorKind
		code     string
		property string
		most     int // requests when the batch is refused whole
	}{
		{"unknown property", func(c *crm.Change) { c.Properties["nonsense"] = crm.Str("x") }, crm.Permanent, "PROPERTY_DOESNT_EXIST", "nonsense", 2},
		{"read-only property", func(c *crm.Change) { c.Properties["hs_object_id"] = crm.Int(1) }, crm.Permanent, "READ_ONLY_VALUE", "hs_object_id", 2},
		{"unknown option", func(c *crm.Change) { c.Properties["hs_call_status"] = crm.Str("NOPE") }, crm.Permanent, "INVALID_OPTION", "hs_call_status", 3},
		{"bad value of a property all have", func(c *crm.Change) { c.Properties["hs_timestamp"] = crm.Str("soon") }, crm.Permanent, "INVALID_LONG", "hs_timestamp", 16},
		{"missing property", func(c *crm.Change) { delete(c.Properties, "hs_timestamp") }, crm.Permanent, "VALIDATION_ERROR", "hs_timestamp", 2},
		{"link to nobody", func(c *crm.Change) { c.Link = []crm.Ref{{Object: "contacts", ID: "999"}} }, crm.Gone, "VALIDATION_ERROR", "", 2},
		{"taken key", func(c *crm.Change) { c.Key = "taken" }, crm.Exists, "CONFLICTING_UNIQUE_VALUE", "callsync_key", 4},
	}
	for _, test := range tests {
		for _, traced := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s traced %v", test.name, traced), func(t *testing.T) {
				p := open(t, func(o *simOptions, _ *crm.Settings) { o.Settings.TraceCreate = traced })
				p.make("calls", map[string]string{"hs_timestamp": "0", "callsync_key": "taken"})
				p.sim.ResetCounters()
				changes := calls(100, "")
				test.spoil(&changes[37])
				results := p.Write(t.Context(), changes)
				e := asError(t, results[37], test.kind)
				if e.Code != test.code || e.Property != test.property {
					t.Errorf("got code %s, property %q", e.Code, e.Property)
				}
				for i, r := range results {
					if i != 37 && (r.Err != nil || r.ID == "") {
						t.Fatalf("record %d suffered: %v", i, r.Err)
					}
				}
				most := 1
				if !traced {
					most = test.most
				}
				if got := p.sim.Total(); got > most {
					t.Errorf("%d requests, at most %d expected: %s", got, most, p.requests())
				}
			})
		}
	}
}

// A value that many share is refused for all of them once one was refused.
func TestWriteIsolatesSharedValue(t *testing.T) {
	p := open(t, func(o *simOptions, _ *crm.Settings) { o.Settings.TraceCreate = false })
	changes := calls(100, "")
	for i := range changes {
		changes[i].Properties["hs_call_status"] = crm.Str([]string{"COMPLETED", "NOPE"}[i%2])
	}
	for i, r := range p.Write(t.Context(), changes) {
		if bad := i%2 == 1; bad != (r.Err != nil) {
			t.Fatalf("record %d: %v", i, r.Err)
		}
	}
	if got := p.sim.Total(); got > 10 {
		t.Errorf("%d requests: %s", got, p.requests())
	}
}

// A batch that is refused over and over is left alone, and what was not tried
// goes back as transient.
func TestWriteStopsHammering(t *testing.T) {
	p := open(t, func(o *simOptions, _ *crm.Settings) { o.Settings.TraceCreate = false })
	changes := calls(100, "")
	for i := range changes {
		changes[i].Properties["hs_timestamp"] = crm.Str(fmt.Sprintf("never %d", i))
	}
	permanent := 0
	for i, r := range p.Write(t.Context(), changes) {
		switch crm.KindOf(r.Err) {
		case crm.Permanent:
			permanent++
		case crm.Transient:
		default:
			t.Fatalf("record %d: %+v", i, r)
		}
	}
	if got := p.sim.Total(); got > 25 || permanent == 0 {
		t.Errorf("%d requests settled %d records", got, permanent)
	}
}

func TestWriteAdoptsExisting(t *testing.T) {
	for _, traced := range []bool{true, false} {
		for _, status := range []int{http.StatusBadRequest, http.StatusConflict} {
			t.Run(fmt.Sprintf("traced %v status %d", traced, status), func(t *testing.T) {
				p := open(t, func(o *simOptions, _ *crm.Settings) {
					o.Settings.TraceCreate, o.Settings.ConflictStatus = traced, status
				})
				byKey := p.make("contacts", map[string]string{"lastname": "A", "callsync_contact_key": "+15551110001"})
				byEmail := p.make("contacts", map[string]string{"email": "b@example.com"})
				p.merge(byEmail, p.make("contacts", map[string]string{"email": "c@example.com"}))
				p.sim.ResetCounters()
				results := p.Write(t.Context(), []crm.Change{
					contact("+15551110000", "new@example.com"),
					contact("+15551110001", ""),
					contact("+15551110002", "B@example.com"),
					contact("+15551110003", "c@example.com"),
				})
				if results[0].Err != nil {
					t.Errorf("the new one: %v", results[0].Err)
				}
				for i, want := range []string{byKey, byEmail, byEmail} {
					if e := asError(t, results[i+1], crm.Exists); e.Existing != (crm.Ref{Object: "contacts", ID: want}) {
						t.Errorf("create %d: existing %v, want %s", i+1, e.Existing, want)
					}
				}
				if got := p.sim.Total(); got > 4 {
					t.Errorf("%d requests: %s", got, p.requests())
				}
			})
		}
	}
}

// Two creates of one record in a batch become one record.
func TestWriteTwins(t *testing.T) {
	p := open(t)
	results := p.Write(t.Context(), []crm.Change{
		contact("+15551110001", "ann@example.com"),
		contact("+15551110001", ""),
		contact("+15551110002", "ANN@example.com"),
		call(1, ""),
		call(1, ""),
	})
	for _, i := range []int{0, 3} {
		if results[i].Err != nil {
			t.Fatalf("create %d: %v", i, results[i].Err)
		}
	}
	for twin, first := range map[int]int{1: 0, 2: 0, 4: 3} {
		if e := asError(t, results[twin], crm.Exists); e.Existing.ID != results[first].ID {
			t.Errorf("twin %d: %v, want %s", twin, e.Existing, results[first].ID)
		}
	}
	if got := p.sim.Total(); got != 2 {
		t.Errorf("%d requests: %s", got, p.requests())
	}
}

func TestWriteTwinSharesFailure(t *testing.T) {
	p := open(t)
	p.fault(sandbox.Fault{Operation: "calls batch create", Status: 503})
	results := p.Write(t.Context(), []crm.Change{call(1, ""), call(1, "")})
	asError(t, results[0], crm.Transient)
	asError(t, results[1], crm.Transient)
}

func (p *account) fault(f sandbox.Fault) {
	p.t.Helper()
	if _, err := p.sim.AddFault(f); err != nil {
		p.t.Fatal(err)
	}
}

func update(object, id, property, value string) crm.Change {
	return crm.Change{Op: crm.Update, Object: object, ID: id, Properties: map[string]crm.Value{property: crm.Str(value)}}
}

func TestWriteUpdates(t *testing.T) {
	for _, together := range []bool{false, true} {
		for _, traced := range []bool{false, true} {
			t.Run(fmt.Sprintf("missing together %v traced %v", together, traced), func(t *testing.T) {
				p := open(t, func(o *simOptions, _ *crm.Settings) {
					o.Settings.MissingTogether, o.Settings.TraceUpdate = together, traced
				})
				ids := p.write(calls(10, "")...)
				for _, i := range []int{3, 7} {
					p.raw("DELETE", "/crm/v3/objects/calls/"+ids[i], "", nil)
				}
				p.sim.ResetCounters()
				var changes []crm.Change
				for i, id := range ids {
					changes = append(changes, update("calls", id, "hs_call_title", fmt.Sprintf("New %d", i)))
				}
				for i, r := range p.Write(t.Context(), changes) {
					if i == 3 || i == 7 {
						asError(t, r, crm.Gone)
						continue
					}
					if r.Err != nil || r.ID != ids[i] {
						t.Errorf("update %d: %+v", i, r)
					}
					if got := p.props("calls", ids[i], "hs_call_title")["hs_call_title"]; got != fmt.Sprintf("New %d", i) {
						t.Errorf("record %d is called %q", i, got)
					}
				}
				if got := p.sim.Counts()["calls batch update"].Requests; got != 1 {
					t.Errorf("%d requests", got)
				}
			})
		}
	}
}

func TestWriteUpdatesMerged(t *testing.T) {
	p := open(t)
	winner := p.make("contacts", map[string]string{"email": "winner@example.com"})
	loser := p.make("contacts", map[string]string{"email": "loser@example.com"})
	p.merge(winner, loser)
	if ids := p.write(update("contacts", loser, "jobtitle", "CTO")); ids[0] != winner {
		t.Errorf("answered with %s, want the record that lives, %s", ids[0], winner)
	}
}

// A unique value that another record holds cannot be adopted by an update.
func TestWriteUpdateConflict(t *testing.T) {
	p := open(t)
	p.make("contacts", map[string]string{"email": "a@example.com"})
	b := p.make("contacts", map[string]string{"email": "b@example.com"})
	e := asError(t, p.Write(t.Context(), []crm.Change{update("contacts", b, "email", "a@example.com")})[0], crm.Permanent)
	if e.Hint == "" || strings.Contains(e.Error(), "a@example.com") {
		t.Errorf("%v (%s)", e, e.Hint)
	}
}

// HubSpot refuses a batch that names a record twice; the second change goes
// after the first.
func TestWriteSameRecordTwice(t *testing.T) {
	p := open(t)
	id := p.write(call(1, ""))[0]
	p.write(update("calls", id, "hs_call_title", "first"), update("calls", id, "hs_call_title", "second"))
	if got := p.props("calls", id, "hs_call_title")["hs_call_title"]; got != "second" {
		t.Errorf("the title is %q", got)
	}
	if s := p.statuses(); s[400] > 0 {
		t.Errorf("answers: %v", s)
	}
}

func TestWriteArchives(t *testing.T) {
	p := open(t)
	ids := p.write(call(1, ""), call(2, ""))
	p.sim.ResetCounters()
	p.write(crm.Change{Op: crm.Archive, Object: "calls", ID: ids[0]}, crm.Change{Op: crm.Archive, Object: "calls", ID: ids[1]})
	if got := p.requests(); got != "calls batch archive" {
		t.Errorf("requests: %s", got)
	}
	if status := p.raw("GET", "/crm/v3/objects/calls/"+ids[0], "", nil); status != http.StatusNotFound {
		t.Errorf("the call still answers %d", status)
	}
}

func TestWriteLinks(t *testing.T) {
	for _, api := range []string{"2026-03", "v3"} {
		t.Run(api, func(t *testing.T) {
			p := open(t, func(_ *simOptions, s *crm.Settings) { s.API = api })
			ann, bob := p.make("contacts", map[string]string{"email": "ann@example.com"}), p.make("contacts", map[string]string{"email": "bob@example.com"})
			deal, company := p.make("deals", map[string]string{"dealname": "D"}), p.make("companies", map[string]string{"name": "C"})

			create := call(1, ann)
			create.Link = append(create.Link, crm.Ref{Object: "deals", ID: deal}, crm.Ref{Object: "companies", ID: company})
			p.sim.ResetCounters()
			id := p.write(create)[0]
			if got := p.requests(); got != "calls batch create" {
				t.Errorf("links were not made along with the call: %s", got)
			}
			for to, want := range map[string]string{"contacts": ann, "deals": deal, "companies": company} {
				if diff := cmp.Diff([]string{want}, p.linked("calls", id, to)); diff != "" {
					t.Errorf("%s: %s", to, diff)
				}
			}

			// The person changes: links alone need no update of the call.
			p.sim.ResetCounters()
			p.write(crm.Change{
				Op: crm.Update, Object: "calls", ID: id,
				Link: []crm.Ref{{Object: "contacts", ID: bob}}, Unlink: []crm.Ref{{Object: "contacts", ID: ann}},
			})
			if got := p.sim.Total(); got != 2 {
				t.Errorf("one link and one unlink took %s", p.requests())
			}
			if diff := cmp.Diff([]string{bob}, p.linked("calls", id, "contacts")); diff != "" {
				t.Error(diff)
			}

			// A link that HubSpot makes by itself only after the create.
			p.write(crm.Change{Op: crm.Create, Object: "contacts", Key: "k", Properties: map[string]crm.Value{"lastname": crm.Str("L")}, Link: []crm.Ref{{Object: "companies", ID: company}}})
		})
	}
}

func TestWriteLinkToMissing(t *testing.T) {
	p := open(t)
	ann := p.make("contacts", map[string]string{"email": "ann@example.com"})
	merged := p.make("contacts", map[string]string{"email": "merged@example.com"})
	p.merge(ann, merged)
	ids := p.write(call(1, ""), call(2, ""), call(3, ""))
	link := func(id, to string) crm.Change {
		return crm.Change{Op: crm.Update, Object: "calls", ID: id, Link: []crm.Ref{{Object: "contacts", ID: to}}}
	}
	results := p.Write(t.Context(), []crm.Change{link(ids[0], ann), link(ids[1], "424242"), link(ids[2], merged)})
	for _, i := range []int{0, 2} { // HubSpot answers the last one with another id
		if results[i].Err != nil {
			t.Errorf("good link %d: %v", i, results[i].Err)
		}
	}
	asError(t, results[1], crm.Gone)
	if results[1].ID != ids[1] {
		t.Errorf("the record whose link failed is %q", results[1].ID)
	}
}

// What is gone is linked to nothing, however HubSpot says so.
func TestWriteUnlinkFromMissing(t *testing.T) {
	for status, body := range map[int]string{
		404: `{"status":"error","category":"OBJECT_NOT_FOUND","message":"no such contact","correlationId":"c"}`,
		207: `{"status":"COMPLETE","results":[],"numErrors":1,"errors":[{"status":"error","category":"OBJECT_NOT_FOUND","message":"no such contact"}]}`,
	} {
		p := open(t)
		ann := p.make("contacts", map[string]string{"email": "ann@example.com"})
		bob := p.make("contacts", map[string]string{"email": "bob@example.com"})
		id := p.write(call(1, ann))[0]
		p.fault(sandbox.Fault{Method: "POST", Path: "*/batch/archive", Status: status, Body: body, ContentType: "application/json"})
		p.write(crm.Change{
			Op: crm.Update, Object: "calls", ID: id,
			Link: []crm.Ref{{Object: "contacts", ID: bob}}, Unlink: []crm.Ref{{Object: "contacts", ID: ann}},
		})
	}
}

// A request whose answer is lost is never repeated here: the journal decides.
func TestWriteLostAnswer(t *testing.T) {
	for _, f := range []sandbox.Fault{
		{When: sandbox.After, Reset: true},
		{When: sandbox.Before, Reset: true},
		{When: sandbox.After, Status: 504},
		{When: sandbox.Before, Status: 502},
		{When: sandbox.Before, Status: 500},
		{When: sandbox.After, Status: 201, Body: "<html>"},
		{When: sandbox.After, Status: 201, Body: `{"status":"COMPLETE","results":[]}`, ContentType: "application/json"},
	} {
		t.Run(fmt.Sprintf("%s reset %v status %d", f.When, f.Reset, f.Status), func(t *testing.T) {
			p := open(t)
			ann := p.make("contacts", map[string]string{"email": "ann@example.com"})
			f.Operation = "calls batch create"
			p.fault(f)
			p.sim.ResetCounters()
			results := p.Write(t.Context(), append(calls(5, ann), update("contacts", ann, "jobtitle", "CTO")))
			for _, r := range results[:5] {
				asError(t, r, crm.Transient)
			}
			if results[5].Err != nil {
				t.Errorf("another type's batch suffered: %v", results[5].Err)
			}
			if got := p.sim.Counts()["calls batch create"].Requests; got != 1 {
				t.Errorf("the batch was sent %d times", got)
			}
		})
	}
}
