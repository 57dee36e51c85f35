package mappings

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/expr-lang/expr/ast"

	"github.com/callsync/callsync/crm"
)

// runName is under which an expression's environment holds its run.
const runName = "$run"

// maxWork is what one call's expressions may cost together: bytes of text read or
// made, plus a fixed price for each turn of a loop. It is far above what the
// largest body accepted needs, and done in seconds.
const (
	maxWork  = 512 << 20
	turnCost = 512
)

var errTooMuch = errors.New("the mapping does too much work for this call; shorten the lists and texts it goes through")

// A run is the state of one rendering.
type run struct {
	spent    int
	region   string
	warnings []string
	phones   map[[2]string]crm.Phone // read so far; zero for what is none
}

func (r *run) spend(n int) error {
	r.spent += max(n, 0)
	if r.spent > maxWork {
		return errTooMuch
	}
	return nil
}

func (r *run) warn(text string) {
	if !slices.Contains(r.warnings, text) {
		r.warnings = append(r.warnings, text)
	}
}

// safety rewrites an expression so that what is missing gives nil instead of an
// error, and so that work is counted:
//
//   - a field of nil, a missing key and an index out of range are nil;
//   - a number beside a text is text;
//   - nil is false as a condition, "" beside a text, and an empty list;
//   - nil is neither less nor greater than anything; arithmetic on it is nil.
type safety struct{}

func (safety) Visit(at *ast.Node) {
	switch n := (*at).(type) {
	case *ast.CallNode:
		if id, ok := n.Callee.(*ast.IdentifierNode); ok {
			if _, ours := functions[id.Value]; ours {
				n.Arguments = append([]ast.Node{theRun()}, n.Arguments...)
			}
		}
	case *ast.ChainNode:
		ast.Patch(at, n.Node)
	case *ast.MemberNode:
		ast.Patch(at, operation("$get", n.Node, n.Property))
	case *ast.SliceNode:
		from, to := n.From, n.To
		if from == nil {
			from = &ast.NilNode{}
		}
		if to == nil {
			to = &ast.NilNode{}
		}
		ast.Patch(at, operation("$slice", n.Node, from, to))
	case *ast.UnaryNode:
		switch n.Operator {
		case "not", "!":
			wrap("$bool", &n.Node)
		case "-":
			ast.Patch(at, operation("$arithmetic", &ast.StringNode{Value: "-"}, &ast.IntegerNode{}, n.Node))
		}
	case *ast.BinaryNode:
		safeBinary(at, n)
	case *ast.ConditionalNode:
		wrap("$bool", &n.Cond)
	case *ast.BuiltinNode:
		safeBuiltin(n)
	}
}

func safeBinary(at *ast.Node, n *ast.BinaryNode) {
	switch n.Operator {
	case "and", "&&", "or", "||":
		wrap("$bool", &n.Left)
		wrap("$bool", &n.Right)
	case "<", "<=", ">", ">=":
		ast.Patch(at, operation("$compare", &ast.StringNode{Value: n.Operator}, n.Left, n.Right))
	case "+":
		ast.Patch(at, operation("$add", n.Left, n.Right))
	case "-", "*", "/", "%", "^", "**":
		ast.Patch(at, operation("$arithmetic", &ast.StringNode{Value: n.Operator}, n.Left, n.Right))
	case "..":
		ast.Patch(at, operation("$range", n.Left, n.Right))
	case "contains", "startsWith", "endsWith", "matches":
		if n.Operator == "matches" {
			wrap("$subject", &n.Left)
		} else {
			wrap("$text", &n.Left)
		}
		if _, constant := n.Right.(*ast.StringNode); !constant {
			wrap("$text", &n.Right)
		}
	}
}

// conditions are the functions whose predicate is a condition.
var conditions = []string{"all", "none", "any", "one", "filter", "find", "findIndex", "findLast", "findLastIndex", "count"}

func safeBuiltin(n *ast.BuiltinNode) {
	for i, arg := range n.Arguments {
		p, predicate := arg.(*ast.PredicateNode)
		switch {
		case predicate:
			wrap("$turn", &p.Node)
			if slices.Contains(conditions, n.Name) {
				wrap("$bool", &p.Node)
			} else if n.Name == "sum" {
				wrap("$zero", &p.Node)
			}
		case i == 0 && (n.Name == "sum" || n.Name == "mean" || n.Name == "median"):
			wrap("$present", &n.Arguments[0])
		case i == 0 || n.Name == "concat":
			wrap("$list", &n.Arguments[i])
		}
	}
}

