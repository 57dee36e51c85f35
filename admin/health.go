package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/sync"
)

func (s *Server) version(*http.Request) (any, error) { return s.Build, nil }

func (s *Server) reload(*http.Request) (any, error) {
	if s.Reload == nil {
		return nil, &Error{Status: http.StatusConflict, Code: "no_daemon", Message: "no daemon is running, so there is nothing to reload"}
	}
	changed, err := s.Reload()
	if err != nil {
		return nil, invalid("%v", err)
	}
	return changed, nil
}

func (s *Server) status(r *http.Request) (any, error) {
	answer, err := s.Vitals(r.Context())
	if err != nil {
		return nil, err
	}
	if s.Stale != nil {
		answer.Stale = s.Stale()
	}
	for i := range answer.Destinations {
		at := &answer.Destinations[i]
		if at.Backlog, err = s.Journal.Backlog(r.Context(), at.Destination, s.Now()); err != nil {
			return nil, err
		}
	}
	return answer, nil
}

// Vitals is the status without the backlog, which costs the more the more calls
// are due: it may be asked for every second.
func (s *Server) Vitals(ctx context.Context) (Status, error) {
	stats, err := s.Journal.Stats(ctx)
	if err != nil {
		return Status{}, err
	}
	answer := Status{
		Build: s.Build, Daemon: s.Daemon, Receivers: s.Receivers,
		Journal:      JournalStatus{Calls: stats.Calls, Deliveries: stats.Deliveries, Bytes: stats.Bytes},
		Destinations: []DestinationStatus{},
	}
	answer.Journal.DiskFree, answer.Journal.DiskSize = s.disk()
	if s.Metrics != nil {
		answer.Refused = s.Metrics.refused()
		answer.Misses = s.Metrics.missed.list()
	}
	if s.Julian != nil {
		julian := s.Julian()
		answer.Julian = &julian
	}
	if s.Daemon {
		answer.Started = s.started
		health := s.ready(ctx)
		answer.Ready, answer.Reasons = health.Ready, health.Reasons
		if err := s.unwritable(); err != nil {
			answer.Journal.Unwritable = err.Error()
		}
	}
	for _, d := range s.Destinations {
		at := DestinationStatus{
			Health: d.Sync.Health(), Calls: stats.Destinations[d.Name], Oldest: stats.Oldest[d.Name],
			Forgotten: stats.Forgotten[d.Name],
		}
		at.Destination, at.Type = d.Name, d.Type
		if at.Calls == nil {
			at.Calls = map[store.Status]int64{}
		}
		if d.Mapping != nil {
			at.MappingFile = d.Mapping()
		}
		next, ok, err := s.Journal.NextDue(ctx, d.Name)
		if err != nil {
			return Status{}, err
		}
		if ok {
			at.NextAttempt = next
		}
		answer.Destinations = append(answer.Destinations, at)
	}
	return answer, nil
}

// disk is 0, 0 when nothing is known of it.
func (s *Server) disk() (free, size int64) {
	if s.Disk == nil {
		return 0, 0
	}
	free, size, err := s.Disk()
	if err != nil {
		s.Logger.Debug("the free space beside the journal is not known", "error", err)
		return 0, 0
	}
	return free, size
}

// healthz answers as long as the process does.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "ok")
}

// readyz answers 200 when deliveries can be journalled, else 503; the body has
// the reasons, and what keeps destinations from being served.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	health := s.ready(r.Context())
	w.Header().Set("Content-Type", "application/json")
	if !health.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(health)
}

// unwritable is why the journal cannot be written, if it knows.
func (s *Server) unwritable() error {
	if j, ok := s.Journal.(interface{ Unwritable() error }); ok {
		return j.Unwritable()
	}
	return nil
}

// ready says whether the daemon does its job. A destination that is down or
// blocked does not make it unready: deliveries are journalled all the same, and
// a load balancer must not turn them away. The reason is given nonetheless.
func (s *Server) ready(ctx context.Context) Health {
	health := Health{Ready: true}
	if _, err := s.Journal.Stats(ctx); err != nil {
		health.Ready = false
		health.Reasons = append(health.Reasons, "the journal cannot be read: "+err.Error())
	}
	if err := s.unwritable(); err != nil {
		health.Ready = false
		health.Reasons = append(health.Reasons, "the journal cannot be written: "+err.Error())
	}
	for _, d := range s.Destinations {
		if d.Mapping != nil && d.Mapping().Problem != "" {
			health.Reasons = append(health.Reasons, d.Name+" uses its last good mapping: "+d.Mapping().Problem)
		}
		h := d.Sync.Health()
		if h.Phase == sync.Running || h.Phase == "" {
			continue
		}
		reason := fmt.Sprintf("%s is %s", d.Name, h.Phase)
		if h.Reason != "" {
			reason += ": " + h.Reason
		}
		health.Reasons = append(health.Reasons, reason)
	}
	return health
}
