package julian

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The two reasons for which a body is refused.
var (
	ErrNotObject = errors.New("the body is not a JSON object")
	ErrNoCallID  = errors.New("the body has no callId")
)

// MaxCallID is the longest callId accepted, in bytes. It bounds keys in the
// journal and in the CRM, whose unique properties hold 255 characters.
const MaxCallID = 200

// Parse reads a callResults body. The error is [ErrNotObject], [ErrNoCallID], or
// wraps one of them; everything else that is wrong becomes a warning.
func Parse(body []byte) (*Call, error) {
	raw, err := decodeObject(body)
	if err != nil {
		return nil, err
	}
	return FromRaw(raw)
}

// FromRaw is [Parse] for a payload that is decoded already, with numbers as
// json.Number. The call keeps raw.
func FromRaw(raw map[string]any) (*Call, error) {
	r := reader{}
	c := &Call{Raw: raw}
	o := object{&r, "", raw}

	c.CallID = strings.TrimSpace(o.str("callId"))
	if c.CallID == "" {
		return nil, ErrNoCallID
	}
	if len(c.CallID) > MaxCallID {
		return nil, fmt.Errorf("%w that is usable: it has %d bytes, at most %d are accepted", ErrNoCallID, len(c.CallID), MaxCallID)
	}
	if strings.ContainsFunc(c.CallID, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }) {
		return nil, fmt.Errorf("%w that is usable: it has control characters or broken UTF-8", ErrNoCallID)
	}
	c.AgentID = o.str("agentId")
	c.AgentName = o.str("agentName")
	c.Name = o.str("name")
	c.PhoneNumber = o.str("phoneNumber")
	c.PhoneNumberExt = o.str("phoneNumberExt")
	c.FromPhoneNumber = o.str("fromPhoneNumber")
	c.ScheduledAt = o.time("scheduledAt")
	c.Timezone = o.str("timezone")
	c.Direction = strings.ToLower(o.str("direction"))
	c.CustomInputVariables = o.object("customInputVariables").m
	c.Duration = o.integer("duration")
	c.CallURL = o.str("callUrl")
	c.RescheduledAt = o.time("rescheduledAt")
	c.Result = parseResult(o.object("callResult"))
	c.CRMSchedulingDetails = o.object("crmSchedulingDetails").m
	sequence := o.object("sequence")
	c.Sequence = Sequence{
		SequenceID:      sequence.str("sequenceId"),
		LifecycleStatus: sequence.str("lifecycleStatus"),
	}
	if t := c.Result.ResultType; t != "" && !t.Known() {
		r.warn("callResult.resultType", "is not a documented result; treated as terminal")
	}
	c.Warnings = r.all()
	return c, nil
}

func parseResult(o object) Result {
	res := Result{
		ResultType:         ResultType(o.str("resultType")),
		Summary:            o.str("summary"),
		ExtractedVariables: o.object("extractedVariables").m,
		AgentActions:       parseActions(o.objects("agentActions")),
		HumanActions:       parseActions(o.objects("humanActions")),
		Transcription:      o.str("transcription"),
	}
	for _, x := range o.objects("outcomes") {
		res.Outcomes = append(res.Outcomes, Outcome{Name: x.str("name"), Reasoning: x.str("reasoning")})
	}
	if f := o.object("followUpMeetingDetails"); len(f.m) > 0 {
		res.FollowUp = &FollowUpMeeting{
			StartTime: f.time("startTime"),
			EndTime:   f.time("endTime"),
			HostEmail: f.str("hostEmail"),
		}
	}
	return res
}

func parseActions(items []object) []Action {
	var actions []Action
	for _, x := range items {
		actions = append(actions, Action{
			Description: x.str("description"),
			Status:      x.str("status"),
			ActionKey:   x.str("actionKey"),
			CompletedAt: x.time("completedAt"),
			Metadata:    x.object("metadata").m,
		})
	}
	return actions
}

// maxWarnings bounds what one payload can make the journal keep.
const maxWarnings = 50

// A reader collects warnings while fields are read.
type reader struct {
	warnings []Warning
	more     int // beyond maxWarnings
}

func (r *reader) warn(field, text string) {
	if len(r.warnings) == maxWarnings {
		r.more++
		return
	}
	r.warnings = append(r.warnings, Warning{Field: field, Text: text})
}

func (r *reader) all() []Warning {
	if r.more == 0 {
		return r.warnings
	}
	return append(r.warnings, Warning{Field: "…", Text: fmt.Sprintf("and %d more", r.more)})
}

// An object is a JSON object being read, with its path for warnings.
type object struct {
	r    *reader
	path string
	m    map[string]any
}

func (o object) at(key string) string {
	if o.path == "" {
		return key
	}
	return o.path + "." + key
}

func (o object) wrongType(key, want string, got any) {
	o.r.warn(o.at(key), fmt.Sprintf("should be %s, is %s", want, kindOf(got)))
}

func (o object) str(key string) string {
	switch v := o.m[key].(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		o.wrongType(key, "a string", v)
		return v.String()
	default:
		o.wrongType(key, "a string", v)
		return ""
	}
}

func (o object) integer(key string) int {
	var text string
	quoted := false
	switch v := o.m[key].(type) {
	case nil:
		return 0
	case json.Number:
		text = v.String()
	case string:
		text, quoted = strings.TrimSpace(v), true
	default:
		o.wrongType(key, "a number", v)
		return 0
	}
	var f *float64 // stays nil for a quoted null
	if err := json.Unmarshal([]byte(text), &f); err != nil || f == nil || *f < 0 || *f > math.MaxInt32 {
		o.r.warn(o.at(key), "is not a usable number")
		return 0
	}
	if quoted {
		o.r.warn(o.at(key), "should be a number, is a string")
	}
	return int(math.Round(*f))
}

func (o object) time(key string) *time.Time {
	switch v := o.m[key].(type) {
	case nil:
		return nil
	case string:
		if strings.TrimSpace(v) == "" {
			return nil
		}
		t, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(v))
		if err != nil || t.Year() < 1970 || t.Year() > 9999 {
			o.r.warn(o.at(key), "is not an RFC 3339 time; ignored")
			return nil
		}
		return &t
	default:
		o.wrongType(key, "an RFC 3339 time", v)
		return nil
	}
}

func (o object) object(key string) object {
	child := object{r: o.r, path: o.at(key)}
	switch v := o.m[key].(type) {
	case nil:
	case map[string]any:
		child.m = v
	default:
		o.wrongType(key, "an object", v)
	}
	return child
}

func (o object) objects(key string) []object {
	var items []object
	switch v := o.m[key].(type) {
	case nil:
	case []any:
		for i, x := range v {
			m, ok := x.(map[string]any)
			if !ok {
				o.wrongType(fmt.Sprintf("%s[%d]", key, i), "an object", x)
				continue
			}
			items = append(items, object{o.r, fmt.Sprintf("%s[%d]", o.at(key), i), m})
		}
	default:
		o.wrongType(key, "a list", v)
	}
	return items
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case json.Number, float64:
		return "a number"
	case bool:
		return "true or false"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	default:
		return fmt.Sprintf("%T", v)
	}
}
