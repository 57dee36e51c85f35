package hubspotsim_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/callsync/callsync/crm/sandbox/hubspotsim"
)

// Of many creates of the same email at once, one wins and the others learn its
// id.
func TestConcurrentCreates(t *testing.T) {
	p := newPortal(t)
	var wg sync.WaitGroup
	statuses := make(chan int, 50)
	for range 50 {
		wg.Go(func() {
			req, err := http.NewRequest("POST", p.url+"/crm/v3/objects/contacts", strings.NewReader(`{"properties":{"email":"ada@example.com"}}`))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("Authorization", "Bearer "+p.token)
			req.Header.Set("Content-Type", "application/json")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			statuses <- resp.StatusCode
		})
	}
	wg.Wait()
	close(statuses)
	count := map[int]int{}
	for s := range statuses {
		count[s]++
	}
	if count[201] != 1 || count[409] != 49 {
		t.Errorf("statuses %v", count)
	}
	if n := p.Counts()["contacts create"].Requests; n != 50 {
		t.Errorf("%d requests counted", n)
	}
}

// Whatever is written, no two live contacts share an email, associations are
// symmetric and lead to live records, and once the lag has passed search knows
// exactly what is stored.
func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		settings := hubspotsim.DefaultSettings()
		settings.TenSecondLimit, settings.SearchesPerSecond = 0, 0
		settings.MergeMakesNewRecord = rapid.Bool().Draw(t, "merge makes a new record")
		c := &clock{at: start}
		s := hubspotsim.New(hubspotsim.Options{Now: c.now, Settings: settings})
		send := func(method, path, body string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(method, "/crm/v3/objects"+path, strings.NewReader(body))
			r.Header.Set("Authorization", "Bearer "+hubspotsim.DefaultToken)
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code >= 500 {
				t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
			}
			return w
		}
		emails := []string{"a@example.com", "b@example.com", "c@example.com", "d@example.com"}
		email := rapid.SampledFrom(emails)
		id := rapid.Map(rapid.IntRange(1001, 1010), func(n int) string { return fmt.Sprint(n) })
		t.Repeat(map[string]func(*rapid.T){
			"create": func(t *rapid.T) {
				send("POST", "/contacts", fmt.Sprintf(`{"properties":{"email":%q}}`, email.Draw(t, "email")))
			},
			"batch": func(t *rapid.T) {
				send("POST", "/contacts/batch/upsert", fmt.Sprintf(`{"inputs":[{"id":%q,"idProperty":"email","properties":{"firstname":"x"}},{"id":%q,"idProperty":"email","properties":{"email":%q}}]}`,
					email.Draw(t, "one"), email.Draw(t, "two"), email.Draw(t, "new")))
			},
			"update": func(t *rapid.T) {
				send("PATCH", "/contacts/"+id.Draw(t, "id"), fmt.Sprintf(`{"properties":{"email":%q}}`, email.Draw(t, "email")))
			},
			"archive": func(t *rapid.T) { send("DELETE", "/contacts/"+id.Draw(t, "id"), "") },
			"call": func(t *rapid.T) {
				send("POST", "/calls", fmt.Sprintf(`{"properties":{"hs_timestamp":"1"},"associations":[{"to":{"id":%q},"types":[{"associationCategory":"HUBSPOT_DEFINED","associationTypeId":194}]}]}`, id.Draw(t, "id")))
			},
			"merge": func(t *rapid.T) {
				send("POST", "/contacts/merge", fmt.Sprintf(`{"primaryObjectId":%q,"objectIdToMerge":%q}`, id.Draw(t, "winner"), id.Draw(t, "loser")))
			},
			"forget": func(t *rapid.T) {
				send("POST", "/contacts/gdpr-delete", fmt.Sprintf(`{"objectId":%q}`, id.Draw(t, "id")))
			},
			"wait": func(t *rapid.T) { s.Advance(time.Duration(rapid.IntRange(1, 6).Draw(t, "seconds")) * time.Second) },
			"": func(t *rapid.T) {
				holder := map[string]string{}
				for _, r := range s.Records("contacts") {
					all := append(strings.Split(r.Properties["hs_additional_emails"], ";"), r.Properties["email"])
					for _, e := range all {
						if e == "" {
							continue
						}
						if other, taken := holder[e]; taken {
							t.Fatalf("contacts %s and %s both have %s", other, r.ID, e)
						}
						holder[e] = r.ID
						w := send("GET", "/contacts/"+e+"?idProperty=email", "")
						if w.Code != 200 || !strings.Contains(w.Body.String(), `"id":"`+r.ID+`"`) {
							t.Fatalf("%s of %s leads to %s", e, r.ID, w.Body)
						}
					}
				}
				for _, e := range emails {
					if w := send("GET", "/contacts/"+e+"?idProperty=email", ""); (w.Code == 200) != (holder[e] != "") {
						t.Fatalf("%s, held by %q, answers %d", e, holder[e], w.Code)
					}
				}
				state := s.State()
				for _, call := range s.Records("calls") {
					for contact := range call.Associations["contacts"] {
						i := slices.IndexFunc(state["contacts"], func(r hubspotsim.Record) bool { return r.ID == contact })
						if i < 0 || state["contacts"][i].Archived || state["contacts"][i].MergedInto != "" {
							t.Fatalf("call %s is associated with %s, which is not live", call.ID, contact)
						}
						if _, back := state["contacts"][i].Associations["calls"][call.ID]; !back {
							t.Fatalf("contact %s does not know of call %s", contact, call.ID)
						}
					}
				}
			},
		})
		s.Advance(time.Minute)
		for _, e := range emails {
			var want []string
			for _, r := range s.Records("contacts") {
				if r.Properties["email"] == e {
					want = append(want, r.ID)
				}
			}
			w := send("POST", "/contacts/search", byEmail(e))
			if !strings.Contains(w.Body.String(), fmt.Sprintf(`"total":%d,`, len(want))) || len(want) == 1 && !strings.Contains(w.Body.String(), `"id":"`+want[0]+`"`) {
				t.Fatalf("search for %s: %s, stored: %v", e, w.Body, want)
			}
		}
	})
}

