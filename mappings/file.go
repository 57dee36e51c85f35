package mappings

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/types"

	"github.com/callsync/callsync/crm"
)

// A decoder reads a document's tree into a definition and collects what is
// wrong with it.
type decoder struct {
	doc  *document
	errs Errors
	def  *definition
	env  types.Map // names that expressions outside for_each may use
}

func (d *decoder) fail(pos crm.Pos, text, msg, hint string) {
	d.errs = append(d.errs, &Error{Pos: pos, Text: text, Msg: msg, Hint: hint})
}

func (d *decoder) failf(n *node, hint, format string, args ...any) {
	d.fail(n.pos, n.raw, fmt.Sprintf(format, args...), hint)
}

// known reports the keys of a table that it may not have.
func (d *decoder) known(n *node, where string, names ...string) {
	for _, e := range n.entries {
		if slices.Contains(names, e.name) {
			continue
		}
		d.fail(e.pos, e.name, fmt.Sprintf("unknown key %q%s", e.name, where), suggest(e.name, names, "the keys here are"))
	}
}

// is reports a value of another kind; a missing one is not reported.
func (d *decoder) is(n *node, name string, want kind) bool {
	if n == nil {
		return false
	}
	if n.kind != want {
		d.failf(n, "", "`%s` must be %s, this is %s", name, want, n.kind)
		return false
	}
	return true
}

func (d *decoder) text(n *node, name string) string {
	if d.is(n, name, kindString) {
		return n.str
	}
	return ""
}

// tables returns the tables of [[name]].
func (d *decoder) tables(n *node, name string) []*node {
	if n == nil {
		return nil
	}
	var out []*node
	if n.kind == kindArray {
		for _, item := range n.items {
			if item.kind == kindTable {
				out = append(out, item)
			} else {
				d.failf(item, "", "each %s must be a table", name)
			}
		}
		return out
	}
	d.failf(n, fmt.Sprintf("write [[%s]], in double brackets: there may be several", name), "`%s` must be a list of tables", name)
	return nil
}

func (d *decoder) decode(root *node) {
	d.known(root, " at the top of the file", "options", "contact", "record", "route", "property")
	d.readOptions(root.get("options"))
	d.env = callTypes(d.def.options, nil)
	d.readContact(root.get("contact"))
	keys := map[string]bool{}
	for _, n := range d.tables(root.get("record"), "record") {
		d.readBlock(n, keys)
	}
	for _, n := range d.tables(root.get("route"), "route") {
		d.readRoute(n)
	}
	for _, n := range d.tables(root.get("property"), "property") {
		d.readProperty(n)
	}
	switch {
	case len(d.def.blocks) > 0 && root.get("contact") == nil:
		d.fail(d.def.blocks[0].pos, "", "there are records but no [contact] table, so nobody they belong to", "add [contact] with object and match")
	case root.get("contact") == nil && len(d.def.routes) == 0 && len(d.errs) == 0:
		d.fail(d.doc.pos(0), "", "the file says nothing: it has no [contact], no [[record]] and no [[route]]", "")
	}
}

