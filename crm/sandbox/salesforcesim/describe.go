package salesforcesim

import "slices"

// soapTypes are describe's soapType for each field type that is no string.
var soapTypes = map[string]string{
	"id": "tns:ID", "reference": "tns:ID", "boolean": "xsd:boolean", "int": "xsd:int",
	"double": "xsd:double", "currency": "xsd:double", "percent": "xsd:double",
	"date": "xsd:date", "datetime": "xsd:dateTime",
}

func (f *field) describe() map[string]any {
	soap := soapTypes[f.Type]
	if soap == "" {
		soap = "xsd:string"
	}
	values := make([]any, 0, len(f.Values))
	for _, v := range f.Values {
		values = append(values, map[string]any{
			"active": true, "defaultValue": v == f.Default, "label": v, "validFor": nil, "value": v,
		})
	}
	var def, rel any
	if b, ok := f.Default.(bool); ok {
		def = b
	}
	if f.Rel != "" {
		rel = f.Rel
	}
	to := f.To
	if to == nil {
		to = []string{}
	}
	filterable := !f.is(unfilterable)
	digits, precision := 0, 0
	switch f.Type {
	case "int":
		digits = 8
	case "double", "currency", "percent":
		precision = 18
	}
	return map[string]any{
		"aggregatable": filterable, "aiPredictionField": false, "autoNumber": false,
		"byteLength": f.Length * 3, "calculated": f.is(calculated), "cascadeDelete": false,
		"caseSensitive": f.is(caseMatters), "createable": f.is(create) && f.editable,
		"custom": f.custom, "defaultValue": def, "defaultedOnCreate": f.is(defaulted),
		"dependentPicklist": false, "deprecatedAndHidden": false, "digits": digits,
		"externalId": f.is(externalID), "filterable": filterable,
		"groupable": filterable && f.Type != "datetime", "htmlFormatted": false,
		"idLookup": f.is(idLookup), "inlineHelpText": nil, "label": f.Label, "length": f.Length,
		"name": f.Name, "nameField": f.is(nameField), "namePointing": len(f.To) > 1,
		"nillable": f.nillable(), "permissionable": f.custom && !f.is(required),
		"picklistValues": values, "polymorphicForeignKey": len(f.To) > 1, "precision": precision,
		"queryByDistance": false, "referenceTo": to, "relationshipName": rel,
		"restrictedPicklist": f.is(restricted), "scale": 0, "soapType": soap,
		"sortable": filterable, "type": f.Type, "unique": f.is(unique),
		"updateable": f.is(update) && f.editable, "writeRequiresMasterRead": false,
	}
}

// nillable says whether a record may have the field empty.
func (f *field) nillable() bool {
	return !f.is(required) && f.Type != "boolean" && f.Type != "id" && !f.is(defaulted)
}

// summary is the object's entry in the global describe.
func (o *object) summary(base string) map[string]any {
	url := base + "/sobjects/" + o.Name
	writable := o.Name != "Organization" && !o.tooling
	return map[string]any{
		"activateable": false, "createable": writable, "custom": false, "customSetting": false,
		"deletable": writable && o.Name != "User", "deprecatedAndHidden": false,
		"feedEnabled": !o.setup, "keyPrefix": o.Prefix, "label": o.Name, "labelPlural": o.Plural,
		"layoutable": !o.setup, "mergeable": o.mergeable(), "mruEnabled": !o.setup, "name": o.Name,
		"queryable": true, "replicateable": true, "retrieveable": true, "searchable": o.searchable(),
		"triggerable": !o.setup, "undeletable": writable && !o.setup, "updateable": writable,
		"urls": map[string]string{
			"sobject": url, "describe": url + "/describe", "rowTemplate": url + "/{ID}",
		},
	}
}

func (o *object) describe(base string) map[string]any {
	d := o.summary(base)
	fields := make([]any, 0, len(o.fields))
	for _, f := range o.fields {
		if f.readable {
			fields = append(fields, f.describe())
		}
	}
	d["fields"] = fields
	d["childRelationships"] = []any{}
	d["recordTypeInfos"] = []any{}
	d["supportedScopes"] = []any{}
	return d
}

func (o *object) mergeable() bool {
	return slices.Contains([]string{"Contact", "Lead", "Account"}, o.Name)
}

func (o *object) searchable() bool {
	return slices.Contains([]string{"Contact", "Lead", "Account", "Opportunity", "Task", "Event", "User"}, o.Name)
}
