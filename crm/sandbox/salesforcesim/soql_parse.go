package salesforcesim

import (
	"strconv"
	"strings"
	"time"
)

// maxNesting bounds parentheses and subqueries, so that a hostile query cannot
// exhaust the stack.
const maxNesting = 50

// A selectQuery is a parsed SOQL query.
type selectQuery struct {
	src    string
	count  bool // COUNT()
	fields []token
	from   token
	where  expr
	order  []orderBy
	limit  int // -1 when absent
	offset int
	all    bool // ALL ROWS
}

type orderBy struct {
	path      token
	desc      bool
	nullsLast bool
}

// An expr is a node of a WHERE clause: logical, negation or comparison.
type expr interface{}

type logical struct {
	or       bool
	operands []expr
}

type negation struct{ operand expr }

type comparison struct {
	path   token
	op     string // = != < <= > >= like in "not in"
	values []literal
	sub    *selectQuery
}

type literalKind int

const (
	litNull literalKind = iota
	litString
	litNumber
	litBool
	litDate
	litDateTime
	litRange // a date literal: TODAY, LAST_N_DAYS:7
)

// A literal is a value in a query. raw is the text of a string with its
// escapes, as LIKE needs it.
type literal struct {
	kind literalKind
	text string
	raw  string
	num  float64
	n    int // of LAST_N_DAYS:n
}

type parser struct {
	src    string
	tokens []token
	at     int
	depth  int
}

// parseSOQL reads a query.
func parseSOQL(src string) (*selectQuery, *apiError) {
	tokens, e := lex(src)
	if e != nil {
		return nil, e
	}
	p := &parser{src: src, tokens: tokens}
	q, e := p.selectQuery()
	if e == nil && p.peek().kind != tokEnd {
		e = p.unexpected()
	}
	if e != nil {
		return nil, e
	}
	return q, nil
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != tokEnd {
		p.at++
	}
	return t
}

// accept takes the next tokens if they are the words given.
func (p *parser) accept(words ...string) bool {
	for i, w := range words {
		if p.at+i >= len(p.tokens) || !p.tokens[p.at+i].is(w) {
			return false
		}
	}
	p.at += len(words)
	return true
}

func (p *parser) expect(word string) *apiError {
	if !p.accept(word) {
		return p.unexpected()
	}
	return nil
}

func (p *parser) unexpected() *apiError {
	t := p.peek()
	if t.kind == tokEnd {
		return malformed("unexpected token: '<EOF>'")
	}
	return malformed("%sunexpected token: '%s'", where(p.src, t.pos), t.text)
}

// reserved words cannot name a field or an object.
var reserved = map[string]bool{
	"and": true, "asc": true, "desc": true, "excludes": true, "first": true, "from": true, "group": true,
	"having": true, "in": true, "includes": true, "last": true, "like": true, "limit": true, "not": true,
	"null": true, "nulls": true, "or": true, "select": true, "where": true, "with": true,
}

func (p *parser) name() (token, *apiError) {
	t := p.peek()
	if t.kind != tokName || reserved[strings.ToLower(t.text)] {
		return t, p.unexpected()
	}
	return p.next(), nil
}

// nest guards recursion; the function it returns ends the level.
func (p *parser) nest() (func(), *apiError) {
	p.depth++
	if p.depth > maxNesting {
		return nil, malformed("the query is nested too deeply")
	}
	return func() { p.depth-- }, nil
}

func (p *parser) selectQuery() (*selectQuery, *apiError) {
	leave, e := p.nest()
	if e != nil {
		return nil, e
	}
	defer leave()
	q := &selectQuery{src: p.src, limit: -1}
	if e := p.expect("SELECT"); e != nil {
		return nil, e
	}
	if q.count = p.accept("COUNT", "(", ")"); !q.count {
		for {
			f, e := p.name()
			if e != nil {
				return nil, e
			}
			q.fields = append(q.fields, f)
			if !p.accept(",") {
				break
			}
		}
	}
	if e := p.expect("FROM"); e != nil {
		return nil, e
	}
	if q.from, e = p.name(); e != nil {
		return nil, e
	}
	return q, p.clauses(q)
}

// clauses reads what may follow FROM.
func (p *parser) clauses(q *selectQuery) (e *apiError) {
	if p.accept("WHERE") {
		if q.where, e = p.condition(); e != nil {
			return e
		}
	}
	if p.accept("ORDER", "BY") {
		if e = p.orderBy(q); e != nil {
			return e
		}
	}
	if p.accept("LIMIT") {
		if q.limit, e = p.integer(); e != nil {
			return e
		}
	}
	if p.accept("OFFSET") {
		if q.offset, e = p.integer(); e != nil {
			return e
		}
		if q.offset > 2000 {
			return bad("NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000")
		}
	}
	q.all = p.accept("ALL", "ROWS")
	return nil
}

func (p *parser) integer() (int, *apiError) {
	t := p.peek()
	n, err := strconv.Atoi(t.text)
	if t.kind != tokNumber || err != nil || n < 0 {
		return 0, p.unexpected()
	}
	p.next()
	return n, nil
}

