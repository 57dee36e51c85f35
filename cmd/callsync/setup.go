package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/callsync/callsync/admin"
)

type setupCmd struct {
	output
	Destinations []string `arg:"" optional:"" name:"destination" help:"Destinations to set up; all when none is named."`
	Yes          bool     `short:"y" help:"Do it without asking."`
}

func (c *setupCmd) Run(ctx context.Context, a *app) error {
	s, err := a.connect(ctx, true)
	if err != nil {
		return err
	}
	defer s.close()
	names, err := s.destinations(c.Destinations)
	if err != nil {
		return err
	}
	answers := []admin.SetupSteps{}
	var unconfirmed error
	for _, name := range names {
		answer, err := s.SetupPlan(ctx, name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if !c.JSON {
			printSteps(a.out, answer)
		}
		if len(answer.Steps) > 0 {
			err := a.confirm(ctx, c.Yes, "Create it?", "nothing has been created", "create it")
			if errors.As(err, &usageError{}) { // nobody to ask; what else is missing is shown all the same
				unconfirmed = err
				answers = append(answers, answer)
				continue
			}
			if err != nil {
				return err
			}
			if answer, err = s.Setup(ctx, name); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if !c.JSON {
				a.out.f("%s: done\n", name)
			}
		}
		answers = append(answers, answer)
	}
	if c.JSON {
		return cmp.Or(a.out.json(answers), unconfirmed)
	}
	return unconfirmed
}

func printSteps(p *printer, s admin.SetupSteps) {
	if len(s.Steps) == 0 {
		p.f("%s: nothing is missing\n", s.Destination)
		return
	}
	p.f("%s: to be created in the CRM:\n", s.Destination)
	for _, step := range s.Steps {
		p.f("  %s %s\n", styled{"+", green}, step.Text)
	}
}
