package admin_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/erasure"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/sync"
)

// What the stand-in's CRM looks like: every call's record was changed by hand.
func (l *loop) Verify(_ context.Context, ids []string) (*sync.Verified, error) {
	if l.broken != nil {
		return nil, l.broken
	}
	v := &sync.Verified{Calls: len(ids), Records: len(ids)}
	l.pages = append(l.pages, len(ids))
	for _, id := range ids {
		v.Drifts = append(v.Drifts, sync.Drift{
			CallID: id, Destination: "hubspot", Record: id + "#call", Kind: sync.Changed,
			Changes: []sync.PropertyChange{{Name: "title", Old: crm.Str("ours"), New: crm.Str("theirs"), Write: crm.Always}},
		})
	}
	return v, nil
}

func (l *loop) Repair(_ context.Context, drifts []sync.Drift, _ bool) (int, error) {
	return len(drifts), l.broken
}

func (l *loop) PlanLive(ctx context.Context, work []store.Work) ([]sync.CallPlan, error) {
	plans, err := l.Plan(ctx, work)
	for i := range plans {
		plans[i].Reason = "live"
	}
	return plans, err
}

func (l *loop) PlanUndo(_ context.Context, id string) (*sync.Undo, error) {
	return &sync.Undo{CallID: id, Destination: "hubspot", Person: sync.PersonPlan{Op: crm.Archive}}, l.broken
}

func (l *loop) Undo(ctx context.Context, id string) (*sync.Undo, error) {
	u, err := l.PlanUndo(ctx, id)
	u.Undone = err == nil
	return u, err
}

func TestUndo(t *testing.T) {
	w := newWorld(t)
	w.deliver(t, "call.1", julian.Voicemail)
	c := admin.InProcess(w.server)
	plan, err := c.UndoPlan(t.Context(), "call.1", "")
	if err != nil || len(plan) != 1 || plan[0].Undone {
		t.Errorf("plan %+v, %v", plan, err)
	}
	done, err := c.Undo(t.Context(), "call.1", "hubspot")
	if err != nil || len(done) != 1 || !done[0].Undone || done[0].CallID != "call.1" {
		t.Errorf("undone %+v, %v", done, err)
	}
	wantStatus := func(err error, status int, code string) {
		t.Helper()
		var e *admin.Error
		if !errors.As(err, &e) || e.Status != status || e.Code != code {
			t.Errorf("%v, want %d %s", err, status, code)
		}
	}
	_, err = c.Undo(t.Context(), "call.2", "")
	wantStatus(err, http.StatusNotFound, "not_found")
	_, err = c.Undo(t.Context(), "call.1", "pipedrive")
	wantStatus(err, http.StatusNotFound, "not_found")
	w.loop.broken = fmt.Errorf("%w: the contact", sync.ErrUndoLater)
	_, err = c.Undo(t.Context(), "call.1", "")
	wantStatus(err, http.StatusConflict, "unsettled")
}

// Whatever another process keeps from being done is a conflict that says so, not
// a failure of callsync's.
func TestAnotherProcessHoldsTheDestination(t *testing.T) {
	w := newWorld(t)
	w.deliver(t, "call.1", julian.Voicemail)
	w.loop.broken = fmt.Errorf("hubspot: %w until noon", store.ErrLeased)
	c := admin.InProcess(w.server)
	for name, do := range map[string]func() error{
		"undo": func() error { _, err := c.Undo(t.Context(), "call.1", ""); return err },
		"erase": func() error {
			_, err := c.Erase(t.Context(), admin.EraseRequest{Subject: erasure.Subject{Call: "call.1"}})
			return err
		},
	} {
		var e *admin.Error
		if err := do(); !errors.As(err, &e) || e.Status != http.StatusConflict || e.Code != "leased" || e.Hint == "" {
			t.Errorf("%s: %+v, want 409 leased with a hint", name, err)
		}
	}
}

func TestOnlyANamedResyncEndsAnUndo(t *testing.T) {
	w := newWorld(t)
	w.deliver(t, "call.1", julian.Voicemail)
	c := admin.InProcess(w.server)
	redo := func() bool {
		works, err := w.journal.Load(t.Context(), "hubspot", []string{"call.1"})
		if err != nil {
			t.Fatal(err)
		}
		return works[0].State.Redo
	}
	if _, err := c.Resync(t.Context(), admin.ResyncRequest{}); err != nil || redo() {
		t.Errorf("a bulk resync: %v, redo %v", err, redo())
	}
	if _, err := c.Resync(t.Context(), admin.ResyncRequest{Selection: admin.Selection{IDs: []string{"call.1"}}}); err != nil || !redo() {
		t.Errorf("a named resync: %v, redo %v", err, redo())
	}
}

func TestPlanLive(t *testing.T) {
	w := newWorld(t)
	w.deliver(t, "call.1", julian.Voicemail)
	c := admin.InProcess(w.server)
	for _, live := range []bool{false, true} {
		plans, err := c.Plan(t.Context(), admin.PlanRequest{Selection: admin.Selection{IDs: []string{"call.1"}}, Live: live})
		if err != nil || len(plans.Plans) != 1 || (plans.Plans[0].Reason == "live") != live {
			t.Errorf("live %v: %+v, %v", live, plans, err)
		}
	}
}

func TestVerify(t *testing.T) {
	w := newWorld(t)
	for i := range 230 {
		w.deliver(t, fmt.Sprintf("call.%d", i), julian.Voicemail)
	}
	c := admin.InProcess(w.server)
	found := 0
	verify := func(req admin.VerifyRequest) (*admin.Verified, error) {
		found = 0
		return c.Verify(t.Context(), req, func(d sync.Drift) error { found++; return nil })
	}
	total, err := verify(admin.VerifyRequest{})
	if err != nil || found != 230 || total.Calls != 230 || total.Drifts[sync.Changed] != 230 || total.Fixable != 230 || total.Requested != 0 {
		t.Errorf("%d drifts, total %+v, %v", found, total, err)
	}
	for _, n := range w.loop.pages {
		if n > 100 {
			t.Errorf("a page of %d calls", n)
		}
	}
	if total, err = verify(admin.VerifyRequest{Repair: true}); err != nil || total.Requested != 230 {
		t.Errorf("repaired %+v, %v", total, err)
	}
	if _, err = verify(admin.VerifyRequest{Recreate: true}); err == nil {
		t.Error("recreate without repair is accepted")
	}
	w.loop.broken = &crm.Error{Kind: crm.Transient, Op: "read", Message: "no answer", Hint: "wait"}
	var e *admin.Error
	if _, err = verify(admin.VerifyRequest{}); !errors.As(err, &e) || e.Code != "crm_transient" || !strings.Contains(e.Message, "no answer") {
		t.Errorf("a CRM that fails: %v", err)
	}
}
