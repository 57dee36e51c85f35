package hubspotsim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// associationType is one HUBSPOT_DEFINED association type, with the type the
// other direction has.
type associationType struct {
	id, inverse int
	from, to    string
	label       string // "Primary" or empty
}

// associationTypes are those between the object types here. Source: HubSpot
// associations guide, default association types.
var associationTypes = bothWays([]associationType{
	{id: 194, inverse: 193, from: "calls", to: "contacts"},
	{id: 182, inverse: 181, from: "calls", to: "companies"},
	{id: 206, inverse: 205, from: "calls", to: "deals"},
	{id: 200, inverse: 199, from: "meetings", to: "contacts"},
	{id: 188, inverse: 187, from: "meetings", to: "companies"},
	{id: 212, inverse: 211, from: "meetings", to: "deals"},
	{id: 204, inverse: 203, from: "tasks", to: "contacts"},
	{id: 192, inverse: 191, from: "tasks", to: "companies"},
	{id: 216, inverse: 215, from: "tasks", to: "deals"},
	{id: 202, inverse: 201, from: "notes", to: "contacts"},
	{id: 190, inverse: 189, from: "notes", to: "companies"},
	{id: 214, inverse: 213, from: "notes", to: "deals"},
	{id: 4, inverse: 3, from: "contacts", to: "deals"},
	{id: 279, inverse: 280, from: "contacts", to: "companies"},
	{id: 1, inverse: 2, from: "contacts", to: "companies", label: "Primary"},
	{id: 341, inverse: 342, from: "deals", to: "companies"},
	{id: 5, inverse: 6, from: "deals", to: "companies", label: "Primary"},
})

func bothWays(types []associationType) map[int]associationType {
	m := map[int]associationType{}
	for _, t := range types {
		m[t.id] = t
		m[t.inverse] = associationType{id: t.inverse, inverse: t.id, from: t.to, to: t.from, label: t.label}
	}
	return m
}

// defaultType returns the unlabelled association type of a direction.
func defaultType(from, to string) (associationType, bool) {
	for _, t := range associationTypes {
		if t.from == from && t.to == to && t.label == "" {
			return t, true
		}
	}
	return associationType{}, false
}

type associationSpec struct {
	Category string `json:"associationCategory"`
	TypeID   int    `json:"associationTypeId"`
}

type objectRef struct {
	ID string `json:"id"`
}

// associationInput is an association given along with a record to create.
type associationInput struct {
	To    objectRef         `json:"to"`
	Types []associationSpec `json:"types"`
}

// link is an association that has been checked.
type link struct {
	to     *record
	typeID int
}

func badAssociation(format string, args ...any) *apiError {
	e := invalid(fmt.Sprintf(format, args...))
	e.SubCategory = "crm.associations.INVALID_ASSOCIATION"
	return e
}

// checkSpec finds an association type and checks its direction. to is empty
// when the type decides what it leads to.
func checkSpec(spec associationSpec, from, to string) (associationType, *apiError) {
	t, ok := associationTypes[spec.TypeID]
	switch {
	case spec.Category != "HUBSPOT_DEFINED":
		return t, badAssociation("associationCategory %q is unknown here; this account has no labels of its own", spec.Category)
	case !ok || t.from != from || to != "" && t.to != to:
		return t, badAssociation("Association type %d cannot be used from %s to %s", spec.TypeID, from, cmp.Or(to, "any object"))
	}
	return t, nil
}

// checkLinks checks the associations of a record to be created.
func (s *Server) checkLinks(t *objectType, inputs []associationInput) ([]link, *apiError) {
	var links []link
	for _, in := range inputs {
		if len(in.Types) == 0 {
			return nil, badAssociation("An association needs at least one type")
		}
		for _, spec := range in.Types {
			kind, fail := checkSpec(spec, t.name, "")
			if fail != nil {
				return nil, fail
			}
			target := s.types[kind.to].find(in.To.ID)
			if target == nil {
				e := badAssociation("%s=%s is not valid", s.types[kind.to].singular, in.To.ID)
				e.SubCategory = "crm.associations.INVALID_OBJECT_IDS"
				e.Context = map[string][]string{"toObjectId": {in.To.ID}}
				return nil, e
			}
			links = append(links, link{target, kind.id})
		}
	}
	return links, nil
}

