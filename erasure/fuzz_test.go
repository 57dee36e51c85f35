package erasure

import (
	"bytes"
	"encoding/json"
	"testing"
)

// Whatever a body holds, what tells most of them at a glance never hides a body
// that names the subject.
func FuzzMayHold(f *testing.F) {
	for _, body := range []string{
		`{"phoneNumber":"+1 (415) 555-0123"}`, `{"phoneNumber":"415\\n555\\t0123"}`, `{"mobile":14155550123}`, `["\uff11 415 555 0123"]`,
		`{"email":"Jane\\/X@example.com"}`, `{"email":"jane@example.com"}`, `{"415 555 0123":1}`, `4155550123`, `{"a":"415[555]0123"}`,
	} {
		f.Add([]byte(body))
	}
	var matchers []*matcher
	for _, s := range []Subject{{Phone: "+14155550123"}, {Phone: "+4740000000"}, {Email: "jane@example.com"}, {Email: "jane/x@example.com"}} {
		m, err := s.matcher()
		if err != nil {
			f.Fatal(err)
		}
		matchers = append(matchers, m)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var v any
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.UseNumber()
		if dec.Decode(&v) != nil {
			return
		}
		for _, m := range matchers {
			if seen := m.within(v, ""); seen != absent && !m.mayHold(body) {
				t.Errorf("%q names the subject (%d), and is passed over", body, seen)
			}
		}
	})
}
