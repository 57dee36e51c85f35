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
// reads in one pass and cuts what needs no unquoting out of one copy of the body.
// The tape is appended to room.
func decodeObject(body []byte, room tape) (tape, error) {
	d := decoder{b: string(body), tape: room}
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
	if err := d.object("", 1); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrNotObject, err)
	}
	d.space()
	if d.i != len(d.b) {
		return nil, fmt.Errorf("%w: something follows the object", ErrNotObject)
	}
	return d.tape, nil
}

type decoder struct {
	b     string
	i     int
	valid bool // b is UTF-8
	tape  tape
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

func (d *decoder) value(key string, depth int) error {
	switch c := d.space(); {
	case c == '"':
		s, err := d.text()
		d.tape = d.tape.add(key, text, s)
		return err
	case c == '{', c == '[':
		if depth == maxDepth {
			return fmt.Errorf("it is nested more than %d deep", maxDepth)
		}
		if c == '{' {
			return d.object(key, depth+1)
		}
		return d.list(key, depth+1)
	case c == '-', c >= '0' && c <= '9':
		s, err := d.number()
		d.tape = d.tape.add(key, number, s)
		return err
	case d.word("true"):
		d.tape = d.tape.add(key, yes, "")
	case d.word("false"):
		d.tape = d.tape.add(key, no, "")
	case d.word("null"):
		d.tape = d.tape.add(key, null, "")
	default:
		return d.unexpected("a value")
	}
	return nil
}

func (d *decoder) word(w string) bool {
	if !strings.HasPrefix(d.b[d.i:], w) {
		return false
	}
	d.i += len(w)
	return true
}

func (d *decoder) object(key string, depth int) error {
	at := len(d.tape)
	d.tape = d.tape.add(key, object, "")
	d.i++
	if d.space() == '}' {
		d.i++
		return nil
	}
	for {
		if d.space() != '"' {
			return d.unexpected("a key")
		}
		key, err := d.text()
		if err != nil {
			return err
		}
		if d.space() != ':' {
			return d.unexpected("a colon")
		}
		d.i++
		if err = d.value(key, depth); err != nil {
			return err
		}
		switch d.space() {
		case ',':
			d.i++
		case '}':
			d.i++
			d.tape.end(at)
			return nil
		default:
			return d.unexpected("a comma or }")
		}
	}
}

func (d *decoder) list(key string, depth int) error {
	at := len(d.tape)
	d.tape = d.tape.add(key, list, "")
	d.i++
	if d.space() == ']' {
		d.i++
		return nil
	}
	for {
		if err := d.value("", depth); err != nil {
			return err
		}
		switch d.space() {
		case ',':
			d.i++
		case ']':
			d.i++
			d.tape.end(at)
			return nil
		default:
			return d.unexpected("a comma or ]")
		}
	}
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

func (d *decoder) unquote(quoted string, plain bool) (string, error) {
	if inner := quoted[1 : len(quoted)-1]; plain && (d.valid || utf8.ValidString(inner)) {
		return inner, nil
	}
	var s string
	if json.Unmarshal([]byte(quoted), &s) != nil {
		return "", fmt.Errorf("a string holds an escape that JSON does not have")
	}
	return s, nil
}

func (d *decoder) number() (string, error) {
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
	return d.b[start:d.i], nil
}

func (d *decoder) at(c byte) bool { return d.i < len(d.b) && d.b[d.i] == c }

func (d *decoder) digits() bool {
	start := d.i
	for d.i < len(d.b) && d.b[d.i] >= '0' && d.b[d.i] <= '9' {
		d.i++
	}
	return d.i > start
}
