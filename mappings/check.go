package mappings

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/callsync/callsync/crm"
)

// A Problem is something in a mapping that a CRM account will not accept.
type Problem struct {
	Pos      crm.Pos `json:"pos"`
	Object   string  `json:"object"`
	Property string  `json:"property,omitempty"`
	Text     string  `json:"text"`           // what is wrong
	Hint     string  `json:"hint,omitempty"` // what to do about it
	// Missing: the account has no such object or property, so that every write of
	// it is refused. Declared: it is one that `callsync setup` creates.
	Missing  bool `json:"missing,omitempty"`
	Declared bool `json:"declared,omitempty"`
}

func (p Problem) String() string {
	s := p.Pos.String() + ": " + p.Text
	if p.Hint != "" {
		s += "; " + p.Hint
	}
	return s
}

// Check compares the mapping, and those it routes to, with an account's schema.
// It reports objects and properties that do not exist or cannot be written,
// fixed texts that are no option or too long, values of a type the property
// does not take, and required properties that are missing. What depends on a
// call cannot be seen here. The error is the Inspector's, other than that an
// object does not exist.
func (m *Mapping) Check(ctx context.Context, in crm.Inspector) ([]Problem, error) {
	c := &checker{ctx: ctx, in: in, schemas: map[string]*crm.Schema{}, declared: map[[2]string]bool{}}
	for _, p := range m.Declared() {
		c.declared[[2]string{p.Object, p.Name}] = true
	}
	m.each(func(m *Mapping) {
		if m.def.contact != nil {
			c.contact(m.def.contact)
		}
		for _, b := range m.def.blocks {
			c.block(b)
		}
	})
	return c.problems, c.err
}

type checker struct {
	ctx      context.Context
	in       crm.Inspector
	schemas  map[string]*crm.Schema // nil for an object that does not exist
	declared map[[2]string]bool
	problems []Problem
	err      error
}

func (c *checker) report(p Problem) { c.problems = append(c.problems, p) }

// schema returns an object's schema; nil when there is none, which is reported
// at pos the first time.
func (c *checker) schema(object string, pos crm.Pos) *crm.Schema {
	if s, asked := c.schemas[object]; asked || c.err != nil {
		return s
	}
	s, err := c.in.Schema(c.ctx, object)
	switch {
	case err == nil:
	case crm.KindOf(err) == crm.Permanent:
		s = nil
		c.report(Problem{Pos: pos, Object: object, Missing: true, Text: fmt.Sprintf("the CRM has no object %q", object), Hint: "objects are named as in the CRM's API"})
	default:
		c.err = fmt.Errorf("reading the schema of %s: %w", object, err)
		return nil
	}
	c.schemas[object] = s
	return s
}

func (c *checker) contact(rule *contactRule) {
	for _, object := range rule.objects {
		s := c.schema(object, rule.pos)
		if s == nil {
			continue
		}
		for _, m := range rule.match {
			if m.kind != crm.MatchID {
				c.property(s, m.property, m.pos)
			}
		}
		set := map[string]bool{}
		for _, f := range rule.fields {
			if f.object == "" || f.object == object {
				set[f.name] = true
				c.field(s, f)
			}
		}
		if rule.mayCreate(object) {
			c.required(s, set, rule.create.pos)
		}
	}
}

// mayCreate reports whether `create` may name an object.
func (c *contactRule) mayCreate(object string) bool {
	switch {
	case c.create == nil:
		return false
	case c.create.when == nil:
		return c.create.object == object
	case c.create.when.outType() == "true or false":
		return c.objects[0] == object
	case len(c.create.when.literals) > 0:
		return slices.ContainsFunc(c.create.when.literals, func(l literal) bool { return l.text == object })
	}
	return true
}

func (c *checker) block(b blockRule) {
	s := c.schema(b.object, b.pos)
	if s == nil {
		return
	}
	set := map[string]bool{}
	for _, f := range b.fields {
		set[f.name] = true
		c.field(s, f)
	}
	c.required(s, set, b.pos)
}

func (c *checker) required(s *crm.Schema, set map[string]bool, pos crm.Pos) {
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if p := s.Properties[name]; p.Required && !p.ReadOnly && !set[name] {
			c.report(Problem{Pos: pos, Object: s.Object, Property: name, Text: fmt.Sprintf("%s requires %s, which is not mapped", s.Object, name), Hint: "add a field for it"})
		}
	}
}

// property returns a property's description; one that does not exist is
// reported.
func (c *checker) property(s *crm.Schema, name string, pos crm.Pos) (crm.Property, bool) {
	if p, ok := s.Properties[name]; ok {
		return p, true
	}
	problem := Problem{Pos: pos, Object: s.Object, Property: name, Missing: true, Text: fmt.Sprintf("%s has no property %s", s.Object, name)}
	if c.declared[[2]string{s.Object, name}] || c.declared[[2]string{s.Object, strings.TrimSuffix(name, "__c")}] {
		problem.Declared = true
		problem.Hint = "the mapping declares it: `callsync setup` creates it"
	} else {
		problem.Hint = didYouMean(name, slices.Sorted(maps.Keys(s.Properties)))
	}
	c.report(problem)
	return crm.Property{}, false
}

