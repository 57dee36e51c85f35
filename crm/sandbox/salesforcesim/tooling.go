package salesforcesim

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// customFieldIn is a CustomField as the Tooling API takes it.
type customFieldIn struct {
	FullName string `json:"FullName"`
	Metadata struct {
		Label         string `json:"label"`
		Type          string `json:"type"`
		Length        int    `json:"length"`
		Required      bool   `json:"required"`
		Unique        bool   `json:"unique"`
		ExternalID    bool   `json:"externalId"`
		CaseSensitive bool   `json:"caseSensitive"`
		DefaultValue  any    `json:"defaultValue"`
		Precision     *int   `json:"precision"`
		Scale         *int   `json:"scale"`
		VisibleLines  int    `json:"visibleLines"`
		ValueSet      *struct {
			Restricted bool `json:"restricted"`
			Definition struct {
				Value []struct {
					FullName string `json:"fullName"`
					Label    string `json:"label"`
				} `json:"value"`
			} `json:"valueSetDefinition"`
		} `json:"valueSet"`
	} `json:"Metadata"`
}

var validFullName = regexp.MustCompile(`^([A-Za-z]\w*)\.([A-Za-z](?:_?[A-Za-z0-9])*__c)$`)

// customizable lists the objects that may get custom fields. A field of Task
// and Event belongs to their common parent, Activity.
var customizable = map[string][]string{
	"Account": {"Account"}, "Contact": {"Contact"}, "Lead": {"Lead"},
	"Opportunity": {"Opportunity"}, "User": {"User"}, "Activity": {"Task", "Event"},
}

