package hubspot

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/callsync/callsync/crm"
)

// The shapes of HubSpot's object API, from its CRM objects guide: every
// property value travels as a string.

type input struct {
	ID           string            `json:"id,omitempty"`
	IDProperty   string            `json:"idProperty,omitempty"`
	Properties   map[string]string `json:"properties,omitempty"`
	Associations []association     `json:"associations,omitempty"`
	TraceID      string            `json:"objectWriteTraceId,omitempty"`
}

type association struct {
	To    idOnly            `json:"to"`
	Types []associationType `json:"types"`
}

type associationType struct {
	Category string `json:"associationCategory"`
	ID       int    `json:"associationTypeId"`
}

type idOnly struct {
	ID text `json:"id"`
}

type batchRequest struct {
	Inputs     any      `json:"inputs"`
	IDProperty string   `json:"idProperty,omitempty"`
	Properties []string `json:"properties,omitempty"`
}

type batchAnswer struct {
	Status  string    `json:"status"`
	Results []record  `json:"results"`
	Errors  []refusal `json:"errors"`
}

type record struct {
	ID         text              `json:"id"`
	Properties map[string]string `json:"properties"`
	UpdatedAt  string            `json:"updatedAt"`
	Archived   bool              `json:"archived"`
	TraceID    string            `json:"objectWriteTraceId"`
}

func (o record) modified() time.Time {
	t, err := crm.ParseTime(o.UpdatedAt)
	if err != nil {
		return time.Time{}
	}
	return t
}

// answersTo reports whether o is the record id, or the one it was merged into.
func (o record) answersTo(id string) bool {
	if string(o.ID) == id {
		return true
	}
	for _, old := range strings.Split(o.Properties[mergedIDs], ";") {
		if old == id {
			return true
		}
	}
	return false
}

// mergedIDs is the contact property that lists the records merged into it.
const mergedIDs = "hs_merged_object_ids"

// text is an id, which HubSpot sends as a string here and as a number there.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var s string
		err := json.Unmarshal(b, &s)
		*t = text(s)
		return err
	}
	var n json.Number
	err := json.Unmarshal(b, &n)
	*t = text(n)
	return err
}

// wire writes a value the way HubSpot takes it; null clears a property.
func wire(v crm.Value) string {
	if t, ok := v.Time(); ok {
		return t.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	return v.Text
}

// encode writes a request as it is sent; nil for one that cannot be.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return b
}
