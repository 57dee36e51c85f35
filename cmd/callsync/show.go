package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

type showCmd struct {
	output
	CallID  string `arg:"" help:"The call's id."`
	Explain bool   `help:"Name the rule behind every property, its line, what it read and what it gave."`
	Body    bool   `help:"Print the newest body as received; with --json, every revision's."`
}

func (c *showCmd) Run(ctx context.Context, a *app) error {
	s, err := a.connect(ctx, false)
	if err != nil {
		return err
	}
	defer s.close()
	d, err := s.Call(ctx, c.CallID, c.Body)
	if err != nil {
		return err
	}
	var explained []admin.Explained
	if c.Explain {
		if explained, err = s.Client.Explain(ctx, c.CallID, ""); err != nil {
			return err
		}
	}
	switch {
	case c.JSON && c.Explain:
		return a.out.json(explained)
	case c.JSON:
		return a.out.json(d)
	case c.Body:
		return printBody(a.out, d)
	}
	printCall(a.out, d)
	for _, e := range explained {
		if err := printExplained(a.out, d, e); err != nil {
			return err
		}
	}
	return nil
}

// expiredText says what it means that a call's newest body has expired.
const expiredText = "its payload has expired ([retention] bodies): it cannot be shown, exported, planned or written again, unless 11x delivers a correction"

func printBody(p *printer, d admin.CallDetail) error {
	if len(d.Damaged) > 0 && len(d.Revisions) == 0 {
		return errors.New(strings.Join(d.Damaged, "\n"))
	}
	if len(d.Revisions) == 0 || !d.HasBody() {
		return fmt.Errorf("call %s: %s", d.ID, expiredText)
	}
	var body any
	newest := d.Revisions[len(d.Revisions)-1]
	dec := json.NewDecoder(strings.NewReader(string(newest.Body)))
	dec.UseNumber()
	if err := dec.Decode(&body); err != nil {
		return fmt.Errorf("call %s: revision %d cannot be read: %w", d.ID, newest.N, err)
	}
	return p.json(body)
}

func printCall(p *printer, d admin.CallDetail) {
	var facts []string
	facts = append(facts, resultOf(d.Call))
	if d.Interim {
		facts = append(facts, "interim")
	}
	for _, s := range []string{d.Direction, d.AgentID} {
		if s != "" {
			facts = append(facts, s)
		}
	}
	p.f("%s  %s\n", styled{d.ID, bold}, strings.Join(facts, ", "))
	p.f("  took place %s, received %s (%s)\n", at(d.ScheduledAt), at(d.ReceivedAt), ago(d.ReceivedAt, now()))
	for _, w := range d.Warnings {
		p.f("  %s %s\n", styled{"warning:", yellow}, w.String())
	}
	if !d.HasBody() {
		p.wrap("  ", styled{expiredText, yellow})
	}
	for _, text := range d.Damaged {
		p.f("  %s %s\n", styled{"damaged:", red}, text)
	}

	p.f("\n%s\n", styled{"Deliveries", bold})
	t := deliveryTable(d.Deliveries)
	t.indent = "  "
	t.print(p)

	p.f("\n%s\n", styled{"Revisions", bold})
	t = newTable("#", "accepted", "size", "hash")
	t.indent, t.right[0], t.right[2] = "  ", true, true
	for _, r := range d.Revisions {
		bytes := size(int64(r.Size))
		if r.N <= d.Expired {
			bytes = "expired"
		}
		t.row(number(r.N), at(r.At), bytes, fmt.Sprintf("%.12s", r.Hash))
	}
	t.print(p)

	for _, at := range d.Destinations {
		printCallAt(p, d, at)
	}
	if len(d.Destinations) == 0 && d.HasBody() {
		p.f("\nThe call is due at no destination; `callsync resync %s` sends it to those that are configured.\n", d.ID)
	}
}

// printCallAt explains where a call stands at one destination.
func printCallAt(p *printer, d admin.CallDetail, c admin.CallAt) {
	p.f("\n%s: %s", styled{c.Destination, bold}, statusText(c.Status))
	switch {
	case c.Status == store.Synced && !c.SyncedAt.IsZero():
		p.f(" %s", ago(c.SyncedAt, now()))
	case !c.Since.IsZero():
		p.f(" since %s", at(c.Since))
	}
	if c.Revision > 0 {
		p.f(", revision %d of %d", c.Revision, d.Revision)
	}
	if c.Mapping != "" {
		p.f(", mapping %s", c.Mapping)
	}
	p.f("\n")
	if c.Reason != "" {
		p.wrap("  ", styled{c.Reason, plain})
	}
	if c.Attempts > 0 {
		p.f("  %s without success\n", count(c.Attempts, "attempt"))
	}
	if c.Problem != nil {
		printProblem(p, c.Problem)
	}
	if c.Hold != nil {
		printHold(p, c.Hold)
	}
	if !c.Next.IsZero() {
		p.f("  next attempt %s (due %s)\n", at(c.Next), due(c.Next, now()))
	}
	for _, w := range c.Warnings {
		p.f("  %s %s\n", styled{"warning:", yellow}, w)
	}
	if c.Person != nil {
		printPerson(p, c.Person)
		printApplied(p, brought(c.Contact, d.ID))
	}
	for _, r := range c.Records {
		printRecord(p, r)
	}
}

