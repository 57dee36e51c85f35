package sync_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
	callsync "github.com/callsync/callsync/sync"
)

// A live plan goes on as the sync does once it has learnt that the contact is
// gone, also while the CRM's search still shows them, or was merged.
func TestPlanLiveGoesOnAsTheSync(t *testing.T) {
	for name, ghost := range map[string]time.Duration{"the search has caught up": 0, "the search still shows them": time.Minute} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.deliver(call("c1", "phoneNumber", ann, "first", "Ann", "callResult", result("x")))
				w.settle()
				w.crm.removeUnseen(w.wantLive("contacts", 1)[0], ghost)
				w.crm.wrote()
				if err := w.loop.Pause(w.t.Context(), "planning"); err != nil {
					t.Fatal(err)
				}
				w.deliver(call("c1", "phoneNumber", ann, "first", "Anna", "callResult", result("x")))
				want := []string{
					"person create /",
					"  phone:  → " + ann + " ()",
					"  first:  → Anna ()",
					"c1#call none (linked to the contact that is created)",
				}
				if diff := cmp.Diff(want, w.live("c1")); diff != "" {
					t.Errorf("live plan:\n%s", diff)
				}
				if err := w.loop.Unpause(w.t.Context()); err != nil {
					t.Fatal(err)
				}
				w.settle()
				w.wantStatus("c1", store.Synced)
				w.wantProp(w.wantLive("contacts", 1)[0], "first", "Anna")
			})
		})
	}
}

// Of somebody who was merged, the plan is about whom they became.
func TestPlanLiveFollowsAMerge(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "score", "hot", "callResult", result("x")))
		w.settle()
		old, into := w.wantLive("contacts", 1)[0], crm.Ref{Object: "contacts", ID: "900"}
		w.crm.records[into] = &fakeRecord{props: map[string]string{"phone": ann, "score": "hot"}}
		w.crm.records[old].gone, w.crm.records[old].mergedTo = true, into
		w.crm.wrote()
		if err := w.loop.Pause(w.t.Context(), "planning"); err != nil {
			t.Fatal(err)
		}
		w.deliver(call("c1", "phoneNumber", ann, "score", "hotter", "callResult", result("x")))
		if got := w.live("c1"); got[0] != "person update contacts/900" {
			t.Errorf("live plan: %q", got)
		}
	})
}

// A search that still shows somebody who is gone is asked again when it may have
// caught up, not at once, and the log says why the call is tried again.
func TestStaleSearchIsLeftToCatchUp(t *testing.T) {
	inWorld(t, func(w *world) {
		var log bytes.Buffer
		w.stop()
		w.startWith(callsync.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		w.deliver(call("c1", "phoneNumber", ann, "first", "Ann", "callResult", result("x")))
		w.settle()
		w.crm.removeUnseen(w.wantLive("contacts", 1)[0], 4*time.Second)
		w.crm.asked("find")
		w.deliver(call("c1", "phoneNumber", ann, "first", "Anna", "callResult", result("x")))
		w.settle()
		w.wantStatus("c1", store.Synced)
		w.wantProp(w.wantLive("contacts", 1)[0], "first", "Anna")
		if n := w.crm.asked("find"); n != 2 {
			t.Errorf("searched %d times, want once too early and once afterwards", n)
		}
		w.stop()
		for _, why := range []string{"the contact was deleted in the CRM", "search still shows a contact"} {
			if !strings.Contains(log.String(), "status=retrying") || !strings.Contains(log.String(), why) {
				t.Errorf("the log does not say %q:\n%s", why, log.String())
			}
		}
	})
}
