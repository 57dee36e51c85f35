package mappings

import (
	"html"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

var textFunctions = map[string]function{
	"trim":     {"trim(x)", sig(new(anyToString)), onText(strings.TrimSpace)},
	"lower":    {"lower(x)", sig(new(anyToString)), onText(strings.ToLower)},
	"upper":    {"upper(x)", sig(new(anyToString)), onText(strings.ToUpper)},
	"label":    {"label(x)", sig(new(anyToString)), onText(labelOf)},
	"oneLine":  {"oneLine(x)", sig(new(anyToString)), onText(func(s string) string { return strings.Join(strings.Fields(s), " ") })},
	"replace":  {"replace(x, old, new)", sig(new(func(any, string, string) string)), replace},
	"split":    {"split(x, separator)", sig(new(func(any, string) []any)), split},
	"join":     {"join(list[, separator])", sig(new(func(any) string), new(func(any, string) string)), join},
	"lines":    {"lines(a, b, …)", sig(new(func(...any) string)), lines},
	"bullets":  {"bullets(list)", sig(new(anyToString)), bullets},
	"truncate": {"truncate(x, characters[, ending])", sig(new(func(any, int) string), new(func(any, int, any) string)), truncateText},
}

var htmlFunctions = map[string]function{
	"html":         {"html(x)", sig(new(anyToString)), escapeHTML},
	"htmlSection":  {"htmlSection(title, html)", sig(new(func(any, any) string)), htmlSection},
	"htmlList":     {"htmlList(list)", sig(new(anyToString)), htmlList},
	"htmlLink":     {"htmlLink(url, text)", sig(new(func(any, any) string)), htmlLink},
	"htmlTruncate": {"htmlTruncate(html, characters[, ending])", sig(new(func(any, int) string), new(func(any, int, any) string)), truncateMarkup},
}

func onText(f func(string) string) operator {
	return func(r *run, a []any) (any, error) {
		s := str(a[0])
		return f(s), r.spend(len(s))
	}
}

// labelOf makes words of a key: "example__appt_time" is "Example appt time".
func labelOf(key string) string {
	var b strings.Builder
	var before rune
	for _, c := range key {
		switch {
		case c == '_' || c == '-' || c == '.' || unicode.IsSpace(c):
			c = ' '
		case unicode.IsUpper(c) && unicode.IsLower(before):
			b.WriteByte(' ')
			c = unicode.ToLower(c)
		}
		b.WriteRune(c)
		before = c
	}
	s := strings.Join(strings.Fields(b.String()), " ")
	first, size := utf8.DecodeRuneInString(s)
	if size == 0 {
		return ""
	}
	return string(unicode.ToUpper(first)) + s[size:]
}

func replace(r *run, a []any) (any, error) {
	s, old, with := str(a[0]), str(a[1]), str(a[2])
	if old == "" {
		return s, nil
	}
	size := len(s) + strings.Count(s, old)*(len(with)-len(old))
	if err := r.spend(len(s) + size); err != nil {
		return nil, err
	}
	return strings.ReplaceAll(s, old, with), nil
}

func split(r *run, a []any) (any, error) {
	s, sep := str(a[0]), str(a[1])
	if err := r.spend(len(s) * 8); err != nil {
		return nil, err
	}
	out := []any{}
	if s == "" {
		return out, nil
	}
	for _, part := range strings.Split(s, sep) {
		out = append(out, part)
	}
	return out, nil
}

// texts are the texts of a list's items, without empty ones.
func texts(r *run, v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok && v != nil {
		list = []any{v}
	}
	var out []string
	for _, x := range list {
		s := str(x)
		if err := r.spend(len(s) + 1); err != nil {
			return nil, err
		}
		if strings.TrimSpace(s) != "" {
			out = append(out, s)
		}
	}
	return out, nil
}

func join(r *run, a []any) (any, error) {
	sep := ", "
	if len(a) > 1 {
		sep = str(a[1])
	}
	parts, err := texts(r, a[0])
	if err != nil {
		return nil, err
	}
	return strings.Join(parts, sep), r.spend(len(parts) * len(sep))
}

func lines(r *run, a []any) (any, error) {
	var out []string
	for _, v := range a {
		parts, err := texts(r, v)
		if err != nil {
			return nil, err
		}
		out = append(out, parts...)
	}
	return strings.Join(out, "\n"), nil
}

func bullets(r *run, a []any) (any, error) {
	parts, err := texts(r, a[0])
	if err != nil || len(parts) == 0 {
		return "", err
	}
	return "• " + strings.Join(parts, "\n• "), nil
}

func truncateText(r *run, a []any) (any, error) {
	s, ending := str(a[0]), "…"
	if len(a) > 2 {
		ending = str(a[2])
	}
	n, _ := a[1].(int)
	return truncate(s, n, ending), r.spend(len(s))
}

// units counts characters as CRMs, which are written in Java, count them: a rune
// outside the basic plane, such as most emoji, is two.
func units(s string) int {
	n := 0
	for _, r := range s {
		n += max(utf16.RuneLen(r), 1)
	}
	return n
}

// truncate shortens s to at most n characters, ending included, at the end of a
// word if one ends in the last tenth or the last 20 characters, and never within
// what people see as one character, such as a flag or a letter with its accents.
func truncate(s string, n int, ending string) string {
	if n <= 0 {
		return ""
	}
	if units(s) <= n {
		return s
	}
	room := n - units(ending)
	if room <= 0 {
		room, ending = n, ""
	}
	runes := []rune(s)
	cut := cutAt(runes, fitting(runes, room))
	for i := cut; i > cut-max(cut/10, 20) && i > 0; i-- {
		if unicode.IsSpace(runes[i]) {
			cut = i
			break
		}
	}
	return strings.TrimRightFunc(string(runes[:cut]), unicode.IsSpace) + ending
}

// fitting is how many of the runes make at most n characters.
func fitting(runes []rune, n int) int {
	for i, r := range runes {
		if n -= max(utf16.RuneLen(r), 1); n < 0 {
			return i
		}
	}
	return len(runes)
}

// cutAt moves a cut before runes[n] to the left until it parts nothing that
// people see as one character.
func cutAt(runes []rune, n int) int {
	for n > 0 && n < len(runes) && joined(runes[:n], runes[n]) {
		n--
	}
	return n
}

const zeroWidthJoiner = '\u200d'

func joined(before []rune, next rune) bool {
	last := before[len(before)-1]
	switch {
	case last == zeroWidthJoiner || next == zeroWidthJoiner:
		return true
	case unicode.In(next, unicode.Mn, unicode.Me, unicode.Mc, unicode.Variation_Selector):
		return true
	case next >= 0x1F3FB && next <= 0x1F3FF: // skin tones
		return true
	case last == '\r' && next == '\n':
		return true
	case isRegional(next):
		flags := 0
		for i := len(before) - 1; i >= 0 && isRegional(before[i]); i-- {
			flags++
		}
		return flags%2 == 1
	}
	return false
}

func isRegional(r rune) bool { return r >= 0x1F1E6 && r <= 0x1F1FF }

func escapeHTML(r *run, a []any) (any, error) {
	s := escape(str(a[0]))
	return s, r.spend(2 * len(s))
}

// escape makes text safe inside HTML and keeps its line breaks.
func escape(s string) string {
	s = html.EscapeString(clean(s))
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return strings.ReplaceAll(s, "\n", "<br>")
}

func htmlSection(r *run, a []any) (any, error) {
	title, body := str(a[0]), str(a[1])
	if strings.TrimSpace(body) == "" {
		return "", nil
	}
	if title != "" {
		title = "<p><strong>" + escape(title) + "</strong></p>"
	}
	if !strings.HasPrefix(body, "<ul>") && !strings.HasPrefix(body, "<p>") {
		body = "<p>" + body + "</p>"
	}
	return title + body, r.spend(len(title) + len(body))
}

func htmlList(r *run, a []any) (any, error) {
	parts, err := texts(r, a[0])
	if err != nil || len(parts) == 0 {
		return "", err
	}
	var b strings.Builder
	b.WriteString("<ul>")
	for _, p := range parts {
		b.WriteString("<li>" + escape(p) + "</li>")
	}
	b.WriteString("</ul>")
	return b.String(), r.spend(b.Len())
}

func htmlLink(_ *run, a []any) (any, error) {
	address := secureURL(str(a[0]))
	if address == "" {
		return "", nil
	}
	return `<a href="` + html.EscapeString(address) + `">` + escape(str(a[1])) + "</a>", nil
}

// secureURL returns an https address as given, or "" for anything else.
func secureURL(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > 2048 || strings.ContainsFunc(s, func(r rune) bool { return r <= 0x20 || r == 0x7f || strings.ContainsRune(`<>"\^{|}`+"`", r) }) {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || !strings.EqualFold(u.Scheme, "https") || u.Hostname() == "" || u.User != nil {
		return ""
	}
	return s
}

func truncateMarkup(r *run, a []any) (any, error) {
	s, ending := str(a[0]), "…"
	if len(a) > 2 {
		ending = str(a[2])
	}
	n, _ := a[1].(int)
	return truncateHTML(s, n, ending), r.spend(2 * len(s))
}

// truncateHTML shortens markup to at most n characters, tags and ending
// included, so that no tag or entity is cut and every element is closed. ending
// is markup too and comes last.
func truncateHTML(s string, n int, ending string) string {
	if units(s) <= n {
		return s
	}
	room := n - units(ending)
	if room < 0 {
		return ""
	}
	var (
		out    strings.Builder
		open   []string
		closes int // characters that closing all open elements takes
		used   int
	)
	for rest := s; rest != ""; {
		token := markupToken(rest)
		size := units(token)
		name, closing := tagName(token)
		after := closes
		switch {
		case name == "" || isVoid(name) || strings.HasSuffix(token, "/>"):
		case closing && len(open) > 0 && open[len(open)-1] == name:
			after -= len(name) + 3
		case closing:
			rest = rest[len(token):]
			continue
		default:
			after += len(name) + 3
		}
		if used+size+after > room {
			break
		}
		out.WriteString(token)
		used += size
		if after > closes {
			open = append(open, name)
		} else if after < closes {
			open = open[:len(open)-1]
		}
		closes = after
		rest = rest[len(token):]
	}
	text := strings.TrimRightFunc(out.String(), unicode.IsSpace)
	for i := len(open) - 1; i >= 0; i-- {
		text += "</" + open[i] + ">"
	}
	return text + ending
}

// Bounds of what is kept in one piece, in bytes.
const (
	longestTag    = 4096
	longestEntity = 12
	longestWord   = 40
)

// markupToken is the tag, entity or word with the space before it that s begins
// with.
func markupToken(s string) string {
	switch s[0] {
	case '<':
		if i := strings.IndexByte(s[:min(len(s), longestTag)], '>'); i > 0 {
			return s[:i+1]
		}
		return s[:1]
	case '&':
		if i := strings.IndexByte(s[:min(len(s), longestEntity)], ';'); i > 0 {
			return s[:i+1]
		}
		return s[:1]
	}
	word := false
	for i, c := range s {
		switch {
		case i > 0 && (c == '<' || c == '&'):
			return s[:i]
		case unicode.IsSpace(c) && word:
			return s[:i]
		case !unicode.IsSpace(c):
			word = true
		}
		if i > longestWord && (i > 10*longestWord || !joined([]rune(s[:i]), c)) {
			return s[:i]
		}
	}
	return s
}

func tagName(token string) (name string, closing bool) {
	if len(token) < 3 || token[0] != '<' || token[len(token)-1] != '>' {
		return "", false
	}
	inner := token[1 : len(token)-1]
	closing = strings.HasPrefix(inner, "/")
	inner = strings.TrimPrefix(inner, "/")
	end := strings.IndexFunc(inner, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9')
	})
	if end >= 0 {
		inner = inner[:end]
	}
	return strings.ToLower(inner), closing
}

func isVoid(name string) bool {
	switch name {
	case "br", "hr", "img", "wbr", "input", "meta", "link":
		return true
	}
	return false
}