func (p *parser) orderBy(q *selectQuery) *apiError {
	for {
		path, e := p.name()
		if e != nil {
			return e
		}
		o := orderBy{path: path}
		if o.desc = p.accept("DESC"); !o.desc {
			p.accept("ASC")
		}
		o.nullsLast = o.desc
		switch {
		case p.accept("NULLS", "LAST"):
			o.nullsLast = true
		case p.accept("NULLS", "FIRST"):
			o.nullsLast = false
		}
		q.order = append(q.order, o)
		if !p.accept(",") {
			return nil
		}
	}
}

// condition reads operands joined by AND or by OR; SOQL wants parentheses
// where both meet.
func (p *parser) condition() (expr, *apiError) {
	leave, e := p.nest()
	if e != nil {
		return nil, e
	}
	defer leave()
	first, e := p.operand()
	if e != nil {
		return nil, e
	}
	join := logical{operands: []expr{first}}
	word := ""
	for p.peek().is("AND") || p.peek().is("OR") {
		w := strings.ToLower(p.peek().text)
		if word != "" && w != word {
			return nil, p.unexpected()
		}
		word = w
		p.next()
		x, e := p.operand()
		if e != nil {
			return nil, e
		}
		join.operands = append(join.operands, x)
	}
	if word == "" {
		return first, nil
	}
	join.or = word == "or"
	return join, nil
}

func (p *parser) operand() (expr, *apiError) {
	leave, e := p.nest()
	if e != nil {
		return nil, e
	}
	defer leave()
	if p.accept("NOT") {
		x, e := p.operand()
		return negation{x}, e
	}
	if p.accept("(") {
		x, e := p.condition()
		if e != nil {
			return nil, e
		}
		return x, p.expect(")")
	}
	return p.comparison()
}

func (p *parser) comparison() (expr, *apiError) {
	path, e := p.name()
	if e != nil {
		return nil, e
	}
	c := comparison{path: path}
	t := p.peek()
	switch {
	case p.accept("NOT", "IN"):
		c.op = "not in"
		return p.list(c)
	case p.accept("IN"):
		c.op = "in"
		return p.list(c)
	case p.accept("LIKE"):
		c.op = "like"
	case t.kind == tokSymbol && strings.Contains(" = != <> < <= > >= ", " "+t.text+" "):
		p.next()
		if c.op = t.text; c.op == "<>" {
			c.op = "!="
		}
	default:
		return nil, p.unexpected()
	}
	v, e := p.literal()
	c.values = []literal{v}
	return c, e
}

// list reads what follows IN: values, or a subquery.
func (p *parser) list(c comparison) (expr, *apiError) {
	if e := p.expect("("); e != nil {
		return nil, e
	}
	if p.peek().is("SELECT") {
		sub, e := p.selectQuery()
		if e != nil {
			return nil, e
		}
		c.sub = sub
		return c, p.expect(")")
	}
	for {
		v, e := p.literal()
		if e != nil {
			return nil, e
		}
		c.values = append(c.values, v)
		if !p.accept(",") {
			return c, p.expect(")")
		}
	}
}

func (p *parser) literal() (literal, *apiError) {
	t := p.peek()
	switch t.kind {
	case tokString:
		// Only LIKE knows \% and \_; any other use of raw refuses them.
		if _, e := unescape(t.text, true); e != nil {
			return literal{}, e
		}
		s, _ := unescape(t.text, false)
		p.next()
		return literal{kind: litString, text: s, raw: t.text}, nil
	case tokNumber:
		return p.numeral(t)
	case tokName:
		return p.word(t)
	}
	return literal{}, p.unexpected()
}

func (p *parser) numeral(t token) (literal, *apiError) {
	p.next()
	if n, err := strconv.ParseFloat(t.text, 64); err == nil {
		return literal{kind: litNumber, num: n}, nil
	}
	if d, err := time.Parse(dateLayout, t.text); err == nil {
		return literal{kind: litDate, text: d.Format(dateLayout)}, nil
	}
	if d, err := time.Parse(time.RFC3339, t.text); err == nil {
		return literal{kind: litDateTime, text: stamp(d)}, nil
	}
	return literal{}, malformed("%sunexpected token: '%s'", where(p.src, t.pos), t.text)
}

func (p *parser) word(t token) (literal, *apiError) {
	switch strings.ToUpper(t.text) {
	case "NULL":
		p.next()
		return literal{}, nil
	case "TRUE", "FALSE":
		p.next()
		return literal{kind: litBool, text: strings.ToLower(t.text)}, nil
	case "TODAY", "YESTERDAY", "TOMORROW":
		p.next()
		return literal{kind: litRange, text: strings.ToUpper(t.text)}, nil
	case "LAST_N_DAYS", "NEXT_N_DAYS":
		p.next()
		if e := p.expect(":"); e != nil {
			return literal{}, e
		}
		n, e := p.integer()
		return literal{kind: litRange, text: strings.ToUpper(t.text), n: min(n, 100_000)}, e
	}
	return literal{}, p.unexpected()
}
