package main

// Salesforce: without this file, crm/salesforce, its sandbox and its mapping,
// callsync builds and knows no Salesforce.

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2/clientcredentials"

	_ "github.com/callsync/callsync/crm/salesforce"
	"github.com/callsync/callsync/crm/sandbox"
	"github.com/callsync/callsync/crm/sandbox/salesforcesim"
)

const (
	salesforceClient = "sandbox-client"
	salesforceSecret = "sandbox-secret"
	// salesforceQueries is where SOQL is answered.
	salesforceQueries = "/services/data/v66.0/query"
)

func init() {
	sandboxes["salesforce"] = crmSandbox{
		port: 8802,
		new: func(lag time.Duration, account string) (emulated, error) {
			if account != "" && !salesforcesim.IsOrgID(account) {
				return nil, usagef("--account %s: a Salesforce org's id has 18 letters and digits and begins with 00D, such as 00D000000000001EAA", account)
			}
			settings := salesforcesim.DefaultSettings()
			settings.SearchLag = sandbox.Duration(lag)
			return salesforcesim.New(salesforcesim.Options{
				ClientID: salesforceClient, ClientSecret: salesforceSecret, OrgID: account, Settings: &settings,
			}), nil
		},
		token: "client credentials " + salesforceClient + ", " + salesforceSecret,
		snippet: `[destinations.salesforce]
type       = "salesforce"
login_url  = "%s"
search_lag = "%s"
[destinations.salesforce.oauth]
client_id     = "` + salesforceClient + `"
client_secret = "` + salesforceSecret + `"
`,
		portrait: portraySalesforce,
	}
}

// A salesforceRow is a record as a query shows it; fields that are null or were
// not asked for are zero.
type salesforceRow struct {
	ID            string `json:"Id"`
	FirstName     string
	LastName      string
	Phone         string
	Email         string
	DoNotCall     bool
	Subject       string
	Description   string
	TaskSubtype   string
	ActivityDate  string
	StartDateTime string
	WhoID         string `json:"WhoId"`
}

func portraySalesforce(ctx context.Context, base string) (*portrait, error) {
	source := clientcredentials.Config{
		ClientID: salesforceClient, ClientSecret: salesforceSecret, TokenURL: base + "/services/oauth2/token",
	}
	token, err := source.Token(ctx)
	if err != nil {
		return nil, err
	}
	query := func(soql string) ([]salesforceRow, error) {
		header := http.Header{"Authorization": {"Bearer " + token.AccessToken}}
		var all []salesforceRow
		for next := salesforceQueries + "?q=" + url.QueryEscape(soql); next != ""; {
			var page struct {
				Records        []salesforceRow `json:"records"`
				NextRecordsURL string          `json:"nextRecordsUrl"`
			}
			if err := getJSON(ctx, base+next, header, &page); err != nil {
				return nil, err
			}
			all, next = append(all, page.Records...), page.NextRecordsURL
		}
		return all, nil
	}

	records := map[string][]recordSeen{} // by person
	tasks, err := query("SELECT Id, Subject, Description, TaskSubtype, ActivityDate, WhoId FROM Task")
	if err != nil {
		return nil, err
	}
	for _, t := range tasks {
		kind := "task"
		if t.TaskSubtype == "Call" {
			kind = "call"
		}
		records[t.WhoID] = append(records[t.WhoID], recordSeen{kind: kind, id: t.ID, title: t.Subject, when: t.ActivityDate, text: t.Description})
	}
	events, err := query("SELECT Id, Subject, Description, StartDateTime, WhoId FROM Event")
	if err != nil {
		return nil, err
	}
	for _, e := range events {
		records[e.WhoID] = append(records[e.WhoID], recordSeen{kind: "meeting", id: e.ID, title: e.Subject, when: crmTime(e.StartDateTime), text: e.Description})
	}
	seen := &portrait{}
	for _, from := range []string{"Contact", "Lead WHERE IsConverted = false"} {
		people, err := query("SELECT Id, FirstName, LastName, Phone, Email, DoNotCall FROM " + from)
		if err != nil {
			return nil, err
		}
		for _, p := range people {
			seen.people = append(seen.people, personSeen{
				name:  strings.TrimSpace(p.FirstName + " " + p.LastName),
				phone: p.Phone, email: p.Email, doNotCall: p.DoNotCall, records: records[p.ID],
			})
			delete(records, p.ID)
		}
	}
	for _, loose := range records {
		seen.loose = append(seen.loose, loose...)
	}
	return seen, nil
}
