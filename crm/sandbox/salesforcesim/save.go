package salesforcesim

import (
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// A call is one API request at work on the org, whose lock it holds.
type call struct {
	g               *org
	tx              *tx
	base            string // "/services/data/v66.0"
	allowDuplicates bool
	locks           *heldLocks
	// bulkKeys marks unique values that several records of one collection
	// bring: all of those records fail.
	bulkKeys map[string]bool
}

// saved is the outcome of saving one record.
type saved struct {
	id      string
	created bool
	err     *apiError
}

// decode turns a body's fields into stored values. An unknown field or a value
// of the wrong type makes Salesforce refuse the whole request.
func (c *call) decode(o *object, body map[string]any) (map[string]any, *apiError) {
	vals := map[string]any{}
	for _, name := range sortedKeys(body) {
		if name == "attributes" {
			continue
		}
		f := o.field(name)
		if f == nil {
			e := bad("INVALID_FIELD", "No such column '"+name+"' on sobject of type "+o.Name)
			e.wholeRequest = true
			return nil, e
		}
		v, e := f.fromJSON(body[name])
		if e != nil {
			return nil, e
		}
		vals[f.Name] = v
	}
	return vals, nil
}

// create saves a new record.
func (c *call) create(o *object, vals map[string]any) (*row, *apiError) {
	if e := c.writable(o, vals, create); e != nil {
		return nil, e
	}
	for _, f := range o.fields {
		if _, given := vals[f.Name]; !given && f.Default != nil {
			vals[f.Name] = f.Default
		}
	}
	if f := o.byName["ownerid"]; f != nil && vals["OwnerId"] == nil {
		vals["OwnerId"] = c.g.userID
	}
	if e := c.validate(o, nil, vals); e != nil {
		return nil, e
	}
	r := c.g.insert(c.tx, o, vals)
	c.after(r)
	return r, nil
}

// change updates an existing record.
func (c *call) change(r *row, vals map[string]any) *apiError {
	if r.deleted {
		return fail(http.StatusNotFound, "ENTITY_IS_DELETED", "entity is deleted")
	}
	if e := c.writable(r.object, vals, update); e != nil {
		return e
	}
	if e := c.validate(r.object, r, vals); e != nil {
		return e
	}
	c.g.set(c.tx, r, vals)
	c.after(r)
	return nil
}

// remove moves a record into the recycle bin.
func (c *call) remove(r *row) *apiError {
	switch {
	case r.deleted:
		return fail(http.StatusNotFound, "ENTITY_IS_DELETED", "entity is deleted")
	case r.object.Name == "User" || r.object.Name == "Organization":
		return bad("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id")
	}
	if e := c.lock(r.object, r, nil); e != nil {
		return e
	}
	c.g.bin(c.tx, r, true)
	c.after(r)
	return nil
}

// upsert saves by an external id, or by Id.
func (c *call) upsert(o *object, f *field, key any, vals map[string]any) saved {
	matches := o.byValue(f, key)
	switch len(matches) {
	case 0:
		vals[f.Name] = key
		r, e := c.create(o, vals)
		if e != nil {
			return saved{err: e}
		}
		return saved{id: r.id, created: true}
	case 1:
		return saved{id: matches[0].id, err: c.change(matches[0], vals)}
	}
	e := fail(http.StatusMultipleChoices, "DUPLICATE_EXTERNAL_ID", "%s: more than one record found for external id field: [%s]",
		f.Label, strings.Join(ids(matches), ", "))
	for _, r := range matches {
		e.choices = append(e.choices, c.base+"/sobjects/"+o.Name+"/"+r.id)
	}
	return saved{err: e}
}

func ids(rows []*row) []string {
	list := make([]string, len(rows))
	for i, r := range rows {
		list[i] = r.id
	}
	return list
}

// writable refuses fields that may not be written in this way.
func (c *call) writable(o *object, vals map[string]any, op attr) *apiError {
	if o.Name == "Organization" || o.tooling {
		return bad("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "entity type cannot be written: "+o.Name)
	}
	var wrong []string
	for _, f := range o.fields {
		if _, given := vals[f.Name]; given && (!f.is(op) || !f.editable) {
			wrong = append(wrong, f.Name)
		}
	}
	if wrong == nil {
		return nil
	}
	return bad("INVALID_FIELD_FOR_INSERT_UPDATE", "Unable to create/update fields: "+strings.Join(wrong, ", ")+
		". Please check the security settings of this field and verify that it is read/write for your profile or permission set.",
		wrong...)
}

// validate checks a record as it would be after the save, and completes vals
// with what Salesforce derives. r is nil for a new record.
func (c *call) validate(o *object, r *row, vals map[string]any) *apiError {
	if e := c.lock(o, r, vals); e != nil {
		return e
	}
	if r != nil && o.Name == "Lead" && r.flag("IsConverted") {
		return bad("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
	}
	if e := c.checkAll(o, vals); e != nil {
		return e
	}
	if derive := derivations[o.Name]; derive != nil {
		if e := derive(c, draft{r, vals}); e != nil {
			return e
		}
	}
	if e := c.checkRequired(o, r, vals); e != nil {
		return e
	}
	if e := c.checkRefusals(o, draft{r, vals}); e != nil {
		return e
	}
	if e := c.checkDuplicates(o, r, vals); e != nil {
		return e
	}
	return c.checkUnique(o, r, vals)
}

func (c *call) checkAll(o *object, vals map[string]any) *apiError {
	for _, f := range o.fields {
		v, given := vals[f.Name]
		if !given || v == nil {
			continue
		}
		checked, e := c.check(f, v)
		if e == nil && slices.Contains(c.g.settings.RestrictedPicklists, o.Name+"."+f.Name) && !slices.Contains(f.Values, toText(v)) {
			e = bad("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", f.Label+": bad value for restricted picklist field: "+toText(v), f.Name)
		}
		if e != nil {
			return e
		}
		vals[f.Name] = checked
	}
	if id, _ := vals["OwnerId"].(string); id != "" {
		if u := c.g.find(id); u != nil && !u.flag("IsActive") {
			return bad("INACTIVE_OWNER_OR_USER",
				"operation performed with inactive user ["+id+"] as owner of "+strings.ToLower(o.Name))
		}
	}
	return nil
}

func (c *call) checkRequired(o *object, r *row, vals map[string]any) *apiError {
	var missing []string
	for _, f := range o.fields {
		if !f.is(required) && !(f.is(defaulted) && f.is(write)) {
			continue
		}
		if v, given := vals[f.Name]; given && v == nil || !given && r == nil {
			missing = append(missing, f.Name)
		}
	}
	if missing == nil {
		return nil
	}
	return bad("REQUIRED_FIELD_MISSING", "Required fields are missing: ["+strings.Join(missing, ", ")+"]", missing...)
}

// checkRefusals applies the settings' refusals.
func (c *call) checkRefusals(o *object, d draft) *apiError {
	for i, rule := range c.g.settings.Refusals {
		if !strings.EqualFold(rule.Object, o.Name) || rule.Times > 0 && c.g.refusals[i] >= rule.Times {
			continue
		}
		var fields []string
		if rule.Field != "" {
			v := toText(d.value(rule.Field))
			if rule.Contains == "" && v != "" || !strings.Contains(v, rule.Contains) {
				continue
			}
			fields = []string{rule.Field}
		}
		c.g.refusals[i]++
		code, message := rule.Code, rule.Message
		if code == "" {
			code = "FIELD_CUSTOM_VALIDATION_EXCEPTION"
		}
		if message == "" {
			message = faultMessages[code]
		}
		return bad(code, message, fields...)
	}
	return nil
}

// checkDuplicates is the standard duplicate rule, reduced to equal emails.
func (c *call) checkDuplicates(o *object, r *row, vals map[string]any) *apiError {
	if !c.g.settings.DuplicateRules || c.allowDuplicates || r != nil || o.Name != "Contact" && o.Name != "Lead" {
		return nil
	}
	email, _ := vals["Email"].(string)
	if email == "" {
		return nil
	}
	found := o.byValue(o.byName["email"], email)
	if len(found) == 0 {
		return nil
	}
	e := bad("DUPLICATES_DETECTED", "Use one of these records?")
	e.fields = []string{}
	e.duplicates, e.duplicatesName = found, c.g.settings.DuplicateResultName
	return e
}

func (c *call) checkUnique(o *object, r *row, vals map[string]any) *apiError {
	for _, f := range o.fields {
		v := vals[f.Name]
		if !f.is(unique) || v == nil {
			continue
		}
		if c.bulkKeys[bulkKey(o, f, v)] {
			return bad("DUPLICATE_VALUE", "duplicate value found: <unknown> duplicates value on record with id: <unknown>")
		}
		for _, other := range o.byValue(f, v) {
			if other != r {
				return bad("DUPLICATE_VALUE", "duplicate value found: "+f.Name+
					" duplicates value on record with id: "+other.id[:15])
			}
		}
	}
	return nil
}

func bulkKey(o *object, f *field, v any) string { return o.Name + "\x00" + f.Name + "\x00" + f.key(v) }

// after follows up on a save.
func (c *call) after(r *row) {
	switch r.object.Name {
	case "PermissionSet", "PermissionSetAssignment", "FieldPermissions":
		c.g.applySecurity()
		c.tx.settle = append(c.tx.settle, c.g.applySecurity)
	case "Account":
		c.mirrorPerson(r)
	}
}

// A draft is a record as a save would leave it.
type draft struct {
	r    *row
	vals map[string]any
}

func (d draft) value(name string) any {
	if v, given := d.vals[name]; given {
		return v
	}
	if d.r != nil {
		return d.r.vals[name]
	}
	return nil
}

func (d draft) text(name string) string {
	s, _ := d.value(name).(string)
	return s
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// clipRunes cuts s after n characters.
func clipRunes(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n])
}
