package salesforce

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/callsync/callsync/crm"
)

// wireTime is how Salesforce writes an instant.
const wireTime = "2006-01-02T15:04:05.000-0700"

// wire renders a value as the JSON that a field of f's type takes. A value that
// does not fit the type goes as text, for Salesforce to refuse in its words.
func wire(f field, v crm.Value) any {
	if v.IsNull() {
		if f.Type == "boolean" {
			return false // a checkbox has no null
		}
		return nil
	}
	switch f.Type {
	case "boolean":
		if b, err := strconv.ParseBool(strings.ToLower(v.Text)); err == nil {
			return b
		}
	case "double", "int", "currency", "percent", "long":
		if _, err := strconv.ParseFloat(v.Text, 64); err == nil && json.Valid([]byte(v.Text)) {
			return json.Number(v.Text)
		}
	case "date":
		if t, ok := v.Time(); ok {
			return t.UTC().Format("2006-01-02")
		}
	case "datetime":
		if t, ok := v.Time(); ok {
			return t.UTC().Format(wireTime)
		}
	}
	return v.Text
}