// printHold says what a call waits for.
func printHold(p *printer, h *admin.Hold) {
	p.f("  waits: %s", styled{h.Text, yellow})
	if !h.Since.IsZero() {
		p.f(", since %s", at(h.Since))
	}
	p.f("\n")
	for _, text := range []string{h.Reason, h.Hint} {
		if text != "" {
			p.wrap("    ", styled{text, plain})
		}
	}
	if h.Phase != "" && !h.Until.IsZero() {
		p.f("    goes on by itself %s\n", due(h.Until, now()))
	}
}

func printProblem(p *printer, e *store.Problem) {
	p.f("  %s", styled{e.Text, red})
	if e.Record != "" {
		p.f(" (record %s)", e.Record)
	}
	p.f(", %s\n", at(e.At))
	if e.Place != "" {
		p.f("    %s\n", placeText(e.Property, e.Place))
	}
	if e.Hint != "" {
		p.wrap("    ", styled{e.Hint, plain})
	}
	if e.RequestID != "" {
		p.f("    the CRM's request id: %s\n", e.RequestID)
	}
}

// placeText says where the mapping sets the property that a problem is about.
func placeText(property, place string) string { return property + " is set at " + place }

func printPerson(p *printer, c *store.Choice) {
	p.f("  person %s, %s\n", styled{c.Ref.String(), cyan}, c.How)
	printCandidates(p, "    ", c.Ref, c.Candidates)
}

// printCandidates lists the people who were found and not chosen.
func printCandidates(p *printer, indent string, chosen crm.Ref, found []crm.Candidate) {
	for _, o := range found {
		if o.Ref == chosen {
			continue
		}
		p.f("%s", indent)
		p.f("not chosen: %s, found by rule %d", o.Ref.String(), o.Rule+1)
		if !o.Exact {
			p.f(", in part")
		}
		if !o.Modified.IsZero() {
			p.f(", changed %s", at(o.Modified))
		}
		p.f("\n")
	}
}

func printRecord(p *printer, r store.Record) {
	p.f("  record %s: ", styled{r.Key, cyan})
	switch {
	case r.Retracted:
		p.f("%s/%s, archived by callsync %s\n", r.Object, r.ID, at(r.Gone))
	case !r.Gone.IsZero():
		p.f("%s/%s, deleted in the CRM (noticed %s); `callsync resync --recreate` makes it anew\n", r.Object, r.ID, at(r.Gone))
	case r.ID == "" && !r.Intent.IsZero():
		p.f("%s, was about to be created %s; looked up before it is tried again\n", r.Object, at(r.Intent))
	case r.ID == "":
		p.f("%s, not created yet\n", r.Object)
	default:
		p.f("%s/%s\n", r.Object, r.ID)
	}
	printApplied(p, r.Properties)
	if len(r.Links) > 0 {
		links := make([]string, len(r.Links))
		for i, l := range r.Links {
			links[i] = l.String()
		}
		p.f("    linked to %s\n", strings.Join(links, ", "))
	}
}

// brought are the properties of a contact that stand as one call has them.
func brought(contact map[string]store.Applied, callID string) map[string]store.Applied {
	own := map[string]store.Applied{}
	for name, a := range contact {
		if a.Call == callID {
			own[name] = a
		}
	}
	return own
}

func printApplied(p *printer, properties map[string]store.Applied) {
	t := newTable()
	t.indent = "    "
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		note, text := standing(properties[name])
		t.row(name, styled{note, yellow}, text)
	}
	t.print(p)
}

// standing says what a property holds because of callsync, or would hold and why it
// does not.
func standing(a store.Applied) (note, text string) {
	switch {
	case !a.Unsure:
		return a.Kept, valueText(a.Value, a.Wire)
	case a.Value.IsNull():
		return "sent, not confirmed", valueText(a.Sent, "")
	default:
		return "sent, not confirmed", valueText(a.Value, a.Wire) + " → " + valueText(a.Sent, "")
	}
}

func valueText(v crm.Value, wire string) string {
	switch {
	case v.IsNull():
		return "(empty)"
	case wire != "" && wire != v.Text:
		return v.String() + " → " + wire
	default:
		return v.String()
	}
}
