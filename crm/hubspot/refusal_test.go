package hubspot

import (
	"net/http"
	"strings"
	"testing"
)

// Whatever comes back as an error body, it is read without harm and nothing
// that was sent shows in the error.
func FuzzRefusal(f *testing.F) {
	const secret = "Zaphod Quux"
	for _, body := range []string{
		``, `<html>502</html>`, `null`, `[]`, `{"message":null,"errors":null,"context":null}`,
		`{"status":"error","message":"Zaphod Quux is invalid","category":"VALIDATION_ERROR","correlationId":"aeb5f871-7f07-4993-9211-075dc63e7cbf"}`,
		`{"message":"Property values were not valid: [{\"isValid\":false,\"message\":\"Zaphod Quux was not one of the allowed options: [label: \\\"A\\\"]\",\"error\":\"INVALID_OPTION\",\"name\":\"firstname\"}]"}`,
		`{"message":"x","errors":[{"message":"Zaphod Quux","code":"Zaphod Quux","context":{"propertyName":["Zaphod Quux"]}}]}`,
		`{"message":"x","category":"MISSING_SCOPES","context":"{missingScopes=[a, Zaphod Quux]}"}`,
		`{"context":{"ids":[1,"2",{"a":1}],"missingScopes":["Zaphod Quux"]},"subCategory":{"a":1}}`,
		`{"message":"Contact already exists. Existing ID: 123"}`,
	} {
		f.Add(400, body)
	}
	sent := []byte(`{"inputs":[{"properties":{"firstname":"` + secret + `"}}]}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		a := &answer{status: status, header: http.Header{}, body: []byte(body)}
		r := parseRefusal(a)
		e := describe("contacts batch create", status, r, sent)
		for _, s := range []string{e.Error(), e.Hint, e.Code, e.Property, e.Existing.ID} {
			if strings.Contains(s, secret) {
				t.Errorf("%q shows what was sent", s)
			}
		}
		if e.Kind == "" || len([]rune(e.Message)) > maxMessage+1 {
			t.Errorf("%+v", e)
		}
		_, _, _, _ = r.traces(), r.ids(), r.lacking(), r.daily()
	})
}

func TestCleanKeepsNames(t *testing.T) {
	r := newRedactor([]byte(`{"inputs":[{"properties":{"nonsense":"Al","hs_note":"see you"}}]}`))
	for in, want := range map[string]string{
		`Property "nonsense" does not exist`:               `Property "nonsense" does not exist`,
		`Al is no option; also Albert`:                     `… is no option; also Albert`,
		`"see you" is wrong`:                               `"…" is wrong`,
		`'Bob' wrote to bob@example.com or +1 555 1234567`: `"…" wrote to … or …`,
		`hs_call_status was not "COMPLETED"`:               `hs_call_status was not "COMPLETED"`,
	} {
		if got := r.clean(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
