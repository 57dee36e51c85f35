package main

import (
	"context"
	"slices"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/sync"
)

type pauseCmd struct {
	output
	Destinations []string `arg:"" optional:"" name:"destination" help:"Destinations to stop; all when none is named."`
	Reason       string   `help:"Why, for those who look at the status later."`
}

func (c *pauseCmd) Run(ctx context.Context, a *app) error {
	return eachDestination(ctx, a, c.Destinations, c.JSON, func(s *session, name string) (any, string, error) {
		h, err := s.Pause(ctx, name, c.Reason)
		return h, "paused; deliveries are still journalled", err
	})
}

type unpauseCmd struct {
	output
	Destinations []string `arg:"" optional:"" name:"destination" help:"Destinations to let go on; all when none is named."`
	Account      string   `placeholder:"ID" help:"Use this account, a HubSpot portal's or Salesforce org's id, under the destination's name from now on, and forget what the journal remembers of the one before. Its token must be in the configuration already."`
	Yes          bool     `short:"y" help:"With --account: do it without asking."`
}

// Help is shown by callsync unpause --help.
func (unpauseCmd) Help() string {
	return "A destination that is blocked because its token is for another account than the one the journal knows stays so, unless --account names the new one. The ids that callsync remembers are then forgotten, and nothing is written for that: what stands in the old account stays there, unknown to callsync from then on, and calls synced before are not written again by themselves. A correction or a resync of one writes it to the new account as if for the first time. What is still on its way goes there. What would be forgotten is shown before it asks. There is no way back but a backup: see `callsync backup`."
}

func (c *unpauseCmd) Run(ctx context.Context, a *app) error {
	if c.Account != "" {
		return c.adopt(ctx, a)
	}
	if c.Yes {
		return usagef("--yes goes with --account")
	}
	return eachDestination(ctx, a, c.Destinations, c.JSON, func(s *session, name string) (any, string, error) {
		h, err := s.Unpause(ctx, name)
		text := "goes on"
		switch {
		case err == nil && h.Phase == sync.Blocked:
			err = &admin.Error{Message: name + " is still blocked: " + h.Reason, Hint: h.Hint}
		case !s.daemon:
			text = "will go on when the daemon runs"
		}
		return h, text, err
	})
}

// adopt has another account take the place of the one that the journal knows.
func (c *unpauseCmd) adopt(ctx context.Context, a *app) error {
	s, err := a.connect(ctx, false)
	if err != nil {
		return err
	}
	defer s.close()
	names, err := s.destinations(slices.Compact(c.Destinations))
	if err != nil {
		return err
	}
	if len(names) != 1 {
		return usagef("--account is for one destination: name one of %s", join(names))
	}
	bar := newProgress(a.err)
	client := s.Reporting(func(p admin.Progress) { bar.show("calls looked at:", p.Calls, int(p.Of), "") })
	if !c.Yes {
		plan, err := client.AdoptPlan(ctx, names[0], c.Account)
		bar.clear()
		if err != nil {
			return err
		}
		if err := c.askToForget(ctx, a, plan); err != nil {
			return err
		}
	}
	answer, err := client.Adopt(ctx, names[0], c.Account)
	bar.clear()
	if err != nil {
		return err
	}
	if c.JSON {
		return a.out.json(answer)
	}
	printAdoption(a.out, answer, s.daemon)
	return nil
}

// askToForget shows what would be forgotten, and asks. Nothing is asked where nothing is.
func (c *unpauseCmd) askToForget(ctx context.Context, a *app, plan sync.Adoption) error {
	if plan.Before == "" {
		return nil
	}
	if !c.JSON {
		p := a.out
		p.f("%s: account %s takes the place of %s\n", styled{plan.Destination, bold}, plan.Account, plan.Before)
		p.f("  forgotten: %s of %s and %s; what stands in account %s stays there, unknown to callsync\n",
			count(plan.Records, "record"), count(plan.Calls, "call"), people(plan.People), plan.Before)
		p.f("  there is no way back but a backup: `callsync backup`\n")
	}
	return a.confirm(ctx, c.Yes, "Forget it for good?", "nothing has been forgotten", "forget it for good")
}

func printAdoption(p *printer, a sync.Adoption, daemon bool) {
	p.f("%s: account %s is used from now on\n", styled{a.Destination, bold}, a.Account)
	if a.Before != "" {
		p.f("  of account %s, %s of %s and %s were forgotten; what stands there stays\n",
			a.Before, count(a.Records, "record"), count(a.Calls, "call"), people(a.People))
	}
	if a.Calls > 0 {
		p.f("  calls synced before are not written again by themselves; `callsync resync --all --destination %s` writes them to account %s\n", a.Destination, a.Account)
	}
	if !daemon {
		p.f("  no daemon is running; it goes on when it starts\n")
	}
}

// eachDestination does something to destinations and prints what came of it.
func eachDestination(ctx context.Context, a *app, names []string, asJSON bool, do func(s *session, name string) (answer any, text string, err error)) error {
	s, err := a.connect(ctx, false)
	if err != nil {
		return err
	}
	defer s.close()
	names, err = s.destinations(slices.Compact(names))
	if err != nil {
		return err
	}
	answers := []any{}
	for _, name := range names {
		answer, text, err := do(s, name)
		if err != nil {
			return err
		}
		answers = append(answers, answer)
		if !asJSON {
			a.out.f("%s: %s\n", name, text)
		}
	}
	if asJSON {
		return a.out.json(answers)
	}
	return nil
}
