package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/config"
	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/sync"
)

type planCmd struct {
	output
	selection
	CallIDs   []string `arg:"" optional:"" name:"call-id" help:"Calls to plan; or choose them with --since, --state and the like."`
	File      string   `short:"f" placeholder:"FILE" help:"Plan a payload that has not been received, from a file or - for standard input. Needs no daemon and no CRM."`
	All       bool     `help:"Every call in the journal."`
	Live      bool     `help:"Ask the CRM what it holds now, and who the people are; nothing is written."`
	Mapping   string   `placeholder:"FILE" help:"Plan by this mapping file instead of the one in force; with --file no configuration is needed."`
	Examples  int      `default:"3" placeholder:"N" help:"How many calls to show of many (${default})."`
	WriteTest bool     `help:"With --file: keep the payload and what the mapping gives now as a test beside the mapping file, for callsync check."`
	Type      string   `placeholder:"CRM" help:"With --file: use the mapping shipped for hubspot or salesforce, without any configuration."`
}

func (c *planCmd) Run(ctx context.Context, a *app) error {
	if c.Live && (c.Mapping != "" || c.Type != "" || c.WriteTest) {
		return usagef("--live plans by the mapping in force")
	}
	if c.Destination != "" && c.Type != "" {
		return usagef("--type needs no configuration, --destination is from it: choose one")
	}
	if c.File != "" {
		if len(c.CallIDs) > 0 || !c.selection.empty() && !c.selection.onlyDestination() {
			return usagef("--file plans the payload in the file; it does not go with call ids or a selection other than --destination")
		}
		return c.planFile(ctx, a)
	}
	if c.Type != "" || c.WriteTest {
		return usagef("--type and --write-test go with --file")
	}
	if len(c.CallIDs) == 0 && c.selection.empty() && !c.All {
		return usagef("name calls, choose them with --since, --until, --result, --agent or --state, say --all, or plan a payload with --file")
	}
	s, err := a.connect(ctx, false)
	if err != nil {
		return err
	}
	defer s.close()
	req := admin.PlanRequest{Selection: c.of(c.CallIDs), Live: c.Live}
	if c.Mapping != "" {
		if req.Mapping, req.Destination, err = c.editedMapping(s.cfg); err != nil {
			return err
		}
	}
	g := newProgress(a.err)
	plans, err := s.Reporting(planned(g, "planned")).Plan(ctx, req)
	g.clear()
	if err != nil {
		return err
	}
	unread := printUnread(a.err, plans.Totals.Unread)
	if len(c.CallIDs) == 0 && !c.JSON {
		printHistory(a.out, plans, c.Examples)
		return unread
	}
	return cmp.Or(printPlans(a.out, c.JSON, plans), unread)
}

// editedMapping reads the mapping to plan by, and says for which destination.
func (c *planCmd) editedMapping(cfg *config.Config) (*admin.MappingSource, string, error) {
	d, err := oneDestination(cfg, c.Destination, "say for which --destination")
	if err != nil {
		return nil, "", err
	}
	d.Mapping = c.Mapping
	m, err := loadMapping(d)
	if err != nil {
		return nil, "", usageError{err}
	}
	return &admin.MappingSource{Name: m.Name(), Source: string(m.Source()), Routed: m.Routed()}, d.Name, nil
}

// planFile plans a payload against the configured destinations, or by one
// mapping alone when there is no configuration or the flags name one.
func (c *planCmd) planFile(ctx context.Context, a *app) error {
	body, err := readPayload(a, c.File)
	if err != nil {
		return err
	}
	if c.WriteTest {
		return c.writeTest(a, body)
	}
	if c.Mapping == "" && c.Type == "" {
		s, err := a.connect(ctx, true)
		switch {
		case err == nil:
			defer s.close()
			plans, err := s.Plan(ctx, admin.PlanRequest{Payload: body, Live: c.Live, Selection: admin.Selection{Destination: c.Destination}})
			if err != nil {
				return err
			}
			return printPlans(a.out, c.JSON, plans)
		case a.configured():
			return err
		}
	}
	plans, err := c.planAlone(ctx, a, body)
	if err != nil {
		return err
	}
	return printPlans(a.out, c.JSON, plans)
}

// writeTest makes a mapping test of a payload.
func (c *planCmd) writeTest(a *app, body []byte) error {
	if c.Type != "" && c.Mapping == "" {
		return usagef("tests are kept beside a mapping file: name it with --mapping")
	}
	d, err := c.alone(a)
	if err != nil {
		return err
	}
	if d.Mapping == "" {
		return usagef("tests are kept beside a mapping file, and %s uses the shipped mapping: name a file with --mapping", d.Name)
	}
	m, err := loadMapping(d)
	if err != nil {
		return usageError{err}
	}
	name := strings.TrimSuffix(filepath.Base(c.File), filepath.Ext(c.File))
	if c.File == "-" {
		name = "payload"
	}
	folder := testsFolder(d.Mapping)
	want, err := m.WriteTest(folder, name, body)
	if err != nil {
		return err
	}
	a.out.f("%s: %s is now a test of %s; read %s to see that it is right\n", folder, name, m.Name(), want)
	return nil
}

// configured reports whether there is a configuration.
func (a *app) configured() bool {
	_, err := os.Stat(a.configPath)
	return !errors.Is(err, fs.ErrNotExist) || a.configPath != defaultConfig
}

