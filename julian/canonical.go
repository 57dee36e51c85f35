package julian

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Canonical returns body in a form in which two bodies are equal when they mean
// the same: keys sorted, no spacing, one spelling for each string and number.
// The form is JSON, and its own canonical form. The error is [ErrNotObject].
func Canonical(body []byte) ([]byte, error) {
	t, err := decodeObject(body, nil)
	if err != nil {
		return nil, err
	}
	return t.canonical(nil, 0), nil
}

// Hash is the identity of a body: the SHA-256 of its canonical form, in hex.
func Hash(canonical []byte) string {
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:])
}

// canonical appends the canonical form of what is at i.
func (t tape) canonical(b []byte, i int) []byte {
	switch p := &t[i]; p.kind {
	case yes:
		return append(b, "true"...)
	case no:
		return append(b, "false"...)
	case number:
		return appendNumber(b, p.text)
	case text:
		return appendString(b, p.text)
	case list:
		b = append(b, '[')
		for c := i + 1; c < int(p.next); c = int(t[c].next) {
			if c > i+1 {
				b = append(b, ',')
			}
			b = t.canonical(b, c)
		}
		return append(b, ']')
	case object:
		return t.canonicalObject(b, i)
	default:
		return append(b, "null"...)
	}
}

func (t tape) canonicalObject(b []byte, i int) []byte {
	var room [24]int // enough for every documented object
	members := room[:0]
	for c := i + 1; c < int(t[i].next); c = int(t[c].next) {
		members = append(members, c)
	}
	slices.SortStableFunc(members, func(a, b int) int { return strings.Compare(t[a].key, t[b].key) })
	b = append(b, '{')
	first := true
	for n, c := range members {
		if n+1 < len(members) && t[members[n+1]].key == t[c].key {
			continue // the last one counts
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(appendString(b, t[c].key), ':')
		b = t.canonical(b, c)
	}
	return append(b, '}')
}

const hexDigits = "0123456789abcdef"

// appendString quotes s, escaping no more than JSON requires. Broken UTF-8
// becomes U+FFFD, as it does when JSON is decoded.
func appendString(b []byte, s string) []byte {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, string(utf8.RuneError))
	}
	b = append(b, '"')
	start := 0
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[start:i]...)
		start = i + 1
		if c < 0x20 {
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
		} else {
			b = append(b, '\\', c)
		}
	}
	return append(append(b, s[start:]...), '"')
}

// appendNumber writes a JSON number as its significant digits and a power of
// ten: 1.50, 15e-1 and 0.15E+1 are all 15e-1. It works on the text, so that
// 1e999999999 costs no more than 1e9. Small integers are written plainly.
func appendNumber(b []byte, s string) []byte {
	text := s
	s, negative := strings.CutPrefix(s, "-")
	exponent := int64(0)
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		var err error
		if exponent, err = strconv.ParseInt(s[i+1:], 10, 64); err != nil || exponent > maxExponent || exponent < -maxExponent {
			return append(b, strings.ToLower(text)...)
		}
		s = s[:i]
	}
	whole, fraction, _ := strings.Cut(s, ".")
	digits := whole
	if fraction != "" {
		digits += fraction
		exponent -= int64(len(fraction))
	}
	digits = strings.TrimLeft(digits, "0")
	if digits == "" {
		return append(b, '0')
	}
	significant := strings.TrimRight(digits, "0")
	exponent += int64(len(digits) - len(significant))
	if negative {
		b = append(b, '-')
	}
	b = append(b, significant...)
	if exponent > 0 && exponent <= maxZeros {
		return append(b, "00000000000000000000"[:exponent]...)
	}
	if exponent != 0 {
		b = append(b, 'e')
		b = strconv.AppendInt(b, exponent, 10)
	}
	return b
}

const (
	// maxExponent keeps exponents far from overflow; a number beyond it keeps
	// its spelling.
	maxExponent = 1 << 40
	// maxZeros is how many zeros an integer may end in and be written plainly.
	maxZeros = 20
)
