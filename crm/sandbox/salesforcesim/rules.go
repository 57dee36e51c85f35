package salesforcesim

import (
	"slices"
	"strings"
	"time"
)

// derivations check what only one object demands, and fill in what Salesforce
// derives from other fields.
var derivations = map[string]func(*call, draft) *apiError{
	"Contact":                 (*call).deriveContact,
	"Lead":                    (*call).deriveName,
	"User":                    (*call).deriveName,
	"Account":                 (*call).deriveAccount,
	"Opportunity":             (*call).deriveOpportunity,
	"Task":                    (*call).deriveTask,
	"Event":                   (*call).deriveEvent,
	"FieldPermissions":        (*call).checkFieldPermissions,
	"PermissionSetAssignment": (*call).checkAssignment,
}

func (c *call) deriveName(d draft) *apiError {
	name := strings.TrimSpace(d.text("FirstName") + " " + d.text("LastName"))
	d.vals["Name"] = nil
	if name != "" {
		d.vals["Name"] = clipRunes(name, 121)
	}
	return nil
}

func (c *call) deriveContact(d draft) *apiError {
	if d.r != nil && d.r.flag("IsPersonAccount") {
		return bad("INVALID_FIELD_FOR_INSERT_UPDATE",
			"the contact of a person account is changed through its account")
	}
	return c.deriveName(d)
}

// deriveAccount makes an account with a last name a person account.
func (c *call) deriveAccount(d draft) *apiError {
	if !c.g.settings.PersonAccounts {
		return nil
	}
	if d.r == nil {
		d.vals["IsPersonAccount"] = d.text("LastName") != ""
	}
	if is, _ := d.value("IsPersonAccount").(bool); !is {
		return nil
	}
	if _, given := d.vals["Name"]; given {
		return bad("INVALID_FIELD_FOR_INSERT_UPDATE", "Unable to create/update fields: Name. "+
			"Please check the security settings of this field and verify that it is read/write for your profile or permission set.", "Name")
	}
	if d.text("LastName") == "" {
		return bad("REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]", "LastName")
	}
	return c.deriveName(d)
}

// personFields maps a person account's fields to its contact's.
var personFields = map[string]string{
	"FirstName": "FirstName", "LastName": "LastName", "Name": "Name", "Phone": "Phone",
	"PersonEmail": "Email", "PersonMobilePhone": "MobilePhone", "PersonHomePhone": "HomePhone",
	"PersonOtherPhone": "OtherPhone", "PersonAssistantPhone": "AssistantPhone",
	"PersonDoNotCall": "DoNotCall", "PersonHasOptedOutOfEmail": "HasOptedOutOfEmail", "OwnerId": "OwnerId",
}

// mirrorPerson keeps the contact behind a person account the same.
func (c *call) mirrorPerson(r *row) {
	if !r.flag("IsPersonAccount") {
		return
	}
	vals := map[string]any{}
	for from, to := range personFields {
		vals[to] = r.vals[from]
	}
	if contact := c.g.find(r.text("PersonContactId")); contact != nil {
		c.g.set(c.tx, contact, vals)
		if contact.deleted != r.deleted {
			c.g.bin(c.tx, contact, r.deleted)
		}
		return
	}
	vals["AccountId"], vals["IsPersonAccount"] = r.id, true
	contact := c.g.insert(c.tx, c.g.object("Contact"), vals)
	c.g.set(c.tx, r, map[string]any{"PersonContactId": contact.id})
}

func (c *call) deriveOpportunity(d draft) *apiError {
	stage := d.text("StageName")
	d.vals["IsClosed"] = strings.HasPrefix(stage, "Closed")
	d.vals["IsWon"] = stage == "Closed Won"
	return nil
}

func (c *call) deriveTask(d draft) *apiError {
	if e := c.deriveActivity(d); e != nil {
		return e
	}
	closed := d.text("Status") == "Completed"
	if was, _ := d.value("IsClosed").(bool); closed != was {
		d.vals["CompletedDateTime"] = nil
		if closed {
			d.vals["CompletedDateTime"] = stamp(c.g.now())
		}
	}
	d.vals["IsClosed"] = closed
	d.vals["IsHighPriority"] = d.text("Priority") == "High"
	return nil
}

// deriveActivity checks whom and what an activity is about.
func (c *call) deriveActivity(d draft) *apiError {
	who, what := c.g.find(d.text("WhoId")), c.g.find(d.text("WhatId"))
	if who != nil && who.object.Name == "Lead" && what != nil {
		return bad("FIELD_INTEGRITY_EXCEPTION",
			"Related To ID: an activity of a lead cannot be related to another record", "WhatId")
	}
	if reminds, _ := d.value("IsReminderSet").(bool); reminds && d.text("ReminderDateTime") == "" {
		return bad("REQUIRED_FIELD_MISSING", "Required fields are missing: [ReminderDateTime]", "ReminderDateTime")
	}
	var account any
	switch {
	case what != nil && what.object.Name == "Account":
		account = what.id
	case what != nil && what.text("AccountId") != "":
		account = what.text("AccountId")
	case who != nil && who.text("AccountId") != "":
		account = who.text("AccountId")
	}
	d.vals["AccountId"] = account
	return nil
}

