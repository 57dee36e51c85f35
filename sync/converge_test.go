package sync_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// An act is one thing that happens to callsync.
type act struct {
	Kind    string // deliver, resync, force, crash, fault, pass
	Call    int
	Person  int
	Summary int
	Actions []string
	Score   int
	After   bool // a fault strikes after the commit
	N       int
}

func acts(t *rapid.T) []act {
	gen := rapid.Custom(func(t *rapid.T) act {
		return act{
			Kind:    rapid.SampledFrom([]string{"deliver", "deliver", "deliver", "deliver", "resync", "force", "crash", "fault", "pass"}).Draw(t, "kind"),
			Call:    rapid.IntRange(0, 5).Draw(t, "call"),
			Person:  rapid.IntRange(0, 2).Draw(t, "person"),
			Summary: rapid.IntRange(0, 3).Draw(t, "summary"),
			Actions: todo().Draw(t, "actions"),
			Score:   rapid.IntRange(0, 3).Draw(t, "score"),
			After:   rapid.Bool().Draw(t, "after"),
			N:       rapid.IntRange(0, 4).Draw(t, "n"),
		}
	})
	return rapid.SliceOfN(gen, 1, 25).Draw(t, "acts")
}

// todo is a list of tasks, in any order, some of them alike.
func todo() *rapid.Generator[[]string] {
	return rapid.SliceOfN(rapid.SampledFrom([]string{"offer", "call back", "invite", "invoice"}), 0, 4)
}

func phoneOf(person int) string { return fmt.Sprintf("+1555123000%d", person) }

// score is the call's claim on the contact's score; 0 is none.
func (a act) score() string {
	if a.Score == 0 {
		return ""
	}
	return fmt.Sprint(a.Score)
}

func (a act) payload(serial int) payload {
	return call(fmt.Sprintf("c%d", a.Call), "phoneNumber", phoneOf(a.Person), "score", a.score(), "serial", serial,
		"scheduledAt", fmt.Sprintf("2025-01-0%dT00:00:00Z", 1+a.Call), "callResult", result(fmt.Sprint("summary ", a.Summary), a.Actions...))
}

// Any order of deliveries, corrections, resyncs, faults and crashes ends in the
// CRM holding just what the last revision of every call says.
func TestConverges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		unique := rapid.Bool().Draw(rt, "unique keys")
		lag := time.Duration(rapid.IntRange(0, 30).Draw(rt, "lag")) * time.Second
		script := acts(rt)
		var err error
		path := filepath.Join(t.TempDir(), "journal.db")
		synctest.Test(t, func(t *testing.T) {
			w := &world{t: t, path: path, version: "m1", crm: newFake(time.Now)}
			w.crm.unique, w.crm.lag = unique, lag
			w.open()
			w.start()
			last := w.play(script)
			w.settle()
			err = w.audit(last)
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

// play runs a script and returns the last accepted act of every call.
func (w *world) play(script []act) map[int]act {
	last := map[int]act{}
	for i, a := range script {
		id := fmt.Sprintf("c%d", a.Call)
		switch a.Kind {
		case "deliver":
			w.deliver(a.payload(i))
			last[a.Call] = a
		case "resync", "force":
			if _, ok := last[a.Call]; ok {
				_, err := w.journal.Request(w.t.Context(), dest, []string{id}, store.Request{At: time.Now(), Force: a.Kind == "force"})
				if err != nil {
					w.t.Fatal(err)
				}
			}
		case "crash":
			w.crash(int64(a.N))
		case "fault":
			left := a.N
			w.crm.mu.Lock()
			w.crm.fault = func(op string) (error, bool) {
				if left == 0 {
					return nil, false
				}
				left--
				return &crm.Error{Kind: crm.Transient, Op: op, Status: 502}, a.After
			}
			w.crm.mu.Unlock()
		case "pass":
			time.Sleep(time.Duration(a.N) * 10 * time.Second)
		}
	}
	return last
}

// audit compares the CRM with what the last revisions say, knowing nothing of
// how sync works.
func (w *world) audit(last map[int]act) error {
	people := map[string]crm.Ref{}
	for _, ref := range w.crm.live("contacts") {
		phone := w.crm.props(ref)["phone"]
		if _, doubled := people[phone]; doubled {
			return fmt.Errorf("two contacts with %s", phone)
		}
		people[phone] = ref
	}
	byKey := map[string]crm.Ref{}
	todo := map[int][]string{} // live tasks by call
	for _, object := range []string{"calls", "tasks"} {
		for _, ref := range w.crm.live(object) {
			key := w.crm.records[ref].key
			if _, doubled := byKey[key]; doubled {
				return fmt.Errorf("two records %s", key)
			}
			byKey[key] = ref
			var id int
			var name string
			if _, err := fmt.Sscanf(key, "c%d#action/%s", &id, &name); err == nil {
				todo[id] = append(todo[id], key)
			}
		}
	}
	newest := map[string]act{}
	for id, a := range last {
		if n, ok := newest[phoneOf(a.Person)]; a.Score > 0 && (!ok || a.Call > n.Call) {
			newest[phoneOf(a.Person)] = a
		}
		contact, ok := people[phoneOf(a.Person)]
		if !ok {
			return fmt.Errorf("no contact for call %d", id)
		}
		wants := map[string]string{fmt.Sprintf("c%d#call", id): fmt.Sprint("summary ", a.Summary)}
		var is []string
		for _, key := range todo[id] {
			wants[key] = w.crm.props(byKey[key])["subject"]
			is = append(is, wants[key])
		}
		if !slices.Equal(slices.Sorted(slices.Values(is)), slices.Sorted(slices.Values(a.Actions))) {
			return fmt.Errorf("c%d has the tasks %q, want %q", id, is, a.Actions)
		}
		for key, text := range wants {
			ref, ok := byKey[key]
			if !ok {
				return fmt.Errorf("%s is missing", key)
			}
			delete(byKey, key)
			props := w.crm.props(ref)
			if got := props["body"] + props["subject"]; got != text {
				return fmt.Errorf("%s says %q, want %q", key, got, text)
			}
			if links := w.crm.records[ref].links; !slices.Equal(links, []crm.Ref{contact}) {
				return fmt.Errorf("%s is linked to %v, want %v", key, links, contact)
			}
		}
	}
	for key := range byKey {
		return fmt.Errorf("%s should not be there", key)
	}
	for phone, ref := range people {
		if got := w.crm.props(ref)["score"]; got != newest[phone].score() {
			return fmt.Errorf("score of %s is %q, want that of its newest call, %q", phone, got, newest[phone].score())
		}
	}
	return nil
}
