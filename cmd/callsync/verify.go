package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/sync"
)

type verifyCmd struct {
	output
	selection
	CallIDs  []string `arg:"" optional:"" name:"call-id" help:"Calls to verify; all of them when none is named or chosen."`
	Repair   bool     `help:"Plan the repair: properties that the mapping always writes are written again, merged people followed. People's edits of other properties are kept."`
	Recreate bool     `help:"With --repair: also make anew what was deleted in the CRM."`
	Yes      bool     `short:"y" help:"With --repair: do it without asking."`
}

// Help is shown by callsync verify --help.
func (verifyCmd) Help() string {
	return "Reads from the CRM what calls brought there and lists what drifted: missing, changed by hand, merged. Ends with exit code 1 when anything did, people's edits apart where the mapping lets them win."
}

func (c *verifyCmd) Run(ctx context.Context, a *app) error {
	switch {
	case c.Recreate && !c.Repair, c.Yes && !c.Repair:
		return usagef("--recreate and --yes go with --repair")
	case len(c.CallIDs) > 0 && !c.selection.onlyDestination() && !c.selection.empty():
		return usagef("name calls, or choose them with flags, not both")
	}
	s, err := a.connect(ctx, false)
	if err != nil {
		return err
	}
	defer s.close()
	req := admin.VerifyRequest{Selection: c.of(c.CallIDs), Repair: c.Yes, Recreate: c.Recreate && c.Yes}
	total, lost, err := c.verify(ctx, a, s, req)
	if err != nil {
		return err
	}
	unread := printUnread(a.err, total.Unread)
	fixable := total.Fixable
	if c.Recreate && !c.Yes {
		fixable += lost
	}
	if c.Repair && !c.Yes && fixable > 0 && !c.JSON {
		if err := a.confirm(ctx, false, "Repair it?", "nothing has been repaired", "repair it"); err != nil {
			return err
		}
		req.Repair, req.Recreate = true, c.Recreate
		if total, err = s.Verify(ctx, req, func(sync.Drift) error { return nil }); err != nil {
			return err
		}
	}
	if !c.JSON && total.Requested > 0 {
		a.out.f("%s to sync again\n", count(total.Requested, "call"))
		if !s.daemon {
			a.out.f("no daemon is running; they are synced when it starts\n")
		}
	}
	drifted := total.Drifts[sync.Missing] + total.Drifts[sync.Merged] + total.Drifts[sync.Changed] - total.Kept
	if drifted > total.Fixable || drifted > 0 && !req.Repair {
		return errSilent
	}
	return unread
}

// verify prints drifts as they come in, and the totals. lost is how many of them
// --recreate would mend.
func (c *verifyCmd) verify(ctx context.Context, a *app, s *session, req admin.VerifyRequest) (total *admin.Verified, lost int, err error) {
	lines := json.NewEncoder(harmless(a.out.w))
	total, err = s.Verify(ctx, req, func(d sync.Drift) error {
		if d.Kind == sync.Missing && d.Fixes(true) {
			lost++
		}
		if c.JSON {
			return lines.Encode(admin.VerifyLine{Drift: &d})
		}
		c.print(a.out, d)
		return nil
	})
	switch {
	case err != nil:
		return nil, 0, err
	case c.JSON:
		return total, lost, lines.Encode(admin.VerifyLine{Total: total})
	}
	p := a.out
	p.f("%s, %s and %s looked at", count(total.Calls, "call"), count(total.Records, "record"), people(total.People))
	if total.Busy > 0 {
		p.f("; %s on the way left out", count(total.Busy, "call"))
	}
	if n := total.Forgotten; n > 0 {
		p.f("; %s %s nothing in the CRM, having been written to an account that was forgotten since", count(n, "call"), oneOrMany(n, "has", "have"))
	}
	p.f(": %d missing, %d changed by hand, %d merged", total.Drifts[sync.Missing], total.Drifts[sync.Changed], total.Drifts[sync.Merged])
	if total.Kept > 0 {
		p.f("; %d of the changed kept as people have it", total.Kept)
	}
	p.f("\n")
	if total.Forgotten > 0 {
		p.f("`callsync resync --all` writes to the present account what is missing there\n")
	}
	return total, lost, nil
}

func (c *verifyCmd) print(p *printer, d sync.Drift) {
	p.f("%s %s %s, %s: ", styled{d.CallID, bold}, d.Destination, d.Record, styled{d.Ref.String(), cyan})
	switch d.Kind {
	case sync.Missing:
		p.f("%s", styled{"missing", red})
		if d.Final {
			p.f(", and stays deleted: the call's payload has expired")
		} else if c.Repair {
			p.f(", %s", repairText(d.Fixes(c.Recreate), "made anew", "stays deleted without --recreate"))
		}
	case sync.Merged:
		p.f("%s into %s", styled{"merged", yellow}, d.Now.String())
		if c.Repair {
			p.f(", %s", repairText(d.Fixes(false), "followed", "left"))
		}
	default:
		p.f("%s", styled{"changed by hand", yellow})
	}
	p.f("\n")
	t := newTable()
	t.indent = "    "
	for _, ch := range d.Changes {
		note := ch.Note
		if note == "" && c.Repair {
			note = "written again"
		}
		was, is := valueText(ch.Old, ""), valueText(ch.New, "")
		if p.width == 0 { // whole, and so not in columns
			p.f("%s\n", strings.TrimRight(fmt.Sprintf("    %s  %s → %s  %s", ch.Name, was, is, note), " "))
			continue
		}
		most := max(minColumn, p.width/4) // so that both can be recognised
		t.row(ch.Name, cut(clean(was), most)+" → "+cut(clean(is), most), styled{note, dim})
	}
	t.print(p)
}

func repairText(fixed bool, yes, no string) string {
	if fixed {
		return yes
	}
	return no
}