// deriveEvent settles when an event begins and ends: two of start, end and
// duration give the third.
func (c *call) deriveEvent(d draft) *apiError {
	if e := c.deriveActivity(d); e != nil {
		return e
	}
	if allDay, _ := d.value("IsAllDayEvent").(bool); allDay {
		return c.deriveAllDay(d)
	}
	if at, given := d.vals["ActivityDateTime"]; given && d.vals["StartDateTime"] == nil {
		d.vals["StartDateTime"] = at
	}
	start, err := time.Parse(timeLayout, d.text("StartDateTime"))
	if err != nil {
		return bad("REQUIRED_FIELD_MISSING",
			"Required fields are missing: [DurationInMinutes, ActivityDateTime]", "DurationInMinutes", "ActivityDateTime")
	}
	end, endErr := time.Parse(timeLayout, d.text("EndDateTime"))
	minutes, timed := d.value("DurationInMinutes").(float64)
	_, newEnd := d.vals["EndDateTime"]
	_, newMinutes := d.vals["DurationInMinutes"]
	lasts := time.Duration(minutes) * time.Minute
	switch {
	case newEnd && endErr == nil:
		if newMinutes && timed && !end.Equal(start.Add(lasts)) {
			return bad("FIELD_INTEGRITY_EXCEPTION", "Event duration and end time are inconsistent", "DurationInMinutes")
		}
	case timed && (newMinutes || endErr != nil):
		end = start.Add(lasts)
	case endErr != nil:
		return bad("REQUIRED_FIELD_MISSING", "Required fields are missing: [DurationInMinutes]", "DurationInMinutes")
	}
	if end.Before(start) {
		return bad("FIELD_INTEGRITY_EXCEPTION", "Event duration cannot be negative", "DurationInMinutes")
	}
	if end.Sub(start) > 14*24*time.Hour {
		return bad("FIELD_INTEGRITY_EXCEPTION", "Event duration can not be longer than fourteen days", "DurationInMinutes")
	}
	d.vals["StartDateTime"], d.vals["ActivityDateTime"] = stamp(start), stamp(start)
	d.vals["EndDateTime"] = stamp(end)
	d.vals["ActivityDate"] = start.UTC().Format(dateLayout)
	d.vals["DurationInMinutes"] = end.Sub(start).Truncate(time.Minute).Minutes()
	return nil
}

func (c *call) deriveAllDay(d draft) *apiError {
	day := d.text("ActivityDate")
	if start := d.text("StartDateTime"); start != "" {
		day = start[:len(dateLayout)]
	}
	if day == "" {
		return bad("REQUIRED_FIELD_MISSING", "Required fields are missing: [ActivityDate]", "ActivityDate")
	}
	d.vals["ActivityDate"], d.vals["DurationInMinutes"] = day, float64(24*60)
	d.vals["StartDateTime"] = day + "T00:00:00.000+0000"
	d.vals["EndDateTime"] = day + "T00:00:00.000+0000"
	return nil
}

// checkFieldPermissions wants an existing field that can be granted, once per
// permission set.
func (c *call) checkFieldPermissions(d draft) *apiError {
	sobject, name, _ := strings.Cut(d.text("Field"), ".")
	o := c.g.object(sobject)
	if o == nil || !strings.EqualFold(sobject, d.text("SobjectType")) {
		return bad("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
			"Sobject Type Name: bad value for restricted picklist field: "+d.text("SobjectType"), "SobjectType")
	}
	f := o.byName[strings.ToLower(name)]
	if f == nil || !f.custom || f.is(required) {
		return bad("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
			"Field Name: bad value for restricted picklist field: "+d.text("Field"), "Field")
	}
	d.vals["SobjectType"], d.vals["Field"] = o.Name, o.Name+"."+f.Name
	read, _ := d.value("PermissionsRead").(bool)
	edit, _ := d.value("PermissionsEdit").(bool)
	if !read {
		return bad("FIELD_INTEGRITY_EXCEPTION", "a field permission grants at least read access", "PermissionsRead")
	}
	if edit && f.is(calculated) {
		return bad("FIELD_INTEGRITY_EXCEPTION", "the field cannot be made editable", "PermissionsEdit")
	}
	return c.onlyOne(d, "ParentId", "Field")
}

func (c *call) checkAssignment(d draft) *apiError {
	return c.onlyOne(d, "PermissionSetId", "AssigneeId")
}

// onlyOne refuses a second record that agrees in all the fields.
func (c *call) onlyOne(d draft, fields ...string) *apiError {
	o := c.g.object("FieldPermissions")
	if slices.Contains(fields, "AssigneeId") {
		o = c.g.object("PermissionSetAssignment")
	}
	for _, r := range o.rows {
		same := r != d.r && !r.deleted
		for _, f := range fields {
			same = same && r.vals[f] == d.value(f)
		}
		if same {
			return bad("DUPLICATE_VALUE", "duplicate value found: "+fields[0]+" duplicates value on record with id: "+r.id[:15])
		}
	}
	return nil
}
