// Package mappings turns calls into the CRM records that should exist, by rules
// that users edit: it loads a mapping file, compiles and type-checks its
// expressions, and renders calls with it.
//
// Rendering is deterministic and offline: the same call and the same mapping
// version give the same records, whatever a CRM holds; what only the CRM knows
// (an owner's id) is rendered as a lookup. Nothing here sends a request, reads
// the journal or knows what was applied before. ([Mapping.Check] asks a CRM's
// schema through the interface it is handed, and nothing else does.)
package mappings

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
)

// Options are switches from the configuration that a mapping's [options] table
// declares with defaults, such as transcript = true. A name that neither the
// file nor one it routes to declares is an error, and so is a value of another
// type.
type Options map[string]any

// A Mapping is a compiled mapping file. It is immutable and safe for concurrent
// use.
type Mapping struct {
	name    string
	source  []byte
	def     *definition
	version string
	files   []string
}

// Render says what should stand in the CRM because of c. received is when the
// call was first delivered; it orders calls that have no scheduledAt. The error
// is a *[Error] that names the place in the file and the call; trying again
// gives the same.
func (m *Mapping) Render(c *julian.Call, received time.Time) (*crm.Desired, error) {
	return m.render(c, received, nil)
}

// Version identifies the mapping: a short hash of its source and options, and
// of the files it routes to.
func (m *Mapping) Version() string { return m.version }

// Name is the file's path as given, or "hubspot.toml (built in)".
func (m *Mapping) Name() string { return m.name }

// Source is the file's content. It must not be changed.
func (m *Mapping) Source() []byte { return m.source }

// Files lists the paths of the file and of those it routes to, for a watcher;
// built-in ones are not among them.
func (m *Mapping) Files() []string { return slices.Clone(m.files) }

// Routed returns the sources of the files it routes to, by path, to keep with
// its own: together they are what [Restore] needs. Built-in ones are not among
// them.
func (m *Mapping) Routed() map[string][]byte {
	sources := map[string][]byte{}
	m.each(func(to *Mapping) {
		if to != m && len(to.files) > 0 {
			sources[to.name] = to.source
		}
	})
	return sources
}

// Declared lists the custom properties that the file, and those it routes to,
// need, for `callsync setup` to create: what [[property]] tables declare, and
// callsync's key ([crm.KeyProperty]) on every object that a [[record]] writes.
func (m *Mapping) Declared() []crm.Property {
	var out []crm.Property
	seen := map[[2]string]bool{}
	add := func(p crm.Property) {
		if id := [2]string{p.Object, p.Name}; !seen[id] {
			seen[id] = true
			out = append(out, p)
		}
	}
	m.each(func(m *Mapping) {
		for _, p := range m.def.declared {
			add(p)
		}
	})
	m.each(func(m *Mapping) {
		for _, b := range m.def.blocks {
			add(crm.Property{Object: b.object, Name: crm.KeyProperty, Type: crm.TypeString, Unique: true, Pos: b.pos})
		}
	})
	return out
}

// each visits m and the mappings it routes to, each once.
func (m *Mapping) each(visit func(*Mapping)) {
	seen := map[*Mapping]bool{}
	var walk func(*Mapping)
	walk = func(m *Mapping) {
		if seen[m] {
			return
		}
		seen[m] = true
		visit(m)
		for _, r := range m.def.routes {
			if r.to != nil {
				walk(r.to)
			}
		}
	}
	walk(m)
}

// Load reads and compiles a file. Errors in it are [Errors].
func Load(path string, o Options) (*Mapping, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the mapping: %w", err)
	}
	return build(path, path, source, o, os.ReadFile)
}

// Parse compiles source; name stands for the file in errors, and routes are
// relative to its folder. Errors in it are [Errors].
func Parse(name string, source []byte, o Options) (*Mapping, error) {
	return build(name, "", source, o, os.ReadFile)
}

