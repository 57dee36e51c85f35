package hubspotsim

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Record is a record as Dump shows it: as it is stored, not as search sees it.
type Record struct {
	ID         string            `json:"id"`
	Properties map[string]string `json:"properties"`
	CreatedAt  time.Time         `json:"createdAt"`
	UpdatedAt  time.Time         `json:"updatedAt"`
	Archived   bool              `json:"archived"`
	MergedInto string            `json:"mergedInto,omitempty"`
	// Associations holds object type → id → association type ids.
	Associations map[string]map[string][]int `json:"associations"`
}

// State is every record by object type, each list by ascending id.
type State map[string][]Record

// Dump returns the State.
func (s *Server) Dump() any { return s.State() }

// State returns a copy of every record, merged and archived ones included.
func (s *Server) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := State{}
	for name, t := range s.types {
		list := []Record{}
		for _, r := range t.records {
			list = append(list, r.copy())
		}
		slices.SortFunc(list, func(a, b Record) int { return cmp.Compare(numeric(a.ID), numeric(b.ID)) })
		state[name] = list
	}
	return state
}

// Records returns the live records of an object type by ascending id.
func (s *Server) Records(objectType string) []Record {
	list := s.State()[plural(objectType)]
	return slices.DeleteFunc(list, func(r Record) bool { return r.Archived || r.MergedInto != "" })
}

func (r *record) copy() Record {
	c := Record{
		ID: r.id, Properties: maps.Clone(r.props), CreatedAt: r.created, UpdatedAt: r.updated,
		Archived: r.archived, Associations: map[string]map[string][]int{},
	}
	if r.mergedInto != nil {
		c.MergedInto = r.mergedInto.id
	}
	for name, others := range r.links {
		if len(others) == 0 {
			continue
		}
		c.Associations[name] = map[string][]int{}
		for id, types := range others {
			c.Associations[name][id] = slices.Sorted(maps.Keys(types))
		}
	}
	return c
}
