package hubspotsim

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Policy names of a 429 body. Source: HubSpot API usage guidelines.
const (
	policySecond     = "SECONDLY"
	policyTenSeconds = "TEN_SECONDLY_ROLLING"
	policyDay        = "DAILY"
)

// rolling is the span in which TenSecondLimit counts.
const rolling = 10 * time.Second

// limiter counts requests by the server's clock.
type limiter struct {
	apps     map[*grant]*window
	searches window
	day      string
	today    int
}

// window remembers when the requests of a rolling interval were made.
type window struct{ at []time.Time }

// within drops what has left the interval and returns how many remain.
func (w *window) within(now time.Time, d time.Duration) int {
	i := 0
	for i < len(w.at) && now.Sub(w.at[i]) >= d {
		i++
	}
	if i > 0 {
		w.at = append(w.at[:0], w.at[i:]...)
	}
	return len(w.at)
}

func (l *limiter) usedToday(now time.Time, zone *time.Location) int {
	if day := now.In(zone).Format(time.DateOnly); day != l.day {
		l.day, l.today = day, 0
	}
	return l.today
}

func (l *limiter) setUsedToday(now time.Time, zone *time.Location, n int) {
	l.usedToday(now, zone)
	l.today = n
}

// spend counts one request, sets the rate headers, and refuses the request
// when a limit is spent. A refused request costs nothing.
func (s *Server) spend(header http.Header, now time.Time, g *grant, search bool) *apiError {
	l, set := &s.limits, &s.settings
	if l.apps == nil {
		l.apps = map[*grant]*window{}
	}
	if g.app != nil {
		g = g.app
	}
	app := l.apps[g]
	if app == nil {
		app = &window{}
		l.apps[g] = app
	}
	made := app.within(now, rolling)
	today := l.usedToday(now, s.opts.Zone)
	inWindow := set.TenSecondLimit > 0 && (!search || set.SearchesCountInWindow)

	var fail *apiError
	var wait time.Duration
	switch {
	case set.DailyLimit > 0 && today >= set.DailyLimit:
		fail = tooMany(policyDay)
		y, m, d := now.In(s.opts.Zone).Date()
		wait = time.Date(y, m, d+1, 0, 0, 0, 0, s.opts.Zone).Sub(now)
	case search && set.SearchesPerSecond > 0 && l.searches.within(now, time.Second) >= set.SearchesPerSecond:
		fail, wait = tooMany(policySecond), time.Second
	case inWindow && made >= set.TenSecondLimit:
		fail, wait = tooMany(policyTenSeconds), app.at[0].Add(rolling).Sub(now)
	default:
		if search && set.SearchesPerSecond > 0 {
			l.searches.at = append(l.searches.at, now)
		}
		if inWindow {
			app.at = append(app.at, now)
			made++
		}
		l.today++
		today++
	}
	if fail != nil && set.RetryAfter {
		header.Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
	}
	if !search {
		set.rateHeaders(header, g, made, today)
	}
	return fail
}

func (set *Settings) rateHeaders(header http.Header, g *grant, made, today int) {
	number := func(name string, n int) { header.Set("X-HubSpot-RateLimit-"+name, strconv.Itoa(max(n, 0))) }
	if set.TenSecondLimit > 0 {
		number("Max", set.TenSecondLimit)
		number("Remaining", set.TenSecondLimit-made)
		number("Interval-Milliseconds", int(rolling/time.Millisecond))
	}
	if set.DailyLimit > 0 && !g.oauth {
		number("Daily", set.DailyLimit)
		number("Daily-Remaining", set.DailyLimit-today)
	}
}

func tooMany(policy string) *apiError {
	return &apiError{
		status:     http.StatusTooManyRequests,
		Message:    "You have reached your " + strings.ToLower(policy) + " limit.",
		ErrorType:  "RATE_LIMIT",
		PolicyName: policy,
		Category:   "RATE_LIMITS",
	}
}
