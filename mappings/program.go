package mappings

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker/nature"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"

	"github.com/callsync/callsync/crm"
)

// Limits of one expression, so that no mapping file can hang or exhaust the
// daemon.
const (
	maxExpression = 16 << 10 // bytes
	maxNodes      = 2000
)

// A program is an expression, compiled twice: once strictly, against the types
// of a call, to find mistakes; once without types and with every operation made
// safe for missing values, to run.
type program struct {
	at       *node
	run      *vm.Program
	out      nature.Nature
	compared []comparison
	literals []literal // texts the result may be, where they stand in the file
	reads    []string  // the names it reads: "callResult.summary"
	usesRaw  bool
	limit    int // characters that the result is cut to by the expression; 0 for none
}

// A literal is a text constant that an expression may give as its result.
type literal struct {
	text string
	pos  crm.Pos
}

// kept are expr's own functions that stay available; all others are replaced by
// ones that accept missing values, or left out because their answer depends on
// the machine or on the order of a map.
var kept = []string{
	"len", "first", "last", "take", "reverse", "uniq", "concat", "flatten", "sort",
	"mean", "median",
	"all", "none", "any", "one", "filter", "map", "find", "findIndex", "findLast",
	"findLastIndex", "count", "sum", "sortBy", "reduce",
}

// strictOptions check an expression; looseOptions compile it to run.
var strictOptions, looseOptions []expr.Option

func runOptions() []expr.Option {
	return append(functionOptions(true),
		expr.Env(map[string]any{}),
		expr.AllowUndefinedVariables(),
		expr.Patch(safety{}))
}

func functionOptions(run bool) []expr.Option {
	options := []expr.Option{expr.DisableAllBuiltins(), expr.Optimize(false), expr.MaxNodes(maxNodes)}
	for _, name := range kept {
		options = append(options, expr.EnableBuiltin(name))
	}
	for name, f := range functions {
		if run {
			options = append(options, expr.Function(name, f.invoke))
		} else {
			options = append(options, expr.Function(name, f.invoke, f.types...))
		}
	}
	if run {
		for name, f := range operations {
			options = append(options, expr.Function(name, invoker(f)))
		}
	}
	return options
}

// compile checks and compiles a string value of the file.
func compile(n *node, env types.Map) (*program, *Error) {
	p := &program{at: n}
	switch {
	case strings.TrimSpace(n.str) == "":
		return nil, &Error{Pos: n.pos, Text: n.raw, Msg: "the expression is empty", Hint: `write "nil" for no value, or "'text'" for a fixed text`}
	case len(n.str) > maxExpression:
		return nil, &Error{Pos: n.pos, Msg: fmt.Sprintf("the expression has %d bytes; it may have %d", len(n.str), maxExpression)}
	}
	strict, err := guard(func() (*vm.Program, error) {
		return expr.Compile(n.str, append(slices.Clone(strictOptions), expr.Env(env))...)
	})
	if err != nil {
		return nil, p.compileError(err, env)
	}
	tree := strict.Node()
	if e := p.forbidden(tree); e != nil {
		return nil, e
	}
	p.out = *tree.Nature()
	p.literals = p.findLiterals(tree)
	p.compared = p.findComparisons(tree)
	p.reads = findReads(tree)
	p.limit = findLimit(tree)
	p.usesRaw = slices.ContainsFunc(p.reads, func(s string) bool { return s == "raw" || strings.HasPrefix(s, "raw.") })
	p.run, err = guard(func() (*vm.Program, error) { return expr.Compile(n.str, looseOptions...) })
	if err != nil {
		return nil, p.compileError(err, env)
	}
	return p, nil
}

// guard turns a panic of the compiler into an error.
func guard(f func() (*vm.Program, error)) (p *vm.Program, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the expression cannot be compiled: %v", r)
		}
	}()
	return f()
}

// position returns where in the file the rune at an offset of the expression is.
func (p *program) position(offset int) crm.Pos {
	if places := p.at.runes(); offset >= 0 && offset < len(places) {
		return places[offset]
	}
	return p.at.pos
}

// text cuts what a location covers out of the expression.
func (p *program) text(loc file.Location) string {
	runes := []rune(p.at.str)
	if loc.From < 0 || loc.From >= loc.To || loc.To > len(runes) {
		return p.at.str
	}
	return string(runes[loc.From:loc.To])
}

// outType names what an expression gives, for errors; "" when only a call can
// tell.
func (p *program) outType() string {
	if p.out.Nil {
		return "nothing"
	}
	if p.out.Type == nil || p.out.Type.Kind() == reflect.Interface {
		return ""
	}
	return typeName(p.out.Type.String())
}

// wants reports an expression that can never give one of the types.
func (p *program) wants(what string, accepted ...string) *Error {
	got := p.outType()
	if got == "" || slices.Contains(accepted, got) {
		return nil
	}
	return &Error{Pos: p.at.pos, Text: p.at.str, Msg: fmt.Sprintf("%s, this gives %s", what, got)}
}

