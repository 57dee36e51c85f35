package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/sync"
)

type undoCmd struct {
	output
	CallID      string `arg:"" name:"call-id" help:"The call to take back."`
	Destination string `placeholder:"NAME" help:"From one destination only."`
	Yes         bool   `short:"y" help:"Do it without asking."`
}

// Help is shown by callsync undo --help.
func (undoCmd) Help() string {
	return "Archives the records callsync created for the call, and gives the contact's properties back what they would hold without it, where nobody changed them since. What cannot be undone is said first. The call then stays out of the CRM, corrections included, until `callsync resync` names it."
}

func (c *undoCmd) Run(ctx context.Context, a *app) error {
	s, err := a.connect(ctx, false)
	if err != nil {
		return err
	}
	defer s.close()
	plans, err := s.UndoPlan(ctx, c.CallID, c.Destination)
	if err != nil {
		return err
	}
	todo := slices.ContainsFunc(plans, func(u sync.Undo) bool { return u.Writes() || !u.Undone && (u.Pending || len(u.Records) > 0) })
	final := todo && slices.ContainsFunc(plans, func(u sync.Undo) bool { return u.Final })
	if c.JSON && (!c.Yes || !todo) {
		return a.out.json(plans)
	}
	if !c.JSON {
		for _, u := range plans {
			printUndo(a.out, u)
		}
	}
	if !todo {
		return nil
	}
	if final && !c.JSON {
		a.out.f("%s %s\n", styled{"this cannot be taken back:", red}, whyFinal)
	}
	question, does := "Undo it?", "undo it"
	if final {
		question, does = "Undo it for good?", "undo it for good"
	}
	if err := a.confirm(ctx, c.Yes, question, "nothing has been undone", does); err != nil {
		return err
	}
	done, err := s.Undo(ctx, c.CallID, c.Destination)
	if err != nil {
		return err
	}
	if c.JSON {
		return a.out.json(done)
	}
	var failed error
	for i, u := range done {
		if len(u.Left) <= len(plans[i].Left) {
			a.out.f("%s: done; %s\n", u.Destination, wayBack(u))
			continue
		}
		failed = errSilent
		a.err.f("%s: not everything was undone; the same command again goes on\n", u.Destination)
		for _, r := range u.Left[len(plans[i].Left):] {
			a.err.f("  %s\n", remainderText(r))
		}
	}
	return failed
}

// whyFinal says why an undo is for good.
const whyFinal = "the call's payload has expired ([retention] bodies), so that nothing but a corrected delivery of it can bring back what is archived"

// wayBack says how a call that was taken back is written again.
func wayBack(u sync.Undo) string {
	if u.Final {
		return "for good: the call's payload has expired"
	}
	return fmt.Sprintf("`callsync resync %s` writes it again", u.CallID)
}

func printUndo(p *printer, u sync.Undo) {
	if !u.Writes() && len(u.Left) == 0 {
		state := "nothing to undo"
		switch {
		case u.Undone:
			state = "undone already"
		case u.Pending:
			state = "nothing is written yet; undone, it stays out"
		}
		p.f("%s: %s\n", styled{u.Destination, bold}, state)
	} else {
		p.f("%s\n", styled{u.Destination, bold})
	}
	if len(u.Left) > 0 {
		p.f("  cannot be undone:\n")
		for _, r := range u.Left {
			p.f("    %s\n", styled{remainderText(r), yellow})
		}
	}
	for _, w := range u.Warnings {
		p.f("  %s %s\n", styled{"warning:", yellow}, w)
	}
	for _, r := range u.Records {
		p.f("  %s %s: %s/%s", opText(r.Op), r.Key, r.Object, r.ID)
		switch {
		case r.Op == crm.Archive:
			p.f(", archived")
		case r.Note != "":
			p.f(", %s", r.Note)
		}
		p.f("\n")
	}
	switch u.Person.Op {
	case crm.Archive:
		p.f("  %s person %s, archived: callsync created it for this call, and no other call belongs to it\n", opText(crm.Archive), u.Person.Ref.String())
	case crm.Update:
		p.f("  %s person %s gets back\n", opText(crm.Update), u.Person.Ref.String())
		t := newTable()
		t.indent = "      "
		for _, ch := range u.Person.Changes {
			t.row(ch.Name, valueText(ch.Old, "")+" → "+valueText(ch.New, ""))
		}
		t.print(p)
	}
}

func remainderText(r sync.Remainder) string {
	if r.Property == "" {
		return fmt.Sprintf("%s: %s", r.Record, r.Why)
	}
	return fmt.Sprintf("%s %s: %s", r.Record, r.Property, r.Why)
}
