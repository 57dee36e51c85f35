package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/callsync/callsync/crm"
)

// outOfReach stands in for an account that cannot be opened, in commands that
// may not need it: a shell without the service's secrets can still look at the
// journal.
type outOfReach struct{ err error }

var errOutOfReach = errors.New("the CRM account cannot be opened")

func (o outOfReach) fail() error { return fmt.Errorf("%w: %w", errOutOfReach, o.err) }

func (outOfReach) BatchSize() int                { return 1 }
func (o outOfReach) Ready(context.Context) error { return o.fail() }
func (outOfReach) Status() crm.Status            { return crm.Status{} }

func (o outOfReach) FindPeople(context.Context, []crm.PersonQuery) ([][]crm.Candidate, error) {
	return nil, o.fail()
}

func (o outOfReach) Locate(context.Context, []crm.KeyRef) ([]crm.Location, error) {
	return nil, o.fail()
}

func (o outOfReach) Read(context.Context, []crm.Ref, []string) ([]crm.Snapshot, error) {
	return nil, o.fail()
}

func (o outOfReach) Resolve(context.Context, []crm.Value) (map[crm.Value]string, error) {
	return nil, o.fail()
}

func (o outOfReach) Related(context.Context, []crm.RelatedQuery) ([][]crm.Ref, error) {
	return nil, o.fail()
}

func (o outOfReach) Write(_ context.Context, changes []crm.Change) []crm.Result {
	results := make([]crm.Result, len(changes))
	for i := range results {
		results[i].Err = o.fail()
	}
	return results
}

func (o outOfReach) Schema(context.Context, string) (*crm.Schema, error) { return nil, o.fail() }

func (o outOfReach) SetupPlan(context.Context, []crm.Property) ([]crm.SetupStep, error) {
	return nil, o.fail()
}

func (o outOfReach) Setup(context.Context, []crm.SetupStep) error { return o.fail() }

func (o outOfReach) Probe(context.Context) ([]crm.Finding, error) { return nil, o.fail() }

var _ interface {
	crm.Destination
	crm.Inspector
} = outOfReach{}
