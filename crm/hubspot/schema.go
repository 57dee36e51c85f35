package hubspot

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/callsync/callsync/crm"
)

// A definition is a property as HubSpot's properties API describes it.
type definition struct {
	Name        string       `json:"name"`
	Label       string       `json:"label"`
	Type        string       `json:"type"`
	FieldType   string       `json:"fieldType"`
	GroupName   string       `json:"groupName,omitempty"`
	Description string       `json:"description,omitempty"`
	Options     []optionWire `json:"options,omitempty"`
	Unique      bool         `json:"hasUniqueValue"`

	// HubSpot fills in what follows.
	ExternalOptions  bool   `json:"externalOptions,omitempty"`
	ReferencedObject string `json:"referencedObjectType,omitempty"`
	Calculated       bool   `json:"calculated,omitempty"`
	Archived         bool   `json:"archived,omitempty"`
	Modification     struct {
		ReadOnlyValue bool `json:"readOnlyValue"`
	} `json:"modificationMetadata,omitzero"`
}

type optionWire struct {
	Label string `json:"label"`
	Value string `json:"value"`
}

// activities are the object types whose hs_timestamp is required when a record
// is created (HubSpot's engagements guides); the properties API does not say so.
var activities = []string{"calls", "meetings", "tasks", "notes"}

// Schema describes an object type from HubSpot's properties API.
func (p *Portal) Schema(ctx context.Context, object string) (*crm.Schema, error) {
	definitions, err := p.definitions(ctx, object)
	if err != nil {
		return nil, err
	}
	s := &crm.Schema{Object: object, Properties: map[string]crm.Property{}}
	for _, d := range definitions {
		s.Properties[d.Name] = d.property(object)
	}
	return s, nil
}

func (p *Portal) definitions(ctx context.Context, object string) ([]definition, error) {
	var list struct {
		Results []definition `json:"results"`
	}
	_, err := p.do(ctx, request{op: object + " properties list", method: http.MethodGet, path: p.paths.properties + object}, &list)
	var e *crm.Error
	if errors.As(err, &e) && (e.Status == http.StatusNotFound || e.Kind == crm.Permanent) {
		e.Kind = crm.Permanent
		e.Hint = "HubSpot's object types are named in the plural: contacts, calls, meetings, tasks, notes"
	}
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Results, func(d definition) bool { return d.Archived }), nil
}

func (d definition) property(object string) crm.Property {
	p := crm.Property{
		Object:      object,
		Name:        d.Name,
		Label:       d.Label,
		Description: d.Description,
		Type:        d.neutral(),
		Unique:      d.Unique || object == contacts && d.Name == emailProperty,
		ReadOnly:    d.Modification.ReadOnlyValue || d.Calculated,
		Required:    d.Name == "hs_timestamp" && slices.Contains(activities, object),
		// Several options of a checkbox property travel as one value, joined by
		// semicolons.
		OpenOptions: d.ExternalOptions || d.FieldType == "checkbox",
	}
	switch p.Type {
	case crm.TypeString, crm.TypeText:
		p.MaxLen = maxText
	case crm.TypeEnum:
		for _, o := range d.Options {
			p.Options = append(p.Options, crm.Option{Value: o.Value, Label: o.Label})
		}
	}
	return p
}

func (d definition) neutral() crm.PropertyType {
	switch d.Type {
	case "bool":
		return crm.TypeBool
	case "number":
		return crm.TypeNumber
	case "date":
		return crm.TypeDate
	case "datetime":
		return crm.TypeDateTime
	case "enumeration":
		switch {
		case d.FieldType == "booleancheckbox":
			return crm.TypeBool
		case d.ReferencedObject != "", d.Name == "hubspot_owner_id":
			return crm.TypeRef
		}
		return crm.TypeEnum
	}
	if d.FieldType == "textarea" || d.FieldType == "html" {
		return crm.TypeText
	}
	return crm.TypeString
}

// define is the reverse: what to send to create a property.
func define(p crm.Property) definition {
	d := definition{Name: p.Name, Label: p.Label, Description: p.Description, GroupName: groupName, Unique: p.Unique}
	if d.Label == "" {
		d.Label = p.Name
	}
	for _, o := range p.Options {
		label := o.Label
		if label == "" {
			label = o.Value
		}
		d.Options = append(d.Options, optionWire{Label: label, Value: o.Value})
	}
	switch p.Type {
	case crm.TypeNumber:
		d.Type, d.FieldType = "number", "number"
	case crm.TypeBool:
		d.Type, d.FieldType = "bool", "booleancheckbox"
		d.Options = []optionWire{{"Yes", "true"}, {"No", "false"}}
	case crm.TypeDate:
		d.Type, d.FieldType = "date", "date"
	case crm.TypeDateTime:
		d.Type, d.FieldType = "datetime", "date"
	case crm.TypeEnum:
		d.Type, d.FieldType = "enumeration", "select"
	case crm.TypeText:
		d.Type, d.FieldType = "string", "textarea"
	default:
		d.Type, d.FieldType = "string", "text"
	}
	return d
}