func (c *checker) field(s *crm.Schema, f fieldRule) {
	p, ok := c.property(s, f.name, f.pos)
	if !ok {
		return
	}
	problem := Problem{Pos: f.pos, Object: s.Object, Property: f.name}
	if p.ReadOnly {
		problem.Text = fmt.Sprintf("%s of %s cannot be written", f.name, s.Object)
		problem.Hint = "the CRM fills it in, or the account callsync uses lacks the permission"
		c.report(problem)
		return
	}
	if f.value.expr == nil {
		c.constant(problem, p, f.value)
		return
	}
	if got := f.value.expr.outType(); !accepts(p.Type, got) && len(f.value.expr.literals) == 0 {
		problem.Pos = f.value.expr.at.pos
		problem.Text = fmt.Sprintf("%s of %s is %s, the expression gives %s", f.name, s.Object, describeType(p.Type), got)
		c.report(problem)
	}
	for _, l := range f.value.expr.literals {
		problem.Pos = l.pos
		c.text(problem, p, l.text)
	}
	if limit := f.value.expr.limit; p.MaxLen > 0 && limit > p.MaxLen {
		problem.Pos = f.value.expr.at.pos
		problem.Text = fmt.Sprintf("%s of %s holds %d characters, the expression cuts to %d", f.name, s.Object, p.MaxLen, limit)
		problem.Hint = ""
		c.report(problem)
	}
}

// constant checks a value that is no expression: true, 5.
func (c *checker) constant(problem Problem, p crm.Property, s source) {
	if got := valueName(s.constant); !accepts(p.Type, got) {
		problem.Text = fmt.Sprintf("%s of %s is %s, this is %s", p.Name, problem.Object, describeType(p.Type), got)
		c.report(problem)
	}
}

// text checks a fixed text that an expression may give.
func (c *checker) text(problem Problem, p crm.Property, text string) {
	if text == "" {
		return
	}
	problem.Hint = ""
	switch {
	case p.MaxLen > 0 && utf8.RuneCountInString(text) > p.MaxLen:
		problem.Text = fmt.Sprintf("this text has %d characters, %s holds %d", utf8.RuneCountInString(text), problem.Property, p.MaxLen)
	case p.Type == crm.TypeEnum && len(p.Options) > 0 && !p.OpenOptions:
		values := make([]string, len(p.Options))
		for i, o := range p.Options {
			values[i] = o.Value
			if o.Value == text {
				return
			}
			if strings.EqualFold(o.Label, text) || strings.EqualFold(o.Value, text) {
				problem.Hint = fmt.Sprintf("write '%s'", o.Value)
			}
		}
		if problem.Hint == "" {
			problem.Hint = suggest(text, values, "its options are")
		}
		problem.Text = fmt.Sprintf("%s has no option %q", problem.Property, text)
	case !readable(p.Type, text):
		problem.Text = fmt.Sprintf("%s of %s is %s, which %q is not", problem.Property, problem.Object, describeType(p.Type), text)
	default:
		return
	}
	c.report(problem)
}

// accepts reports whether a property can take a value of a kind; what is not
// known beforehand is accepted.
func accepts(t crm.PropertyType, kind string) bool {
	switch kind {
	case "a text":
		return t != crm.TypeNumber && t != crm.TypeBool && t != crm.TypeDateTime
	case "a number":
		return t != crm.TypeBool && t != crm.TypeDate && t != crm.TypeEnum
	case "true or false":
		return t != crm.TypeNumber && t != crm.TypeDate && t != crm.TypeDateTime
	case "a time":
		return t != crm.TypeNumber && t != crm.TypeBool && t != crm.TypeEnum
	}
	return true
}

func readable(t crm.PropertyType, text string) bool {
	switch t {
	case crm.TypeNumber:
		_, err := strconv.ParseFloat(text, 64)
		return err == nil
	case crm.TypeBool:
		return text == "true" || text == "false"
	case crm.TypeDate, crm.TypeDateTime:
		return instant(text) != nil
	}
	return true
}

func describeType(t crm.PropertyType) string {
	switch t {
	case crm.TypeNumber:
		return "a number"
	case crm.TypeBool:
		return "true or false"
	case crm.TypeDate:
		return "a date"
	case crm.TypeDateTime:
		return "a time"
	case crm.TypeEnum:
		return "one of its options"
	case crm.TypeRef:
		return "the id of a record"
	}
	return "a text"
}
