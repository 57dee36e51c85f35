package salesforce_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/crm/sandbox"
	"github.com/callsync/callsync/crm/sandbox/salesforcesim"
)

func TestValuesAreTypedByDescribe(t *testing.T) {
	w := ready(t)
	at := time.Date(2025, 9, 25, 23, 20, 48, 123e6, time.FixedZone("", 3600))
	who := w.add("Contact", map[string]any{"LastName": "K"})
	res := w.must(w.write(
		newTask("call.1#call", map[string]any{
			"ActivityDate": crm.Time(at), "CallDurationInSeconds": 46, "CallObject": 1234, "Description": "O'Brien {*} @{r0.id}",
			"ReminderDateTime": crm.Time(at), "IsReminderSet": "true",
		}, crm.Ref{Object: "Contact", ID: who[:15]}),
		crm.Change{Op: crm.Create, Object: "Event", Key: "call.1#meeting", Properties: props(map[string]any{
			"Subject": "Follow-up", "StartDateTime": crm.Time(at), "EndDateTime": crm.Time(at.Add(30 * time.Minute)),
		}), Link: []crm.Ref{{Object: "Contact", ID: who}}},
	))
	task, event := w.record(res[0].ID).Fields, w.record(res[1].ID).Fields
	for name, want := range map[string]any{
		"ActivityDate": "2025-09-25", "CallDurationInSeconds": 46.0, "CallObject": "1234", "IsReminderSet": true,
		"ReminderDateTime": "2025-09-25T22:20:48.000+0000", "Description": "O'Brien {*} @{r0.id}",
		"WhoId": who, "TaskSubtype": "Call", "callsync_key__c": "call.1#call",
	} {
		if task[name] != want {
			t.Errorf("Task.%s = %v, want %v", name, task[name], want)
		}
	}
	if event["StartDateTime"] != "2025-09-25T22:20:48.000+0000" || event["WhoId"] != who || event["callsync_key__c"] != "call.1#meeting" {
		t.Errorf("event: %v", event)
	}
	snap, err := w.dest.Read(w.ctx(), []crm.Ref{{Object: "Task", ID: res[0].ID}}, []string{"CallDurationInSeconds", "IsReminderSet", "ActivityDate", "ReminderDateTime", "Location", "nonesuch"})
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]crm.Value{"CallDurationInSeconds": crm.Int(46), "IsReminderSet": crm.Boolean(true), "ReminderDateTime": crm.Time(at), "ActivityDate": crm.Time(at)} {
		if !crm.Same(v, snap[0].Properties[name]) {
			t.Errorf("read back %s = %q, want %v", name, snap[0].Properties[name], v)
		}
	}
}

func TestUpdateSendsOnlyWhatIsUpdateable(t *testing.T) {
	w := ready(t)
	id := w.must(w.write(newTask("call.1#call", map[string]any{"CallDisposition": "Busy"})))[0].ID
	res := w.must(w.write(crm.Change{Op: crm.Update, Object: "Task", ID: id[:15], Properties: props(map[string]any{
		"TaskSubtype": "Task", "Subject": "New", "CallDisposition": nil,
	})}))
	got := w.record(id).Fields
	if got["Subject"] != "New" || got["TaskSubtype"] != "Call" || got["CallDisposition"] != nil {
		t.Errorf("task: %v", got)
	}
	if !slices.Equal(res[0].Skipped, []string{"TaskSubtype"}) || res[0].ID != id {
		t.Errorf("result: %+v, want TaskSubtype skipped", res[0])
	}
	w.sim.ResetCounters()
	w.must(w.write(crm.Change{Op: crm.Update, Object: "Task", ID: id, Properties: props(map[string]any{"TaskSubtype": "Task"})}))
	if n := w.requests(); n != 0 {
		t.Errorf("%d requests for nothing that may be written", n)
	}
}

