package hubspot

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/callsync/callsync/crm"
)

// HubSpot's usage guidelines count requests in a rolling window. A token bucket
// lets burst+rate*window through in one, so the two shares below add up to a
// little less than the whole.
const (
	rateShare  = 0.90
	burstShare = 0.06

	// Before the first answer the smallest plan's limit is assumed: 100
	// requests in ten seconds.
	assumedMax    = 100
	assumedWindow = 10 * time.Second

	// HubSpot's search guide allows five searches a second and account. They
	// are spread evenly, with room for the network's jitter.
	searchRate = 4.5

	// The rate is eased when less than lowWater of a window remains, cut after a
	// 429, and grows back with every good answer.
	lowWater = 0.02
	ease     = 0.9
	cut      = 0.8
	recovery = 1.005

	maxConcurrent       = 12
	maxConcurrentSearch = 4

	// blindProbe is how often a spent daily quota is tried again when the
	// account's time zone, and so the reset, is unknown.
	blindProbe = time.Hour

	// A spent quota may be raised before it starts anew: whoever asks whether the
	// portal is ready has it looked up, but once in quotaProbe at most. The same
	// goes for a pause longer than maxNap.
	quotaProbe = time.Minute

	// maxNap is the longest pause after a 429 that requests sit out here. A longer
	// one is an error, so that the loop stops where people see it.
	maxNap = 30 * time.Second
)

// A pacer keeps requests within HubSpot's limits, whatever sends them: so many
// at once, so many in a window, and no more of the day's quota than the
// configured share.
type pacer struct {
	now   func() time.Time
	share float64
	all   *budget
	find  *budget

	mu        sync.Mutex
	counts    map[string]int64
	daily     int64 // the day's quota; 0 when unknown
	remaining int64
	spent     time.Time // no request before
	probed    time.Time // when HubSpot last said so, or asked for a pause beyond maxNap
	zone      *time.Location
}

// A budget bounds one class of requests.
type budget struct {
	limiter *rate.Limiter
	slots   chan struct{}
	// The fields below are guarded by the pacer's mutex.
	ceiling rate.Limit // what the limiter recovers to
	fixed   bool       // ceiling comes from the configuration
	until   time.Time  // no request before
}

func newPacer(s crm.Settings) *pacer {
	p := &pacer{
		now:    s.Now,
		share:  s.QuotaShare,
		counts: map[string]int64{},
		all:    newBudget(s.RatePerSecond, rateShare*assumedMax/assumedWindow.Seconds(), burstShare*assumedMax, maxConcurrent),
		find:   newBudget(s.SearchPerSecond, searchRate, 1, maxConcurrentSearch),
	}
	if p.share == 0 {
		p.share = defaultShare
	}
	return p
}

func newBudget(configured, otherwise, burst float64, concurrent int) *budget {
	b := &budget{slots: make(chan struct{}, concurrent), ceiling: rate.Limit(otherwise)}
	if configured > 0 {
		b.ceiling, b.fixed = rate.Limit(configured), true
		burst = min(burst, configured)
	}
	b.limiter = rate.NewLimiter(b.ceiling, max(1, int(burst)))
	return b
}

// admit waits until r may be sent, or answers why it may not. release must be
// called when its answer has been read.
func (p *pacer) admit(ctx context.Context, r request) (release func(), err error) {
	budgets := []*budget{p.all}
	if r.search {
		budgets = []*budget{p.find, p.all}
	}
	var held []*budget
	release = func() {
		for _, b := range held {
			<-b.slots
		}
	}
	for _, b := range budgets {
		select {
		case b.slots <- struct{}{}:
			held = append(held, b)
		case <-ctx.Done():
			release()
			return nil, unsent(r.op, ctx.Err())
		}
		if err := p.wait(ctx, r, b); err != nil {
			release()
			return nil, err
		}
	}
	if err := p.withinQuota(r.op); err != nil && !r.asks {
		release()
		return nil, err
	}
	p.mu.Lock()
	p.counts[r.op]++
	p.mu.Unlock()
	return release, nil
}

// wait returns when it is r's turn in b. The error is a *[crm.Error].
func (p *pacer) wait(ctx context.Context, r request, b *budget) error {
	if err := p.sitOut(ctx, r, b); err != nil {
		return err
	}
	now := p.now()
	reservation := b.limiter.ReserveN(now, 1)
	if err := sleep(ctx, reservation.DelayFrom(now)); err != nil {
		reservation.CancelAt(p.now())
		return unsent(r.op, err)
	}
	return p.sitOut(ctx, r, b) // meanwhile HubSpot may have asked for a pause
}

// sitOut waits for the end of a pause that HubSpot asked for.
func (p *pacer) sitOut(ctx context.Context, r request, b *budget) error {
	for {
		left := p.pause(b)
		switch {
		case left <= 0:
			return nil
		case left > maxNap && r.asks:
			return nil
		case left > maxNap:
			return askedToPause(r.op, left)
		}
		if err := sleep(ctx, left); err != nil {
			return unsent(r.op, err)
		}
	}
}

// pause is how much is left of a budget's pause.
func (p *pacer) pause(b *budget) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return b.until.Sub(p.now())
}

