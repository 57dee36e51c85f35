package salesforcesim

import (
	"net/http"
	"net/url"
	"strings"
)

// Limits of sObject Collections, from the REST API Developer Guide.
const (
	maxCollection = 200
	maxRetrieve   = 2000
	maxChunks     = 10
)

// A collection is the body of a create, update or upsert.
type collection struct {
	AllOrNone bool             `json:"allOrNone"`
	Records   []map[string]any `json:"records"`
}

// An item is one record of a collection, decoded.
type item struct {
	object *object
	row    *row // for updates and deletes
	key    any  // for upserts
	vals   map[string]any
	err    *apiError
}

func (s *Server) collectionCreate(w http.ResponseWriter, r *http.Request, c *call, _ []string) {
	s.saveCollection(w, r, c, func(c *call, rec map[string]any) item {
		it := c.typed(rec)
		if _, _, given := takeID(rec); given && it.err == nil {
			it.err = bad("INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id in an insert call", "Id")
		}
		return it
	}, func(c *call, it item) saved {
		made, e := c.create(it.object, it.vals)
		if e != nil {
			return saved{err: e}
		}
		return saved{id: made.id, created: true}
	}, false)
}

func (s *Server) collectionUpdate(w http.ResponseWriter, r *http.Request, c *call, _ []string) {
	s.saveCollection(w, r, c, func(c *call, rec map[string]any) item {
		it := c.typed(rec)
		if it.err != nil {
			return it
		}
		name, id, _ := takeID(rec)
		delete(rec, name)
		it.row, it.err = c.referred(it.object, id)
		return it
	}, func(c *call, it item) saved {
		return saved{id: it.row.id, err: c.change(it.row, it.vals)}
	}, false)
}

func (s *Server) collectionUpsert(w http.ResponseWriter, r *http.Request, c *call, parts []string) {
	s.mu.RLock()
	o, f, e := c.upsertKey(parts[2], parts[3])
	s.mu.RUnlock()
	if e != nil {
		refuse(w, e)
		return
	}
	s.saveCollection(w, r, c, func(c *call, rec map[string]any) item {
		it := c.typed(rec)
		if it.err == nil && it.object != o {
			it.err = bad("INVALID_TYPE", "the record's type does not match "+o.Name)
			it.err.wholeRequest = true
		}
		for name, v := range rec {
			if strings.EqualFold(name, f.Name) && it.err == nil {
				it.key, it.err = f.fromJSON(v)
				delete(rec, name)
			}
		}
		if it.err == nil && it.key == nil {
			it.err = bad("MISSING_ARGUMENT", f.Name+" not specified")
		}
		return it
	}, func(c *call, it item) saved { return c.upsert(o, f, it.key, it.vals) }, true)
}

// upsertKey finds the object and the external id that a collection's URL names.
func (c *call) upsertKey(typeName, name string) (*object, *field, *apiError) {
	o := c.g.object(typeName)
	if o == nil || o.tooling {
		return nil, nil, errNotFound
	}
	f := o.field(name)
	if f == nil || !f.is(externalID) {
		return nil, nil, bad("INVALID_FIELD", "Field name provided, "+name+" is not an External ID or indexed field for "+o.Name)
	}
	return o, f, nil
}

// typed finds a record's type. An unknown one spoils the whole request.
func (c *call) typed(rec map[string]any) item {
	attributes, _ := rec["attributes"].(map[string]any)
	name, _ := attributes["type"].(string)
	o := c.g.object(name)
	if o == nil || o.tooling {
		e := bad("INVALID_TYPE", "sObject type '"+name+"' is not supported.")
		e.wholeRequest = true
		return item{err: e}
	}
	return item{object: o}
}

// takeID finds a record's id under any case of "id".
func takeID(rec map[string]any) (name, id string, given bool) {
	for name, v := range rec {
		if strings.EqualFold(name, "id") {
			id, _ = v.(string)
			return name, id, true
		}
	}
	return "", "", false
}

