package salesforcesim

import "strings"

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// newID makes the n-th 18-character id with a three-character key prefix.
func newID(prefix string, n int) string {
	var b [12]byte
	copy(b[:], "Ws0000000000")
	for i := len(b) - 1; n > 0 && i > 1; i-- {
		b[i] = base62[n%62]
		n /= 62
	}
	id := prefix + string(b[:])
	return id + suffix(id)
}

// suffix is the checksum that makes a 15-character id safe where case is lost:
// one base-32 digit for the capitals of each group of five.
func suffix(id15 string) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
	var out [3]byte
	for i := range out {
		bits := 0
		for j := range 5 {
			if c := id15[i*5+j]; c >= 'A' && c <= 'Z' {
				bits |= 1 << j
			}
		}
		out[i] = digits[bits]
	}
	return string(out[:])
}

// canonicalID returns the 18-character form of a 15- or 18-character id. An
// 18-character id with a wrong checksum is no id; its checksum's case, and
// with it that of the other letters, does not count.
func canonicalID(s string) (string, bool) {
	if len(s) != 15 && len(s) != 18 {
		return "", false
	}
	for i := range len(s) {
		if strings.IndexByte(base62, s[i]) < 0 {
			return "", false
		}
	}
	if len(s) == 15 {
		return s + suffix(s), true
	}
	if suffix(s[:15]) == strings.ToUpper(s[15:]) {
		return s[:15] + strings.ToUpper(s[15:]), true
	}
	restored := recase(s)
	return restored, suffix(restored[:15]) == restored[15:]
}

// recase gives the letters of an 18-character id the case its checksum says.
func recase(s string) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
	b := []byte(strings.ToLower(s[:15]))
	up := strings.ToUpper(s[15:])
	for i := range 3 {
		bits := strings.IndexByte(digits, up[i])
		for j := range 5 {
			if bits >= 0 && bits&(1<<j) != 0 && b[i*5+j] >= 'a' && b[i*5+j] <= 'z' {
				b[i*5+j] -= 'a' - 'A'
			}
		}
	}
	return string(b) + up
}
