package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/config"
	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/mappings"
)

type checkCmd struct {
	output
	Live    bool `help:"Also find out, with a record that is removed again, what documents cannot tell."`
	Offline bool `help:"Check the files only; ask no CRM."`
	Alert   bool `help:"Also send a test to everybody whom [alerts] names."`
}

// A checked is one line of the answer.
type checked struct {
	What string `json:"what"` // "configuration", "mapping", or a destination's name
	crm.Finding
}

func (c *checkCmd) Run(ctx context.Context, a *app) error {
	if c.Live && c.Offline {
		return usagef("--live asks the CRM, --offline does not: choose one")
	}
	if c.Alert && c.Offline {
		return usagef("--alert sends messages, --offline does not: choose one")
	}
	found, err := c.check(ctx, a)
	if c.JSON {
		if err != nil && !errors.Is(err, errSilent) { // told on standard error as well
			found = append(found, checked{"check", crm.Finding{Name: "check", Text: err.Error()}})
		}
		if printing := a.out.json(found); printing != nil {
			return printing
		}
	} else {
		printChecked(a.out, found)
	}
	if err != nil {
		return err
	}
	for _, f := range found {
		if !f.OK {
			return errSilent
		}
	}
	return nil
}

// errFiles ends a check that found mistakes in files, which have an exit code of
// their own.
var errFiles = usageError{errSilent}

// check goes on as far as it makes sense. What it found is in the answer, also
// when there is an error.
func (c *checkCmd) check(ctx context.Context, a *app) ([]checked, error) {
	found := []checked{}
	add := func(what string, ok bool, text string) {
		found = append(found, checked{what, crm.Finding{Name: what, OK: ok, Text: text}})
	}
	load := func() (*config.Config, error) { return a.config() }
	if c.Offline {
		load = func() (*config.Config, error) { cfg, _, err := a.offlineConfig(); return cfg, err }
	}
	cfg, err := load()
	if err != nil {
		add("configuration", false, err.Error())
		return found, errFiles
	}
	add("configuration", true, cfg.File+" is in order")
	for _, w := range cfg.Warnings {
		add("configuration", true, "warning: "+w)
	}
	broken := false
	for _, name := range cfg.Names() {
		m, err := loadMapping(cfg.Destinations[name])
		if err != nil {
			broken = true
			add("mapping", false, err.Error())
			continue
		}
		add("mapping", true, fmt.Sprintf("%s is in order, version %s", m.Name(), m.Version()))
		for _, w := range m.Warnings() {
			add("mapping", true, "warning: "+w.String())
		}
		tested, err := testMapping(cfg.Destinations[name], m)
		if err != nil {
			return found, err
		}
		found = append(found, tested...)
	}
	switch {
	case broken:
		return found, errFiles
	case c.Offline:
		return found, nil
	}
	if c.Alert {
		found = append(found, testAlerts(ctx, cfg.Alerts)...)
	}
	s, err := a.connect(ctx, true)
	if err != nil {
		return found, err
	}
	defer s.close()
	if s.daemon {
		status, err := s.Status(ctx)
		if err != nil {
			return found, err
		}
		for _, table := range status.Stale {
			add("daemon", false, table+": the daemon runs with something else, and what follows is about that; restart it, or `callsync reload` for keys and alerts")
		}
	}
	if c.Live {
		found = append(found, checkJulian(ctx, cfg, s)...)
	}
	for _, name := range cfg.Names() {
		answer, err := s.Check(ctx, name, admin.CheckRequest{Probe: c.Live})
		if err != nil {
			text := err.Error()
			if hint := hintOf(err); hint != "" {
				text += "; " + hint
			}
			add(name, false, text)
			continue
		}
		for _, f := range answer.Findings {
			found = append(found, checked{name, f})
		}
	}
	return found, nil
}

// testsFolder is where the tests of a mapping file are, beside it.
func testsFolder(mapping string) string { return filepath.Join(filepath.Dir(mapping), "tests") }

// testMapping runs the tests beside a mapping file.
func testMapping(d config.Destination, m *mappings.Mapping) ([]checked, error) {
	if d.Mapping == "" {
		return nil, nil
	}
	results, err := m.RunTests(testsFolder(d.Mapping))
	if err != nil {
		return nil, err
	}
	var found []checked
	for _, r := range results {
		text := "test " + r.Name
		if !r.OK {
			text += ":\n" + r.Text
		}
		found = append(found, checked{"mapping", crm.Finding{Name: "test", OK: r.OK, Text: text}})
	}
	return found, nil
}

func printChecked(p *printer, found []checked) {
	for _, f := range found {
		mark := styled{"ok  ", green}
		if !f.OK {
			mark = styled{"FAIL", red}
		}
		lines := strings.Split(strings.TrimSpace(f.Text), "\n")
		p.f("%s  %s: %s\n", mark, f.What, lines[0])
		for _, line := range lines[1:] {
			p.f("        %s\n", line)
		}
	}
}
