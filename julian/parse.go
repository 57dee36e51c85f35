package julian

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
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

// maxName bounds, in bytes, what calls are told apart and listed by: agentId,
// direction and resultType. 11x's have some twenty.
const maxName = 200

// Parse reads a callResults body. The error is [ErrNotObject], [ErrNoCallID], or
// wraps one of them; everything else that is wrong becomes a warning.
func Parse(body []byte) (*Call, error) {
	t, err := decodeObject(body, nil)
	if err != nil {
		return nil, err
	}
	return read(t, t.members(0), utf8.Valid(body))
}

// Receive is [Parse] and the [Hash] of the [Canonical] form for one who does not
// look into the call: its maps and Raw are nil, which saves most of the work.
func Receive(body []byte) (c *Call, hash string, err error) {
	s := scratches.Get().(*scratch)
	defer s.release()
	if s.tape, err = decodeObject(body, s.tape[:0]); err != nil {
		return nil, "", err
	}
	if c, err = read(s.tape, nil, utf8.Valid(body)); err != nil {
		return nil, "", err
	}
	s.canonical = s.tape.canonical(s.canonical[:0], 0)
	return c, Hash(s.canonical), nil
}

// A scratch is room that deliveries of usual size need one after the other.
type scratch struct {
	tape      tape
	canonical []byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func (s *scratch) release() {
	if cap(s.tape) > 1<<10 || cap(s.canonical) > 64<<10 {
		return
	}
	clear(s.tape) // which refers to the body
	scratches.Put(s)
}

// read takes a call off its tape. raw is the same as maps and lists, and nil if
// the call is to have none; valid says that the body is UTF-8.
func read(t tape, raw map[string]any, valid bool) (*Call, error) {
	r := reader{tape: t}
	if !valid {
		r.warn("body", "is not UTF-8 throughout; what is not was replaced by U+FFFD")
	}
	c := &Call{Raw: raw}
	o := fields{r: &r, m: raw}

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
	c.AgentID = o.name("agentId")
	c.AgentName = o.str("agentName")
	c.Name = o.str("name")
	c.PhoneNumber = o.str("phoneNumber")
	c.PhoneNumberExt = o.str("phoneNumberExt")
	c.FromPhoneNumber = o.str("fromPhoneNumber")
	c.ScheduledAt = o.time("scheduledAt")
	c.Timezone = o.str("timezone")
	c.Direction = strings.ToLower(o.name("direction"))
	c.CustomInputVariables = o.members("customInputVariables")
	c.Duration = o.integer("duration")
	c.CallURL = o.str("callUrl")
	c.RescheduledAt = o.time("rescheduledAt")
	c.Result = parseResult(o.object("callResult"))
	if p, _ := o.find("callResult"); p.kind == null {
		r.warn("callResult", "is missing; treated as terminal, without a result")
	}
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

func parseResult(o fields) Result {
	res := Result{
		ResultType:         ResultType(o.name("resultType")),
		Summary:            o.str("summary"),
		ExtractedVariables: o.members("extractedVariables"),
		AgentActions:       parseActions(o.objects("agentActions")),
		HumanActions:       parseActions(o.objects("humanActions")),
		Transcription:      o.str("transcription"),
	}
	for _, x := range o.objects("outcomes") {
		res.Outcomes = append(res.Outcomes, Outcome{Name: x.str("name"), Reasoning: x.str("reasoning")})
	}
	if f := o.object("followUpMeetingDetails"); !f.empty() {
		res.FollowUp = &FollowUpMeeting{
			StartTime: f.time("startTime"),
			EndTime:   f.time("endTime"),
			HostEmail: f.str("hostEmail"),
		}
	}
	return res
}

func parseActions(items []fields) []Action {
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
	tape     tape
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

// Fields are those of a JSON object being read, with its path for warnings,
// which is put together only for one. Without a reader there are none.
type fields struct {
	r     *reader
	i     int // of the object on the tape
	path  string
	list  string // the list it is an item of, if any, and its place there
	place int
	m     map[string]any // the object, if the call is to have it
}

func (o fields) at(key string) string { return join(o.where(), key) }

func (o fields) where() string {
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

func (o fields) empty() bool { return o.r == nil || int(o.r.tape[o.i].next) == o.i+1 }

// find returns a field and where it is; one that is missing is null.
func (o fields) find(key string) (part, int) {
	if o.r == nil {
		return part{}, 0
	}
	i := o.r.tape.find(o.i, key)
	if i == 0 {
		return part{}, 0
	}
	return o.r.tape[i], i
}

func (o fields) wrongType(key, want string, got kind) {
	o.r.warn(o.at(key), fmt.Sprintf("should be %s, is %s", want, got))
}

func (o fields) str(key string) string {
	p, _ := o.find(key)
	switch p.kind {
	case null, text:
	default:
		o.wrongType(key, "a string", p.kind)
	}
	return p.text
}

// name is a str that must not be long; what is too much of it is cut off.
func (o fields) name(key string) string {
	s := o.str(key)
	if len(s) <= maxName {
		return s
	}
	o.r.warn(o.at(key), fmt.Sprintf("has %d bytes; cut to %d", len(s), maxName))
	return strings.ToValidUTF8(s[:maxName], "")
}

func (o fields) integer(key string) int {
	p, _ := o.find(key)
	s := p.text
	switch p.kind {
	case null:
		return 0
	case number:
		if n, err := strconv.ParseInt(s, 10, 32); err == nil && n >= 0 {
			return int(n)
		}
	case text:
		s = strings.TrimSpace(s)
	default:
		o.wrongType(key, "a number", p.kind)
		return 0
	}
	var f *float64 // stays nil for a quoted null
	if err := json.Unmarshal([]byte(s), &f); err != nil || f == nil || *f < 0 || *f > math.MaxInt32 {
		o.r.warn(o.at(key), "is not a usable number")
		return 0
	}
	if p.kind == text {
		o.r.warn(o.at(key), "should be a number, is a string")
	}
	return int(math.Round(*f))
}

func (o fields) time(key string) *time.Time {
	p, _ := o.find(key)
	switch p.kind {
	case null:
		return nil
	case text:
	default:
		o.wrongType(key, "an RFC 3339 time", p.kind)
		return nil
	}
	s := strings.TrimSpace(p.text)
	if s == "" {
		return nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	// The year is counted in UTC, in which times are kept: the last hours of 9999
	// in America are in a year for which JSON has no form.
	if y := t.UTC().Year(); err != nil || y < 1970 || y > 9999 {
		o.r.warn(o.at(key), "is not an RFC 3339 time; ignored")
		return nil
	}
	return &t
}

func (o fields) object(key string) fields {
	i := o.typed(key, object)
	if i == 0 {
		return fields{}
	}
	return fields{r: o.r, i: i, path: o.at(key), m: o.members(key)}
}

// members are an object's that is taken as it is.
func (o fields) members(key string) map[string]any {
	o.typed(key, object)
	m, _ := o.m[key].(map[string]any)
	return m
}

// typed returns where a field of a kind is; 0 when it is missing, or warned of.
func (o fields) typed(key string, k kind) int {
	p, i := o.find(key)
	switch p.kind {
	case k:
		return i
	case null:
	default:
		o.wrongType(key, k.String(), p.kind)
	}
	return 0
}

func (o fields) objects(key string) []fields {
	at := o.typed(key, list)
	if at == 0 {
		return nil
	}
	t := o.r.tape
	raw, _ := o.m[key].([]any)
	var items []fields
	for c, n := at+1, 0; c < int(t[at].next); c, n = int(t[c].next), n+1 {
		if t[c].kind != object {
			o.wrongType(fmt.Sprintf("%s[%d]", key, n), object.String(), t[c].kind)
			continue
		}
		item := fields{r: o.r, i: c, path: o.where(), list: key, place: n}
		if raw != nil {
			item.m, _ = raw[n].(map[string]any)
		}
		items = append(items, item)
	}
	return items
}
