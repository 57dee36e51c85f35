package sync_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
	callsync "github.com/callsync/callsync/sync"
)

// plan plans every call of the journal.
func (w *world) plan() ([]callsync.CallPlan, error) {
	var ids []string
	for c, err := range w.journal.Calls(w.t.Context(), store.CallFilter{}) {
		if err != nil {
			return nil, err
		}
		ids = append(ids, c.ID)
	}
	works, err := w.journal.Load(w.t.Context(), dest, ids)
	if err != nil {
		return nil, err
	}
	return w.loop.Plan(w.t.Context(), works)
}

// Once what was planned is applied, nothing is left to plan, whatever came in and
// went wrong before; and after an edit of the mapping, a replay of the calls for
// which something is planned writes to the planned records and to no others.
func TestPlanOfWhatWasAppliedIsEmpty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		script := acts(rt)
		notes := rapid.MapOf(rapid.SampledFrom([]string{"c0", "c1", "c2", "c3", "c4", "c5"}), rapid.SampledFrom([]string{"a", "b", ""})).Draw(rt, "notes")
		mode := rapid.SampledFrom([]crm.WriteMode{crm.Always, crm.IfEmpty, crm.IfUnchanged}).Draw(rt, "mode")
		byHand := rapid.Bool().Draw(rt, "by hand")
		var err error
		path := filepath.Join(t.TempDir(), "journal.db")
		synctest.Test(t, func(t *testing.T) {
			w := &world{t: t, path: path, version: "m1", crm: newFake(time.Now)}
			w.open()
			w.start()
			w.play(script)
			w.settle()
			if err = w.wantEmptyPlan(); err == nil {
				err = w.replayEdit(notes, mode, byHand)
			}
			w.stop()
			if e := w.journal.Close(); e != nil {
				t.Error(e)
			}
		})
		if err != nil {
			rt.Fatal(err)
		}
	})
}

func (w *world) wantEmptyPlan() error {
	plans, err := w.plan()
	if err != nil {
		return err
	}
	for _, p := range plans {
		if p.Writes() {
			return fmt.Errorf("%s is settled, and still there is a plan: %+v", p.CallID, p)
		}
	}
	return nil
}

// replayEdit edits the mapping so that it gives the calls a remark, and replays
// what that changes. byHand: somebody has written remarks already.
func (w *world) replayEdit(notes map[string]string, mode crm.WriteMode, byHand bool) error {
	w.crm.mu.Lock()
	w.crm.fault = nil
	w.crm.mu.Unlock()
	if byHand {
		for _, ref := range w.crm.live("calls") {
			w.crm.edit(ref, "remark", "mine")
		}
	}
	w.version, w.remarks, w.remarkMode = "m2", notes, mode
	plans, err := w.plan()
	if err != nil {
		return err
	}
	planned := map[crm.Ref]bool{}
	var changed []string
	for _, p := range plans {
		if p.Writes() {
			changed = append(changed, p.CallID)
		}
		for _, r := range p.Records {
			if r.Op != callsync.None {
				planned[crm.Ref{Object: r.Object, ID: r.ID}] = true
			}
		}
	}
	w.crm.wrote()
	w.resync(store.Request{Lane: store.Replay}, changed...)
	written := map[crm.Ref]bool{}
	for _, c := range w.crm.wrote() {
		if names := slices.Collect(maps.Keys(c.Properties)); c.Op != crm.Update || !slices.Equal(names, []string{"remark"}) {
			return fmt.Errorf("a replay of an edited remark wrote %+v", c)
		}
		written[crm.Ref{Object: c.Object, ID: c.ID}] = true
	}
	if kept := byHand && mode != crm.Always; kept && len(written) > 0 {
		return fmt.Errorf("remarks made by hand were overwritten: %v", written)
	} else if !kept && !maps.Equal(planned, written) {
		return fmt.Errorf("planned %v, wrote %v", planned, written)
	}
	return w.wantEmptyPlan()
}

// New calls go before replayed ones, however many there are.
func TestLiveCallsOvertakeAReplay(t *testing.T) {
	inWorld(t, func(w *world) {
		const calls = 500
		var ids []string
		for i := range calls {
			ids = append(ids, fmt.Sprintf("c%d", i))
			w.deliver(call(ids[i], "phoneNumber", fmt.Sprintf("+1555123%04d", i), "callResult", result("x")))
		}
		w.settle()
		w.crm.wrote()
		// The CRM takes its time, so that the new call comes in half way.
		w.crm.mu.Lock()
		w.crm.fault = func(string) (error, bool) { time.Sleep(time.Second); return nil, false }
		w.crm.mu.Unlock()
		w.version, w.remarkMode, w.remarks = "m2", crm.Always, map[string]string{}
		for _, id := range ids {
			w.remarks[id] = "new"
		}
		if _, err := w.journal.Request(w.t.Context(), dest, ids, store.Request{At: time.Now(), Lane: store.Replay}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1500 * time.Millisecond) // the first batch is on its way
		if b, err := w.journal.Backlog(w.t.Context(), dest, time.Now()); err != nil || b.Replay < calls-100 || b.Live != 0 {
			t.Fatalf("%+v %v", b, err)
		}
		w.deliver(call("live", "phoneNumber", ann, "callResult", result("x")))
		w.settle()
		writes := w.crm.wrote()
		at := slices.IndexFunc(writes, func(c crm.Change) bool { return strings.HasPrefix(c.Key, "live#") })
		if at < 0 || at > 250 || len(writes) < calls {
			t.Errorf("the new call was write %d of %d", at, len(writes))
		}
	})
}
