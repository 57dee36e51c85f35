package main

// HubSpot: without this file, crm/hubspot, its sandbox and its mapping, callsync
// builds and knows no HubSpot.

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	_ "github.com/callsync/callsync/crm/hubspot"
	"github.com/callsync/callsync/crm/sandbox"
	"github.com/callsync/callsync/crm/sandbox/hubspotsim"
)

func init() {
	sandboxes["hubspot"] = crmSandbox{
		port: 8801,
		new: func(lag time.Duration, account string) (emulated, error) {
			portal := 0
			if account != "" {
				var err error
				if portal, err = strconv.Atoi(account); err != nil || portal < 1 {
					return nil, usagef("--account %s: a HubSpot portal's id is a number", account)
				}
			}
			settings := hubspotsim.DefaultSettings()
			settings.SearchLag = sandbox.Duration(lag)
			return hubspotsim.New(hubspotsim.Options{Settings: settings, PortalID: portal}), nil
		},
		token: "access token " + hubspotsim.DefaultToken,
		snippet: `[destinations.hubspot]
type         = "hubspot"
base_url     = "%s"
access_token = "` + hubspotsim.DefaultToken + `"
search_lag   = "%s"
`,
		portrait: portrayHubSpot,
	}
}

// A hubspotObject is a record as HubSpot's object lists show it.
type hubspotObject struct {
	ID           string            `json:"id"`
	Properties   map[string]string `json:"properties"`
	Associations map[string]struct {
		Results []struct {
			ID string `json:"id"`
		} `json:"results"`
	} `json:"associations"`
}

func portrayHubSpot(ctx context.Context, base string) (*portrait, error) {
	activities := map[string]recordSeen{} // by type and id
	for _, a := range []struct{ object, kind, title, when, text string }{
		{"calls", "call", "hs_call_title", "hs_timestamp", "hs_call_body"},
		{"meetings", "meeting", "hs_meeting_title", "hs_meeting_start_time", "hs_meeting_body"},
		{"tasks", "task", "hs_task_subject", "hs_timestamp", "hs_task_body"},
	} {
		objects, err := listHubSpot(ctx, base, a.object, []string{a.title, a.when, a.text}, nil)
		if err != nil {
			return nil, err
		}
		for _, o := range objects {
			activities[a.object+"/"+o.ID] = recordSeen{
				kind: a.kind, id: o.ID, title: o.Properties[a.title], when: crmTime(o.Properties[a.when]), text: o.Properties[a.text],
			}
		}
	}
	seen := &portrait{}
	types := []string{"calls", "meetings", "tasks"}
	people, err := listHubSpot(ctx, base, "contacts", []string{"firstname", "lastname", "phone", "email", hubspotDoNotCall}, types)
	if err != nil {
		return nil, err
	}
	for _, o := range people {
		p := personSeen{
			phone: o.Properties["phone"], email: o.Properties["email"],
			name:      strings.TrimSpace(o.Properties["firstname"] + " " + o.Properties["lastname"]),
			doNotCall: o.Properties[hubspotDoNotCall] == "true",
		}
		for _, object := range types {
			linked := map[string]bool{} // an association may be listed under several labels
			for _, to := range o.Associations[object].Results {
				key := object + "/" + to.ID
				if a, ok := activities[key]; ok && !linked[key] {
					linked[key] = true
					p.records = append(p.records, a)
				}
			}
		}
		seen.people = append(seen.people, p)
	}
	for _, p := range seen.people {
		for _, r := range p.records {
			delete(activities, r.kind+"s/"+r.id)
		}
	}
	for _, a := range activities {
		seen.loose = append(seen.loose, a)
	}
	return seen, nil
}

// hubspotDoNotCall is the property that the shipped mapping sets for somebody
// who opted out.
const hubspotDoNotCall = "callsync_do_not_call"

func listHubSpot(ctx context.Context, base, object string, properties, associations []string) ([]hubspotObject, error) {
	var all []hubspotObject
	q := url.Values{"limit": {"100"}, "properties": {strings.Join(properties, ",")}}
	if len(associations) > 0 {
		q.Set("associations", strings.Join(associations, ","))
	}
	for {
		var page struct {
			Results []hubspotObject `json:"results"`
			Paging  struct {
				Next struct {
					After string `json:"after"`
				} `json:"next"`
			} `json:"paging"`
		}
		header := http.Header{"Authorization": {"Bearer " + hubspotsim.DefaultToken}}
		if err := getJSON(ctx, base+"/crm/v3/objects/"+object+"?"+q.Encode(), header, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Results...)
		if page.Paging.Next.After == "" {
			return all, nil
		}
		q.Set("after", page.Paging.Next.After)
	}
}
