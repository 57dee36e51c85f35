package mappings

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/callsync/callsync/crm"
)

// A function is one that mapping files may call. Every function accepts missing
// values (nil) and never fails on the content of a call: what it cannot use
// gives nil or an empty text.
type function struct {
	usage string
	types []any // pointers to function types, one for each way to call it
	call  operator
}

func (f function) invoke(params ...any) (any, error) { return invoker(f.call)(params...) }

// functions are all of them, by name; docs/mappings.md documents each.
var functions = map[string]function{}

func init() {
	for _, group := range []map[string]function{textFunctions, htmlFunctions, peopleFunctions, timeFunctions, valueFunctions} {
		maps.Copy(functions, group)
	}
	strictOptions = functionOptions(false)
	looseOptions = runOptions()
}

func functionNames() []string { return slices.Sorted(maps.Keys(functions)) }

type (
	anyToString = func(any) string
	anyToAny    = func(any) any
)

var valueFunctions = map[string]function{
	"text":     {"text(x)", sig(new(anyToString)), func(r *run, a []any) (any, error) { return str(a[0]), nil }},
	"number":   {"number(x)", sig(new(anyToAny)), func(r *run, a []any) (any, error) { return number(a[0]), nil }},
	"int":      {"int(x)", sig(new(anyToAny)), func(r *run, a []any) (any, error) { return whole(a[0], math.Trunc), nil }},
	"round":    {"round(x)", sig(new(anyToAny)), func(r *run, a []any) (any, error) { return whole(a[0], math.Round), nil }},
	"floor":    {"floor(x)", sig(new(anyToAny)), func(r *run, a []any) (any, error) { return whole(a[0], math.Floor), nil }},
	"ceil":     {"ceil(x)", sig(new(anyToAny)), func(r *run, a []any) (any, error) { return whole(a[0], math.Ceil), nil }},
	"abs":      {"abs(x)", sig(new(anyToAny)), absolute},
	"bool":     {"bool(x)", sig(new(anyToAny)), func(r *run, a []any) (any, error) { return boolean(a[0]), nil }},
	"json":     {"json(x)", sig(new(anyToString)), toJSON},
	"get":      {"get(object, key)", sig(new(func(any, any) any)), func(r *run, a []any) (any, error) { return get(a[0], a[1]), nil }},
	"keys":     {"keys(object)", sig(new(func(any) []any)), keys},
	"values":   {"values(object)", sig(new(func(any) []any)), values},
	"pairs":    {"pairs(object)", sig(new(func(any) []any)), pairs},
	"coalesce": {"coalesce(a, b, …)", sig(new(func(...any) any)), coalesce},
	"default":  {"default(x, otherwise)", sig(new(func(any, any) any)), coalesce},
	"empty":    {"empty(x)", sig(new(func(any) bool)), func(r *run, a []any) (any, error) { return isEmpty(a[0]), nil }},
	"min":      {"min(a, b, …)", sig(new(func(...any) any)), extreme(-1)},
	"max":      {"max(a, b, …)", sig(new(func(...any) any)), extreme(1)},
	"ms":       {"ms(seconds)", sig(new(anyToAny)), milliseconds},
}

// sig lists the ways to call a function.
func sig(forms ...any) []any { return forms }

// str is a value as text: "" for nil and for what has no plain text.
func str(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int:
		return strconv.Itoa(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	case time.Time:
		return v.Format(time.RFC3339)
	case crm.Value:
		return v.Text
	case []any, map[string]any:
		text, err := json.Marshal(v)
		if err != nil {
			return ""
		}
		return string(text)
	default:
		return ""
	}
}

// number reads a number, also one written as text; nil when it is none.
func number(v any) any {
	switch v := v.(type) {
	case int, float64:
		return v
	case string:
		s := strings.TrimSpace(v)
		if i, err := strconv.Atoi(s); err == nil {
			return i
		}
		if f, err := strconv.ParseFloat(s, 64); err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f
		}
	}
	return nil
}

func whole(v any, round func(float64) float64) any {
	switch n := number(v).(type) {
	case int:
		return n
	case float64:
		if f := round(n); math.Abs(f) < 1<<53 {
			return int(f)
		}
	}
	return nil
}

