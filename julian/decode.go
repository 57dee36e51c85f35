package julian

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds nesting, so that no reader of a payload needs to fear it.
const maxDepth = 500

// decodeObject reads a body as encoding/json does with UseNumber: of a doubled
// key the last one counts, broken UTF-8 and lone surrogates become U+FFFD. It
// reads in one pass, shares the documented keys, and cuts what needs no
// unquoting out of one copy of the body; decoding is the largest part of the
// receiver's own work.
func decodeObject(body []byte) (map[string]any, error) {
	d := decoder{b: string(body)}
	if strings.HasPrefix(d.b, "\xef\xbb\xbf") {
		d.i = 3
	}
	d.valid = utf8.ValidString(d.b)
	switch d.space() {
	case '{':
	case 0:
		if d.i == len(d.b) {
			return nil, fmt.Errorf("%w: it is empty", ErrNotObject)
		}
		fallthrough
	default:
		return nil, ErrNotObject
	}
	m, err := d.object(1)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrNotObject, err)
	}
	d.space()
	if d.i != len(d.b) {
		return nil, fmt.Errorf("%w: something follows the object", ErrNotObject)
	}
	return m, nil
}

// keys are the documented ones.
var keys = func() map[string]string {
	m := map[string]string{}
	for _, k := range []string{
		"agentId", "agentName", "callId", "name", "phoneNumber", "phoneNumberExt", "fromPhoneNumber",
		"scheduledAt", "timezone", "direction", "customInputVariables", "duration", "callUrl", "rescheduledAt",
		"callResult", "crmSchedulingDetails", "sequence", "resultType", "summary", "extractedVariables",
		"agentActions", "humanActions", "transcription", "outcomes", "followUpMeetingDetails",
		"description", "status", "actionKey", "completedAt", "metadata", "reasoning",
		"startTime", "endTime", "hostEmail", "sequenceId", "lifecycleStatus",
	} {
		m[k] = k
	}
	return m
}()

// fields is how many a documented object has at most, by depth.
var fields = [...]int{0, 18, 8, 5}

type decoder struct {
	b     string
	i     int
	valid bool // b is UTF-8
}

// space skips white space and returns the byte after it, 0 at the end.
func (d *decoder) space() byte {
	for ; d.i < len(d.b); d.i++ {
		switch c := d.b[d.i]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

func (d *decoder) unexpected(want string) error {
	if d.i >= len(d.b) {
		return fmt.Errorf("it ends where %s should be", want)
	}
	r, _ := utf8.DecodeRuneInString(d.b[d.i:])
	return fmt.Errorf("byte %d is %q where %s should be", d.i, r, want)
}

func (d *decoder) value(depth int) (any, error) {
	switch c := d.space(); {
	case c == '"':
		return d.text()
	case c == '{', c == '[':
		if depth == maxDepth {
			return nil, fmt.Errorf("it is nested more than %d deep", maxDepth)
		}
		if c == '{' {
			return d.object(depth + 1)
		}
		return d.list(depth + 1)
	case c == '-', c >= '0' && c <= '9':
		return d.number()
	case d.word("true"):
		return true, nil
	case d.word("false"):
		return false, nil
	case d.word("null"):
		return nil, nil
	default:
		return nil, d.unexpected("a value")
	}
}

func (d *decoder) word(w string) bool {
	if !strings.HasPrefix(d.b[d.i:], w) {
		return false
	}
	d.i += len(w)
	return true
}

func (d *decoder) object(depth int) (map[string]any, error) {
	m := make(map[string]any, fields[min(depth, len(fields)-1)])
	d.i++
	if d.space() == '}' {
		d.i++
		return m, nil
	}
	for {
		if d.space() != '"' {
			return nil, d.unexpected("a key")
		}
		key, err := d.key()
		if err != nil {
			return nil, err
		}
		if d.space() != ':' {
			return nil, d.unexpected("a colon")
		}
		d.i++
		if m[key], err = d.value(depth); err != nil {
			return nil, err
		}
		switch d.space() {
		case ',':
			d.i++
		case '}':
			d.i++
			return m, nil
		default:
			return nil, d.unexpected("a comma or }")
		}
	}
}

func (d *decoder) list(depth int) ([]any, error) {
	list := []any{}
	d.i++
	if d.space() == ']' {
		d.i++
		return list, nil
	}
	for {
		v, err := d.value(depth)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		switch d.space() {
		case ',':
			d.i++
		case ']':
			d.i++
			return list, nil
		default:
			return nil, d.unexpected("a comma or ]")
		}
	}
}

func (d *decoder) key() (string, error) {
	quoted, plain, err := d.quoted()
	if err != nil {
		return "", err
	}
	if k, ok := keys[quoted[1:len(quoted)-1]]; ok {
		return k, nil
	}
	return d.unquote(quoted, plain)
}

func (d *decoder) text() (string, error) {
	quoted, plain, err := d.quoted()
	if err != nil {
		return "", err
	}
	return d.unquote(quoted, plain)
}

// quoted returns a string with its quotes; plain means that it holds no escape.
func (d *decoder) quoted() (s string, plain bool, err error) {
	start := d.i
	plain = true
	for d.i++; d.i < len(d.b); d.i++ {
		switch c := d.b[d.i]; {
		case c == '"':
			d.i++
			return d.b[start:d.i], plain, nil
		case c == '\\':
			plain = false
			d.i++
		case c < 0x20:
			return "", false, d.unexpected("a character of a string")
		}
	}
	d.i = len(d.b)
	return "", false, d.unexpected("the end of a string")
}

func (d *decoder) unquote(quoted string, plain bool) (s string, err error) {
	if inner := quoted[1 : len(quoted)-1]; plain && (d.valid || utf8.ValidString(inner)) {
		return inner, nil
	}
	if json.Unmarshal([]byte(quoted), &s) != nil {
		return "", fmt.Errorf("a string holds an escape that JSON does not have")
	}
	return s, nil
}

func (d *decoder) number() (json.Number, error) {
	start := d.i
	if d.b[d.i] == '-' {
		d.i++
	}
	if d.at('0') {
		d.i++
	} else if !d.digits() {
		return "", d.unexpected("a digit")
	}
	if d.at('.') {
		d.i++
		if !d.digits() {
			return "", d.unexpected("a digit")
		}
	}
	if d.at('e') || d.at('E') {
		d.i++
		if d.at('+') || d.at('-') {
			d.i++
		}
		if !d.digits() {
			return "", d.unexpected("a digit")
		}
	}
	return json.Number(d.b[start:d.i]), nil
}

func (d *decoder) at(c byte) bool { return d.i < len(d.b) && d.b[d.i] == c }

func (d *decoder) digits() bool {
	start := d.i
	for d.i < len(d.b) && d.b[d.i] >= '0' && d.b[d.i] <= '9' {
		d.i++
	}
	return d.i > start
}
