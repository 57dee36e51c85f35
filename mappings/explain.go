package mappings

import (
	"fmt"
	"strings"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
)

// An Explanation tells how a mapping came to what it wants for one call. It
// holds the call's values: it is for the person who asked, not for logs.
type Explanation struct {
	Mapping string       `json:"mapping"`
	Version string       `json:"version"`
	Rules   []Rule       `json:"rules"` // in the order they were applied
	Desired *crm.Desired `json:"-"`
}

// A Rule is one expression or constant of a mapping file and what it gave.
type Rule struct {
	Kind   RuleKind `json:"kind"`
	Record string   `json:"record,omitempty"` // the record's key; "" for the person and for routes
	Name   string   `json:"name,omitempty"`   // the property, for fields and match rules
	Text   string   `json:"text"`             // as written
	Pos    crm.Pos  `json:"pos"`
	// Write says when the property may be written, for fields.
	Write  crm.WriteMode `json:"write,omitempty"`
	Inputs []Input       `json:"inputs,omitempty"`
	// Result is for people: the value, "true", "3 items", "nothing".
	Result string `json:"result"`
	// Note says what became of the result where that is not plain: a match rule
	// whose value identifies nobody.
	Note string `json:"note,omitempty"`
}

// A RuleKind says what a rule decides.
type RuleKind string

const (
	RuleRoute   RuleKind = "route"
	RuleMatch   RuleKind = "match"
	RuleCreate  RuleKind = "create"
	RuleWhen    RuleKind = "when"
	RuleForEach RuleKind = "for_each"
	RuleField   RuleKind = "field"
)

// An Input is a name that an expression reads, with its value for this call.
type Input struct {
	Name  string `json:"name"`
	Value any    `json:"value"` // nil when the call lacks it
}

// Explain renders c as [Mapping.Render] does and reports every rule on the way.
// On an error the rules up to the failing one are returned beside it.
func (m *Mapping) Explain(c *julian.Call, received time.Time) (*Explanation, error) {
	e := &Explanation{Mapping: m.name, Version: m.version}
	d, err := m.render(c, received, func(r Rule) { e.Rules = append(e.Rules, r) })
	e.Desired = d
	return e, err
}

// note reports a rule to the observer, if there is one.
func (r *renderer) note(rule Rule, p *program, result any) {
	if r.observe == nil {
		return
	}
	if p != nil {
		rule.Text, rule.Pos = strings.TrimSpace(p.at.str), p.at.pos
		for _, name := range p.reads {
			rule.Inputs = append(rule.Inputs, Input{Name: name, Value: lookup(r.env, name)})
		}
	}
	rule.Result = resultText(result)
	r.observe(rule)
}

func (r *renderer) noteSource(rule Rule, s source, result any) {
	if s.expr == nil {
		rule.Text = s.text
	}
	r.note(rule, s.expr, result)
}

func lookup(env map[string]any, name string) any {
	var at any = env
	for part := range strings.SplitSeq(name, ".") {
		at = get(at, part)
	}
	return at
}

func resultText(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case crm.Value:
		if v.IsNull() {
			return "nothing"
		}
		return v.String()
	case []any:
		return fmt.Sprintf("%d items", len(v))
	default:
		return str(v)
	}
}
