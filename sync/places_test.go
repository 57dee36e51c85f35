package sync_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// correct has the call say something new, with these tasks.
func (w *world) correct(tasks ...string) {
	w.t.Helper()
	serial++
	w.deliver(call("c1", "phoneNumber", ann, "serial", serial, "callResult", result("x", tasks...)))
	w.settle()
	w.wantStatus("c1", store.Synced)
}

// tasks are the live tasks by what they say. Those that are alike count once.
func (w *world) tasks() map[string]crm.Ref {
	by := map[string]crm.Ref{}
	for _, ref := range w.crm.live("tasks") {
		by[w.crm.props(ref)["subject"]] = ref
	}
	return by
}

// A task that somebody works on stays that task, whatever a correction does to
// the others of its call.
func TestTasksAreKnownAgain(t *testing.T) {
	for name, x := range map[string]struct {
		was, is []string
		same    map[string]string // by what the task says now, what it said
	}{
		"the first goes":        {[]string{"offer", "invite"}, []string{"invite"}, map[string]string{"invite": "invite"}},
		"one comes first":       {[]string{"offer"}, []string{"call", "offer"}, map[string]string{"offer": "offer"}},
		"they change places":    {[]string{"offer", "invite"}, []string{"invite", "offer"}, map[string]string{"offer": "offer", "invite": "invite"}},
		"one for another":       {[]string{"offer", "invite"}, []string{"invite", "call"}, map[string]string{"invite": "invite"}},
		"other words":           {[]string{"offer", "invite"}, []string{"offer by mail", "invite"}, map[string]string{"offer by mail": "offer", "invite": "invite"}},
		"other words, moved on": {[]string{"offer", "invite"}, []string{"offer by mail", "call", "invite"}, map[string]string{"offer by mail": "offer", "invite": "invite"}},
		"other words for all":   {[]string{"offer", "invite"}, []string{"offer by mail", "invite by mail"}, map[string]string{"offer by mail": "offer", "invite by mail": "invite"}},
		"one is done":           {[]string{"offer"}, []string{"done: offer", "invite"}, nil},
		"one of two is done":    {[]string{"offer", "invite"}, []string{"done: offer", "invite"}, map[string]string{"invite": "invite"}},
		"alike":                 {[]string{"call", "call", "offer"}, []string{"call", "offer"}, map[string]string{"offer": "offer"}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.correct(x.was...)
				before := w.tasks()
				w.correct(x.is...)
				w.wantLive("tasks", len(slices.DeleteFunc(slices.Clone(x.is), func(s string) bool { return strings.HasPrefix(s, "done: ") })))
				now := w.tasks()
				for is, was := range x.same {
					if now[is] != before[was] {
						t.Errorf("%q is %v, and was %v as %q", is, now[is], before[was], was)
					}
				}
				for said, ref := range before {
					if !slices.Contains(slices.Collect(maps.Values(x.same)), said) && said != "call" {
						if w.crm.props(ref) != nil && slices.Contains(w.crm.live("tasks"), ref) {
							t.Errorf("%q became %q", said, w.crm.props(ref)["subject"])
						}
					}
				}
				w.crm.wrote()
				w.resync(store.Request{}, "c1")
				if got := w.changed(); got != "" {
					t.Errorf("a resync of the same wrote %s", got)
				}
			})
		})
	}
}

// A task on which somebody worked stays when the call is corrected not to have it,
// and is that task still when another correction has it again.
func TestEditedTaskIsKept(t *testing.T) {
	inWorld(t, func(w *world) {
		w.keepEdited = true
		w.correct("offer", "invite", "call")
		offer := w.tasks()["offer"]
		w.crm.edit(offer, "status", "done")
		w.correct("call")
		if got := w.tasks(); len(got) != 2 || got["offer"] != offer {
			t.Errorf("the tasks are %v, want offer and call", got)
		}
		if warnings := strings.Join(w.state("c1").Warnings, ", "); !strings.Contains(warnings, "a person has changed it") {
			t.Errorf("warnings %q", warnings)
		}
		w.crm.wrote()
		w.resync(store.Request{}, "c1")
		if got := w.changed(); got != "" {
			t.Errorf("a resync wrote %s", got)
		}
		w.correct("call", "offer")
		w.wantLive("tasks", 2)
		w.wantProp(offer, "status", "done")
		if w.tasks()["offer"] != offer {
			t.Error("offer is another record now")
		}
	})
}

