package salesforcesim

import (
	"net/http"
	"net/url"
	"strings"
)

// pathParts are the elements of an escaped path, each unescaped.
func pathParts(escaped string) []string {
	parts := strings.Split(strings.Trim(escaped, "/"), "/")
	for i, p := range parts {
		if u, err := url.PathUnescape(p); err == nil {
			parts[i] = u
		}
	}
	return parts
}

func (s *Server) describeGlobal(w http.ResponseWriter, _ *http.Request, c *call, _ []string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list []any
	for _, o := range c.g.objects {
		if !o.tooling {
			list = append(list, o.summary(c.base))
		}
	}
	answer(w, http.StatusOK, map[string]any{"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": list})
}

func (s *Server) basicInformation(w http.ResponseWriter, _ *http.Request, c *call, parts []string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	o := c.g.object(parts[1])
	if o == nil || o.tooling {
		refuse(w, errNotFound)
		return
	}
	answer(w, http.StatusOK, map[string]any{"objectDescribe": o.summary(c.base), "recentItems": []any{}})
}

func (s *Server) describe(w http.ResponseWriter, _ *http.Request, c *call, parts []string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	o := c.g.object(parts[1])
	if o == nil || o.tooling {
		refuse(w, errNotFound)
		return
	}
	answer(w, http.StatusOK, o.describe(c.base))
}

// A reply is what one resource answers, alone or within a composite request.
type reply struct {
	status   int
	body     any
	location string
	err      *apiError
}

func refusal(e *apiError) reply { return reply{status: statusOf(e), body: e.body(), err: e} }

func (p reply) send(w http.ResponseWriter) {
	if p.location != "" {
		w.Header().Set("Location", p.location)
	}
	if p.body == nil {
		w.WriteHeader(p.status)
		return
	}
	answer(w, p.status, p.body)
}

// row carries out one request to an sObject resource; the org is locked by the
// caller. parts start at the object's name.
func (c *call) row(method string, parts []string, query url.Values, body map[string]any) reply {
	o := c.g.object(parts[0])
	if o == nil || o.tooling {
		return refusal(errNotFound)
	}
	var p reply
	switch {
	case len(parts) == 1 && method == http.MethodPost:
		p = c.postRow(o, body)
	case len(parts) == 3 && method == http.MethodPatch && !strings.EqualFold(parts[1], "Id"):
		p = c.patchByKey(o, parts[1], parts[2], body)
	case len(parts) == 2 || len(parts) == 3:
		r, e := c.target(o, parts[1:])
		if e != nil {
			return refusal(e)
		}
		p = c.oneRow(method, r, query, body)
	default:
		return refusal(errNotFound)
	}
	if p.err != nil {
		c.tx.rollback()
	}
	return p
}

func (c *call) oneRow(method string, r *row, query url.Values, body map[string]any) reply {
	switch method {
	case http.MethodGet:
		return c.getRow(r, query.Get("fields"))
	case http.MethodDelete:
		if e := c.remove(r); e != nil {
			return refusal(e)
		}
		return reply{status: http.StatusNoContent}
	case http.MethodPatch:
		if e := withoutID(body); e != nil {
			return refusal(e)
		}
		vals, e := c.decode(r.object, body)
		if e == nil {
			e = c.change(r, vals)
		}
		if e != nil {
			return refusal(e)
		}
		return reply{status: http.StatusNoContent}
	}
	return refusal(fail(http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "HTTP Method '%s' not allowed.", method))
}

// withoutID refuses a body that names the record its URL already names.
func withoutID(body map[string]any) *apiError {
	for name := range body {
		if strings.EqualFold(name, "Id") {
			return bad("INVALID_FIELD", "The Id field should not be specified in the sobject data.")
		}
	}
	return nil
}

// target finds the record that a path names by id or by external id.
func (c *call) target(o *object, key []string) (*row, *apiError) {
	if len(key) == 1 || strings.EqualFold(key[0], "Id") {
		given := key[len(key)-1]
		id, ok := canonicalID(given)
		r := o.live[id]
		if !ok || r == nil {
			return nil, fail(http.StatusNotFound, "NOT_FOUND",
				"Provided external ID field does not exist or is not accessible: %s", given)
		}
		return r, nil
	}
	f, v, e := c.externalKey(o, key[0], key[1])
	if e != nil {
		return nil, e
	}
	switch found := o.byValue(f, v); len(found) {
	case 0:
		return nil, errNotFound
	case 1:
		return found[0], nil
	default:
		e := fail(http.StatusMultipleChoices, "DUPLICATE_EXTERNAL_ID", "more than one record found")
		for _, r := range found {
			e.choices = append(e.choices, c.base+"/sobjects/"+o.Name+"/"+r.id)
		}
		return nil, e
	}
}

