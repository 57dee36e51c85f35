package sync

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// A Guard keeps what the journal remembers under a destination's name to one CRM
// account: in another, the same ids are other people's records. A connector asks it
// before every account it is to use ([crm.Settings.Admit]), so that nothing goes
// round it; the [Loop] has it learn the account before something is first written.
// Its methods may be called concurrently.
type Guard struct {
	name    string
	journal settings
	log     *slog.Logger

	mu      sync.Mutex
	loaded  bool
	kept    keptAccount
	present string // the account last asked about
	untold  bool   // that the CRM does not tell was logged
	refuses func(error)
}

// settings is the part of the journal that keeps small named values.
type settings interface {
	Get(ctx context.Context, name string) (string, error)
	Set(ctx context.Context, name, value string) error
}

// A keptAccount is how the account is kept across restarts.
type keptAccount struct {
	Account string `json:"account,omitempty"`
	// Becoming is set while what is remembered of Account is being forgotten for it.
	Becoming string `json:"becoming,omitempty"`
	// Replaced is true where another account came before this one.
	Replaced bool `json:"replaced,omitempty"`
}

// NewGuard makes the guard of the destination with a name.
func NewGuard(name string, journal settings, log *slog.Logger) *Guard {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Guard{name: name, journal: journal, log: log.With("destination", name)}
}

func (g *Guard) settingName() string { return "account/" + g.name }

// load returns what is kept. g.mu is held.
func (g *Guard) load(ctx context.Context) (keptAccount, error) {
	if g.loaded {
		return g.kept, nil
	}
	text, err := g.journal.Get(ctx, g.settingName())
	if err != nil {
		return keptAccount{}, journalError("read the account", err)
	}
	var kept keptAccount
	if text != "" {
		if err := json.Unmarshal([]byte(text), &kept); err != nil {
			return keptAccount{}, journalError("read the account", err)
		}
	}
	g.kept, g.loaded = kept, true
	return kept, nil
}

// keep records kept. g.mu is held.
func (g *Guard) keep(ctx context.Context, kept keptAccount) error {
	text, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	if err := g.journal.Set(ctx, g.settingName(), string(text)); err != nil {
		return journalError("note the account", err)
	}
	g.kept, g.loaded = kept, true
	return nil
}

// Admit is a [crm.Settings.Admit]. It refuses, with an error of kind OtherAccount,
// an account that is not the one the journal's ids belong to. While the journal
// knows none, all are admitted. Where the CRM did not answer, its error comes back;
// where it does not tell, nothing can be compared, and the account is admitted.
func (g *Guard) Admit(ctx context.Context, account string, unknown error) error {
	err := g.judge(ctx, account, unknown)
	if g.refuses != nil && crm.KindOf(err) == crm.OtherAccount {
		g.refuses(err)
	}
	return err
}

func (g *Guard) judge(ctx context.Context, account string, unknown error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if account != "" {
		g.present = account
	}
	kept, err := g.load(ctx)
	switch {
	case err != nil:
		return err
	case kept.Becoming != "":
		return g.halfForgotten(kept)
	case kept.Account == "" || account == kept.Account:
		return nil
	case account != "":
		return g.otherAccount(kept.Account, account)
	case unknown != nil:
		return unknown
	}
	if !g.untold {
		g.log.Warn("the CRM does not tell which account the token is for, so that it cannot be compared with the journal's", "account", kept.Account)
		g.untold = true
	}
	return nil
}

func (g *Guard) otherAccount(kept, account string) error {
	return &crm.Error{
		Kind: crm.OtherAccount, Op: "account",
		Message: fmt.Sprintf("the journal's ids under the name %s belong to account %s, and the token is for account %s: nothing is read or written there", g.name, kept, account),
		Hint: fmt.Sprintf("if %[3]s is not the account you mean, give callsync the right token (or base_url, login_url) and restart it; to use both, give %[3]s a destination name or a journal of its own; if it takes the place of %[2]s for good, `callsync unpause %[1]s --account %[3]s` forgets what is remembered of %[2]s",
			g.name, kept, account),
	}
}

func (g *Guard) halfForgotten(kept keptAccount) error {
	return &crm.Error{
		Kind: crm.OtherAccount, Op: "account",
		Message: fmt.Sprintf("what the journal remembers of account %s under the name %s is forgotten by half only", kept.Account, g.name),
		Hint:    fmt.Sprintf("`callsync unpause %s --account %s` goes on with it", g.name, kept.Becoming),
	}
}

// learn keeps the account of what is about to be written, unless one is known.
func (g *Guard) learn(ctx context.Context, account string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	kept, err := g.load(ctx)
	if err != nil || account == "" || kept != (keptAccount{}) {
		return err
	}
	if err := g.keep(ctx, keptAccount{Account: account}); err != nil {
		return err
	}
	g.log.Info("the account is noted in the journal; from now on no other is used under this name", "account", account)
	return nil
}

// known reports whether the journal knows an account.
func (g *Guard) known(ctx context.Context) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	kept, err := g.load(ctx)
	return kept != (keptAccount{}), err
}

