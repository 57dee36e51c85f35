package sync

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// An Adoption says what came of [Loop.Adopt].
type Adoption struct {
	Destination string `json:"destination"`
	Account     string `json:"account"`          // used from now on
	Before      string `json:"before,omitempty"` // the account that was forgotten; "" when none was
	Calls       int    `json:"calls"`            // of which something was forgotten
	Records     int    `json:"records"`          // activities, meetings and tasks forgotten
	People      int    `json:"people"`           // forgotten
}

// OtherAccountNamed is the error of [Loop.Adopt] for an account that the
// destination's token is not for. Nothing was changed.
type OtherAccountNamed struct{ Named, Account string }

func (e *OtherAccountNamed) Error() string {
	return fmt.Sprintf("the token is for account %s, not for %s; nothing was changed", e.Account, e.Named)
}

// AdoptPlan says what [Loop.Adopt] would forget, and changes nothing.
func (l *Loop) AdoptPlan(ctx context.Context, account string, tell func(calls int)) (*Adoption, error) {
	out := &Adoption{Destination: l.name, Account: account}
	if err := l.isAccount(ctx, account); err != nil {
		return nil, err
	}
	var err error
	if out.Before, err = l.guard.replaces(ctx, account); err != nil || out.Before == "" {
		return out, err
	}
	f := &forgetting{l: l, before: out.Before, out: out, tell: tell, plan: true}
	return out, f.run(ctx)
}

// Adopt makes the account that the destination's token is for, which the caller has
// to name, the one that is used under the destination's name. What the journal
// remembers of another is forgotten: its records' ids and what was applied to them,
// people and what leads to them. Nothing is written to either account, and no call
// becomes due: what was synced counts as that, until a correction or a resync writes
// it as if for the first time. Broken off, another Adopt goes on; the destination is
// refused until then. tell hears now and then how many calls were looked at.
func (l *Loop) Adopt(ctx context.Context, account string, tell func(calls int)) (*Adoption, error) {
	out := &Adoption{Destination: l.name, Account: account}
	err := l.Alone(ctx, func(ctx context.Context) error {
		if err := l.isAccount(ctx, account); err != nil {
			return err
		}
		before, err := l.guard.replacing(ctx, account)
		if err != nil || before == "" {
			return err
		}
		out.Before = before
		f := &forgetting{l: l, before: before, out: out, tell: tell}
		if err := f.run(ctx); err != nil {
			return err
		}
		return l.guard.replaced(ctx, account)
	})
	if err != nil {
		return nil, err
	}
	if out.Before != "" {
		l.log.Info("another account was forgotten", "account", account, "before", out.Before, "calls", out.Calls, "people", out.People)
	}
	return out, l.Unpause(ctx)
}

// isAccount reports, as an error, that the destination's token is for another
// account than the named one, or that this cannot be found out.
func (l *Loop) isAccount(ctx context.Context, named string) error {
	err := l.destination.Ready(ctx)
	is := l.destination.Status().Account
	switch {
	case l.guard == nil || is == "" && err == nil:
		return &crm.Error{Kind: crm.Permanent, Op: "account", Message: "the CRM does not tell which account the token is for; nothing was changed"}
	case is == "":
		return err
	case is != named:
		return &OtherAccountNamed{Named: named, Account: is}
	}
	return nil
}

// replaces is which account has to be forgotten before another takes its place; "" for
// none.
func (g *Guard) replaces(ctx context.Context, account string) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	kept, err := g.load(ctx)
	if kept.Account == account && kept.Becoming == "" {
		return "", err
	}
	return kept.Account, err
}

// replacing notes that another account takes the place of the one that is kept, which
// is returned if it has to be forgotten first; "" if not.
func (g *Guard) replacing(ctx context.Context, account string) (before string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	kept, err := g.load(ctx)
	switch {
	case err != nil:
		return "", err
	case kept == keptAccount{}:
		return "", g.keep(ctx, keptAccount{Account: account})
	case kept.Account == account && kept.Becoming == "":
		return "", nil
	}
	before = kept.Account
	kept.Becoming = account
	return before, g.keep(ctx, kept)
}

// replaced notes that the account before is forgotten.
func (g *Guard) replaced(ctx context.Context, account string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.keep(ctx, keptAccount{Account: account, Replaced: true})
}

// A forgetting is an account on its way out of the journal.
type forgetting struct {
	l      *Loop
	before string
	out    *Adoption
	tell   func(int)
	plan   bool // count only
}

// portion is how much of a kind one transaction of the journal forgets.
const portion = 100

