package julian_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/callsync/callsync/julian"
)

// standard reads a body as encoding/json would.
func standard(body []byte) (map[string]any, bool) {
	dec := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(body, []byte("\ufeff"))))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, false
	}
	m, ok := v.(map[string]any)
	if _, err := dec.Token(); !ok || !errors.Is(err, io.EOF) {
		return nil, false
	}
	return m, true
}

// agree fails when Parse and encoding/json read a body differently.
func agree(t *testing.T, body []byte) {
	t.Helper()
	want, ok := standard(body)
	call, err := julian.Parse(body)
	switch {
	case errors.Is(err, julian.ErrNoCallID):
		if !ok {
			t.Errorf("%q is taken for an object", body)
		}
	case err != nil:
		if ok && !strings.Contains(err.Error(), "nested") {
			t.Errorf("%q: %v", body, err)
		}
	case !ok:
		t.Errorf("%q is accepted", body)
	case !reflect.DeepEqual(call.Raw, want):
		t.Errorf("%q is read as\n%#v, not\n%#v", body, call.Raw, want)
	}
}

var spellings = []string{
	`null`, `true`, `false`, `nul`, `truex`, `True`, `0`, `-0`, `01`, `-`, `1.`, `.5`, `1.5`, `1e`, `1e+`, `1E-07`, `1e5.5`, `+1`, `0x1`, `Infinity`,
	`""`, `"a`, `"\`, `"\"`, `"\""`, `"\\"`, `"\u00e9\n\/"`, `"\u12"`, `"\x"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\ude00x"`, `"\ud83dA"`, "\"\xff\xc3\"", "\"a\tb\"", "\"\x00\"", "\"\x7f\u2028\"", `'a'`,
	`[]`, `[ ]`, `[1,]`, `[,]`, `[1 2]`, `[1`, `[[],{}]`, `{}`, `{ }`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{a:1}`, `{"a":1 "b":2}`, `{"a":1,"a":2}`, `{"\u0061":1,"a":2}`, "{\"\xff\":1}",
	"\v1", "\u00a01", "/*x*/1", "1//", "",
}

func TestReadsAsTheStandardLibraryDoes(t *testing.T) {
	for _, s := range spellings {
		agree(t, []byte(s))
		agree(t, []byte(`{"callId":"c","x":`+s+`}`))
		agree(t, []byte(" \n\t\r{\"callId\" : \"c\" , \"x\" :\t"+s+" } \n"))
		agree(t, []byte(`{"callId":"c","x":[`+s+`,`+s+`]}`+s))
	}
}

func TestNesting(t *testing.T) {
	nested := func(n int) []byte {
		return []byte(`{"callId":"c","x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`)
	}
	if _, err := julian.Parse(nested(499)); err != nil {
		t.Error(err)
	}
	if _, err := julian.Parse(nested(500)); !errors.Is(err, julian.ErrNotObject) {
		t.Errorf("%v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(sample(f, "callresults-guide.json"))
	f.Add(sample(f, "callresults-reference.json"))
	for _, s := range spellings {
		f.Add([]byte(`{"callId":"c","x":` + s + `}`))
	}
	f.Fuzz(agree)
}
