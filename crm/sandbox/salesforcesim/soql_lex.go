package salesforcesim

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

type tokenKind int

const (
	tokEnd    tokenKind = iota
	tokName             // identifiers, keywords, dotted paths, date literals
	tokString           // quoted
	tokNumber           // digits and what follows: numbers, dates, instants
	tokSymbol           // one of ( ) , = != < <= > >= : { }
)

// A token is a piece of a query. For strings, text is what stands between the
// quotes, escapes and all.
type token struct {
	kind tokenKind
	text string
	pos  int
}

func (t token) is(s string) bool {
	return (t.kind == tokName || t.kind == tokSymbol) && strings.EqualFold(t.text, s)
}

func malformed(format string, args ...any) *apiError {
	return fail(http.StatusBadRequest, "MALFORMED_QUERY", format, args...)
}

// lex splits a SOQL query, or the part of a SOSL query that reads like one.
func lex(src string) ([]token, *apiError) {
	var tokens []token
	for i := 0; i < len(src); {
		c := src[i]
		start := i
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
			continue
		case c == '\'':
			end, e := stringEnd(src, i)
			if e != nil {
				return nil, e
			}
			tokens = append(tokens, token{tokString, src[i+1 : end], i})
			i = end + 1
			continue
		case isLetter(c):
			for i < len(src) && (isLetter(src[i]) || isDigit(src[i]) || src[i] == '.') {
				i++
			}
			tokens = append(tokens, token{tokName, src[start:i], start})
			continue
		case isDigit(c) || (c == '-' || c == '+') && i+1 < len(src) && isDigit(src[i+1]):
			for i++; i < len(src) && strings.IndexByte("0123456789.:-+TZeE", src[i]) >= 0; i++ {
			}
			tokens = append(tokens, token{tokNumber, src[start:i], start})
			continue
		case strings.IndexByte("!<>", c) >= 0 && i+1 < len(src) && src[i+1] == '=':
			i += 2
		case c == '<' && i+1 < len(src) && src[i+1] == '>':
			i += 2
		case strings.IndexByte("(),=<>:{}", c) >= 0:
			i++
		default:
			r, _ := utf8.DecodeRuneInString(src[i:])
			return nil, malformed("line 1:%d no viable alternative at character '%c'", i, r)
		}
		tokens = append(tokens, token{tokSymbol, src[start:i], start})
	}
	return append(tokens, token{tokEnd, "<EOF>", len(src)}), nil
}

// stringEnd finds the closing quote of the string that opens at i.
func stringEnd(src string, i int) (int, *apiError) {
	for j := i + 1; j < len(src); j++ {
		switch src[j] {
		case '\\':
			j++
		case '\'':
			return j, nil
		case '\n', '\r':
			return 0, malformed("line 1:%d mismatched character '\\n' expecting '''", j)
		}
	}
	return 0, malformed("line 1:%d mismatched character '<EOF>' expecting '''", len(src))
}

// unescape resolves the escapes of a string literal. In a LIKE pattern, \_ and
// \% stay escaped for the matcher.
func unescape(s string, like bool) (string, *apiError) {
	if strings.IndexByte(s, '\\') < 0 {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		i++
		if i >= len(s) {
			return "", malformed("Invalid string literal. The escape at its end is incomplete.")
		}
		switch c := s[i]; c {
		case 'n', 'N':
			b.WriteByte('\n')
		case 'r', 'R':
			b.WriteByte('\r')
		case 't', 'T':
			b.WriteByte('\t')
		case 'b', 'B':
			b.WriteByte('\b')
		case 'f', 'F':
			b.WriteByte('\f')
		case '\'', '"':
			b.WriteByte(c)
		case '\\':
			if like {
				b.WriteByte('\\')
			}
			b.WriteByte('\\')
		case '_', '%':
			if !like {
				return "", illegalEscape(c)
			}
			b.WriteByte('\\')
			b.WriteByte(c)
		case 'u':
			if i+4 >= len(s) {
				return "", illegalEscape(c)
			}
			n, err := strconv.ParseUint(s[i+1:i+5], 16, 32)
			if err != nil {
				return "", illegalEscape(c)
			}
			b.WriteRune(rune(n))
			i += 4
		default:
			return "", illegalEscape(c)
		}
	}
	return b.String(), nil
}

func illegalEscape(c byte) *apiError {
	return malformed("Invalid string literal. Illegal character sequence '\\%c' in string literal.", c)
}

func isLetter(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

// where shows a place in a query the way error messages do.
func where(src string, pos int) string {
	from, to := max(0, pos-30), min(len(src), pos+30)
	for from > 0 && !utf8.RuneStart(src[from]) {
		from--
	}
	for to < len(src) && !utf8.RuneStart(src[to]) {
		to++
	}
	return fmt.Sprintf("\n%s\n%s^\nERROR at Row:1:Column:%d\n", src[from:to], strings.Repeat(" ", pos-from), pos+1)
}
