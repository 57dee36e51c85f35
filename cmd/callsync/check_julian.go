package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/config"
	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
)

// recentCalls is how many calls are looked at for the agents there are.
const recentCalls = 1000

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
	known := map[string]bool{}
	for _, agent := range agents {
		outcomes, err := client.Outcomes(ctx, agent)
		if err != nil {
			return append(found, say(false, fmt.Sprintf("the outcomes of %s: %v", agent, err)))
		}
		for _, o := range outcomes {
			known[o.Name] = true
		}
	}
	if len(agents) == 0 {
		return append(found, say(true, "no agent has called yet: outcome names in mappings are not checked"))
	}
	return append(found, unknownOutcomes(cfg, known)...)
}

func agentsSeen(ctx context.Context, s *session) ([]string, error) {
	calls, err := s.Calls(ctx, admin.Selection{Limit: recentCalls})
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, c := range calls.Calls {
		if c.AgentID != "" {
			seen[c.AgentID] = true
		}
	}
	return slices.Sorted(maps.Keys(seen)), nil
}

func unknownOutcomes(cfg *config.Config, known map[string]bool) []checked {
	var found []checked
	for _, name := range cfg.Names() {
		m, err := loadMapping(cfg.Destinations[name])
		if err != nil { // has been reported
			continue
		}
		for _, o := range m.OutcomeNames() {
			if !known[o.Name] {
				text := fmt.Sprintf("%s: no agent seen so far can report the outcome %q; there are: %s", o.Pos, o.Name, join(slices.Sorted(maps.Keys(known))))
				found = append(found, checked{"mapping", crm.Finding{Name: "outcome", Text: text}})
			}
		}
	}
	return found
}
