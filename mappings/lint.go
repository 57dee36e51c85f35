package mappings

import (
	"fmt"
	"slices"

	"github.com/expr-lang/expr/ast"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
)

// A comparison is a fixed text that an expression compares with a field whose
// values are known from 11x's documentation or its API.
type comparison struct {
	field string // "resultType", "direction", "lifecycleStatus", "outcome"
	text  string
	pos   crm.Pos
}

// An OutcomeName is the name of an outcome that a mapping tests for.
type OutcomeName struct {
	Name string  `json:"name"`
	Pos  crm.Pos `json:"pos"`
}

// OutcomeNames lists the outcomes that the mapping, and those it routes to, test
// for by name, such as any(outcomes, .name == 'interested'): a name that no
// agent can produce is a mistake that only 11x's API can reveal.
func (m *Mapping) OutcomeNames() []OutcomeName {
	var out []OutcomeName
	m.each(func(m *Mapping) {
		for _, c := range m.def.compared {
			if c.field == "outcome" {
				out = append(out, OutcomeName{c.text, c.pos})
			}
		}
	})
	return out
}

// UnknownOutcomes lists the tests for outcomes by a name that is not among known,
// which is what the agents in question can report.
func (m *Mapping) UnknownOutcomes(known []string) []Problem {
	var out []Problem
	for _, o := range m.OutcomeNames() {
		if slices.Contains(known, o.Name) {
			continue
		}
		out = append(out, Problem{
			Pos:  o.Pos,
			Text: fmt.Sprintf("no agent seen so far can report the outcome %q", o.Name),
			Hint: suggest(o.Name, known, "there are:"),
		})
	}
	return out
}

// Warnings lists comparisons that can hardly be meant: with a result, direction
// or status that 11x does not document. They are no errors, since new ones will
// come.
func (m *Mapping) Warnings() []Problem {
	documented := map[string][]string{
		"direction":       {"inbound", "outbound"},
		"lifecycleStatus": {"done", "in progress", "cancelled", "failed"},
	}
	for _, r := range julian.ResultTypes() {
		documented["resultType"] = append(documented["resultType"], string(r))
	}
	var out []Problem
	m.each(func(m *Mapping) {
		for _, c := range m.def.compared {
			known, ok := documented[c.field]
			if !ok || c.text == "" || slices.Contains(known, c.text) {
				continue
			}
			out = append(out, Problem{
				Pos:  c.pos,
				Text: fmt.Sprintf("11x documents no %s %q", c.field, c.text),
				Hint: didYouMean(c.text, known),
			})
		}
	})
	return out
}

// findComparisons collects the comparisons of a checked expression.
func (p *program) findComparisons(tree ast.Node) []comparison {
	var out []comparison
	add := func(field string, texts ...ast.Node) {
		for _, t := range texts {
			if s, ok := t.(*ast.StringNode); ok && field != "" {
				out = append(out, comparison{field, s.Value, p.position(s.Location().From)})
			}
		}
	}
	ast.Walk(&tree, visitor(func(n *ast.Node) {
		switch n := (*n).(type) {
		case *ast.BinaryNode:
			switch n.Operator {
			case "==", "!=":
				add(knownField(n.Left), n.Right)
				add(knownField(n.Right), n.Left)
			case "in":
				if list, ok := n.Right.(*ast.ArrayNode); ok {
					add(knownField(n.Left), list.Nodes...)
				}
				if list, ok := n.Right.(*ast.BuiltinNode); ok && list.Name == "map" {
					if body, ok := list.Arguments[1].(*ast.PredicateNode); ok {
						add(knownField(body.Node), n.Left)
					}
				}
			}
		case *ast.MemberNode:
			if table, ok := n.Node.(*ast.MapNode); ok {
				for _, pair := range table.Pairs {
					if pair, ok := pair.(*ast.PairNode); ok {
						add(knownField(n.Property), pair.Key)
					}
				}
			}
		}
	}))
	return out
}

// knownField says which field with known values an expression reads, or "".
func knownField(n ast.Node) string {
	switch path(n) {
	case "resultType", "callResult.resultType":
		return "resultType"
	case "direction":
		return "direction"
	case "sequence.lifecycleStatus":
		return "lifecycleStatus"
	}
	if m, ok := n.(*ast.MemberNode); ok && isOutcome(m.Node) {
		if name, ok := m.Property.(*ast.StringNode); ok && name.Value == "name" {
			return "outcome"
		}
	}
	return ""
}

// isOutcome goes by the type the checker found: an outcome is what has a
// reasoning.
func isOutcome(n ast.Node) bool {
	t := n.Nature()
	if t.TypeData == nil {
		return false
	}
	_, ok := t.Fields["reasoning"]
	return ok
}
