package sync_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/callsync/callsync/crm"
)

// A history is calls to people of whom some were in the CRM before.
type history struct {
	people []map[string]string // properties of contacts/900, 901, …
	calls  []payload
	person []int // whose each call is
	settle []bool
}

func histories(t *rapid.T) history {
	maybe := func(what string, values ...string) string {
		return rapid.SampledFrom(append(values, "")).Draw(t, what)
	}
	var h history
	for i := range 2 {
		props := map[string]string{"phone": phoneOf(i)}
		for _, name := range []string{"first", "title", "score"} {
			if v := maybe(name, "before"); v != "" {
				props[name] = v
			}
		}
		h.people = append(h.people, props)
	}
	days := rapid.Permutation([]int{1, 2, 3, 4, 5}).Draw(t, "days")
	for i, day := range days[:rapid.IntRange(1, 5).Draw(t, "calls")] {
		person := rapid.IntRange(0, 2).Draw(t, "person")
		p := call(fmt.Sprintf("c%d", i), "phoneNumber", phoneOf(person), "scheduledAt", fmt.Sprintf("2025-01-0%dT00:00:00Z", day),
			"first", maybe("first", "a", "b"), "title", maybe("title", "a", "b"), "score", maybe("score", "a", "b"),
			"callResult", result("hello", "send offer"))
		h.calls, h.person = append(h.calls, p), append(h.person, person)
		h.settle = append(h.settle, rapid.Bool().Draw(t, "settle"))
	}
	return h
}

// play delivers the calls in a world of their own, but for the one without, and
// hands it to f.
func (h history) play(t *testing.T, without int, f func(w *world)) {
	path := filepath.Join(t.TempDir(), "journal.db")
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, path: path, version: "m1", crm: newFake(time.Now)}
		for i, props := range h.people {
			w.crm.records[person(i)] = &fakeRecord{props: maps.Clone(props)}
		}
		w.open()
		w.start()
		for i, p := range h.calls {
			if i != without {
				w.deliver(p)
			}
			if h.settle[i] {
				w.settle()
			}
		}
		w.settle()
		f(w)
		w.stop()
		if err := w.journal.Close(); err != nil {
			t.Error(err)
		}
	})
}

func person(i int) crm.Ref { return crm.Ref{Object: "contacts", ID: fmt.Sprint(900 + i)} }

// differ lists the properties of the people who were there before in which the
// CRM differs from want, but for those that excused says.
func (w *world) differ(want []map[string]string, excused map[string]bool) []string {
	var diffs []string
	for i := range want {
		got := w.crm.props(person(i))
		for _, name := range []string{"phone", "first", "title", "score"} {
			if got[name] != want[i][name] && !excused[fmt.Sprint(i, name)] {
				diffs = append(diffs, fmt.Sprintf("%s %s is %q, want %q", person(i), name, got[name], want[i][name]))
			}
		}
		if w.crm.records[person(i)].gone {
			diffs = append(diffs, person(i).String()+" was archived")
		}
	}
	return diffs
}

// undoing undoes one call and notes the properties that it says it left.
func (w *world) undoing(h history, i int, excused map[string]bool) error {
	u, err := w.loop.Undo(w.t.Context(), fmt.Sprintf("c%d", i))
	if err != nil {
		return err
	}
	for _, r := range u.Left {
		excused[fmt.Sprint(h.person[i], r.Property)] = true
	}
	return nil
}

// Undoing every call, in any order, leaves the CRM as it was before the first
// one, but for what the undos said they would leave.
func TestUndoingAllLeavesNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := histories(rt)
		order := rapid.Permutation(indexes(h.calls)).Draw(rt, "order")
		var diffs []string
		h.play(t, -1, func(w *world) {
			excused := map[string]bool{}
			for _, i := range order {
				if err := w.undoing(h, i, excused); err != nil {
					diffs = append(diffs, err.Error())
				}
				w.settle()
			}
			diffs = append(diffs, w.differ(h.people, excused)...)
			if n := len(w.crm.live("calls")) + len(w.crm.live("tasks")); n > 0 {
				diffs = append(diffs, fmt.Sprintf("%d records are left", n))
			}
			if n := len(w.crm.live("contacts")); n > 2 && !excused["2"] {
				diffs = append(diffs, "the contact that callsync created is left")
			}
		})
		if len(diffs) > 0 {
			rt.Fatal(diffs)
		}
	})
}

// Undoing one call leaves the CRM as if it had never been delivered, but for what
// the undo said it would leave.
func TestUndoIsAsIfNeverDelivered(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := histories(rt)
		i := rapid.SampledFrom(indexes(h.calls)).Draw(rt, "undone")
		want := make([]map[string]string, len(h.people))
		h.play(t, i, func(w *world) {
			for n := range want {
				want[n] = w.crm.props(person(n))
			}
		})
		var diffs []string
		h.play(t, -1, func(w *world) {
			excused := map[string]bool{}
			if err := w.undoing(h, i, excused); err != nil {
				diffs = append(diffs, err.Error())
			}
			w.settle()
			// Which of several calls fills an empty property depends on which are
			// synced together; it has to be one of them.
			for n := range want {
				if got := w.crm.props(person(n))["first"]; want[n]["first"] != "" && h.claims(n, i, got) {
					want[n]["first"] = got
				}
			}
			diffs = append(diffs, w.differ(want, excused)...)
		})
		if len(diffs) > 0 {
			rt.Fatal(diffs)
		}
	})
}

// claims reports whether a call of a person, other than the one without, wants
// their first name to be v.
func (h history) claims(person, without int, v string) bool {
	for i, p := range h.calls {
		if i != without && h.person[i] == person && p["first"] == v {
			return true
		}
	}
	return false
}

func indexes[T any](s []T) []int {
	all := make([]int, len(s))
	for i := range all {
		all[i] = i
	}
	return all
}
