package salesforcesim_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/callsync/callsync/crm/sandbox/salesforcesim"
)

// describeField returns a field of an object's describe, or nil.
func (o *org) describeField(object, name string) any {
	o.t.Helper()
	for _, f := range o.ok("GET", "sobjects/"+object+"/describe", nil).at("fields").([]any) {
		if at(f, "name") == name {
			return f
		}
	}
	return nil
}

func TestDescribe(t *testing.T) {
	o := newOrg(t)
	for _, tc := range []struct {
		object, field string
		want          m
	}{
		{"Contact", "LastName", m{"type": "string", "length": 80.0, "nillable": false, "createable": true, "updateable": true, "defaultedOnCreate": false}},
		{"Contact", "Name", m{"nameField": true, "createable": false, "updateable": false}},
		{"Contact", "Email", m{"type": "email", "idLookup": true, "externalId": false, "unique": false}},
		{"Contact", "AccountId", m{"type": "reference", "relationshipName": "Account", "nillable": true}},
		{"Contact", "DoNotCall", m{"type": "boolean", "defaultedOnCreate": true, "defaultValue": false, "soapType": "xsd:boolean"}},
		{"Lead", "Company", m{"nillable": false}},
		{"Lead", "IsConverted", m{"updateable": false}},
		{"Task", "TaskSubtype", m{"createable": true, "updateable": false, "restrictedPicklist": true}},
		{"Task", "CallType", m{"restrictedPicklist": true}},
		{"Task", "Status", m{"restrictedPicklist": false, "defaultedOnCreate": true}},
		{"Task", "Description", m{"type": "textarea", "length": 32000.0, "filterable": false}},
		{"Task", "WhoId", m{"polymorphicForeignKey": true, "namePointing": true}},
		{"Task", "CallDurationInSeconds", m{"type": "int"}},
		{"Event", "StartDateTime", m{"type": "datetime", "soapType": "xsd:dateTime"}},
		{"User", "IsActive", m{"type": "boolean"}},
	} {
		f := o.describeField(tc.object, tc.field)
		for k, want := range tc.want {
			if at(f, k) != want {
				t.Errorf("%s.%s: %s is %v; want %v", tc.object, tc.field, k, at(f, k), want)
			}
		}
	}
	status := o.describeField("Task", "Status")
	if at(status, "picklistValues", 2, "value") != "Completed" || at(status, "picklistValues", 0, "defaultValue") != true {
		t.Errorf("Task.Status: %v", at(status, "picklistValues"))
	}
	global := o.ok("GET", "sobjects", nil)
	names := columnOf(global.at("sobjects"), "name")
	for _, want := range []string{"Contact", "Lead", "Account", "Opportunity", "Task", "Event", "User"} {
		if !slices.Contains(names, want) {
			t.Errorf("the global describe lacks %s", want)
		}
	}
	if got := o.ok("GET", "sobjects/contact", nil); got.at("objectDescribe", "keyPrefix") != "003" {
		t.Errorf("basic information: %s", got.raw)
	}
	o.refused(404, "NOT_FOUND", "GET", "sobjects/CustomField/describe", nil)
}