// It goes when the call turns out to have been somebody else's.
func TestEditedTaskOfSomebodyElse(t *testing.T) {
	inWorld(t, func(w *world) {
		w.keepEdited = true
		w.correct("offer")
		w.crm.edit(w.tasks()["offer"], "status", "done")
		w.deliver(call("c1", "phoneNumber", bob, "callResult", result("x")))
		w.settle()
		w.wantLive("tasks", 0)
	})
}

// A task whose creation was refused, and which a correction drops while the others
// move up, leaves nothing in the journal.
func TestDroppedBeforeItWasMade(t *testing.T) {
	inWorld(t, func(w *world) {
		w.refuse(func(c crm.Change) error {
			if c.Object == "tasks" {
				return &crm.Error{Kind: crm.Transient, Op: "create", Message: "refused"}
			}
			return nil
		})
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x", "offer", "invite")))
		time.Sleep(time.Second)
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x", "invite")))
		time.Sleep(time.Second)
		w.refuse(nil)
		w.settle()
		works, err := w.journal.Load(w.t.Context(), dest, []string{"c1"})
		if err != nil {
			t.Fatal(err)
		}
		for key, row := range works[0].Records {
			if row.ID == "" {
				t.Errorf("the journal still has %s: %+v", key, row)
			}
		}
		w.wantLive("tasks", 1)
	})
}

// A task that somebody deleted does not take another with it.
func TestDeletedTaskTakesNoOther(t *testing.T) {
	inWorld(t, func(w *world) {
		w.correct("offer", "invite")
		w.crm.remove(w.tasks()["offer"])
		invite := w.tasks()["invite"]
		w.correct("invite")
		if got := w.tasks(); len(got) != 1 || got["invite"] != invite {
			t.Errorf("the tasks are %v, want invite as %v", got, invite)
		}
		w.correct("invite", "call")
		w.wantLive("tasks", 2)
		w.correct("offer", "invite", "call") // which somebody deleted
		w.wantLive("tasks", 2)
		w.correct("offer", "invite", "call", "call")
		w.wantLive("tasks", 3)
	})
}

// A correction that did not reach the records, because the call was taken back or
// its contact was gone, is still one when the call is written again: its tasks are
// known by what they say, and what it dropped is archived.
func TestCorrectionThatWasPutOff(t *testing.T) {
	t.Run("undone", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.correct("offer", "invite")
			w.crm.remove(w.tasks()["offer"])
			if err := w.loop.Pause(w.t.Context(), "for the undo"); err != nil {
				t.Fatal(err)
			}
			w.deliver(call("c1", "phoneNumber", ann, "callResult", result("y", "invite")))
			w.crm.wrote()
			w.undo("c1")
			if err := w.loop.Unpause(w.t.Context()); err != nil {
				t.Fatal(err)
			}
			w.resync(store.Request{Redo: true}, "c1")
			w.wantStatus("c1", store.Synced)
			if w.tasks()["invite"].IsZero() {
				t.Error("invite was taken for the task that somebody deleted")
			}
		})
	})
	t.Run("skipped", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.correct("offer", "invite")
			invite := w.tasks()["invite"]
			contact := w.wantLive("contacts", 1)[0]
			w.crm.remove(contact)
			w.deliver(call("c1", "phoneNumber", ann, "nocreate", "yes", "callResult", result("y", "invite")))
			w.settle()
			w.wantStatus("c1", store.Skipped)
			w.crm.records[contact].gone = false
			w.resync(store.Request{}, "c1")
			w.wantStatus("c1", store.Synced)
			if got := w.wantLive("tasks", 1)[0]; got != invite {
				t.Errorf("invite is %v, and was %v", got, invite)
			}
		})
	})
}

