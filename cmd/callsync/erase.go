package main

import (
	"context"
	"errors"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/erasure"
)

type eraseCmd struct {
	output
	Phone string `xor:"subject" placeholder:"NUMBER" help:"The person with this number, with its country code."`
	Email string `xor:"subject" placeholder:"ADDRESS" help:"The person with this address."`
	Call  string `xor:"subject" placeholder:"CALL_ID" help:"One call. If no other call is its person's, callsync forgets them, too; in the CRMs they stay."`
	CRM   bool   `name:"crm" help:"Also delete the person and the records of their calls in the CRMs; with --call, its records. Without it only callsync forgets them, and cannot find them there any more."`
	Yes   bool   `short:"y" help:"Do it without asking."`
}

// Help is shown by callsync erase --help.
func (eraseCmd) Help() string {
	return "Removes a person from the journal: their calls with every revision, what was delivered and applied, and the identity map. Every body is read to find them, which takes minutes for a million calls; syncing rests meanwhile, deliveries do not. A call that comes again later is a new call. Backups and exports made before still hold the person."
}

func (c *eraseCmd) Run(ctx context.Context, a *app) error {
	subject := erasure.Subject{Phone: c.Phone, Email: c.Email, Call: c.Call}
	if err := subject.Check(); err != nil {
		return usageError{err}
	}
	s, err := a.connect(ctx, false)
	if err != nil {
		return err
	}
	defer s.close()
	bar := newProgress(a.err)
	client := s.Reporting(func(p admin.Progress) { bar.show("calls read:", p.Calls, int(p.Of), "") })
	found, err := client.Erase(ctx, admin.EraseRequest{Subject: subject, CRM: c.CRM, DryRun: true})
	bar.clear()
	if err != nil {
		return err
	}
	if !c.JSON {
		printErasable(a.out, found, c.fate())
	}
	unread := errors.Join(printUnread(a.err, found.Unread), printDamage(a.err, found.UnreadDeliveries))
	if len(found.Calls)+found.Rejected+len(found.At) == 0 {
		if c.JSON {
			unread = errors.Join(unread, a.out.json(found))
		}
		return unread
	}
	if unread != nil {
		a.err.f("what cannot be read may be theirs, is not erased, and has to be looked for in a backup\n")
	}
	if err := a.confirm(ctx, c.Yes, "Erase it for good?", "nothing has been erased", "erase it"); err != nil {
		return err
	}
	done, err := client.Erase(ctx, admin.EraseRequest{Subject: subject, CRM: c.CRM})
	bar.clear()
	if err != nil {
		return err
	}
	if c.JSON {
		err = a.out.json(done)
	} else {
		printReceipt(a.out, done.Receipt)
	}
	if done.Receipt.Unread > 0 {
		return errSilent
	}
	return err
}

// fate says what becomes of what stands in a CRM.
func (c *eraseCmd) fate() string {
	switch {
	case !c.CRM:
		return "stays in the CRM, where callsync cannot find it afterwards; --crm deletes it"
	case c.Call != "":
		return "records are deleted in the CRM, into its recycle bin; a person stays there"
	}
	return "deleted in the CRM; records go to its recycle bin"
}

func printErasable(p *printer, e admin.Erasing, fate string) {
	if len(e.Calls)+e.Rejected+len(e.At) == 0 {
		held := "nothing is held of them"
		if e.Unread != nil || len(e.UnreadDeliveries) > 0 {
			held = "nothing that can be read is held of them"
		}
		p.f("%s, and nothing was searched in the CRMs\n", held)
	} else {
		named := ""
		if len(e.Calls) > 0 {
			named = " (" + most(e.Calls, 10) + ")"
		}
		p.f("in the journal: %s%s, %s\n", count(len(e.Calls), "call"), named, count(e.Rejected, "refused delivery"))
	}
	for _, at := range e.At {
		p.f("at %s: %s, %s; %s\n", at.Destination, people(at.People), count(at.Records, "record"), fate)
	}
	if n := len(e.Mentions); n > 0 {
		p.f("%s of others %s them and %s: %s\n", count(n, "call"), oneOrMany(n, "mentions", "mention"), oneOrMany(n, "stays", "stay"), most(e.Mentions, 10))
	}
}

// binned says what of it the CRM can still bring back.
func binned(c erasure.CRMReceipt) string {
	const where = " in the CRM's recycle bin until that is emptied"
	n := c.RestorableRecords
	switch {
	case n > 0 && c.Restorable:
		return ";" + where
	case c.Restorable:
		return "; " + people(c.People) + where
	case n > 0:
		return "; " + count(n, "record") + where
	}
	return ""
}

func printReceipt(p *printer, r *erasure.Receipt) {
	j := r.Journal
	p.f("erased %s\n", r.At.Format("2006-01-02 15:04:05 UTC"))
	p.f("  journal: %s, %s, %s, %s, %s, %s\n",
		count(j.Calls, "call"), count(j.Bodies, "body"), count(j.Deliveries, "delivery"),
		count(j.Records, "record"), people(j.People), count(j.Identities, "identity"))
	if r.Unread > 0 {
		p.f("  %s\n", styled{"not erased: " + count(r.Unread, "part") + " of the journal that cannot be read", yellow})
	}
	for _, c := range r.CRMs {
		p.f("  %s: %s, %s", c.Destination, people(c.People), count(c.Records, "record"))
		p.f("%s\n", binned(c))
	}
	p.wrap("", styled{"Freed space in the journal is overwritten in time, by `callsync compact` at once; backups and exports made before still hold the person.", plain})
}
