package salesforce

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

var hostile = []string{
	`O'Brien {*}`, `\`, `\'`, `' OR Name != '`, `"`, "a\nb\tc\r\b\f", `%_*?`,
	`+1 (555) 123-4567} RETURNING User(Id, Email)`, "\x00\x1f", `x" OR "y`,
}

func TestQuoteEscapesReservedCharacters(t *testing.T) {
	for in, want := range map[string]string{
		`O'Brien {*}`: `'O\'Brien {*}'`,
		`a\b`:         `'a\\b'`,
		`say "hi"`:    `'say \"hi\"'`,
		"a\nb\r\t":    `'a\nb\r\t'`,
		"a\x00b\x1fc": `'abc'`,
		"a\b\f":       `'a\b\f'`,
	} {
		if got := quote(in); got != want {
			t.Errorf("quote(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestSearchTermEscapesReservedCharacters(t *testing.T) {
	const reserved = `?&|!{}[]()^~*:\"'+-`
	got := searchTerm(reserved)
	var want strings.Builder
	want.WriteByte('"')
	for _, r := range reserved {
		want.WriteString(`\` + string(r))
	}
	want.WriteByte('"')
	if got != want.String() {
		t.Errorf("searchTerm = %s, want %s", got, want.String())
	}
}

// unquote reads a literal back as the SOQL grammar does; ok is false when the
// literal ends before its last character, or not at all.
func unquote(s string) (string, bool) {
	if len(s) < 2 || s[0] != '\'' {
		return "", false
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\'':
			return b.String(), i == len(s)-1
		case '\\':
			i++
			if i == len(s) {
				return "", false
			}
			if at := strings.IndexByte("nrtbf", s[i]); at >= 0 {
				b.WriteByte("\n\r\t\b\f"[at])
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return "", false
}

func FuzzQuote(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			s = strings.ToValidUTF8(s, "")
		}
		got, ok := unquote(quote(s))
		want := strings.Map(func(r rune) rune {
			if (r < ' ' || r == 0x7f) && !strings.ContainsRune("\n\r\t\b\f", r) {
				return -1
			}
			return r
		}, s)
		if !ok || got != want {
			t.Errorf("quote(%q) = %s, which reads as %q", s, quote(s), got)
		}
	})
}

func FuzzSearchTerm(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		term := searchTerm(s)
		inner := term[1 : len(term)-1]
		for i := 0; i < len(inner); i++ {
			if inner[i] == '\\' {
				i++
				continue
			}
			if strings.IndexByte(`?&|!{}[]()^~*:"'+-`, inner[i]) >= 0 {
				t.Fatalf("searchTerm(%q) = %s: %q stands unescaped", s, term, inner[i])
			}
		}
	})
}

func TestStatementsKeepToTheLengthOfAGet(t *testing.T) {
	var conditions []condition
	for i := range 1500 {
		conditions = append(conditions, condition{"Email", quote(strings.Repeat("x", 20) + string(rune('a'+i%26)) + "@example.com")})
		conditions = append(conditions, condition{"Reference__c", quote(strings.Repeat("'", i%40))})
	}
	s := selection{columns: []string{"Id", "Email"}, from: "Contact", and: "IsPersonAccount = false"}
	seen := map[string]bool{}
	for _, statement := range s.statements(conditions) {
		if n := len(url.QueryEscape(statement)); n > maxQuery+200 {
			t.Errorf("a statement has %d characters encoded", n)
		}
		if !strings.HasSuffix(statement, ") AND IsPersonAccount = false") {
			t.Errorf("a statement lacks its clause: …%s", statement[max(0, len(statement)-60):])
		}
		for _, c := range conditions {
			if strings.Contains(statement, c.literal) {
				seen[c.field+c.literal] = true
			}
		}
	}
	for _, c := range conditions {
		if !seen[c.field+c.literal] {
			t.Fatalf("%s = %s is in no statement", c.field, c.literal)
		}
	}
	if got := s.statements(nil); got != nil {
		t.Errorf("without conditions: %v, want no statement", got)
	}
}

func TestSearchesKeepToTheLimits(t *testing.T) {
	var terms []string
	for i := range 2000 {
		terms = append(terms, "1555"+strings.Repeat("0", 4)+string(rune('0'+i%10)))
	}
	tail := " IN PHONE FIELDS RETURNING Contact(Id)"
	n := 0
	for _, chunk := range searches(terms, len(tail)) {
		n += len(chunk)
		var quoted []string
		for _, c := range chunk {
			quoted = append(quoted, searchTerm(c))
		}
		if l := len(strings.Join(quoted, " OR ")); l > maxSearch {
			t.Errorf("a search has %d characters", l)
		}
		if l := len(url.QueryEscape(strings.Join(quoted, " OR ") + tail)); l > maxQuery {
			t.Errorf("a search has %d characters encoded", l)
		}
	}
	if n != len(terms) {
		t.Errorf("%d terms in the searches, want %d", n, len(terms))
	}
}

func TestIDs(t *testing.T) {
	for in, want := range map[string]string{
		"001D000000IqhSL":    "001D000000IqhSLIAZ",
		"001D000000IqhSLIAZ": "001D000000IqhSLIAZ",
		"001D000000IqhSLiaz": "001D000000IqhSLIAZ",
		"001D000000IqhSLAAA": "", // not its checksum
		"001D000000Iqh'L":    "",
		"":                   "",
		"12345":              "",
	} {
		got, ok := id18(in)
		if got != want || ok != (want != "") {
			t.Errorf("id18(%q) = %q, %v, want %q", in, got, ok, want)
		}
	}
}

func TestLiteralsFitTheirField(t *testing.T) {
	for _, tc := range []struct {
		typ, value, want string
	}{
		{"string", "o'b", `'o\'b'`},
		{"string", "", ""},
		{"double", "17.50", "17.5"},
		{"double", "17) OR (Id != null", ""},
		{"boolean", "true", "true"},
		{"boolean", "maybe", ""},
		{"reference", "001D000000IqhSL", "'001D000000IqhSLIAZ'"},
		{"id", "' OR '", ""},
		{"datetime", "2025-01-01", ""},
	} {
		got, ok := literalOf(field{Type: tc.typ}, tc.value)
		if ok != (tc.want != "") || ok && got != tc.want {
			t.Errorf("%s %q: %s, %v, want %s", tc.typ, tc.value, got, ok, tc.want)
		}
	}
	ref := field{Type: "reference"}
	if canonical(ref, "001D000000IqhSL") != canonical(ref, "001D000000IqhSLIAZ") {
		t.Error("an id's two lengths differ")
	}
}

func TestNamesThatMayStandInAPath(t *testing.T) {
	for name, want := range map[string]bool{"Task": true, "Call__c": true, "": false, "_x": false, "1x": false, "a/b": false, "a b": false, "x?q=1": false} {
		if got := validName(name); got != want {
			t.Errorf("validName(%q) = %v", name, got)
		}
	}
}
