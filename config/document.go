package config

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// A Problem is one thing that is wrong in a configuration file.
type Problem struct {
	File   string `json:"file"`
	Line   int    `json:"line"`          // from 1
	Column int    `json:"column"`        // from 1, in characters
	Key    string `json:"key,omitempty"` // "receiver.max_body"; "" for a syntax error
	Text   string `json:"text"`          // what is wrong and what to write, without secrets
}

func (p Problem) String() string {
	s := fmt.Sprintf("%s:%d:%d: ", p.File, p.Line, p.Column)
	if p.Key != "" {
		s += p.Key + ": "
	}
	return s + p.Text
}

// An Error lists what is wrong in a configuration file, in the file's order.
type Error struct{ Problems []Problem }

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// A document is a file being read.
type document struct {
	file, dir string
	offline   bool     // secrets stay unread
	types     []string // of destinations; nil accepts any

	checkAlertURL func(string) error // nil accepts any

	literals [][]string       // keys of secrets that stand in the file itself
	places   map[string]place // by joined key path
	problems []Problem
	warnings []string
}

type place struct{ line, column int }

// decode reads the syntax. After a syntax error there is nothing more to say
// about the file, and ok is false.
func (d *document) decode(source []byte) (root section, ok bool) {
	var m map[string]any
	if err := toml.Unmarshal(source, &m); err != nil {
		p := Problem{File: d.file, Line: 1, Column: 1, Text: strings.TrimPrefix(err.Error(), "toml: ")}
		var de *toml.DecodeError
		if errors.As(err, &de) {
			p.Line, p.Column = de.Position()
		}
		d.problems = append(d.problems, p)
		return section{}, false
	}
	d.index(source)
	return section{d: d, m: m, seen: map[string]bool{}}, true
}

func (d *document) err() error {
	if len(d.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(d.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return &Error{d.problems}
}

func (d *document) report(path []string, text string) {
	at := d.place(path)
	d.problems = append(d.problems, Problem{d.file, at.line, at.column, keyName(path), text})
}

func (d *document) warn(path []string, text string) {
	at := d.place(path)
	d.warnings = append(d.warnings, Problem{d.file, at.line, at.column, keyName(path), text}.String())
}

// relative makes a path that is not absolute relative to the file's folder.
func (d *document) relative(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(d.dir, path)
}

// place is where a key path is, or else its nearest parent: a key that is
// missing is reported at its table.
func (d *document) place(path []string) place {
	for ; len(path) > 0; path = path[:len(path)-1] {
		if p, ok := d.places[join(path)]; ok {
			return p
		}
	}
	return place{1, 1}
}

func join(path []string) string { return strings.Join(path, "\x00") }

// keyName is a path as one would write it in TOML; list items have an index.
func keyName(path []string) string {
	var b strings.Builder
	for i, k := range path {
		switch {
		case strings.HasPrefix(k, "["):
			b.WriteString(k)
			continue
		case i > 0:
			b.WriteByte('.')
		}
		if bare(k) {
			b.WriteString(k)
		} else {
			b.WriteString(strconv.Quote(k))
		}
	}
	return b.String()
}

func bare(k string) bool {
	return k != "" && !strings.ContainsFunc(k, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}

// index notes where each key stands. The source has been decoded before, so
// that it is known to be well-formed.
func (d *document) index(source []byte) {
	d.places = map[string]place{}
	var p unstable.Parser
	p.Reset(source)
	x := indexer{d, source}
	var table []string
	for p.NextExpression() {
		switch e := p.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = x.key(nil, e.Key())
		case unstable.KeyValue:
			x.value(x.key(table, e.Key()), e.Value())
		}
	}
}

type indexer struct {
	d      *document
	source []byte
}

// key notes each part of a dotted key, unless it is known already.
func (x indexer) key(prefix []string, parts unstable.Iterator) []string {
	path := slices.Clone(prefix)
	for parts.Next() {
		n := parts.Node()
		path = append(path, string(n.Data))
		x.note(path, n.Raw)
	}
	return path
}

func (x indexer) value(path []string, v *unstable.Node) {
	switch v.Kind {
	case unstable.InlineTable:
		for it := v.Children(); it.Next(); {
			kv := it.Node()
			x.value(x.key(path, kv.Key()), kv.Value())
		}
	case unstable.Array:
		i := 0
		for it := v.Children(); it.Next(); {
			if it.Node().Kind == unstable.Comment {
				continue
			}
			item := append(slices.Clone(path), fmt.Sprintf("[%d]", i))
			x.note(item, it.Node().Raw)
			x.value(item, it.Node())
			i++
		}
	}
}

func (x indexer) note(path []string, r unstable.Range) {
	k := join(path)
	if _, ok := x.d.places[k]; ok || r.Length == 0 {
		return
	}
	before := x.source[:r.Offset]
	start := strings.LastIndexByte(string(before), '\n') + 1
	x.d.places[k] = place{
		line:   strings.Count(string(before), "\n") + 1,
		column: utf8.RuneCount(before[start:]) + 1,
	}
}
