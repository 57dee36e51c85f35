package hubspotsim

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// objectBody is a record as HubSpot shows it.
type objectBody struct {
	ID           string                     `json:"id"`
	Properties   map[string]*string         `json:"properties"`
	CreatedAt    string                     `json:"createdAt"`
	UpdatedAt    string                     `json:"updatedAt"`
	Archived     bool                       `json:"archived"`
	ArchivedAt   string                     `json:"archivedAt,omitempty"`
	New          *bool                      `json:"new,omitempty"`
	TraceID      string                     `json:"objectWriteTraceId,omitempty"`
	Associations map[string]associatedNames `json:"associations,omitempty"`
}

type objectInput struct {
	ID           string             `json:"id"`
	IDProperty   string             `json:"idProperty"`
	TraceID      string             `json:"objectWriteTraceId"`
	Properties   map[string]*string `json:"properties"`
	Associations []associationInput `json:"associations"`
}

// show renders a record. Properties asked for but not set are null; those the
// type does not have are left out; the system's own are always there. all
// shows every property that is set.
func (r *record) show(wanted []string, all bool) objectBody {
	body := objectBody{
		ID: r.id, CreatedAt: stamp(r.created), UpdatedAt: stamp(r.updated),
		Archived: r.archived, Properties: r.typ.project(r.props, wanted, all),
	}
	if r.archived {
		body.ArchivedAt = stamp(r.archivedAt)
	}
	return body
}

func (t *objectType) project(props map[string]string, wanted []string, all bool) map[string]*string {
	shown := map[string]*string{}
	if all {
		for name, v := range props {
			shown[name] = &v
		}
	}
	if len(wanted) == 0 && !all {
		wanted = t.defaults
	}
	for _, list := range [][]string{wanted, {"hs_object_id", t.created(), t.modified()}} {
		for _, name := range list {
			if p := t.properties[name]; p == nil || p.Archived {
				continue
			}
			shown[name] = nil
			if v, ok := props[name]; ok {
				shown[name] = &v
			}
		}
	}
	return shown
}

// named lists the properties an input sets, which is what HubSpot returns
// after an update.
func (in *objectInput) named() []string {
	var names []string
	for name := range in.Properties {
		names = append(names, name)
	}
	return append(names, "hs_object_id") // never empty, so no defaults are shown
}

func (c *call) wanted() []string { return splitList(c.URL.Query()["properties"]) }

func splitList(values []string) []string {
	var list []string
	for _, v := range values {
		for _, name := range strings.Split(v, ",") {
			if name != "" {
				list = append(list, name)
			}
		}
	}
	return list
}

func (s *Server) get(c *call) (int, any, *apiError) {
	q := c.URL.Query()
	id := c.PathValue("id")
	var r *record
	if q.Get("archived") == "true" {
		r = c.typ.findArchived(id)
	} else {
		var fail *apiError
		if r, fail = s.lookup(c.typ, id, q.Get("idProperty")); fail != nil {
			return 0, nil, fail
		}
	}
	if r == nil {
		return 0, nil, noObject(id)
	}
	body := r.show(c.wanted(), false)
	body.Associations = s.inlineAssociations(r, splitList(q["associations"]))
	return http.StatusOK, body, nil
}

func noObject(id string) *apiError {
	e := notFound("Object not found.  objectId are usually numeric.")
	e.SubCategory = "crm.objects.OBJECT_NOT_FOUND"
	e.Context = map[string][]string{"id": {id}}
	return e
}

// list pages through all records by ascending id. Source: HubSpot CRM objects
// reference: at most 100 a page.
func (s *Server) list(c *call) (int, any, *apiError) {
	q := c.URL.Query()
	limit, fail := pageSize(q.Get("limit"), 10, 100)
	if fail != nil {
		return 0, nil, fail
	}
	after, err := strconv.Atoi(cmp.Or(q.Get("after"), "0"))
	if err != nil {
		return 0, nil, invalid("after is not a paging cursor")
	}
	archived := q.Get("archived") == "true"
	var all []*record
	for id, r := range c.typ.records {
		if r.mergedInto == nil && r.archived == archived && numeric(id) > after {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b *record) int { return cmp.Compare(numeric(a.id), numeric(b.id)) })
	answer := pageBody{Results: []objectBody{}}
	for _, r := range all[:min(limit, len(all))] {
		body := r.show(c.wanted(), false)
		body.Associations = s.inlineAssociations(r, splitList(q["associations"]))
		answer.Results = append(answer.Results, body)
	}
	if len(all) > limit {
		answer.Paging = next(all[limit-1].id)
	}
	return http.StatusOK, answer, nil
}

type pageBody struct {
	Total   *int         `json:"total,omitempty"`
	Results []objectBody `json:"results"`
	Paging  *paging      `json:"paging,omitempty"`
}

type paging struct {
	Next struct {
		After string `json:"after"`
		Link  string `json:"link,omitempty"`
	} `json:"next"`
}

func next(after string) *paging {
	p := &paging{}
	p.Next.After = after
	return p
}

func numeric(id string) int {
	n, _ := strconv.Atoi(id) // ids are numbers
	return n
}

func pageSize(s string, preset, most int) (int, *apiError) {
	if s == "" {
		return preset, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > most {
		return 0, invalid(fmt.Sprintf("limit must be between 1 and %d", most))
	}
	return n, nil
}

func (s *Server) create(c *call) (int, any, *apiError) {
	var in objectInput
	if fail := c.decode(&in); fail != nil {
		return 0, nil, fail
	}
	w, fail := s.checkCreate(c.typ, in.Properties, in.Associations, nil)
	if fail != nil {
		return 0, nil, fail
	}
	return http.StatusCreated, s.commit(c.typ, w, c.now).show(nil, true), nil
}

func (s *Server) update(c *call) (int, any, *apiError) {
	var in objectInput
	if fail := c.decode(&in); fail != nil {
		return 0, nil, fail
	}
	id := c.PathValue("id")
	r, fail := s.lookup(c.typ, id, c.URL.Query().Get("idProperty"))
	if fail != nil {
		return 0, nil, fail
	}
	if r == nil {
		return 0, nil, noObject(id)
	}
	w, fail := s.checkUpdate(r, in.Properties, nil)
	if fail != nil {
		return 0, nil, fail
	}
	return http.StatusOK, s.commit(c.typ, w, c.now).show(in.named(), false), nil
}

func (s *Server) archive(c *call) (int, any, *apiError) {
	id := c.PathValue("id")
	r := c.typ.find(id)
	switch {
	case r != nil:
		s.remove(r, c.now)
	case c.typ.records[id] == nil:
		return 0, nil, noObject(id)
	}
	return http.StatusNoContent, nil, nil
}
