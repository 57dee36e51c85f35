package salesforcesim

import (
	"slices"
	"strings"
)

// attr is a set of what a field allows.
type attr uint16

const (
	create attr = 1 << iota
	update
	required     // not nillable and without a default
	defaulted    // defaultedOnCreate
	externalID   // External ID: upsert by it
	unique       // no second record with the value
	caseMatters  // caseSensitive, for unique fields
	idLookup     // describe's idLookup
	restricted   // restrictedPicklist
	unfilterable // long text
	nameField
	calculated

	write = create | update
)

// A field is one column of an object.
type field struct {
	Name    string
	Label   string
	Type    string // as describe spells it: "string", "reference", "datetime"
	Length  int    // in characters; 0 where a type has none
	attrs   attr
	To      []string // objects a reference points to
	Rel     string   // relationshipName: "Owner" for OwnerId
	Values  []string // picklist values
	Default any      // given to a new record that names no value

	// custom is set for fields created through the Tooling API, which nobody
	// may see until a permission set grants it.
	custom   bool
	readable bool
	editable bool
}

func (f *field) is(a attr) bool { return f.attrs&a != 0 }

// numeric types keep float64 values.
func (f *field) numeric() bool {
	return f.Type == "int" || f.Type == "double" || f.Type == "currency" || f.Type == "percent"
}

// indexed says whether equal values can be found without a scan.
func (f *field) indexed() bool {
	return f.Type == "reference" || f.Type == "email" || f.Type == "phone" ||
		f.is(externalID|unique|nameField) || f.custom && f.Type == "string"
}

// key is the form in which two values of the field are equal.
func (f *field) key(v any) string {
	s, ok := v.(string)
	if !ok || f.Type == "reference" || f.Type == "id" || f.is(caseMatters) {
		return toText(v)
	}
	return strings.ToLower(s)
}

// An object is one sObject type.
type object struct {
	Name    string
	Plural  string
	Prefix  string // first three characters of its ids
	setup   bool   // belongs to Setup: no mixing with other types in one request
	tooling bool   // reachable below /tooling only
	fields  []*field
	byName  map[string]*field // lower-cased

	rows  []*row
	live  map[string]*row // by 18-character id, deleted ones too
	index map[string]map[string][]*row
	last  int
}

func newObject(name, plural, prefix string, fields ...*field) *object {
	o := &object{
		Name: name, Plural: plural, Prefix: prefix,
		byName: map[string]*field{},
		live:   map[string]*row{},
		index:  map[string]map[string][]*row{},
	}
	for _, f := range systemFields() {
		o.add(f)
	}
	for _, f := range fields {
		o.add(f)
	}
	return o
}

func (o *object) add(f *field) {
	if f.Label == "" {
		f.Label = labelOf(f)
	}
	o.fields = append(o.fields, f)
	o.byName[strings.ToLower(f.Name)] = f
	if f.indexed() {
		o.index[f.Name] = map[string][]*row{}
	}
}

// field finds a field the user may see by its name in any case.
func (o *object) field(name string) *field {
	f := o.byName[strings.ToLower(name)]
	if f == nil || !f.readable {
		return nil
	}
	return f
}

// relation finds the reference field behind a relationship name.
func (o *object) relation(name string) *field {
	for _, f := range o.fields {
		if f.Rel != "" && f.readable && strings.EqualFold(f.Rel, name) {
			return f
		}
	}
	return nil
}

// labelOf makes "Owner ID" of OwnerId, as error messages name fields.
func labelOf(f *field) string {
	name := strings.TrimSuffix(f.Name, "__c")
	var b strings.Builder
	for i, r := range name {
		if i > 0 && r >= 'A' && r <= 'Z' && (name[i-1] < 'A' || name[i-1] > 'Z') {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	label := b.String()
	if f.Type == "reference" && strings.HasSuffix(label, " Id") {
		label = strings.TrimSuffix(label, " Id") + " ID"
	}
	return strings.ReplaceAll(label, "_", " ")
}

func text(name string, length int, a attr) *field {
	return &field{Name: name, Type: "string", Length: length, attrs: a}
}

func longText(name string, length int, a attr) *field {
	return &field{Name: name, Type: "textarea", Length: length, attrs: a | unfilterable}
}

func phone(name string) *field { return &field{Name: name, Type: "phone", Length: 40, attrs: write} }

func email(name string, a attr) *field {
	return &field{Name: name, Type: "email", Length: 80, attrs: a}
}

func boolean(name string, a attr) *field {
	return &field{Name: name, Type: "boolean", attrs: a | defaulted, Default: false}
}

func typed(name, typ string, a attr) *field { return &field{Name: name, Type: typ, attrs: a} }

func reference(name, rel string, a attr, to ...string) *field {
	return &field{Name: name, Type: "reference", Length: 18, attrs: a, Rel: rel, To: to}
}

// owner is OwnerId, which falls to whoever creates the record.
func owner(label string) *field {
	f := reference("OwnerId", "Owner", write|defaulted, "User")
	f.Label = label
	return f
}

func picklist(name string, a attr, def any, values ...string) *field {
	return &field{Name: name, Type: "picklist", Length: 255, attrs: a, Values: values, Default: def}
}

func labelled(label string, f *field) *field {
	f.Label = label
	return f
}

func systemFields() []*field {
	return []*field{
		{Name: "Id", Label: "Record ID", Type: "id", Length: 18, attrs: defaulted | idLookup},
		boolean("IsDeleted", 0),
		typed("CreatedDate", "datetime", defaulted),
		reference("CreatedById", "CreatedBy", defaulted, "User"),
		typed("LastModifiedDate", "datetime", defaulted),
		reference("LastModifiedById", "LastModifiedBy", defaulted, "User"),
		typed("SystemModstamp", "datetime", defaulted),
	}
}

// applySecurity sets what the integration user may read and edit: standard
// fields unless a setting takes them away, custom ones by permission set.
func (g *org) applySecurity() {
	granted := g.grants()
	for _, o := range g.objects {
		for _, f := range o.fields {
			name := o.Name + "." + f.Name
			f.readable = !slices.Contains(g.settings.HiddenFields, name)
			f.editable = f.readable && !slices.Contains(g.settings.ReadOnlyFields, name)
			if f.custom && !f.is(required) {
				f.readable = f.readable && granted[name].read
				f.editable = f.editable && granted[name].edit
			}
			if o.personOnly(f) {
				f.readable = f.readable && g.settings.PersonAccounts
				f.editable = f.editable && g.settings.PersonAccounts
			}
		}
	}
}

// personOnly says whether a field exists only where person accounts do.
func (o *object) personOnly(f *field) bool {
	return strings.HasPrefix(f.Name, "Person") || f.Name == "IsPersonAccount" ||
		o.Name == "Account" && (f.Name == "FirstName" || f.Name == "LastName")
}

type grant struct{ read, edit bool }

// grants reads the FieldPermissions of the permission sets that the
// integration user is assigned.
func (g *org) grants() map[string]grant {
	mine := map[string]bool{}
	for _, r := range g.object("PermissionSetAssignment").rows {
		if !r.deleted && r.text("AssigneeId") == g.userID {
			mine[r.text("PermissionSetId")] = true
		}
	}
	granted := map[string]grant{}
	for _, r := range g.object("FieldPermissions").rows {
		if r.deleted || !mine[r.text("ParentId")] {
			continue
		}
		have := granted[r.text("Field")]
		read, _ := r.vals["PermissionsRead"].(bool)
		edit, _ := r.vals["PermissionsEdit"].(bool)
		granted[r.text("Field")] = grant{have.read || read, have.edit || edit}
	}
	return granted
}
