package sync_test

import (
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
