package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/config"
	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
)

// recentAge is how far back calls are looked at for the agents there are.
const recentAge = 90 * 24 * time.Hour

// checkJulian asks 11x whether it takes the key, and which outcomes the agents
// seen in the journal can report: a mapping that tests for another never hits.
func checkJulian(ctx context.Context, cfg *config.Config, s *session) []checked {
	say := func(ok bool, text string) checked {
		return checked{"11x", crm.Finding{Name: "11x", OK: ok, Text: text}}
	}
	if cfg.Julian.APIKey.IsZero() {
		return []checked{say(true, "not asked: there is no api_key in [julian]")}
	}
	client := julian.NewClient(julian.ClientOptions{BaseURL: cfg.Julian.BaseURL, Key: cfg.Julian.APIKey.Reveal()})
	err := client.CheckKey(ctx)
	if errors.Is(err, julian.ErrUnauthorized) {
		return []checked{say(false, "the api_key in [julian] is refused")}
	}
	if err != nil {
		return []checked{say(false, err.Error())}
	}
	found := []checked{say(true, "takes the key")}
	agents, err := agentsSeen(ctx, s)
	if err != nil {
		return append(found, say(false, err.Error()))
	}
	if len(agents) == 0 {
		return append(found, say(true, "no agent has called yet: outcome names in mappings are not checked"))
	}
	known := map[string]bool{}
	for _, agent := range agents {
		outcomes, err := client.Outcomes(ctx, agent)
		if err != nil { // an agent may have been deleted since
			found = append(found, say(true, fmt.Sprintf("warning: the outcomes of %s are unknown: %v", agent, err)))
			continue
		}
		for _, o := range outcomes {
			known[o.Name] = true
		}
	}
	return append(found, unknownOutcomes(cfg, slices.Sorted(maps.Keys(known)))...)
}

// agentsSeen lists the agents of recent calls.
func agentsSeen(ctx context.Context, s *session) ([]string, error) {
	seen := map[string]bool{}
	sel := admin.Selection{Since: now().Add(-recentAge)}
	for {
		page, err := s.Calls(ctx, sel)
		if err != nil {
			return nil, err
		}
		for _, c := range page.Calls {
			if c.AgentID != "" {
				seen[c.AgentID] = true
			}
		}
		if !page.More {
			return slices.Sorted(maps.Keys(seen)), nil
		}
		sel.Until = page.Calls[len(page.Calls)-1].ReceivedAt
	}
}

// unknownOutcomes warns: an agent that can report it may not have called yet.
func unknownOutcomes(cfg *config.Config, known []string) []checked {
	var found []checked
	for _, name := range cfg.Names() {
		m, err := loadMapping(cfg.Destinations[name])
		if err != nil { // has been reported
			continue
		}
		for _, p := range m.UnknownOutcomes(known) {
			found = append(found, checked{"mapping", crm.Finding{Name: "outcome", OK: true, Text: "warning: " + p.String()}})
		}
	}
	return found
}
