package mappings_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/mappings"
)

// What a call holds and cannot be found by is told with what to set, and never with
// the value.
func TestWhyUnmatched(t *testing.T) {
	const source = `[options]
region = ""
[contact]
object = "contacts"
match = [
  { id = "customInputVariables.id" },
  { property = "email", value = "customInputVariables.email" },
  { property = "phone", value = "phoneNumber" },
]
`
	for _, x := range []struct{ region, id, email, phone, want string }{
		{"", "", "", "", ""},
		{"", "<string>", "", "<string>", ""},
		{"", "", "", "(415) 555-0199", `no country code, and no default region is set: give region, such as region = "US"`},
		{"", "", "", "+1 415", "the number for phone cannot be read"},
		{"", "", "", "ring me", "the number for phone cannot be read"},
		{"US", "", "", "555", "the number for phone cannot be read, neither with its country code nor as one of US"},
		{"", "", "nobody", "", "the value for email is no email address"},
		{"", "a b", "", "", "the value for id is none"},
		{"", "", "nobody", "4155550199", "the value for email is no email address; the number for phone has no"},
		{"US", "", "", "(415) 555-0199", ""},
		{"", "", "ada@example.com", "4155550199", ""},
	} {
		m, err := mappings.Parse("m.toml", []byte(source), mappings.Options{"region": x.region})
		if err != nil {
			t.Fatal(err)
		}
		body := fmt.Sprintf(`{"callId":"call.1","phoneNumber":%q,"customInputVariables":{"id":%q,"email":%q}}`, x.phone, x.id, x.email)
		call, err := julian.Parse([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		d, err := m.Render(call, received)
		if err != nil {
			t.Fatal(err)
		}
		why := d.Person.WhyUnmatched
		if (why == "") != (x.want == "") || !strings.Contains(why, x.want) {
			t.Errorf("%s: %q, want %q", body, why, x.want)
		}
		for _, value := range []string{"555", "415", "nobody", "ring me", "a b"} {
			if strings.Contains(why, value) {
				t.Errorf("%q holds a value of the call", why)
			}
		}
	}
}
