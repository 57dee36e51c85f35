package salesforcesim

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// An org is the data: objects, their records, and the search index. Whoever
// calls its methods holds the server's lock.
type org struct {
	settings *Settings
	now      func() time.Time
	objects  []*object
	byName   map[string]*object // lower-cased
	prefix   map[string]*object
	search   searchIndex
	cursors  map[string]*cursor
	lastCur  int
	userID   string // of the integration user
	orgID    string
	refusals map[int]int // times each setting's refusal has struck
}

func newOrg(settings *Settings, now func() time.Time) *org {
	g := &org{
		settings: settings, now: now,
		objects:  standardObjects(),
		byName:   map[string]*object{},
		prefix:   map[string]*object{},
		search:   newSearchIndex(),
		cursors:  map[string]*cursor{},
		refusals: map[int]int{},
	}
	for _, o := range g.objects {
		g.byName[strings.ToLower(o.Name)] = o
		g.prefix[o.Prefix] = o
	}
	return g
}

// seed adds the organization and the integration user.
func (g *org) seed(id, username string) {
	t := new(tx)
	g.orgID = id
	g.insertAs(t, id, g.object("Organization"), map[string]any{
		"Name": "Sandbox", "IsSandbox": true, "InstanceName": "SBX1",
		"OrganizationType": "Enterprise Edition", "TimeZoneSidKey": "Etc/UTC",
	})
	user := g.insert(t, g.object("User"), map[string]any{
		"Username": username, "LastName": "Integration", "Name": "Integration",
		"Email": username, "Alias": "integr", "IsActive": true,
		"UserType": "Standard", "TimeZoneSidKey": "Etc/UTC",
	})
	g.userID = user.id
	g.applySecurity()
}

func (g *org) object(name string) *object { return g.byName[strings.ToLower(name)] }

// find returns the record with an id, deleted ones included.
func (g *org) find(id string) *row {
	if len(id) != 18 {
		return nil
	}
	if o := g.prefix[id[:3]]; o != nil {
		return o.live[id]
	}
	return nil
}

// A row is one record. Empty fields are absent from vals; the rest hold
// string, float64 or bool. Dates and instants are kept as the API renders
// them, in UTC, so that they order as text.
type row struct {
	object  *object
	id      string
	seq     int // order of creation within the object
	vals    map[string]any
	deleted bool
	// history holds what the search index knows and is about to know.
	history []indexed
}

func (r *row) get(f *field) any {
	switch f.Name {
	case "Id":
		return r.id
	case "IsDeleted":
		return r.deleted
	}
	return r.vals[f.Name]
}

func (r *row) text(name string) string {
	s, _ := r.vals[name].(string)
	return s
}

func (r *row) flag(name string) bool {
	b, _ := r.vals[name].(bool)
	return b
}

// A tx remembers how to take back what was done under it, and what has to be
// worked out anew from the records once that is done.
type tx struct{ undo, settle []func() }

func (t *tx) rollback() {
	for _, f := range slices.Backward(t.undo) {
		f()
	}
	for _, f := range t.settle {
		f()
	}
	t.undo, t.settle = nil, nil
}

const (
	timeLayout = "2006-01-02T15:04:05.000-0700"
	dateLayout = "2006-01-02"
)

// stamp renders an instant to the second, which is all that Salesforce keeps.
func stamp(t time.Time) string { return t.UTC().Truncate(time.Second).Format(timeLayout) }

// insert stores a new record without any check.
func (g *org) insert(t *tx, o *object, vals map[string]any) *row {
	return g.insertAs(t, newID(o.Prefix, o.last+1), o, vals)
}

func (g *org) insertAs(t *tx, id string, o *object, vals map[string]any) *row {
	o.last++
	r := &row{object: o, id: id, seq: o.last, vals: map[string]any{}}
	o.rows = append(o.rows, r)
	o.live[r.id] = r
	t.undo = append(t.undo, func() {
		// An id is never given out twice, so o.last stays.
		o.rows = without(o.rows, r)
		delete(o.live, r.id)
	})
	now := stamp(g.now())
	for name, v := range map[string]any{
		"CreatedDate": now, "CreatedById": g.userID,
		"LastModifiedDate": now, "LastModifiedById": g.userID, "SystemModstamp": now,
	} {
		r.vals[name] = v
	}
	for _, f := range o.fields {
		if v, ok := vals[f.Name]; ok && v != nil {
			r.vals[f.Name] = v
		}
		o.reindex(f, r, nil, r.vals[f.Name])
	}
	t.undo = append(t.undo, func() {
		for _, f := range o.fields {
			o.reindex(f, r, r.vals[f.Name], nil)
		}
	})
	g.index(t, r)
	return r
}

// set changes fields of a record without any check. A nil value empties.
func (g *org) set(t *tx, r *row, vals map[string]any) {
	now := stamp(g.now())
	old := map[string]any{}
	apply := func(vals map[string]any) {
		for name, v := range vals {
			if f := r.object.byName[strings.ToLower(name)]; f != nil {
				r.object.reindex(f, r, r.vals[name], v)
			}
			if v == nil {
				delete(r.vals, name)
			} else {
				r.vals[name] = v
			}
		}
	}
	change := map[string]any{"LastModifiedDate": now, "LastModifiedById": g.userID, "SystemModstamp": now}
	for name, v := range vals {
		change[name] = v
	}
	for name := range change {
		old[name] = r.vals[name]
	}
	apply(change)
	t.undo = append(t.undo, func() { apply(old) })
	g.index(t, r)
}

// bin moves a record into the recycle bin, or out of it.
func (g *org) bin(t *tx, r *row, deleted bool) {
	was := r.deleted
	r.deleted = deleted
	t.undo = append(t.undo, func() { r.deleted = was })
	g.set(t, r, nil)
}

// reindex moves a record from its old value's bucket to the new one's.
func (o *object) reindex(f *field, r *row, old, v any) {
	buckets := o.index[f.Name]
	if buckets == nil || old == v {
		return
	}
	if old != nil {
		k := f.key(old)
		if rest := without(buckets[k], r); len(rest) > 0 {
			buckets[k] = rest
		} else {
			delete(buckets, k)
		}
	}
	if v != nil {
		k := f.key(v)
		buckets[k] = append(buckets[k], r)
	}
}

// without takes r out of rows, in place. It looks from the end, where a
// rollback finds what it takes back.
func without(rows []*row, r *row) []*row {
	for i, x := range slices.Backward(rows) {
		if x == r {
			return slices.Delete(rows, i, i+1)
		}
	}
	return rows
}

// byValue returns the live records whose indexed field equals v.
func (o *object) byValue(f *field, v any) []*row {
	var found []*row
	for _, r := range o.index[f.Name][f.key(v)] {
		if !r.deleted {
			found = append(found, r)
		}
	}
	return found
}

func toText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}