func TestCustomFieldOnActivity(t *testing.T) {
	o := newOrg(t)
	made := o.ok("POST", "tooling/sobjects/CustomField", m{"FullName": "Activity.callsync_key__c", "Metadata": keyField("callsync key")})
	if made.status != 201 || made.at("success") != true || !strings.HasPrefix(made.at("id").(string), "00N") {
		t.Fatalf("create: %d %s", made.status, made.raw)
	}
	o.refused(400, "DUPLICATE_DEVELOPER_NAME", "POST", "tooling/sobjects/CustomField", m{"FullName": "Activity.callsync_key__c", "Metadata": keyField("again")})
	if got := o.ok("GET", "tooling/query?q=SELECT+Id,FullName+FROM+CustomField+WHERE+DeveloperName='callsync_key'", nil); got.at("records", 0, "FullName") != "Activity.callsync_key__c" {
		t.Errorf("tooling query: %s", got.raw)
	}
	// Without field-level security nobody sees the field.
	if f := o.describeField("Task", "callsync_key__c"); f != nil {
		t.Errorf("describe shows %v before it is granted", f)
	}
	o.refused(400, "INVALID_FIELD", "POST", "sobjects/Task", m{"callsync_key__c": "k"})
	o.refused(400, "INVALID_FIELD", "GET", "query?q=SELECT+callsync_key__c+FROM+Task", nil)
	o.refused(404, "NOT_FOUND", "PATCH", "sobjects/Task/callsync_key__c/k", m{})

	set := o.create("PermissionSet", m{"Name": "callsync", "Label": "callsync"})
	readOnly := o.create("FieldPermissions", m{"ParentId": set, "SobjectType": "Task", "Field": "Task.callsync_key__c", "PermissionsRead": true})
	if f := o.describeField("Task", "callsync_key__c"); f != nil {
		t.Error("a permission set that is assigned to nobody shows the field")
	}
	o.create("PermissionSetAssignment", m{"PermissionSetId": set, "AssigneeId": o.sim.UserID()})
	grants := records("FieldPermissions",
		m{"ParentId": set, "SobjectType": "Event", "Field": "Event.callsync_key__c", "PermissionsRead": true}, m{"ParentId": set})
	o.ok("POST", "composite/sobjects", m{"allOrNone": true, "records": grants})
	if f := o.describeField("Event", "callsync_key__c"); f != nil {
		t.Error("a grant that was rolled back shows the field")
	}
	f := o.describeField("Task", "callsync_key__c")
	for k, want := range map[string]any{"externalId": true, "unique": true, "idLookup": true, "custom": true, "createable": false, "updateable": false, "length": 255.0, "label": "callsync key"} {
		if at(f, k) != want {
			t.Errorf("%s is %v; want %v", k, at(f, k), want)
		}
	}
	o.refused(400, "INVALID_FIELD_FOR_INSERT_UPDATE", "POST", "sobjects/Task", m{"callsync_key__c": "k"})
	o.ok("PATCH", "sobjects/FieldPermissions/"+readOnly, m{"PermissionsEdit": true})
	if made := o.ok("PATCH", "sobjects/Task/callsync_key__c/call.1%23call", m{"Subject": "Call"}); made.status != 201 {
		t.Errorf("upsert: %d", made.status)
	}
	if f := o.describeField("Event", "callsync_key__c"); f != nil {
		t.Error("the grant on Task shows the field on Event")
	}
	o.create("FieldPermissions", m{"ParentId": set, "SobjectType": "Event", "Field": "Event.callsync_key__c", "PermissionsRead": true, "PermissionsEdit": true})
	if f := o.describeField("Event", "callsync_key__c"); at(f, "createable") != true {
		t.Errorf("the field on Event: %v", f)
	}
	o.refused(400, "DUPLICATE_VALUE", "POST", "sobjects/FieldPermissions", m{"ParentId": set, "SobjectType": "Event", "Field": "Event.callsync_key__c", "PermissionsRead": true})
	o.refused(400, "DUPLICATE_VALUE", "POST", "sobjects/PermissionSetAssignment", m{"PermissionSetId": set, "AssigneeId": o.sim.UserID()})
	o.refused(400, "DUPLICATE_VALUE", "POST", "sobjects/PermissionSet", m{"Name": "callsync", "Label": "callsync"})
	o.refused(400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "POST", "sobjects/FieldPermissions", m{"ParentId": set, "SobjectType": "Event", "Field": "Event.nope__c", "PermissionsRead": true})
	o.refused(400, "FIELD_INTEGRITY_EXCEPTION", "POST", "sobjects/FieldPermissions", m{"ParentId": set, "SobjectType": "Event", "Field": "Event.callsync_key__c", "PermissionsEdit": true})

	o.ok("DELETE", "tooling/sobjects/CustomField/"+made.at("id").(string), nil)
	if f := o.describeField("Task", "callsync_key__c"); f != nil {
		t.Error("the deleted field is described")
	}
	o.ok("POST", "tooling/sobjects/CustomField", m{"FullName": "Activity.callsync_key__c", "Metadata": keyField("callsync key")})
	if f := o.describeField("Task", "callsync_key__c"); f != nil {
		t.Error("a new field of the same name inherits the old one's grant")
	}
	o.refused(404, "NOT_FOUND", "GET", "tooling/sobjects/CustomField/"+made.at("id").(string), nil)
}