func (c *call) externalKey(o *object, name, value string) (*field, any, *apiError) {
	f := o.field(name)
	if f == nil || !f.is(externalID) {
		return nil, nil, fail(http.StatusNotFound, "NOT_FOUND",
			"Provided external ID field does not exist or is not accessible: %s", name)
	}
	v, e := f.fromJSON(value)
	if e == nil && v == nil {
		e = fail(http.StatusBadRequest, "MISSING_ARGUMENT", "%s not specified", f.Name)
	}
	return f, v, e
}

func (c *call) postRow(o *object, body map[string]any) reply {
	for name := range body {
		if strings.EqualFold(name, "Id") {
			return refusal(bad("INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id in an insert call", "Id"))
		}
	}
	vals, e := c.decode(o, body)
	if e != nil {
		return refusal(e)
	}
	r, e := c.create(o, vals)
	if e != nil {
		return refusal(e)
	}
	return c.createdRow(r)
}

func (c *call) createdRow(r *row) reply {
	return reply{
		status:   http.StatusCreated,
		body:     map[string]any{"id": r.id, "success": true, "errors": []any{}},
		location: c.base + "/sobjects/" + r.object.Name + "/" + r.id,
	}
}

// patchByKey upserts. A key that several records have answers 300.
func (c *call) patchByKey(o *object, name, value string, body map[string]any) reply {
	f, key, e := c.externalKey(o, name, value)
	if e != nil {
		return refusal(e)
	}
	for given := range body {
		if strings.EqualFold(given, f.Name) {
			return refusal(bad("INVALID_FIELD", "The "+f.Name+" field should not be specified in the sobject data."))
		}
	}
	if e := withoutID(body); e != nil {
		return refusal(e)
	}
	vals, e := c.decode(o, body)
	if e != nil {
		return refusal(e)
	}
	res := c.upsert(o, f, key, vals)
	if res.err != nil {
		return refusal(res.err)
	}
	p := reply{
		status: http.StatusOK,
		body:   map[string]any{"id": res.id, "success": true, "errors": []any{}, "created": res.created},
	}
	if res.created {
		p.status = http.StatusCreated
		p.location = c.base + "/sobjects/" + o.Name + "/" + res.id
	}
	return p
}

// getRow answers the fields asked for, or all of them.
func (c *call) getRow(r *row, list string) reply {
	if r.deleted {
		return refusal(fail(http.StatusNotFound, "ENTITY_IS_DELETED", "entity is deleted"))
	}
	fields := r.object.fields
	if list != "" {
		fields = nil
		for _, name := range strings.Split(list, ",") {
			f := r.object.field(strings.TrimSpace(name))
			if f == nil {
				return refusal(bad("INVALID_FIELD", "No such column '"+strings.TrimSpace(name)+"' on entity '"+r.object.Name+
					"'. If you are attempting to use a custom field, be sure to append the '__c' after the custom field name."+
					" Please reference your WSDL or the describe call for the appropriate names."))
			}
			fields = append(fields, f)
		}
	}
	return reply{status: http.StatusOK, body: c.record(r, fields)}
}

// record renders a record with its attributes.
func (c *call) record(r *row, fields []*field) map[string]any {
	rec := map[string]any{"attributes": c.attributes(r), "Id": r.id}
	for _, f := range fields {
		if f.readable {
			rec[f.Name] = f.toJSON(r.get(f))
		}
	}
	return rec
}

func (c *call) attributes(r *row) map[string]any {
	return map[string]any{"type": r.object.Name, "url": c.base + "/sobjects/" + r.object.Name + "/" + r.id}
}

// rowResource serves sobjects/{type}[/{id}] and sobjects/{type}/{field}/{value}.
func (s *Server) rowResource(w http.ResponseWriter, r *http.Request, c *call, parts []string) {
	parts = parts[1:]
	var body map[string]any
	if r.Method == http.MethodPost || r.Method == http.MethodPatch {
		if e := decodeJSON(r.Body, &body); e != nil {
			refuse(w, e)
			return
		}
		if body == nil {
			refuse(w, parseError("The HTTP entity body is required, but this request has no entity body."))
			return
		}
	}
	if r.Method == http.MethodGet {
		s.mu.RLock()
		p := c.row(r.Method, parts, r.URL.Query(), nil)
		s.mu.RUnlock()
		p.send(w)
		return
	}
	var p reply
	s.writing(r, c, func() { p = c.row(r.Method, parts, nil, body) })
	p.send(w)
}
