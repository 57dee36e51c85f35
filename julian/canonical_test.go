package julian_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/callsync/callsync/julian"
)

func canonical(t testing.TB, body string) string {
	t.Helper()
	c, err := julian.Canonical([]byte(body))
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return string(c)
}

func TestCanonicalEqual(t *testing.T) {
	groups := [][]string{
		{`{"a":1,"b":[1,2]}`, "\ufeff{ \"b\" : [ 1 , 2 ] ,\n\t\"a\" : 1 }", `{"a":1.0,"b":[10e-1,0.2e1]}`},
		{`{"a":"é/<"}`, `{"a":"\u00e9\/\u003c"}`, `{"\u0061":"é\u002f<"}`},
		{`{"a":"😀"}`, `{"a":"\ud83d\ude00"}`},
		{`{"a":100}`, `{"a":1e2}`, `{"a":100.000}`, `{"a":1000E-1}`, `{"a":0.1e3}`},
		{`{"a":0}`, `{"a":-0}`, `{"a":0.000}`, `{"a":0e5}`},
		{`{"a":1}`, `{"a":2,"a":1}`},
		{`{"a":-1.5}`, `{"a":-15e-1}`, `{"a":-1.50}`},
		{`{"a":12345678901234567890123}`, `{"a":12345678901234567890123.0}`},
	}
	for _, g := range groups {
		for _, other := range g[1:] {
			if a, b := canonical(t, g[0]), canonical(t, other); a != b {
				t.Errorf("%s and %s differ: %s, %s", g[0], other, a, b)
			}
		}
	}
}

func TestCanonicalDifferent(t *testing.T) {
	bodies := []string{
		`{}`, `{"a":null}`, `{"a":""}`, `{"a":0}`, `{"a":"0"}`, `{"a":false}`, `{"a":[]}`, `{"a":{}}`, `{"a":[null]}`,
		`{"a":1}`, `{"a":-1}`, `{"a":10}`, `{"a":1e1000}`, `{"a":1e-1000}`, `{"a":1e1001}`,
		`{"a":9007199254740993}`, `{"a":9007199254740992}`, `{"a":0.1}`, `{"a":0.10000000000000001}`,
		`{"a":[1,2]}`, `{"a":[2,1]}`, `{"a":[12]}`, `{"A":1}`, `{"a":" "}`, `{"a":"\u0000"}`, `{"a":"\\u0000"}`, `{"a":"\""}`,
		`{"a":"x","b":"y"}`, `{"a":"y","b":"x"}`, `{"a":"x\",\"b\":\"y"}`,
	}
	seen := map[string]string{}
	for _, b := range bodies {
		c := canonical(t, b)
		if other, ok := seen[c]; ok {
			t.Errorf("%s and %s are taken for the same: %s", b, other, c)
		}
		seen[c] = b
	}
}

func TestCanonicalForm(t *testing.T) {
	got := canonical(t, `{"z":[true,null,1.50,1e30,120],"a":"\u001b<\"\\\n\u2028"}`)
	want := `{"a":"\u001b<\"\\\u000a` + "\u2028" + `","z":[true,null,15e-1,1e30,120]}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if _, err := julian.Canonical([]byte("[]")); !errors.Is(err, julian.ErrNotObject) {
		t.Errorf("a list: %v", err)
	}
	if h := julian.Hash([]byte("{}")); h != "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a" {
		t.Errorf("hash %s", h)
	}
}

// Numbers are never written out: a short body stays short.
func TestCanonicalOfHugeNumbers(t *testing.T) {
	for _, n := range []string{
		"1e999999999", "1E+999999999", "-1e-999999999", "1e99999999999999999999999999", "0e99999999999999999999",
		strings.Repeat("9", 1<<20), "0." + strings.Repeat("0", 1<<20) + "1", "1" + strings.Repeat("0", 1<<20),
		"1." + strings.Repeat("0", 1<<20) + "e1048576",
	} {
		body := `{"a":` + n + `}`
		c := canonical(t, body)
		if len(c) > len(body) {
			t.Errorf("%.20s… grew from %d to %d bytes", n, len(body), len(c))
		}
		if again := canonical(t, c); again != c {
			t.Errorf("%.20s…: not idempotent", n)
		}
	}
}

// number spells the same number in many ways.
func number(t *rapid.T) string {
	return rapid.StringMatching(`-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?`).Draw(t, "number")
}

func TestCanonicalNumbersKeepTheirValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := number(t), number(t)
		value := func(s string) *big.Rat {
			r, ok := new(big.Rat).SetString(s)
			if !ok {
				t.Fatalf("%q is no number", s)
			}
			return r
		}
		spell := func(s string) string {
			c, err := julian.Canonical([]byte(`{"n":` + s + `}`))
			if err != nil {
				t.Fatal(err)
			}
			return strings.TrimSuffix(strings.TrimPrefix(string(c), `{"n":`), "}")
		}
		if value(a).Cmp(value(spell(a))) != 0 {
			t.Fatalf("%s became %s", a, spell(a))
		}
		if equal := value(a).Cmp(value(b)) == 0; equal != (spell(a) == spell(b)) {
			t.Fatalf("%s and %s: %s, %s", a, b, spell(a), spell(b))
		}
	})
}

// shuffled writes v as JSON with its keys in random order and spaces between.
func shuffled(r *rand.Rand, v any) string {
	space := strings.Repeat(" ", r.IntN(3))
	switch v := v.(type) {
	case map[string]any:
		var parts []string
		for k, x := range v {
			key, _ := json.Marshal(k)
			parts = append(parts, space+string(key)+space+":"+shuffled(r, x))
		}
		r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		return "{" + strings.Join(parts, ",") + "\n}"
	case []any:
		var parts []string
		for _, x := range v {
			parts = append(parts, shuffled(r, x)+space)
		}
		return "[" + strings.Join(parts, ",") + "]"
	default:
		b, _ := json.Marshal(v)
		return space + string(b)
	}
}

func FuzzCanonical(f *testing.F) {
	f.Add(sample(f, "callresults-guide.json"), uint64(1))
	f.Add(sample(f, "callresults-reference.json"), uint64(2))
	f.Add([]byte(`{"a":[1e5,-0,0.10,{"b":"\ud800\u0000"}],"":null}`), uint64(3))
	f.Fuzz(func(t *testing.T, body []byte, seed uint64) {
		c, err := julian.Canonical(body)
		if err != nil {
			return
		}
		if !json.Valid(c) {
			t.Fatalf("not JSON: %q", c)
		}
		again, err := julian.Canonical(c)
		if err != nil || !bytes.Equal(c, again) {
			t.Fatalf("not idempotent: %q, %q, %v", c, again, err)
		}
		dec := json.NewDecoder(bytes.NewReader(c))
		dec.UseNumber()
		var v any
		if err := dec.Decode(&v); err != nil {
			t.Fatal(err)
		}
		other := shuffled(rand.New(rand.NewPCG(seed, 1)), v)
		if got := canonical(t, other); got != string(c) {
			t.Fatalf("order or spacing counts:\n%s\n%s", got, c)
		}
	})
}