// Whatever corrections do, and however often the daemon starts anew between them,
// a task that stays in the list stays the record it was.
func TestTasksStayThroughCorrections(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		lists := rapid.SliceOfN(todo(), 2, 8).Draw(rt, "lists")
		path := filepath.Join(t.TempDir(), "journal.db")
		var wrong string
		synctest.Test(t, func(t *testing.T) {
			w := &world{t: t, path: path, version: "m1", crm: newFake(time.Now)}
			w.open()
			w.start()
			for i, list := range lists {
				before := w.tasks()
				w.correct(list...)
				now := w.tasks()
				var said []string
				for _, ref := range w.crm.live("tasks") {
					said = append(said, w.crm.props(ref)["subject"])
				}
				if !slices.Equal(slices.Sorted(slices.Values(said)), slices.Sorted(slices.Values(list))) {
					wrong = fmt.Sprintf("after %d the tasks are %q, want %q", i, said, list)
					break
				}
				for _, text := range list {
					once := i > 0 && count(lists[i-1], text) == 1 && count(list, text) == 1
					if once && before[text] != now[text] {
						wrong = fmt.Sprintf("after %d, %q became another record", i, text)
					}
				}
				if i%2 == 1 {
					w.resync(store.Request{}, "c1")
				}
			}
			w.stop()
			if err := w.journal.Close(); err != nil {
				t.Error(err)
			}
		})
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
}

var serial int

// refuse has the CRM refuse changes while the loop runs.
func (w *world) refuse(f func(crm.Change) error) {
	w.crm.mu.Lock()
	defer w.crm.mu.Unlock()
	w.crm.refuse = f
}

func count(list []string, text string) (n int) {
	for _, x := range list {
		if x == text {
			n++
		}
	}
	return n
}

// imported is another journal on the same CRM, in which the calls of the first
// arrive at once, with all their corrections.
func (w *world) imported(payloads ...payload) *world {
	w.t.Helper()
	w.stop()
	other := &world{t: w.t, path: filepath.Join(w.t.TempDir(), "other.db"), version: w.version, crm: w.crm}
	other.open()
	other.deliver(payloads...)
	other.start()
	other.settle()
	return other
}

// A journal into which a call is imported knows its records in the CRM for those
// of the same items, however they were moved before.
func TestImportedTasksStay(t *testing.T) {
	inWorld(t, func(w *world) {
		w.crm.unique = true
		var all []payload
		for i, tasks := range [][]string{
			{"offer", "review", "call"}, {"offer", "review", "ring"}, {"review", "ring", "offer"}, {"mail", "offer", "review", "ring"}, {"ring", "mail", "offer", "post"},
		} {
			p := call("c1", "phoneNumber", ann, "serial", i, "callResult", result("x", tasks...))
			all = append(all, p)
			w.deliver(p)
			w.settle()
		}
		before := w.tasks()
		other := w.imported(all...)
		defer other.close()
		if now := other.tasks(); !maps.Equal(now, before) {
			t.Errorf("the tasks are %v, were %v", now, before)
		}
		other.wantLive("tasks", 4)
		other.deliver(call("c1", "phoneNumber", ann, "serial", 9, "callResult", result("x", "ring", "offer", "post")))
		other.settle()
		delete(before, "mail")
		if now := other.tasks(); !maps.Equal(now, before) {
			t.Errorf("after another correction the tasks are %v, want %v", now, before)
		}
	})
}

// A journal restored from before a task was added makes it no second time.
func TestRestoredTasksStay(t *testing.T) {
	inWorld(t, func(w *world) {
		w.crm.unique = true
		w.correct("offer", "invite")
		w.close()
		backup, err := os.ReadFile(w.path)
		if err != nil {
			t.Fatal(err)
		}
		w.open()
		w.start()
		w.correct("bill", "offer", "invite", "call")
		before := w.tasks()
		w.close()
		if err := os.WriteFile(w.path, backup, 0o600); err != nil {
			t.Fatal(err)
		}
		w.open()
		w.start()
		w.correct("thank", "bill", "offer", "call", "invite")
		now := w.tasks()
		delete(now, "thank")
		if !maps.Equal(now, before) {
			t.Errorf("the tasks are %v, were %v", now, before)
		}
		w.wantLive("tasks", 5)
	})
}

func (w *world) close() {
	w.t.Helper()
	w.stop()
	if err := w.journal.Close(); err != nil {
		w.t.Fatal(err)
	}
}
