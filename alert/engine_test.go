package alert_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/alert"
	"github.com/callsync/callsync/store"
	callsync "github.com/callsync/callsync/sync"
)

// An inbox stands in for somebody who is told.
type inbox struct {
	mu   sync.Mutex
	got  []received
	down bool
	took time.Duration // how long handing over a message takes
}

type received struct {
	at time.Time
	alert.Message
}

func (*inbox) Service() string { return "inbox" }

func (i *inbox) Send(_ context.Context, m alert.Message) error {
	time.Sleep(i.took)
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.down {
		return errors.New("nobody is there")
	}
	i.got = append(i.got, received{time.Now(), m})
	return nil
}

// take returns what arrived since it was last asked, titles only.
func (i *inbox) take() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	titles := []string{}
	for _, m := range i.got {
		titles = append(titles, strings.TrimPrefix(m.Title, "callsync on test: "))
	}
	i.got = nil
	return titles
}

func (i *inbox) setDown(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
}

// A memory is what is left after a restart.
type memory struct {
	mu     sync.Mutex
	kept   map[string]string
	writes int
}

func (m *memory) Get(_ context.Context, name string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.kept[name], nil
}

func (m *memory) Set(_ context.Context, name, value string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept[name] = value
	m.writes++
	return nil
}

// A situation is a daemon whose status is made up.
type situation struct {
	memory *memory
	inbox  *inbox
	mu     sync.Mutex
	status map[string]admin.DestinationStatus
}

func newSituation() *situation {
	return &situation{memory: &memory{kept: map[string]string{}}, inbox: &inbox{}, status: map[string]admin.DestinationStatus{}}
}

func (s *situation) source(context.Context) (admin.Status, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var status admin.Status
	for _, d := range s.status {
		status.Destinations = append(status.Destinations, d)
	}
	return status, nil
}

func (s *situation) blocked(name string) {
	s.set(name, admin.DestinationStatus{Health: callsync.Health{Phase: callsync.Blocked, Reason: "401", Hint: "make a new token"}})
}

func (s *situation) failed(name string, n int64) {
	s.set(name, admin.DestinationStatus{Calls: map[store.Status]int64{store.Failed: n}})
}

func (s *situation) fine(name string) { s.set(name, admin.DestinationStatus{}) }

func (s *situation) set(name string, d admin.DestinationStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.Destination = name
	s.status[name] = d
}

func (s *situation) settings() alert.Settings {
	return alert.Settings{
		To: []alert.Sender{s.inbox}, Wait: 30 * time.Second, Interval: 5 * time.Minute, Repeat: 24 * time.Hour,
		Limits: alert.Limits{OldestUnsynced: time.Hour, DiskFree: 1 << 30},
	}
}

// run starts an engine, which the test's end stops, or stop before.
func (s *situation) run(t *testing.T, settings alert.Settings) (e *alert.Engine, stop func()) {
	e = alert.New(alert.Options{Settings: settings, Source: s.source, Memory: s.memory, Host: "test"})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.Run(ctx)
	}()
	return e, func() { cancel(); <-done }
}

func told(t *testing.T, i *inbox, want ...string) {
	t.Helper()
	synctest.Wait()
	got := i.take()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestToldOnceRemindedAndCalledOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSituation()
		_, stop := s.run(t, s.settings())
		defer stop()
		time.Sleep(time.Minute)
		told(t, s.inbox)
		s.blocked("hubspot")
		time.Sleep(25 * time.Second)
		told(t, s.inbox) // it may be over in a moment
		time.Sleep(25 * time.Second)
		told(t, s.inbox, "destination stopped (hubspot)")
		time.Sleep(23 * time.Hour)
		told(t, s.inbox)
		time.Sleep(time.Hour)
		told(t, s.inbox, "still: destination stopped (hubspot)")
		s.fine("hubspot")
		time.Sleep(10 * time.Minute)
		told(t, s.inbox, "resolved: destination stopped (hubspot)")
		time.Sleep(48 * time.Hour)
		told(t, s.inbox)
	})
}

func TestGrouped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSituation()
		_, stop := s.run(t, s.settings())
		defer stop()
		s.blocked("hubspot")
		time.Sleep(20 * time.Second)
		s.blocked("salesforce")
		s.failed("third", 3)
		time.Sleep(30 * time.Second)
		told(t, s.inbox, "3 new problems")
		s.fine("hubspot")
		s.fine("third")
		time.Sleep(10 * time.Minute)
		told(t, s.inbox, "2 problems resolved, 1 still open")
	})
}

func TestShortLivedIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSituation()
		_, stop := s.run(t, s.settings())
		defer stop()
		for range 20 {
			s.blocked("hubspot")
			time.Sleep(15 * time.Second)
			s.fine("hubspot")
			time.Sleep(45 * time.Second)
		}
		told(t, s.inbox)
		s.blocked("hubspot")
		time.Sleep(time.Minute)
		told(t, s.inbox, "destination stopped (hubspot)")
		for range 20 { // seemingly over, again and again
			s.fine("hubspot")
			time.Sleep(15 * time.Second)
			s.blocked("hubspot")
			time.Sleep(45 * time.Second)
		}
		told(t, s.inbox)
	})
}

func TestRateLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSituation()
		_, stop := s.run(t, s.settings())
		defer stop()
		for i := range 60 {
			s.blocked(fmt.Sprintf("account-%d", i))
			time.Sleep(time.Minute)
		}
		s.inbox.mu.Lock()
		messages := s.inbox.got
		s.inbox.mu.Unlock()
		if len(messages) < 10 || len(messages) > 13 {
			t.Errorf("%d messages in an hour", len(messages))
		}
		for i := 1; i < len(messages); i++ {
			if gap := messages[i].at.Sub(messages[i-1].at); gap < 5*time.Minute {
				t.Errorf("two messages within %s", gap)
			}
		}
		last := messages[len(messages)-1].Body
		if !strings.Contains(last, "more: `callsync status`") || strings.Count(last, "- account") > 20 {
			t.Errorf("a long message is not cut short:\n%s", last)
		}
	})
}

func TestGrowthIsToldWhenItDoubles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSituation()
		_, stop := s.run(t, s.settings())
		defer stop()
		messages := 0
		for n := range int64(100) {
			s.failed("hubspot", n+1)
			time.Sleep(10 * time.Minute)
			messages += len(s.inbox.take())
		}
		if messages != 7 { // 1, 2, 4, … 64
			t.Errorf("%d messages about 100 failed calls", messages)
		}
	})
}

func TestARestartNeitherRepeatsNorForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSituation()
		_, stop := s.run(t, s.settings())
		s.blocked("hubspot")
		s.failed("salesforce", 2)
		time.Sleep(time.Minute)
		told(t, s.inbox, "2 new problems")
		time.Sleep(2 * time.Hour)
		stop()
		s.fine("hubspot") // as a daemon that has just started sees it
		_, stop = s.run(t, s.settings())
		time.Sleep(20 * time.Second)
		s.blocked("hubspot")
		time.Sleep(time.Hour)
		told(t, s.inbox)
		time.Sleep(24 * time.Hour)
		told(t, s.inbox, "2 problems still open")
		stop()
		s.fine("hubspot")
		_, stop = s.run(t, s.settings())
		defer stop()
		time.Sleep(time.Minute)
		synctest.Wait()
		s.inbox.mu.Lock()
		body := s.inbox.got[0].Body
		s.inbox.mu.Unlock()
		if !strings.Contains(body, "(after 27h0") {
			t.Errorf("how long it was is forgotten: %s", body)
		}
		told(t, s.inbox, "resolved: destination stopped (hubspot), 1 still open")
	})
}

func TestOneReceiverOutOfReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSituation()
		far := &inbox{down: true, took: 20 * time.Second}
		settings := s.settings()
		settings.To = append(settings.To, far)
		_, stop := s.run(t, settings)
		defer stop()
		s.blocked("hubspot")
		time.Sleep(time.Minute)
		told(t, s.inbox, "destination stopped (hubspot)")
		told(t, far)
		s.blocked("salesforce")
		time.Sleep(10 * time.Minute)
		told(t, s.inbox, "destination stopped (salesforce), 1 still open")
		s.fine("hubspot") // which the other never heard of
		far.setDown(false)
		time.Sleep(30 * time.Minute)
		told(t, s.inbox, "resolved: destination stopped (hubspot), 1 still open")
		told(t, far, "destination stopped (salesforce)")
	})
}

func TestASecondOutageIsTriedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSituation()
		_, stop := s.run(t, s.settings())
		defer stop()
		for range 2 {
			s.inbox.setDown(true)
			s.blocked("hubspot")
			time.Sleep(10 * time.Minute) // attempts have become rare
			s.inbox.setDown(false)
			time.Sleep(15 * time.Minute)
			told(t, s.inbox, "destination stopped (hubspot)")
			s.inbox.setDown(true)
			s.fine("hubspot")
			time.Sleep(45 * time.Second) // the first attempt has failed
			s.inbox.setDown(false)
			time.Sleep(time.Minute)
			told(t, s.inbox, "resolved: destination stopped (hubspot)")
			time.Sleep(time.Hour)
		}
	})
}

// What has not changed is not written to the journal again.
func TestTheJournalIsWrittenToSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSituation()
		_, stop := s.run(t, s.settings())
		defer stop()
		time.Sleep(time.Hour)
		s.blocked("hubspot")
		time.Sleep(time.Hour)
		s.fine("hubspot")
		time.Sleep(time.Hour)
		s.memory.mu.Lock()
		defer s.memory.mu.Unlock()
		if s.memory.writes != 2 || s.memory.kept["alerts"] != "" {
			t.Errorf("%d writes; %q is left", s.memory.writes, s.memory.kept["alerts"])
		}
	})
}

func TestSettingsChangeWhileItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSituation()
		settings := s.settings()
		settings.To = nil
		e, stop := s.run(t, settings)
		defer stop()
		s.blocked("hubspot")
		time.Sleep(time.Hour)
		e.Set(s.settings())
		time.Sleep(time.Minute)
		told(t, s.inbox, "destination stopped (hubspot)")
		e.Set(s.settings()) // nothing is said twice for it
		time.Sleep(time.Hour)
		told(t, s.inbox)
	})
}

func TestTheMessageSaysWhatToDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSituation()
		_, stop := s.run(t, s.settings())
		defer stop()
		s.set("hubspot", admin.DestinationStatus{Health: callsync.Health{
			Phase: callsync.Blocked, Reason: "contacts search: 401\r\n\x1b[31mexpired." + strings.Repeat("x", 5000), Hint: "make a new token.",
		}})
		time.Sleep(time.Minute)
		s.inbox.mu.Lock()
		defer s.inbox.mu.Unlock()
		m := s.inbox.got[0]
		if m.Title != "callsync on test: destination stopped (hubspot)" {
			t.Errorf("title %q", m.Title)
		}
		if !strings.HasPrefix(m.Body, "hubspot is blocked: contacts search: 401 [31mexpired.xxx") || !strings.HasSuffix(m.Body, "\nWhat to do: make a new token.") {
			t.Errorf("body %q", m.Body)
		}
		if len(m.Body) > 1000 {
			t.Errorf("the body has %d bytes", len(m.Body))
		}
	})
}

// Whatever happens, restarts and outages of the receiver included: a receiver
// who counts what is new and what is over knows what is wrong, once everything
// has been quiet for a while, and is never told twice within the interval.
func TestTheReceiverKnowsTheTruth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSituation()
		now := time.Unix(1e9, 0)
		r := &ledger{now: &now, open: map[string]bool{}}
		settings := s.settings()
		settings.To = []alert.Sender{r}
		start := func() *alert.Engine {
			return alert.New(alert.Options{Settings: settings, Source: s.source, Memory: s.memory, Host: "test", Now: func() time.Time { return now }})
		}
		e := start()
		look := func() {
			if err := e.Look(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		names := []string{"a", "b", "c"}
		truth := map[string]bool{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			name := rapid.SampledFrom(names).Draw(t, "name")
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0, 1:
				s.blocked(name)
				truth[name] = true
			case 2, 3:
				s.fine(name)
				delete(truth, name)
			case 4:
				r.down = !r.down
			case 5:
				e = start()
				r.last = time.Time{} // the interval begins anew
			}
			now = now.Add(time.Duration(rapid.IntRange(1, 120).Draw(t, "seconds")) * time.Second)
			look()
		}
		r.down = false
		for range 30 {
			now = now.Add(time.Minute)
			look()
		}
		if fmt.Sprint(r.open) != fmt.Sprint(truth) {
			t.Fatalf("the receiver believes %v; true is %v", r.open, truth)
		}
		if r.tooOften > 0 {
			t.Fatalf("%d messages came too soon after another", r.tooOften)
		}
	})
}

// A ledger is a receiver who keeps account of what is wrong.
type ledger struct {
	now      *time.Time
	last     time.Time
	down     bool
	open     map[string]bool
	tooOften int
}

func (*ledger) Service() string { return "ledger" }

func (l *ledger) Send(_ context.Context, m alert.Message) error {
	if l.down {
		return errors.New("down")
	}
	if l.now.Sub(l.last) < 5*time.Minute {
		l.tooOften++
	}
	l.last = *l.now
	over := false
	for text := range strings.Lines(m.Body) {
		switch {
		case strings.HasPrefix(text, "Over:"):
			over = true
		case strings.HasPrefix(text, "Still so:"):
			return nil
		case over && strings.HasPrefix(text, "- "):
			delete(l.open, strings.Fields(text)[1])
		case strings.Contains(text, " is blocked:"):
			l.open[strings.Fields(text)[0]] = true
		}
	}
	return nil
}

// While the status cannot be read nobody knows of anything that it is over, not
// even of what was about to be, or was said before a restart.
func TestNoAllClearWhileBlind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSituation()
		var blind atomic.Bool
		start := func() (stop func()) {
			e := alert.New(alert.Options{Settings: s.settings(), Memory: s.memory, Host: "test", Source: func(ctx context.Context) (admin.Status, error) {
				if blind.Load() {
					return admin.Status{}, errors.New("input/output error")
				}
				return s.source(ctx)
			}})
			ctx, cancel := context.WithCancel(t.Context())
			go e.Run(ctx)
			return func() {
				cancel()
				synctest.Wait()
			}
		}
		after := func(d time.Duration, want ...string) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if got := s.inbox.take(); !slices.Equal(got, want) {
				t.Errorf("told %q, want %q", got, want)
			}
		}
		stop := start()
		s.blocked("hubspot")
		s.failed("salesforce", 3)
		after(time.Hour, "2 new problems")
		s.fine("salesforce")
		time.Sleep(20 * time.Second)
		blind.Store(true)
		after(time.Hour, "journal broken, 1 still open")
		stop()
		stop = start()
		after(time.Hour)
		blind.Store(false)
		s.blocked("hubspot")
		after(time.Hour, "resolved: calls failed (salesforce), 1 still open", "resolved: journal broken, 1 still open")
		stop()
	})
}
