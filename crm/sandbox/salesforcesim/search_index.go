package salesforcesim

import (
	"strings"
	"time"
	"unicode"
)

// An indexed is a record's searchable content from an instant on.
type indexed struct {
	from   time.Time
	phones []string // digits only
	emails []string // lower-cased
	names  []string // words, lower-cased
	words  []string // words of all other text, lower-cased
}

// A searchIndex finds candidates for a phone or an email. Whether the index
// has caught up with a candidate is decided by the record's history.
type searchIndex struct {
	phones map[string]map[*row]bool
	emails map[string]map[*row]bool
}

func newSearchIndex() searchIndex {
	return searchIndex{phones: map[string]map[*row]bool{}, emails: map[string]map[*row]bool{}}
}

// index tells the search index of a record's present content. It will answer
// with it once the search lag has passed.
func (g *org) index(t *tx, r *row) {
	if !r.object.searchable() {
		return
	}
	before := r.history
	now := g.now()
	entry := r.content()
	entry.from = now.Add(time.Duration(g.settings.SearchLag))
	kept := r.known(now)
	if n := len(kept); n > 0 && kept[n-1].from.Equal(entry.from) {
		kept = kept[:n-1]
	}
	// A new slice: the undo below must find the old one unchanged.
	r.history = append(append([]indexed(nil), kept...), entry)
	for _, p := range entry.phones {
		post(g.search.phones, p, r)
	}
	for _, e := range entry.emails {
		post(g.search.emails, e, r)
	}
	t.undo = append(t.undo, func() { r.history = before })
}

func post(m map[string]map[*row]bool, key string, r *row) {
	if m[key] == nil {
		m[key] = map[*row]bool{}
	}
	m[key][r] = true
}

// known drops the part of the history that something newer has replaced.
func (r *row) known(now time.Time) []indexed {
	h := r.history
	for len(h) > 1 && !h[1].from.After(now) {
		h = h[1:]
	}
	return h
}

// visible returns what the index knows of a record.
func (r *row) visible(now time.Time) (indexed, bool) {
	h := r.known(now)
	if len(h) == 0 || h[0].from.After(now) {
		return indexed{}, false
	}
	return h[0], true
}

// content extracts what is searchable.
func (r *row) content() indexed {
	var c indexed
	for _, f := range r.object.fields {
		s, ok := r.vals[f.Name].(string)
		if !ok {
			continue
		}
		switch f.Type {
		case "phone":
			c.phones = append(c.phones, phoneTokens(s)...)
		case "email":
			c.emails = append(c.emails, strings.ToLower(s))
		case "string", "combobox", "textarea", "picklist", "url":
			if f.is(nameField) || f.Name == "Company" && r.object.Name == "Lead" || f.Name == "Subject" {
				c.names = append(c.names, words(s)...)
			} else {
				c.words = append(c.words, words(s)...)
			}
		}
	}
	return c
}

// phoneTokens are the forms under which the index finds a number: its digits
// in one run whatever the punctuation, split where letters set off an
// extension, and for ten digits the last seven too.
func phoneTokens(s string) []string {
	var tokens []string
	for _, run := range strings.FieldsFunc(s, unicode.IsLetter) {
		d := digits(run)
		if d == "" {
			continue
		}
		tokens = append(tokens, d)
		if len(d) == 10 {
			tokens = append(tokens, d[3:])
		}
	}
	return tokens
}

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}

// words splits text as the index does: at whatever is no letter or digit.
func words(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}