// A scripted refusal names nobody, and ends after as many inputs as it should.
func TestRefusals(t *testing.T) {
	p := newPortal(t)
	p.do("PUT", "/_sandbox/settings", `{"refusals":[{"object":"contacts","property":"lastname","contains":"poison","times":2}]}`).is(200)
	good := object{"objectWriteTraceId": "g", "properties": props{"firstname": "Good"}}
	bad := object{"properties": props{"firstname": "Bad", "lastname": "so poisonous"}}
	a := p.do("POST", "/crm/v3/objects/contacts/batch/create", inputs(good, bad)).is(400)
	if strings.Contains(string(a.raw), "lastname") || strings.Contains(string(a.raw), "poison") {
		t.Errorf("the culprit is named: %s", a.raw)
	}
	bad["objectWriteTraceId"] = "b"
	a = p.do("POST", "/crm/v3/objects/contacts/batch/create", inputs(good, bad)).is(207)
	if a.at("errors", 0, "context", "objectWriteTraceId", 0) != "b" {
		t.Errorf("traced: %s", a.raw)
	}
	p.do("POST", "/crm/v3/objects/contacts/batch/create", inputs(bad)).is(201)
	p.Configure(func(s *hubspotsim.Settings) {
		s.Refusals = []hubspotsim.Refusal{{Object: "contacts", Property: "firstname", Contains: "x", Status: 503, Category: "INTERNAL_ERROR"}}
	})
	p.do("POST", "/crm/v3/objects/contacts", `{"properties":{"firstname":"x"}}`).is(503).says("INTERNAL_ERROR")
	for _, r := range []string{`{"object":"ships","property":"a","contains":"b"}`, `{"object":"calls","property":"a"}`, `{"object":"calls","property":"a","contains":"b","status":200}`} {
		p.do("PUT", "/_sandbox/settings", `{"refusals":[`+r+`]}`).is(400)
	}
}

func TestTiers(t *testing.T) {
	for tier, want := range map[string][2]int{
		"free": {100, 250_000}, "starter": {100, 250_000}, "professional": {190, 625_000}, "enterprise": {190, 1_000_000}, "addon": {250, 1_000_000}, "oauth": {110, 0},
	} {
		var s hubspotsim.Settings
		if err := s.UseTier(tier); err != nil || s.TenSecondLimit != want[0] || s.DailyLimit != want[1] {
			t.Errorf("%s: %+v, %v", tier, s, err)
		}
	}
	if err := new(hubspotsim.Settings).UseTier("gold"); err == nil {
		t.Error("an unknown tier is accepted")
	}
}