func readPayload(a *app, file string) (json.RawMessage, error) {
	in, err := a.input(file)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	body, err := io.ReadAll(in)
	if err != nil {
		return nil, err
	}
	if !json.Valid(body) {
		return nil, usagef("%s is not JSON", file)
	}
	return body, nil
}

// alone is the destination that a payload is planned for by one mapping: the
// configured one with another mapping, if any, or one of which nothing is known
// but its type.
func (c *planCmd) alone(a *app) (config.Destination, error) {
	if c.Destination == "" && (c.Mapping != "" || c.Type != "" || !a.configured()) {
		d := config.Destination{Name: "hubspot", Type: "hubspot", Mapping: c.Mapping}
		if c.Type != "" {
			d.Name, d.Type = c.Type, c.Type
		}
		return d, nil
	}
	cfg, _, err := a.offlineConfig()
	if err != nil {
		return config.Destination{}, err
	}
	d, err := oneDestination(cfg, c.Destination, "say for which --destination")
	if c.Mapping != "" {
		d.Mapping = c.Mapping
	}
	return d, err
}

func (c *planCmd) planAlone(ctx context.Context, a *app, body []byte) (admin.Plans, error) {
	d, err := c.alone(a)
	if err != nil {
		return admin.Plans{}, err
	}
	m, err := loadMapping(d)
	if err != nil {
		return admin.Plans{}, usageError{err}
	}
	work, err := admin.Incoming(body, time.Now())
	if err != nil {
		return admin.Plans{}, err
	}
	plans, err := sync.Plan(ctx, d.Name, m, nil, []store.Work{work})
	if err != nil {
		return admin.Plans{}, err
	}
	return admin.Sum(plans), nil
}

func printPlans(p *printer, asJSON bool, plans admin.Plans) error {
	if asJSON {
		return p.json(plans)
	}
	for i, plan := range plans.Plans {
		if i > 0 {
			p.f("\n")
		}
		printPlan(p, plan)
	}
	if plans.Totals.Calls == 1 && len(plans.Plans) == 1 {
		return nil
	}
	if len(plans.Plans) > 0 {
		p.f("\n")
	}
	printTotals(p, plans.Totals)
	if plans.Totals.Truncated {
		p.f("only the first %d plans are shown\n", len(plans.Plans))
	}
	return nil
}

func printPlan(p *printer, plan sync.CallPlan) {
	p.f("%s to %s: ", styled{plan.CallID, bold}, plan.Destination)
	if plan.Expired() {
		p.f("%s, stays %s", styled{"cannot be planned", yellow}, string(plan.Status))
	} else {
		p.f("%s", forecast(plan.Status))
	}
	if !plan.Writes() && !plan.Expired() {
		p.f(", nothing to write")
	}
	if plan.Mapping != "" { // "" where none can be used
		p.f(" (mapping %s)", plan.Mapping)
	}
	p.f("\n")
	if plan.Reason != "" {
		p.wrap("  ", styled{plan.Reason, plain})
	}
	if plan.Tried {
		p.f("  %s\n", styled{"its last attempt failed, at the same revision and by the same mapping; a resync tries again", yellow})
	}
	for _, w := range plan.Warnings {
		p.f("  %s %s\n", styled{"warning:", yellow}, w)
	}
	if plan.Person.How != "" || plan.Person.Op != sync.None && plan.Person.Op != "" {
		p.f("  %s person", opText(plan.Person.Op))
		if !plan.Person.Ref.IsZero() {
			p.f(" %s", plan.Person.Ref.String())
		}
		p.f(": %s\n", plan.Person.How)
		for _, m := range plan.Person.Match {
			p.f("      match %d: %s\n", m.Rule+1, matchText(m))
		}
		printCandidates(p, "      ", plan.Person.Ref, plan.Person.Candidates)
		printChanges(p, plan.Person.Changes)
	}
	for _, r := range plan.Records {
		p.f("  %s %s: %s", opText(r.Op), r.Key, r.Object)
		if r.ID != "" {
			p.f("/%s", r.ID)
		}
		if r.Note != "" {
			p.f(", %s", r.Note)
		}
		p.f("\n")
		printChanges(p, r.Changes)
	}
}

// forecast words where a call would stand.
func forecast(s store.Status) styled {
	text := "would be " + string(s)
	switch s {
	case store.Pending:
		text = "would stay pending"
	case store.Waiting:
		text = "would wait"
	case store.Retrying:
		text = "would be tried again later"
	case store.Failed:
		text = "would fail"
	}
	return styled{text, statusText(s).c}
}

func matchText(m crm.Match) string {
	if m.Property == "" {
		return "id " + m.Value
	}
	return m.Property + " " + m.Value
}

func opText(op crm.Op) styled {
	switch op {
	case crm.Create:
		return styled{"+", green}
	case crm.Update:
		return styled{"~", yellow}
	case crm.Archive:
		return styled{"-", red}
	default:
		return styled{"=", dim}
	}
}

func printChanges(p *printer, changes []sync.PropertyChange) {
	t := newTable()
	t.indent = "      "
	for _, c := range changes {
		text := valueText(c.New, "")
		if !c.Old.IsNull() {
			text = valueText(c.Old, "") + " → " + text
		}
		var notes []string
		if c.Write != "" && c.Write != crm.Always {
			notes = append(notes, string(c.Write))
		}
		if c.Note != "" {
			notes = append(notes, c.Note)
		}
		t.row(c.Name, styled{strings.Join(notes, ", "), dim}, text)
	}
	t.print(p)
}