func (s *Server) createCustomField(w http.ResponseWriter, r *http.Request, c *call, _ []string) {
	var in customFieldIn
	if e := decodeJSON(r.Body, &in); e != nil {
		refuse(w, e)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := validFullName.FindStringSubmatch(in.FullName)
	if m == nil {
		refuse(w, bad("FIELD_INTEGRITY_EXCEPTION", "Custom field name is malformed: "+in.FullName, "FullName"))
		return
	}
	objects := customizable[m[1]]
	if objects == nil {
		refuse(w, bad("INVALID_CROSS_REFERENCE_KEY", "Entity Enumeration Or ID: bad value for restricted picklist field: "+m[1], "FullName"))
		return
	}
	if e := c.checkCustomField(m[1], m[2], objects, in); e != nil {
		refuse(w, e)
		return
	}
	made := c.g.insert(c.tx, c.g.object("CustomField"), map[string]any{
		"DeveloperName": strings.TrimSuffix(m[2], "__c"), "TableEnumOrId": m[1], "FullName": in.FullName,
	})
	for _, name := range objects {
		c.g.object(name).add(in.field(m[2]))
	}
	c.g.applySecurity()
	answer(w, http.StatusCreated, map[string]any{
		"id": made.id, "success": true, "errors": []any{}, "warnings": []any{}, "infos": []any{},
	})
}

func (c *call) checkCustomField(parent, name string, objects []string, in customFieldIn) *apiError {
	md := in.Metadata
	if c.g.object(objects[0]).byName[strings.ToLower(name)] != nil {
		return bad("DUPLICATE_DEVELOPER_NAME", "There is already a field named "+strings.TrimSuffix(name, "__c")+" on "+parent+".", "DeveloperName")
	}
	if md.Label == "" || md.Type == "" {
		return bad("REQUIRED_FIELD_MISSING", "Required fields are missing: [label, type]", "Metadata")
	}
	keyable := slices.Contains([]string{"Text", "Number", "Email"}, md.Type)
	switch {
	case toolingTypes[md.Type] == "":
		return bad("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "Field type is not known: "+md.Type, "Metadata")
	case md.Type == "Text" && (md.Length < 1 || md.Length > 255):
		return bad("FIELD_INTEGRITY_EXCEPTION", "Text fields must have a length between 1 and 255", "Metadata")
	case md.Type == "LongTextArea" && (md.Length < 256 || md.Length > 131072 || md.VisibleLines < 2):
		return bad("FIELD_INTEGRITY_EXCEPTION", "Long text area fields need a length of 256 to 131,072 and visibleLines", "Metadata")
	case md.Type == "Number" && (md.Precision == nil || md.Scale == nil):
		return bad("FIELD_INTEGRITY_EXCEPTION", "Number fields need precision and scale", "Metadata")
	case md.Type == "Checkbox" && md.DefaultValue == nil:
		return bad("FIELD_INTEGRITY_EXCEPTION", "Checkbox fields need a defaultValue", "Metadata")
	case md.Type == "Picklist" && md.ValueSet == nil:
		return bad("FIELD_INTEGRITY_EXCEPTION", "Picklist fields need a valueSet", "Metadata")
	case (md.Unique || md.ExternalID) && !keyable:
		return bad("FIELD_INTEGRITY_EXCEPTION", "A field of this type cannot be unique or an external ID", "Metadata")
	case parent == "Activity" && md.ExternalID && !c.g.settings.ActivityExternalID:
		return bad("FIELD_INTEGRITY_EXCEPTION", "Activity fields cannot be External ID", "Metadata")
	case parent == "Activity" && md.Unique && !c.g.settings.ActivityUnique:
		return bad("FIELD_INTEGRITY_EXCEPTION", "Activity fields cannot be unique", "Metadata")
	}
	return nil
}

// toolingTypes maps the Metadata API's field types to describe's.
var toolingTypes = map[string]string{
	"Text": "string", "Number": "double", "Checkbox": "boolean", "Date": "date",
	"DateTime": "datetime", "Email": "email", "Phone": "phone", "Url": "url",
	"TextArea": "textarea", "LongTextArea": "textarea", "Picklist": "picklist",
}

// field makes the field that the metadata describes.
func (in customFieldIn) field(name string) *field {
	md := in.Metadata
	f := &field{Name: name, Label: md.Label, Type: toolingTypes[md.Type], Length: md.Length, attrs: write, custom: true}
	for want, a := range map[attr]bool{unique: md.Unique, externalID: md.ExternalID, required: md.Required, caseMatters: md.CaseSensitive && md.Unique} {
		if a {
			f.attrs |= want
		}
	}
	if md.ExternalID {
		f.attrs |= idLookup
	}
	switch md.Type {
	case "Checkbox":
		f.attrs |= defaulted
		f.Default = md.DefaultValue == true || md.DefaultValue == "true"
	case "TextArea", "Url":
		f.Length = 255
	case "Email":
		f.Length = 80
	case "Phone":
		f.Length = 40
	case "LongTextArea":
		f.attrs |= unfilterable
	case "Picklist":
		f.Length = 255
		for _, v := range md.ValueSet.Definition.Value {
			f.Values = append(f.Values, v.FullName)
		}
		if md.ValueSet.Restricted {
			f.attrs |= restricted
		}
	}
	return f
}

// customField finds a custom field's record and its columns.
func (g *org) customField(id string) (*row, []*object) {
	full, _ := canonicalID(id)
	r := g.object("CustomField").live[full]
	if r == nil || r.deleted {
		return nil, nil
	}
	var on []*object
	for _, name := range customizable[r.text("TableEnumOrId")] {
		on = append(on, g.object(name))
	}
	return r, on
}

func fieldOf(o *object, r *row) *field {
	return o.byName[strings.ToLower(r.text("DeveloperName")+"__c")]
}

func (s *Server) readCustomField(w http.ResponseWriter, _ *http.Request, c *call, parts []string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, on := c.g.customField(parts[3])
	if r == nil {
		refuse(w, errNotFound)
		return
	}
	f := fieldOf(on[0], r)
	rec := c.record(r, r.object.fields)
	rec["Metadata"] = map[string]any{
		"label": f.Label, "length": f.Length, "unique": f.is(unique), "externalId": f.is(externalID),
		"required": f.is(required), "caseSensitive": f.is(caseMatters),
	}
	answer(w, http.StatusOK, rec)
}

// updateCustomField changes whether a field is unique or an external id, and
// its label.
func (s *Server) updateCustomField(w http.ResponseWriter, r *http.Request, c *call, parts []string) {
	var in customFieldIn
	if e := decodeJSON(r.Body, &in); e != nil {
		refuse(w, e)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rec, on := c.g.customField(parts[3])
	if rec == nil {
		refuse(w, errNotFound)
		return
	}
	parent := rec.text("TableEnumOrId")
	in.FullName = rec.text("FullName")
	if e := c.checkCustomField(parent, "no_such_field__c", customizable[parent], in); e != nil {
		refuse(w, e)
		return
	}
	for _, o := range on {
		have, want := fieldOf(o, rec), in.field(rec.text("DeveloperName")+"__c")
		if want.is(unique) && !have.is(unique) && o.doubles(have) {
			refuse(w, bad("DUPLICATE_VALUE", "the field has duplicate values, so it cannot be made unique"))
			return
		}
	}
	for _, o := range on {
		have, want := fieldOf(o, rec), in.field(rec.text("DeveloperName")+"__c")
		have.attrs, have.Label = want.attrs, want.Label
		have.Length = max(have.Length, want.Length)
		o.rebuild(have)
	}
	c.g.applySecurity()
	w.WriteHeader(http.StatusNoContent)
}

// doubles says whether two records share a value of f.
func (o *object) doubles(f *field) bool {
	seen := map[string]bool{}
	for _, r := range o.rows {
		if v := r.vals[f.Name]; v != nil && !r.deleted {
			if seen[f.key(v)] {
				return true
			}
			seen[f.key(v)] = true
		}
	}
	return false
}

// rebuild makes the index of a field anew.
func (o *object) rebuild(f *field) {
	delete(o.index, f.Name)
	if !f.indexed() {
		return
	}
	o.index[f.Name] = map[string][]*row{}
	for _, r := range o.rows {
		o.reindex(f, r, nil, r.vals[f.Name])
	}
}

func (s *Server) deleteCustomField(w http.ResponseWriter, _ *http.Request, c *call, parts []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec, on := c.g.customField(parts[3])
	if rec == nil {
		refuse(w, errNotFound)
		return
	}
	for _, o := range on {
		f := fieldOf(o, rec)
		o.fields = slices.DeleteFunc(o.fields, func(x *field) bool { return x == f })
		delete(o.byName, strings.ToLower(f.Name))
		delete(o.index, f.Name)
		for _, r := range o.rows {
			delete(r.vals, f.Name)
		}
		for _, p := range c.g.object("FieldPermissions").rows {
			if !p.deleted && p.text("Field") == o.Name+"."+f.Name {
				c.g.bin(c.tx, p, true)
			}
		}
	}
	c.g.bin(c.tx, rec, true)
	c.g.applySecurity()
	w.WriteHeader(http.StatusNoContent)
}
