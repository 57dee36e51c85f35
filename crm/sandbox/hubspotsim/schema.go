package hubspotsim

import (
	"strings"
	"time"
)

// objectType is one kind of record: its property definitions and its records.
type objectType struct {
	name     string // plural, as in paths
	singular string // upper case, as in messages
	id       string // such as "0-1"
	defaults []string
	activity bool

	properties map[string]*property
	groups     []*group

	records map[string]*record
	nextID  int
	unique  map[string]map[string]*record // property name → value → holder
	blocked map[string]bool               // contacts: GDPR-deleted emails
	index   searchIndex
}

// property is a definition as the properties API shows it.
type property struct {
	Name           string          `json:"name"`
	Label          string          `json:"label"`
	Type           string          `json:"type"`
	FieldType      string          `json:"fieldType"`
	Description    string          `json:"description"`
	GroupName      string          `json:"groupName"`
	Options        []option        `json:"options"`
	DisplayOrder   int             `json:"displayOrder"`
	Calculated     bool            `json:"calculated"`
	ExternalOpts   bool            `json:"externalOptions"`
	HasUniqueValue bool            `json:"hasUniqueValue"`
	Hidden         bool            `json:"hidden"`
	Defined        bool            `json:"hubspotDefined"`
	FormField      bool            `json:"formField"`
	Archived       bool            `json:"archived"`
	CreatedAt      string          `json:"createdAt,omitempty"`
	UpdatedAt      string          `json:"updatedAt,omitempty"`
	ArchivedAt     string          `json:"archivedAt,omitempty"`
	Modification   propertyMetaMap `json:"modificationMetadata"`
}

type propertyMetaMap struct {
	Archivable         bool `json:"archivable"`
	ReadOnlyDefinition bool `json:"readOnlyDefinition"`
	ReadOnlyValue      bool `json:"readOnlyValue"`
}

type option struct {
	Label        string `json:"label"`
	Value        string `json:"value"`
	Description  string `json:"description"`
	DisplayOrder int    `json:"displayOrder"`
	Hidden       bool   `json:"hidden"`
}

type group struct {
	Name         string `json:"name"`
	Label        string `json:"label"`
	DisplayOrder int    `json:"displayOrder"`
	Archived     bool   `json:"archived"`
}

// typeNames maps whatever HubSpot accepts in a path to the plural name.
// Source: HubSpot's list of object type ids.
var typeNames = map[string]string{
	"contact": "contacts", "0-1": "contacts",
	"company": "companies", "0-2": "companies",
	"deal": "deals", "0-3": "deals",
	"call": "calls", "0-48": "calls",
	"meeting": "meetings", "0-47": "meetings",
	"task": "tasks", "0-27": "tasks",
	"note": "notes", "0-46": "notes",
	"contacts": "contacts", "companies": "companies", "deals": "deals", "calls": "calls",
	"meetings": "meetings", "tasks": "tasks", "notes": "notes",
}

// plural returns the canonical name of an object type, or an unknown name as
// it is.
func plural(name string) string {
	if p, ok := typeNames[strings.ToLower(name)]; ok {
		return p
	}
	return name
}

// defaultTypes builds the object types with the properties HubSpot defines.
// Only those this sandbox needs are there: a write to any other one is refused
// as PROPERTY_DOESNT_EXIST although a real portal may have it.
func defaultTypes(now time.Time) map[string]*objectType {
	contacts := newType("contacts", "CONTACT", "0-1", "contactinformation", now,
		text("email"), text("firstname"), text("lastname"), phone("phone"), phone("mobilephone"),
		text("company"), text("jobtitle"), text("city"), text("state"), text("country"), text("zip"), text("address"), text("website"),
		enum("hs_lead_status", "NEW", "OPEN", "IN_PROGRESS", "OPEN_DEAL", "UNQUALIFIED", "ATTEMPTED_TO_CONTACT", "CONNECTED", "BAD_TIMING"),
		enum("lifecyclestage", lifecycle...),
		enum("hs_timezone", timezones...), owner(),
		enum("hs_additional_emails").multi().readOnly(),
		phone("hs_searchable_calculated_phone_number").computed(),
		phone("hs_searchable_calculated_mobile_number").computed(),
		text("hs_email_domain").computed(), text("hs_merged_object_ids").readOnly(),
		datetime("lastmodifieddate").readOnly(), datetime("createdate").readOnly(),
	)
	contacts.defaults = []string{"createdate", "email", "firstname", "lastname", "hs_object_id", "lastmodifieddate"}
	contacts.unique["email"] = map[string]*record{}

	companies := newType("companies", "COMPANY", "0-2", "companyinformation", now,
		text("name"), text("domain"), phone("phone"), text("city"), text("country"), text("industry"), owner(),
		datetime("createdate").readOnly())
	companies.defaults = []string{"name", "domain", "createdate", "hs_lastmodifieddate", "hs_object_id"}

	deals := newType("deals", "DEAL", "0-3", "dealinformation", now,
		text("dealname"), number("amount"), datetime("closedate"), text("pipeline"), owner(),
		enum("dealstage", "appointmentscheduled", "qualifiedtobuy", "presentationscheduled", "decisionmakerboughtin", "contractsent", "closedwon", "closedlost"),
		boolean("hs_is_closed").computed(), boolean("hs_is_closed_won").computed(),
		datetime("createdate").readOnly())
	deals.defaults = []string{"dealname", "amount", "closedate", "pipeline", "dealstage", "createdate", "hs_lastmodifieddate", "hs_object_id"}

	calls := newType("calls", "CALL", "0-48", "call", now,
		datetime("hs_timestamp"), text("hs_call_title"), html("hs_call_body"),
		enum("hs_call_direction", "INBOUND", "OUTBOUND"),
		enum("hs_call_status", "BUSY", "CALLING_CRM_USER", "CANCELED", "COMPLETED", "CONNECTING", "FAILED", "IN_PROGRESS", "NO_ANSWER", "QUEUED", "RINGING"),
		number("hs_call_duration"), text("hs_call_from_number"), text("hs_call_to_number"), text("hs_call_recording_url"),
		external("hs_call_disposition"), text("hs_call_source"), owner())
	meetings := newType("meetings", "MEETING_EVENT", "0-47", "meeting", now,
		datetime("hs_timestamp"), text("hs_meeting_title"), html("hs_meeting_body"), html("hs_internal_meeting_notes"),
		text("hs_meeting_external_url"), text("hs_meeting_location"), datetime("hs_meeting_start_time"), datetime("hs_meeting_end_time"),
		enum("hs_meeting_outcome", "SCHEDULED", "COMPLETED", "RESCHEDULED", "NO_SHOW", "CANCELED"), owner())
	tasks := newType("tasks", "TASK", "0-27", "task", now,
		datetime("hs_timestamp"), text("hs_task_subject"), html("hs_task_body"),
		enum("hs_task_status", "NOT_STARTED", "IN_PROGRESS", "WAITING", "COMPLETED", "DEFERRED"),
		enum("hs_task_priority", "LOW", "MEDIUM", "HIGH"), enum("hs_task_type", "TODO", "CALL", "EMAIL"), owner())
	notes := newType("notes", "NOTE", "0-46", "note", now,
		datetime("hs_timestamp"), html("hs_note_body"), owner())
	types := map[string]*objectType{}
	for _, t := range []*objectType{calls, meetings, tasks, notes} {
		t.activity = true
	}
	for _, t := range []*objectType{contacts, companies, deals, calls, meetings, tasks, notes} {
		types[t.name] = t
	}
	return types
}

