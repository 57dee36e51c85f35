package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/callsync/callsync/crm/sandbox"
	"github.com/callsync/callsync/crm/sandbox/hubspotsim"
)

var hubspotKind = kind{
	new: func(r *rand.Rand, lag time.Duration) simulator {
		s := hubspotsim.DefaultSettings()
		s.SearchLag = sandbox.Duration(lag)
		s.ConflictStatus = []int{400, 409}[r.IntN(2)]
		coin := func() bool { return r.IntN(2) == 0 }
		s.RetryAfter, s.MissingTogether, s.EchoTraceIDs, s.InputOrder = coin(), coin(), coin(), coin()
		s.MergeMakesNewRecord = coin()
		s.TraceCreate, s.TraceUpdate = r.IntN(4) > 0, r.IntN(4) > 0
		for _, object := range []string{"calls", "meetings", "tasks", "contacts"} {
			s.UniqueProperties[object] = coin()
		}
		s.TenSecondLimit, s.SearchesPerSecond = 0, 0
		return hubspotsim.New(hubspotsim.Options{Settings: s, Owners: []hubspotsim.Owner{{Email: hostEmail, FirstName: "Olive", LastName: "Host"}}})
	},
	table: func(a *account) string {
		access := fmt.Sprintf("access_token = %q", hubspotsim.DefaultToken)
		oauth := ""
		if a.refresh != "" {
			access = fmt.Sprintf("token_file = %q", a.tokenFile())
			oauth = "[destinations.hubspot.oauth]\nclient_id = \"sandbox-client\"\nclient_secret = \"sandbox-secret\"\n"
		}
		return fmt.Sprintf(`[destinations.hubspot]
type         = "hubspot"
base_url     = %q
%s
mapping      = %q
auto_setup   = true
search_lag   = "%s"
rate_per_second   = 1000
search_per_second = 1000
quota_share  = 1
%s
`, a.server.URL, access, a.mapping(), a.patience(), oauth)
	},
	preset: func(a *account, p person) (string, error) {
		properties := map[string]string{"firstname": p.first, "phone": p.written}
		if p.email != "" && p.phone == "" {
			properties["email"] = p.email
		}
		var out struct {
			ID string `json:"id"`
		}
		err := a.call("POST", "/crm/v3/objects/contacts", hubspotsim.DefaultToken, map[string]any{"properties": properties}, &out)
		return out.ID, err
	},
	join: func(a *account, ids []string) error {
		if len(ids) < 2 {
			return nil
		}
		var out any
		return a.call("POST", "/crm/v3/objects/contacts/merge", hubspotsim.DefaultToken, map[string]any{"primaryObjectId": ids[0], "objectIdToMerge": ids[1]}, &out)
	},
	logIn: logInHubSpot,
	remove: func(a *account, object, id string) error {
		return a.call("DELETE", "/crm/v3/objects/"+object+"/"+id, hubspotsim.DefaultToken, nil, nil)
	},
	portray: portrayHubSpot,
	faults: func(r *rand.Rand) disturbance {
		switch r.IntN(9) {
		case 0:
			return disturbance{name: "token revoked", patch: `{"revoked":true}`}
		case 1:
			return disturbance{name: "daily quota spent", patch: `{"dailyLimit":5000,"dailyUsed":5000}`}
		case 2:
			return disturbance{name: "calls refused one by one", patch: `{"refusals":[{"object":"calls","property":"hs_call_body","contains":"poison"}]}`}
		case 3:
			return disturbance{name: "two inputs of tasks refused", patch: `{"refusals":[{"object":"tasks","property":"hs_task_subject","contains":"do","times":2}]}`}
		case 6:
			return disturbance{name: "access token expired", later: 31 * time.Minute}
		case 7:
			return disturbance{name: "access token expired and not renewed", later: 31 * time.Minute, fault: sandbox.Fault{
				Operation: "oauth token", Status: 503, Times: 1 + r.IntN(6),
			}}
		case 8:
			return disturbance{name: "access token expired and the refresh token refused", later: 31 * time.Minute, fault: sandbox.Fault{
				Operation: "oauth token", Status: 400, Times: 1 + r.IntN(3), ContentType: "application/json",
				Body: `{"status":"BAD_REFRESH_TOKEN","message":"missing or invalid refresh token","error":"invalid_grant"}`,
			}}
		case 4:
			kind := []string{"SECONDLY", "TEN_SECONDLY_ROLLING"}[r.IntN(2)]
			return disturbance{name: "429 " + kind, fault: sandbox.Fault{Status: 429, Kind: kind, RetryAfter: []string{"", "1"}[r.IntN(2)], Times: 1 + r.IntN(6)}}
		default:
			return disturbance{name: "contacts conflict as if somebody else had made them", fault: sandbox.Fault{
				Operation: "contacts batch create", Status: 409, Kind: "CONFLICT", Times: 1 + r.IntN(2),
			}}
		}
	},
	tight:   `{"tenSecondLimit":190,"searchesPerSecond":5}`,
	healthy: `{"revoked":false,"dailyLimit":1000000,"dailyUsed":0,"refusals":[]}`,
	writes: func(r *http.Request) bool {
		p := r.URL.Path
		return r.Method != http.MethodGet && !strings.HasSuffix(p, "/search") && !strings.HasSuffix(p, "/read")
	},
	more: `jobtitle = { value = "text(customInputVariables.title)", write = "if_unchanged" }`,
	less: `hs_task_priority`,
}