func TestCustomFieldTypes(t *testing.T) {
	o := newOrg(t, func(s *salesforcesim.Settings) { s.ActivityExternalID, s.ActivityUnique = false, false })
	for name, tc := range map[string]struct {
		fullName string
		metadata m
		code     string
	}{
		"external id on activity": {"Activity.a__c", m{"label": "A", "type": "Text", "length": 10, "externalId": true}, "FIELD_INTEGRITY_EXCEPTION"},
		"unique on activity":      {"Activity.a__c", m{"label": "A", "type": "Text", "length": 10, "unique": true}, "FIELD_INTEGRITY_EXCEPTION"},
		"on task":                 {"Task.a__c", m{"label": "A", "type": "Text", "length": 10}, "INVALID_CROSS_REFERENCE_KEY"},
		"no suffix":               {"Contact.a", m{"label": "A", "type": "Text", "length": 10}, "FIELD_INTEGRITY_EXCEPTION"},
		"no label":                {"Contact.a__c", m{"type": "Text", "length": 10}, "REQUIRED_FIELD_MISSING"},
		"too long":                {"Contact.a__c", m{"label": "A", "type": "Text", "length": 256}, "FIELD_INTEGRITY_EXCEPTION"},
		"unknown type":            {"Contact.a__c", m{"label": "A", "type": "Tekst"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"},
		"unique checkbox":         {"Contact.a__c", m{"label": "A", "type": "Checkbox", "defaultValue": false, "unique": true}, "FIELD_INTEGRITY_EXCEPTION"},
		"checkbox":                {"Contact.a__c", m{"label": "A", "type": "Checkbox"}, "FIELD_INTEGRITY_EXCEPTION"},
		"number":                  {"Contact.a__c", m{"label": "A", "type": "Number"}, "FIELD_INTEGRITY_EXCEPTION"},
		"picklist":                {"Contact.a__c", m{"label": "A", "type": "Picklist"}, "FIELD_INTEGRITY_EXCEPTION"},
	} {
		t.Run(name, func(t *testing.T) {
			o.t = t
			o.refused(400, tc.code, "POST", "tooling/sobjects/CustomField", m{"FullName": tc.fullName, "Metadata": tc.metadata})
		})
	}
	o.customField("Activity.plain__c", m{"label": "A", "type": "Text", "length": 10})
	o.customField("Contact.stage__c", m{"label": "Stage", "type": "Picklist", "valueSet": m{
		"restricted": true, "valueSetDefinition": m{"value": []m{{"fullName": "one"}, {"fullName": "two"}}}}})
	o.customField("Contact.flag__c", m{"label": "Flag", "type": "Checkbox", "defaultValue": "true"})
	o.customField("Contact.exact__c", m{"label": "Exact", "type": "Text", "length": 9, "unique": true, "caseSensitive": true})
	id := o.create("Contact", m{"LastName": "A", "stage__c": "one", "exact__c": "k"})
	if o.get("Contact", id)["flag__c"] != true {
		t.Error("the checkbox lost its default")
	}
	o.refused(400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "POST", "sobjects/Contact", m{"LastName": "A", "stage__c": "three"})
	o.create("Contact", m{"LastName": "A", "exact__c": "K"})
	o.refused(400, "DUPLICATE_VALUE", "POST", "sobjects/Contact", m{"LastName": "A", "exact__c": "K"})
	o.refused(400, "STRING_TOO_LONG", "POST", "sobjects/Task", m{"plain__c": "12345678901"})
	o.create("Task", m{"plain__c": "same"})
	o.create("Task", m{"plain__c": "same"})
	if n := len(o.soql("SELECT Id FROM Task WHERE plain__c = 'SAME'", "Id")); n != 2 {
		t.Errorf("%d tasks by key; want 2", n)
	}
}

func TestMakeFieldUniqueLater(t *testing.T) {
	o := newOrg(t)
	made := o.ok("POST", "tooling/sobjects/CustomField", m{"FullName": "Contact.k__c", "Metadata": m{"label": "K", "type": "Text", "length": 20}})
	o.grant("Contact.k__c")
	id := made.at("id").(string)
	a := o.create("Contact", m{"LastName": "A", "k__c": "Mixed"})
	o.ok("PATCH", "sobjects/Contact/"+a, m{"k__c": "x"})
	b := o.create("Contact", m{"LastName": "B", "k__c": "X"})
	change := m{"Metadata": m{"label": "K", "type": "Text", "length": 20, "unique": true, "externalId": true}}
	o.refused(400, "DUPLICATE_VALUE", "PATCH", "tooling/sobjects/CustomField/"+id, change)
	o.ok("DELETE", "sobjects/Contact/"+b, nil)
	o.ok("PATCH", "tooling/sobjects/CustomField/"+id, change)
	if got := o.ok("PATCH", "sobjects/Contact/k__c/x", m{"Phone": "1"}); got.at("id") != a {
		t.Errorf("upsert by the new key: %s", got.raw)
	}
	mixed := o.create("Contact", m{"LastName": "D", "k__c": "Mixed"})
	change = m{"Metadata": m{"label": "K", "type": "Text", "length": 20, "unique": true, "externalId": true, "caseSensitive": true}}
	o.ok("PATCH", "tooling/sobjects/CustomField/"+id, change)
	c := o.create("Contact", m{"LastName": "C", "k__c": "X"})
	if got := o.soql("SELECT Id FROM Contact WHERE k__c = 'X'", "Id"); !slices.Equal(got, []string{c}) {
		t.Errorf("by a case-sensitive key: %v; want %s", got, c)
	}
	if got := o.soql("SELECT Id FROM Contact WHERE k__c = 'Mixed'", "Id"); !slices.Equal(got, []string{mixed}) {
		t.Errorf("by a key from before: %v; want %s", got, mixed)
	}
	if got := o.soql("SELECT Id FROM Contact WHERE k__c = 'x'", "Id"); !slices.Equal(got, []string{a}) {
		t.Errorf("by the other key: %v; want %s", got, a)
	}
	if got := o.ok("GET", "tooling/sobjects/CustomField/"+id, nil); got.at("Metadata", "unique") != true {
		t.Errorf("metadata: %s", got.raw)
	}
}

func TestFieldSecuritySettings(t *testing.T) {
	o := newOrg(t, func(s *salesforcesim.Settings) {
		s.ReadOnlyFields = []string{"Contact.DoNotCall"}
		s.HiddenFields = []string{"Contact.Email"}
		s.RestrictedPicklists = []string{"Task.Status"}
	})
	if f := o.describeField("Contact", "DoNotCall"); at(f, "updateable") != false {
		t.Errorf("DoNotCall: %v", f)
	}
	o.refused(400, "INVALID_FIELD_FOR_INSERT_UPDATE", "POST", "sobjects/Contact", m{"LastName": "A", "DoNotCall": true})
	if f := o.describeField("Contact", "Email"); f != nil {
		t.Errorf("Email: %v", f)
	}
	o.refused(400, "INVALID_FIELD", "GET", "query?q=SELECT+Email+FROM+Contact", nil)
	o.refused(400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "POST", "sobjects/Task", m{"Status": "Finished"})
}
