package mappings

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
)

var (
	unknownName  = regexp.MustCompile(`^unknown name (\S+)`)
	unknownField = regexp.MustCompile(`(?:^unknown field|has no field) (\S+)`)
	noSuchCall   = regexp.MustCompile(`^(?:not enough|too many) arguments to call (\S+)`)
	mismatch     = regexp.MustCompile(`^invalid operation: (\S+) \(mismatched types? (.+?)(?: and (.+))?\)$`)
	noList       = regexp.MustCompile(`^builtin (\S+) takes only array \(got (.+)\)`)
	badToken     = regexp.MustCompile(`^unexpected token \w+\("(.*)"\)`)
	badArgument  = regexp.MustCompile(`^cannot use (.+) as argument \(type (.+)\) to call (\S+)`)
)

func (p *program) compileError(err error, env types.Map) *Error {
	e := &Error{Pos: p.at.pos, Text: p.at.str, Msg: err.Error()}
	var at *file.Error
	if !errors.As(err, &at) {
		if strings.Contains(err.Error(), "maximum allowed nodes") {
			e.Msg, e.Hint = fmt.Sprintf("the expression has more than %d parts", maxNodes), "spread it over several fields or records"
		}
		return e
	}
	e.Pos, e.Text, e.Msg = p.position(at.From), p.text(at.Location), at.Message
	switch m := at.Message; {
	case unknownName.MatchString(m):
		name := unknownName.FindStringSubmatch(m)[1]
		e.Text, e.Msg = name, fmt.Sprintf("unknown name %q", name)
		e.Hint = abolished[name]
		if name == "item" || name == "index" {
			e.Hint = "it exists only in a [[record]] with for_each"
		}
		if e.Hint == "" && name != strings.ToUpper(name) {
			e.Hint = didYouMean(name, append(append(knownNames(env), functionNames()...), kept...))
		}
		if e.Hint == "" {
			e.Hint = fmt.Sprintf("a fixed text is written in quotes of its own: \"'%s'\"", name)
		}
	case unknownField.MatchString(m):
		name := unknownField.FindStringSubmatch(m)[1]
		e.Text, e.Msg = name, fmt.Sprintf("there is no field %q here", name)
		e.Hint = didYouMean(name, knownNames(env))
		if e.Hint == "" {
			e.Hint = "a field the documentation does not list is reached as raw." + name
		}
	case noSuchCall.MatchString(m):
		name := noSuchCall.FindStringSubmatch(m)[1]
		if better := p.retry(name, env); better != nil {
			return better
		}
		e.Hint = usage(name)
	case mismatch.MatchString(m):
		sub := mismatch.FindStringSubmatch(m)
		e.Msg = fmt.Sprintf("`%s` cannot be used on %s", sub[1], typeName(sub[2]))
		if sub[3] != "" {
			e.Msg = fmt.Sprintf("`%s` cannot be used between %s and %s", sub[1], typeName(sub[2]), typeName(sub[3]))
		}
		e.Hint = mismatchHint(sub[1])
	case noList.MatchString(m):
		sub := noList.FindStringSubmatch(m)
		e.Msg = fmt.Sprintf("%s goes through a list, this is %s", sub[1], typeName(sub[2]))
	case strings.HasPrefix(m, "array elements can only be selected"):
		e.Msg = "this is a list, so its items have to be gone through"
		e.Hint = "write map(list, .field), or list[0].field for the first"
	case strings.HasPrefix(m, "unexpected token EOF"):
		e.Msg, e.Text = "the expression ends too early", p.at.str
		e.Hint = "a value or a closing bracket is missing"
	case strings.HasSuffix(m, "is not callable"):
		e.Msg = fmt.Sprintf("%q is no function", strings.TrimSpace(strings.SplitN(e.Text, "(", 2)[0]))
		e.Hint = "docs/mappings.md lists the functions"
	case badToken.MatchString(m):
		e.Msg = fmt.Sprintf("unexpected %q", badToken.FindStringSubmatch(m)[1])
	case m == "literal not terminated":
		e.Msg = "the text has no closing quote"
	case badArgument.MatchString(m):
		sub := badArgument.FindStringSubmatch(m)
		e.Msg = fmt.Sprintf("%s wants %s here, this is %s", sub[3], typeName(sub[2]), typeName(sub[1]))
		e.Hint = usage(sub[3])
	}
	return e
}

func mismatchHint(operator string) string {
	switch operator {
	case "+":
		return "text(x) makes a text of anything, number(x) a number"
	case "and", "&&", "or", "||", "not", "!":
		return "it joins conditions: name != '' and duration > 0"
	case "contains", "startsWith", "endsWith", "matches":
		return "both sides must be texts; whether a list has an item is asked with `in`"
	case "in":
		return "the right side must be a list: x in ['a', 'b']"
	}
	return "both sides must be of one kind; number(x) makes a number of a text"
}

// retry looks for the argument at fault in a call of a function that can be
// called in several ways, of which expr explains only the last.
func (p *program) retry(name string, env types.Map) *Error {
	f := functions[name]
	if len(f.types) < 2 {
		return nil
	}
	for _, form := range f.types {
		options := append(slices.Clone(strictOptions), expr.Env(env), expr.Function(name, f.invoke, form))
		_, err := guard(func() (*vm.Program, error) { return expr.Compile(p.at.str, options...) })
		var at *file.Error
		if errors.As(err, &at) && badArgument.MatchString(at.Message) {
			return p.compileError(err, env)
		}
	}
	return nil
}

// abolished explains functions of the expression language that are left out.
var abolished = map[string]string{
	"now":     "a mapping gives the same records whenever it runs; use received, the time the call came in",
	"repeat":  "it is left out, since it can fill the memory",
	"groupBy": "it is left out, since it has no order",
	"string":  "use text(x)",
	"float":   "use number(x)",
	"toPairs": "use pairs(m)",
	"toJSON":  "use json(x)",
}

func usage(name string) string {
	if f, ok := functions[name]; ok {
		return "it is used as " + f.usage
	}
	return ""
}

func typeName(t string) string {
	switch strings.TrimPrefix(t, "*") {
	case "string":
		return "a text"
	case "int", "float64", "int64":
		return "a number"
	case "bool":
		return "true or false"
	case "time.Time":
		return "a time"
	case "[]interface {}", "[]string":
		return "a list"
	case "map[string]interface {}":
		return "an object"
	case "crm.Value":
		return "a lookup"
	case "nil", "<nil>":
		return "nothing"
	default:
		return t
	}
}
