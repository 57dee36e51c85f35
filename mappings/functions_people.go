package mappings

import (
	"net/mail"
	"strings"
	"unicode"

	"github.com/callsync/callsync/crm"
)

var peopleFunctions = map[string]function{
	"firstName":   {"firstName(name)", sig(new(anyToString)), onText(firstName)},
	"lastName":    {"lastName(name)", sig(new(anyToString)), onText(lastName)},
	"e164":        {"e164(number[, region])", sig(new(anyToAny), new(func(any, any) any)), e164},
	"extension":   {"extension(x)", sig(new(anyToAny)), func(_ *run, a []any) (any, error) { return none(extension(str(a[0]))), nil }},
	"phone":       {"phone(number, ext[, region])", sig(new(func(any, any) any), new(func(any, any, any) any)), phone},
	"email":       {"email(x)", sig(new(anyToAny)), func(_ *run, a []any) (any, error) { return none(emailAddress(str(a[0]))), nil }},
	"url":         {"url(x)", sig(new(anyToAny)), func(_ *run, a []any) (any, error) { return none(secureURL(str(a[0]))), nil }},
	"owner":       {"owner(email)", sig(new(func(any) crm.Value)), owner},
	"disposition": {"disposition(label)", sig(new(func(any) crm.Value)), disposition},
}

// none is nil for the empty text.
func none(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// firstName is all of a name but its last word; lastName is that word. A name
// of one word is a first name; "Wembly, Victor" is read as written, surname
// first.
func firstName(name string) string {
	first, _ := splitName(name)
	return first
}

func lastName(name string) string {
	_, last := splitName(name)
	return last
}

func splitName(name string) (first, last string) {
	name = strings.Join(strings.Fields(clean(name)), " ")
	if isPlaceholder(name) {
		return "", ""
	}
	if surname, given, ok := strings.Cut(name, ","); ok && strings.TrimSpace(given) != "" && strings.TrimSpace(surname) != "" && !strings.Contains(given, ",") && !isSuffix(given) {
		return strings.TrimSpace(given), strings.TrimSpace(surname)
	}
	words := strings.Split(name, " ")
	end := len(words) - 1
	for end > 1 && isSuffix(words[end]) {
		end--
	}
	for end > 1 && isParticle(words[end-1]) {
		end--
	}
	if end == 0 {
		return name, ""
	}
	return strings.Join(words[:end], " "), strings.Join(words[end:], " ")
}

// isParticle reports a word that belongs to the surname after it. Only the
// lower-case spelling counts: "Van" may be somebody's first name.
func isParticle(word string) bool {
	switch word {
	case "van", "von", "der", "den", "de", "del", "della", "di", "da", "dos", "du", "la", "le", "ter", "ten", "zu", "zur", "bin", "ibn", "al", "el":
		return true
	}
	return false
}

func isSuffix(word string) bool {
	switch strings.ToLower(strings.Trim(word, " .,")) {
	case "jr", "sr", "ii", "iii", "iv", "phd", "md", "esq":
		return true
	}
	return false
}

// isPlaceholder recognises a value that stands for a type, as in the upstream
// reference's example: "<string>".
func isPlaceholder(s string) bool {
	s = strings.TrimSpace(s)
	return len(s) > 2 && strings.HasPrefix(s, "<") && strings.HasSuffix(s, ">")
}

func (r *run) parsePhone(number any, region any) (crm.Phone, bool) {
	home := r.region
	if s := str(region); s != "" {
		home = s
	}
	return r.phone(str(number), home)
}

// phone reads a number once for all the rules of a rendering that use it.
func (r *run) phone(number, region string) (crm.Phone, bool) {
	asked := [2]string{number, region}
	if known, ok := r.phones[asked]; ok {
		return known, known.E164 != ""
	}
	p, ok := crm.ParsePhone(number, region)
	if !ok {
		p = crm.Phone{}
	}
	if r.phones == nil {
		r.phones = map[[2]string]crm.Phone{}
	}
	r.phones[asked] = p
	return p, ok
}

func e164(r *run, a []any) (any, error) {
	var region any
	if len(a) > 1 {
		region = a[1]
	}
	if p, ok := r.parsePhone(a[0], region); ok {
		return p.E164, nil
	}
	return nil, nil
}

// extension returns the digits of an extension; "" for anything else.
func extension(s string) string {
	s = strings.TrimSpace(s)
	s = strings.TrimLeft(strings.ToLower(s), "ext.#: ")
	if s == "" || len(s) > 10 || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsDigit(r) || r > '9' }) {
		return ""
	}
	return s
}

func phone(r *run, a []any) (any, error) {
	var region any
	if len(a) > 2 {
		region = a[2]
	}
	p, ok := r.parsePhone(a[0], region)
	if !ok {
		return nil, nil
	}
	ext := extension(str(a[1]))
	if ext == "" {
		ext = p.Ext
	}
	if ext != "" {
		return p.E164 + " ext. " + ext, nil
	}
	return p.E164, nil
}

// emailAddress returns a plain email address in lower case, or "".
func emailAddress(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	if len(s) > 254 || strings.ContainsAny(s, " \t\r\n<>\"(),;:\\[]") {
		return ""
	}
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s {
		return ""
	}
	local, domain, _ := strings.Cut(s, "@")
	if len(local) > 64 || !strings.Contains(domain, ".") || strings.HasPrefix(domain, ".") || strings.HasSuffix(domain, ".") || strings.Contains(domain, "..") {
		return ""
	}
	return s
}

func owner(r *run, a []any) (any, error) {
	s := str(a[0])
	mail := emailAddress(s)
	if mail == "" && strings.TrimSpace(s) != "" {
		r.warn("an owner is not given as an email address; the record gets no owner")
	}
	return crm.LookupOf("owner", mail), nil
}

func disposition(_ *run, a []any) (any, error) {
	return crm.LookupOf("disposition", strings.TrimSpace(str(a[0]))), nil
}
