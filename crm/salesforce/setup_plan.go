package salesforce

import (
	"context"
	"slices"
	"strings"

	"github.com/callsync/callsync/crm"
)

// SetupPlan implements [crm.Inspector]. A field that describe does not show may
// exist and be hidden, which Setup finds out; so that it can be seen at all, a
// permission set grants it to callsync's user.
func (c *Connector) SetupPlan(ctx context.Context, declared []crm.Property) ([]crm.SetupStep, error) {
	p := &planner{c: c, described: map[string]*description{}}
	for _, object := range keyed {
		if err := p.want(ctx, keyProperty(object)); err != nil {
			return nil, err
		}
	}
	for _, property := range declared {
		key := property.Name == crm.KeyProperty
		if key {
			property = keyProperty(property.Object)
		}
		err := p.want(ctx, property)
		if key && isAbsent(err) {
			continue // `callsync check` says where the mapping names the object
		}
		if err != nil {
			return nil, err
		}
	}
	if len(p.grants) == 0 {
		return p.fields, nil
	}
	assign := crm.SetupStep{
		Kind: stepPermission, Object: "PermissionSet", Name: permissionSet,
		Text: "permission set " + permissionSet + ", assigned to callsync's user",
	}
	return slices.Concat(p.fields, []crm.SetupStep{assign}, p.grants), nil
}

// keyProperty is callsync's own field on an object.
func keyProperty(object string) crm.Property {
	name := keyOf(object)
	return crm.Property{
		Object: object, Name: name, Label: strings.ReplaceAll(strings.TrimSuffix(name, "__c"), "_", " "),
		Type: crm.TypeString, Unique: true, Description: "Written by callsync to recognize its records. Do not edit.",
	}
}

// A planner gathers what an org lacks.
type planner struct {
	c         *Connector
	described map[string]*description // nil for an object the org does not have
	fields    []crm.SetupStep
	grants    []crm.SetupStep
}

// want adds the steps that make a property exist and writable.
func (p *planner) want(ctx context.Context, property crm.Property) error {
	if property.Object == personAccount {
		property.Object = contact // whose custom fields its accounts share
	}
	if !strings.HasSuffix(property.Name, "__c") {
		property.Name += "__c"
	}
	d, err := p.describe(ctx, property.Object)
	if d == nil {
		return err
	}
	f, exists := d.fields[property.Name]
	if !exists {
		add(&p.fields, p.fieldStep(ctx, property))
	}
	if !f.Createable || !f.Updateable {
		add(&p.grants, grantStep(property.Object, property.Name))
	}
	if property.Object != contact {
		return nil
	}
	accounts, err := p.describe(ctx, personAccount)
	if accounts == nil {
		return err
	}
	if f := accounts.fields[property.Name]; !f.Createable || !f.Updateable {
		add(&p.grants, grantStep("Account", strings.TrimSuffix(property.Name, "__c")+personSuffix))
	}
	return nil
}

// describe describes an object once. Both results are nil for one that an org
// may do without.
func (p *planner) describe(ctx context.Context, object string) (*description, error) {
	if d, ok := p.described[object]; ok {
		return d, nil
	}
	d, err := p.c.catalog.fetch(ctx, object)
	if isAbsent(err) && (object == lead || object == event || object == personAccount) {
		d, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	p.described[object] = d
	return d, nil
}

func (p *planner) fieldStep(ctx context.Context, property crm.Property) crm.SetupStep {
	object := parentOf(property.Object)
	text := string(property.Type) + " field " + property.Name + " on " + object
	if property.Unique && !p.c.refusedUnique(ctx, object) {
		text = "unique " + text + ", an external id if the org allows it"
	}
	return crm.SetupStep{Kind: stepProperty, Object: object, Name: property.Name, Text: text, Property: property}
}

func grantStep(object, name string) crm.SetupStep {
	return crm.SetupStep{
		Kind: stepPermission, Object: object, Name: name,
		Text: "let the permission set " + permissionSet + " read and edit " + object + "." + name,
	}
}

// add appends a step unless it is there: Task and Event share their fields.
func add(steps *[]crm.SetupStep, s crm.SetupStep) {
	same := func(o crm.SetupStep) bool { return o.Object == s.Object && o.Name == s.Name }
	if !slices.ContainsFunc(*steps, same) {
		*steps = append(*steps, s)
	}
}

// refusedUnique reports whether the org is known to let no field of object be
// unique.
func (c *Connector) refusedUnique(ctx context.Context, object string) bool {
	if object != activity || c.settings.Memory == nil {
		return false
	}
	v, err := c.settings.Memory.Get(ctx, memoryUnique)
	return err == nil && v == uniqueRefused
}

func parentOf(object string) string {
	if isActivity(object) {
		return activity
	}
	return object
}
