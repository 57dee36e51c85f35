package hubspotsim

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// maxBatch is the most inputs of an object batch. Source: HubSpot CRM objects
// guide.
const maxBatch = 100

// batchBody answers a batch.
type batchBody[T any] struct {
	Status      string      `json:"status"`
	Results     []T         `json:"results"`
	NumErrors   int         `json:"numErrors,omitempty"`
	Errors      []itemError `json:"errors,omitempty"`
	StartedAt   string      `json:"startedAt"`
	CompletedAt string      `json:"completedAt"`
}

// batchAnswer is status when there are no errors and 207 when there are some.
func batchAnswer[T any](status int, now time.Time, results []T, errs []itemError) (int, any, *apiError) {
	if results == nil {
		results = []T{}
	}
	if len(errs) > 0 {
		status = http.StatusMultiStatus
	}
	return status, batchBody[T]{"COMPLETE", results, len(errs), errs, stamp(now), stamp(now)}, nil
}

type batchInput struct {
	IDProperty string        `json:"idProperty"`
	Properties []string      `json:"properties"`
	Inputs     []objectInput `json:"inputs"`
}

func (c *call) batch() (*batchInput, *apiError) {
	var in batchInput
	if fail := c.decode(&in); fail != nil {
		return nil, fail
	}
	return &in, batchSize(len(in.Inputs), maxBatch)
}

// inputs reads the body of a batch that has nothing but inputs.
func inputs[T any](c *call, most int) ([]T, *apiError) {
	var in struct {
		Inputs []T `json:"inputs"`
	}
	if fail := c.decode(&in); fail != nil {
		return nil, fail
	}
	return in.Inputs, batchSize(len(in.Inputs), most)
}

func batchSize(n, most int) *apiError {
	switch {
	case n == 0:
		return invalid("Invalid input: inputs is empty")
	case n > most:
		return invalid(fmt.Sprintf("The maximum number of inputs supported in a batch request for object types is %d. The request received %d.", most, n))
	}
	return nil
}

// traced reports whether every input has a trace id of its own.
func (in *batchInput) traced() bool {
	seen := map[string]bool{}
	for _, one := range in.Inputs {
		if one.TraceID == "" || seen[one.TraceID] {
			return false
		}
		seen[one.TraceID] = true
	}
	return true
}

// order puts the results of a batch into the order HubSpot answers in: none
// that a client may count on.
func (s *Server) order(results []objectBody) []objectBody {
	if !s.settings.InputOrder && len(results) > 1 {
		half := len(results) / 2
		results = append(slices.Clone(results[half:]), results[:half]...)
		slices.Reverse(results[:len(results)-half])
	}
	return results
}

func (s *Server) echo(body objectBody, in *objectInput) objectBody {
	if s.settings.EchoTraceIDs {
		body.TraceID = in.TraceID
	}
	return body
}

func (s *Server) batchCreate(c *call) (int, any, *apiError) {
	in, fail := c.batch()
	if fail != nil {
		return 0, nil, fail
	}
	var results []objectBody
	if s.settings.TraceCreate && in.traced() {
		var errs []itemError
		for i := range in.Inputs {
			one := &in.Inputs[i]
			w, fail := s.checkCreate(c.typ, one.Properties, one.Associations, nil)
			if fail != nil {
				errs = append(errs, fail.item(one.TraceID))
				continue
			}
			results = append(results, s.echo(s.commit(c.typ, w, c.now).show(nil, true), one))
		}
		return batchAnswer(http.StatusCreated, c.now, s.order(results), errs)
	}
	taken, writes := claims{}, make([]*write, len(in.Inputs))
	for i, one := range in.Inputs {
		if writes[i], fail = s.checkCreate(c.typ, one.Properties, one.Associations, taken); fail != nil {
			return 0, nil, fail
		}
	}
	for i, w := range writes {
		results = append(results, s.echo(s.commit(c.typ, w, c.now).show(nil, true), &in.Inputs[i]))
	}
	return batchAnswer(http.StatusCreated, c.now, s.order(results), nil)
}

func (s *Server) batchRead(c *call) (int, any, *apiError) {
	in, fail := c.batch()
	if fail != nil {
		return 0, nil, fail
	}
	archived := c.URL.Query().Get("archived") == "true"
	var results []objectBody
	var missing []string
	shown := map[*record]bool{}
	for _, one := range in.Inputs {
		var r *record
		if archived {
			r = c.typ.findArchived(one.ID)
		} else if r, fail = s.lookup(c.typ, one.ID, in.IDProperty); fail != nil {
			return 0, nil, fail
		}
		switch {
		case r == nil:
			missing = append(missing, one.ID)
		case !shown[r]:
			shown[r] = true
			results = append(results, r.show(in.Properties, false))
		}
	}
	return batchAnswer(http.StatusOK, c.now, s.order(results), s.missing(c.typ, missing, nil))
}

// missing reports ids that lead to no record. traces are their trace ids, if
// they had any.
func (s *Server) missing(t *objectType, ids, traces []string) []itemError {
	lost := func(ids, traces []string) itemError {
		e := notFound(fmt.Sprintf("Could not get some %s objects, they may be deleted or not exist. Check that ids are valid.", t.singular))
		e.Context = map[string][]string{"ids": ids}
		if traces != nil {
			e.Context["objectWriteTraceId"] = traces
		}
		return e.item("")
	}
	if s.settings.MissingTogether && len(ids) > 0 {
		return []itemError{lost(ids, traces)}
	}
	var errs []itemError
	for i, id := range ids {
		var trace []string
		if traces != nil {
			trace = traces[i : i+1]
		}
		errs = append(errs, lost([]string{id}, trace))
	}
	return errs
}

