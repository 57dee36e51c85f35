package hubspotsim

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
)

// Batch sizes of the associations API. Source: HubSpot associations guide.
const (
	maxAssociate     = 2000
	maxReadAssociate = 1000
	associationPage  = 500
)

type associatedType struct {
	Category string  `json:"category"`
	TypeID   int     `json:"typeId"`
	Label    *string `json:"label"`
}

type associatedObject struct {
	ToID  string           `json:"toObjectId"`
	Types []associatedType `json:"associationTypes"`
}

type labelledPair struct {
	FromType string   `json:"fromObjectTypeId"`
	FromID   string   `json:"fromObjectId"`
	ToType   string   `json:"toObjectTypeId"`
	ToID     string   `json:"toObjectId"`
	Labels   []string `json:"labels"`
}

type defaultPair struct {
	From objectRef       `json:"from"`
	To   objectRef       `json:"to"`
	Spec associationSpec `json:"associationSpec"`
}

// toType finds the object type of the path's {to}.
func (s *Server) toType(c *call) (*objectType, *apiError) {
	if t := s.types[plural(c.PathValue("to"))]; t != nil {
		return t, nil
	}
	return nil, invalid("Unable to infer object type from: " + c.PathValue("to"))
}

// ends finds both records of an association.
func ends(from, to *objectType, fromID, toID string) (a, b *record, fail *apiError) {
	missing := func(t *objectType, side, id string) *apiError {
		e := notFound(fmt.Sprintf("No %s with ID %s exists", pathName(t), id))
		e.SubCategory = "crm.associations." + side + "_OBJECT_NOT_FOUND"
		e.Context = map[string][]string{"id": {id}, "objectType": {pathName(t)}}
		return e
	}
	if a = from.find(fromID); a == nil {
		return nil, nil, missing(from, "FROM", fromID)
	}
	if b = to.find(toID); b == nil {
		return nil, nil, missing(to, "TO", toID)
	}
	return a, b, nil
}

func checkSpecs(specs []associationSpec, from, to *objectType) *apiError {
	if len(specs) == 0 {
		return badAssociation("An association needs at least one type")
	}
	for _, spec := range specs {
		if _, fail := checkSpec(spec, from.name, to.name); fail != nil {
			return fail
		}
	}
	return nil
}

// associate sets the given types, which have been checked, between two
// records.
func (s *Server) associate(from, to *objectType, fromID, toID string, specs []associationSpec) (labelledPair, *apiError) {
	a, b, fail := ends(from, to, fromID, toID)
	if fail != nil {
		return labelledPair{}, fail
	}
	pair := labelledPair{from.id, a.id, to.id, b.id, []string{}}
	for _, spec := range specs {
		s.link(a, b, spec.TypeID)
		if label := associationTypes[spec.TypeID].label; label != "" {
			pair.Labels = append(pair.Labels, label)
		}
	}
	return pair, nil
}

func (s *Server) batchAssociate(c *call) (int, any, *apiError) {
	to, fail := s.toType(c)
	if fail != nil {
		return 0, nil, fail
	}
	type input struct {
		From  objectRef         `json:"from"`
		To    objectRef         `json:"to"`
		Types []associationSpec `json:"types"`
	}
	in, fail := inputs[input](c, maxAssociate)
	if fail != nil {
		return 0, nil, fail
	}
	for _, one := range in { // a wrong type refuses the batch
		if fail := checkSpecs(one.Types, c.typ, to); fail != nil {
			return 0, nil, fail
		}
	}
	var results []labelledPair
	var errs []itemError
	for _, one := range in {
		pair, fail := s.associate(c.typ, to, one.From.ID, one.To.ID, one.Types)
		if fail != nil {
			errs = append(errs, fail.item(""))
			continue
		}
		results = append(results, pair)
	}
	return batchAnswer(http.StatusCreated, c.now, results, errs)
}

func (s *Server) batchAssociateDefault(c *call) (int, any, *apiError) {
	to, fail := s.toType(c)
	if fail != nil {
		return 0, nil, fail
	}
	type input struct {
		From objectRef `json:"from"`
		To   objectRef `json:"to"`
	}
	in, fail := inputs[input](c, maxAssociate)
	if fail != nil {
		return 0, nil, fail
	}
	kind, fail := pairType(c.typ, to)
	if fail != nil {
		return 0, nil, fail
	}
	var results []defaultPair
	var errs []itemError
	for _, one := range in {
		pairs, fail := s.associateDefault(c.typ, to, one.From.ID, one.To.ID, kind)
		if fail != nil {
			errs = append(errs, fail.item(""))
			continue
		}
		results = append(results, pairs...)
	}
	return batchAnswer(http.StatusOK, c.now, results, errs)
}

// pairType returns the unlabelled type between two object types.
func pairType(from, to *objectType) (associationType, *apiError) {
	t, ok := defaultType(from.name, to.name)
	if !ok {
		return t, badAssociation("%s cannot be associated with %s", from.name, to.name)
	}
	return t, nil
}

func (s *Server) associateDefault(from, to *objectType, fromID, toID string, t associationType) ([]defaultPair, *apiError) {
	a, b, fail := ends(from, to, fromID, toID)
	if fail != nil {
		return nil, fail
	}
	s.link(a, b, t.id)
	return []defaultPair{
		{objectRef{a.id}, objectRef{b.id}, associationSpec{"HUBSPOT_DEFINED", t.id}},
		{objectRef{b.id}, objectRef{a.id}, associationSpec{"HUBSPOT_DEFINED", t.inverse}},
	}, nil
}

