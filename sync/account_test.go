package sync_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
	callsync "github.com/callsync/callsync/sync"
)

// An accountCRM is a CRM whose connector asks a guard before it does anything.
type accountCRM struct {
	*fakeCRM
	id      string
	unknown error // why the CRM does not answer which account it is
	guard   *callsync.Guard
}

func (a *accountCRM) admit(ctx context.Context) error {
	if a.unknown != nil {
		return a.guard.Admit(ctx, "", a.unknown)
	}
	return a.guard.Admit(ctx, a.id, nil)
}

func (a *accountCRM) Status() crm.Status {
	if a.unknown != nil {
		return crm.Status{}
	}
	return crm.Status{Account: a.id}
}

func (a *accountCRM) Ready(ctx context.Context) error {
	if err := a.admit(ctx); err != nil {
		return err
	}
	return a.fakeCRM.Ready(ctx)
}

func (a *accountCRM) Read(ctx context.Context, refs []crm.Ref, names []string) ([]crm.Snapshot, error) {
	if err := a.admit(ctx); err != nil {
		return nil, err
	}
	return a.fakeCRM.Read(ctx, refs, names)
}

// in has the world's loop work in an account, as after a restart with its token.
func (w *world) in(a *accountCRM) {
	w.stop()
	a.guard = callsync.NewGuard(dest, w.journal, nil)
	w.crm = a.fakeCRM
	w.loop = callsync.New(callsync.Options{
		Name: dest, Type: "fake", Journal: w.journal, Destination: a, Guard: a.guard,
		Mapping: func() callsync.Mapping { return rules{w} },
	})
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	loop := w.loop
	go func() {
		defer close(done)
		if err := loop.Greeted(ctx, a.Ready(ctx)); err != nil {
			w.t.Errorf("greeted: %v", err)
		}
		if err := loop.Run(ctx); err != nil {
			w.t.Errorf("loop: %v", err)
		}
	}()
	w.stop = func() { cancel(); <-done }
}

func newAccountCRM(id string) *accountCRM { return &accountCRM{fakeCRM: newFake(time.Now), id: id} }

func (w *world) wantAccount(want string) {
	w.t.Helper()
	got, err := w.journal.Get(w.t.Context(), "account/"+dest)
	if right := got == "" && want == "" || want != "" && strings.Contains(got, `"account":"`+want+`"`); err != nil || !right {
		w.t.Errorf("the journal keeps %q, %v; want account %q", got, err, want)
	}
}

func (w *world) wantForgotten(want int64) {
	w.t.Helper()
	if s, err := w.journal.Stats(w.t.Context()); err != nil || s.Forgotten[dest] != want {
		w.t.Errorf("%d calls are said to be of a forgotten account, %v; want %d", s.Forgotten[dest], err, want)
	}
}

// strangers are people and records of another account under the ids that the first
// one gives out.
func strangers(f *fakeCRM) {
	for i := range 9 {
		for _, object := range []string{"contacts", "calls", "tasks"} {
			f.records[crm.Ref{Object: object, ID: string(rune('1' + i))}] = &fakeRecord{props: map[string]string{"email": "stranger@example.com"}}
		}
	}
	f.next = 9
}

