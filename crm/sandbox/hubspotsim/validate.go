package hubspotsim

import (
	"cmp"
	"fmt"
	"maps"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxText is the most a property holds, in characters. Source: HubSpot calls
// guide, for hs_call_body.
const maxText = 65_536

// checkValues checks the values of a write and returns them as they would be
// stored. nil and "" clear a property.
func (s *Server) checkValues(t *objectType, props map[string]*string) (map[string]string, *apiError) {
	values := make(map[string]string, len(props))
	var bad []badValue
	for _, name := range slices.Sorted(maps.Keys(props)) {
		p := t.properties[name]
		if p == nil || p.Archived {
			bad = append(bad, badValue{name, "PROPERTY_DOESNT_EXIST", fmt.Sprintf("Property %q does not exist", name)})
			continue
		}
		if p.Modification.ReadOnlyValue {
			bad = append(bad, badValue{name, "READ_ONLY_VALUE", fmt.Sprintf("%q is a read only property; its value cannot be set.", name)})
			continue
		}
		if v := props[name]; v == nil || *v == "" {
			values[name] = ""
			continue
		}
		stored, code, message := s.checkValue(t, p, *props[name])
		if code != "" {
			bad = append(bad, badValue{name, code, message})
			continue
		}
		values[name] = stored
	}
	if bad != nil {
		return nil, s.badValues(bad)
	}
	return values, s.refusal(t, values)
}

// refusal refuses what the settings say must be.
func (s *Server) refusal(t *objectType, values map[string]string) *apiError {
	for i := range s.settings.Refusals {
		r := &s.settings.Refusals[i]
		if r.Object != t.name || !strings.Contains(values[r.Property], r.Contains) {
			continue
		}
		e := invalid("The request could not be processed")
		e.status, e.Category = cmp.Or(r.Status, e.status), cmp.Or(r.Category, e.Category)
		if r.Times > 0 {
			if r.Times--; r.Times == 0 {
				s.settings.Refusals = slices.Delete(s.settings.Refusals, i, i+1)
			}
		}
		return e
	}
	return nil
}

// checkValue checks one non-empty value. It returns the stored form, or an
// error code with its message.
func (s *Server) checkValue(t *objectType, p *property, v string) (stored, code, message string) {
	if utf8.RuneCountInString(v) > maxText {
		return "", "VALUE_TOO_LONG", fmt.Sprintf("%s may hold at most %d characters", p.Name, maxText)
	}
	if !utf8.ValidString(v) {
		return "", "INVALID_STRING", fmt.Sprintf("%s is not valid UTF-8", p.Name)
	}
	switch p.Type {
	case "bool":
		if v != "true" && v != "false" {
			return "", "INVALID_BOOLEAN", fmt.Sprintf("%s was not a valid boolean.", v)
		}
	case "number":
		if !plainNumber(v) {
			return "", "INVALID_NUMBER", fmt.Sprintf("%s was not a valid number.", v)
		}
	case "date":
		return checkDate(v)
	case "datetime":
		at, ok := parseTime(v)
		if !ok {
			return "", "INVALID_LONG", fmt.Sprintf("%s was not a valid long.", v)
		}
		return stamp(at), "", ""
	case "enumeration":
		return s.checkOption(p, v)
	default:
		return s.checkString(t, p, v)
	}
	return v, "", ""
}

func (s *Server) checkString(t *objectType, p *property, v string) (stored, code, message string) {
	switch {
	case t.name == "contacts" && p.Name == "email":
		v = strings.ToLower(strings.TrimSpace(v))
		if !validEmail(v) {
			return "", "INVALID_EMAIL", fmt.Sprintf("Email address %s is invalid", v)
		}
		if t.blocked[v] {
			return "", "INVALID_EMAIL", "Email address has been GDPR deleted and is blocklisted"
		}
	case p.Name == "hs_call_recording_url":
		if u, err := url.Parse(v); err != nil || u.Scheme != "https" || u.Host == "" {
			return "", "INVALID_URL", "hs_call_recording_url is not an https URL"
		}
	}
	return v, "", ""
}

func (s *Server) checkOption(p *property, v string) (stored, code, message string) {
	values := []string{v}
	if p.FieldType == "checkbox" {
		values = strings.Split(strings.Trim(v, ";"), ";")
	}
	for _, one := range values {
		if !s.hasOption(p, one) {
			return "", "INVALID_OPTION", fmt.Sprintf("%s was not one of the allowed options: %s", one, optionLabels(p))
		}
	}
	return v, "", ""
}

func (s *Server) hasOption(p *property, v string) bool {
	switch p.Name {
	case "hubspot_owner_id":
		return slices.ContainsFunc(s.owners, func(o Owner) bool { return o.ID == v && !o.Archived })
	case "hs_call_disposition":
		return slices.ContainsFunc(dispositions, func(d disposition) bool { return d.ID == v && !d.Deleted })
	}
	return slices.ContainsFunc(p.Options, func(o option) bool { return o.Value == v })
}

func optionLabels(p *property) string {
	labels := make([]string, len(p.Options))
	for i, o := range p.Options {
		labels[i] = fmt.Sprintf("label: %q value: %q", o.Label, o.Value)
	}
	return "[" + strings.Join(labels, ", ") + "]"
}

func checkDate(v string) (stored, code, message string) {
	if d, err := time.Parse(time.DateOnly, v); err == nil {
		return d.Format(time.DateOnly), "", ""
	}
	at, ok := parseTime(v)
	if !ok {
		return "", "INVALID_DATE", fmt.Sprintf("%s was not a valid date.", v)
	}
	if at = at.UTC(); !at.Equal(at.Truncate(24 * time.Hour)) {
		return "", "INVALID_DATE", fmt.Sprintf("%s is at %s UTC, not midnight!", v, at.Format("15:4:5.999"))
	}
	return at.Format(time.DateOnly), "", ""
}

// parseTime reads what HubSpot reads: RFC 3339 or milliseconds since 1970.
func parseTime(v string) (time.Time, bool) {
	if ms, err := strconv.ParseInt(v, 10, 64); err == nil {
		at := time.UnixMilli(ms)
		return at, plausible(at)
	}
	at, err := time.Parse(time.RFC3339Nano, v)
	return at, err == nil && plausible(at)
}

func plausible(t time.Time) bool { return t.Year() >= 1 && t.Year() <= 9999 }

// plainNumber reports whether v is a decimal number without exponent, sign
// other than a minus, grouping or spaces.
func plainNumber(v string) bool {
	_, err := strconv.ParseFloat(v, 64)
	return err == nil && strings.Trim(v, "-.0123456789") == ""
}

func validEmail(v string) bool {
	a, err := mail.ParseAddress(v)
	if err != nil || a.Name != "" || a.Address != v || len(v) > 254 {
		return false
	}
	_, domain, _ := strings.Cut(v, "@")
	return strings.Contains(strings.Trim(domain, "."), ".") && !strings.Contains(domain, "..")
}
