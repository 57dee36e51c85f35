package admin

import (
	"cmp"
	"maps"
	"slices"

	"github.com/callsync/callsync/store"
)

// A Cause is why calls stand where they stand at a destination: what made them fail,
// or why they were skipped or wait.
type Cause struct {
	Destination string   `json:"destination"`
	Text        string   `json:"text"`
	Code        string   `json:"code,omitempty"`
	Property    string   `json:"property,omitempty"`
	Place       string   `json:"place,omitempty"` // where the mapping sets it
	Hint        string   `json:"hint,omitempty"`
	Calls       int      `json:"calls"`
	Examples    []string `json:"examples"` // the newest of them
}

const (
	// maxCauses bounds the causes told apart.
	maxCauses = 100
	// exampleCalls is how many calls of a cause are named.
	exampleCalls = 3
)

// A causeKey is what calls of one cause have in common.
type causeKey struct{ destination, code, text string }

// causes groups calls with a status by why they have it.
type causes struct {
	status store.Status
	all    map[causeKey]*Cause
}

func newCauses(status store.Status) *causes {
	return &causes{status: status, all: map[causeKey]*Cause{}}
}

func (c *causes) add(call store.CallView) {
	for _, destination := range slices.Sorted(maps.Keys(call.States)) {
		s := call.States[destination]
		one, ok := causeOf(destination, s)
		if !ok || s.Status != c.status {
			continue
		}
		key := causeKey{destination, one.Code, one.Text}
		known := c.all[key]
		if known == nil {
			if len(c.all) == maxCauses {
				continue
			}
			known = &one
			c.all[key] = known
		}
		known.Calls++
		if len(known.Examples) < exampleCalls {
			known.Examples = append(known.Examples, call.ID)
		}
	}
}

// causeOf says why a call stands where it stands; ok is false of one that nothing is
// to be said about.
func causeOf(destination string, s store.State) (c Cause, ok bool) {
	c.Destination = destination
	switch p := s.Problem; {
	case s.Status == store.Skipped || s.Status == store.Waiting:
		c.Text = s.Reason
	case p != nil:
		c.Text, c.Code, c.Property, c.Place, c.Hint = p.Text, p.Code, p.Property, p.Place, p.Hint
	}
	return c, c.Text != ""
}

// list returns the causes, that of most calls first.
func (c *causes) list() []Cause {
	list := make([]Cause, 0, len(c.all))
	for _, one := range c.all {
		list = append(list, *one)
	}
	slices.SortFunc(list, func(a, b Cause) int {
		return cmp.Or(b.Calls-a.Calls, cmp.Compare(a.Destination, b.Destination), cmp.Compare(a.Text, b.Text))
	})
	return list
}
