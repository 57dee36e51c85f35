package main

import (
	"context"
	"errors"
	"io"
)

type readmitCmd struct {
	output
	Number uint64 `arg:"" help:"The delivery's number, from deliveries --verdict rejected or stale."`
	Body   bool   `xor:"what" help:"Only print the body as it was received."`
	File   string `xor:"what" placeholder:"FILE" help:"A mended copy of the body to take in instead; - for standard input."`
}

// Run looks at a delivery in quarantine, or takes it in.
func (c *readmitCmd) Run(ctx context.Context, a *app) error {
	s, err := a.connect(ctx, false)
	if err != nil {
		return err
	}
	defer s.close()
	if c.Body {
		w := a.out.verbatim()
		return errors.Join(s.Quarantined(ctx, c.Number, w), w.Close())
	}
	var mended io.Reader
	if c.File != "" {
		in, err := a.input(c.File)
		if err != nil {
			return err
		}
		defer in.Close()
		mended = in
	}
	answer, err := s.Readmit(ctx, c.Number, mended)
	if err != nil {
		return err
	}
	if c.JSON {
		return a.out.json(answer)
	}
	if answer.Reason != "" {
		a.out.f("%s: %s, it is %s; revision %d stays\n", answer.CallID, answer.Verdict, answer.Reason, answer.Revision)
		return nil
	}
	a.out.f("%s: %s, revision %d\n", answer.CallID, answer.Verdict, answer.Revision)
	return nil
}
