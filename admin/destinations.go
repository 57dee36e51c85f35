package admin

import (
	"fmt"
	"net/http"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/sync"
)

func (s *Server) pause(r *http.Request) (any, error) {
	d, err := s.destination(r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	var req PauseRequest
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	if err := d.Sync.Pause(r.Context(), req.Reason); err != nil {
		return nil, fmt.Errorf("pause %s: %w", d.Name, err)
	}
	return d.Sync.Health(), nil
}

func (s *Server) unpause(r *http.Request) (any, error) {
	d, err := s.destination(r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	if err := d.Sync.Unpause(r.Context()); err != nil {
		return nil, fmt.Errorf("unpause %s: %w", d.Name, err)
	}
	return d.Sync.Health(), nil
}

func (s *Server) inspector(name string) (*Destination, crm.Inspector, error) {
	d, err := s.destination(name)
	if err != nil {
		return nil, nil, err
	}
	i, ok := d.CRM.(crm.Inspector)
	if !ok {
		return nil, nil, &Error{Status: http.StatusNotImplemented, Code: "unsupported", Message: fmt.Sprintf("%s: the %s connector cannot describe its account", d.Name, d.Type)}
	}
	return d, i, nil
}

func (s *Server) setupPlan(r *http.Request) (any, error) {
	d, i, err := s.inspector(r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	steps, err := i.SetupPlan(r.Context(), d.Mapping().Declared)
	if err != nil {
		return nil, err
	}
	return SetupSteps{Destination: d.Name, Steps: steps}, nil
}

// setup carries out what is missing now, whatever a caller saw before: a step
// somebody else did meanwhile is not done twice.
func (s *Server) setup(r *http.Request) (any, error) {
	d, i, err := s.inspector(r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	steps, err := i.SetupPlan(r.Context(), d.Mapping().Declared)
	if err != nil {
		return nil, err
	}
	if len(steps) > 0 {
		if err := i.Setup(r.Context(), steps); err != nil {
			return nil, err
		}
		s.Logger.Info("the account was set up", "destination", d.Name, "steps", len(steps))
	}
	if h := d.Sync.Health(); h.Phase == sync.Blocked && h.Kind == crm.NotReady {
		if err := d.Sync.Unpause(r.Context()); err != nil {
			return nil, err
		}
	}
	return SetupSteps{Destination: d.Name, Steps: steps}, nil
}

func (s *Server) check(r *http.Request) (any, error) {
	d, i, err := s.inspector(r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	var req CheckRequest
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	answer := Findings{Destination: d.Name, Findings: []crm.Finding{}}
	steps, err := i.SetupPlan(r.Context(), d.Mapping().Declared)
	if err != nil {
		return nil, err
	}
	if len(steps) == 0 {
		answer.add("setup", true, "the account has every property callsync needs")
	}
	for _, step := range steps {
		answer.add("setup", false, step.Text+" is missing; `callsync setup` creates it")
	}
	if d.CheckMapping != nil {
		found, err := d.CheckMapping(r.Context())
		if err != nil {
			return nil, err
		}
		answer.Findings = append(answer.Findings, found...)
	}
	if req.Probe {
		found, err := i.Probe(r.Context())
		if err != nil {
			return nil, err
		}
		answer.Findings = append(answer.Findings, found...)
	}
	return answer, nil
}

func (f *Findings) add(name string, ok bool, text string) {
	f.Findings = append(f.Findings, crm.Finding{Name: name, OK: ok, Text: text})
}

// backup streams a copy of the journal. A failure half way breaks the
// connection, so that a cut-off copy is never taken for a whole one.
func (s *Server) backup(w http.ResponseWriter, r *http.Request) {
	// A large copy to a slow disk may take longer than any other answer.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	w.Header().Set("Content-Type", "application/octet-stream")
	if err := s.Journal.Backup(r.Context(), w); err != nil {
		s.Logger.Error("the backup failed", "error", err)
		panic(http.ErrAbortHandler)
	}
}
