package salesforce

import (
	"context"

	"github.com/callsync/callsync/crm"
)

// Schema implements [crm.Inspector]. A field that field-level security hides
// from callsync's user is not in it.
func (c *Connector) Schema(ctx context.Context, object string) (*crm.Schema, error) {
	d, err := c.catalog.fetch(ctx, object)
	if err != nil {
		return nil, err
	}
	s := &crm.Schema{Object: object, Properties: map[string]crm.Property{}}
	for name, f := range d.fields {
		s.Properties[name] = property(object, name, f)
	}
	return s, nil
}

func property(object, name string, f field) crm.Property {
	p := crm.Property{
		Object: object, Name: name, Label: f.Label, Type: neutralType(f.Type),
		Unique:     f.Unique,
		ReadOnly:   !f.Createable && !f.Updateable,
		CreateOnly: f.Createable && !f.Updateable,
		Required:   f.Createable && !f.Nillable && !f.DefaultedOnCreate && f.Type != "boolean",
	}
	switch p.Type {
	case crm.TypeString, crm.TypeText:
		p.MaxLen = f.Length
	case crm.TypeEnum:
		p.OpenOptions = !f.RestrictedPicklist
		for _, v := range f.PicklistValues {
			if v.Active {
				p.Options = append(p.Options, crm.Option{Value: v.Value, Label: v.Label})
			}
		}
	}
	return p
}

func neutralType(t string) crm.PropertyType {
	switch t {
	case "textarea":
		return crm.TypeText
	case "double", "int", "currency", "percent", "long":
		return crm.TypeNumber
	case "boolean":
		return crm.TypeBool
	case "date":
		return crm.TypeDate
	case "datetime":
		return crm.TypeDateTime
	case "picklist", "multipicklist":
		return crm.TypeEnum
	case "reference", "id":
		return crm.TypeRef
	default:
		return crm.TypeString
	}
}