func TestAnotherAccountIsRefused(t *testing.T) {
	inWorld(t, func(w *world) {
		first, second := newAccountCRM("4242"), newAccountCRM("7781")
		strangers(second.fakeCRM)
		w.in(first)
		w.wantAccount("") // nothing is written yet
		w.deliver(call("c1", "phoneNumber", ann, "title", "old", "callResult", result("x", "task")))
		w.settle()
		w.wantStatus("c1", store.Synced)
		w.wantAccount("4242")

		w.in(second)
		time.Sleep(time.Minute) // it shows before any call is due
		h := w.loop.Health()
		if h.Phase != callsync.Blocked || h.Kind != crm.OtherAccount || !h.Until.IsZero() {
			t.Errorf("health %+v", h)
		}
		for _, want := range []string{"4242", "7781"} {
			if !strings.Contains(h.Reason, want) || !strings.Contains(h.Hint, want) {
				t.Errorf("account %s is not named: %s; %s", want, h.Reason, h.Hint)
			}
		}
		w.deliver(call("c1", "phoneNumber", ann, "title", "new", "callResult", result("y", "task")), call("c2", "phoneNumber", bob, "callResult", result("x")))
		time.Sleep(time.Hour)
		if len(second.calls) != 0 {
			t.Errorf("operations in the other account: %v", second.calls)
		}
		if err := w.loop.Unpause(w.t.Context()); err != nil {
			t.Error(err)
		}
		if h := w.loop.Health(); h.Kind != crm.OtherAccount {
			t.Errorf("after an unpause: %+v", h)
		}
		for id := range map[string]bool{"c1": true, "c2": true} {
			if s := w.state(id); s.Status != store.Pending || s.Attempts != 0 {
				t.Errorf("%s is %s after %d attempts", id, s.Status, s.Attempts)
			}
		}
		if _, err := w.loop.Verify(w.t.Context(), []string{"c1"}); err != nil {
			t.Errorf("verify looks at nothing of a call on its way: %v", err)
		}
		if _, err := w.loop.Undo(w.t.Context(), "c1"); crm.KindOf(err) != crm.OtherAccount {
			t.Errorf("undo: %v", err)
		}
		w.wantAccount("4242")

		w.in(first) // the right token again
		w.settle()
		w.wantStatus("c1", store.Synced)
		w.wantStatus("c2", store.Synced)
		w.wantLive("calls", 2)
		if len(second.writes) != 0 {
			t.Errorf("written to the other account: %v", second.writes)
		}
	})
}

// One whose connector does not ask the guard is still compared before a round.
func TestAnotherAccountIsRefusedRoundByRound(t *testing.T) {
	inWorld(t, func(w *world) {
		w.in(newAccountCRM("4242"))
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x")))
		w.settle()
		w.stop()
		second := newFake(time.Now)
		w.loop = callsync.New(callsync.Options{
			Name: dest, Type: "fake", Journal: w.journal, Destination: named{second, "7781"}, Guard: callsync.NewGuard(dest, w.journal, nil),
			Mapping: func() callsync.Mapping { return rules{w} },
		})
		ctx, cancel := context.WithCancel(w.t.Context())
		done := make(chan error)
		go func() { done <- w.loop.Run(ctx) }()
		w.deliver(call("c2", "phoneNumber", bob, "callResult", result("x")))
		time.Sleep(time.Hour)
		if h := w.loop.Health(); h.Kind != crm.OtherAccount || len(second.calls) != 0 {
			t.Errorf("health %+v, operations %v", h, second.calls)
		}
		cancel()
		w.stop = func() { <-done }
	})
}

type named struct {
	*fakeCRM
	account string
}

func (n named) Status() crm.Status { return crm.Status{Account: n.account} }

// While the CRM does not say which account it is, nothing is learnt, and nothing is
// read or written by what is remembered of the one that is known; then it goes on.
func TestAccountNotAnswered(t *testing.T) {
	inWorld(t, func(w *world) {
		a := newAccountCRM("4242")
		a.unknown = &crm.Error{Kind: crm.Transient, Op: "account read", Status: 502}
		w.in(a)
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x")))
		w.settle() // nothing is remembered that could be another account's
		w.wantStatus("c1", store.Synced)
		w.wantAccount("")

		a.unknown = nil
		w.deliver(call("c2", "phoneNumber", ann, "callResult", result("x")))
		w.settle()
		w.wantAccount("4242")

		again := &accountCRM{fakeCRM: a.fakeCRM, id: "4242", unknown: a.unknown}
		again.unknown = &crm.Error{Kind: crm.Transient, Op: "account read", Status: 502}
		w.in(again)
		w.crm.wrote()
		w.deliver(call("c3", "phoneNumber", ann, "callResult", result("x")))
		time.Sleep(time.Hour)
		if h := w.loop.Health(); h.Phase != callsync.Broken || len(w.crm.wrote()) > 0 {
			t.Errorf("health %+v", h)
		}
		again.unknown = nil
		w.settle()
		w.wantStatus("c3", store.Synced)

		silent := &accountCRM{fakeCRM: a.fakeCRM} // and never tells
		w.in(silent)
		w.deliver(call("c4", "phoneNumber", ann, "callResult", result("x")))
		w.settle()
		w.wantStatus("c4", store.Synced)
		w.wantAccount("4242")
	})
}

