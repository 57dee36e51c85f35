package julian

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"strings"
	"time"
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
	if strings.ContainsFunc(c.CallID, func(r rune) bool { return r < 0x20 || r == 0x7f || r == utf8.RuneError }) {
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
	c.Warnings = r.warnings
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

// Canonical returns body in a form in which two bodies are equal when they mean
// the same: keys sorted, no spacing, one spelling for each string and number.
// The error is [ErrNotObject].
func Canonical(body []byte) ([]byte, error) {
	raw, err := decodeObject(body)
	if err != nil {
		return nil, err
	}
	return CanonicalRaw(raw)
}

// CanonicalRaw is [Canonical] for a decoded payload.
func CanonicalRaw(raw map[string]any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(canonicalValue(raw)); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrNotObject, err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// Hash is the identity of a body: the SHA-256 of its canonical form, in hex.
func Hash(canonical []byte) string {
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:])
}

func canonicalValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[k] = canonicalValue(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = canonicalValue(x)
		}
		return out
	case json.Number:
		return canonicalNumber(v)
	default:
		return v
	}
}

// maxExponent bounds the numbers that are written out in full; a larger one
// keeps its spelling.
const maxExponent = 400

func canonicalNumber(n json.Number) json.Number {
	s := string(n)
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		var exp int
		if _, err := fmt.Sscanf(s[i+1:], "%d", &exp); err != nil || exp > maxExponent || exp < -maxExponent {
			return n
		}
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return n
	}
	if r.IsInt() {
		return json.Number(r.Num().String())
	}
	digits, exact := r.FloatPrec()
	if !exact {
		return n
	}
	return json.Number(r.FloatString(digits))
}

func decodeObject(body []byte) (map[string]any, error) {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%w: it is empty", ErrNotObject)
		}
		return nil, fmt.Errorf("%w: %v", ErrNotObject, err)
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, ErrNotObject
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: something follows the object", ErrNotObject)
	}
	return m, nil
}

// A reader collects warnings while fields are read.
type reader struct{ warnings []Warning }

func (r *reader) warn(field, text string) {
	r.warnings = append(r.warnings, Warning{Field: field, Text: text})
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
	switch v := o.m[key].(type) {
	case nil:
		return 0
	case json.Number:
		text = v.String()
	case string:
		o.wrongType(key, "a number", v)
		text = strings.TrimSpace(v)
	default:
		o.wrongType(key, "a number", v)
		return 0
	}
	var f float64
	if err := json.Unmarshal([]byte(text), &f); err != nil || f < 0 || f > math.MaxInt32 {
		o.r.warn(o.at(key), "is not a usable number")
		return 0
	}
	return int(math.Round(f))
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
