package main

import "context"

type compactCmd struct{ output }

// Help is shown by callsync compact --help.
func (compactCmd) Help() string {
	return "Dropped calls, deliveries and bodies leave free space in the file, which is used again for new ones; the file does not shrink by itself. Compacting copies what is left into a new file and puts that in its place, while the daemon goes on: deliveries wait for some milliseconds at the end. It needs as much free disk as the copy takes."
}

func (c *compactCmd) Run(ctx context.Context, a *app) error {
	s, err := a.connect(ctx, false)
	if err != nil {
		return err
	}
	defer s.close()
	done, err := s.Compact(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return a.out.json(done)
	}
	a.out.f("%s: %s, was %s\n", s.cfg.Store.Path, size(done.After), size(done.Before))
	return nil
}