// A journal from before accounts were noted learns its own at the next start.
func TestAccountIsLearntAtTheStart(t *testing.T) {
	inWorld(t, func(w *world) {
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x")))
		w.settle()
		w.wantAccount("")
		w.stop()
		w.damage("row", func(k []byte) bool { return k[10] == 'c' }) // the call cannot be read, and is there
		w.stop = func() {}
		w.in(&accountCRM{fakeCRM: w.crm, id: "4242"})
		time.Sleep(time.Second)
		w.wantAccount("4242")
	})
}

// A plan may be made with a token that is being tried out.
func TestPlanLearnsNoAccount(t *testing.T) {
	inWorld(t, func(w *world) {
		w.in(newAccountCRM("100"))
		if err := w.loop.Pause(w.t.Context(), "planning"); err != nil {
			t.Fatal(err)
		}
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x")))
		if _, err := w.loop.PlanLive(w.t.Context(), w.works("c1")); err != nil {
			t.Fatal(err)
		}
		w.wantAccount("")
	})
}

func TestAdopt(t *testing.T) {
	inWorld(t, func(w *world) {
		first, second := newAccountCRM("4242"), newAccountCRM("7781")
		strangers(second.fakeCRM)
		w.in(first)
		for i := range 250 { // more than one portion
			w.deliver(call(fmt.Sprintf("many.%d", i), "phoneNumber", ann, "callResult", result("x")))
		}
		w.deliver(call("c1", "phoneNumber", ann, "title", "old", "callResult", result("x", "task")), call("c2", "phoneNumber", bob, "callResult", result("x")))
		w.settle()
		if _, err := w.loop.Undo(w.t.Context(), "c2"); err != nil {
			t.Fatal(err)
		}
		w.in(second)
		w.deliver(call("c3", "phoneNumber", ann, "callResult", result("x")))
		time.Sleep(time.Minute)

		var other *callsync.OtherAccountNamed
		if _, err := w.loop.Adopt(w.t.Context(), "4242", nil); !errors.As(err, &other) || other.Account != "7781" {
			t.Errorf("the wrong account: %v", err)
		}
		w.wantAccount("4242")
		told := 0
		want := callsync.Adoption{Destination: dest, Account: "7781", Before: "4242", Calls: 252, Records: 253, People: 1}
		before := w.state("c1")
		plan, err := w.loop.AdoptPlan(w.t.Context(), "7781", nil)
		if err != nil || *plan != want {
			t.Errorf("planned %+v, %v; want %+v", plan, err, want)
		}
		if now := w.state("c1"); before.Person == nil || now.Person == nil || w.loop.Health().Kind != crm.OtherAccount {
			t.Errorf("a plan changes c1: %+v", now)
		}
		w.wantAccount("4242")
		got, err := w.loop.Adopt(w.t.Context(), "7781", func(n int) { told = n })
		if err != nil {
			t.Fatal(err)
		}
		// c2 was undone: its record is known as gone, and its person was archived.
		if *got != want || told != 253 {
			t.Errorf("adopted %+v, %d told of; want %+v", *got, told, want)
		}
		w.wantAccount("7781")
		if len(second.writes) > 0 {
			t.Errorf("forgetting wrote %v", second.writes)
		}

		w.wantForgotten(251) // not c2, which was taken back, nor c3, which is on its way
		w.settle()           // c3 was on its way, and goes to the new account; nothing else does
		w.wantStatus("c3", store.Synced)
		w.wantLive("calls", 9+1)
		w.wantLive("contacts", 9+1)
		if s := w.state("c1"); s.Status != store.Synced || s.Person != nil || !strings.Contains(s.Reason, "4242") {
			t.Errorf("c1: %+v", s)
		}
		w.wantStatus("c2", store.Skipped)

		// A correction writes the call as if for the first time, on the right person.
		w.deliver(call("c1", "phoneNumber", ann, "title", "new", "callResult", result("y", "task")))
		w.settle()
		w.wantLive("calls", 9+2)
		w.wantLive("contacts", 9+1)
		w.wantLive("tasks", 9+1)
		for ref, rec := range second.records {
			if rec.props["email"] == "stranger@example.com" && len(rec.props) > 1 {
				t.Errorf("a stranger's %s was written: %v", ref, rec.props)
			}
		}
		if s := w.state("c1"); s.Reason != "" {
			t.Errorf("c1 still says %q", s.Reason)
		}
		w.wantForgotten(250)
		v, err := w.loop.Verify(w.t.Context(), []string{"c1", "c3", "many.1", "many.2"})
		if err != nil || v.Forgotten != 2 || len(v.Drifts) > 0 {
			t.Errorf("verified %+v, %v", v, err)
		}
		if _, err := w.journal.Erase(w.t.Context(), store.Erasure{Calls: []string{"many.1"}}); err != nil {
			t.Fatal(err)
		}
		w.wantForgotten(249)

		if got, err := w.loop.Adopt(w.t.Context(), "7781", nil); err != nil || got.Before != "" || got.Calls != 0 {
			t.Errorf("once more: %+v, %v", got, err)
		}
		w.in(first)
		time.Sleep(time.Minute)
		if h := w.loop.Health(); h.Kind != crm.OtherAccount {
			t.Errorf("the old account is refused now, but: %+v", h)
		}
	})
}

