package sync_test

import (
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
	callsync "github.com/callsync/callsync/sync"
)

// A skewed clock is wrong by some time.
type skewed struct{ by time.Duration }

func (s *skewed) now() time.Time { return time.Now().Add(s.by) }

// restart has the loop go on with a clock.
func (w *world) restart(clock *skewed) {
	w.stop()
	w.startWith(callsync.Options{Now: clock.now})
}

// fault changes how the CRM fails while the loop runs.
func (w *world) fault(f func(op string) (err error, after bool)) {
	w.crm.mu.Lock()
	defer w.crm.mu.Unlock()
	w.crm.fault = f
}

// deliverAt journals a call at what the clock says.
func (w *world) deliverAt(clock *skewed, p payload) {
	w.t.Helper()
	body, err := json.Marshal(p)
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := julian.Parse(body)
	if err != nil {
		w.t.Fatal(err)
	}
	d := store.Delivery{At: clock.now(), Status: 200, CallID: c.CallID, Size: len(body), Hash: julian.Hash(body), Body: body, Call: c}
	if _, err := w.journal.Deliver(w.t.Context(), d); err != nil {
		w.t.Fatal(err)
	}
}

// TestClockJumps has the clock be wrong for a while, by years, in either
// direction: before, while and after calls come in and the CRM is down. Once it is
// right, everything arrives within the hour, and once.
func TestClockJumps(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for name, by := range map[string]time.Duration{"ahead": 9 * year, "ahead by a day": 24 * time.Hour, "behind": -9 * year} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				right, wrong := &skewed{}, &skewed{by}
				w.deliverAt(right, call("before", "phoneNumber", ann, "callResult", result("x")))
				w.settle()

				down := &crm.Error{Kind: crm.Transient, Status: 503, Op: "anything", Message: "down"}
				w.fault(func(string) (error, bool) { return down, false })
				w.restart(wrong)
				w.deliverAt(wrong, call("while down", "phoneNumber", ann, "callResult", result("x")))
				time.Sleep(30 * time.Second)
				synctest.Wait()
				w.restart(right)
				w.deliverAt(right, call("after", "phoneNumber", "+15551230002", "callResult", result("x")))
				w.fault(nil)
				time.Sleep(time.Hour)
				synctest.Wait()
				w.wantLive("calls", 3)
				w.wantLive("contacts", 2)

				// It was ahead when no call failed, and the journal shows it.
				w.restart(wrong)
				w.deliverAt(wrong, call("well", "phoneNumber", ann, "callResult", result("x")))
				synctest.Wait()
				time.Sleep(time.Minute)
				w.restart(right)
				w.deliverAt(right, call("well", "phoneNumber", ann, "callResult", result("corrected")))
				time.Sleep(time.Hour)
				synctest.Wait()
				w.wantLive("calls", 4)
				w.wantLive("contacts", 2)
			})
		})
	}
}

// TestClockAheadWhileCreating loses the answers to creations, in a CRM that can
// only be searched and lags, while the clock is years ahead. When it is right the
// lag is waited for, not the years.
func TestClockAheadWhileCreating(t *testing.T) {
	inWorld(t, func(w *world) {
		w.crm.unique, w.crm.lag = false, 5*time.Second
		wrong := &skewed{9 * 365 * 24 * time.Hour}
		w.restart(wrong)
		var lost atomic.Bool
		lost.Store(true)
		w.fault(func(op string) (error, bool) {
			if op == "write" && lost.Load() {
				return &crm.Error{Kind: crm.Transient, Op: op, Err: errors.New("connection reset")}, true
			}
			return nil, false
		})
		for _, id := range []string{"c1", "c2"} { // first the person's, then the call's
			w.deliverAt(wrong, call(id, "phoneNumber", ann, "callResult", result("x")))
			time.Sleep(500 * time.Millisecond)
			synctest.Wait()
			w.stop()
			lost.Store(false)
			w.startWith(callsync.Options{Now: (&skewed{}).now})
			time.Sleep(time.Hour)
			synctest.Wait()
			w.wantLive("contacts", 1)
			if next, due, err := w.journal.NextDue(t.Context(), dest); due || err != nil {
				t.Fatalf("%s still waits, until %s (%v)", id, next, err)
			}
			lost.Store(true)
			w.restart(wrong)
		}
		w.wantLive("calls", 2)
	})
}

// TestLongRetryAfter has a CRM ask for a pause of many hours for one record: it is
// asked again by the hour, neither never nor all the time.
func TestLongRetryAfter(t *testing.T) {
	inWorld(t, func(w *world) {
		asked := 0
		w.crm.refuse = func(c crm.Change) error {
			if c.Object != "calls" || asked > 100 {
				return nil
			}
			asked++
			return &crm.Error{Kind: crm.Transient, Code: "LOCKED", Op: "create", RetryAfter: 10 * time.Hour}
		}
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x")))
		time.Sleep(5*time.Hour + time.Minute)
		synctest.Wait()
		if asked < 3 || asked > 10 {
			t.Errorf("in five hours the CRM was asked %d times", asked)
		}
	})
}

// TestQuotaIsAskedAbout spends the day's quota in the morning: it may be raised
// before midnight, and calls then need not wait for that.
func TestQuotaIsAskedAbout(t *testing.T) {
	inWorld(t, func(w *world) {
		asked := 0
		w.fault(func(string) (error, bool) {
			asked++
			return &crm.Error{Kind: crm.Quota, Op: "find", Code: "DAILY", RetryAfter: 16 * time.Hour}, false
		})
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x")))
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if asked > 40 {
			t.Errorf("a spent quota was asked about %d times in two hours", asked)
		}
		w.fault(nil)
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		w.wantLive("calls", 1)
	})
}

// TestQuotaRaisedAndUnpaused raises the quota and unpauses, when the connector has
// asked just before and so says once more, without asking, what it heard then.
func TestQuotaRaisedAndUnpaused(t *testing.T) {
	inWorld(t, func(w *world) {
		raised, seen := false, false
		asked := time.Now()
		w.fault(func(string) (error, bool) {
			spent := &crm.Error{Kind: crm.Quota, Op: "find", Code: "DAILY", RetryAfter: 16 * time.Hour}
			switch {
			case seen:
				return nil, false
			case time.Since(asked) < time.Minute:
				return spent, false
			case raised:
				seen = true
				return nil, false
			}
			asked = time.Now()
			return spent, false
		})
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x")))
		time.Sleep(2*time.Hour + 10*time.Second)
		synctest.Wait()
		w.crm.mu.Lock()
		asked, raised = time.Now().Add(-time.Second), true
		w.crm.mu.Unlock()
		if err := w.loop.Unpause(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		time.Sleep(time.Minute + 10*time.Second)
		synctest.Wait()
		w.wantLive("calls", 1)
	})
}
