// Package julian knows the upstream: the callResults payload that 11x's voice
// agent POSTs after each call, what each result type means, and 11x's REST API.
//
// The payload as received is the record; the types here are a view of it. A
// field that does not parse leaves its zero value and a warning, never an
// error, and stays reachable through [Call.Raw]. Nothing here knows the
// journal, a mapping or a CRM.
//
// Source of the field list: 11x's public webhook guide and API reference.
package julian

import (
	"time"
)

// A Call is one callResults payload. The expr tags are the names mapping files
// use. Times are nil when missing or unreadable.
type Call struct {
	AgentID              string         `expr:"agentId"`
	AgentName            string         `expr:"agentName"`
	CallID               string         `expr:"callId"`
	Name                 string         `expr:"name"`
	PhoneNumber          string         `expr:"phoneNumber"`
	PhoneNumberExt       string         `expr:"phoneNumberExt"`
	FromPhoneNumber      string         `expr:"fromPhoneNumber"`
	ScheduledAt          *time.Time     `expr:"scheduledAt"`
	Timezone             string         `expr:"timezone"`
	Direction            string         `expr:"direction"` // "outbound", "inbound" or ""
	CustomInputVariables map[string]any `expr:"customInputVariables"`
	Duration             int            `expr:"duration"` // seconds
	CallURL              string         `expr:"callUrl"`
	RescheduledAt        *time.Time     `expr:"rescheduledAt"`
	Result               Result         `expr:"callResult"`
	CRMSchedulingDetails map[string]any `expr:"crmSchedulingDetails"`
	Sequence             Sequence       `expr:"sequence"`

	// Raw is the whole payload as decoded JSON (numbers as json.Number), with
	// the fields this type does not know.
	Raw map[string]any `expr:"-"`
	// Warnings name the fields that could not be read, and why, without their
	// values.
	Warnings []Warning `expr:"-"`
}

// A Result is what came of the call.
type Result struct {
	ResultType         ResultType       `expr:"resultType"`
	Summary            string           `expr:"summary"`
	ExtractedVariables map[string]any   `expr:"extractedVariables"`
	AgentActions       []Action         `expr:"agentActions"`
	HumanActions       []Action         `expr:"humanActions"`
	Transcription      string           `expr:"transcription"`
	Outcomes           []Outcome        `expr:"outcomes"`
	FollowUp           *FollowUpMeeting `expr:"followUpMeetingDetails"`
}

// An Action is something the agent did, or something people still have to do.
type Action struct {
	Description string         `expr:"description"`
	Status      string         `expr:"status"`    // "completed", …
	ActionKey   string         `expr:"actionKey"` // "schedule_meeting", …
	CompletedAt *time.Time     `expr:"completedAt"`
	Metadata    map[string]any `expr:"metadata"`
}

// An Outcome is one of the outcomes configured for the agent.
type Outcome struct {
	Name      string `expr:"name"`
	Reasoning string `expr:"reasoning"`
}

// A FollowUpMeeting is the meeting the agent booked.
type FollowUpMeeting struct {
	StartTime *time.Time `expr:"startTime"`
	EndTime   *time.Time `expr:"endTime"`
	HostEmail string     `expr:"hostEmail"` // as received; it may not be an address
}

// Sequence says where the contact stands in a call sequence.
type Sequence struct {
	SequenceID      string `expr:"sequenceId"`
	LifecycleStatus string `expr:"lifecycleStatus"` // "done", "in progress", "cancelled", "failed" or ""
}

// A Warning is something about a payload that a person may want to know.
type Warning struct {
	Field string `json:"field"` // "callResult.followUpMeetingDetails.startTime"
	Text  string `json:"text"`  // what is wrong, without the value
}

func (w Warning) String() string { return w.Field + ": " + w.Text }

// A ResultType is how a call ended, or how far it is.
type ResultType string

// The documented result types.
const (
	GoalCompleted      ResultType = "Goal Completed"
	GoalNotCompleted   ResultType = "Goal Not Completed"
	Voicemail          ResultType = "Voicemail"
	Busy               ResultType = "Busy"
	NoConversation     ResultType = "No Conversation"
	OptedOut           ResultType = "Opted Out"
	InvalidPhoneNumber ResultType = "Invalid Phone Number"
	Cancelled          ResultType = "Cancelled"
	Failed             ResultType = "Failed"

	Scheduled          ResultType = "Scheduled"
	Rescheduled        ResultType = "Rescheduled"
	ProcessingAnalysis ResultType = "Processing Analysis"
	Calling            ResultType = "Calling"
)

// ResultTypes lists the documented result types, terminal ones first.
func ResultTypes() []ResultType {
	return []ResultType{
		GoalCompleted, GoalNotCompleted, Voicemail, Busy, NoConversation,
		OptedOut, InvalidPhoneNumber, Cancelled, Failed,
		Scheduled, Rescheduled, ProcessingAnalysis, Calling,
	}
}

// Interim reports whether a later delivery will bring the result. Everything
// else is terminal: a missing result type, and one that is not documented yet.
func (r ResultType) Interim() bool {
	switch r {
	case Scheduled, Rescheduled, ProcessingAnalysis, Calling:
		return true
	}
	return false
}

// Known reports whether r is documented.
func (r ResultType) Known() bool {
	for _, k := range ResultTypes() {
		if r == k {
			return true
		}
	}
	return false
}

// Interim reports whether the call has no terminal result yet.
func (c *Call) Interim() bool { return c.Result.ResultType.Interim() }