// forbidden finds what expr allows but a mapping does not: methods, and the
// environment as a whole.
func (p *program) forbidden(tree ast.Node) *Error {
	var found *Error
	report := func(n ast.Node, msg, hint string) {
		if found == nil {
			found = &Error{Pos: p.position(n.Location().From), Text: p.text(n.Location()), Msg: msg, Hint: hint}
		}
	}
	ast.Walk(&tree, visitor(func(n *ast.Node) {
		switch n := (*n).(type) {
		case *ast.IdentifierNode:
			if strings.HasPrefix(n.Value, "$") {
				report(n, fmt.Sprintf("unknown name %q", n.Value), "")
			}
		case *ast.CallNode:
			if _, plain := n.Callee.(*ast.IdentifierNode); !plain {
				report(n, "only the functions of the documentation can be called", "for times there are date, localTime, addMinutes and businessDay")
			}
		case *ast.BuiltinNode:
			if !slices.Contains(kept, n.Name) {
				report(n, fmt.Sprintf("unknown name %q", n.Name), abolished[n.Name])
			}
		case *ast.BytesNode:
			report(n, "byte texts are not supported", "leave out the b")
		}
	}))
	return found
}

// A visitor is an ast.Visitor as a function.
type visitor func(*ast.Node)

func (v visitor) Visit(n *ast.Node) { v(n) }

// findLiterals collects the text constants that an expression may give.
func (p *program) findLiterals(n ast.Node) []literal {
	switch n := n.(type) {
	case *ast.StringNode:
		return []literal{{n.Value, p.position(n.Location().From)}}
	case *ast.ConditionalNode:
		return append(p.findLiterals(n.Exp1), p.findLiterals(n.Exp2)...)
	case *ast.BinaryNode:
		if n.Operator == "??" {
			return append(p.findLiterals(n.Left), p.findLiterals(n.Right)...)
		}
	case *ast.ChainNode:
		return p.findLiterals(n.Node)
	case *ast.MemberNode:
		m, ok := n.Node.(*ast.MapNode)
		if !ok {
			return nil
		}
		var out []literal
		for _, pair := range m.Pairs {
			if pair, ok := pair.(*ast.PairNode); ok {
				out = append(out, p.findLiterals(pair.Value)...)
			}
		}
		return out
	case *ast.VariableDeclaratorNode:
		return p.findLiterals(n.Expr)
	}
	return nil
}

// findLimit returns n of an expression that ends in truncate(…, n).
func findLimit(n ast.Node) int {
	for {
		let, ok := n.(*ast.VariableDeclaratorNode)
		if !ok {
			break
		}
		n = let.Expr
	}
	call, ok := n.(*ast.CallNode)
	if !ok || len(call.Arguments) < 2 {
		return 0
	}
	if name := path(call.Callee); name != "truncate" && name != "htmlTruncate" {
		return 0
	}
	if n, ok := call.Arguments[1].(*ast.IntegerNode); ok {
		return n.Value
	}
	return 0
}

// findReads collects the names an expression reads from its environment, with
// the fields that follow them.
func findReads(tree ast.Node) []string {
	var reads []string
	local := map[string]bool{}
	callees := map[ast.Node]bool{}
	inner := map[ast.Node]bool{}
	ast.Walk(&tree, visitor(func(n *ast.Node) {
		switch n := (*n).(type) {
		case *ast.VariableDeclaratorNode:
			local[n.Name] = true
		case *ast.CallNode:
			callees[n.Callee] = true
		case *ast.ChainNode:
			inner[n.Node] = true
		case *ast.MemberNode:
			if path(n) != "" {
				inner[n.Node] = true
			}
		}
	}))
	ast.Walk(&tree, visitor(func(n *ast.Node) {
		if callees[*n] || inner[*n] {
			return
		}
		name := path(*n)
		root, _, _ := strings.Cut(name, ".")
		if name != "" && !local[root] && !slices.Contains(reads, name) {
			reads = append(reads, name)
		}
	}))
	slices.Sort(reads)
	return reads
}

// path is "a.b" for the nodes that read a field of a name, else "".
func path(n ast.Node) string {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		return n.Value
	case *ast.ChainNode:
		return path(n.Node)
	case *ast.MemberNode:
		key, ok := n.Property.(*ast.StringNode)
		if base := path(n.Node); ok && base != "" {
			return base + "." + key.Value
		}
	}
	return ""
}

// itemType is the type of a list expression's items.
func (p *program) itemType() types.Type {
	if p.outType() == "" {
		return types.Any
	}
	return natureType{p.out.Elem(new(nature.Cache))}
}

// A natureType hands a type that the checker found back to it.
type natureType struct{ n nature.Nature }

func (t natureType) Nature() nature.Nature { return t.n }
func (t natureType) Equal(types.Type) bool { return true }
func (t natureType) String() string        { return t.n.String() }
