package salesforce

import (
	"strings"

	"github.com/callsync/callsync/crm"
)

// namedIn finds the record that a DUPLICATE_VALUE message names, "… duplicates
// value on record with id: 00T…", by its 15-character id. The zero Ref means
// that none is named.
func namedIn(message, object string) crm.Ref {
	_, after, ok := strings.Cut(message, "with id:")
	if !ok {
		return crm.Ref{}
	}
	word, _, _ := strings.Cut(strings.TrimSpace(after), " ")
	id, ok := id18(strings.TrimRight(word, ".,;\"'"))
	if !ok {
		return crm.Ref{}
	}
	if known := objectOf(id); known != "" {
		object = known
	}
	return crm.Ref{Object: object, ID: id}
}

// matched is the record that a duplicate rule matched best.
func (e apiError) matched() crm.Ref {
	found := e.Duplicate
	if found == nil {
		found = e.Misspelt
	}
	if found == nil {
		return crm.Ref{}
	}
	var best crm.Ref
	confidence := -1.0
	for _, m := range found.MatchResults {
		for _, r := range m.MatchRecords {
			id, ok := id18(r.Record.ID)
			object := objectOf(id)
			if object == "" {
				object = r.Record.Attributes.Type
			}
			if ok && isPerson(object) && r.MatchConfidence > confidence {
				best, confidence = crm.Ref{Object: object, ID: id}, r.MatchConfidence
			}
		}
	}
	return best
}
