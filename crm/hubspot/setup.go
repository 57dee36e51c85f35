package hubspot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/callsync/callsync/crm"
)

// groupName is the property group that holds what callsync creates.
const groupName = "callsync"

// SetupPlan lists the property groups and properties that the portal lacks:
// callsync's keys on contacts, calls, meetings and tasks, and on every further
// type that declared names, and the declared properties themselves.
func (p *Portal) SetupPlan(ctx context.Context, declared []crm.Property) ([]crm.SetupStep, error) {
	mark := p.account.mark()
	p.reconsider(ctx)
	if err := p.confirm(ctx, mark); err != nil { // who asks for this wants to know
		return nil, err
	}
	objects := slices.Clone(keyed)
	for _, d := range declared {
		if !slices.Contains(objects, d.Object) {
			objects = append(objects, d.Object)
		}
	}
	var steps []crm.SetupStep
	for _, object := range objects {
		missing, err := p.missing(ctx, object, declared)
		if crm.KindOf(err) == crm.Permanent && wantsOnlyKey(object, declared) {
			continue // there is no such type: `callsync check` says where the mapping names it
		}
		if err != nil {
			return nil, err
		}
		if len(missing) == 0 {
			continue
		}
		groups, err := p.groups(ctx, object)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(groups, groupName) {
			steps = append(steps, crm.SetupStep{Kind: "group", Object: object, Name: groupName, Text: fmt.Sprintf("property group %s on %s", groupName, object)})
		}
		for _, d := range missing {
			steps = append(steps, crm.SetupStep{Kind: "property", Object: object, Name: d.Name, Text: describeProperty(d), Property: d})
		}
	}
	return steps, nil
}

// wantsOnlyKey reports whether nothing but the key is declared of an object type
// that callsync itself can do without.
func wantsOnlyKey(object string, declared []crm.Property) bool {
	return !slices.Contains(keyed, object) && !slices.ContainsFunc(declared, func(d crm.Property) bool {
		return d.Object == object && d.Name != crm.KeyProperty
	})
}

// missing returns the wanted properties that an object type does not have.
func (p *Portal) missing(ctx context.Context, object string, declared []crm.Property) ([]crm.Property, error) {
	definitions, err := p.definitions(ctx, object)
	if err != nil {
		return nil, err
	}
	there := map[string]bool{}
	for _, d := range definitions {
		there[d.Name] = true
	}
	key, err := p.keyDefinition(ctx, object)
	if err != nil {
		return nil, err
	}
	var out []crm.Property
	for _, d := range append([]crm.Property{key}, declared...) {
		if d.Name == crm.KeyProperty && d.Name != key.Name {
			continue // the type's key has another name
		}
		if d.Object == object && !there[d.Name] {
			if d.Name == key.Name {
				p.account.lacks(object)
			}
			there[d.Name] = true
			out = append(out, d)
		}
	}
	return out, nil
}

// keyDefinition describes callsync's key property: unique, unless the portal is
// known to refuse that on this type.
func (p *Portal) keyDefinition(ctx context.Context, object string) (crm.Property, error) {
	answer, err := p.recall(ctx, object)
	return crm.Property{
		Object: object, Name: keyProperty(object), Label: "callsync key", Type: crm.TypeString, Unique: answer != refusedUnique,
		Description: "Identifies this record for callsync. Do not edit.",
	}, err
}

func describeProperty(d crm.Property) string {
	kind := string(d.Type)
	if d.Unique {
		kind = "unique " + kind
	}
	return fmt.Sprintf("%s property %s on %s", kind, d.Name, d.Object)
}

// groups names the property groups of an object type.
func (p *Portal) groups(ctx context.Context, object string) ([]string, error) {
	var list struct {
		Results []struct {
			Name     string `json:"name"`
			Archived bool   `json:"archived"`
		} `json:"results"`
	}
	if _, err := p.do(ctx, request{op: object + " groups list", method: http.MethodGet, path: p.paths.properties + object + "/groups"}, &list); err != nil {
		return nil, err
	}
	var names []string
	for _, g := range list.Results {
		if !g.Archived {
			names = append(names, g.Name)
		}
	}
	return names, nil
}

// Setup creates what a plan lists. A unique property that the portal refuses is
// created as a plain one, and the refusal is remembered.
func (p *Portal) Setup(ctx context.Context, steps []crm.SetupStep) error {
	p.reconsider(ctx)
	for _, s := range steps {
		var err error
		switch s.Kind {
		case "group":
			err = p.createGroup(ctx, s.Object)
		case "property":
			err = p.createAsAllowed(ctx, s)
		default:
			err = &crm.Error{Kind: crm.Permanent, Op: "setup", Message: fmt.Sprintf("a step of kind %q does not belong to HubSpot", s.Kind)}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *Portal) createGroup(ctx context.Context, object string) error {
	_, err := p.do(ctx, request{
		op: object + " groups create", method: http.MethodPost, path: p.paths.properties + object + "/groups",
		body: map[string]any{"name": groupName, "label": "callsync", "displayOrder": -1},
	}, nil)
	return unlessThere(err)
}

// createAsAllowed creates a property as a step describes it, or a plain one where
// the portal refuses a unique one.
func (p *Portal) createAsAllowed(ctx context.Context, s crm.SetupStep) error {
	d := define(s.Property)
	err := p.createProperty(ctx, s.Object, d)
	if err != nil && d.Unique && crm.KindOf(err) == crm.Permanent {
		d.Unique = false
		if p.createProperty(ctx, s.Object, d) != nil {
			return err // it was not about being unique
		}
		p.log.Warn("the portal does not take a unique property; a plain one was created", "object", s.Object, "property", d.Name, "reason", err)
		err = p.remember(ctx, s.Object, refusedUnique)
	}
	p.keys.forget(s.Object)
	return err
}

func (p *Portal) createProperty(ctx context.Context, object string, d definition) error {
	_, err := p.do(ctx, request{op: object + " properties create", method: http.MethodPost, path: p.paths.properties + object, body: d}, nil)
	return unlessThere(err)
}

// unlessThere drops the error that says the thing exists already.
func unlessThere(err error) error {
	var e *crm.Error
	if errors.As(err, &e) && e.Status == http.StatusConflict {
		return nil
	}
	return err
}

// What is remembered about unique properties on an object type.
const (
	takesUnique   = "yes"
	refusedUnique = "no"
)

func memoryName(object string) string { return "hubspot unique properties on " + object }

func (p *Portal) recall(ctx context.Context, object string) (string, error) {
	if p.settings.Memory == nil {
		return "", nil
	}
	return p.settings.Memory.Get(ctx, memoryName(object))
}

func (p *Portal) remember(ctx context.Context, object, answer string) error {
	if p.settings.Memory == nil {
		return nil
	}
	return p.settings.Memory.Set(ctx, memoryName(object), answer)
}
