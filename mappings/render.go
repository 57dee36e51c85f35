package mappings

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
)

// A renderer renders one call with one mapping.
type renderer struct {
	def    *definition
	callID string
	env    map[string]any
	run    *run
	vm     vm.VM
	// observe, when set, hears of every rule that is applied.
	observe func(Rule)
}

func newRenderer(m *Mapping, c *julian.Call, received time.Time) *renderer {
	r := &run{}
	r.region, _ = m.def.options["region"].(string)
	env := callValues(c, received, m.def.options, m.def.usesRaw)
	env[runName] = r
	return &renderer{def: m.def, callID: c.CallID, env: env, run: r}
}

// eval runs an expression. The error is an *Error.
func (r *renderer) eval(p *program) (any, error) {
	v, err := r.vm.Run(p.run, r.env)
	if err == nil {
		return v, nil
	}
	e := &Error{Pos: p.at.pos, Text: p.at.str, Call: r.callID, Msg: "the expression fails"}
	var at *file.Error
	if errors.As(err, &at) {
		e.Pos, e.Text, e.Msg = p.position(at.From), p.text(at.Location), runtimeMessage(at)
	}
	return nil, e
}

// runtimeMessage is what an expression failed with. The expression language's
// own messages may hold values of the call, so they are not passed on.
func runtimeMessage(at *file.Error) string {
	var own ruleError
	switch {
	case errors.As(at.Prev, &own):
		return own.Error()
	case strings.HasPrefix(at.Message, "memory budget exceeded"):
		return errTooMuch.Error()
	}
	return "this does not work on what the call holds here; check the kind of value it gets"
}

func (r *renderer) condition(p *program, rule Rule) (bool, error) {
	v, err := r.eval(p)
	if err != nil {
		return false, err
	}
	yes, err := truth(v)
	if err != nil {
		return false, r.failAt(p, err.Error(), "")
	}
	r.note(rule, p, yes)
	return yes, nil
}

func (r *renderer) failAt(p *program, msg, hint string) error {
	return &Error{Pos: p.at.pos, Text: p.at.str, Msg: msg, Hint: hint, Call: r.callID}
}

// raw is what a source gives, before it is known to be a value.
func (r *renderer) raw(s source) (any, error) {
	if s.expr == nil {
		return s.constant, nil
	}
	return r.eval(s.expr)
}

func (r *renderer) value(s source) (crm.Value, error) {
	v, err := r.raw(s)
	if err != nil {
		return crm.Value{}, err
	}
	value, err := toValue(v)
	if err != nil && s.expr != nil {
		return crm.Value{}, r.failAt(s.expr, err.Error(), valueHint)
	}
	return value, err
}

func (m *Mapping) render(c *julian.Call, received time.Time, observe func(Rule)) (*crm.Desired, error) {
	d := &crm.Desired{CallID: c.CallID, At: received.UTC(), Interim: c.Interim()}
	if c.ScheduledAt != nil {
		d.At = c.ScheduledAt.UTC()
	}
	r := newRenderer(m, c, received)
	r.observe = observe
	for _, route := range m.def.routes {
		yes, err := r.condition(route.when, Rule{Kind: RuleRoute})
		if err != nil {
			return nil, err
		}
		switch {
		case !yes:
		case route.to != nil:
			return route.to.render(c, received, observe)
		default:
			d.Skip = route.skip
			return d, nil
		}
	}
	if m.def.contact == nil {
		d.Skip = "no route in " + m.name + " takes this call"
		return d, nil
	}
	person, err := r.person(m.def.contact)
	if err != nil {
		return nil, err
	}
	d.Person = person
	for _, b := range m.def.blocks {
		records, err := r.block(b)
		if err != nil {
			return nil, err
		}
		d.Records = append(d.Records, records...)
	}
	d.Warnings = r.run.warnings
	return d, nil
}

func (r *renderer) person(c *contactRule) (crm.Person, error) {
	p := crm.Person{Objects: slices.Clone(c.objects), Unlinked: c.unlinked}
	var unusable []string
	for i, rule := range c.match {
		v, err := r.identifier(rule.value)
		if err != nil {
			return p, err
		}
		text := r.matchValue(rule.kind, v)
		note := Rule{Kind: RuleMatch, Name: rule.property, Pos: rule.pos}
		if text == "" {
			note.Note = "identifies nobody, so the rule is passed over"
			if why := r.unusable(rule, v); why != "" && !slices.Contains(unusable, why) {
				unusable = append(unusable, why)
			}
		}
		r.noteSource(note, rule.value, v)
		if text != "" {
			p.Match = append(p.Match, crm.Match{Rule: i, Property: rule.property, Value: text, Kind: rule.kind, Pos: rule.pos})
		}
	}
	if len(p.Match) == 0 {
		p.WhyUnmatched = strings.Join(unusable, "; ")
	}
	p.Key = personKey(p.Match)
	if err := r.create(c, &p); err != nil {
		return p, err
	}
	var err error
	p.Fields, err = r.fields(c.fields, "")
	return p, err
}

