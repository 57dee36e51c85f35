package salesforcesim

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// decodeJSON reads one JSON value and nothing after it.
func decodeJSON(r io.Reader, v any) *apiError {
	dec := json.NewDecoder(r)
	dec.UseNumber()
	err := dec.Decode(v)
	if err == nil {
		if _, err = dec.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		err = errors.New("unexpected content after the end of the body")
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("unexpected end of the body")
	}
	return parseError("%v", err)
}

// kindName names a JSON value the way the parser's messages do.
func kindName(v any) string {
	switch v := v.(type) {
	case string:
		return "VALUE_STRING"
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return "VALUE_NUMBER_FLOAT"
		}
		return "VALUE_NUMBER_INT"
	case bool:
		if v {
			return "VALUE_TRUE"
		}
		return "VALUE_FALSE"
	case map[string]any:
		return "START_OBJECT"
	case []any:
		return "START_ARRAY"
	}
	return "VALUE_NULL"
}

// fromJSON turns a body's value into the stored form. The type must fit: the
// REST API converts neither strings to numbers nor the reverse.
func (f *field) fromJSON(v any) (any, *apiError) {
	if v == nil {
		if f.Type == "boolean" {
			return nil, bad("INVALID_TYPE_ON_FIELD_IN_RECORD", f.Label+": value not of required type: null", f.Name)
		}
		return nil, nil
	}
	mismatch := func(as string) *apiError {
		shown := ""
		if s, ok := v.(json.Number); ok {
			shown = " value " + s.String()
		} else if s, ok := v.(string); ok {
			shown = " value " + s
		}
		return parseError("Cannot deserialize instance of %s from %s%s or request may be missing a required field",
			as, kindName(v), shown)
	}
	switch {
	case f.Type == "boolean":
		if b, ok := v.(bool); ok {
			return b, nil
		}
		return nil, mismatch("boolean")
	case f.numeric():
		n, ok := v.(json.Number)
		if !ok {
			return nil, mismatch(f.Type)
		}
		x, err := n.Float64()
		if err != nil || f.Type == "int" && x != math.Trunc(x) {
			return nil, mismatch(f.Type)
		}
		return x, nil
	}
	s, ok := v.(string)
	if !ok {
		return nil, mismatch("string")
	}
	switch f.Type {
	case "date":
		t, err := time.Parse(dateLayout, s)
		if err != nil {
			return nil, mismatch("date")
		}
		return t.Format(dateLayout), nil
	case "datetime":
		t, err := parseDateTime(s)
		if err != nil {
			return nil, mismatch("datetime")
		}
		return stamp(t), nil
	}
	if s = strings.TrimSpace(s); s == "" {
		return nil, nil
	}
	return s, nil
}

// parseDateTime reads the ISO 8601 forms the API takes. Instants are kept to
// the second; Salesforce drops fractions.
func parseDateTime(s string) (time.Time, error) {
	var err error
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04Z07:00"} {
		var t time.Time
		if t, err = time.Parse(layout, s); err == nil {
			return t.Truncate(time.Second), nil
		}
	}
	return time.Time{}, err
}

// validEmail is looser than RFC 5322 and as strict as Salesforce about dots.
var validEmail = regexp.MustCompile(`^[^\s@,;<>()"]+@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+$`)

// check refuses a value that the field cannot hold. It may return a corrected
// one: a reference in its 18-character form.
func (c *call) check(f *field, v any) (any, *apiError) {
	switch v := v.(type) {
	case float64:
		if f.Type == "int" && (v > math.MaxInt32 || v < math.MinInt32) {
			return nil, bad("NUMBER_OUTSIDE_VALID_RANGE", f.Label+": value outside of valid range", f.Name)
		}
	case string:
		if f.Type == "reference" {
			return c.checkReference(f, v)
		}
		if f.Length > 0 && utf8.RuneCountInString(v) > f.Length {
			return nil, bad("STRING_TOO_LONG", f.Label+": data value too large: "+v+" (max length="+toText(float64(f.Length))+")", f.Name)
		}
		if f.Type == "email" && !validEmail.MatchString(v) {
			return nil, bad("INVALID_EMAIL_ADDRESS", f.Label+": invalid email address: "+v, f.Name)
		}
		if f.Type == "picklist" && f.is(restricted) && !slices.Contains(f.Values, v) {
			return nil, bad("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
				f.Label+": bad value for restricted picklist field: "+v, f.Name)
		}
	}
	return v, nil
}

func (c *call) checkReference(f *field, v string) (any, *apiError) {
	id, ok := canonicalID(v)
	if !ok {
		return nil, bad("MALFORMED_ID", f.Label+": id value of incorrect type: "+v, f.Name)
	}
	if o := c.g.prefix[id[:3]]; o == nil || !slices.Contains(f.To, o.Name) {
		return nil, bad("FIELD_INTEGRITY_EXCEPTION", f.Label+": id value of incorrect type: "+v, f.Name)
	}
	target := c.g.find(id)
	switch {
	case target == nil:
		return nil, bad("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
	case target.deleted:
		return nil, bad("ENTITY_IS_DELETED", "entity is deleted")
	case target.object.Name == "Lead" && target.flag("IsConverted"):
		return nil, bad("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
	}
	return id, nil
}

// toJSON renders a stored value.
func (f *field) toJSON(v any) any {
	if v == nil && f.Type == "boolean" {
		return false
	}
	return v
}

// statusOf maps a record-level errorCode to the HTTP status of a row resource.
func statusOf(e *apiError) int {
	if e.code == "ENTITY_IS_DELETED" {
		return http.StatusNotFound
	}
	return e.status
}
