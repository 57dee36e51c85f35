package salesforcesim

import (
	"net/http"
	"slices"
	"strings"
	"unicode"
)

func (s *Server) soslSearch(w http.ResponseWriter, r *http.Request, c *call, _ []string) {
	src := r.URL.Query().Get("q")
	sq, e := parseSOSL(src)
	if e != nil {
		refuse(w, e)
		return
	}
	s.answerSearch(w, c, sq)
}

func (s *Server) answerSearch(w http.ResponseWriter, c *call, sq *searchQuery) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	records, e := c.search(sq)
	if e != nil {
		refuse(w, e)
		return
	}
	answer(w, http.StatusOK, map[string]any{"searchRecords": records})
}

// search finds what the index knows to match, and answers the records' present
// values.
func (c *call) search(sq *searchQuery) ([]any, *apiError) {
	returnings := sq.returning
	if returnings == nil {
		for _, name := range []string{"Account", "Contact", "Lead", "Opportunity"} {
			returnings = append(returnings, returning{&selectQuery{from: token{text: name}, limit: -1}})
		}
	}
	records := []any{}
	for _, ret := range returnings {
		o, e := c.queryObject(ret.q, false)
		if e != nil {
			return nil, e
		}
		if !o.searchable() {
			return nil, fail(http.StatusBadRequest, "INVALID_TYPE", "entity type %s does not support search", o.Name)
		}
		cols, e := c.columns(ret.q, o)
		if e != nil {
			return nil, e
		}
		if cols == nil {
			cols = []*column{{f: o.byName["id"], names: []string{"Id"}}}
		}
		rows, e := c.searchRows(sq, ret.q, o)
		if e != nil {
			return nil, e
		}
		for _, r := range rows {
			if len(records) < sq.limit {
				records = append(records, c.render(r, cols))
			}
		}
	}
	return records, nil
}

