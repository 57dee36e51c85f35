package mappings

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/callsync/callsync/crm"
)

// maxSource bounds a mapping file, in bytes.
const maxSource = 1 << 20

// A kind is what a TOML value is.
type kind string

const (
	kindTable  kind = "a table"
	kindArray  kind = "a list"
	kindString kind = "a string"
	kindBool   kind = "true or false"
	kindInt    kind = "a whole number"
	kindFloat  kind = "a number"
	kindTime   kind = "a date or time"
)

// A node is a TOML value with its place in the file.
type node struct {
	kind    kind
	pos     crm.Pos // of the value
	key     crm.Pos // of the key that names it
	raw     string  // the text in the file, for strings with their quotes
	str     string
	whole   int64
	num     float64
	yes     bool
	items   []*node
	entries []entry // a table's, in the order of the file
	// list marks an array that [[name]] headers extend.
	list bool
}

type entry struct {
	name string
	pos  crm.Pos
	val  *node
}

func (n *node) get(name string) *node {
	if n == nil {
		return nil
	}
	for _, e := range n.entries {
		if e.name == name {
			return e.val
		}
	}
	return nil
}

// A document turns offsets of a TOML text into positions.
type document struct {
	file  string
	text  []byte
	lines []int // offset of each line's start
}

func newDocument(file string, text []byte) *document {
	d := &document{file: file, text: text, lines: []int{0}}
	for i, c := range text {
		if c == '\n' {
			d.lines = append(d.lines, i+1)
		}
	}
	return d
}

func (d *document) pos(offset int) crm.Pos {
	offset = min(max(offset, 0), len(d.text))
	line, exact := slices.BinarySearch(d.lines, offset)
	if !exact {
		line--
	}
	return crm.Pos{
		File:   d.file,
		Line:   line + 1,
		Column: utf8.RuneCount(d.text[d.lines[line]:offset]) + 1,
	}
}

// parseTOML reads a document whole. go-toml's decoder says whether it is valid
// TOML; its parser, which knows where things are, then gives the tree.
func parseTOML(d *document) (*node, *Error) {
	if len(d.text) > maxSource {
		return nil, &Error{Pos: crm.Pos{File: d.file}, Msg: fmt.Sprintf("the file has %d bytes; a mapping may have %d", len(d.text), maxSource)}
	}
	var valid map[string]any
	if err := toml.Unmarshal(d.text, &valid); err != nil {
		return nil, d.syntaxError(err)
	}
	root := &node{kind: kindTable, pos: d.pos(0)}
	current := root
	var p unstable.Parser
	p.Reset(d.text)
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table:
			current = d.open(&p, root, e.Key(), false)
		case unstable.ArrayTable:
			current = d.open(&p, root, e.Key(), true)
		case unstable.KeyValue:
			d.keyValue(&p, current, e)
		}
	}
	if err := p.Error(); err != nil {
		return nil, d.syntaxError(err)
	}
	return root, nil
}

func (d *document) syntaxError(err error) *Error {
	pos := crm.Pos{File: d.file, Line: 1, Column: 1}
	var de *toml.DecodeError
	if errors.As(err, &de) {
		line, column := de.Position()
		if line >= 1 && line <= len(d.lines) {
			pos = d.pos(d.lines[line-1] + max(column-1, 0))
		}
	}
	msg := strings.TrimPrefix(err.Error(), "toml: ")
	return &Error{Pos: pos, Text: d.line(pos.Line), Msg: "not valid TOML: " + msg}
}

func (d *document) line(n int) string {
	if n < 1 || n > len(d.lines) {
		return ""
	}
	rest := d.text[d.lines[n-1]:]
	if i := bytes.IndexByte(rest, '\n'); i >= 0 {
		rest = rest[:i]
	}
	return strings.TrimSpace(string(rest))
}

// open returns the table that a [a.b] or [[a.b]] header begins.
func (d *document) open(p *unstable.Parser, at *node, keys unstable.Iterator, list bool) *node {
	for keys.Next() {
		k := keys.Node()
		pos := d.pos(int(k.Raw.Offset))
		name := string(k.Data)
		next := at.get(name)
		switch {
		case keys.IsLast() && list:
			if next == nil {
				next = &node{kind: kindArray, pos: pos, key: pos, list: true}
				at.entries = append(at.entries, entry{name, pos, next})
			}
			item := &node{kind: kindTable, pos: pos, key: pos}
			next.items = append(next.items, item)
			return item
		case next == nil:
			next = &node{kind: kindTable, pos: pos, key: pos}
			at.entries = append(at.entries, entry{name, pos, next})
		case next.list && len(next.items) > 0:
			next = next.items[len(next.items)-1]
		}
		at = next
	}
	return at
}

