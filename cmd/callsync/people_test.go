package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/callsync/callsync/crm/sandbox/hubspotsim"
	"github.com/callsync/callsync/crm/sandbox/salesforcesim"
)

// elsewhere is a number at which nobody was called: who has it can be found only
// by following somebody who became them.
const elsewhere = "+46709999999"

// TestPeopleWhoChange has a colleague merge, delete or convert somebody whom
// callsync knows, after which another call of theirs comes in, and a correction
// of the one before. The calls must follow the person, and exist once.
func TestPeopleWhoChange(t *testing.T) {
	for _, x := range []struct {
		name, kind string
		change     func(s *served)
		phone      string // that the person has then
	}{
		{"merged", "hubspot", func(s *served) { s.mergeInHubSpot(false) }, elsewhere},
		{"merged into a new record", "hubspot", func(s *served) { s.mergeInHubSpot(true) }, elsewhere},
		{"deleted", "hubspot", func(s *served) {
			s.askHubSpot(http.MethodDelete, "/crm/v3/objects/contacts/"+s.hubspotContact(), nil, nil)
		}, phoneOf(1)},
		{"merged", "salesforce", func(s *served) {
			known := s.salesforcePerson()
			var other struct {
				ID string `json:"id"`
			}
			s.askSalesforce(http.MethodPost, "/services/data/v66.0/sobjects/Lead", map[string]any{"LastName": "Lindqvist", "Company": "Elsewhere", "Phone": elsewhere}, &other)
			if err := s.account.(*salesforcesim.Server).Merge(other.ID, known); err != nil {
				s.t.Fatal(err)
			}
		}, elsewhere},
		{"deleted", "salesforce", func(s *served) {
			s.askSalesforce(http.MethodDelete, "/services/data/v66.0/sobjects/Lead/"+s.salesforcePerson(), nil, nil)
		}, phoneOf(1)},
		{"converted", "salesforce", func(s *served) {
			if _, err := s.account.(*salesforcesim.Server).ConvertLead(s.salesforcePerson(), "", ""); err != nil {
				s.t.Fatal(err)
			}
		}, phoneOf(1)},
	} {
		for order, between := range map[string]func(*served){
			"both at once":        func(*served) {},
			"one after the other": func(s *served) { s.settle(time.Minute) },
		} {
			t.Run(x.kind+" "+x.name+" "+order, func(t *testing.T) {
				t.Parallel()
				s := newServed(t, x.kind)
				s.start()
				s.take(1, 0, "the first words")
				s.settle(time.Minute)
				x.change(s)
				s.take(1, 0, "the corrected words")
				between(s)
				s.take(1, 1, "other words")
				s.settle(time.Minute)
				s.stop()
				seen := s.portrait()
				if len(seen.people) != 1 || seen.people[0].phone != x.phone {
					t.Errorf("in the CRM are %+v; want one person at %s", seen.people, x.phone)
				}
				s.hasOnceAt(x.phone, "the corrected words", "other words")
			})
		}
	}
}

func (s *served) hubspotContact() string {
	records := slices.DeleteFunc(s.account.(*hubspotsim.Server).Records("contacts"), func(r hubspotsim.Record) bool { return r.Archived })
	if len(records) != 1 {
		s.t.Fatalf("%d contacts", len(records))
	}
	return records[0].ID
}

// mergeInHubSpot has the contact be the one that is merged into another.
func (s *served) mergeInHubSpot(newRecord bool) {
	s.account.(*hubspotsim.Server).Configure(func(set *hubspotsim.Settings) { set.MergeMakesNewRecord = newRecord })
	known := s.hubspotContact()
	var other struct {
		ID string `json:"id"`
	}
	s.askHubSpot(http.MethodPost, "/crm/v3/objects/contacts", map[string]any{"properties": map[string]string{"firstname": "Ada", "phone": elsewhere}}, &other)
	s.askHubSpot(http.MethodPost, "/crm/v3/objects/contacts/merge", map[string]any{"primaryObjectId": other.ID, "objectIdToMerge": known}, &struct{}{})
}

func (s *served) salesforcePerson() string {
	records := slices.DeleteFunc(s.account.(*salesforcesim.Server).Records("Lead"), func(r salesforcesim.Record) bool { return r.Deleted })
	if len(records) != 1 {
		s.t.Fatalf("%d leads", len(records))
	}
	return records[0].ID
}

func (s *served) askHubSpot(method, path string, in, out any) {
	s.t.Helper()
	s.askCRM(method, path, hubspotsim.DefaultToken, in, out)
}

func (s *served) askSalesforce(method, path string, in, out any) {
	s.t.Helper()
	resp, err := http.PostForm(s.url+"/services/oauth2/token", map[string][]string{
		"grant_type": {"client_credentials"}, "client_id": {salesforceClient}, "client_secret": {salesforceSecret},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	var session struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&session); err != nil {
		s.t.Fatal(err)
	}
	s.askCRM(method, path, session.Token, in, out)
}

// askCRM is what somebody other than callsync does in the CRM.
func (s *served) askCRM(method, path, token string, in, out any) {
	s.t.Helper()
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			s.t.Fatal(err)
		}
	}
	req, err := http.NewRequest(method, s.url+path, &body)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		s.t.Fatalf("%s %s: %s %s %v", method, path, resp.Status, text, err)
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			s.t.Fatal(err)
		}
	}
}
