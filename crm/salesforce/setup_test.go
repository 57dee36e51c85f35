package salesforce_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/crm/sandbox/salesforcesim"
)

func TestSetupMakesTheOrgReady(t *testing.T) {
	w := newWorld(t)
	err := w.dest.Ready(w.ctx())
	if crm.KindOf(err) != crm.NotReady || !strings.Contains(asError(t, err).Hint, "callsync setup") {
		t.Fatalf("before setup: %v, want NotReady with a hint", err)
	}
	steps, err := w.inspector().SetupPlan(w.ctx(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range steps {
		got = append(got, s.Kind+" "+s.Object+" "+s.Name)
	}
	want := []string{
		"property Activity callsync_key__c", "property Contact callsync_contact_key__c", "property Lead callsync_contact_key__c",
		"permission PermissionSet callsync",
		"permission Task callsync_key__c", "permission Event callsync_key__c",
		"permission Contact callsync_contact_key__c", "permission Lead callsync_contact_key__c",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("plan:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if err := w.inspector().Setup(w.ctx(), steps); err != nil {
		t.Fatal(err)
	}
	if err := w.dest.Ready(w.ctx()); err != nil {
		t.Fatalf("after setup: %v", err)
	}
	if err := w.inspector().Setup(w.ctx(), steps); err != nil {
		t.Errorf("the same steps again: %v, want no error", err)
	}
	if again, err := w.inspector().SetupPlan(w.ctx(), nil); err != nil || len(again) != 0 {
		t.Errorf("plan after setup: %v, %v, want nothing to do", again, err)
	}
}

func TestKeysAreUniqueWhereTheOrgAllowsIt(t *testing.T) {
	for name, tc := range map[string]struct {
		change           func(*salesforcesim.Settings)
		unique, external bool
	}{
		"all allowed":    {func(*salesforcesim.Settings) {}, true, true},
		"no external id": {func(s *salesforcesim.Settings) { s.ActivityExternalID = false }, true, false},
		"nothing":        {func(s *salesforcesim.Settings) { s.ActivityExternalID, s.ActivityUnique = false, false }, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := ready(t, tc.change)
			s, err := w.inspector().Schema(w.ctx(), "Event")
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Properties["callsync_key__c"].Unique; got != tc.unique {
				t.Errorf("unique: %v, want %v", got, tc.unique)
			}
			want := map[bool]string{true: "accepted", false: "refused"}[tc.unique]
			if got := w.memory.m["salesforce.activity_key_unique"]; got != want {
				t.Errorf("remembered %q, want %q", got, want)
			}
			for _, r := range w.sim.Dump().(map[string][]salesforcesim.Record)["CustomField"] {
				if full := r.Fields["FullName"]; full == "Activity.callsync_key__c" {
					got := w.rest("GET", "tooling/sobjects/CustomField/"+r.ID, nil)["Metadata"].(map[string]any)
					if got["externalId"] != tc.external {
						t.Errorf("%s: external id %v, want %v", full, got["externalId"], tc.external)
					}
				}
			}
			if s, err = w.inspector().Schema(w.ctx(), "Lead"); err != nil || !s.Properties["callsync_contact_key__c"].Unique {
				t.Errorf("a lead's key is not unique (%v)", err)
			}
		})
	}
}

func TestSetupCreatesDeclaredFields(t *testing.T) {
	w := newWorld(t)
	declared := []crm.Property{
		{Object: "Task", Name: "sentiment__c", Label: "Sentiment", Type: crm.TypeEnum, Options: []crm.Option{{Value: "Good"}, {Value: "Bad"}}},
		{Object: "Task", Name: "score__c", Label: "Score", Type: crm.TypeNumber},
		{Object: "Event", Name: "notes__c", Label: "Notes", Type: crm.TypeText, MaxLen: 5000},
		{Object: "Contact", Name: "last_call", Label: "Last call", Type: crm.TypeDateTime},
		{Object: "Lead", Name: "opted__c", Label: "Opted", Type: crm.TypeBool},
	}
	w.setup(declared...)
	task, err := w.inspector().Schema(w.ctx(), "Task")
	if err != nil {
		t.Fatal(err)
	}
	p := task.Properties["sentiment__c"]
	if p.Type != crm.TypeEnum || len(p.Options) != 2 || p.Options[1].Value != "Bad" || p.OpenOptions {
		t.Errorf("sentiment__c: %+v", p)
	}
	if p := task.Properties["notes__c"]; p.Type != "" && p.MaxLen != 5000 {
		t.Errorf("notes__c: %+v", p)
	}
	contact, err := w.inspector().Schema(w.ctx(), "Contact")
	if err != nil || contact.Properties["last_call__c"].Type != crm.TypeDateTime {
		t.Errorf("last_call__c: %+v, %v", contact.Properties["last_call__c"], err)
	}
}

func TestSchemaTellsWhatMayBeWritten(t *testing.T) {
	w := ready(t, func(s *salesforcesim.Settings) {
		s.HiddenFields = []string{"Contact.HomePhone"}
		s.ReadOnlyFields = []string{"Contact.OtherPhone"}
	})
	task, err := w.inspector().Schema(w.ctx(), "Task")
	if err != nil {
		t.Fatal(err)
	}
	if p := task.Properties["TaskSubtype"]; !p.CreateOnly || p.ReadOnly || p.Type != crm.TypeEnum || p.OpenOptions {
		t.Errorf("TaskSubtype: %+v", p)
	}
	if p := task.Properties["Description"]; p.Type != crm.TypeText || p.MaxLen != 32000 {
		t.Errorf("Description: %+v", p)
	}
	if p := task.Properties["Status"]; p.Required {
		t.Errorf("Status: %+v, want it optional: it has a default", p)
	}
	if p := task.Properties["ActivityDate"]; p.Type != crm.TypeDate {
		t.Errorf("ActivityDate: %+v", p)
	}
	contact, err := w.inspector().Schema(w.ctx(), "Contact")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := contact.Properties["HomePhone"]; ok {
		t.Error("a field that field-level security hides is in the schema")
	}
	if p := contact.Properties["OtherPhone"]; !p.ReadOnly {
		t.Errorf("OtherPhone: %+v", p)
	}
	if p := contact.Properties["LastName"]; !p.Required {
		t.Errorf("LastName: %+v", p)
	}
	if p := contact.Properties["DoNotCall"]; p.Required || p.Type != crm.TypeBool {
		t.Errorf("DoNotCall: %+v", p)
	}
	_, err = w.inspector().Schema(w.ctx(), "Nonesuch")
	if crm.KindOf(err) != crm.Permanent || err == nil {
		t.Errorf("an unknown object: %v, want Permanent", err)
	}
}

func TestProbeLearnsAndCleansUp(t *testing.T) {
	for name, unique := range map[string]bool{"unique": true, "plain": false} {
		t.Run(name, func(t *testing.T) {
			w := ready(t, func(s *salesforcesim.Settings) { s.ActivityUnique, s.ActivityExternalID = unique, unique })
			w.memory.m = nil
			findings, err := w.inspector().Probe(w.ctx())
			if err != nil {
				t.Fatal(err)
			}
			want := map[bool]string{true: "accepted", false: "refused"}[unique]
			if got := w.memory.m["salesforce.activity_key_unique"]; got != want {
				t.Errorf("remembered %q, want %q", got, want)
			}
			if len(findings) < 4 {
				t.Errorf("findings: %+v", findings)
			}
			for _, f := range findings {
				if f.Name == "second record with a key" && f.OK != unique {
					t.Errorf("%+v", f)
				}
			}
			for _, r := range w.sim.Records("Task") {
				if !r.Deleted {
					t.Errorf("the probe left %s", r.ID)
				}
			}
		})
	}
}

func TestSetupWithAStaticToken(t *testing.T) {
	w := newWorld(t)
	var token struct {
		AccessToken string `json:"access_token"`
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"sandbox-client"}, "client_secret": {"sandbox-secret"}}
	resp, err := http.PostForm(w.url+"/services/oauth2/token", form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&token); err != nil {
		t.Fatal(err)
	}
	w.settings.OAuth, w.settings.AccessToken, w.settings.BaseURL = crm.OAuth{}, token.AccessToken, w.url+"/"
	w.dest = w.open(nil)
	w.setup()
	if err := w.dest.Ready(w.ctx()); err != nil {
		t.Error(err)
	}
	w.sim.EndSessions()
	if err := w.reach(nil); err == nil || crm.KindOf(err) != crm.Credential {
		t.Errorf("when the token is refused: %v, want Credential", err)
	}
}

func TestSetupExplainsARefusal(t *testing.T) {
	w := newWorld(t)
	w.sim.AddFault(salesforceFault{Operation: "tooling create", Status: 403, Kind: "INSUFFICIENT_ACCESS"})
	steps, err := w.inspector().SetupPlan(w.ctx(), nil)
	if err != nil {
		t.Fatal(err)
	}
	w.sim.ResetCounters()
	err = w.inspector().Setup(w.ctx(), steps)
	if e := asError(t, err); !strings.Contains(e.Hint, "Customize Application") {
		t.Errorf("%+v, want a hint about the permission", e)
	}
	if n := w.requests(); n != 1 {
		t.Errorf("%d requests, want setup to stop at the first error", n)
	}
}

func TestReadyNamesAnObjectThatIsHidden(t *testing.T) {
	w := ready(t)
	w.sim.AddFault(salesforceFault{Operation: "Task describe", Status: 404, Kind: "NOT_FOUND"})
	d := w.open(nil)
	if e := asError(t, d.Ready(w.ctx())); e.Kind != crm.NotReady || !strings.Contains(e.Message, "Task") {
		t.Errorf("%+v, want NotReady naming Task", e)
	}
	w.sim.ClearFaults()
	w.sim.AddFault(salesforceFault{Operation: "Lead describe", Status: 404, Kind: "NOT_FOUND"})
	if err := w.open(nil).Ready(w.ctx()); err != nil {
		t.Errorf("an org without leads: %v, want it ready", err)
	}
}

func TestWhatAnAdministratorAddsIsSeen(t *testing.T) {
	w := newWorld(t)
	if err := w.dest.Ready(w.ctx()); crm.KindOf(err) != crm.NotReady {
		t.Fatal(err)
	}
	other := w.open(nil).(crm.Inspector)
	steps, err := other.SetupPlan(w.ctx(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Setup(w.ctx(), steps); err != nil {
		t.Fatal(err)
	}
	w.sim.Advance(2 * time.Minute)
	if err := w.dest.Ready(w.ctx()); err != nil {
		t.Errorf("after somebody else set the org up: %v", err)
	}
}

func TestSetupGrantsWhatPersonAccountsShare(t *testing.T) {
	w := newWorld(t, func(s *salesforcesim.Settings) { s.PersonAccounts = true })
	steps, err := w.inspector().SetupPlan(w.ctx(), []crm.Property{{Object: "PersonAccount", Name: "score__c", Type: crm.TypeNumber}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range steps {
		got = append(got, s.Object+"."+s.Name)
	}
	for _, want := range []string{"Contact.score__c", "Account.score__pc", "Account.callsync_contact_key__pc"} {
		if !slices.Contains(got, want) {
			t.Errorf("no step for %s among %v", want, got)
		}
	}
	if err := w.inspector().Setup(w.ctx(), steps); err != nil {
		t.Fatal(err)
	}
	if err := w.dest.Ready(w.ctx()); err != nil {
		t.Error(err)
	}
}

func TestSetupMendsAPermissionTakenAway(t *testing.T) {
	w := ready(t)
	for _, r := range w.sim.Records("FieldPermissions") {
		if r.Fields["Field"] == "Contact.callsync_contact_key__c" {
			w.rest("PATCH", "sobjects/FieldPermissions/"+r.ID, map[string]any{"PermissionsEdit": false})
		}
	}
	d := w.open(nil)
	if err := d.Ready(w.ctx()); crm.KindOf(err) != crm.NotReady {
		t.Fatalf("%v, want NotReady", err)
	}
	w.setup()
	if err := w.dest.Ready(w.ctx()); err != nil {
		t.Error(err)
	}
}

// A mapping's records get a key wherever they are written, and one without fails
// alone. An object that does not exist is for callsync check to report.
func TestRecordWithoutKeyFailsAlone(t *testing.T) {
	w := ready(t)
	keyOn := func(object string) crm.Property {
		return crm.Property{Object: object, Name: crm.KeyProperty, Type: crm.TypeString, Unique: true}
	}
	deal := crm.Change{Op: crm.Create, Object: "Opportunity", Key: "call.1#deal", Properties: props(map[string]any{
		"Name": "N", "StageName": "Prospecting", "CloseDate": "2025-09-25",
	})}
	results := w.write(deal, newTask("call.1#call", nil))
	if e := asError(t, results[0].Err); e.Kind != crm.Permanent || !strings.Contains(e.Hint, "callsync setup") {
		t.Errorf("%+v, want Permanent with a hint", e)
	}
	w.must(results[1:])
	_, err := w.dest.Locate(w.ctx(), []crm.KeyRef{{Object: "Opportunity", Key: deal.Key, Since: w.sim.Now()}})
	if e := asError(t, err); e.Kind != crm.Permanent || !strings.Contains(e.Hint, "callsync setup") {
		t.Errorf("locating it: %+v, want Permanent with a hint", e)
	}
	if err := w.dest.Ready(w.ctx()); err != nil {
		t.Errorf("the destination stands still: %v", err)
	}
	declared := []crm.Property{keyOn("Opportunity"), keyOn("Task"), keyOn("Contact"), keyOn("Nonesuch__c")}
	steps, err := w.inspector().SetupPlan(w.ctx(), declared)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range steps {
		got = append(got, s.Kind+" "+s.Object+" "+s.Name)
	}
	want := []string{"property Opportunity callsync_key__c", "permission PermissionSet callsync", "permission Opportunity callsync_key__c"}
	if !slices.Equal(got, want) {
		t.Errorf("plan %q, want %q", got, want)
	}
	if err := w.inspector().Setup(w.ctx(), steps); err != nil {
		t.Fatal(err)
	}
	w.must(w.write(deal))
	mood := crm.Property{Object: "Nonesuch__c", Name: "mood__c", Type: crm.TypeString}
	if _, err := w.inspector().SetupPlan(w.ctx(), append(declared, mood)); crm.KindOf(err) != crm.Permanent {
		t.Errorf("a declared field of an object that does not exist: %v", err)
	}
}