func (d *decoder) readOptions(n *node) {
	d.def.options = map[string]any{}
	if !d.is(n, "options", kindTable) {
		return
	}
	for _, e := range n.entries {
		if !identifier.MatchString(e.name) {
			d.fail(e.pos, e.name, fmt.Sprintf("the option %q cannot be used in expressions", e.name), "use letters, digits and _")
			continue
		}
		switch v := e.val; v.kind {
		case kindBool, kindString, kindInt, kindFloat:
			d.def.options[e.name] = v.constant()
		default:
			d.failf(v, "", "an option must be true or false, a text or a number, this is %s", v.kind)
		}
	}
	if r, ok := d.def.options["region"]; ok {
		if s, isText := r.(string); !isText || !validRegion(s) {
			d.failf(n.get("region"), `write "US", "GB", … or "" for none`, "`region` must be a country of two letters")
		}
	}
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func validRegion(s string) bool {
	return s == "" || regexp.MustCompile(`^[A-Za-z]{2}$`).MatchString(s)
}

func (n *node) constant() any {
	switch n.kind {
	case kindBool:
		return n.yes
	case kindInt:
		return int(n.whole)
	case kindFloat:
		return n.num
	default:
		return n.str
	}
}

// program compiles an expression that is a string of the file.
func (d *decoder) program(n *node, name string, env types.Map) *program {
	if !d.is(n, name, kindString) {
		return nil
	}
	p, err := compile(n, env)
	if err != nil {
		d.errs = append(d.errs, err)
		return nil
	}
	d.def.usesRaw = d.def.usesRaw || p.usesRaw
	d.def.compared = append(d.def.compared, p.compared...)
	return p
}

func (d *decoder) condition(n *node, name string, env types.Map) *program {
	if n != nil && n.kind == kindBool {
		n = &node{kind: kindString, str: fmt.Sprint(n.yes), raw: n.raw, pos: n.pos, key: n.key}
	}
	p := d.program(n, name, env)
	if p == nil {
		return nil
	}
	if err := p.wants(fmt.Sprintf("`%s` must be true or false", name), "true or false", "nothing"); err != nil {
		err.Hint = "compare it with something: resultType == 'Voicemail'"
		d.errs = append(d.errs, err)
		return nil
	}
	return p
}

func (d *decoder) source(n *node, name string, env types.Map) (source, bool) {
	switch n.kind {
	case kindBool, kindInt, kindFloat:
		constant := n.constant()
		if n.kind == kindInt {
			constant = n.whole
		}
		return source{constant: constant, text: n.raw}, true
	case kindString:
	default:
		d.failf(n, "", "`%s` must be an expression in quotes, this is %s", name, n.kind)
		return source{}, false
	}
	p := d.program(n, name, env)
	if p == nil {
		return source{}, false
	}
	if err := p.wants(fmt.Sprintf("`%s` must give one value", name), "a text", "a number", "true or false", "a time", "a lookup", "nothing"); err != nil {
		err.Hint = valueHint
		d.errs = append(d.errs, err)
		return source{}, false
	}
	return source{expr: p, text: n.str}, true
}

func (d *decoder) readContact(n *node) {
	if !d.is(n, "contact", kindTable) {
		return
	}
	d.known(n, " in [contact]", "object", "match", "create", "fields", "unlinked")
	c := &contactRule{}
	d.def.contact = c
	switch object := n.get("object"); {
	case object == nil:
		d.fail(n.pos, "contact", "[contact] does not say which object holds people", `add object = "contacts"; in Salesforce object = ["Contact", "Lead"]`)
	case object.kind == kindString:
		c.objects, c.pos = []string{object.str}, object.pos
	case d.is(object, "object", kindArray):
		c.pos = object.pos
		for _, o := range object.items {
			c.objects = append(c.objects, d.text(o, "object"))
		}
	}
	for i, o := range c.objects {
		if o == "" || slices.Contains(c.objects[:i], o) {
			d.failf(n.get("object"), "", "`object` names an object twice or not at all")
		}
	}
	if match := n.get("match"); match == nil {
		d.fail(n.pos, "contact", "[contact] has no match rules", `add match = [{ property = "email", value = "customInputVariables.email" }, { property = "phone", value = "phoneNumber" }]`)
	} else if d.is(match, "match", kindArray) {
		for _, rule := range match.items {
			if d.is(rule, "match", kindTable) {
				d.readMatch(rule)
			}
		}
	}
	d.readCreate(n.get("create"))
	if u := n.get("unlinked"); d.is(u, "unlinked", kindBool) {
		c.unlinked = u.yes
	}
	c.fields = d.readFields(n.get("fields"), d.env, c.objects)
}

func (d *decoder) readMatch(n *node) {
	d.known(n, " in a match rule", "id", "property", "value", "kind")
	rule := matchRule{pos: n.pos}
	if len(n.entries) > 0 {
		rule.pos = n.entries[0].pos
	}
	id, property, value := n.get("id"), n.get("property"), n.get("value")
	switch {
	case id != nil && (property != nil || value != nil || n.get("kind") != nil):
		d.fail(rule.pos, "id", "a match rule has either id, or property and value", "make two rules of it")
		return
	case id != nil:
		rule.kind = crm.MatchID
		value = id
	case property == nil || value == nil:
		d.fail(rule.pos, "", "a match rule needs id, or property and value", `such as { property = "email", value = "customInputVariables.email" }`)
		return
	default:
		rule.property = d.text(property, "property")
		if rule.property == "" {
			return
		}
		rule.kind = kindOfProperty(rule.property)
		if k := n.get("kind"); k != nil {
			rule.kind = crm.MatchKind(d.text(k, "kind"))
			if kinds := []string{"email", "phone", "exact"}; !slices.Contains(kinds, string(rule.kind)) {
				d.failf(k, didYouMean(string(rule.kind), kinds), "`kind` must be email, phone or exact")
			}
		}
	}
	var ok bool
	if rule.value, ok = d.source(value, "value", d.env); ok {
		d.def.contact.match = append(d.def.contact.match, rule)
	}
}

func kindOfProperty(name string) crm.MatchKind {
	name = strings.ToLower(name)
	switch {
	case strings.Contains(name, "email"):
		return crm.MatchEmail
	case strings.Contains(name, "phone"), strings.Contains(name, "mobile"):
		return crm.MatchPhone
	}
	return crm.MatchExact
}

func (d *decoder) readCreate(n *node) {
	if n == nil || len(d.def.contact.objects) == 0 {
		return
	}
	c := &createRule{pos: n.pos}
	d.def.contact.create = c
	if n.kind == kindBool {
		if n.yes {
			c.object = d.def.contact.objects[0]
		}
		return
	}
	c.when = d.program(n, "create", d.env)
	if c.when == nil {
		return
	}
	if err := c.when.wants("`create` must be true, false or the object to create", "true or false", "a text", "nothing"); err != nil {
		d.errs = append(d.errs, err)
	}
	for _, l := range c.when.literals {
		if l.text != "" && !slices.Contains(d.def.contact.objects, l.text) {
			d.fail(l.pos, l.text, fmt.Sprintf("`create` names %q, which `object` does not list", l.text), didYouMean(l.text, d.def.contact.objects))
		}
	}
}

func (d *decoder) readFields(n *node, env types.Map, objects []string) []fieldRule {
	if !d.is(n, "fields", kindTable) {
		return nil
	}
	var fields []fieldRule
	for _, e := range n.entries {
		f := fieldRule{name: e.name, write: crm.Always, pos: e.pos}
		value := e.val
		if value.kind == kindTable {
			d.known(value, " in a field", "value", "write", "object")
			d.readWrite(value.get("write"), &f)
			d.readFieldObject(value.get("object"), &f, objects)
			value = value.get("value")
			if value == nil {
				d.fail(e.pos, e.name, fmt.Sprintf("the field %s has no value", e.name), `such as { value = "name", write = "if_empty" }`)
				continue
			}
		}
		if e.name == crm.KeyProperty || e.name == crm.PersonKeyProperty {
			d.fail(e.pos, e.name, fmt.Sprintf("%s is callsync's own key and cannot be mapped", e.name), "")
			continue
		}
		var ok bool
		if f.value, ok = d.source(value, e.name, env); ok {
			fields = append(fields, f)
		}
	}
	return fields
}

func (d *decoder) readWrite(n *node, f *fieldRule) {
	if !d.is(n, "write", kindString) {
		return
	}
	modes := []string{string(crm.Always), string(crm.IfEmpty), string(crm.IfUnchanged)}
	if !slices.Contains(modes, n.str) {
		d.failf(n, didYouMean(n.str, modes), "`write` must be always, if_empty or if_unchanged")
		return
	}
	f.write = crm.WriteMode(n.str)
}

func (d *decoder) readFieldObject(n *node, f *fieldRule, objects []string) {
	if n == nil {
		return
	}
	f.object = d.text(n, "object")
	if !slices.Contains(objects, f.object) {
		d.failf(n, didYouMean(f.object, objects), "a field's `object` must be one that [contact] lists")
	}
}

var blockKey = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)

