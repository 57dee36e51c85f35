package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/sync"
)

type statusCmd struct{ output }

func (c *statusCmd) Run(ctx context.Context, a *app) error {
	s, err := a.connect(ctx, false)
	if err != nil {
		return err
	}
	defer s.close()
	status, err := s.Status(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return a.out.json(status)
	}
	printStatus(a.out, status)
	return nil
}

func printStatus(p *printer, s admin.Status) {
	if s.Daemon && !s.Ready {
		p.wrap("NOT TAKING DELIVERIES: ", styled{strings.Join(s.Reasons, "; "), red})
	}
	if s.Daemon {
		up := fmt.Sprintf(", callsync %s, up %s", s.Build.Version, span(now().Sub(s.Started)))
		p.f("%s%s", styled{"running", green}, up)
		if len(s.Receivers) > 0 {
			where := "deliveries at " + strings.Join(s.Receivers, ", ")
			if p.width > 0 && columns("running"+up+", "+where) > p.width {
				p.f(",\n%s", where)
			} else {
				p.f(", %s", where)
			}
		}
		p.f("\n")
	} else {
		p.f("%s: this is what the journal says; nothing is received or synced\n", styled{"no daemon is running", yellow})
	}
	journal := fmt.Sprintf("%s, %s", count(s.Journal.Calls, "call"), size(s.Journal.Bytes))
	var verdicts []string
	for _, v := range store.Verdicts() {
		if n := s.Journal.Deliveries[v]; n > 0 {
			verdicts = append(verdicts, fmt.Sprintf("%d %s", n, v))
		}
	}
	if len(verdicts) > 0 {
		journal += "; deliveries: " + strings.Join(verdicts, ", ")
	}
	p.wrap("journal: ", styled{journal, plain})
	if s.Journal.DiskSize > 0 {
		p.f("disk: %s free of %s\n", size(s.Journal.DiskFree), size(s.Journal.DiskSize))
	}
	printRefused(p, s)
	if s.Julian != nil {
		p.f("11x: %s\n", julianText(*s.Julian))
	}
	for _, d := range s.Destinations {
		printDestination(p, d, s.Daemon)
	}
}

func printDestination(p *printer, d admin.DestinationStatus, daemon bool) {
	p.f("\n%s", styled{d.Destination, bold})
	if d.Type != d.Destination {
		p.f(" (%s)", d.Type)
	}
	if daemon || d.Phase == sync.Paused {
		p.f(": %s", phaseText(d.Phase))
		if d.Phase == sync.Paused && !d.Since.IsZero() {
			p.f(" since %s (%s)", minute(d.Since), ago(d.Since, now()))
		}
	}
	if d.CRM.Account != "" {
		p.f(", account %s", d.CRM.Account)
	}
	p.f("\n")
	if d.Reason != "" {
		p.wrap("  ", styled{d.Reason, yellow})
	}
	if d.Hint != "" {
		p.wrap("  ", styled{d.Hint, plain})
	}
	if d.Phase != sync.Running && !d.Until.IsZero() {
		p.f("  goes on by itself %s\n", due(d.Until, now()))
	}
	var states []string
	for _, st := range store.Statuses() {
		if n := d.Calls[st]; n > 0 {
			states = append(states, fmt.Sprintf("%d %s", n, st))
		}
	}
	if len(states) == 0 {
		states = []string{"none yet"}
	}
	p.wrap("  calls    ", styled{strings.Join(states, ", "), plain})
	for _, st := range []store.Status{store.Failed, store.Skipped} {
		if d.Calls[st] > 0 {
			p.f("           %s\n", styled{fmt.Sprintf("why %s: `callsync calls --state %s`", st, st), dim})
		}
	}
	if d.Forgotten > 0 {
		p.wrap("  missing  ", styled{fmt.Sprintf("%s, written to an account that was forgotten since, %s not in this one: `callsync resync --all --destination %s`",
			count(int(d.Forgotten), "call"), oneOrMany(int(d.Forgotten), "is", "are"), d.Destination), yellow})
	}
	if d.Backlog.Replay > 0 {
		p.f("  replay   %s to sync again, behind new ones\n", count(d.Backlog.Replay, "call"))
	}
	if !d.Oldest.IsZero() {
		p.f("  oldest   on its way since %s (%s)\n", at(d.Oldest), ago(d.Oldest, now()))
	}
	if !d.LastSync.IsZero() {
		p.f("  synced   %s\n", ago(d.LastSync, now()))
	}
	p.wrap("  mapping  ", styled{d.MappingFile.Name + ", version " + d.MappingFile.Version, plain})
	if d.MappingFile.Problem != "" {
		p.wrap("           ", styled{"the file has changed and cannot be used: " + d.MappingFile.Problem, red})
	}
	for _, doubt := range d.MappingFile.Doubts {
		p.wrap("           ", styled{"warning: " + doubt, yellow})
	}
	if d.CRM.QuotaLimit > 0 {
		p.f("  quota    %d of %d used today\n", d.CRM.QuotaUsed, d.CRM.QuotaLimit)
	}
	if len(d.CRM.Requests) > 0 {
		var total int64
		for _, n := range d.CRM.Requests {
			total += n
		}
		p.wrap("  requests ", styled{fmt.Sprintf("%d since start: %s", total, most(operationList(d.CRM.Requests), 5)), plain})
	}
}

func julianText(j admin.JulianStatus) styled {
	switch {
	case j.Asked.IsZero():
		return styled{"not asked yet", yellow}
	case !j.OK:
		return styled{j.Problem + ", " + ago(j.Asked, now()), yellow}
	default:
		return styled{"takes the key, asked " + ago(j.Asked, now()), green}
	}
}

// operations names operations in a line, most frequent first.
func operations[N ~int | ~int64](counts map[string]N) string {
	return strings.Join(operationList(counts), ", ")
}

func operationList[N ~int | ~int64](counts map[string]N) []string {
	names := make([]string, 0, len(counts))
	for name := range counts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if counts[a] != counts[b] {
			return int(counts[b] - counts[a])
		}
		return strings.Compare(a, b)
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %d", name, counts[name])
	}
	return names
}

func phaseText(phase sync.Phase) styled {
	c := yellow
	if phase == sync.Running {
		c = green
	}
	return styled{string(phase), c}
}
