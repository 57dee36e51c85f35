package salesforcesim

import (
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of SOSL, from the SOQL and SOSL Reference.
const (
	maxSOSL    = 10_000 // characters of the FIND clause's query
	maxResults = 2000
)

// A searchQuery is a parsed SOSL query.
type searchQuery struct {
	find      findExpr
	in        string // all, email, name, phone, sidebar
	returning []returning
	limit     int
}

// returning is one object of RETURNING, with its fields and conditions.
type returning struct {
	q *selectQuery
}

// A findExpr is a node of what FIND holds.
type findExpr interface{}

type findLogic struct {
	op   string // and, or, not
	a, b findExpr
}

// A findTerm is a run of words without an operator between them, or a quoted
// phrase.
type findTerm struct {
	text   string // wildcards escaped with \ where meant literally
	quoted bool
}

func malformedSearch(format string, args ...any) *apiError {
	return fail(http.StatusBadRequest, "MALFORMED_SEARCH", format, args...)
}

// parseSOSL reads FIND {…} [IN … FIELDS] [RETURNING …] [LIMIT n].
func parseSOSL(src string) (*searchQuery, *apiError) {
	rest := strings.TrimLeft(src, " \t\r\n")
	if len(rest) < 4 || !strings.EqualFold(rest[:4], "FIND") {
		return nil, malformedSearch("No search term found. The search term must be enclosed in braces.")
	}
	rest = strings.TrimLeft(rest[4:], " \t\r\n")
	if !strings.HasPrefix(rest, "{") {
		return nil, malformedSearch("No search term found. The search term must be enclosed in braces.")
	}
	end := closingBrace(rest)
	if end < 0 {
		return nil, malformedSearch("missing closing brace of the search term")
	}
	find, e := parseFind(rest[1:end])
	if e != nil {
		return nil, e
	}
	tokens, e := lex(rest[end+1:])
	if e != nil {
		return nil, malformedSearch("%s", e.message)
	}
	p := &parser{src: rest[end+1:], tokens: tokens}
	sq := &searchQuery{find: find, in: "all", limit: maxResults}
	if e := p.searchClauses(sq); e != nil {
		if e.code == "MALFORMED_QUERY" {
			e.code = "MALFORMED_SEARCH"
		}
		return nil, e
	}
	return sq, nil
}

// closingBrace finds the end of the search term that s begins with.
func closingBrace(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '}':
			return i
		case '{':
			return -1
		}
	}
	return -1
}

func (p *parser) searchClauses(sq *searchQuery) (e *apiError) {
	if p.accept("IN") {
		scope := strings.ToLower(p.next().text)
		if !strings.Contains(" all email name phone sidebar ", " "+scope+" ") {
			p.at--
			return p.unexpected()
		}
		sq.in = scope
		if e := p.expect("FIELDS"); e != nil {
			return e
		}
	}
	if p.accept("RETURNING") {
		for {
			ret, e := p.returning()
			if e != nil {
				return e
			}
			sq.returning = append(sq.returning, ret)
			if !p.accept(",") {
				break
			}
		}
	}
	if p.accept("LIMIT") {
		if sq.limit, e = p.integer(); e != nil {
			return e
		}
		if sq.limit > maxResults {
			return malformedSearch("SOSL queries can return at most 2000 records")
		}
	}
	if p.peek().kind != tokEnd {
		return p.unexpected()
	}
	return nil
}

// returning reads Contact(Id, Name WHERE … ORDER BY … LIMIT n).
func (p *parser) returning() (returning, *apiError) {
	q := &selectQuery{src: p.src, limit: -1}
	var e *apiError
	if q.from, e = p.name(); e != nil {
		return returning{}, e
	}
	if !p.accept("(") {
		return returning{q}, nil
	}
	for {
		f, e := p.name()
		if e != nil {
			return returning{}, e
		}
		q.fields = append(q.fields, f)
		if !p.accept(",") {
			break
		}
	}
	if e := p.clauses(q); e != nil {
		return returning{}, e
	}
	return returning{q}, p.expect(")")
}

// findReserved must be escaped to stand for themselves.
const findReserved = "&|!{}[]^~:+-'"

// findLexer splits what FIND holds into terms, operators and parentheses.
type findLexer struct {
	tokens []findToken
	at     int
	depth  int
}

type findToken struct {
	op   string // "and", "or", "not", "(", ")", "" for a term
	term findTerm
}

func parseFind(src string) (findExpr, *apiError) {
	if utf8.RuneCountInString(src) > maxSOSL {
		return nil, malformedSearch("The search query is too long; it can have 10,000 characters.")
	}
	tokens, e := lexFind(src)
	if e != nil {
		return nil, e
	}
	l := &findLexer{tokens: tokens}
	x, e := l.expr()
	if e == nil && l.at < len(l.tokens) {
		e = malformedSearch("unexpected token in the search term")
	}
	return x, e
}