// Memory keeps a connector's facts about the account in use, apart from those about
// any other that was used under the name.
func (g *Guard) Memory() crm.Memory { return facts{g} }

type facts struct{ guard *Guard }

// place is under which name a fact is kept, and under which one it may be from
// before accounts were told apart; "" for none.
func (f facts) place(ctx context.Context, name string) (now, before string, err error) {
	g := f.guard
	g.mu.Lock()
	defer g.mu.Unlock()
	kept, err := g.load(ctx)
	plain := "memory/" + g.name + "/"
	if !kept.Replaced {
		before = plain + name
	}
	if g.present == "" {
		return plain + name, "", err
	}
	return plain + g.present + "/" + name, before, err
}

func (f facts) Get(ctx context.Context, name string) (string, error) {
	now, before, err := f.place(ctx, name)
	if err != nil {
		return "", err
	}
	value, err := f.guard.journal.Get(ctx, now)
	if err != nil || value != "" || before == "" {
		return value, err
	}
	return f.guard.journal.Get(ctx, before)
}

func (f facts) Set(ctx context.Context, name, value string) error {
	now, _, err := f.place(ctx, name)
	if err != nil {
		return err
	}
	return f.guard.journal.Set(ctx, now, value)
}

// recognize admits the account that the destination says it is for, and has it
// learnt: what follows writes. A connector asked the guard before that, unless it
// does not know how to.
func (l *Loop) recognize(ctx context.Context) error {
	if l.guard == nil {
		return nil
	}
	account := l.destination.Status().Account
	if err := l.guard.Admit(ctx, account, nil); err != nil {
		return err
	}
	return l.guard.learn(ctx, account)
}

// refusedAnew takes up that the account may not be used, whoever found it out: a
// round, or somebody's command.
func (l *Loop) refusedAnew(err error) {
	l.mu.Lock()
	known := l.health.Phase == Blocked && l.health.Kind == crm.OtherAccount
	l.mu.Unlock()
	if !known {
		l.trouble(err)
	}
}

// refused asks the destination whether its account may be used. Other trouble is for
// whoever goes on to say.
func (l *Loop) refused(ctx context.Context) error {
	err := l.fit(ctx)
	if crm.KindOf(err) != crm.OtherAccount {
		return nil
	}
	return err
}

// unfit reports whether err takes a person: the account may not be used, or is not
// set up. It is known before anything is to be written.
func unfit(err error) bool {
	kind := crm.KindOf(err)
	return kind == crm.OtherAccount || kind == crm.NotReady
}

// fit asks the destination whether it is ready, and its account may be used. Nothing
// is learnt of it.
func (l *Loop) fit(ctx context.Context) error {
	err := l.destination.Ready(ctx)
	if err == nil && l.guard != nil {
		err = l.guard.Admit(ctx, l.destination.Status().Account, nil)
	}
	return err
}

// Ask has the destination asked whether it is ready, although nothing is due.
func (l *Loop) Ask() {
	l.asking.Store(true)
	l.wakeUp()
}

// lookAgain asks the destination if somebody wants that, or if it was unfit: nothing
// being due, nobody else finds out that it is not, or no longer.
func (l *Loop) lookAgain(ctx context.Context) error {
	l.mu.Lock()
	now := l.health
	l.mu.Unlock()
	was := now.Phase == Blocked && (now.Kind == crm.OtherAccount || now.Kind == crm.NotReady)
	if !l.asking.Swap(false) && !was {
		return nil
	}
	err := l.fit(ctx)
	switch {
	case isJournal(err):
		return err
	case unfit(err):
		l.trouble(err)
	case err == nil && was:
		l.mu.Lock()
		l.trips = 0
		l.mu.Unlock()
		l.enter(Health{Phase: Running})
	case was: // it does not answer; what is known of it stands
		l.mu.Lock()
		if l.health.Phase == now.Phase { // nobody said otherwise meanwhile
			l.health.Until = l.now().Add(maxBlock)
		}
		l.mu.Unlock()
		l.wakeUp()
	}
	return nil
}

// Greeted takes up what came of asking the destination at the start whether it is
// ready, err: an account that may not be used, or is not set up, shows before the
// first call is due. A journal from before accounts were noted learns the one that it
// is used with.
func (l *Loop) Greeted(ctx context.Context, err error) error {
	if unfit(err) {
		l.trouble(err)
		return nil
	}
	if err != nil || l.guard == nil {
		return nil
	}
	if known, err := l.guard.known(ctx); known || err != nil {
		return err
	}
	for _, status := range []store.Status{store.Synced, store.Failed, store.Waiting, store.Retrying} {
		for _, err := range l.journal.Calls(ctx, store.CallFilter{Destination: l.name, Status: status, Damaged: true, Limit: 1}) {
			if err != nil {
				return journalError("list calls", err)
			}
			return l.guard.learn(ctx, l.destination.Status().Account)
		}
	}
	return nil
}
