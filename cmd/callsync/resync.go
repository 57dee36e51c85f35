package main

import (
	"context"

	"github.com/callsync/callsync/admin"
)

type resyncCmd struct {
	output
	selection
	CallIDs  []string `arg:"" optional:"" name:"call-id" help:"Calls to sync again; or choose them with --since, --state and the like."`
	All      bool     `help:"Every call in the journal."`
	DryRun   bool     `help:"Show what would be sent, and send nothing."`
	Changed  bool     `help:"Only calls for which something would be sent, such as after a mapping edit."`
	Force    bool     `help:"Write every property, also those that stand as callsync last wrote them."`
	Recreate bool     `help:"Make anew what somebody deleted in the CRM."`
}

func (c *resyncCmd) Run(ctx context.Context, a *app) error {
	switch {
	case c.Changed && (c.Force || c.Recreate):
		return usagef("--changed leaves out what --force and --recreate are for: choose one")
	case len(c.CallIDs) > 0 && (c.All || c.Since != moment{} || c.Until != moment{} || c.Result != "" || c.Agent != "" || c.State != ""):
		return usagef("name calls, or choose them with flags, not both")
	case len(c.CallIDs) == 0 && !c.All && c.selection.empty():
		return usagef("name calls, choose them with --since, --until, --result, --agent or --state, or say --all")
	}
	s, err := a.connect(ctx, false)
	if err != nil {
		return err
	}
	defer s.close()
	answer, err := s.Resync(ctx, admin.ResyncRequest{
		Selection: c.of(c.CallIDs), DryRun: c.DryRun, Changed: c.Changed, Force: c.Force, Recreate: c.Recreate,
	})
	switch {
	case err != nil:
		return err
	case c.JSON:
		return a.out.json(answer)
	case answer.Plan != nil:
		return printPlans(a.out, false, *answer.Plan)
	}
	for _, name := range s.cfg.Names() {
		if n, ok := answer.Requested[name]; ok {
			a.out.f("%s: %s to sync again\n", name, count(n, "call"))
		}
	}
	if !answer.Daemon {
		a.out.f("no daemon is running; they are synced when it starts\n")
	}
	return nil
}
