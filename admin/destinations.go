package admin

import (
	"context"
	"fmt"
	"net/http"

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

// lacking finds a request's destination and what its account lacks now.
func (s *Server) lacking(r *http.Request) (*Destination, crm.Inspector, []crm.SetupStep, error) {
	d, i, err := s.inspector(r.PathValue("name"))
	if err != nil {
		return nil, nil, nil, err
	}
	steps, err := i.SetupPlan(r.Context(), d.Mapping().Declared)
	return d, i, steps, err
}

func (s *Server) setupPlan(r *http.Request) (any, error) {
	d, _, steps, err := s.lacking(r)
	if err != nil {
		return nil, err
	}
	return SetupSteps{Destination: d.Name, Steps: steps}, nil
}

// setup carries out what is missing now, whatever a caller saw before: a step
// somebody else did meanwhile is not done twice.
func (s *Server) setup(r *http.Request) (any, error) {
	d, i, steps, err := s.lacking(r)
	if err != nil {
		return nil, err
	}
	if len(steps) > 0 {
		if err := i.Setup(r.Context(), steps); err != nil {
			return nil, err
		}
		s.Logger.Info("the account was set up", "destination", d.Name, "steps", len(steps))
		if _, err := d.checkMapping(r.Context()); err != nil {
			s.Logger.Debug("the mapping could not be compared with the account", "destination", d.Name, "error", err)
		}
	}
	if h := d.Sync.Health(); h.Phase == sync.Blocked && h.Kind == crm.NotReady {
		if err := d.Sync.Unpause(r.Context()); err != nil {
			return nil, err
		}
	}
	return SetupSteps{Destination: d.Name, Steps: steps}, nil
}

func (s *Server) check(r *http.Request) (any, error) {
	var req CheckRequest
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	d, i, steps, err := s.lacking(r)
	if err != nil {
		return nil, err
	}
	answer := Findings{Destination: d.Name, Findings: []crm.Finding{setupFinding(steps)}}
	found, err := d.checkMapping(r.Context())
	if err != nil {
		return nil, err
	}
	answer.Findings = append(answer.Findings, found...)
	if req.Probe {
		found, err := i.Probe(r.Context())
		if err != nil {
			return nil, err
		}
		answer.Findings = append(answer.Findings, found...)
	}
	return answer, nil
}

// setupFinding is one finding, however much is missing: one command mends it.
func setupFinding(steps []crm.SetupStep) crm.Finding {
	f := crm.Finding{Name: "setup"}
	switch len(steps) {
	case 0:
		f.OK, f.Text = true, "the account has every property callsync needs"
	case 1:
		f.Text = steps[0].Text + " is missing; `callsync setup` creates it"
	default:
		f.Text = fmt.Sprintf("%d things are missing; `callsync setup` creates them:", len(steps))
		for _, step := range steps {
			f.Text += "\n" + step.Text
		}
	}
	return f
}

// checkMapping compares the mapping in force with the account, where that can be
// done.
func (d *Destination) checkMapping(ctx context.Context) ([]crm.Finding, error) {
	if d.CheckMapping == nil {
		return nil, nil
	}
	return d.CheckMapping(ctx)
}
