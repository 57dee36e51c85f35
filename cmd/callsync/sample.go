package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/julian"
)

type sampleCmd struct {
	output
	AgentID string `arg:"" help:"Agent id, as 11x shows it."`
	Payload bool   `help:"Print the payload instead of its plan."`
}

// Run fetches a payload as 11x would send it and plans it like a delivery.
func (c *sampleCmd) Run(ctx context.Context, a *app) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	if cfg.Julian.APIKey.IsZero() {
		return usagef("%s has no api_key in [julian]", cfg.File)
	}
	client := julian.NewClient(julian.ClientOptions{BaseURL: cfg.Julian.BaseURL, Key: cfg.Julian.APIKey.Reveal()})
	body, err := client.Sample(ctx, c.AgentID)
	if err != nil {
		return err
	}
	if c.Payload {
		if !json.Valid(body) {
			return fmt.Errorf("11x answered with something that is not JSON")
		}
		return a.out.json(json.RawMessage(body))
	}
	s, err := a.connect(ctx, true)
	if err != nil {
		return err
	}
	defer s.close()
	plans, err := s.Plan(ctx, admin.PlanRequest{Payload: body})
	if err != nil {
		return err
	}
	return printPlans(a.out, c.JSON, plans)
}
