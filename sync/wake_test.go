package sync_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestWokenAfterJournalTrouble: a loop that met a journal that cannot be written
// puts its next look off by minutes, but not beyond being woken.
func TestWokenAfterJournalTrouble(t *testing.T) {
	inWorld(t, func(w *world) {
		w.journal.dieIn.Store(0)
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x")))
		time.Sleep(time.Hour)
		synctest.Wait()
		w.wantLive("calls", 0)
		w.journal.dieIn.Store(-1)
		w.deliver(call("c2", "phoneNumber", ann, "callResult", result("x")))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		w.wantLive("calls", 2)
	})
}

// A journal that takes deliveries, and yet not what becomes of them, as one with a
// damaged page may: deliveries that come in all the time do not have the loop do the
// same again all the time, with the requests it takes.
func TestNotWokenInVain(t *testing.T) {
	inWorld(t, func(w *world) {
		w.journal.dieIn.Store(0)
		for i := range 3600 {
			w.deliver(call(fmt.Sprint("c", i), "phoneNumber", ann, "callResult", result("x")))
			time.Sleep(time.Second)
		}
		if n := w.journal.tried.Load(); n > 120 {
			t.Errorf("it was tried %d times within an hour", n)
		}
		w.journal.dieIn.Store(-1)
		time.Sleep(maxPause)
		synctest.Wait()
		w.wantLive("calls", 3600)
	})
}

// maxPause is how long a loop that was woken in vain does not heed being woken, at
// most, and what it takes to catch up.
const maxPause = 3 * time.Minute