func absolute(_ *run, a []any) (any, error) {
	switch n := number(a[0]).(type) {
	case int:
		return max(n, -n), nil
	case float64:
		return math.Abs(n), nil
	}
	return nil, nil
}

func boolean(v any) any {
	switch v := v.(type) {
	case bool:
		return v
	case int:
		return v != 0
	case string:
		switch strings.ToLower(strings.TrimSpace(v)) {
		case "true", "yes", "y", "1", "on":
			return true
		case "false", "no", "n", "0", "off":
			return false
		}
	}
	return nil
}

func toJSON(r *run, a []any) (any, error) {
	text, err := json.Marshal(a[0])
	if err != nil {
		return "", nil
	}
	return string(text), r.spend(len(text))
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func keys(r *run, a []any) (any, error) {
	out := []any{}
	for _, k := range slices.Sorted(maps.Keys(object(a[0]))) {
		out = append(out, k)
	}
	return out, r.spend(len(out))
}

func values(r *run, a []any) (any, error) {
	m, out := object(a[0]), []any{}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[k])
	}
	return out, r.spend(len(out))
}

func pairs(r *run, a []any) (any, error) {
	m, out := object(a[0]), []any{}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, map[string]any{"key": k, "value": m[k], "label": labelOf(k)})
	}
	return out, r.spend(len(out))
}

func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return strings.TrimSpace(clean(v)) == "" // what is written has no control characters
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	case crm.Value:
		return v.IsNull()
	}
	return false
}

func coalesce(_ *run, a []any) (any, error) {
	for _, v := range a {
		if !isEmpty(v) {
			return v, nil
		}
	}
	return nil, nil
}

// extreme returns the least (sign -1) or greatest of its arguments and of the
// items of those that are lists; what is missing does not count.
func extreme(sign int) operator {
	return func(r *run, a []any) (any, error) {
		var best any
		consider := func(v any) error {
			list, ok := v.([]any)
			if !ok {
				list = []any{v}
			}
			if err := r.spend(len(list)); err != nil {
				return err
			}
			for _, v := range list {
				if v == nil {
					continue
				}
				if best != nil {
					order, err := orderOf(v, best)
					if err != nil {
						return err
					}
					if order*sign <= 0 {
						continue
					}
				}
				best = v
			}
			return nil
		}
		for _, v := range a {
			if err := consider(v); err != nil {
				return nil, err
			}
		}
		return best, nil
	}
}

func milliseconds(_ *run, a []any) (any, error) {
	switch n := number(a[0]).(type) {
	case int:
		return n * 1000, nil
	case float64:
		return whole(n*1000, math.Round), nil
	}
	return nil, nil
}

// toValue turns an expression's result into a property's value. Control
// characters, which no CRM shows and some refuse, are left out.
func toValue(v any) (crm.Value, error) {
	switch v := v.(type) {
	case nil:
		return crm.Value{}, nil
	case crm.Value:
		return v, nil
	case string:
		return crm.Str(clean(v)), nil
	case int:
		return crm.Int(int64(v)), nil
	case int64:
		return crm.Int(v), nil
	case float64:
		return crm.Float(v), nil
	case json.Number:
		return crm.Value{Kind: crm.Number, Text: v.String()}, nil
	case bool:
		return crm.Boolean(v), nil
	case time.Time:
		return crm.Time(v), nil
	case *time.Time:
		if v == nil {
			return crm.Value{}, nil
		}
		return crm.Time(*v), nil
	case []any, map[string]any, map[any]any:
		return crm.Value{}, fmt.Errorf("a property holds one value, this is %s", valueName(v))
	default:
		return crm.Value{}, fmt.Errorf("a property cannot hold a %T", v)
	}
}

const valueHint = "join(list, \", \") or json(x) makes a text of it"

func clean(s string) string {
	if strings.IndexFunc(s, isControl) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if isControl(r) {
			return -1
		}
		return r
	}, s)
}

func isControl(r rune) bool {
	return (r < 0x20 && r != '\n' && r != '\r' && r != '\t') || r == 0x7f || r == 0xFFFE || r == 0xFFFF
}
