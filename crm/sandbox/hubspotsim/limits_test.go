package hubspotsim_test

import (
	"testing"
	"time"

	"github.com/callsync/callsync/crm/sandbox/hubspotsim"
)

func TestTenSecondWindowRolls(t *testing.T) {
	p := newPortal(t, func(o *hubspotsim.Options) {
		o.Tokens = []hubspotsim.Token{{Value: hubspotsim.DefaultToken}, {Value: "another-app"}}
	})
	p.Configure(func(s *hubspotsim.Settings) { s.TenSecondLimit = 3 })
	get := func(status int) *answer { t.Helper(); return p.do("GET", "/crm/v3/owners", nil).is(status) }
	a := get(200)
	for name, want := range map[string]string{
		"Max": "3", "Remaining": "2", "Interval-Milliseconds": "10000", "Daily": "625000", "Daily-Remaining": "624999",
	} {
		if got := a.header.Get("X-HubSpot-RateLimit-" + name); got != want {
			t.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
	p.Advance(4 * time.Second)
	get(200)
	get(200)
	a = get(429).says(`"errorType":"RATE_LIMIT"`, `"policyName":"TEN_SECONDLY_ROLLING"`, "You have reached your ten_secondly_rolling limit.", "correlationId")
	if got := a.header.Get("Retry-After"); got != "" {
		t.Errorf("Retry-After is %q unasked", got)
	}
	p.token = "another-app"
	get(200)
	p.token = hubspotsim.DefaultToken
	p.Configure(func(s *hubspotsim.Settings) { s.RetryAfter = true })
	if got := get(429).header.Get("Retry-After"); got != "6" {
		t.Errorf("Retry-After is %q, want 6", got)
	}
	p.Advance(6 * time.Second)
	get(200)
	get(429)
}

func TestSearchesPerSecond(t *testing.T) {
	p := newPortal(t)
	for range 5 {
		a := p.search("contacts", "{}").is(200)
		if a.header.Get("X-HubSpot-RateLimit-Max") != "" {
			t.Error("a search answers with rate headers")
		}
	}
	p.search("calls", "{}").is(429).says(`"policyName":"SECONDLY"`, "You have reached your secondly limit.")
	p.do("GET", "/crm/v3/owners", nil).is(200)
	p.Advance(time.Second)
	p.search("contacts", "{}").is(200)

	p.Configure(func(s *hubspotsim.Settings) { s.TenSecondLimit = 7; s.SearchesPerSecond = 0 })
	p.search("contacts", "{}").is(429) // 6 searches and 1 other
	p.Configure(func(s *hubspotsim.Settings) { s.SearchesCountInWindow = false })
	p.search("contacts", "{}").is(200)
}

func TestDailyQuota(t *testing.T) {
	zurich, err := time.LoadLocation("Europe/Zurich")
	if err != nil {
		t.Skip(err)
	}
	p := newPortal(t, func(o *hubspotsim.Options) { o.Zone = zurich })
	if err := p.ChangeSettings([]byte(`{"dailyLimit":1000,"dailyUsed":999,"retryAfter":true}`)); err != nil {
		t.Fatal(err)
	}
	a := p.do("GET", "/crm/v3/owners", nil).is(200)
	if got := a.header.Get("X-HubSpot-RateLimit-Daily-Remaining"); got != "0" {
		t.Errorf("remaining: %q", got)
	}
	a = p.do("GET", "/crm/v3/owners", nil).is(429).says(`"policyName":"DAILY"`)
	if got := a.header.Get("Retry-After"); got != "39600" { // noon UTC is 13:00 there
		t.Errorf("Retry-After is %q", got)
	}
	p.Advance(11*time.Hour - time.Second)
	p.do("GET", "/crm/v3/owners", nil).is(429)
	p.Advance(time.Second)
	p.do("GET", "/crm/v3/owners", nil).is(200)
	if got := p.Settings().(hubspotsim.Settings).DailyUsed; got != 1 {
		t.Errorf("used today: %d", got)
	}
}
