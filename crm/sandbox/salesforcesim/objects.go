package salesforcesim

// The standard objects, with the fields a client that logs calls may touch.
// Lengths, requirements and picklist values follow Salesforce's Object
// Reference for the Salesforce Platform.

func standardObjects() []*object {
	return []*object{
		accountObject(), contactObject(), leadObject(), opportunityObject(),
		newObject("OpportunityContactRole", "OpportunityContactRoles", "00K",
			reference("OpportunityId", "Opportunity", create|required, "Opportunity"),
			reference("ContactId", "Contact", write|required, "Contact"),
			boolean("IsPrimary", write),
			picklist("Role", write, nil, "Business User", "Decision Maker", "Economic Buyer", "Other"),
		),
		taskObject(), eventObject(), userObject(),
		setupObject(newObject("PermissionSet", "PermissionSets", "0PS",
			text("Name", 80, write|required|unique),
			text("Label", 80, write|required),
			text("Description", 255, write),
			boolean("IsOwnedByProfile", 0),
		)),
		setupObject(newObject("PermissionSetAssignment", "PermissionSetAssignments", "0Pa",
			reference("PermissionSetId", "PermissionSet", create|required, "PermissionSet"),
			reference("AssigneeId", "Assignee", create|required, "User"),
		)),
		setupObject(newObject("FieldPermissions", "FieldPermissions", "01k",
			reference("ParentId", "Parent", create|required, "PermissionSet"),
			text("SobjectType", 40, create|required),
			text("Field", 255, create|required),
			boolean("PermissionsRead", write),
			boolean("PermissionsEdit", write),
		)),
		newObject("Organization", "Organizations", "00D",
			text("Name", 80, 0),
			boolean("IsSandbox", 0),
			text("InstanceName", 5, 0),
			picklist("OrganizationType", 0, nil, "Enterprise Edition"),
			text("TimeZoneSidKey", 40, 0),
		),
		toolingObject(newObject("CustomField", "CustomFields", "00N",
			text("DeveloperName", 80, 0),
			text("TableEnumOrId", 40, 0),
			text("FullName", 255, 0),
		)),
	}
}

func setupObject(o *object) *object {
	o.setup = true
	return o
}

func toolingObject(o *object) *object {
	o.setup, o.tooling = true, true
	return o
}

func accountObject() *object {
	return newObject("Account", "Accounts", "001",
		text("Name", 255, write|required|nameField),
		text("FirstName", 40, write),
		text("LastName", 80, write),
		picklist("Type", write, nil, "Prospect", "Customer - Direct", "Customer - Channel", "Other"),
		phone("Phone"),
		typed("Website", "url", write),
		longText("Description", 32000, write),
		text("BillingCity", 40, write),
		text("BillingCountry", 80, write),
		owner("Owner ID"),
		reference("MasterRecordId", "MasterRecord", 0, "Account"),
		boolean("IsPersonAccount", 0),
		reference("PersonContactId", "PersonContact", 0, "Contact"),
		email("PersonEmail", write|idLookup),
		phone("PersonMobilePhone"),
		phone("PersonHomePhone"),
		phone("PersonOtherPhone"),
		phone("PersonAssistantPhone"),
		boolean("PersonDoNotCall", write),
		boolean("PersonHasOptedOutOfEmail", write),
	)
}

func contactObject() *object {
	return newObject("Contact", "Contacts", "003",
		text("Name", 121, nameField),
		text("FirstName", 40, write),
		text("LastName", 80, write|required),
		picklist("Salutation", write, nil, "Mr.", "Ms.", "Mrs.", "Dr.", "Prof.", "Mx."),
		email("Email", write|idLookup),
		phone("Phone"),
		phone("MobilePhone"),
		phone("HomePhone"),
		phone("OtherPhone"),
		phone("AssistantPhone"),
		phone("Fax"),
		text("Title", 128, write),
		text("Department", 80, write),
		longText("Description", 32000, write),
		picklist("LeadSource", write, nil, "Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other"),
		text("MailingCity", 40, write),
		text("MailingCountry", 80, write),
		boolean("DoNotCall", write),
		boolean("HasOptedOutOfEmail", write),
		reference("AccountId", "Account", write, "Account"),
		reference("ReportsToId", "ReportsTo", write, "Contact"),
		owner("Owner ID"),
		reference("MasterRecordId", "MasterRecord", 0, "Contact"),
		boolean("IsPersonAccount", 0),
		typed("LastActivityDate", "date", 0),
	)
}