func (d *document) keyValue(p *unstable.Parser, at *node, kv *unstable.Node) {
	val := d.value(p, kv.Value())
	keys := kv.Key()
	for keys.Next() {
		k := keys.Node()
		pos := d.pos(int(k.Raw.Offset))
		name := string(k.Data)
		if keys.IsLast() {
			val.key = pos
			if val.pos.Line == 0 {
				val.pos = pos
			}
			at.entries = append(at.entries, entry{name, pos, val})
			return
		}
		next := at.get(name)
		if next == nil {
			next = &node{kind: kindTable, pos: pos, key: pos}
			at.entries = append(at.entries, entry{name, pos, next})
		}
		at = next
	}
}

func (d *document) value(p *unstable.Parser, v *unstable.Node) *node {
	n := &node{raw: string(p.Raw(v.Raw))}
	if v.Raw.Length > 0 {
		n.pos = d.pos(int(v.Raw.Offset))
	}
	switch v.Kind {
	case unstable.String:
		n.kind, n.str = kindString, string(v.Data)
	case unstable.Bool:
		n.kind, n.yes = kindBool, string(v.Data) == "true"
	case unstable.Integer:
		n.kind = kindInt
		n.whole, _ = strconv.ParseInt(strings.TrimPrefix(string(v.Data), "+"), 0, 64)
		n.num = float64(n.whole)
	case unstable.Float:
		n.kind = kindFloat
		n.num, _ = strconv.ParseFloat(strings.ReplaceAll(string(v.Data), "_", ""), 64)
	case unstable.Array:
		n.kind = kindArray
		it := v.Children()
		for it.Next() {
			if it.Node().Kind == unstable.Comment {
				continue
			}
			n.items = append(n.items, d.value(p, it.Node()))
		}
		if n.pos.Line == 0 && len(n.items) > 0 {
			n.pos = n.items[0].pos
		}
	case unstable.InlineTable:
		n.kind = kindTable
		it := v.Children()
		for it.Next() {
			if it.Node().Kind == unstable.KeyValue {
				d.keyValue(p, n, it.Node())
			}
		}
	default:
		n.kind = kindTime
	}
	return n
}

// runes returns the place of each rune of a string value in the file, and one
// past the last; nil when they cannot be told.
func (n *node) runes() []crm.Pos {
	raw, quote := n.raw, ""
	for _, q := range []string{`"""`, "'''", `"`, "'"} {
		if strings.HasPrefix(raw, q) && strings.HasSuffix(raw, q) && len(raw) >= 2*len(q) {
			quote = q
			break
		}
	}
	if quote == "" {
		return nil
	}
	s := &scanner{text: []rune(strings.TrimSuffix(raw, quote)), pos: n.pos}
	for range quote {
		s.next()
	}
	if len(quote) == 3 {
		s.skip("\r")
		s.skip("\n")
	}
	var out []crm.Pos
	escapes := quote[0] == '"'
	for s.i < len(s.text) {
		at := s.pos
		if s.text[s.i] == '\\' && escapes {
			s.next()
			if s.escape() {
				out = append(out, at)
			}
			continue
		}
		out = append(out, at)
		s.next()
	}
	out = append(out, s.pos)
	if len(out) != utf8.RuneCountInString(n.str)+1 {
		return nil
	}
	return out
}

// A scanner walks over a string's text in the file.
type scanner struct {
	text []rune
	i    int
	pos  crm.Pos
}

func (s *scanner) next() {
	if s.i >= len(s.text) {
		return
	}
	if s.text[s.i] == '\n' {
		s.pos.Line++
		s.pos.Column = 0
	}
	s.pos.Column++
	s.i++
}

func (s *scanner) skip(set string) bool {
	if s.i < len(s.text) && strings.ContainsRune(set, s.text[s.i]) {
		s.next()
		return true
	}
	return false
}

// escape steps over what follows a backslash, and reports whether it stands for
// a rune; a backslash at a line's end stands for none.
func (s *scanner) escape() bool {
	if s.i >= len(s.text) {
		return false
	}
	switch s.text[s.i] {
	case 'u':
		s.steps(5)
	case 'U':
		s.steps(9)
	case 'x':
		s.steps(3)
	case ' ', '\t', '\r', '\n':
		for s.skip(" \t\r\n") {
		}
		return false
	default:
		s.next()
	}
	return true
}

func (s *scanner) steps(n int) {
	for range n {
		s.next()
	}
}
