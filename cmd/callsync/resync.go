package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/store"
)

type resyncCmd struct {
	output
	selection
	CallIDs  []string `arg:"" optional:"" name:"call-id" help:"Calls to sync again; or choose them with --since, --state and the like."`
	All      bool     `help:"Every call in the journal."`
	DryRun   bool     `help:"Show what would be sent, and send nothing."`
	Examples int      `default:"3" placeholder:"N" help:"With --dry-run: how many calls to show of many (${default})."`
	Changed  bool     `help:"Only calls for which something would be sent, such as after a mapping edit; not those that failed before and are as they were."`
	Force    bool     `help:"Write every property, also those that stand as callsync last wrote them."`
	Recreate bool     `help:"Make anew what somebody deleted in the CRM."`
	NoWait   bool     `help:"Do not wait for the outcome; the daemon goes on by itself either way. With --json nothing is waited for."`
}

func (c *resyncCmd) Run(ctx context.Context, a *app) error {
	switch {
	case c.Changed && (c.Force || c.Recreate):
		return usagef("--changed leaves out what --force and --recreate are for: choose one")
	case len(c.CallIDs) > 0 && (c.All || c.Since != moment{} || c.Until != moment{} || c.Result != "" || c.Agent != "" || c.State != ""):
		return usagef("name calls, or choose them with flags, not both")
	case len(c.CallIDs) == 0 && !c.All && c.Changed && c.selection.onlyDestination():
		c.All = true // a replay of what an edit changes is small by itself
	case len(c.CallIDs) == 0 && !c.All && c.selection.empty():
		return usagef("name calls, choose them with --since, --until, --result, --agent or --state, or say --all")
	}
	s, err := a.connect(ctx, false)
	if err != nil {
		return err
	}
	defer s.close()
	watch := replayWatch{a: a, ask: s.Status, g: newProgress(a.err), patience: unnoticed, whole: c.All && !c.Changed && c.selection.onlyDestination(), failed: c.All || c.State == string(store.Failed)}
	if err := watch.begin(ctx); err != nil {
		return err
	}
	looked := 0
	answer, err := s.Reporting(func(p admin.Progress) {
		looked = p.Calls
		watch.g.show("looked at", p.Calls, int(p.Of), "")
	}).Resync(ctx, admin.ResyncRequest{
		Selection: c.of(c.CallIDs), DryRun: c.DryRun, Changed: c.Changed, Force: c.Force, Recreate: c.Recreate,
	})
	watch.g.clear()
	switch {
	case errors.Is(err, context.Canceled) && !c.DryRun:
		a.err.wrap("", styled{fmt.Sprintf("stopped after %s; what was asked for until now is synced. The same command again goes on from here.", count(looked, "call")), plain})
		return errSilent
	case err != nil:
		return err
	}
	failed := printUnread(a.err, answer.Unread)
	switch {
	case c.JSON:
		return cmp.Or(a.out.json(answer), failed)
	case answer.Plan != nil && len(c.CallIDs) > 0:
		return printPlans(a.out, false, *answer.Plan)
	case answer.Plan != nil:
		printHistory(a.out, *answer.Plan, c.Examples)
		if c.Changed && answer.Plan.Totals.Writing == 0 {
			printStale(a.err, watch.stale)
		}
		return failed
	}
	total := 0
	for _, name := range s.cfg.Names() {
		if n, ok := answer.Requested[name]; ok {
			a.out.f("%s: %s to sync again\n", name, count(n, "call"))
			total += n
		}
	}
	if c.Changed && total == 0 {
		printStale(a.err, watch.stale)
	}
	if answer.Undone > 0 {
		a.err.wrap("", styled{fmt.Sprintf("left out: %s that a person had taken back with `callsync undo`; `callsync resync CALL_ID` writes one again", count(answer.Undone, "call")), plain})
	}
	if answer.Expired > 0 {
		a.err.wrap("", styled{fmt.Sprintf("left out: %s, of which [retention] has dropped the payload: only a corrected delivery can be written again", count(answer.Expired, "call")), plain})
		if len(c.CallIDs) > 0 {
			failed = errSilent
		}
	}
	switch {
	case total == 0 && answer.Expired > 0:
	case !answer.Daemon:
		a.out.f("no daemon is running; they are synced when it starts\n")
	case total == 0 || c.NoWait:
	case len(c.CallIDs) > 0:
		failed = cmp.Or(watch.followCalls(ctx, s, c.CallIDs, answer.Requested), failed)
	default:
		failed = cmp.Or(watch.follow(ctx, answer.Requested), failed)
	}
	return failed
}

// printStale says that nothing may have changed because the daemon has not taken the
// change up.
func printStale(p *printer, tables []string) {
	if len(tables) > 0 {
		p.wrap("", styled{fmt.Sprintf("the daemon runs with other settings than the file has, in %s: restart it, or `callsync reload` what can be reloaded, and do this again", most(tables, 5)), plain})
	}
}