func lexFind(src string) ([]findToken, *apiError) {
	var tokens []findToken
	for i := 0; i < len(src); {
		switch c := src[i]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			i++
		case c == '(' || c == ')':
			tokens = append(tokens, findToken{op: string(c)})
			i++
		case c == '"':
			end := quoteEnd(src, i)
			if end < 0 {
				return nil, malformedSearch("a phrase lacks its closing quotation mark or has a reserved character that is not escaped")
			}
			text, e := unescapeFind(src[i+1 : end])
			if e != nil {
				return nil, e
			}
			tokens = append(tokens, findToken{term: findTerm{text, true}})
			i = end + 1
		default:
			end := wordEnd(src, i)
			if end < 0 {
				return nil, malformedSearch("the character %q must be escaped in the search term", src[i:i+1])
			}
			tok, e := wordToken(src[i:end])
			if e != nil {
				return nil, e
			}
			tokens = append(tokens, tok)
			i = end
		}
	}
	return tokens, nil
}

// quoteEnd finds the quotation mark that ends the phrase at i. Quotation marks
// do not spare reserved characters their escape.
func quoteEnd(src string, i int) int {
	for j := i + 1; j < len(src); j++ {
		switch c := src[j]; {
		case c == '\\':
			j++
		case c == '"':
			return j
		case strings.IndexByte(findReserved+"()", c) >= 0:
			return -1
		}
	}
	return -1
}

// wordEnd finds the end of the word at i, or -1 when a reserved character
// stands there unescaped.
func wordEnd(src string, i int) int {
	for j := i; j < len(src); j++ {
		switch c := src[j]; {
		case c == '\\':
			j++
			if j == len(src) {
				return -1
			}
		case strings.IndexByte(findReserved, c) >= 0:
			return -1
		case strings.IndexByte(" \t\r\n()\"", c) >= 0:
			return j
		}
	}
	return len(src)
}

func wordToken(word string) (findToken, *apiError) {
	switch strings.ToLower(word) {
	case "and", "or", "not":
		return findToken{op: strings.ToLower(word)}, nil
	}
	if word[0] == '*' || word[0] == '?' {
		return findToken{}, malformedSearch("the character %q must be escaped at the start of a search term", word[:1])
	}
	text, e := unescapeFind(word)
	return findToken{term: findTerm{text: text}}, e
}

// unescapeFind resolves escapes; literal * and ? keep theirs, to tell them
// from wildcards.
func unescapeFind(s string) (string, *apiError) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		i++
		if i == len(s) || strings.IndexByte(`?&|!{}[]()^~*:\"'+-`, s[i]) < 0 {
			return "", malformedSearch("the search term has an unknown escape")
		}
		if s[i] == '*' || s[i] == '?' || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String(), nil
}

// expr reads terms joined by AND, OR and AND NOT, from left to right.
func (l *findLexer) expr() (findExpr, *apiError) {
	left, e := l.operand()
	for e == nil && l.at < len(l.tokens) && l.tokens[l.at].op != ")" {
		op := l.tokens[l.at].op
		switch op {
		case "and", "or":
			l.at++
			if op == "and" && l.at < len(l.tokens) && l.tokens[l.at].op == "not" {
				l.at++
				op = "not"
			}
		default:
			return nil, malformedSearch("unexpected token in the search term")
		}
		var right findExpr
		right, e = l.operand()
		left = findLogic{op, left, right}
	}
	return left, e
}

// operand reads a parenthesis, a phrase, or a run of words.
func (l *findLexer) operand() (findExpr, *apiError) {
	l.depth++
	defer func() { l.depth-- }()
	if l.depth > maxNesting {
		return nil, malformedSearch("the search term is nested too deeply")
	}
	if l.at == len(l.tokens) {
		return nil, malformedSearch("the search term is incomplete")
	}
	switch t := l.tokens[l.at]; t.op {
	case "(":
		l.at++
		x, e := l.expr()
		if e != nil {
			return nil, e
		}
		if l.at == len(l.tokens) || l.tokens[l.at].op != ")" {
			return nil, malformedSearch("missing closing parenthesis in the search term")
		}
		l.at++
		return x, nil
	case "":
		l.at++
		term := t.term
		for l.at < len(l.tokens) && l.tokens[l.at].op == "" {
			term.text += " " + l.tokens[l.at].term.text
			term.quoted = false
			l.at++
		}
		if e := term.check(); e != nil {
			return nil, e
		}
		return term, nil
	}
	return nil, malformedSearch("unexpected operator in the search term")
}

// check wants at least two letters or digits, as Salesforce does.
func (t findTerm) check() *apiError {
	n := 0
	for _, r := range t.text {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			n++
		}
	}
	if n < 2 {
		return malformedSearch("Search term must be longer than one character; it has %d", n)
	}
	return nil
}