func (d *decoder) readBlock(n *node, keys map[string]bool) {
	d.known(n, " in [[record]]", "key", "object", "when", "for_each", "fields", "associate", "on_removed")
	b := blockRule{pos: n.pos, key: d.text(n.get("key"), "key"), object: d.text(n.get("object"), "object")}
	switch {
	case n.get("key") == nil:
		d.fail(n.pos, "record", "the [[record]] has no key", `add key = "call": it names the record in the CRM and must not change later`)
	case n.get("key").kind == kindString && !blockKey.MatchString(b.key):
		d.failf(n.get("key"), "use up to 32 of a-z, 0-9, _ and -", "the key %q cannot be used", b.key)
	case keys[b.key]:
		d.failf(n.get("key"), "", "there are two records with the key %q", b.key)
	}
	keys[b.key] = true
	if n.get("object") == nil {
		d.fail(n.pos, "record", "the [[record]] has no object", `such as object = "calls"`)
	}
	env := d.env
	if each := n.get("for_each"); each != nil {
		b.forEach, env = d.readForEach(each)
	}
	when := n.get("when")
	if when == nil {
		when = &node{kind: kindString, str: "terminal", raw: "terminal", pos: n.pos}
	}
	b.when = d.condition(when, "when", env)
	b.fields = d.readFields(n.get("fields"), env, nil)
	if len(b.fields) == 0 && n.get("fields") == nil {
		d.fail(n.pos, "record", "the [[record]] has no fields", "add a [record.fields] table below it")
	}
	if removed := n.get("on_removed"); removed != nil {
		b.keep, b.keepEdited = d.readOnRemoved(removed)
	}
	b.links = d.readAssociate(n.get("associate"))
	d.def.blocks = append(d.def.blocks, b)
}

