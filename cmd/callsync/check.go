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
	k := &checkup{found: []checked{}}
	cfg, err := k.configuration(a, c.Offline)
	if err == nil {
		err = k.mappings(cfg)
	}
	if err != nil || c.Offline {
		return k.found, err
	}
	if c.Alert {
		k.found = append(k.found, testAlerts(ctx, cfg.Alerts)...)
	}
	return k.found, k.accounts(ctx, a, cfg, c.Live)
}

// A checkup is a check under way.
type checkup struct{ found []checked }

func (k *checkup) add(what string, ok bool, text string) {
	k.found = append(k.found, checked{what, crm.Finding{Name: what, OK: ok, Text: text}})
}

func (k *checkup) configuration(a *app, offline bool) (*config.Config, error) {
	load := a.config
	if offline {
		load = func() (*config.Config, error) { cfg, _, err := a.offlineConfig(); return cfg, err }
	}
	cfg, err := load()
	if err == nil && !offline {
		_, err = certificate(cfg.Receiver)
	}
	if err != nil {
		k.add("configuration", false, err.Error())
		return nil, errFiles
	}
	k.add("configuration", true, cfg.File+" is in order")
	for _, w := range cfg.Warnings {
		k.add("configuration", true, "warning: "+w)
	}
	return cfg, nil
}

// mappings compiles the mapping files and runs their tests.
func (k *checkup) mappings(cfg *config.Config) error {
	broken := false
	for _, name := range cfg.Names() {
		m, err := loadMapping(cfg.Destinations[name])
		if err != nil {
			broken = true
			k.add("mapping", false, err.Error())
			continue
		}
		k.add("mapping", true, fmt.Sprintf("%s is in order, version %s", m.Name(), m.Version()))
		for _, w := range m.Warnings() {
			k.add("mapping", true, "warning: "+w.String())
		}
		tested, err := testMapping(cfg.Destinations[name], m)
		if err != nil {
			return err
		}
		k.found = append(k.found, tested...)
	}
	if broken {
		return errFiles
	}
	return nil
}

// accounts asks the CRMs, by way of the daemon if there is one, and if live is
// wanted, 11x.
func (k *checkup) accounts(ctx context.Context, a *app, cfg *config.Config, live bool) error {
	s, err := a.connect(ctx, true)
	if err != nil {
		return err
	}
	defer s.close()
	if s.daemon {
		status, err := s.Status(ctx)
		if err != nil {
			return err
		}
		for _, table := range status.Stale {
			k.add("daemon", false, table+": the daemon runs with something else, and what follows is about that; restart it, or `callsync reload` for keys and alerts")
		}
	}
	if live {
		k.found = append(k.found, checkJulian(ctx, cfg, s)...)
	}
	for _, name := range cfg.Names() {
		answer, err := s.Check(ctx, name, admin.CheckRequest{Probe: live})
		if err != nil {
			text := err.Error()
			if hint := hintOf(err); hint != "" {
				text += "; " + hint
			}
			k.add(name, false, text)
			continue
		}
		for _, f := range answer.Findings {
			k.found = append(k.found, checked{name, f})
		}
	}
	return nil
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