func theRun() ast.Node { return &ast.IdentifierNode{Value: runName} }

func operation(name string, args ...ast.Node) ast.Node {
	return &ast.CallNode{
		Callee:    &ast.IdentifierNode{Value: name},
		Arguments: append([]ast.Node{theRun()}, args...),
	}
}

func wrap(name string, n *ast.Node) { ast.Patch(n, operation(name, *n)) }

// An operator works on values that may be missing.
type operator func(r *run, a []any) (any, error)

// A ruleError is an error of an operator here: its text holds no value of the
// call, other than the texts of errors that the expression language makes.
type ruleError struct{ error }

func invoker(f operator) func(...any) (any, error) {
	return func(params ...any) (any, error) {
		v, err := f(params[0].(*run), params[1:])
		if err != nil {
			return nil, ruleError{err}
		}
		return v, nil
	}
}

// operations are what safety puts into expressions; no file can name them.
var operations = map[string]operator{
	"$get":        func(r *run, a []any) (any, error) { return get(a[0], a[1]), nil },
	"$slice":      slice,
	"$bool":       func(r *run, a []any) (any, error) { return truth(a[0]) },
	"$text":       func(r *run, a []any) (any, error) { return textOperand(r, a[0]) },
	"$subject":    subject,
	"$list":       listOperand,
	"$present":    present,
	"$zero":       zero,
	"$turn":       func(r *run, a []any) (any, error) { return a[0], r.spend(turnCost) },
	"$compare":    compare,
	"$add":        add,
	"$arithmetic": func(r *run, a []any) (any, error) { return arithmetic(a[0].(string), a[1], a[2]) },
	"$range":      numberRange,
}

// get reads a key of an object or an item of a list; what is not there is nil.
func get(from, key any) any {
	switch from := from.(type) {
	case map[string]any:
		if k, ok := key.(string); ok {
			return from[k]
		}
	case map[any]any:
		return from[key]
	case []any:
		i, ok := key.(int)
		if !ok {
			return nil
		}
		if i < 0 {
			i += len(from)
		}
		if i >= 0 && i < len(from) {
			return from[i]
		}
	}
	return nil
}

func slice(r *run, a []any) (any, error) {
	bounds := func(n int) (int, int) {
		from, to := 0, n
		if i, ok := a[1].(int); ok {
			from = i
		}
		if i, ok := a[2].(int); ok {
			to = i
		}
		if from < 0 {
			from += n
		}
		if to < 0 {
			to += n
		}
		from = min(max(from, 0), n)
		return from, min(max(to, from), n)
	}
	switch v := a[0].(type) {
	case nil:
		return nil, nil
	case string:
		runes := []rune(v)
		from, to := bounds(len(runes))
		return string(runes[from:to]), r.spend(len(v))
	case []any:
		from, to := bounds(len(v))
		return slices.Clone(v[from:to]), r.spend(to - from)
	default:
		return nil, fmt.Errorf("[a:b] cuts a text or a list, this is %s", valueName(v))
	}
}

func truth(v any) (bool, error) {
	switch v := v.(type) {
	case nil:
		return false, nil
	case bool:
		return v, nil
	default:
		return false, fmt.Errorf("a condition must be true or false, this is %s", valueName(v))
	}
}

func textOperand(r *run, v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, r.spend(len(v))
	case int, float64, bool:
		return str(v), nil
	default:
		return "", fmt.Errorf("a text is wanted here, this is %s; for a list there is `in`", valueName(v))
	}
}

// matchCost is how much dearer a byte is to a regular expression.
const matchCost = 32

func subject(r *run, a []any) (any, error) {
	s, err := textOperand(r, a[0])
	if err != nil {
		return nil, err
	}
	return s, r.spend(matchCost * len(s))
}

func listOperand(r *run, a []any) (any, error) {
	switch v := a[0].(type) {
	case nil:
		return []any{}, nil
	case []any:
		return v, r.spend(len(v))
	case string:
		return v, r.spend(len(v))
	default:
		return v, nil
	}
}

