package salesforce

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/callsync/callsync/crm"
)

// activity is where custom fields of Task and Event are defined.
const activity = "Activity"

// Kinds of setup steps.
const (
	stepProperty   = "property"
	stepPermission = "permission"
)

// What is remembered of whether the org lets a field of Activity be unique.
const (
	memoryUnique   = "salesforce.activity_key_unique"
	uniqueAccepted = "accepted"
	uniqueRefused  = "refused"
)

// Setup implements [crm.Inspector].
func (c *Connector) Setup(ctx context.Context, steps []crm.SetupStep) error {
	defer c.catalog.forget()
	for _, s := range steps {
		var err error
		switch {
		case s.Kind == stepProperty:
			err = c.createField(ctx, s)
		case s.Kind == stepPermission && s.Object == "PermissionSet":
			err = c.assignPermissionSet(ctx)
		case s.Kind == stepPermission:
			err = c.grantField(ctx, s.Object, s.Name)
		default:
			err = fmt.Errorf("salesforce: no setup step of kind %q", s.Kind)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// createField creates a custom field through the Tooling API. A unique field is
// asked for as an external id, then without that, then as plain text, since
// what an org allows on Activity is not documented.
func (c *Connector) createField(ctx context.Context, s crm.SetupStep) error {
	variants := []crm.Property{s.Property}
	external := s.Property.Unique
	if s.Property.Unique {
		plain := s.Property
		plain.Unique = false
		variants = []crm.Property{s.Property, s.Property, plain}
	}
	var err error
	for i, p := range variants {
		metadata, problem := metadataOf(p, external && i == 0)
		if problem != nil {
			return problem
		}
		body := map[string]any{"FullName": s.Object + "." + s.Name, "Metadata": metadata}
		err = c.client.sendJSON(ctx, "create field "+s.Object+"."+s.Name, http.MethodPost, c.client.data("tooling/sobjects/CustomField"), body, nil)
		if already(err) {
			return nil
		}
		if err == nil {
			if s.Object == activity && s.Name == keyField {
				return c.rememberUnique(ctx, p.Unique)
			}
			return nil
		}
		if !disallowed(err) {
			break
		}
	}
	var e *crm.Error
	if errors.As(err, &e) && e.Kind != crm.Transient {
		e.Hint = "creating fields needs the permission Customize Application: run `callsync setup` as a user who has it, or create the field in Setup, Object Manager"
	}
	return err
}

func (c *Connector) rememberUnique(ctx context.Context, unique bool) error {
	if c.settings.Memory == nil {
		return nil
	}
	v := uniqueRefused
	if unique {
		v = uniqueAccepted
	}
	return c.settings.Memory.Set(ctx, memoryUnique, v)
}

// metadataOf is a CustomField's definition (Metadata API Developer Guide,
// "CustomField").
func metadataOf(p crm.Property, externalID bool) (map[string]any, error) {
	label := p.Label
	if label == "" {
		label = strings.ReplaceAll(strings.TrimSuffix(p.Name, "__c"), "_", " ")
	}
	m := map[string]any{"label": label}
	if p.Description != "" {
		m["description"] = p.Description
	}
	switch p.Type {
	case crm.TypeString:
		m["type"], m["length"] = "Text", clamp(p.MaxLen, 1, 255, 255)
		if p.Unique {
			m["unique"], m["caseSensitive"] = true, true
		}
		if externalID {
			m["externalId"] = true
		}
	case crm.TypeText:
		m["type"], m["length"], m["visibleLines"] = "LongTextArea", clamp(p.MaxLen, 256, 131_072, 32_768), 6
	case crm.TypeNumber:
		m["type"], m["precision"], m["scale"] = "Number", 18, 4
	case crm.TypeBool:
		m["type"], m["defaultValue"] = "Checkbox", false
	case crm.TypeDate:
		m["type"] = "Date"
	case crm.TypeDateTime:
		m["type"] = "DateTime"
	case crm.TypeEnum:
		m["type"], m["valueSet"] = "Picklist", valueSet(p)
	default:
		return nil, &crm.Error{
			Kind: crm.Permanent, Op: "create field " + p.Object + "." + p.Name, Property: p.Name,
			Message: "callsync cannot create a field of type " + string(p.Type),
			Hint:    "create it in Salesforce's Setup, or declare another type at " + p.Pos.String(),
		}
	}
	return m, nil
}

func valueSet(p crm.Property) map[string]any {
	values := []map[string]any{}
	for _, o := range p.Options {
		label := o.Label
		if label == "" {
			label = o.Value
		}
		values = append(values, map[string]any{"fullName": o.Value, "label": label, "default": false})
	}
	return map[string]any{
		"restricted":         !p.OpenOptions,
		"valueSetDefinition": map[string]any{"sorted": false, "value": values},
	}
}

func clamp(n, low, high, missing int) int {
	if n <= 0 {
		return missing
	}
	return min(max(n, low), high)
}