func leadObject() *object {
	return newObject("Lead", "Leads", "00Q",
		text("Name", 121, nameField),
		text("FirstName", 40, write),
		text("LastName", 80, write|required),
		text("Company", 255, write|required),
		text("Title", 128, write),
		email("Email", write|idLookup),
		phone("Phone"),
		phone("MobilePhone"),
		phone("Fax"),
		typed("Website", "url", write),
		longText("Description", 32000, write),
		picklist("Status", write|defaulted, "Open - Not Contacted",
			"Open - Not Contacted", "Working - Contacted", "Closed - Converted", "Closed - Not Converted"),
		picklist("LeadSource", write, nil, "Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other"),
		text("City", 40, write),
		text("Country", 80, write),
		boolean("DoNotCall", write),
		boolean("HasOptedOutOfEmail", write),
		boolean("IsConverted", 0),
		typed("ConvertedDate", "date", 0),
		reference("ConvertedContactId", "ConvertedContact", 0, "Contact"),
		reference("ConvertedAccountId", "ConvertedAccount", 0, "Account"),
		reference("ConvertedOpportunityId", "ConvertedOpportunity", 0, "Opportunity"),
		owner("Owner ID"),
		reference("MasterRecordId", "MasterRecord", 0, "Lead"),
		typed("LastActivityDate", "date", 0),
	)
}

func opportunityObject() *object {
	return newObject("Opportunity", "Opportunities", "006",
		text("Name", 120, write|required|nameField),
		picklist("StageName", write|required, nil,
			"Prospecting", "Qualification", "Proposal/Price Quote", "Negotiation/Review", "Closed Won", "Closed Lost"),
		typed("CloseDate", "date", write|required),
		typed("Amount", "currency", write),
		typed("Probability", "percent", write),
		longText("Description", 32000, write),
		boolean("IsClosed", calculated),
		boolean("IsWon", calculated),
		reference("AccountId", "Account", write, "Account"),
		reference("ContactId", "Contact", create, "Contact"),
		owner("Owner ID"),
	)
}

// activityFields are shared by Task and Event.
func activityFields() []*field {
	return []*field{
		labelled("Name ID", reference("WhoId", "Who", write, "Contact", "Lead")),
		labelled("Related To ID", reference("WhatId", "What", write, "Account", "Opportunity")),
		&field{Name: "Subject", Type: "combobox", Length: 255, attrs: write,
			Values: []string{"Call", "Email", "Send Letter", "Send Quote", "Other"}},
		longText("Description", 32000, write),
		owner("Assigned To ID"),
		labelled("Account ID", reference("AccountId", "Account", 0, "Account")),
		boolean("IsReminderSet", write),
		typed("ReminderDateTime", "datetime", write),
		boolean("IsArchived", 0),
		boolean("IsRecurrence", create),
	}
}

func taskObject() *object {
	return newObject("Task", "Tasks", "00T", append(activityFields(),
		labelled("Due Date Only", typed("ActivityDate", "date", write)),
		picklist("Status", write|defaulted, "Not Started",
			"Not Started", "In Progress", "Completed", "Waiting on someone else", "Deferred"),
		picklist("Priority", write|defaulted, "Normal", "High", "Normal", "Low"),
		boolean("IsHighPriority", calculated),
		boolean("IsClosed", calculated),
		typed("CompletedDateTime", "datetime", 0),
		picklist("TaskSubtype", create|restricted, "Task", "Task", "Email", "ListEmail", "Cadence", "Call", "LinkedIn"),
		labelled("Call Duration", typed("CallDurationInSeconds", "int", write)),
		picklist("CallType", write|restricted, nil, "Internal", "Inbound", "Outbound"),
		labelled("Call Result", text("CallDisposition", 255, write)),
		labelled("Call Object Identifier", text("CallObject", 255, write)),
	)...)
}

func eventObject() *object {
	return newObject("Event", "Events", "00U", append(activityFields(),
		text("Location", 255, write),
		boolean("IsAllDayEvent", write),
		labelled("Due Date Time", typed("ActivityDateTime", "datetime", write)),
		labelled("Due Date Only", typed("ActivityDate", "date", write)),
		labelled("Duration", typed("DurationInMinutes", "int", write)),
		labelled("Start Date Time", typed("StartDateTime", "datetime", write)),
		labelled("End Date Time", typed("EndDateTime", "datetime", write)),
		boolean("IsPrivate", write),
		picklist("ShowAs", write|defaulted, "Busy", "Busy", "OutOfOffice", "Free"),
		picklist("EventSubtype", create|restricted, "Event", "Event"),
		boolean("IsGroupEvent", 0),
		boolean("IsChild", 0),
	)...)
}

func userObject() *object {
	return newObject("User", "Users", "005",
		text("Username", 80, write|required|unique),
		text("Name", 121, nameField),
		text("FirstName", 40, write),
		text("LastName", 80, write|required),
		email("Email", write|required),
		text("Alias", 8, write|required),
		boolean("IsActive", write),
		phone("Phone"),
		phone("MobilePhone"),
		picklist("UserType", 0, "Standard", "Standard", "PowerPartner", "Guest"),
		text("TimeZoneSidKey", 40, write),
	)
}
