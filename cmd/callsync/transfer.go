package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/store"
)

type exportCmd struct {
	selection
	CallIDs []string `arg:"" optional:"" name:"call-id" help:"Calls to write; or choose them with --since, --state and the like; all when nothing is chosen."`
}

// Help is shown by callsync export --help.
func (exportCmd) Help() string {
	return "Writes to standard output what import reads, and on standard error how many calls are not in it because their payloads have expired. Where a call was undone is carried along; what was written to the CRMs is not."
}

// Run fails when a call that was named could not be written.
func (c *exportCmd) Run(ctx context.Context, a *app) error {
	s, err := a.connect(ctx, false)
	if err != nil {
		return err
	}
	defer s.close()
	w := a.out.verbatim()
	sum, err := s.Export(ctx, c.of(c.CallIDs), w)
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	return c.printLeftOut(a.err, sum)
}

// printLeftOut says on standard error what the lines do not hold. The error is for
// calls that were asked for by name, and for those that cannot be read.
func (c *exportCmd) printLeftOut(p *printer, sum admin.Exported) error {
	if sum.Expired > 0 {
		what := count(sum.Expired, "call")
		if len(sum.Without) > 0 {
			what += " (" + most(sum.Without, 10) + ")"
		}
		p.wrap("", styled{fmt.Sprintf("left out: %s, of which [retention] has dropped the payload. What was written to the CRMs stands and stays known to this journal; the export cannot carry it elsewhere, `callsync backup` can.", what), plain})
	}
	if sum.OlderExpired > 0 {
		p.wrap("", styled{fmt.Sprintf("left out: %s of calls whose newest one is here; [retention] has dropped their payloads", count(sum.OlderExpired, "older revision")), plain})
	}
	unread := printUnread(p, sum.Unread)
	if len(sum.Without) > 0 {
		return errSilent
	}
	return unread
}

type importCmd struct {
	output
	File string `arg:"" help:"File of JSON lines, from export or one payload a line; - for standard input."`
}

// Help is shown by callsync import --help.
func (importCmd) Help() string {
	return "Takes every line in as if it had been delivered, behind whatever is live. Without a daemon and a journal it creates the journal, and the calls wait for a daemon. A call that was undone where it was exported stays out of destinations of the same name until `callsync resync` names it; a record that somebody deleted in the CRM comes back, since an export does not carry that."
}

// Run fails when a line could not be used; the others are taken in.
func (c *importCmd) Run(ctx context.Context, a *app) error {
	in, err := a.input(c.File)
	if err != nil {
		return err
	}
	defer in.Close()
	s, err := a.connectTo(ctx, createNew)
	if err != nil {
		return err
	}
	defer s.close()
	answer, err := s.Import(ctx, in)
	if err != nil {
		return err
	}
	if c.JSON {
		if err := a.out.json(answer); err != nil {
			return err
		}
	} else {
		var parts []string
		for _, v := range store.Verdicts() {
			if n := answer.Verdicts[v]; n > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", n, v))
			}
		}
		if len(parts) == 0 {
			parts = []string{"nothing to import"}
		}
		a.out.f("%s\n", strings.Join(parts, ", "))
		for _, r := range answer.Refused {
			a.err.f("%s:%d: %s\n", c.File, r.Line, r.Reason)
		}
	}
	if answer.Verdicts[store.Rejected] > 0 {
		return errSilent
	}
	return nil
}
