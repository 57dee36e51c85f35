package crm

import (
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// A Phone is a number taken apart for comparison.
type Phone struct {
	E164     string // "+15551234567"
	National string // area code and local number without trunk prefix: "5551234567"
	Domestic string // as dialled within its country, digits only: "5551234567", "02079460000"
	Country  int    // calling code: 1
	Ext      string // extension, if one was written along
}

// ParsePhone reads a phone number in any punctuation. region is the ISO 3166
// country of numbers written without a country code; "" means such numbers
// cannot be read. ok is false for what cannot be a phone number.
//
// A number that is merely not assigned (such as the 555 numbers of examples) is
// accepted: it is not for callsync to decide whom a CRM may hold.
func ParsePhone(s, region string) (p Phone, ok bool) {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > 64 {
		return Phone{}, false
	}
	n, err := phonenumbers.Parse(s, strings.ToUpper(region))
	if err != nil || !phonenumbers.IsPossibleNumber(n) {
		return Phone{}, false
	}
	return Phone{
		E164:     phonenumbers.Format(n, phonenumbers.E164),
		National: phonenumbers.GetNationalSignificantNumber(n),
		Domestic: digits(phonenumbers.Format(n, phonenumbers.NATIONAL)),
		Country:  int(n.GetCountryCode()),
		Ext:      n.GetExtension(),
	}, true
}

// digits keeps the digits of a number's formatted form up to its extension.
func digits(s string) string {
	s, _, _ = strings.Cut(s, " ext")
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}