// modified names the property that holds a record's last change.
func (t *objectType) modified() string {
	if t.name == "contacts" {
		return "lastmodifieddate"
	}
	return "hs_lastmodifieddate"
}

// created names the property that holds a record's creation time.
func (t *objectType) created() string {
	if t.activity {
		return "hs_createdate"
	}
	return "createdate"
}

func newType(name, singular, id, groupName string, now time.Time, props ...property) *objectType {
	t := &objectType{
		name: name, singular: singular, id: id,
		defaults:   []string{"hs_createdate", "hs_lastmodifieddate", "hs_object_id"},
		properties: map[string]*property{},
		groups:     []*group{{Name: groupName, Label: groupName}},
		records:    map[string]*record{},
		nextID:     1001, // the same in every type, so that ids of different types collide
		unique:     map[string]map[string]*record{},
		blocked:    map[string]bool{},
	}
	props = append(props,
		number("hs_object_id").readOnly(), datetime("hs_lastmodifieddate").readOnly(), datetime("hs_createdate").readOnly())
	for _, p := range props {
		p.GroupName, p.CreatedAt, p.UpdatedAt = groupName, stamp(now), stamp(now)
		t.properties[p.Name] = &p
	}
	return t
}

func define(name, typ, fieldType string) property {
	return property{
		Name: name, Label: name, Type: typ, FieldType: fieldType, Options: []option{}, Defined: true, DisplayOrder: -1,
		Modification: propertyMetaMap{ReadOnlyDefinition: true},
	}
}

func text(name string) property     { return define(name, "string", "text") }
func html(name string) property     { return define(name, "string", "html") }
func phone(name string) property    { return define(name, "phone_number", "phonenumber") }
func number(name string) property   { return define(name, "number", "number") }
func datetime(name string) property { return define(name, "datetime", "date") }
func boolean(name string) property  { return define(name, "bool", "booleancheckbox") }

func enum(name string, values ...string) property {
	p := define(name, "enumeration", "select")
	for i, v := range values {
		p.Options = append(p.Options, option{Label: v, Value: v, DisplayOrder: i})
	}
	return p
}

// external is an enumeration whose options live elsewhere.
func external(name string) property {
	p := define(name, "enumeration", "select")
	p.ExternalOpts = true
	return p
}

func owner() property { return external("hubspot_owner_id") }

func (p property) multi() property { p.FieldType = "checkbox"; return p }

func (p property) readOnly() property { p.Modification.ReadOnlyValue = true; return p }

func (p property) computed() property {
	p.Calculated = true
	return p.readOnly()
}

// lifecycle lists the default lifecycle stages in their order.
var lifecycle = []string{"subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer", "evangelist", "other"}

// timezones are the values hs_timezone takes here: lower case, with
// underscores and slashes as in "america_slash_new_york".
var timezones = []string{
	"utc", "america_slash_new_york", "america_slash_chicago", "america_slash_denver", "america_slash_los_angeles",
	"america_slash_phoenix", "america_slash_anchorage", "america_slash_sao_paulo", "europe_slash_london", "europe_slash_berlin",
	"europe_slash_paris", "europe_slash_madrid", "europe_slash_zurich", "asia_slash_tokyo", "asia_slash_singapore",
	"asia_slash_kolkata", "australia_slash_sydney",
}