func (f *forgetting) run(ctx context.Context) error {
	for _, stage := range []func(context.Context) error{f.calls, f.people, f.identities} {
		if err := stage(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (f *forgetting) calls(ctx context.Context) error {
	n := 0
	return inPortions(f.l.journal.Calls(ctx, store.CallFilter{Damaged: true}), func(calls []store.CallView) error {
		var ids []string
		for _, c := range calls {
			if _, ok := c.States[f.l.name]; ok || c.Damaged != nil {
				ids = append(ids, c.ID)
			}
		}
		if n += len(calls); f.tell != nil {
			f.tell(n)
		}
		return f.some(ctx, ids)
	})
}

// some forgets what calls brought into the account.
func (f *forgetting) some(ctx context.Context, ids []string) error {
	works, err := f.l.journal.Load(ctx, f.l.name, ids)
	if err != nil {
		return journalError("load", err)
	}
	all := store.Update{States: map[string]store.State{}, Forget: map[string][]string{}}
	for _, w := range works {
		if w.Damaged != nil {
			f.damaged(ctx, w)
			continue
		}
		f.stage(all, w)
	}
	if len(all.States) == 0 || f.plan {
		return nil
	}
	if err := f.l.journal.Apply(ctx, f.l.name, all); err != nil {
		return journalError("forget", err)
	}
	return nil
}

// stage adds to u that what is remembered of a call is forgotten.
func (f *forgetting) stage(u store.Update, w store.Work) {
	s := w.State
	if len(w.Records) == 0 && s.Person == nil && len(s.Left) == 0 && s.Creating == 0 {
		return
	}
	if s.Forgotten == "" && stays(w) {
		s.Forgotten = f.before
	}
	s.Person, s.Left, s.Creating = nil, nil, 0
	if s.Status == store.Synced {
		s.Reason = fmt.Sprintf("written to account %s, which was forgotten since; `callsync resync` with the call's id writes it to the present one", f.before)
	}
	u.States[w.Call.ID] = s
	u.Forget[w.Call.ID] = slices.Collect(maps.Keys(w.Records))
	f.out.Calls++
	f.out.Records += len(w.Records)
}

// stays reports whether something of a call stood in the account, and nothing writes
// it to another by itself.
func stays(w store.Work) bool {
	if w.State.Wanted != w.State.Done || undone(w.State) {
		return false
	}
	switch w.State.Status {
	case store.Synced, store.Waiting, store.Failed:
		return w.State.Person != nil || slices.ContainsFunc(slices.Collect(maps.Values(w.Records)), exists)
	}
	return false
}

// damaged forgets what can be read of a call. It keeps no other from being forgotten.
func (f *forgetting) damaged(ctx context.Context, w store.Work) {
	u := store.Update{States: map[string]store.State{}, Forget: map[string][]string{}}
	err := w.Damaged
	if w.State.Status != "" {
		f.stage(u, w)
		if f.plan {
			return
		}
		err = f.l.journal.Apply(ctx, f.l.name, u)
	}
	if err != nil && !f.plan {
		f.l.log.Error("what a call brought into the account before cannot be read, and so not be forgotten", "callId", w.Call.ID, "account", f.before, "error", err)
	}
}

func (f *forgetting) people(ctx context.Context) error {
	return inPortions(f.l.journal.AllPeople(ctx), func(people []store.KnownPerson) error {
		var refs []crm.Ref
		for _, p := range people {
			if p.Destination == f.l.name {
				refs = append(refs, p.Ref)
			}
		}
		f.out.People += len(refs)
		return f.erase(ctx, store.Erasure{People: map[string][]crm.Ref{f.l.name: refs}})
	})
}

func (f *forgetting) identities(ctx context.Context) error {
	return inPortions(f.l.journal.AllIdentities(ctx), func(known []store.KnownIdentity) error {
		var keys []string
		for _, i := range known {
			if i.Destination == f.l.name {
				keys = append(keys, i.Key)
			}
		}
		return f.erase(ctx, store.Erasure{Identities: map[string][]string{f.l.name: keys}})
	})
}

func (f *forgetting) erase(ctx context.Context, e store.Erasure) error {
	if len(e.People[f.l.name])+len(e.Identities[f.l.name]) == 0 || f.plan {
		return nil
	}
	if _, err := f.l.journal.Erase(ctx, e); err != nil {
		return journalError("forget", err)
	}
	return nil
}

// inPortions hands the rows of a sequence to each, some at a time.
func inPortions[T any](rows func(func(T, error) bool), each func([]T) error) error {
	some := make([]T, 0, portion)
	for row, err := range rows {
		if err != nil {
			return journalError("list", err)
		}
		if some = append(some, row); len(some) < portion {
			continue
		}
		if err := each(some); err != nil {
			return err
		}
		some = some[:0]
	}
	if len(some) == 0 {
		return nil
	}
	return each(some)
}