// patience is how long callsync is told that searches lag: longer than they do.
func (a *account) patience() time.Duration {
	if a.lag >= 10*time.Second {
		return a.lag + 2*time.Second
	}
	return 2*a.lag + 200*time.Millisecond
}

func (a *account) tokenFile() string { return filepath.Join(a.world.dir, a.name+".token") }

// logInHubSpot does what `callsync login` does, and a person who agrees.
func logInHubSpot(a *account) error {
	const redirect = "http://127.0.0.1:8484/callback"
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	scope := "oauth crm.objects.contacts.read crm.objects.contacts.write crm.schemas.contacts.read crm.schemas.contacts.write crm.objects.owners.read"
	resp, err := client.Get(a.server.URL + "/oauth/authorize?" + url.Values{"client_id": {"sandbox-client"}, "redirect_uri": {redirect}, "scope": {scope}}.Encode())
	if err != nil {
		return err
	}
	resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		return err
	}
	resp, err = client.PostForm(a.server.URL+"/oauth/v3/token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"sandbox-client"}, "client_secret": {"sandbox-secret"},
		"redirect_uri": {redirect}, "code": {back.Query().Get("code")},
	})
	if err != nil {
		return err
	}
	var token struct {
		Refresh string `json:"refresh_token"`
	}
	if err := decodeAnswer(resp, &token); err != nil {
		return err
	}
	a.refresh = token.Refresh
	file, err := json.Marshal(map[string]string{"refresh_token": a.refresh, "token_type": "bearer"})
	if err != nil {
		return err
	}
	return os.WriteFile(a.tokenFile(), file, 0o600)
}

func portrayHubSpot(a *account) *portrait {
	state := a.sim.(*hubspotsim.Server).State()
	p := &portrait{}
	for _, r := range live(state["contacts"]) {
		p.people = append(p.people, crmPerson{
			id: r.ID, object: "contacts", phone: digits(r.Properties["phone"]), email: r.Properties["email"],
			doNotCall: r.Properties["callsync_do_not_call"] == "true", named: r.Properties["firstname"] != "",
		})
	}
	for object, kind := range map[string]string{"calls": "call", "meetings": "meeting", "tasks": "task"} {
		for _, r := range live(state[object]) {
			x := r.Properties
			milliseconds, _ := strconv.Atoi(x["hs_call_duration"])
			p.records = append(p.records, crmRecord{
				kind: kind, object: object, id: r.ID, key: x["callsync_key"],
				title:   x["hs_call_title"] + x["hs_meeting_title"] + x["hs_task_subject"],
				text:    x["hs_call_body"] + x["hs_meeting_body"] + x["hs_task_body"],
				start:   when(x["hs_meeting_start_time"]),
				seconds: milliseconds / 1000,
				who:     slices.Sorted(maps.Keys(r.Associations["contacts"])),
			})
		}
	}
	return p
}

func live(records []hubspotsim.Record) []hubspotsim.Record {
	return slices.DeleteFunc(records, func(r hubspotsim.Record) bool { return r.Archived || r.MergedInto != "" })
}

// when reads a time in either of the forms the CRMs use.
func when(s string) time.Time {
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.UnixMilli(ms).UTC()
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.000-0700", "2006-01-02T15:04:05-0700"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}