// batchUpdate reports missing ids and updates the rest; anything else that is
// wrong with an input refuses the batch, unless the inputs are traced.
func (s *Server) batchUpdate(c *call) (int, any, *apiError) {
	in, fail := c.batch()
	if fail != nil {
		return 0, nil, fail
	}
	targets := make([]*record, len(in.Inputs))
	var missing, traces []string
	traced := s.settings.TraceUpdate && in.traced()
	for i, one := range in.Inputs {
		if one.IDProperty == "email" { // only upsert takes it; source: HubSpot contacts guide
			return 0, nil, invalid(fmt.Sprintf("Unable to perform update/upsert by non-unique %s property %s in portal ID %d", c.typ.id, one.IDProperty, s.opts.PortalID))
		}
		if targets[i], fail = s.lookup(c.typ, one.ID, one.IDProperty); fail != nil {
			return 0, nil, fail
		}
		if targets[i] == nil {
			missing = append(missing, one.ID)
			if traced {
				traces = append(traces, one.TraceID)
			}
		}
	}
	if fail := duplicates(in, targets); fail != nil {
		return 0, nil, fail
	}
	errs := s.missing(c.typ, missing, traces)
	taken, writes := claims{}, make([]*write, len(in.Inputs))
	var results []objectBody
	for i, r := range targets {
		if r == nil {
			continue
		}
		one := &in.Inputs[i]
		if writes[i], fail = s.checkUpdate(r, one.Properties, taken); fail != nil && !traced {
			return 0, nil, fail
		}
		if fail != nil {
			fail.Context = map[string][]string{"ids": {one.ID}}
			errs = append(errs, fail.item(one.TraceID))
		}
	}
	for i, w := range writes {
		if w != nil {
			one := &in.Inputs[i]
			results = append(results, s.echo(s.commit(c.typ, w, c.now).show(one.named(), false), one))
		}
	}
	return batchAnswer(http.StatusOK, c.now, s.order(results), errs)
}

// duplicates refuses a batch in which two inputs lead to the same record.
func duplicates(in *batchInput, targets []*record) *apiError {
	seen := map[*record]bool{}
	var twice []string
	for i, r := range targets {
		if r != nil && seen[r] {
			twice = append(twice, in.Inputs[i].ID)
		}
		seen[r] = true
	}
	if twice == nil {
		return nil
	}
	return invalid(fmt.Sprintf("Duplicate IDs found in batch input: [%s]. IDs must be unique", strings.Join(twice, ", ")))
}

// batchUpsert creates or updates by a unique property. One bad input refuses
// the whole batch.
func (s *Server) batchUpsert(c *call) (int, any, *apiError) {
	in, fail := c.batch()
	if fail != nil {
		return 0, nil, fail
	}
	targets := make([]*record, len(in.Inputs))
	fresh := map[[2]string]bool{}
	for i, one := range in.Inputs {
		switch {
		case one.IDProperty == "":
			return 0, nil, invalid("idProperty is required for an upsert")
		case one.ID == "":
			return 0, nil, invalid("id is required for an upsert")
		case one.Associations != nil:
			return 0, nil, invalid("associations cannot be set by an upsert")
		}
		if targets[i], fail = s.lookup(c.typ, one.ID, one.IDProperty); fail != nil {
			return 0, nil, fail
		}
		key := [2]string{one.IDProperty, uniqueKey(one.IDProperty, one.ID)}
		if targets[i] == nil && fresh[key] {
			return 0, nil, invalid(fmt.Sprintf("Duplicate IDs found in batch input: [%s]. IDs must be unique", one.ID))
		}
		fresh[key] = true
	}
	if fail := duplicates(in, targets); fail != nil {
		return 0, nil, fail
	}
	taken, writes := claims{}, make([]*write, len(in.Inputs))
	for i, one := range in.Inputs {
		if r := targets[i]; r != nil {
			writes[i], fail = s.checkUpdate(r, one.Properties, taken)
		} else {
			writes[i], fail = s.checkCreate(c.typ, withKey(&one), nil, taken)
		}
		if fail != nil {
			return 0, nil, fail
		}
	}
	var results []objectBody
	for i, w := range writes {
		one, isNew := &in.Inputs[i], w.rec == nil
		body := s.echo(s.commit(c.typ, w, c.now).show(append(one.named(), one.IDProperty), false), one)
		body.New = &isNew
		results = append(results, body)
	}
	return batchAnswer(http.StatusOK, c.now, s.order(results), nil)
}

// withKey adds to the properties of an upsert the one it goes by.
func withKey(in *objectInput) map[string]*string {
	props := map[string]*string{in.IDProperty: &in.ID}
	for name, v := range in.Properties {
		props[name] = v
	}
	return props
}

func (s *Server) batchArchive(c *call) (int, any, *apiError) {
	in, fail := c.batch()
	if fail != nil {
		return 0, nil, fail
	}
	for _, one := range in.Inputs {
		if r := c.typ.find(one.ID); r != nil {
			s.remove(r, c.now)
		}
	}
	return http.StatusNoContent, nil, nil
}