// readForEach also returns what the block's expressions may name: item, of the
// list's items, and index.
func (d *decoder) readForEach(n *node) (*program, types.Map) {
	p := d.program(n, "for_each", d.env)
	item := types.Type(types.Any)
	if p != nil {
		if err := p.wants("`for_each` must give a list", "a list", "nothing"); err != nil {
			err.Hint = "such as callResult.humanActions, or pairs(…) for an object"
			d.errs = append(d.errs, err)
		} else {
			item = p.itemType()
		}
	}
	return p, callTypes(d.def.options, item)
}

func (d *decoder) readOnRemoved(n *node) (keep, keepEdited bool) {
	switch d.text(n, "on_removed") {
	case "keep":
		return true, false
	case "keep_edited":
		return false, true
	case "archive":
	default:
		d.failf(n, "", "`on_removed` must be archive, keep or keep_edited")
	}
	return false, false
}

func (d *decoder) readAssociate(n *node) []crm.Relation {
	if !d.is(n, "associate", kindArray) {
		return nil
	}
	var links []crm.Relation
	for _, item := range n.items {
		object, which, ok := strings.Cut(d.text(item, "associate"), ":")
		if !ok || object == "" || which == "" {
			d.failf(item, `such as "deals:open" or "companies:primary"`, "an association names an object and which of its records")
			continue
		}
		links = append(links, crm.Relation{Object: object, Which: which, Pos: item.pos})
	}
	return links
}

func (d *decoder) readRoute(n *node) {
	d.known(n, " in [[route]]", "when", "mapping", "skip")
	r := routeRule{pos: n.pos}
	if n.get("when") == nil {
		d.fail(n.pos, "route", "the [[route]] does not say when", `add when = "direction == 'inbound'"`)
	}
	r.when = d.condition(n.get("when"), "when", d.env)
	mapping, skip := n.get("mapping"), n.get("skip")
	if (mapping == nil) == (skip == nil) {
		d.fail(n.pos, "route", "a [[route]] has either mapping or skip", `add skip = "the reason", or mapping = "other.toml"`)
		return
	}
	if mapping != nil {
		if d.text(mapping, "mapping") != "" {
			r.mapping = mapping
		}
	} else {
		r.skip = strings.TrimSpace(d.text(skip, "skip"))
		if skip.kind == kindString && r.skip == "" {
			d.failf(skip, "people will see it on the call", "`skip` must give the reason")
		}
	}
	d.def.routes = append(d.def.routes, r)
}

var propertyTypes = map[string]crm.PropertyType{
	"string": crm.TypeString, "text": crm.TypeText, "number": crm.TypeNumber, "bool": crm.TypeBool,
	"date": crm.TypeDate, "datetime": crm.TypeDateTime, "enum": crm.TypeEnum,
}

func (d *decoder) readProperty(n *node) {
	d.known(n, " in [[property]]", "object", "name", "label", "type", "options", "description")
	p := crm.Property{
		Object:      d.text(n.get("object"), "object"),
		Name:        d.text(n.get("name"), "name"),
		Label:       d.text(n.get("label"), "label"),
		Description: d.text(n.get("description"), "description"),
		Pos:         n.pos,
	}
	for _, key := range []string{"object", "name", "type"} {
		if n.get(key) == nil {
			d.fail(n.pos, "property", "the [[property]] has no "+key, "")
		}
	}
	if p.Name != "" && !identifier.MatchString(p.Name) {
		d.failf(n.get("name"), "use letters, digits and _", "the property name %q cannot be used", p.Name)
	}
	if t := d.text(n.get("type"), "type"); t != "" {
		known := slices.Sorted(maps.Keys(propertyTypes))
		if p.Type = propertyTypes[t]; p.Type == "" {
			d.failf(n.get("type"), suggest(t, known, "the types are"), "there is no property type %q", t)
		}
	}
	if p.Label == "" {
		p.Label = labelOf(p.Name)
	}
	if o := n.get("options"); d.is(o, "options", kindArray) {
		if p.Type != crm.TypeEnum {
			d.failf(o, `write type = "enum"`, "only an enum property has options")
		}
		for _, item := range o.items {
			if s := d.text(item, "options"); s != "" {
				p.Options = append(p.Options, crm.Option{Value: s, Label: s})
			}
		}
	} else if p.Type == crm.TypeEnum && o == nil {
		d.fail(n.pos, "property", "an enum property needs options", `such as options = ["a", "b"]`)
	}
	d.def.declared = append(d.def.declared, p)
}
