package hubspot_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsync/callsync/crm"
)

// reads sends n requests at once and returns the first error.
func (p *account) reads(n int) error {
	return together(n, func() error {
		_, err := p.Read(p.t.Context(), []crm.Ref{{Object: "contacts", ID: "1"}}, nil)
		return err
	})
}

func (p *account) searches(n int) error {
	return together(n, func() error {
		_, err := p.FindPeople(p.t.Context(), []crm.PersonQuery{{Match: []crm.Match{byEmail(0, "a@example.com")}}})
		return err
	})
}

func together(n int, f func() error) error {
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() { errs[i] = f() })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// A backlog uses most of what HubSpot allows and never runs into the limit,
// whatever the plan.
func TestPaceFollowsHeaders(t *testing.T) {
	for _, limit := range []int{100, 110, 190, 250} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := openBubble(t, func(o *simOptions, _ *crm.Settings) { o.Settings.TenSecondLimit = limit })
				begin := time.Now()
				if err := p.reads(1500); err != nil {
					t.Fatal(err)
				}
				if s := p.statuses(); s[http.StatusTooManyRequests] > 0 {
					t.Errorf("answers: %v", s)
				}
				rate := 1500 / time.Since(begin).Seconds()
				if least := 0.85 * float64(limit) / 10; rate < least {
					t.Errorf("%.1f requests a second; the limit allows %.1f", rate, float64(limit)/10)
				}
			})
		})
	}
}

func TestPaceKeepsConfiguredRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openBubble(t, func(_ *simOptions, s *crm.Settings) { s.RatePerSecond = 2 })
		begin := time.Now()
		if err := p.reads(40); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begin); d < 19*time.Second || d > 22*time.Second {
			t.Errorf("40 requests at 2 a second took %v", d)
		}
	})
}

func TestPaceSearches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openBubble(t)
		begin := time.Now()
		if err := p.searches(90); err != nil {
			t.Fatal(err)
		}
		if s := p.statuses(); s[http.StatusTooManyRequests] > 0 {
			t.Errorf("answers: %v", s)
		}
		if d := time.Since(begin); d > 22*time.Second {
			t.Errorf("90 searches took %v; five a second are allowed", d)
		}
	})
}

// Others search too. What is left of the budget is found without a storm of
// refusals.
func TestPaceSharesSearchBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openBubble(t, func(o *simOptions, _ *crm.Settings) { o.Settings.SearchesPerSecond = 2 })
		for range 400 {
			_ = p.searches(1) // a refused one is the loop's to repeat
		}
		s := p.statuses()
		if s[http.StatusTooManyRequests] == 0 || s[http.StatusTooManyRequests] > 20 {
			t.Errorf("answers: %v; at least one 429 was to be expected, and at most 5 %%", s)
		}
	})
}

func TestPaceWaitsAfter429(t *testing.T) {
	tests := []struct {
		name   string
		fault  fault
		search time.Duration // when the next search is sent
		read   time.Duration // when the next read is sent
	}{
		{"ten seconds", fault{Operation: "contacts batch read", Status: 429, Kind: "TEN_SECONDLY_ROLLING", Times: 1}, 10 * time.Second, 10 * time.Second},
		{"with Retry-After", fault{Operation: "contacts batch read", Status: 429, Kind: "TEN_SECONDLY_ROLLING", RetryAfter: "3", Times: 1}, 3 * time.Second, 3 * time.Second},
		{"search", fault{Operation: "contacts search", Status: 429, Kind: "SECONDLY", Times: 1}, time.Second, 0},
		{"search in the window", fault{Operation: "contacts search", Status: 429, Kind: "TEN_SECONDLY_ROLLING", Times: 1}, 10 * time.Second, 10 * time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := openBubble(t)
				p.fault(test.fault)
				trigger := p.reads
				if test.fault.Operation == "contacts search" {
					trigger = p.searches
				}
				if err := trigger(1); crm.KindOf(err) != crm.Transient || err == nil {
					t.Fatalf("a 429 is %v", err)
				}
				begin := time.Now()
				var read, search time.Duration
				var wg sync.WaitGroup
				wg.Go(func() {
					if p.reads(1) == nil {
						read = time.Since(begin)
					}
				})
				wg.Go(func() {
					if p.searches(1) == nil {
						search = time.Since(begin)
					}
				})
				wg.Wait()
				for what, d := range map[string][2]time.Duration{"read": {read, test.read}, "search": {search, test.search}} {
					if d[0] < d[1] || d[0] > d[1]+time.Second {
						t.Errorf("the next %s was answered after %v, not %v", what, d[0], d[1])
					}
				}
			})
		})
	}
}