func askedToPause(op string, left time.Duration) *crm.Error {
	return &crm.Error{
		Kind: crm.Transient, Op: op, RetryAfter: left,
		Message: fmt.Sprintf("not sent: HubSpot refused a request as one too many and asked for a pause, of which %v are left", left.Round(time.Second)),
		Hint:    "callsync goes on by itself when it is over; `callsync unpause` asks HubSpot again",
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// observe learns from an answer: the window's limit, the day's quota, a 429.
func (p *pacer) observe(r request, a *answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.learnWindow(a.header)
	if a.status == http.StatusTooManyRequests {
		p.learnDay(a.header)
		p.refused(r, a)
		return
	}
	if a.status < 500 {
		p.spent = time.Time{}
		if r.asks {
			p.all.until, p.find.until = time.Time{}, time.Time{}
		}
	}
	p.learnDay(a.header)
	b := p.all
	if r.search {
		b = p.find
	}
	if l := b.limiter.Limit(); l < b.ceiling {
		b.limiter.SetLimitAt(p.now(), min(b.ceiling, l*recovery))
	}
}

func (p *pacer) learnWindow(h http.Header) {
	limit, ms := number(h, "X-HubSpot-RateLimit-Max"), number(h, "X-HubSpot-RateLimit-Interval-Milliseconds")
	if limit <= 0 || ms <= 0 {
		return
	}
	window := time.Duration(ms) * time.Millisecond
	ceiling := rate.Limit(rateShare * float64(limit) / window.Seconds())
	b := p.all
	if b.fixed {
		ceiling = min(ceiling, b.ceiling)
	}
	if ceiling != b.ceiling {
		b.ceiling = ceiling
		b.limiter.SetLimitAt(p.now(), ceiling)
		b.limiter.SetBurstAt(p.now(), max(1, int(burstShare*float64(limit))))
	}
	// callsync alone never comes that close: others use the same app's budget.
	if left := number(h, "X-HubSpot-RateLimit-Remaining"); left >= 0 && float64(left) < lowWater*float64(limit) {
		b.slow(p.now(), ease)
	}
}

func (p *pacer) learnDay(h http.Header) {
	daily, left := number(h, "X-HubSpot-RateLimit-Daily"), number(h, "X-HubSpot-RateLimit-Daily-Remaining")
	if daily <= 0 || left < 0 {
		return
	}
	p.daily, p.remaining = daily, left
	if float64(left) <= math.Floor(float64(daily)*(1-p.share)+1e-9) {
		p.exhausted(p.reset())
	}
}

// exhausted holds all requests back until the quota starts anew.
func (p *pacer) exhausted(until time.Time) { p.spent, p.probed = until, p.now() }

// refused holds back what would be refused as well: HubSpot answers 429 for the
// account's searches of a second, the app's requests of ten, or the day.
func (p *pacer) refused(r request, a *answer) {
	f := parseRefusal(a)
	now := p.now()
	if f.daily() {
		p.exhausted(now.Add(p.untilReset(a.header)))
		return
	}
	b, wait := p.all, time.Second
	switch {
	case f.tenSecondly():
		wait = assumedWindow
	case r.search:
		b = p.find
	}
	if d := retryAfter(a.header, now); d > 0 {
		wait = d
	}
	b.pause(now.Add(wait))
	b.slow(now, cut)
	if wait > maxNap {
		p.probed = now
	}
}

// slow lowers the rate by a factor, but never to nothing.
func (b *budget) slow(now time.Time, factor rate.Limit) {
	b.limiter.SetLimitAt(now, max(b.limiter.Limit()*factor, 0.1*b.ceiling))
}

func (b *budget) pause(until time.Time) {
	if until.After(b.until) {
		b.until = until
	}
}

func (p *pacer) withinQuota(op string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := p.spent.Sub(p.now())
	if left <= 0 {
		return nil
	}
	return &crm.Error{
		Kind: crm.Quota, Op: op, Code: "DAILY", RetryAfter: left,
		Message: fmt.Sprintf("callsync's share (%g) of the portal's daily request quota is used up", p.share),
		Hint:    "it starts anew at midnight in the portal's time zone; quota_share sets the share; `callsync unpause` asks HubSpot again, within a minute",
	}
}

// mayAsk reports whether the quota is spent, or a long pause under way, and it is
// time to ask whether that still holds.
func (p *pacer) mayAsk() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	held := now.Before(p.spent) || p.all.until.Sub(now) > maxNap || p.find.until.Sub(now) > maxNap
	if !held || now.Sub(p.probed) < quotaProbe {
		return false
	}
	p.probed = now
	return true
}

// reset is when the day's quota starts anew: at midnight in the account's time
// zone (HubSpot usage guidelines). Callers hold the mutex.
func (p *pacer) reset() time.Time {
	if p.zone == nil {
		return p.now().Add(blindProbe)
	}
	y, m, d := p.now().In(p.zone).Date()
	return time.Date(y, m, d+1, 0, 0, 0, 0, p.zone)
}

func (p *pacer) untilReset(h http.Header) time.Duration {
	if d := retryAfter(h, p.now()); d > 0 {
		return d
	}
	return p.reset().Sub(p.now())
}

// quotaWait is untilReset for callers without the mutex.
func (p *pacer) quotaWait(h http.Header) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.untilReset(h)
}

func (p *pacer) setZone(z *time.Location) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.zone = z
}

func (p *pacer) status() crm.Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := crm.Status{Requests: maps.Clone(p.counts), QuotaLimit: p.daily}
	if p.daily > 0 {
		s.QuotaUsed = p.daily - p.remaining
	}
	if p.zone != nil {
		s.QuotaReset = p.reset()
	}
	return s
}

// number reads a header's number; -1 when there is none.
func number(h http.Header, name string) int64 {
	n, err := strconv.ParseInt(h.Get(name), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// retryAfter reads the header in either of its forms: seconds or a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if s, err := strconv.ParseFloat(v, 64); err == nil && s > 0 && s < 1e6 {
		return time.Duration(s * float64(time.Second))
	}
	if t, err := http.ParseTime(v); err == nil {
		return t.Sub(now)
	}
	return 0
}
