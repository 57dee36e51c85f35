package sync_test

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestCameRound: an idle loop shows that it is awake, also one that rests; one
// that is stuck does not.
func TestCameRound(t *testing.T) {
	inWorld(t, func(w *world) {
		fresh := func(when string) {
			w.t.Helper()
			synctest.Wait()
			if away := time.Since(w.loop.CameRound()); away > time.Minute {
				w.t.Errorf("%s: away for %s", when, away)
			}
		}
		time.Sleep(time.Hour)
		fresh("idle")
		if err := w.loop.Pause(w.t.Context(), ""); err != nil {
			w.t.Fatal(err)
		}
		time.Sleep(time.Hour)
		fresh("paused")
		if err := w.loop.Unpause(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		synctest.Wait()

		// A CRM's client that never returns.
		release := make(chan struct{})
		w.crm.mu.Lock()
		w.crm.fault = func(string) (error, bool) { <-release; return nil, false }
		w.crm.mu.Unlock()
		w.deliver(call("call.stuck", "phoneNumber", "+15551234567"))
		time.Sleep(time.Hour)
		synctest.Wait()
		if away := time.Since(w.loop.CameRound()); away < 59*time.Minute {
			w.t.Errorf("stuck: away for %s only", away)
		}
		close(release)
		time.Sleep(time.Minute)
		fresh("released")
	})
}