// Restore is Parse where the files routed to are not read but taken from what
// [Mapping.Routed] gave.
func Restore(name string, source []byte, routed map[string][]byte, o Options) (*Mapping, error) {
	return build(name, "", source, o, func(path string) ([]byte, error) {
		if text, ok := routed[path]; ok {
			return text, nil
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	})
}

func build(name, path string, source []byte, o Options, read func(path string) ([]byte, error)) (*Mapping, error) {
	l := &loader{read: read, overrides: o, used: map[string]bool{}, loaded: map[string]*Mapping{}}
	m := l.load(name, path, source, nil)
	for _, option := range slices.Sorted(maps.Keys(o)) {
		if !l.used[option] && len(l.errs) == 0 {
			l.errs = append(l.errs, &Error{
				Pos: crm.Pos{File: name}, Text: option,
				Msg:  fmt.Sprintf("the configuration sets the option %q, which the mapping does not have", option),
				Hint: suggest(option, l.options, "its options are"),
			})
		}
	}
	if len(l.errs) > 0 {
		return nil, l.errs
	}
	return m, nil
}

// A loader loads a file and those it routes to.
type loader struct {
	read      func(path string) ([]byte, error)
	overrides Options
	used      map[string]bool // overrides that some file declares
	options   []string        // all options declared
	loaded    map[string]*Mapping
	errs      Errors
}

// load compiles one file; within names the files that led to it.
func (l *loader) load(name, path string, text []byte, within []string) *Mapping {
	doc := newDocument(name, slices.Clone(text))
	m := &Mapping{name: name, source: doc.text, def: &definition{}}
	if path != "" {
		m.files = []string{path}
	}
	root, err := parseTOML(doc)
	if err != nil {
		l.errs = append(l.errs, err)
		return m
	}
	d := &decoder{doc: doc, def: m.def}
	l.override(d, root)
	d.decode(root)
	slices.SortStableFunc(d.errs, func(a, b *Error) int {
		if a.Pos.Line != b.Pos.Line {
			return a.Pos.Line - b.Pos.Line
		}
		return a.Pos.Column - b.Pos.Column
	})
	l.errs = append(l.errs, d.errs...)
	for i := range m.def.routes {
		l.route(m, &m.def.routes[i], append(within, name))
	}
	m.version = l.versionOf(m)
	return m
}

const maxRouteDepth = 8

func (l *loader) route(from *Mapping, r *routeRule, within []string) {
	if r.mapping == nil {
		return
	}
	fail := func(msg, hint string) {
		l.errs = append(l.errs, &Error{Pos: r.mapping.pos, Text: r.mapping.raw, Msg: msg, Hint: hint})
	}
	target := r.mapping.str
	name, path := target, ""
	var text []byte
	if kind, ok := strings.CutPrefix(target, "builtin:"); ok {
		source, found := builtinSource(kind)
		if !found {
			fail(fmt.Sprintf("there is no built-in mapping %q", kind), "there are: "+strings.Join(builtinNames(), ", "))
			return
		}
		name, text = builtinName(kind), source
	} else {
		if !filepath.IsAbs(target) {
			name = filepath.Join(filepath.Dir(from.name), target)
		}
		path = name
	}
	if slices.Contains(within, name) || len(within) > maxRouteDepth {
		fail(fmt.Sprintf("the route leads back to %s", name), "a mapping may not route to one that routes to it")
		return
	}
	if m, ok := l.loaded[name]; ok {
		r.to = m
		return
	}
	if text == nil {
		var err error
		if text, err = l.read(path); err != nil {
			fail("the mapping it routes to cannot be read: "+reason(err), "the path is relative to this file")
			return
		}
	}
	r.to = l.load(name, path, text, within)
	l.loaded[name] = r.to
	from.files = append(from.files, r.to.files...)
}

func reason(err error) string {
	if os.IsNotExist(err) {
		return "there is no such file"
	}
	return err.Error()
}

// override puts the configuration's options over the file's defaults.
func (l *loader) override(d *decoder, root *node) {
	options := root.get("options")
	if options == nil || options.kind != kindTable {
		return
	}
	for _, e := range options.entries {
		l.options = append(l.options, e.name)
		v, given := l.overrides[e.name]
		if !given {
			continue
		}
		l.used[e.name] = true
		if !e.val.set(v) {
			d.fail(e.pos, e.name, fmt.Sprintf("the configuration sets the option %s to %s; it must be %s", e.name, valueName(v), e.val.kind), "")
		}
	}
}

// set replaces a value by one of the same kind.
func (n *node) set(v any) bool {
	switch v := v.(type) {
	case bool:
		n.yes = v
		return n.kind == kindBool
	case string:
		n.str = v
		return n.kind == kindString
	case int:
		return n.set(int64(v))
	case int64:
		n.whole, n.num = v, float64(v)
		return n.kind == kindInt || n.kind == kindFloat
	case float64:
		n.num = v
		return n.kind == kindFloat
	}
	return false
}

// engine is the version of the rendering rules; a release that makes the same
// file give other records raises it.
const engine = "1"

func (l *loader) versionOf(m *Mapping) string {
	h := sha256.New()
	options, _ := json.Marshal(m.def.options)
	fmt.Fprintf(h, "%s\n%d\n%s\n%s\n", engine, len(m.source), m.source, options)
	for _, r := range m.def.routes {
		if r.to != nil {
			fmt.Fprintln(h, r.to.version)
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}