// identifier is the value of a match rule. What is no single value, such as an
// object where an id was expected, identifies nobody.
func (r *renderer) identifier(s source) (crm.Value, error) {
	v, err := r.raw(s)
	if err != nil {
		return crm.Value{}, err
	}
	value, err := toValue(v)
	if err != nil && s.expr != nil {
		return crm.Value{}, nil
	}
	return value, err
}

// matchValue returns the normal form of a value to look for, or "" for one that
// cannot identify anybody.
func (r *renderer) matchValue(kind crm.MatchKind, v crm.Value) string {
	text := strings.TrimSpace(v.Text)
	switch kind {
	case crm.MatchEmail:
		return emailAddress(text)
	case crm.MatchPhone:
		p, ok := r.run.phone(text, r.run.region)
		if !ok {
			return ""
		}
		return p.E164
	case crm.MatchID:
		if strings.ContainsFunc(text, func(c rune) bool {
			return !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_')
		}) {
			return ""
		}
	}
	if isPlaceholder(text) || len(text) > 255 {
		return ""
	}
	return text
}

func personKey(matches []crm.Match) string {
	for _, kind := range []crm.MatchKind{crm.MatchPhone, crm.MatchEmail} {
		for _, m := range matches {
			if m.Kind == kind {
				return m.Value
			}
		}
	}
	return ""
}

func (r *renderer) create(c *contactRule, p *crm.Person) error {
	switch {
	case c.create == nil:
		p.WhyNot = "the mapping has no `create`"
		return nil
	case c.create.when == nil:
		p.Create = c.create.object
	default:
		v, err := r.eval(c.create.when)
		if err != nil {
			return err
		}
		r.note(Rule{Kind: RuleCreate}, c.create.when, v)
		switch v := v.(type) {
		case nil:
		case bool:
			if v {
				p.Create = c.objects[0]
			}
		case string:
			if v != "" && !slices.Contains(c.objects, v) {
				return r.failAt(c.create.when, "`create` gives an object that `object` does not list", "the objects are "+strings.Join(c.objects, ", "))
			}
			p.Create = v
		default:
			return r.failAt(c.create.when, "`create` must be true, false or the object to create, this is "+valueName(v), "")
		}
	}
	switch {
	case p.Create == "":
		p.WhyNot = fmt.Sprintf("`create` at %s says no", c.create.pos)
	case p.Key == "":
		p.Create = ""
		p.WhyNot = "the call has neither a usable phone number nor an email address"
	}
	return nil
}

func (r *renderer) fields(rules []fieldRule, key string) ([]crm.Field, error) {
	fields := make([]crm.Field, 0, len(rules))
	for _, f := range rules {
		v, err := r.value(f.value)
		if err != nil {
			return nil, err
		}
		r.noteSource(Rule{Kind: RuleField, Record: key, Name: f.name, Pos: f.pos, Write: f.write}, f.value, v)
		fields = append(fields, crm.Field{Name: f.name, Value: v, Write: f.write, Pos: f.pos, Object: f.object, OfItem: f.value.ofItem()})
	}
	return fields, nil
}

func (r *renderer) block(b blockRule) ([]crm.Record, error) {
	key := r.callID + "#" + b.key
	if b.forEach == nil {
		return r.item(b, key)
	}
	v, err := r.eval(b.forEach)
	if err != nil {
		return nil, err
	}
	list, ok := v.([]any)
	if !ok && v != nil {
		return nil, r.failAt(b.forEach, "`for_each` must give a list, this is "+valueName(v), "")
	}
	r.note(Rule{Kind: RuleForEach, Record: key}, b.forEach, v)
	defer func() {
		delete(r.env, "item")
		delete(r.env, "index")
	}()
	var records []crm.Record
	for i, item := range list {
		r.env["item"], r.env["index"] = item, i
		one, err := r.item(b, key+"/"+strconv.Itoa(i))
		if err != nil {
			return nil, err
		}
		for j := range one {
			one[j].Item = i + 1
		}
		records = append(records, one...)
	}
	return records, nil
}

func (r *renderer) item(b blockRule, key string) ([]crm.Record, error) {
	if err := r.run.spend(turnCost); err != nil {
		return nil, r.failAt(b.when, err.Error(), "")
	}
	yes, err := r.condition(b.when, Rule{Kind: RuleWhen, Record: key})
	if err != nil || !yes {
		return nil, err
	}
	fields, err := r.fields(b.fields, key)
	if err != nil {
		return nil, err
	}
	return []crm.Record{{
		Key: key, Block: b.key, Object: b.object, Fields: fields,
		Links: slices.Clone(b.links), Keep: b.keep, KeepEdited: b.keepEdited, Pos: b.pos,
	}}, nil
}
