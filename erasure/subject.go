package erasure

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
)

// ErrSubject is what [Subject.Check] wraps: it names nobody, or too many.
var ErrSubject = errors.New("name a person by exactly one of phone and email, or one call by its id")

// A Subject is who or what is to be erased: exactly one field is set.
type Subject struct {
	Phone string `json:"phone,omitempty"` // with its country code
	Email string `json:"email,omitempty"`
	Call  string `json:"call,omitempty"` // callId; its person stays if other calls are theirs
}

// Check reports a subject that names nobody. The error does not quote it.
func (s Subject) Check() error {
	_, err := s.matcher()
	return err
}

// A matcher recognizes a subject in what callsync keeps.
type matcher struct {
	callID   string
	email    string // lower case
	phone    crm.Phone
	region   string // where the number is written without its country code
	identity string // key in identity maps
}

// leastDigits is how many digits of a number have to stand together in a text to
// count as a mention of it.
const leastDigits = 7

func (s Subject) matcher() (*matcher, error) {
	named := 0
	for _, part := range []string{s.Phone, s.Email, s.Call} {
		if part != "" {
			named++
		}
	}
	m := &matcher{callID: s.Call}
	switch {
	case named != 1:
		return nil, ErrSubject
	case s.Phone != "":
		p, ok := crm.ParsePhone(s.Phone, "")
		if !ok {
			return nil, fmt.Errorf("%w: the phone number must have its country code, such as +14155550123", ErrSubject)
		}
		m.phone, m.region = p, phonenumbers.GetRegionCodeForCountryCode(p.Country)
		m.identity = string(crm.MatchPhone) + ":" + p.E164
	case s.Email != "":
		m.email = strings.ToLower(strings.TrimSpace(s.Email))
		if at := strings.IndexByte(m.email, '@'); at < 1 || at == len(m.email)-1 || strings.ContainsFunc(m.email, unicode.IsSpace) {
			return nil, fmt.Errorf("%w: this is not an email address", ErrSubject)
		}
		m.identity = string(crm.MatchEmail) + ":" + m.email
	}
	return m, nil
}

// A finding of a matcher in one text or body.
type sight int

const (
	absent    sight = iota
	mentioned       // among other words, or in somebody else's field
	theirs          // a value of its own, so that the body is about the subject
)

// body looks at a payload. One that is not JSON can only mention the subject.
func (m *matcher) body(body []byte) sight {
	if m.callID != "" {
		if quoted, err := json.Marshal(m.callID); err == nil && bytes.Contains(body, quoted) {
			return mentioned
		}
		return absent
	}
	if !m.mayHold(body) {
		return absent
	}
	call, err := julian.Parse(body)
	if err == nil {
		return m.within(call.Raw, "")
	}
	var v any
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if dec.Decode(&v) == nil && !dec.More() {
		return m.within(v, "")
	}
	return min(m.text(string(body)), mentioned)
}

// mayHold tells most bodies that do not name the subject without the cost of
// parsing them. An escape may hide any character.
func (m *matcher) mayHold(body []byte) bool {
	if bytes.Contains(body, []byte(`\u`)) || m.email != "" && bytes.IndexByte(body, '\\') >= 0 && strings.Contains(m.email, "/") {
		return true
	}
	if m.email != "" {
		return bytes.Contains(bytes.ToLower(body), []byte(m.email))
	}
	var run []byte // of digits, whatever stands between them in a value
	for _, r := range string(body) {
		switch {
		case r >= '0' && r <= '9':
			run = append(run, byte(r))
			if bytes.HasSuffix(run, []byte(m.phone.National)) {
				return true
			}
		case r == '"':
			run = run[:0]
		case r > unicode.MaxASCII && unicode.IsDigit(r):
			return true // in another script: worth a closer look
		}
	}
	return false
}

// ofOthers are the fields that name callsync's own people and lines.
var ofOthers = []string{"fromPhoneNumber", "callResult.followUpMeetingDetails.hostEmail"}

func (m *matcher) within(v any, path string) sight {
	found := absent
	switch v := v.(type) {
	case map[string]any:
		for name, x := range v {
			at := name
			if path != "" {
				at = path + "." + name
			}
			found = max(found, m.within(x, at), min(m.text(name), mentioned))
		}
	case []any:
		for _, x := range v {
			found = max(found, m.within(x, path))
		}
	case json.Number:
		found = m.text(v.String())
	case string:
		found = m.text(v)
	}
	if found == theirs && slices.Contains(ofOthers, path) {
		return mentioned
	}
	return found
}

// text looks at one value.
func (m *matcher) text(s string) sight {
	switch {
	case m.email != "":
		s = strings.ToLower(strings.TrimSpace(s))
		if s == m.email {
			return theirs
		}
		if m.written(s) {
			return mentioned
		}
	case m.phone.E164 != "":
		if p, ok := crm.ParsePhone(s, m.region); ok && p.E164 == m.phone.E164 && alone(s) {
			return theirs
		}
		if m.spoken(s) {
			return mentioned
		}
	}
	return absent
}

// alone reports whether a text is a number and nothing more, but for an
// extension.
func alone(s string) bool {
	number, _, _ := strings.Cut(strings.ToLower(s), "x")
	return !strings.ContainsFunc(strings.TrimSuffix(number, "e"), unicode.IsLetter)
}

// written reports whether the address stands in a text that is in lower case, and
// not as a part of a longer one.
func (m *matcher) written(s string) bool {
	for rest := s; ; {
		i := strings.Index(rest, m.email)
		if i < 0 {
			return false
		}
		before, _ := utf8.DecodeLastRuneInString(rest[:i])
		next, _ := utf8.DecodeRuneInString(rest[i+len(m.email):])
		if !partOfAddress(before) && !unicode.IsLetter(next) && !unicode.IsDigit(next) && next != '-' {
			return true
		}
		rest = rest[i+1:]
	}
}

func partOfAddress(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._%+-", r))
}

// spoken reports whether the number's digits stand in a text, in any punctuation
// and with or without its country code. Short numbers are not looked for.
func (m *matcher) spoken(s string) bool {
	want := m.phone.National
	if len(want) < leastDigits {
		return false
	}
	var run []byte
	for _, r := range s {
		switch {
		case r >= '0' && r <= '9':
			run = append(run, byte(r))
			if bytes.HasSuffix(run, []byte(want)) {
				return true
			}
		case strings.ContainsRune("+.()/ \u00a0\u2009", r), unicode.Is(unicode.Pd, r):
		default:
			run = run[:0]
		}
	}
	return false
}
