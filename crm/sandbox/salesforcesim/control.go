package salesforcesim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/callsync/callsync/crm/sandbox"
)

// control adds to the sandbox's control API what people do in Salesforce's own
// pages:
//
//	POST /_sandbox/convert-lead  {"leadId","accountId","contactId"} the last two are optional
//	POST /_sandbox/merge         {"masterId","loserId"}
//	POST /_sandbox/undelete      {"id"}
//	POST /_sandbox/end-sessions  every access token becomes invalid
func (s *Server) control() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", sandbox.ControlHandler(s.Core, s))
	mux.HandleFunc("POST /_sandbox/convert-lead", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ LeadID, AccountID, ContactID string }
		act(w, r, &in, func() (any, error) {
			contact, err := s.ConvertLead(in.LeadID, in.AccountID, in.ContactID)
			return map[string]string{"contactId": contact}, err
		})
	})
	mux.HandleFunc("POST /_sandbox/merge", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ MasterID, LoserID string }
		act(w, r, &in, func() (any, error) { return struct{}{}, s.Merge(in.MasterID, in.LoserID) })
	})
	mux.HandleFunc("POST /_sandbox/undelete", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ ID string }
		act(w, r, &in, func() (any, error) { return struct{}{}, s.Undelete(in.ID) })
	})
	mux.HandleFunc("POST /_sandbox/end-sessions", func(w http.ResponseWriter, _ *http.Request) {
		s.EndSessions()
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

// act decodes a control request, carries it out and answers.
func act(w http.ResponseWriter, r *http.Request, in any, do func() (any, error)) {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	err := dec.Decode(in)
	var out any
	if err == nil {
		out, err = do()
	}
	if err != nil {
		answer(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	answer(w, http.StatusOK, out)
}

// Settings returns a copy of the settings, as JSON shows them.
func (s *Server) Settings() any {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.settings.clone()
}

func (st Settings) clone() Settings {
	st.Refusals = slices.Clone(st.Refusals)
	st.RestrictedPicklists = slices.Clone(st.RestrictedPicklists)
	st.ReadOnlyFields = slices.Clone(st.ReadOnlyFields)
	st.HiddenFields = slices.Clone(st.HiddenFields)
	return st
}

func (st Settings) validate() error {
	switch {
	case st.DailyLimit < 0 || st.DailyUsed < 0:
		return fmt.Errorf("dailyLimit and dailyUsed are not negative")
	case st.SearchLag < 0 || st.LockTime < 0:
		return fmt.Errorf("searchLag and lockTime are not negative")
	case st.TokenLifetime <= 0:
		return fmt.Errorf("tokenLifetime is not positive")
	}
	for _, r := range st.Refusals {
		if !slices.ContainsFunc(standardObjects(), func(o *object) bool { return strings.EqualFold(o.Name, r.Object) }) {
			return fmt.Errorf("refusals: %q is no object", r.Object)
		}
	}
	return nil
}

// ChangeSettings applies a JSON object with the settings to change.
func (s *Server) ChangeSettings(patch []byte) error {
	return s.configure(func(next *Settings) error {
		dec := json.NewDecoder(bytes.NewReader(patch))
		dec.DisallowUnknownFields()
		return dec.Decode(next)
	})
}

// Configure lets f change the settings, for tests in the same process. It
// panics when the result makes no sense.
func (s *Server) Configure(f func(*Settings)) {
	if err := s.configure(func(next *Settings) error { f(next); return nil }); err != nil {
		panic("salesforcesim: " + err.Error())
	}
}

func (s *Server) configure(f func(*Settings) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.settings.clone()
	if err := f(&next); err != nil {
		return err
	}
	if err := next.validate(); err != nil {
		return err
	}
	if !slices.Equal(next.Refusals, s.settings.Refusals) {
		clear(s.org.refusals)
	}
	s.settings = next.clone()
	s.org.applySecurity()
	return nil
}

// A Record is one record as the org holds it, hidden fields included.
type Record struct {
	ID      string         `json:"id"`
	Object  string         `json:"object"`
	Deleted bool           `json:"deleted,omitempty"`
	Fields  map[string]any `json:"fields"`
}

// Dump returns every record by object, Setup's included.
func (s *Server) Dump() any {
	all := map[string][]Record{}
	s.mu.RLock()
	names := make([]string, 0, len(s.org.objects))
	for _, o := range s.org.objects {
		names = append(names, o.Name)
	}
	s.mu.RUnlock()
	for _, name := range names {
		if records := s.Records(name); len(records) > 0 {
			all[name] = records
		}
	}
	return all
}

// Records returns the records of one object in the order of their creation,
// deleted ones included.
func (s *Server) Records(object string) []Record {
	s.mu.RLock()
	defer s.mu.RUnlock()
	o := s.org.object(object)
	if o == nil {
		return nil
	}
	out := make([]Record, len(o.rows))
	for i, r := range o.rows {
		fields := make(map[string]any, len(r.vals))
		for k, v := range r.vals {
			fields[k] = v
		}
		out[i] = Record{ID: r.id, Object: o.Name, Deleted: r.deleted, Fields: fields}
	}
	return out
}

// UserID is the integration user's id.
func (s *Server) UserID() string { return s.org.userID }
