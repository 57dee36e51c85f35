package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"

	"github.com/callsync/callsync/crm"
)

// autoSetup creates what the account lacks when a loop first asks whether it is
// ready, and again when another mapping has come into force.
type autoSetup struct {
	crm.Destination
	mapping *liveMapping
	log     *slog.Logger
	done    atomic.Pointer[string] // the mapping's version that it was done for
}

func (a *autoSetup) Ready(ctx context.Context) error {
	err := a.Destination.Ready(ctx)
	inspector, ok := a.Destination.(crm.Inspector)
	if !ok || err != nil && crm.KindOf(err) != crm.NotReady {
		return err
	}
	m := a.mapping.info()
	if done := a.done.Load(); err == nil && done != nil && *done == m.Version {
		return nil
	}
	switch failed := a.setUp(ctx, inspector, m.Declared); {
	case failed == nil:
	case err == nil && unallowed(failed):
		a.log.Warn("what the mapping needs in the account could not be created; calls that need it fail until `callsync setup` has been run", "error", failed, "hint", hintOf(failed))
	default:
		return failed
	}
	a.done.Store(&m.Version)
	if err == nil {
		return nil
	}
	return a.Destination.Ready(ctx)
}

func (a *autoSetup) setUp(ctx context.Context, inspector crm.Inspector, declared []crm.Property) error {
	steps, err := inspector.SetupPlan(ctx, declared)
	if err != nil || len(steps) == 0 {
		return err
	}
	if err := inspector.Setup(ctx, steps); err != nil {
		return err
	}
	a.log.Info("the account was set up, as auto_setup allows", "steps", len(steps))
	return nil
}

// unallowed reports whether trying again would fail in the same way: the token
// does for calls, but not for properties, or the CRM will not have one of them.
func unallowed(err error) bool {
	var e *crm.Error
	return errors.As(err, &e) && (e.Kind == crm.Permanent || e.Kind == crm.Credential && e.Status == http.StatusForbidden)
}
