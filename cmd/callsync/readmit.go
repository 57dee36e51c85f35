package main

import (
	"cmp"
	"context"
	"errors"
	"io"

	"github.com/callsync/callsync/store"
)

type readmitCmd struct {
	output
	Number uint64 `arg:"" help:"The delivery's number, from deliveries --verdict rejected or stale."`
	Body   bool   `xor:"what" help:"Only print the body as it was received."`
	File   string `xor:"what" placeholder:"FILE" help:"A mended copy of the body to take in instead; - for standard input."`
}

// Help is shown by callsync readmit --help.
func (readmitCmd) Help() string {
	return "A stale body changes nothing, whoever gives it: the exit code is then 1. To have it count, make it a correction, such as by a field of its own."
}

// Run looks at a delivery in quarantine, or takes it in. It fails when the body was
// stale, and so not taken in.
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
	switch {
	case c.JSON:
		err = a.out.json(answer)
	case answer.Reason != "":
		a.out.f("%s: %s, it is %s; revision %d stays\n", answer.CallID, answer.Verdict, answer.Reason, answer.Revision)
	default:
		a.out.f("%s: %s, revision %d\n", answer.CallID, answer.Verdict, answer.Revision)
	}
	if answer.Verdict == store.Stale {
		return cmp.Or(err, errSilent)
	}
	return err
}
