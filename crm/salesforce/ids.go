package salesforce

import "strings"

const idSuffix = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"

// id18 returns the case-insensitive form of a record id: the 15 characters that
// tell records apart, and three that encode which of them are upper case. ok is
// false for what is no record id.
func id18(s string) (id string, ok bool) {
	if len(s) != 15 && len(s) != 18 {
		return "", false
	}
	for i := range len(s) {
		if !isAlnum(s[i]) {
			return "", false
		}
	}
	var b strings.Builder
	b.WriteString(s[:15])
	for chunk := range 3 {
		bits := 0
		for i := range 5 {
			if c := s[chunk*5+i]; c >= 'A' && c <= 'Z' {
				bits |= 1 << i
			}
		}
		b.WriteByte(idSuffix[bits])
	}
	if len(s) == 18 && !strings.EqualFold(s[15:], b.String()[15:]) {
		return "", false
	}
	return b.String(), true
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// sameID compares ids of either length.
func sameID(a, b string) bool {
	x, okX := id18(a)
	y, okY := id18(b)
	return okX && okY && x == y
}

// keyPrefixes are the fixed first three characters of standard objects' ids
// (Salesforce Help, "Standard Field Record ID Prefix Decoder").
var keyPrefixes = map[string]string{
	"001": personAccount,
	"003": contact,
	"00Q": lead,
	"00T": task,
	"00U": event,
	"005": "User",
	"006": "Opportunity",
}

// objectOf names the type of a record by its id; "" when the prefix is not one
// of those callsync deals with.
func objectOf(id string) string {
	if len(id) < 3 {
		return ""
	}
	return keyPrefixes[id[:3]]
}
