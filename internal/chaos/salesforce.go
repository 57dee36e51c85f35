package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/callsync/callsync/crm/sandbox"
	"github.com/callsync/callsync/crm/sandbox/salesforcesim"
)

var salesforceKind = kind{
	new: func(r *rand.Rand, lag time.Duration) simulator {
		s := salesforcesim.DefaultSettings()
		s.SearchLag = sandbox.Duration(lag)
		coin := func() bool { return r.IntN(2) == 0 }
		s.ActivityExternalID, s.ActivityUnique = coin(), coin()
		s.UnknownFieldFailsRequest, s.DuplicateRules = coin(), r.IntN(4) == 0
		s.DuplicateResultName = []string{"duplicateResut", "duplicateResult"}[r.IntN(2)]
		s.LockParents = coin()
		return salesforcesim.New(salesforcesim.Options{Settings: &s})
	},
	table: func(a *account) string {
		return fmt.Sprintf(`[destinations.salesforce]
type       = "salesforce"
login_url  = %q
mapping    = %q
auto_setup = true
search_lag = "%s"
rate_per_second = 1000
quota_share = 1
[destinations.salesforce.oauth]
client_id     = "sandbox-client"
client_secret = "sandbox-secret"

`, a.server.URL, a.mapping(), a.patience())
	},
	preset: func(a *account, p person) (string, error) {
		token, err := salesforceToken(a)
		if err != nil {
			return "", err
		}
		fields := map[string]any{"LastName": p.last, "Phone": p.written}
		object := "Contact"
		if len(p.first)%2 == 0 {
			object, fields["Company"] = "Lead", "Elsewhere"
		}
		if p.email != "" && p.phone == "" {
			fields["Email"] = p.email
		}
		var out struct {
			ID string `json:"id"`
		}
		err = a.call("POST", "/services/data/v66.0/sobjects/"+object, token, fields, &out)
		return out.ID, err
	},
	join: func(a *account, ids []string) error {
		s := a.sim.(*salesforcesim.Server)
		if len(ids) > 1 {
			return s.Merge(ids[0], ids[1])
		}
		if !strings.HasPrefix(ids[0], "00Q") { // the key prefix of leads
			return nil
		}
		_, err := s.ConvertLead(ids[0], "", "")
		return err
	},
	remove: func(a *account, object, id string) error {
		token, err := salesforceToken(a)
		if err != nil {
			return err
		}
		return a.call("DELETE", "/services/data/v66.0/sobjects/"+object+"/"+id, token, nil, nil)
	},
	portray: portraySalesforce,
	faults: func(r *rand.Rand) disturbance {
		switch r.IntN(9) {
		case 0:
			return disturbance{name: "sessions ended and no new one given", fault: sandbox.Fault{Operation: "token", Status: 400, Body: `{"error":"invalid_grant","error_description":"user hasn't approved this consumer"}`, ContentType: "application/json"}, endSessions: true}
		case 1:
			return disturbance{name: "daily quota spent", patch: `{"dailyUsed":100000}`}
		case 2:
			return disturbance{name: "tasks refused one by one", patch: `{"refusals":[{"object":"Task","field":"Description","contains":"poison"}]}`}
		case 3:
			return disturbance{name: "rows locked", patch: fmt.Sprintf(`{"refusals":[{"object":%q,"code":"UNABLE_TO_LOCK_ROW","message":"unable to obtain exclusive access to this record","times":%d}]}`, []string{"Task", "Event", "Lead"}[r.IntN(3)], 1+r.IntN(4))}
		case 4:
			return disturbance{name: "sessions ended", endSessions: true}
		case 5:
			return disturbance{name: "query timeout", fault: sandbox.Fault{Operation: "query", Status: 400, Kind: "QUERY_TIMEOUT", Times: 1 + r.IntN(3)}}
		case 6:
			return disturbance{name: "requests run too long", fault: sandbox.Fault{Status: 400, Kind: "REQUEST_RUNNING_TOO_LONG", Times: 1 + r.IntN(3)}}
		case 8:
			return disturbance{name: "sessions expired, and none given for a while", endSessions: true, fault: sandbox.Fault{Operation: "token", Status: 503, Times: 1 + r.IntN(6)}}
		default:
			return disturbance{name: "org is busy", fault: sandbox.Fault{Status: 503, Kind: "SERVER_UNAVAILABLE", Times: 1 + r.IntN(4)}}
		}
	},
	healthy: `{"dailyUsed":0,"dailyLimit":1000000,"refusals":[]}`,
	writes: func(r *http.Request) bool {
		p := r.URL.Path
		// A POST to a type's collection reads several of its records.
		reads := strings.Contains(p, "/oauth2/") || r.Method == http.MethodPost && strings.Contains(p, "/composite/sobjects/")
		return r.Method != http.MethodGet && !reads
	},
	more: `Title = { value = "text(customInputVariables.title)", write = "if_unchanged" }`,
	less: `Priority`,
}

// salesforceToken opens a session of somebody who is not callsync.
func salesforceToken(a *account) (string, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"sandbox-client"}, "client_secret": {"sandbox-secret"}}
	resp, err := http.PostForm(a.server.URL+"/services/oauth2/token", form)
	if err != nil {
		return "", err
	}
	var session struct {
		Token string `json:"access_token"`
	}
	err = decodeAnswer(resp, &session)
	return session.Token, err
}

func portraySalesforce(a *account) *portrait {
	s := a.sim.(*salesforcesim.Server)
	p := &portrait{}
	text := func(r salesforcesim.Record, field string) string {
		v, _ := r.Fields[field].(string)
		return v
	}
	for _, object := range []string{"Contact", "Lead"} {
		for _, r := range s.Records(object) {
			converted, _ := r.Fields["IsConverted"].(bool)
			if r.Deleted || converted {
				continue
			}
			dnc, _ := r.Fields["DoNotCall"].(bool)
			p.people = append(p.people, crmPerson{
				id: r.ID, object: object, phone: digits(text(r, "Phone")), email: text(r, "Email"),
				doNotCall: dnc, named: text(r, "LastName") != "",
			})
		}
	}
	for _, object := range []string{"Task", "Event"} {
		for _, r := range s.Records(object) {
			if r.Deleted {
				continue
			}
			rec := crmRecord{
				kind: "task", object: object, id: r.ID, key: text(r, "callsync_key__c"), title: text(r, "Subject"), text: text(r, "Description"),
				start: instant(r.Fields["StartDateTime"]), seconds: number(r.Fields["CallDurationInSeconds"]),
			}
			switch {
			case object == "Event":
				rec.kind = "meeting"
			case text(r, "TaskSubtype") == "Call":
				rec.kind = "call"
			}
			if who := text(r, "WhoId"); who != "" {
				rec.who = []string{who}
			}
			p.records = append(p.records, rec)
		}
	}
	return p
}

func instant(v any) time.Time {
	switch x := v.(type) {
	case time.Time:
		return x.UTC()
	case string:
		return when(x)
	}
	return time.Time{}
}

func number(v any) int {
	switch x := v.(type) {
	case float64:
		return int(x)
	case int:
		return x
	case int64:
		return int(x)
	}
	return 0
}

func decodeAnswer(resp *http.Response, into any) error {
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Request.URL.Path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
