package hubspot

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// hidden stands where a value was.
const hidden = "…"

// maxMessage bounds an error's message, in characters.
const maxMessage = 400

var (
	emailText  = regexp.MustCompile(`[^\s"'<>()\[\],;:=]+@[^\s"'<>()\[\],;:=]+`)
	numberText = regexp.MustCompile(`\+?\d[\d\s().-]{5,}\d`)
	quotedText = regexp.MustCompile(`"[^"]*"|“[^”]*”|'[^']*'`)
	nameText   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)+$|^[A-Z]{2,}$`)
	ownName    = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)
	uuidText   = regexp.MustCompile(`^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	tokenText  = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,100}$`)
)

// A redactor takes personal data out of HubSpot's messages, which like to echo
// the value they complain about. It knows what was sent.
type redactor struct {
	values []string        // sent values, longest first
	names  map[string]bool // sent property names
}

func newRedactor(sent []byte) *redactor {
	r := &redactor{names: map[string]bool{}}
	var body any
	if len(sent) > 0 && json.Unmarshal(sent, &body) == nil {
		r.collect("", body)
	}
	slices.SortFunc(r.values, func(a, b string) int { return len(b) - len(a) })
	return r
}

// collect gathers the values and property names in a request's body: values are
// found below "properties", and under "value", "values" and "id".
func (r *redactor) collect(under string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, e := range v {
			if under == "properties" {
				r.names[name] = true
				name = "value"
			}
			r.collect(name, e)
		}
	case []any:
		for _, e := range v {
			r.collect(under, e)
		}
	case string:
		switch under {
		case "value", "values", "id":
			if v != "" {
				r.values = append(r.values, v)
			}
		case "properties", "propertyName", "idProperty", "name":
			r.names[v] = true
		}
	}
}

// clean returns s without sent values, emails, long numbers, and quoted text
// that is not evidently the name of a property or an option.
func (r *redactor) clean(s string) string {
	for _, v := range r.values {
		if !r.names[v] {
			s = hide(s, v)
		}
	}
	s = emailText.ReplaceAllString(s, hidden)
	s = numberText.ReplaceAllString(s, hidden)
	s = quotedText.ReplaceAllStringFunc(s, func(q string) string {
		inner := strings.Trim(q, `"'“”`)
		if nameText.MatchString(inner) || r.names[inner] && ownName.MatchString(inner) {
			return q
		}
		return `"` + hidden + `"`
	})
	if runes := []rune(s); len(runes) > maxMessage {
		s = string(runes[:maxMessage]) + hidden
	}
	return s
}

// token returns s if it is a name or an id and not something that was sent as a
// value, and "" otherwise.
func (r *redactor) token(s string) string {
	if !tokenText.MatchString(s) || !r.names[s] && r.clean(s) != s && !uuidText.MatchString(s) {
		return ""
	}
	return s
}

// hide replaces a value wherever it stands; a short one only where it is a word
// of its own.
func hide(s, value string) string {
	if len(value) > 3 {
		return strings.ReplaceAll(s, value, hidden)
	}
	var b strings.Builder
	for {
		i := strings.Index(s, value)
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		end := i + len(value)
		before, _ := utf8.DecodeLastRuneInString(s[:i])
		after, _ := utf8.DecodeRuneInString(s[end:])
		b.WriteString(s[:i])
		if i > 0 && isWord(before) || end < len(s) && isWord(after) {
			b.WriteString(value)
		} else {
			b.WriteString(hidden)
		}
		s = s[end:]
	}
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' }
