package admin

import (
	"context"
	"errors"
	"net/http"

	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/sync"
)

// A Mender looks at what a CRM holds now, and puts it right.
type Mender interface {
	// PlanLive is Plan against what the CRM holds now; nothing is written.
	PlanLive(ctx context.Context, work []store.Work) ([]sync.CallPlan, error)
	PlanUndo(ctx context.Context, callID string) (*sync.Undo, error)
	Undo(ctx context.Context, callID string) (*sync.Undo, error)
	Verify(ctx context.Context, callIDs []string) (*sync.Verified, error)
	Repair(ctx context.Context, drifts []sync.Drift, recreate bool) (int, error)
}

// An UndoRequest says where a call is taken back.
type UndoRequest struct {
	Destination string `json:"destination,omitempty"` // "": wherever it is
}

func (s *Server) menderRoutes() {
	s.route("GET /api/v1/calls/{id}/undo", s.undoPlan)
	s.route("POST /api/v1/calls/{id}/undo", s.undo)
	s.mux.HandleFunc("POST /api/v1/verify", s.verify)
}

// undoPlan says what undoing a call would do.
func (s *Server) undoPlan(r *http.Request) (any, error) {
	return s.eachUndo(r, r.URL.Query().Get("destination"), func(d Destination, id string) (*sync.Undo, error) {
		return d.Sync.PlanUndo(r.Context(), id)
	})
}

// undo takes a call back. It decides anew: a plan that was shown before may have
// aged.
func (s *Server) undo(r *http.Request) (any, error) {
	var req UndoRequest
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	return s.eachUndo(r, req.Destination, func(d Destination, id string) (*sync.Undo, error) {
		return d.Sync.Undo(r.Context(), id)
	})
}

// eachUndo runs f for every destination that knows the call.
func (s *Server) eachUndo(r *http.Request, only string, f func(Destination, string) (*sync.Undo, error)) (any, error) {
	id := r.PathValue("id")
	if _, err := s.Journal.Call(r.Context(), id); err != nil {
		return nil, err
	}
	destinations, err := s.chosen(only)
	if err != nil {
		return nil, err
	}
	answer := []sync.Undo{}
	for _, d := range destinations {
		u, err := f(d, id)
		if err != nil {
			return nil, undoError(d.Name, id, err)
		}
		answer = append(answer, *u)
	}
	return answer, nil
}

func undoError(destination, id string, err error) error {
	if !errors.Is(err, sync.ErrUndoLater) {
		return err
	}
	return &Error{Status: http.StatusConflict, Code: "unsettled", Message: destination + ": call " + id + ": " + err.Error()}
}
