package hubspot

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A refusal is HubSpot's error body, whole or as one entry of a multi-status
// answer's errors. HubSpot's error handling guide says to treat every field as
// optional. It may hold personal data.
type refusal struct {
	Message       string   `json:"message"`
	CorrelationID string   `json:"correlationId"`
	Category      string   `json:"category"`
	SubCategory   any      `json:"subCategory"`
	ErrorType     string   `json:"errorType"`
	PolicyName    string   `json:"policyName"`
	Errors        []detail `json:"errors"`
	Context       facts    `json:"context"`
}

type detail struct {
	Message string `json:"message"`
	Code    string `json:"code"`
	Context facts  `json:"context"`

	// Entries of the list inside "Property values were not valid: […]".
	Name  string `json:"name"`
	Error string `json:"error"`
}

// facts is an error's context: lists of strings by name. HubSpot also sends
// single strings, and a whole context as one string.
type facts map[string][]string

func (f *facts) UnmarshalJSON(b []byte) error {
	var whole any
	if err := json.Unmarshal(b, &whole); err != nil {
		return err
	}
	*f = facts{}
	switch v := whole.(type) {
	case map[string]any:
		for name, value := range v {
			(*f)[name] = texts(value)
		}
	case string:
		var inner map[string]any
		if json.Unmarshal([]byte(v), &inner) == nil {
			for name, value := range inner {
				(*f)[name] = texts(value)
			}
		} else if m := contextText.FindStringSubmatch(v); m != nil {
			(*f)[m[1]] = strings.Split(m[2], ", ")
		}
	}
	return nil
}

var contextText = regexp.MustCompile(`^\{(\w+)=\[([^\]]*)\]`)

func texts(v any) []string {
	switch v := v.(type) {
	case []any:
		var out []string
		for _, e := range v {
			out = append(out, texts(e)...)
		}
		return out
	case string:
		return []string{v}
	case float64:
		return []string{fmt.Sprintf("%.0f", v)}
	}
	return nil
}

const invalidValues = "Property values were not valid: "

func parseRefusal(a *answer) refusal {
	var f refusal
	if json.Unmarshal(a.body, &f) != nil {
		return refusal{} // HTML from a gateway, or nothing
	}
	return f.unfold()
}

// foreign reports whether nothing of a refusal is in HubSpot's form.
func (f refusal) foreign() bool {
	return f.Message == "" && f.Category == "" && f.CorrelationID == "" && f.ErrorType == "" && len(f.Errors) == 0
}

// unfold takes the details out of the message, where HubSpot puts them as JSON
// when property values are refused.
func (f refusal) unfold() refusal {
	if _, list, ok := strings.Cut(f.Message, invalidValues); ok {
		var details []detail
		if json.Unmarshal([]byte(list), &details) == nil {
			f.Errors = append(details, f.Errors...)
			f.Message = strings.TrimSuffix(invalidValues, ": ")
		}
	}
	return f
}

// code is the most specific name of what is wrong.
func (f refusal) code() string {
	for _, d := range f.Errors {
		if c := d.code(); c != "" {
			return c
		}
	}
	for _, c := range []string{f.PolicyName, f.Category, f.ErrorType} {
		if c != "" {
			return c
		}
	}
	return ""
}

func (d detail) code() string {
	if d.Error != "" {
		return d.Error
	}
	return d.Code
}

func (f refusal) has(code string) bool {
	return f.Category == code || f.ErrorType == code || strings.Contains(f.Message, code) ||
		slices.ContainsFunc(f.Errors, func(d detail) bool { return d.code() == code || strings.Contains(d.Message, code) })
}

var (
	propertyText = regexp.MustCompile(`(?i)propert(?:y|ies)(?: named| name)? ["']?([a-z][a-z0-9_]*)["']?`)
	existingText = regexp.MustCompile(`(?i)existing (?:(?:contact|object|record|vid) )?id:? *"?(\d+)|(\d+) already has that value`)
)

// property names the property at fault, "" when HubSpot does not say.
func (f refusal) property() string {
	for _, d := range f.Errors {
		if d.Name != "" {
			return d.Name
		}
		for _, name := range []string{"propertyName", "name"} {
			if v := d.Context[name]; len(v) > 0 {
				return v[0]
			}
		}
	}
	if v := f.Context["propertyName"]; len(v) > 0 {
		return v[0]
	}
	if v := f.lacking(); len(v) > 0 {
		return v[0]
	}
	for _, text := range f.messages() {
		if m := propertyText.FindStringSubmatch(text); m != nil && strings.ContainsAny(text, `"'`) {
			return m[1]
		}
	}
	return ""
}

// existing is the id of the record that already holds a unique value.
func (f refusal) existing() string {
	if ids := f.named("existingId", "existingObjectId"); len(ids) > 0 && isID(ids[0]) {
		return ids[0]
	}
	for _, text := range f.messages() {
		if m := existingText.FindStringSubmatch(text); m != nil {
			return m[1] + m[2] // one of them is empty
		}
	}
	return ""
}

// subCategory is a plain name in some answers and an object in others.
func (f refusal) subCategory() string {
	s, _ := f.SubCategory.(string)
	return s
}

// lacking returns the properties of which a new record needs at least one.
func (f refusal) lacking() []string {
	if !strings.Contains(strings.ToLower(f.Message), "required") {
		return nil
	}
	return f.named("properties")
}

func (f refusal) messages() []string {
	all := []string{f.Message}
	for _, d := range f.Errors {
		all = append(all, d.Message)
	}
	return all
}

// named returns what the context holds under any of the names, in the error or
// its details.
func (f refusal) named(names ...string) []string {
	var out []string
	for _, n := range names {
		out = append(out, f.Context[n]...)
		for _, d := range f.Errors {
			out = append(out, d.Context[n]...)
		}
	}
	return out
}

// traces returns the objectWriteTraceIds the refusal is about.
func (f refusal) traces() []string { return f.named("objectWriteTraceId", "objectWriteTraceIds") }

// ids returns the record ids the refusal is about.
func (f refusal) ids() []string { return f.named("ids", "id", "objectIds", "objectId") }

// scopes returns the missing scopes.
func (f refusal) scopes() []string {
	all := f.named("missingScopes", "requiredGranularScopes", "requiredScopes")
	slices.Sort(all)
	return slices.Compact(all)
}

func (f refusal) daily() bool {
	return strings.EqualFold(f.PolicyName, "DAILY") || strings.Contains(strings.ToLower(f.Message), "daily limit")
}

func (f refusal) tenSecondly() bool {
	return strings.Contains(f.PolicyName, "TEN_SECONDLY") || strings.Contains(strings.ToLower(f.Message), "ten_secondly")
}