// link sets an association in both directions. A labelled one brings the
// unlabelled one along, and the first company is the primary one.
func (s *Server) link(from, to *record, typeID int) {
	t := associationTypes[typeID]
	setLink(from, to, t)
	if t.label != "" {
		for id := range from.links[to.typ.name] {
			if id != to.id {
				s.clearLink(from, s.types[to.typ.name].records[id], typeID)
			}
		}
		if plain, ok := defaultType(t.from, t.to); ok {
			setLink(from, to, plain)
		}
		return
	}
	primary, ok := primaryType(t.from, t.to)
	if !ok || hasType(from, to.typ.name, primary.id) {
		return
	}
	setLink(from, to, primary)
}

// primaryType is the type that marks a record's primary company.
func primaryType(from, to string) (associationType, bool) {
	for _, t := range associationTypes {
		if t.from == from && t.to == to && t.label != "" && to == "companies" {
			return t, true
		}
	}
	return associationType{}, false
}

func hasType(r *record, to string, typeID int) bool {
	for _, ids := range r.links[to] {
		if ids[typeID] {
			return true
		}
	}
	return false
}

func setLink(from, to *record, t associationType) {
	half(from, to)[t.id] = true
	half(to, from)[t.inverse] = true
}

func half(from, to *record) map[int]bool {
	byID := from.links[to.typ.name]
	if byID == nil {
		byID = map[string]map[int]bool{}
		from.links[to.typ.name] = byID
	}
	if byID[to.id] == nil {
		byID[to.id] = map[int]bool{}
	}
	return byID[to.id]
}

// clearLink takes one type off an association, and the association away when
// it was the last.
func (s *Server) clearLink(from, to *record, typeID int) {
	t := associationTypes[typeID]
	drop := func(a, b *record, id int) {
		types := a.links[b.typ.name][b.id]
		delete(types, id)
		if len(types) == 0 {
			delete(a.links[b.typ.name], b.id)
		}
	}
	drop(from, to, t.id)
	drop(to, from, t.inverse)
}

func unlink(from, to *record) {
	delete(from.links[to.typ.name], to.id)
	delete(to.links[from.typ.name], from.id)
}

func (s *Server) unlinkAll(r *record) {
	for name, others := range r.links {
		for id := range others {
			if other := s.types[name].records[id]; other != nil {
				delete(other.links[r.typ.name], r.id)
			}
		}
	}
	clear(r.links)
}

// moveLinks gives a merged record's associations to the winner.
func (s *Server) moveLinks(loser, winner *record) {
	for name, others := range loser.links {
		for id, types := range others {
			if other := s.types[name].records[id]; other != nil && other != winner {
				for _, typeID := range slices.Sorted(maps.Keys(types)) {
					if associationTypes[typeID].label == "" {
						s.link(winner, other, typeID)
					}
				}
			}
		}
	}
	s.unlinkAll(loser)
}

// targets lists what a record is associated with, by ascending id.
func (r *record) targets(to string) []string {
	ids := slices.Collect(maps.Keys(r.links[to]))
	slices.SortFunc(ids, func(a, b string) int { return cmp.Compare(numeric(a), numeric(b)) })
	return ids
}

// associatedNames are associations as they come along with a record.
type associatedNames struct {
	Results []associatedName `json:"results"`
}

type associatedName struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

// inlineAssociations renders ?associations= of a get or list. Each type of an
// association is an entry of its own, named as in "call_to_contact".
func (s *Server) inlineAssociations(r *record, wanted []string) map[string]associatedNames {
	all := map[string]associatedNames{}
	for _, name := range wanted {
		t := s.types[plural(name)]
		if t == nil {
			continue
		}
		var list []associatedName
		for _, id := range r.targets(t.name) {
			for _, typeID := range slices.Sorted(maps.Keys(r.links[t.name][id])) {
				list = append(list, associatedName{id, associationName(r.typ, t, associationTypes[typeID].label)})
			}
		}
		if list != nil {
			all[t.name] = associatedNames{list}
		}
	}
	return all
}

func associationName(from, to *objectType, label string) string {
	name := pathName(from) + "_to_" + pathName(to)
	if label != "" {
		return name
	}
	if _, ok := primaryType(from.name, to.name); ok {
		return name + "_unlabeled"
	}
	return name
}

func pathName(t *objectType) string { return strings.ToLower(t.singular) }
