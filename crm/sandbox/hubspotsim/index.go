package hubspotsim

import (
	"strings"
	"time"
)

// searchIndex is what search sees of an object type: the state of some seconds
// ago.
type searchIndex struct {
	pending []indexed // not yet visible, oldest first
	docs    map[string]indexed
	// byValue finds documents by a property's folded value. It exists for the
	// properties that were searched for by value so far.
	byValue map[string]map[string]map[string]bool
}

// indexed is one version of a record. gone versions take it out of search.
type indexed struct {
	at    time.Time
	rec   *record
	props map[string]string
	gone  bool
	upd   time.Time
}

// enqueue tells the index of a change.
func (s *Server) enqueue(r *record, now time.Time) {
	x := &r.typ.index
	x.pending = append(x.pending, indexed{now, r, r.props, r.archived || r.mergedInto != nil, r.updated})
}

// catchUp makes visible what is older than the lag.
func (x *searchIndex) catchUp(now time.Time, lag time.Duration) {
	if x.docs == nil {
		x.docs, x.byValue = map[string]indexed{}, map[string]map[string]map[string]bool{}
	}
	i := 0
	for ; i < len(x.pending) && now.Sub(x.pending[i].at) >= lag; i++ {
		x.apply(x.pending[i])
	}
	x.pending = x.pending[i:]
}

func (x *searchIndex) apply(doc indexed) {
	id := doc.rec.id
	if old, ok := x.docs[id]; ok {
		for name, values := range x.byValue {
			for _, v := range folded(name, old.props) {
				delete(values[v], id)
			}
		}
	}
	if doc.gone {
		delete(x.docs, id)
		return
	}
	x.docs[id] = doc
	for name := range x.byValue {
		x.note(name, doc)
	}
}

func (x *searchIndex) note(name string, doc indexed) {
	for _, v := range folded(name, doc.props) {
		ids := x.byValue[name][v]
		if ids == nil {
			ids = map[string]bool{}
			x.byValue[name][v] = ids
		}
		ids[doc.rec.id] = true
	}
}

// having returns the ids whose property has the folded value.
func (x *searchIndex) having(name, value string) map[string]bool {
	if x.byValue[name] == nil {
		x.byValue[name] = map[string]map[string]bool{}
		for _, doc := range x.docs {
			x.note(name, doc)
		}
	}
	return x.byValue[name][value]
}

// folded returns a property's values in lower case: several for additional
// emails, one for others, none when it is not set.
func folded(name string, props map[string]string) []string {
	v, ok := props[name]
	switch {
	case !ok:
		return nil
	case name == "hs_additional_emails":
		return strings.Split(strings.ToLower(v), ";")
	}
	return []string{strings.ToLower(v)}
}
