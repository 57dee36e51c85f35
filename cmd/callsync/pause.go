package main

import (
	"context"
	"slices"
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
}

func (c *unpauseCmd) Run(ctx context.Context, a *app) error {
	return eachDestination(ctx, a, c.Destinations, c.JSON, func(s *session, name string) (any, string, error) {
		h, err := s.Unpause(ctx, name)
		text := "goes on"
		if !s.daemon {
			text = "will go on when the daemon runs"
		}
		return h, text, err
	})
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