// present is a list without what is missing.
func present(r *run, a []any) (any, error) {
	list, err := listOperand(r, a)
	items, ok := list.([]any)
	if err != nil || !ok || !slices.Contains(items, nil) {
		return list, err
	}
	return slices.DeleteFunc(slices.Clone(items), func(v any) bool { return v == nil }), nil
}

func zero(_ *run, a []any) (any, error) {
	if a[0] == nil {
		return 0, nil
	}
	return a[0], nil
}

func compare(_ *run, a []any) (any, error) {
	op, x, y := a[0].(string), a[1], a[2]
	if x == nil || y == nil {
		return false, nil
	}
	order, err := orderOf(x, y)
	if err != nil {
		return false, err
	}
	switch op {
	case "<":
		return order < 0, nil
	case "<=":
		return order <= 0, nil
	case ">":
		return order > 0, nil
	default:
		return order >= 0, nil
	}
}

func orderOf(x, y any) (int, error) {
	switch a := x.(type) {
	case string:
		if b, ok := y.(string); ok {
			return cmp.Compare(a, b), nil
		}
	case time.Time:
		if b, ok := y.(time.Time); ok {
			return a.Compare(b), nil
		}
	case int:
		if b, ok := y.(int); ok {
			return cmp.Compare(a, b), nil
		}
	}
	a, okA := toFloat(x)
	b, okB := toFloat(y)
	if !okA || !okB {
		return 0, fmt.Errorf("%s cannot be compared with %s", valueName(x), valueName(y))
	}
	return cmp.Compare(a, b), nil
}

func add(r *run, a []any) (any, error) {
	x, y := a[0], a[1]
	switch {
	case x == nil:
		return y, nil
	case y == nil:
		return x, nil
	}
	s, okS := x.(string)
	t, okT := y.(string)
	if !okS && !okT {
		return arithmetic("+", x, y)
	}
	if !okS {
		s, okS = scalar(x)
	}
	if !okT {
		t, okT = scalar(y)
	}
	if !okS || !okT {
		return nil, fmt.Errorf("+ cannot join %s and %s; text(…) makes a text of either", valueName(x), valueName(y))
	}
	if err := r.spend(len(s) + len(t)); err != nil {
		return nil, err
	}
	return s + t, nil
}

// scalar is the text of a number or a bool: free-form variables hold now a text
// and now a number under the same name.
func scalar(v any) (string, bool) {
	switch v.(type) {
	case int, float64, bool:
		return str(v), true
	}
	return "", false
}

func arithmetic(op string, x, y any) (any, error) {
	if x == nil || y == nil {
		return nil, nil
	}
	if op != "/" && op != "^" && op != "**" {
		a, okA := x.(int)
		b, okB := y.(int)
		if okA && okB {
			return integerArithmetic(op, a, b)
		}
	}
	a, okA := toFloat(x)
	b, okB := toFloat(y)
	if !okA || !okB {
		return nil, fmt.Errorf("%s works on numbers, not on %s and %s", op, valueName(x), valueName(y))
	}
	var f float64
	switch op {
	case "+":
		f = a + b
	case "-":
		f = a - b
	case "*":
		f = a * b
	case "/":
		f = a / b
	case "%":
		f = math.Mod(a, b)
	default:
		f = math.Pow(a, b)
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, nil
	}
	return f, nil
}

func integerArithmetic(op string, a, b int) (any, error) {
	switch op {
	case "+":
		return a + b, nil
	case "-":
		return a - b, nil
	case "*":
		return a * b, nil
	}
	if b == 0 {
		return nil, nil
	}
	return a % b, nil
}

const maxRange = 10_000

func numberRange(r *run, a []any) (any, error) {
	from, ok1 := a[0].(int)
	to, ok2 := a[1].(int)
	if !ok1 || !ok2 || to < from {
		return []any{}, nil
	}
	if to-from >= maxRange || to-from < 0 {
		return nil, fmt.Errorf("the range has more than %d numbers", maxRange)
	}
	out := make([]any, 0, to-from+1)
	for i := from; i <= to; i++ {
		out = append(out, i)
	}
	return out, r.spend(turnCost * len(out))
}

func toFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

func valueName(v any) string {
	switch v.(type) {
	case nil:
		return "nothing"
	case string:
		return "a text"
	case int, int64, float64:
		return "a number"
	case bool:
		return "true or false"
	case time.Time:
		return "a time"
	case []any:
		return "a list"
	case map[string]any, map[any]any:
		return "an object"
	default:
		return "something else"
	}
}