// referred finds the record an update or delete means.
func (c *call) referred(o *object, id string) (*row, *apiError) {
	if id == "" {
		return nil, bad("MISSING_ARGUMENT", "Id not specified in an update call")
	}
	full, ok := canonicalID(id)
	if !ok || o != nil && full[:3] != o.Prefix {
		label := "Record"
		if o != nil {
			label = o.Name
		}
		return nil, bad("MALFORMED_ID", label+" ID: id value of incorrect type: "+id, "Id")
	}
	r := c.g.find(full)
	if r == nil {
		return nil, bad("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
	}
	return r, nil
}

// saveCollection reads a collection, prepares each record, and saves those
// that can be.
func (s *Server) saveCollection(w http.ResponseWriter, r *http.Request, c *call,
	prepare func(*call, map[string]any) item, save func(*call, item) saved, upsert bool) {
	var in collection
	e := decodeJSON(r.Body, &in)
	if e == nil && len(in.Records) == 0 {
		e = bad("REQUIRED_FIELD_MISSING", "records is a required property", "records")
	}
	if e == nil && len(in.Records) > maxCollection {
		e = bad("EXCEEDED_ID_LIMIT", "record limit reached. cannot submit more than 200 records into this call")
	}
	if e != nil {
		refuse(w, e)
		return
	}
	var out []any
	s.writing(r, c, func() {
		items := make([]item, len(in.Records))
		for i, rec := range in.Records {
			it := prepare(c, rec)
			if it.err == nil {
				it.vals, it.err = c.decode(it.object, rec)
			}
			if it.err != nil && it.err.wholeRequest && (it.err.code != "INVALID_FIELD" || c.g.settings.UnknownFieldFailsRequest) {
				e = it.err
				return
			}
			items[i] = it
		}
		if e = chunks(items); e != nil {
			return
		}
		c.markDoubles(items)
		out = c.saveAll(items, in.AllOrNone, upsert, save)
	})
	if e != nil {
		refuse(w, e)
		return
	}
	answer(w, http.StatusOK, out)
}

// chunks counts runs of one type, and refuses to mix Setup with data.
func chunks(items []item) *apiError {
	runs, setup, data := 0, false, false
	var last *object
	for _, it := range items {
		if it.object == nil {
			continue
		}
		if it.object != last {
			runs++
			last = it.object
		}
		setup = setup || it.object.setup
		data = data || !it.object.setup
	}
	if runs > maxChunks {
		return fail(http.StatusBadRequest, "LIMIT_EXCEEDED",
			"the records make %d chunks of one type each; a request can have %d", runs, maxChunks)
	}
	if setup && data {
		return bad("MIXED_DML_OPERATION", "DML operation on setup object is not permitted after you have updated a non-setup object (or vice versa)")
	}
	return nil
}

// markDoubles fails every record that shares its id, its external id or a
// unique value with another record of the request.
func (c *call) markDoubles(items []item) {
	seen := map[any]int{}
	c.bulkKeys = map[string]bool{}
	values := map[string]int{}
	for _, it := range items {
		if it.err != nil {
			continue
		}
		if it.row != nil {
			seen[it.row]++
		}
		if it.key != nil {
			seen[foldKey(it.key)]++
		}
		for _, f := range it.object.fields {
			if v := it.vals[f.Name]; f.is(unique) && v != nil {
				k := bulkKey(it.object, f, v)
				if values[k]++; values[k] > 1 {
					c.bulkKeys[k] = true
				}
			}
		}
	}
	for i, it := range items {
		switch {
		case it.row != nil && seen[it.row] > 1:
			items[i].err = bad("DUPLICATE_VALUE", "duplicate id specified: "+it.row.id)
		case it.key != nil && seen[foldKey(it.key)] > 1:
			items[i].err = bad("DUPLICATE_VALUE", "Duplicate external id specified: "+toText(it.key))
		}
	}
}

func foldKey(v any) string { return strings.ToLower(toText(v)) }

func (c *call) saveAll(items []item, allOrNone, upsert bool, save func(*call, item) saved) []any {
	results := make([]saved, len(items))
	failed := false
	for i, it := range items {
		results[i].err = it.err
		if it.err == nil {
			results[i] = save(c, it)
		}
		failed = failed || results[i].err != nil
	}
	if failed && allOrNone {
		c.tx.rollback()
		for i := range results {
			if results[i].err == nil {
				results[i].err = bad("ALL_OR_NONE_OPERATION_ROLLED_BACK",
					"Record rolled back because not all records were valid and the request was using AllOrNone header")
			}
		}
	}
	out := make([]any, len(results))
	for i, res := range results {
		out[i] = res.render(upsert)
	}
	return out
}

func (res saved) render(upsert bool) any {
	m := map[string]any{"success": res.err == nil, "errors": []any{}}
	if res.err != nil {
		m["errors"] = []any{res.err.saveError()}
	} else {
		m["id"] = res.id
	}
	if upsert {
		m["created"] = res.created && res.err == nil
	}
	return m
}

func (s *Server) collectionDelete(w http.ResponseWriter, r *http.Request, c *call, _ []string) {
	list := splitList(r.URL.Query().Get("ids"))
	switch {
	case len(list) == 0:
		refuse(w, bad("MISSING_ARGUMENT", "ids is a required parameter"))
		return
	case len(list) > maxCollection:
		refuse(w, bad("EXCEEDED_ID_LIMIT", "record limit reached. cannot submit more than 200 records into this call"))
		return
	}
	var out []any
	var e *apiError
	s.writing(r, c, func() {
		items := make([]item, len(list))
		for i, id := range list {
			items[i].row, items[i].err = c.referred(nil, id)
			if items[i].row != nil {
				items[i].object = items[i].row.object
			}
		}
		if e = chunks(items); e != nil {
			return
		}
		c.markDoubles(items)
		out = c.saveAll(items, r.URL.Query().Get("allOrNone") == "true", false, func(c *call, it item) saved {
			return saved{id: it.row.id, err: c.remove(it.row)}
		})
	})
	if e != nil {
		refuse(w, e)
		return
	}
	answer(w, http.StatusOK, out)
}

func splitList(s string) []string {
	var list []string
	for _, part := range strings.Split(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

// collectionRetrieve answers null for a record that is not there.
func (s *Server) collectionRetrieve(w http.ResponseWriter, r *http.Request, c *call, parts []string) {
	ids, names, e := retrieveArgs(r, r.URL.Query())
	if e != nil {
		refuse(w, e)
		return
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	o := c.g.object(parts[2])
	if o == nil || o.tooling {
		refuse(w, errNotFound)
		return
	}
	var fields []*field
	for _, name := range names {
		f := o.field(name)
		if f == nil {
			refuse(w, bad("INVALID_FIELD", "No such column '"+name+"' on entity '"+o.Name+"'"))
			return
		}
		fields = append(fields, f)
	}
	out := make([]any, len(ids))
	for i, id := range ids {
		full, ok := canonicalID(id)
		if !ok {
			refuse(w, bad("MALFORMED_ID", "malformed id "+id))
			return
		}
		if row := o.live[full]; row != nil && !row.deleted {
			out[i] = c.record(row, fields)
		}
	}
	answer(w, http.StatusOK, out)
}

func retrieveArgs(r *http.Request, q url.Values) (ids, fields []string, e *apiError) {
	ids, fields = splitList(q.Get("ids")), splitList(q.Get("fields"))
	if r.Method == http.MethodPost {
		var in struct {
			IDs    []string `json:"ids"`
			Fields []string `json:"fields"`
		}
		if e := decodeJSON(r.Body, &in); e != nil {
			return nil, nil, e
		}
		ids, fields = in.IDs, in.Fields
	}
	switch {
	case len(ids) == 0 || len(fields) == 0:
		return nil, nil, bad("MISSING_ARGUMENT", "ids and fields are required")
	case len(ids) > maxRetrieve:
		return nil, nil, bad("EXCEEDED_ID_LIMIT", "record limit reached. cannot submit more than 2000 records into this call")
	}
	return ids, fields, nil
}