// Broken off, it is the new account's by half: neither is used until it is finished.
func TestAdoptGoesOn(t *testing.T) {
	inWorld(t, func(w *world) {
		first, second := newAccountCRM("4242"), newAccountCRM("7781")
		w.in(first)
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x", "task")))
		w.settle()
		w.in(second)
		time.Sleep(time.Second)
		w.journal.dieIn.Store(0)
		if _, err := w.loop.Adopt(w.t.Context(), "7781", nil); !errors.Is(err, errDied) {
			t.Fatalf("adopt: %v", err)
		}
		w.journal.dieIn.Store(-1)

		w.in(first)
		w.deliver(call("c2", "phoneNumber", ann, "callResult", result("x")))
		time.Sleep(time.Minute)
		h := w.loop.Health()
		if h.Kind != crm.OtherAccount || !strings.Contains(h.Hint, "--account 7781") {
			t.Errorf("health %+v", h)
		}
		w.in(second)
		time.Sleep(time.Second)
		if got, err := w.loop.Adopt(w.t.Context(), "7781", nil); err != nil || got.Calls != 1 {
			t.Errorf("adopted %+v, %v", got, err)
		}
		w.settle()
		w.wantStatus("c2", store.Synced)
		w.wantLive("calls", 1)
	})
}

// A call that cannot be read does not keep the account before from being forgotten.
func TestAdoptPassesOverWhatIsDamaged(t *testing.T) {
	for name, row := range map[string]byte{"the call": 'c', "a record": 'k', "the state": 's'} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.in(newAccountCRM("4242"))
				w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x")))
				w.settle()
				w.deliver(call("c2", "phoneNumber", bob, "callResult", result("x")))
				w.settle()
				w.stop()
				const kind = 10 // behind the call's place
				damaged := false
				w.damage("row", func(k []byte) bool {
					first := k[kind] == row && !damaged
					damaged = damaged || first
					return first
				})
				w.stop = func() {}
				second := newAccountCRM("7781")
				strangers(second.fakeCRM)
				w.in(second)
				time.Sleep(time.Second)
				if _, err := w.loop.Adopt(w.t.Context(), "7781", nil); err != nil {
					t.Fatal(err)
				}
				w.deliver(call("c2", "phoneNumber", bob, "callResult", result("y")))
				w.settle()
				w.wantStatus("c2", store.Synced)
				for _, c := range second.wrote() {
					if c.Op != crm.Create {
						t.Errorf("what is somebody else's was written to: %v", c)
					}
				}
			})
		})
	}
}