func (s *Server) putDefaultAssociation(c *call) (int, any, *apiError) {
	to, fail := s.toType(c)
	if fail != nil {
		return 0, nil, fail
	}
	kind, fail := pairType(c.typ, to)
	if fail != nil {
		return 0, nil, fail
	}
	pairs, fail := s.associateDefault(c.typ, to, c.PathValue("id"), c.PathValue("toID"), kind)
	if fail != nil {
		return 0, nil, fail
	}
	return batchAnswer(http.StatusOK, c.now, pairs, nil)
}

func (s *Server) putAssociation(c *call) (int, any, *apiError) {
	to, fail := s.toType(c)
	if fail != nil {
		return 0, nil, fail
	}
	var specs []associationSpec
	if fail := c.decode(&specs); fail != nil {
		return 0, nil, fail
	}
	if fail := checkSpecs(specs, c.typ, to); fail != nil {
		return 0, nil, fail
	}
	pair, fail := s.associate(c.typ, to, c.PathValue("id"), c.PathValue("toID"), specs)
	if fail != nil {
		return 0, nil, fail
	}
	return http.StatusCreated, pair, nil
}

// deleteAssociation removes every association between two records.
func (s *Server) deleteAssociation(c *call) (int, any, *apiError) {
	to, fail := s.toType(c)
	if fail != nil {
		return 0, nil, fail
	}
	a, b, fail := ends(c.typ, to, c.PathValue("id"), c.PathValue("toID"))
	if fail != nil {
		return 0, nil, fail
	}
	unlink(a, b)
	return http.StatusNoContent, nil, nil
}

func (s *Server) batchDissociate(c *call) (int, any, *apiError) {
	to, fail := s.toType(c)
	if fail != nil {
		return 0, nil, fail
	}
	type input struct {
		From objectRef   `json:"from"`
		To   []objectRef `json:"to"`
	}
	in, fail := inputs[input](c, maxAssociate)
	if fail != nil {
		return 0, nil, fail
	}
	for _, one := range in {
		for _, target := range one.To {
			if a, b, fail := ends(c.typ, to, one.From.ID, target.ID); fail == nil {
				unlink(a, b)
			}
		}
	}
	return http.StatusNoContent, nil, nil
}

// associated renders one page of what a record is associated with.
func (r *record) associated(to string, after, limit int) ([]associatedObject, *paging) {
	list := []associatedObject{}
	for _, id := range r.targets(to) {
		if numeric(id) <= after {
			continue
		}
		if len(list) == limit {
			return list, next(list[limit-1].ToID)
		}
		one := associatedObject{ToID: id}
		for _, typeID := range slices.Sorted(maps.Keys(r.links[to][id])) {
			kind := associatedType{Category: "HUBSPOT_DEFINED", TypeID: typeID}
			if label := associationTypes[typeID].label; label != "" {
				kind.Label = &label
			}
			one.Types = append(one.Types, kind)
		}
		list = append(list, one)
	}
	return list, nil
}

type associatedPage struct {
	From   *objectRef         `json:"from,omitempty"`
	To     []associatedObject `json:"to,omitempty"`
	Paging *paging            `json:"paging,omitempty"`
}

func (s *Server) batchReadAssociations(c *call) (int, any, *apiError) {
	to, fail := s.toType(c)
	if fail != nil {
		return 0, nil, fail
	}
	type input struct {
		ID    string `json:"id"`
		After string `json:"after"`
	}
	in, fail := inputs[input](c, maxReadAssociate)
	if fail != nil {
		return 0, nil, fail
	}
	var results []associatedPage
	var errs []itemError
	for _, one := range in {
		page := associatedPage{From: &objectRef{one.ID}}
		if r := c.typ.find(one.ID); r != nil {
			page.To, page.Paging = r.associated(to.name, numeric(one.After), maxReadAssociate)
		}
		if len(page.To) > 0 {
			results = append(results, page)
			continue
		}
		e := notFound(fmt.Sprintf("No %s is associated with %s %s.", pathName(to), pathName(c.typ), one.ID))
		e.SubCategory = "crm.associations.NO_ASSOCIATIONS_FOUND"
		e.Context = map[string][]string{
			"fromObjectId": {one.ID}, "fromObjectType": {pathName(c.typ)}, "toObjectType": {pathName(to)},
		}
		errs = append(errs, e.item(""))
	}
	return batchAnswer(http.StatusOK, c.now, results, errs)
}

func (s *Server) listAssociations(c *call) (int, any, *apiError) {
	to, fail := s.toType(c)
	if fail != nil {
		return 0, nil, fail
	}
	limit, fail := pageSize(c.URL.Query().Get("limit"), associationPage, associationPage)
	if fail != nil {
		return 0, nil, fail
	}
	r := c.typ.find(c.PathValue("id"))
	if r == nil {
		return 0, nil, noObject(c.PathValue("id"))
	}
	list, more := r.associated(to.name, numeric(c.URL.Query().Get("after")), limit)
	return http.StatusOK, struct {
		Results []associatedObject `json:"results"`
		Paging  *paging            `json:"paging,omitempty"`
	}{list, more}, nil
}

func (s *Server) associationLabels(c *call) (int, any, *apiError) {
	to, fail := s.toType(c)
	if fail != nil {
		return 0, nil, fail
	}
	list := []associatedType{}
	for _, t := range associationTypes {
		if t.from == c.typ.name && t.to == to.name {
			kind := associatedType{Category: "HUBSPOT_DEFINED", TypeID: t.id}
			if t.label != "" {
				kind.Label = &t.label
			}
			list = append(list, kind)
		}
	}
	slices.SortFunc(list, func(a, b associatedType) int { return cmp.Compare(a.TypeID, b.TypeID) })
	return http.StatusOK, map[string]any{"results": list}, nil
}
