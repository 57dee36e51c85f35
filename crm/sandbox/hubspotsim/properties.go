package hubspotsim

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// maxUnique is how many unique properties an object type may have. Source:
// HubSpot properties guide.
const maxUnique = 10

var propertyName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,99}$`)

// fieldTypes lists which field types go with a property type. Source: HubSpot
// properties guide.
var fieldTypes = map[string][]string{
	"bool":         {"booleancheckbox"},
	"date":         {"date"},
	"datetime":     {"date"},
	"enumeration":  {"booleancheckbox", "checkbox", "radio", "select"},
	"number":       {"number"},
	"phone_number": {"phonenumber"},
	"string":       {"text", "textarea", "html", "phonenumber"},
}

type propertyInput struct {
	Name           string    `json:"name"`
	Label          *string   `json:"label"`
	Type           string    `json:"type"`
	FieldType      string    `json:"fieldType"`
	GroupName      string    `json:"groupName"`
	Description    *string   `json:"description"`
	Options        *[]option `json:"options"`
	HasUniqueValue bool      `json:"hasUniqueValue"`
	Hidden         *bool     `json:"hidden"`
	FormField      *bool     `json:"formField"`
	DisplayOrder   *int      `json:"displayOrder"`
}

func (t *objectType) group(name string) *group {
	for _, g := range t.groups {
		if g.Name == name {
			return g
		}
	}
	return nil
}

// define checks and adds a property.
func (s *Server) define(t *objectType, in propertyInput, now time.Time) (*property, *apiError) {
	old := t.properties[in.Name]
	switch {
	case !propertyName.MatchString(in.Name):
		return nil, invalid(fmt.Sprintf("Property name %q is invalid: it must begin with a letter and hold only lower-case letters, digits and underscores", in.Name))
	case strings.HasPrefix(in.Name, "hs_") || strings.HasPrefix(in.Name, "hubspot_"):
		return nil, invalid(fmt.Sprintf("Property name %q begins with a reserved prefix", in.Name))
	case old != nil && !old.Archived:
		return nil, &apiError{status: http.StatusConflict, Category: "OBJECT_ALREADY_EXISTS", SubCategory: "Properties.PROPERTY_EXISTS", Message: fmt.Sprintf("A property named '%s' already exists.", in.Name)}
	case in.Label == nil || *in.Label == "":
		return nil, invalid("label is required")
	case fieldTypes[in.Type] == nil:
		return nil, invalid(fmt.Sprintf("Property type %q is invalid", in.Type))
	case !slices.Contains(fieldTypes[in.Type], in.FieldType):
		return nil, invalid(fmt.Sprintf("Field type %q does not go with type %q", in.FieldType, in.Type))
	case t.group(in.GroupName) == nil:
		return nil, invalid(fmt.Sprintf("Property group %q does not exist", in.GroupName))
	}
	if fail := s.checkUniqueDefinition(t, &in); fail != nil {
		return nil, fail
	}
	options, fail := checkOptions(in.Type, in.Options)
	if fail != nil {
		return nil, fail
	}
	p := &property{
		Name: in.Name, Label: *in.Label, Type: in.Type, FieldType: in.FieldType, GroupName: in.GroupName,
		Options: options, HasUniqueValue: in.HasUniqueValue, DisplayOrder: -1,
		CreatedAt: stamp(now), UpdatedAt: stamp(now), Modification: propertyMetaMap{Archivable: true},
	}
	p.adjust(&in)
	t.properties[p.Name] = p
	if p.HasUniqueValue {
		t.unique[p.Name] = map[string]*record{}
	}
	return p, nil
}

func (s *Server) checkUniqueDefinition(t *objectType, in *propertyInput) *apiError {
	if !in.HasUniqueValue {
		return nil
	}
	if allowed, set := s.settings.UniqueProperties[t.name]; set && !allowed {
		return invalid(fmt.Sprintf("Properties with unique values cannot be created on %s", t.name))
	}
	if in.Type != "string" && in.Type != "number" {
		return invalid("Only string and number properties can have unique values")
	}
	n := 0
	for _, p := range t.properties {
		if p.HasUniqueValue && !p.Archived {
			n++
		}
	}
	if n >= maxUnique {
		return invalid(fmt.Sprintf("An object can have at most %d properties with unique values", maxUnique))
	}
	return nil
}

// adjust sets what may be changed later as well.
func (p *property) adjust(in *propertyInput) {
	if in.Label != nil {
		p.Label = *in.Label
	}
	if in.Description != nil {
		p.Description = *in.Description
	}
	if in.Hidden != nil {
		p.Hidden = *in.Hidden
	}
	if in.FormField != nil {
		p.FormField = *in.FormField
	}
	if in.DisplayOrder != nil {
		p.DisplayOrder = *in.DisplayOrder
	}
}

func checkOptions(typ string, given *[]option) ([]option, *apiError) {
	if typ == "bool" && given == nil {
		given = &[]option{{Label: "Yes", Value: "true"}, {Label: "No", Value: "false"}}
	}
	if given == nil || len(*given) == 0 {
		if typ == "enumeration" {
			return nil, invalid("An enumeration property needs options")
		}
		return []option{}, nil
	}
	if typ != "enumeration" && typ != "bool" {
		return nil, invalid(fmt.Sprintf("A property of type %q has no options", typ))
	}
	seen := map[string]bool{}
	for _, o := range *given {
		if o.Value == "" || o.Label == "" || seen[o.Value] || seen["\x00"+o.Label] {
			return nil, invalid("Each option needs a label and a value that no other option has")
		}
		seen[o.Value], seen["\x00"+o.Label] = true, true
	}
	return *given, nil
}

func (s *Server) createProperty(c *call) (int, any, *apiError) {
	var in propertyInput
	if fail := c.decode(&in); fail != nil {
		return 0, nil, fail
	}
	p, fail := s.define(c.typ, in, c.now)
	if fail != nil {
		return 0, nil, fail
	}
	return http.StatusCreated, p, nil
}

// batchCreateProperties creates what it can and reports the rest.
func (s *Server) batchCreateProperties(c *call) (int, any, *apiError) {
	in, fail := inputs[propertyInput](c, maxBatch)
	if fail != nil {
		return 0, nil, fail
	}
	var results []*property
	var errs []itemError
	for _, one := range in {
		p, fail := s.define(c.typ, one, c.now)
		if fail != nil {
			fail.Context = map[string][]string{"name": {one.Name}}
			errs = append(errs, fail.item(""))
			continue
		}
		results = append(results, p)
	}
	return batchAnswer(http.StatusCreated, c.now, results, errs)
}

func (s *Server) batchReadProperties(c *call) (int, any, *apiError) {
	var in struct {
		Archived bool `json:"archived"`
		Inputs   []struct {
			Name string `json:"name"`
		} `json:"inputs"`
	}
	if fail := c.decode(&in); fail != nil {
		return 0, nil, fail
	}
	if fail := batchSize(len(in.Inputs), maxBatch); fail != nil {
		return 0, nil, fail
	}
	var results []*property
	var errs []itemError
	for _, one := range in.Inputs {
		p := c.typ.properties[one.Name]
		if p == nil || p.Archived != in.Archived {
			errs = append(errs, noProperty(one.Name).item(""))
			continue
		}
		results = append(results, p)
	}
	return batchAnswer(http.StatusOK, c.now, results, errs)
}

func noProperty(name string) *apiError {
	e := notFound(fmt.Sprintf("A property named '%s' doesn't exist.", name))
	e.SubCategory = "Properties.PROPERTY_NOT_FOUND"
	e.Context = map[string][]string{"name": {name}}
	return e
}

func (s *Server) listProperties(c *call) (int, any, *apiError) {
	archived := c.URL.Query().Get("archived") == "true"
	list := []*property{}
	for _, p := range c.typ.properties {
		if p.Archived == archived {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b *property) int { return cmp.Compare(a.Name, b.Name) })
	return http.StatusOK, map[string]any{"results": list}, nil
}

func (c *call) property() (*property, *apiError) {
	name := c.PathValue("name")
	p := c.typ.properties[name]
	if p == nil || p.Archived != (c.URL.Query().Get("archived") == "true") {
		return nil, noProperty(name)
	}
	return p, nil
}

func (s *Server) getProperty(c *call) (int, any, *apiError) {
	p, fail := c.property()
	if fail != nil {
		return 0, nil, fail
	}
	return http.StatusOK, p, nil
}

func (s *Server) updateProperty(c *call) (int, any, *apiError) {
	p, fail := c.property()
	if fail != nil {
		return 0, nil, fail
	}
	var in propertyInput
	if fail := c.decode(&in); fail != nil {
		return 0, nil, fail
	}
	if p.Modification.ReadOnlyDefinition {
		return 0, nil, invalid(fmt.Sprintf("The definition of %s is read only", p.Name))
	}
	if in.GroupName != "" {
		if c.typ.group(in.GroupName) == nil {
			return 0, nil, invalid(fmt.Sprintf("Property group %q does not exist", in.GroupName))
		}
		p.GroupName = in.GroupName
	}
	if in.Options != nil {
		options, fail := checkOptions(p.Type, in.Options)
		if fail != nil {
			return 0, nil, fail
		}
		p.Options = options
	}
	p.adjust(&in)
	p.UpdatedAt = stamp(c.now)
	return http.StatusOK, p, nil
}

// archiveProperty hides a property with its values; its unique values no
// longer bind.
func (s *Server) archiveProperty(c *call) (int, any, *apiError) {
	p, fail := c.property()
	if fail != nil {
		return 0, nil, fail
	}
	if !p.Modification.Archivable {
		return 0, nil, invalid(fmt.Sprintf("%s cannot be archived", p.Name))
	}
	p.Archived, p.ArchivedAt = true, stamp(c.now)
	delete(c.typ.unique, p.Name)
	for _, r := range c.typ.records {
		if _, set := r.props[p.Name]; set {
			props := map[string]string{}
			for name, v := range r.props {
				if name != p.Name {
					props[name] = v
				}
			}
			s.store(r, props, c.now)
		}
	}
	return http.StatusNoContent, nil, nil
}

func (s *Server) listGroups(c *call) (int, any, *apiError) {
	return http.StatusOK, map[string]any{"results": c.typ.groups}, nil
}

func (s *Server) getGroup(c *call) (int, any, *apiError) {
	if g := c.typ.group(c.PathValue("name")); g != nil {
		return http.StatusOK, g, nil
	}
	return 0, nil, notFound("Property group does not exist")
}

func (s *Server) createGroup(c *call) (int, any, *apiError) {
	var in struct {
		Name         string `json:"name"`
		Label        string `json:"label"`
		DisplayOrder int    `json:"displayOrder"`
	}
	if fail := c.decode(&in); fail != nil {
		return 0, nil, fail
	}
	switch {
	case !propertyName.MatchString(in.Name) || in.Label == "":
		return 0, nil, invalid("A property group needs a label and a name of lower-case letters, digits and underscores")
	case c.typ.group(in.Name) != nil:
		return 0, nil, &apiError{status: http.StatusConflict, Category: "OBJECT_ALREADY_EXISTS", Message: fmt.Sprintf("A property group named '%s' already exists.", in.Name)}
	}
	g := &group{Name: in.Name, Label: in.Label, DisplayOrder: in.DisplayOrder}
	c.typ.groups = append(c.typ.groups, g)
	return http.StatusCreated, g, nil
}