// What a connector has found out about an account is not believed of another.
func TestFactsAreAnAccounts(t *testing.T) {
	inWorld(t, func(w *world) {
		ctx := w.t.Context()
		fact := func(g *callsync.Guard, want string) {
			t.Helper()
			if got, err := g.Memory().Get(ctx, "unique"); err != nil || got != want {
				t.Errorf("remembered %q, %v; want %q", got, err, want)
			}
		}
		if err := w.journal.Set(ctx, "memory/"+dest+"/unique", "old"); err != nil {
			t.Fatal(err)
		}
		g := callsync.NewGuard(dest, w.journal, nil)
		fact(g, "old") // from before accounts were told apart
		if err := g.Admit(ctx, "4242", nil); err != nil {
			t.Fatal(err)
		}
		fact(g, "old")
		if err := g.Memory().Set(ctx, "unique", "yes"); err != nil {
			t.Fatal(err)
		}
		fact(g, "yes")

		w.in(newAccountCRM("4242"))
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x")))
		w.settle()
		second := newAccountCRM("7781")
		w.in(second)
		time.Sleep(time.Second)
		if _, err := w.loop.Adopt(ctx, "7781", nil); err != nil {
			t.Fatal(err)
		}
		fact(second.guard, "")
	})
}

// A CRM that is not set up says so before there is anything to write, after an unpause
// as well, and goes on by itself once it is.
func TestWhatIsNotSetUpShows(t *testing.T) {
	inWorld(t, func(w *world) {
		missing := &crm.Error{Kind: crm.NotReady, Op: "ready", Message: "no keys", Hint: "run `callsync setup`"}
		blocked := func(want bool) {
			t.Helper()
			time.Sleep(time.Second)
			if h := w.loop.Health(); want != (h.Phase == callsync.Blocked && h.Kind == crm.NotReady && h.Hint == missing.Hint) {
				t.Errorf("health %+v; not set up: %v", h, want)
			}
		}
		set := func(err error) {
			w.crm.mu.Lock()
			defer w.crm.mu.Unlock()
			w.crm.ready = err
		}
		fresh := newAccountCRM("4242")
		fresh.ready = missing
		w.in(fresh)
		blocked(true)
		w.wantAccount("")
		if err := w.loop.Unpause(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		blocked(true)
		time.Sleep(time.Hour)
		blocked(true)
		set(nil)
		time.Sleep(2 * time.Minute)
		blocked(false)
		w.wantAccount("") // nothing is written yet

		set(missing) // somebody took them away, and reloads
		w.loop.Ask()
		blocked(true)
		set(nil)
		if err := w.loop.Unpause(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		blocked(false)

		set(missing)
		if err := w.loop.Pause(w.t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		if err := w.loop.Unpause(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		blocked(true)
		set(&crm.Error{Kind: crm.Transient, Op: "ready", Status: 502}) // it does not answer
		time.Sleep(time.Hour)
		blocked(true)
		set(nil)
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x")))
		time.Sleep(5 * time.Minute)
		w.wantStatus("c1", store.Synced)
		if h := w.loop.Health(); h.Phase != callsync.Running {
			t.Errorf("health %+v", h)
		}
	})
}
