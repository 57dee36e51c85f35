package admin_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/erasure"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
)

// An erasableAccount refuses what it is told to.
type erasableAccount struct {
	crm.Destination
	refuse   error
	archived int
}

func (a *erasableAccount) Write(_ context.Context, changes []crm.Change) []crm.Result {
	results := make([]crm.Result, len(changes))
	for i := range results {
		results[i].Err = a.refuse
	}
	a.archived += len(changes)
	return results
}

// What the CRM refuses stays in the journal, which alone knows how to go on.
func TestEraseStopsWhereTheCRMRefuses(t *testing.T) {
	w := newWorld(t)
	account := &erasableAccount{refuse: &crm.Error{Kind: crm.Credential, Op: "calls batch archive", Message: "the token has no scope for it", Hint: "add the scope"}}
	w.server.Destinations[0].CRM = account
	w.deliver(t, "call.1", julian.Busy)
	record := func(destination string) {
		t.Helper()
		err := w.journal.Apply(t.Context(), destination, store.Update{Records: map[string][]store.Record{"call.1": {{Key: "call.1#call", Object: "calls", ID: "7"}}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	record("hubspot")
	erase := func(req admin.EraseRequest) (admin.Erasing, error) {
		req.Call = "call.1"
		return admin.InProcess(w.server).Erase(t.Context(), req)
	}
	still := func() {
		t.Helper()
		if _, err := w.journal.Call(t.Context(), "call.1"); err != nil {
			t.Errorf("the journal let go of the call: %v", err)
		}
	}

	found, err := erase(admin.EraseRequest{DryRun: true, CRM: true})
	if err != nil || len(found.Calls) != 1 || found.Receipt != nil || account.archived != 0 {
		t.Errorf("a dry run: %+v, %v, %d archived", found, err, account.archived)
	}
	still()

	_, err = erase(admin.EraseRequest{CRM: true})
	var e *admin.Error
	if !errors.As(err, &e) || e.Code != "crm_credential" || e.Hint != "add the scope" || !strings.HasPrefix(e.Message, "hubspot: ") {
		t.Errorf("refused by the CRM: %+v", err)
	}
	still()

	account.refuse = nil
	record("left behind")
	if _, err := erase(admin.EraseRequest{CRM: true}); err == nil || !strings.Contains(err.Error(), "left behind, which is no longer in the configuration") {
		t.Errorf("a destination nobody can reach: %v", err)
	}
	still()

	done, err := erase(admin.EraseRequest{})
	if err != nil || done.Receipt.Journal.Calls != 1 || done.Receipt.Journal.Records != 2 || len(done.Receipt.CRMs) != 0 {
		t.Errorf("from the journal alone: %+v, %v", done, err)
	}
	if _, err := w.journal.Call(t.Context(), "call.1"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the call: %v, want ErrNotFound", err)
	}
	if _, err := admin.InProcess(w.server).Erase(t.Context(), admin.EraseRequest{Subject: erasure.Subject{Phone: "5551234"}}); !errors.As(err, &e) || e.Code != "invalid" || strings.Contains(e.Message, "5551234") {
		t.Errorf("a number without its country: %v", err)
	}
}

func TestCompactOverTheAPI(t *testing.T) {
	w := newWorld(t)
	w.deliver(t, "call.1", julian.Busy)
	for name, c := range w.clients(t) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		sizes, err := c.Compact(ctx)
		if err != nil || sizes.After == 0 || sizes.After > sizes.Before {
			t.Errorf("%s: %+v, %v", name, sizes, err)
		}
		if d, err := c.Call(ctx, "call.1", true); err != nil || len(d.Revisions) != 1 || d.Revisions[0].Body == nil {
			t.Errorf("%s: the call afterwards: %+v, %v", name, d, err)
		}
	}
}