// A pause too long to sit out is an error of each request, which tells how long it
// lasts, and nothing is sent meanwhile. Who has the loop go on has HubSpot asked,
// once a minute at most.
func TestPaceLongPause(t *testing.T) {
	for _, test := range []struct {
		operation string
		elsewhere bool // whether other requests go on
	}{{"contacts batch read", false}, {"contacts search", true}} {
		t.Run(test.operation, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := openBubble(t)
				p.setUp()
				trigger, other := p.reads, p.searches
				if test.elsewhere {
					trigger, other = p.searches, p.reads
				}
				p.fault(fault{Operation: test.operation, Status: 429, Kind: "SECONDLY", RetryAfter: "86400", Times: 1})
				e := asError(t, crm.Result{Err: trigger(1)}, crm.Transient)
				if e.RetryAfter != 24*time.Hour {
					t.Errorf("the refused request: %+v", e)
				}
				p.sim.ResetCounters()
				begin := time.Now()
				for range 20 {
					e := asError(t, crm.Result{Err: trigger(5)}, crm.Transient)
					if e.RetryAfter < 23*time.Hour || e.RetryAfter > 24*time.Hour || e.Status != 0 || e.Code != "" || !strings.Contains(e.Hint, "unpause") {
						t.Fatalf("%+v", e)
					}
				}
				if d := time.Since(begin); d > time.Second || p.sim.Total() != 0 {
					t.Errorf("they took %v and %d requests", d, p.sim.Total())
				}
				if err := other(1); (err == nil) != test.elsewhere {
					t.Errorf("other requests: %v", err)
				}
				time.Sleep(24*time.Hour - 10*time.Second) // the end is near enough to wait for it
				if err := trigger(1); err != nil {
					t.Errorf("after the pause: %v", err)
				}
				if d := time.Since(begin); d < 24*time.Hour-2*time.Second {
					t.Errorf("sent %v into the pause", d)
				}
			})
		})
	}
}

func TestPaceLongPauseIsAskedAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openBubble(t)
		p.setUp()
		p.fault(fault{Status: 429, Kind: "TEN_SECONDLY_ROLLING", RetryAfter: "86400", Times: 3})
		_ = p.reads(1)
		p.sim.ResetCounters()
		for range 2 { // still refused
			time.Sleep(time.Minute)
			for range 2 {
				_ = p.Ready(t.Context())
				asError(t, crm.Result{Err: p.reads(3)}, crm.Transient)
			}
		}
		if n := p.sim.Total(); n != 2 {
			t.Errorf("%d requests in two minutes of the pause, want 2", n)
		}
		time.Sleep(time.Minute)
		if err := p.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := p.reads(5); err != nil {
			t.Errorf("HubSpot answers again: %v", err)
		}
		if err := p.searches(5); err != nil {
			t.Errorf("HubSpot answers again: %v", err)
		}
	})
}

// callsync leaves its share of the day's quota untouched for others, and goes
// on by itself the next day.
func TestQuotaShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openBubble(t, func(o *simOptions, s *crm.Settings) { o.Settings.DailyLimit, s.QuotaShare = 200, 0.75 })
		var err error
		n := 0
		for err == nil && n < 300 {
			err = p.reads(1)
			n++
		}
		if crm.KindOf(err) != crm.Quota || p.sim.Total() != 150 {
			t.Fatalf("stopped after %d requests of 200 with %v", p.sim.Total(), err)
		}
		e := asError(t, crm.Result{Err: err}, crm.Quota)
		if e.RetryAfter <= 0 || e.RetryAfter > time.Hour || e.Hint == "" {
			t.Errorf("%+v", e)
		}
		if s := p.Status(); s.QuotaUsed != 150 || s.QuotaLimit != 200 {
			t.Errorf("status: %+v", s)
		}
		time.Sleep(24 * time.Hour)
		if err := p.reads(1); err != nil {
			t.Errorf("the next day: %v", err)
		}
	})
}

func TestQuotaSpent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openBubble(t, func(o *simOptions, _ *crm.Settings) { o.Settings.RetryAfter = true })
		p.fault(fault{Status: 429, Kind: "DAILY", RetryAfter: "7200", Times: 1})
		err := p.reads(1)
		if e := asError(t, crm.Result{Err: err}, crm.Quota); e.RetryAfter != 2*time.Hour || e.Code != "DAILY" {
			t.Errorf("%+v", e)
		}
		for range 50 {
			if err := p.searches(1); crm.KindOf(err) != crm.Quota {
				t.Fatalf("got %v", err)
			}
		}
		if n := p.sim.Total(); n != 1 {
			t.Errorf("%d requests were sent although the quota is spent", n)
		}
		time.Sleep(2 * time.Hour)
		if err := p.reads(1); err != nil {
			t.Errorf("after the reset: %v", err)
		}
	})
}

