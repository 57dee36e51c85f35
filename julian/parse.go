package julian

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
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
	o := object{r: &r, m: raw}

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
	c.CustomInputVariables = o.members("customInputVariables")
	c.Duration = o.integer("duration")
	c.CallURL = o.str("callUrl")
	c.RescheduledAt = o.time("rescheduledAt")
	c.Result = parseResult(o.object("callResult"))
	c.CRMSchedulingDetails = o.members("crmSchedulingDetails")
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
		ExtractedVariables: o.members("extractedVariables"),
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
			Metadata:    x.members("metadata"),
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

// An object is a JSON object being read, with its path for warnings, which is
// put together only for one.
type object struct {
	r     *reader
	path  string
	list  string // the list it is an item of, if any, and its place there
	place int
	m     map[string]any
}

func (o object) at(key string) string { return join(o.where(), key) }

func (o object) where() string {
	if o.list == "" {
		return o.path
	}
	return fmt.Sprintf("%s[%d]", join(o.path, o.list), o.place)
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
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
		if n, err := strconv.ParseInt(string(v), 10, 32); err == nil && n >= 0 {
			return int(n)
		}
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
	m := o.members(key)
	if m == nil {
		return object{}
	}
	return object{r: o.r, path: o.at(key), m: m}
}

// members are an object's that is taken as it is.
func (o object) members(key string) map[string]any {
	switch v := o.m[key].(type) {
	case nil:
	case map[string]any:
		return v
	default:
		o.wrongType(key, "an object", v)
	}
	return nil
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
			items = append(items, object{r: o.r, path: o.where(), list: key, place: i, m: m})
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