// searchRows are the records of one object that the search and the object's
// own conditions let through.
func (c *call) searchRows(sq *searchQuery, q *selectQuery, o *object) ([]*row, *apiError) {
	pl, e := c.plan(q, o, q.where)
	if e != nil {
		return nil, e
	}
	m := matcher{g: c.g, in: sq.in}
	var rows []*row
	for _, r := range m.candidates(sq.find, o) {
		entry, ok := r.visible(c.g.now())
		if ok && !r.deleted && r.object == o && m.fits(sq.find, &entry) && pl.fits(r) {
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, func(a, b *row) int { return a.seq - b.seq })
	if e := c.sortRows(q, o, rows); e != nil {
		return nil, e
	}
	rows = rows[min(q.offset, len(rows)):]
	if q.limit >= 0 && len(rows) > q.limit {
		rows = rows[:q.limit]
	}
	return rows, nil
}

// A matcher decides whether indexed content fits a search term.
type matcher struct {
	g  *org
	in string
}

// candidates narrows the records down by the phone and email postings, where
// the term allows it.
func (m matcher) candidates(x findExpr, o *object) []*row {
	set := map[*row]bool{}
	if !m.collect(x, set) {
		return o.rows
	}
	rows := make([]*row, 0, len(set))
	for r := range set {
		if r.object == o {
			rows = append(rows, r)
		}
	}
	return rows
}

// collect adds the candidates of x, or reports that they cannot be told from
// postings.
func (m matcher) collect(x findExpr, set map[*row]bool) bool {
	switch x := x.(type) {
	case findLogic:
		if x.op == "or" {
			return m.collect(x.a, set) && m.collect(x.b, set)
		}
		return m.collect(x.a, set)
	case findTerm:
		if strings.ContainsAny(x.text, "*?") {
			return false
		}
		switch m.in {
		case "phone":
			for r := range m.g.search.phones[digits(x.text)] {
				set[r] = true
			}
			return true
		case "email":
			for r := range m.g.search.emails[strings.ToLower(x.text)] {
				set[r] = true
			}
			return strings.Contains(x.text, "@")
		}
	}
	return false
}

func (m matcher) fits(x findExpr, entry *indexed) bool {
	switch x := x.(type) {
	case findLogic:
		switch x.op {
		case "and":
			return m.fits(x.a, entry) && m.fits(x.b, entry)
		case "or":
			return m.fits(x.a, entry) || m.fits(x.b, entry)
		}
		return m.fits(x.a, entry) && !m.fits(x.b, entry)
	case findTerm:
		return m.term(x, entry)
	}
	return false
}

func (m matcher) term(t findTerm, entry *indexed) bool {
	switch m.in {
	case "phone":
		return phoneFits(t, entry.phones)
	case "email":
		return emailFits(t, entry.emails)
	case "name":
		return wordsFit(t, entry.names)
	}
	return wordsFit(t, entry.names) || wordsFit(t, entry.words) || emailFits(t, entry.emails) || phoneFits(t, entry.phones)
}

// phoneFits compares digits only. A trailing * matches any more of them.
func phoneFits(t findTerm, phones []string) bool {
	if strings.ContainsFunc(t.text, unicode.IsLetter) {
		return false
	}
	want, open := digits(t.text), strings.HasSuffix(t.text, "*")
	return want != "" && slices.ContainsFunc(phones, func(p string) bool {
		return p == want || open && strings.HasPrefix(p, want)
	})
}

// emailFits takes a whole address, or the words of a part of one.
func emailFits(t findTerm, emails []string) bool {
	want := strings.ToLower(strings.ReplaceAll(t.text, `\`, ""))
	return slices.ContainsFunc(emails, func(e string) bool {
		return e == want || !strings.Contains(want, "@") && wordsFit(t, words(e))
	})
}

// wordsFit wants every word of the term, in sequence for a phrase.
func wordsFit(t findTerm, have []string) bool {
	want := patternWords(t.text)
	if len(want) == 0 {
		return false
	}
	if t.quoted {
		for i := 0; i+len(want) <= len(have); i++ {
			if slices.EqualFunc(have[i:i+len(want)], want, func(h, w string) bool { return wordFits(w, h) }) {
				return true
			}
		}
		return false
	}
	for _, w := range want {
		if !slices.ContainsFunc(have, func(h string) bool { return wordFits(w, h) }) {
			return false
		}
	}
	return true
}

// patternWords splits a term as the index splits text, but keeps wildcards.
func patternWords(s string) []string {
	s = strings.NewReplacer(`\*`, " ", `\?`, " ", `\\`, " ").Replace(strings.ToLower(s))
	return strings.FieldsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '*' && r != '?'
	})
}

func wordFits(pattern, word string) bool {
	if !strings.ContainsAny(pattern, "*?") {
		return pattern == word
	}
	return matchLike(likePattern(strings.NewReplacer("*", "%", "?", "_").Replace(pattern)), []rune(word))
}

// parameterizedSearch is search without SOSL. Its q is plain text.
func (s *Server) parameterizedSearch(w http.ResponseWriter, r *http.Request, c *call, _ []string) {
	in, e := readParameterized(r)
	if e != nil {
		refuse(w, e)
		return
	}
	sq := &searchQuery{find: findTerm{text: strings.ReplaceAll(in.Q, `\`, ""), quoted: true}, in: "all", limit: maxResults}
	if e := sq.find.(findTerm).check(); e != nil {
		refuse(w, e)
		return
	}
	if in.In != "" {
		sq.in = strings.ToLower(in.In)
	}
	if in.OverallLimit > 0 {
		sq.limit = min(in.OverallLimit, maxResults)
	}
	for _, o := range in.SObjects {
		q := &selectQuery{from: token{text: o.Name}, limit: -1}
		fields := o.Fields
		if fields == nil {
			fields = in.Fields
		}
		for _, f := range fields {
			q.fields = append(q.fields, token{text: f})
		}
		if o.Where != "" {
			tokens, e := lex(o.Where)
			if e == nil {
				q.src = o.Where
				p := &parser{src: o.Where, tokens: tokens}
				q.where, e = p.condition()
				if e == nil && p.peek().kind != tokEnd {
					e = p.unexpected()
				}
			}
			if e != nil {
				refuse(w, e)
				return
			}
		}
		if o.Limit > 0 {
			q.limit = o.Limit
		}
		sq.returning = append(sq.returning, returning{q})
	}
	s.answerSearch(w, c, sq)
}

type parameterized struct {
	Q            string   `json:"q"`
	In           string   `json:"in"`
	Fields       []string `json:"fields"`
	OverallLimit int      `json:"overallLimit"`
	SObjects     []struct {
		Name   string   `json:"name"`
		Fields []string `json:"fields"`
		Where  string   `json:"where"`
		Limit  int      `json:"limit"`
	} `json:"sobjects"`
}

// readParameterized reads the body of a POST, or a GET's q, in, fields and
// sobject.
func readParameterized(r *http.Request) (parameterized, *apiError) {
	var in parameterized
	if r.Method == http.MethodPost {
		return in, decodeJSON(r.Body, &in)
	}
	q := r.URL.Query()
	in.Q, in.In, in.Fields = q.Get("q"), q.Get("in"), splitList(q.Get("fields"))
	for _, name := range q["sobject"] {
		in.SObjects = append(in.SObjects, struct {
			Name   string   `json:"name"`
			Fields []string `json:"fields"`
			Where  string   `json:"where"`
			Limit  int      `json:"limit"`
		}{Name: name})
	}
	return in, nil
}