// A quota that was raised before midnight is noticed when somebody has the loop
// go on, and asking costs one request a minute at most.
func TestQuotaRaised(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openBubble(t, func(o *simOptions, s *crm.Settings) { o.Settings.DailyLimit, s.QuotaShare = 100, 1 })
		var err error
		for err == nil {
			err = p.reads(1)
		}
		p.sim.ResetCounters()
		for range 3 {
			time.Sleep(time.Minute)
			for range 2 {
				_ = p.Ready(t.Context())
				if err := p.reads(5); crm.KindOf(err) != crm.Quota {
					t.Fatalf("still spent: %v", err)
				}
			}
		}
		if n := p.sim.Total(); n != 3 {
			t.Errorf("%d requests in three minutes of a spent quota, want 3", n)
		}
		p.sim.Configure(func(s *simSettings) { s.DailyLimit = 1000 })
		time.Sleep(time.Minute)
		if err := p.Ready(t.Context()); crm.KindOf(err) == crm.Quota {
			t.Errorf("after the quota was raised: %v", err)
		}
		if err := p.reads(5); err != nil {
			t.Errorf("after the quota was raised: %v", err)
		}
	})
}

// The reset is at midnight where the portal is.
func TestQuotaResetFollowsZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := http.NewServeMux()
		handler.HandleFunc("GET /account-info/v3/details", answer(200, `{"portalId":4242,"timeZone":"US/Eastern"}`))
		handler.HandleFunc("GET /crm/properties/", answer(200, `{"name":"callsync_key","hasUniqueValue":true}`))
		handler.HandleFunc("POST /", answer(429, `{"status":"error","message":"You have reached your daily limit.","errorType":"RATE_LIMIT","policyName":"DAILY"}`))
		p := openBubble(t, func(_ *simOptions, s *crm.Settings) { s.Transport = inMemory{handler, 0} })
		if err := p.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		// A bubble's clock starts at midnight UTC on 1 January 2000: 19:00 there.
		e := asError(t, crm.Result{Err: p.reads(1)}, crm.Quota)
		if e.RetryAfter.Round(time.Minute) != 5*time.Hour {
			t.Errorf("retry after %v, want 5h", e.RetryAfter)
		}
		s := p.Status()
		if s.Account != "4242" || !s.QuotaReset.Equal(time.Date(2000, 1, 1, 5, 0, 0, 0, time.UTC)) {
			t.Errorf("status: %+v", s)
		}
	})
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func TestStatusCountsOperations(t *testing.T) {
	p := open(t)
	before := p.Status().Requests["calls batch create"]
	p.write(call(1, ""))
	if got := p.Status().Requests["calls batch create"] - before; got != 1 {
		t.Errorf("counted %d", got)
	}
}

func TestCancelledWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openBubble(t, func(_ *simOptions, s *crm.Settings) { s.RatePerSecond = 0.001 })
		if err := p.reads(1); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := contextWithTimeout(t, time.Second)
		defer cancel()
		begin := time.Now()
		results := p.Write(ctx, calls(3, ""))
		for _, r := range results {
			if e := asError(t, r, crm.Transient); !strings.Contains(e.Message, "not sent") {
				t.Errorf("got %v", e)
			}
		}
		if d := time.Since(begin); d != time.Second {
			t.Errorf("it took %v to notice", d)
		}
	})
}

func TestRequestTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openBubble(t, func(_ *simOptions, s *crm.Settings) { s.Transport = inMemory{http.NotFoundHandler(), time.Hour} })
		begin := time.Now()
		asError(t, crm.Result{Err: p.reads(1)}, crm.Transient)
		if d := time.Since(begin); d != 30*time.Second {
			t.Errorf("gave up after %v", d)
		}
	})
}

// Somebody else uses the same app's budget. callsync sees what remains and
// gives way: few of its requests are refused.
func TestPaceGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openBubble(t)
		stop := make(chan struct{})
		go func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(100 * time.Millisecond):
					p.raw("GET", "/crm/v3/objects/contacts/1", "", nil)
				}
			}
		}()
		refused := 0
		for range 100 {
			var mu sync.Mutex
			_ = together(12, func() error {
				err := p.reads(1)
				if err != nil {
					mu.Lock()
					refused++
					mu.Unlock()
				}
				return nil
			})
		}
		close(stop)
		if refused > 8 {
			t.Errorf("%d of 1200 requests were refused", refused)
		}
	})
}

// When the pressure is over, the full rate comes back.
func TestPaceRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := openBubble(t, func(o *simOptions, _ *crm.Settings) { o.Settings.SearchesPerSecond = 2 })
		for range 60 {
			_ = p.searches(1)
		}
		p.sim.Configure(func(s *simSettings) { s.SearchesPerSecond = 5 })
		if err := p.searches(300); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := p.searches(90); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begin); d > 22*time.Second {
			t.Errorf("90 searches took %v; five a second are allowed", d)
		}
	})
}