func TestOneBadRecordDoesNotStopTheRest(t *testing.T) {
	for name, whole := range map[string]bool{"per record": false, "request refused": true} {
		t.Run(name, func(t *testing.T) {
			w := ready(t, func(s *salesforcesim.Settings) {
				s.UnknownFieldFailsRequest = whole
				s.ReadOnlyFields = []string{"Task.CallObject"}
			})
			changes := []crm.Change{
				newTask("call.0#call", nil),
				newTask("call.1#call", map[string]any{"Nonesuch__c": "v"}),
				newTask("call.2#call", map[string]any{"Subject": strings.Repeat("secret ", 60)}),
				newTask("call.3#call", map[string]any{"TaskSubtype": "Carrier pigeon"}),
				newTask("call.4#call", map[string]any{"CallObject": "x"}),
				newTask("call.5#call", map[string]any{"ActivityDate": "no date"}),
				newTask("call.6#call", nil),
			}
			want := []string{"", "INVALID_FIELD", "STRING_TOO_LONG", "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "INVALID_FIELD_FOR_INSERT_UPDATE", "any", ""}
			for i, r := range w.write(changes...) {
				if want[i] == "" {
					if r.Err != nil || r.ID == "" {
						t.Errorf("change %d: %+v, want it written", i, r)
					}
					continue
				}
				e := asError(t, r.Err)
				if e.Kind != crm.Permanent || e.Code != want[i] && want[i] != "any" || e.Code == "" {
					t.Errorf("change %d: %+v, want Permanent %s", i, e, want[i])
				}
				if strings.Contains(e.Error(), "secret") || strings.Contains(e.Error(), "pigeon") {
					t.Errorf("change %d: the error tells a value: %v", i, e)
				}
			}
		})
	}
}

func TestASecondRecordWithAKeyIsNamed(t *testing.T) {
	for name, unique := range map[string]bool{"unique": true, "plain": false} {
		t.Run(name, func(t *testing.T) {
			w := ready(t, func(s *salesforcesim.Settings) { s.ActivityUnique, s.ActivityExternalID = unique, unique })
			first := w.must(w.write(newTask("call.1#call", nil)))[0].ID
			w.sim.ResetCounters()
			res := w.write(newTask("call.1#call", nil), newTask("call.2#call", nil))
			if n := w.count("query all"); unique && n != 0 {
				t.Errorf("%d queries for a record that the org names", n)
			}
			e := asError(t, res[0].Err)
			if e.Kind != crm.Exists || e.Existing != (crm.Ref{Object: "Task", ID: first}) {
				t.Errorf("%+v, want Exists naming %s", e, first)
			}
			if res[1].Err != nil {
				t.Errorf("its neighbour: %v", res[1].Err)
			}
			if n := len(w.sim.Records("Task")); n != 2 {
				t.Errorf("%d tasks, want 2", n)
			}
		})
	}
}

func TestAProbedAnswerIsBelievedOverDescribe(t *testing.T) {
	w := ready(t)
	w.must(w.write(newTask("call.1#call", nil)))
	w.sim.ResetCounters()
	w.memory.Set(w.ctx(), "salesforce.activity_key_unique", "refused")
	w.write(newTask("call.1#call", nil))
	if n := w.count("query all"); n != 1 {
		t.Errorf("%d queries by key, want 1 before creating", n)
	}
}

func TestDuplicateRulesNameWhomToAdopt(t *testing.T) {
	w := ready(t, func(s *salesforcesim.Settings) { s.DuplicateRules = true })
	id := w.add("Contact", map[string]any{"LastName": "K", "Email": "k@example.com"})
	res := w.write(crm.Change{Op: crm.Create, Object: "Contact", Key: "k@example.com", Properties: props(map[string]any{"LastName": "K", "Email": "k@example.com"})})
	e := asError(t, res[0].Err)
	if e.Kind != crm.Exists || e.Existing != (crm.Ref{Object: "Contact", ID: id}) || strings.Contains(e.Error(), "k@example") {
		t.Errorf("%+v, want Exists naming %s", e, id)
	}
}

func TestLocksAreTransient(t *testing.T) {
	w := ready(t, func(s *salesforcesim.Settings) {
		s.Refusals = []salesforcesim.Refusal{{Object: "Task", Field: "Subject", Contains: "locked", Code: "UNABLE_TO_LOCK_ROW"}}
	})
	res := w.write(newTask("call.1#call", map[string]any{"Subject": "locked"}), newTask("call.2#call", nil))
	if e := asError(t, res[0].Err); e.Kind != crm.Transient || e.Code != "UNABLE_TO_LOCK_ROW" {
		t.Errorf("%+v, want Transient", e)
	}
	w.must(res[1:])
}

func TestGoneRecords(t *testing.T) {
	w := ready(t)
	res := w.must(w.write(newTask("call.1#call", nil), newTask("call.2#call", nil)))
	w.remove("Task", res[0].ID)
	lead := w.add("Lead", map[string]any{"LastName": "L", "Company": "C"})
	if _, err := w.sim.ConvertLead(lead, "", ""); err != nil {
		t.Fatal(err)
	}
	set := props(map[string]any{"Subject": "New"})
	got := w.write(
		crm.Change{Op: crm.Update, Object: "Task", ID: res[0].ID, Properties: set},
		crm.Change{Op: crm.Update, Object: "Task", ID: res[1].ID, Properties: set},
		crm.Change{Op: crm.Update, Object: "Lead", ID: lead, Properties: props(map[string]any{"FirstName": "N"})},
		crm.Change{Op: crm.Archive, Object: "Task", ID: res[0].ID},
	)
	for i, want := range []crm.ErrorKind{crm.Gone, "", crm.Gone, ""} {
		if want == "" && got[i].Err != nil || want != "" && (got[i].Err == nil || crm.KindOf(got[i].Err) != want) {
			t.Errorf("change %d: %v, want %q", i, got[i].Err, want)
		}
	}
	never := crm.Change{Op: crm.Update, Object: "Task", ID: "00T000000000009EAA", Properties: set}
	if err := w.write(never)[0].Err; crm.KindOf(err) != crm.Gone || err == nil {
		t.Errorf("a task that never was, in a collection: %v, want Gone", err)
	}
	if err := w.write(never, newTask("call.3#call", nil))[0].Err; crm.KindOf(err) != crm.Gone || err == nil {
		t.Errorf("a task that never was, in a graph: %v, want Gone", err)
	}
	w.must(w.write(crm.Change{Op: crm.Archive, Object: "Task", ID: res[1].ID}))
	if !w.record(res[1].ID).Deleted {
		t.Error("the archived task is not in the recycle bin")
	}
	snaps, err := w.dest.Read(w.ctx(), []crm.Ref{{Object: "Task", ID: res[1].ID}, {Object: "Task", ID: "00T000000000009"}, {Object: "Task", ID: "nonsense"}}, nil)
	if err != nil || !snaps[0].Gone || !snaps[1].Gone || !snaps[2].Gone {
		t.Errorf("read: %+v, %v, want all gone", snaps, err)
	}
}

func TestAnUnnamedReferenceIsLookedInto(t *testing.T) {
	w := ready(t)
	alive := w.add("Contact", map[string]any{"LastName": "A"})
	dead := w.add("Contact", map[string]any{"LastName": "D"})
	task := w.must(w.write(newTask("0", nil)))[0].ID
	gone := w.must(w.write(newTask("00", nil)))[0].ID
	w.remove("Contact", dead)
	w.remove("Task", gone)
	w.sim.Configure(func(s *salesforceSettings) {
		s.Refusals = []salesforcesim.Refusal{{Object: "Task", Code: "INVALID_CROSS_REFERENCE_KEY", Message: "invalid cross reference id"}}
	})
	set := props(map[string]any{"Subject": "S"})
	for i, r := range w.write(
		newTask("1", nil, crm.Ref{Object: "Contact", ID: alive}),
		newTask("2", nil),
		crm.Change{Op: crm.Update, Object: "Task", ID: task, Properties: set},
	) {
		if e := asError(t, r.Err); e.Kind != crm.Permanent || e.Code != "INVALID_CROSS_REFERENCE_KEY" {
			t.Errorf("change %d: %+v, want Permanent: what it refers to is there", i, e)
		}
	}
	w.sim.Configure(func(s *salesforceSettings) { s.Refusals = nil })
	w.sim.AddFault(sandbox.Fault{Operation: "collections create", Status: 200, ContentType: "application/json",
		Body: `[{"success":false,"errors":[{"statusCode":"INVALID_CROSS_REFERENCE_KEY","message":"invalid cross reference id","fields":[]}]}]`})
	w.sim.AddFault(sandbox.Fault{Operation: "collections update", Status: 200, ContentType: "application/json",
		Body: `[{"success":false,"errors":[{"statusCode":"INVALID_CROSS_REFERENCE_KEY","message":"invalid cross reference id","fields":[]}]}]`})
	if e := asError(t, w.write(newTask("3", nil, crm.Ref{Object: "Contact", ID: dead}))[0].Err); e.Kind != crm.Gone {
		t.Errorf("a deleted person: %+v, want Gone", e)
	}
	if e := asError(t, w.write(crm.Change{Op: crm.Update, Object: "Task", ID: gone, Properties: set})[0].Err); e.Kind != crm.Gone {
		t.Errorf("a deleted task: %+v, want Gone", e)
	}
}

// A record that is to be linked to somebody who is gone is there all the same, and
// the call is not to fail: the loop looks for the person anew.
func TestLinkingToSomebodyWhoIsGone(t *testing.T) {
	for _, code := range []string{"ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY"} {
		for _, fields := range []string{"", `"WhoId"`} {
			w := ready(t)
			dead := crm.Ref{Object: "Contact", ID: w.add("Contact", map[string]any{"LastName": "D"})}
			task := w.must(w.write(newTask("0", nil)))[0].ID
			w.remove("Contact", dead.ID)
			w.sim.AddFault(sandbox.Fault{Operation: "collections update", Status: 200, ContentType: "application/json",
				Body: `[{"success":false,"errors":[{"statusCode":"` + code + `","message":"entity is gone","fields":[` + fields + `]}]}]`})
			r := w.write(crm.Change{Op: crm.Update, Object: "Task", ID: task, Link: []crm.Ref{dead}})
			if e := asError(t, r[0].Err); e.Kind != crm.Gone {
				t.Errorf("%s %s: %+v, want Gone", code, fields, e)
			}
		}
	}
}

func TestADuplicateThatIsNotNamedIsLookedUpByKey(t *testing.T) {
	w := ready(t)
	first := w.must(w.write(newTask("1", nil)))[0].ID
	w.sim.AddFault(sandbox.Fault{Operation: "collections create", Status: 200, ContentType: "application/json",
		Body: `[{"success":false,"errors":[{"statusCode":"DUPLICATE_VALUE","message":"duplicate value found: <unknown> duplicates value on record with id: <unknown>","fields":[]}]},
		        {"success":false,"errors":[{"statusCode":"DUPLICATE_VALUE","message":"duplicate value found: <unknown> duplicates value on record with id: <unknown>","fields":[]}]}]`})
	res := w.write(newTask("1", nil), newTask("2", nil))
	if e := asError(t, res[0].Err); e.Kind != crm.Exists || e.Existing != (crm.Ref{Object: "Task", ID: first}) {
		t.Errorf("%+v, want Exists naming %s", e, first)
	}
	if e := asError(t, res[1].Err); e.Kind != crm.Permanent || e.Hint == "" {
		t.Errorf("%+v, want Permanent with a hint: no record has the key", e)
	}
}

func TestNothingIsCreatedWithoutTheKeyField(t *testing.T) {
	w := newWorld(t)
	res := w.write(newTask("1", nil))
	if e := asError(t, res[0].Err); e.Kind != crm.NotReady || len(w.sim.Records("Task")) != 0 {
		t.Errorf("%+v with %d tasks, want NotReady and none", e, len(w.sim.Records("Task")))
	}
}

func TestADuplicateThatWasConvertedIsFollowed(t *testing.T) {
	w := ready(t)
	newLead := crm.Change{Op: crm.Create, Object: "Lead", Key: "+15551234567", Properties: props(map[string]any{"LastName": "L", "Company": "C"})}
	lead := w.must(w.write(newLead))[0].ID
	became, err := w.sim.ConvertLead(lead, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if e := asError(t, w.write(newLead)[0].Err); e.Kind != crm.Exists || e.Existing != (crm.Ref{Object: "Contact", ID: became}) {
		t.Errorf("%+v, want Exists naming the contact %s", e, became)
	}
}

func TestAPermissionGivenIsSeen(t *testing.T) {
	w := ready(t, func(s *salesforcesim.Settings) { s.ReadOnlyFields = []string{"Task.CallObject"} })
	change := newTask("1", map[string]any{"CallObject": "x"})
	if err := w.write(change)[0].Err; err == nil || crm.KindOf(err) != crm.Permanent {
		t.Fatalf("%v, want Permanent", err)
	}
	w.sim.Configure(func(s *salesforceSettings) { s.ReadOnlyFields = nil })
	w.sim.Advance(2 * time.Minute)
	w.must(w.write(change))
}

func TestADeletedRecordDoesNotStandInForItsKey(t *testing.T) {
	for name, unique := range map[string]bool{"unique": true, "plain": false} {
		t.Run(name, func(t *testing.T) {
			w := ready(t, func(s *salesforcesim.Settings) { s.ActivityUnique, s.ActivityExternalID = unique, unique })
			first := w.must(w.write(newTask("call.1#call", nil)))[0].ID
			w.remove("Task", first)
			second := w.must(w.write(newTask("call.1#call", nil)))[0].ID
			e := asError(t, w.write(newTask("call.1#call", nil))[0].Err)
			if e.Kind != crm.Exists || e.Existing.ID != second {
				t.Errorf("%+v, want Exists naming %s, which lives", e, second)
			}
		})
	}
}

func TestIDsAreOfOneLength(t *testing.T) {
	w := ready(t)
	w.sim.AddFault(salesforceFault{Operation: "collections create", Status: 200, ContentType: "application/json",
		Body: `[{"id":"00T000000000001","success":true,"errors":[]}]`})
	if got := w.must(w.write(newTask("1", nil)))[0].ID; got != "00T000000000001EAA" {
		t.Errorf("id %q, want its 18 characters", got)
	}
}
