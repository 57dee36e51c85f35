package mappings

import (
	"strings"
	"unicode"

	"github.com/callsync/callsync/crm"
)

// unusable says why a value that a match rule gave identifies nobody, and what to do
// about it; "" where there is none. It never holds the value.
func (r *renderer) unusable(rule matchRule, v crm.Value) string {
	text := strings.TrimSpace(v.Text)
	if text == "" || isPlaceholder(text) {
		return ""
	}
	name := rule.property
	if name == "" {
		name = "id"
	}
	switch {
	case rule.kind == crm.MatchPhone && r.run.region == "" && national(text):
		where := "the destination's [options] in config.toml, restart callsync"
		if _, declared := r.def.options["region"]; !declared {
			where = "[options] of the mapping"
		}
		return "the number for " + name + " has no country code, and no default region is set: give region, such as region = \"US\", in " + where + ", then `callsync resync --changed`"
	case rule.kind == crm.MatchPhone && r.run.region != "":
		return "the number for " + name + " cannot be read, neither with its country code nor as one of " + strings.ToUpper(r.run.region) + ", which is the region in the destination's options"
	case rule.kind == crm.MatchPhone:
		return "the number for " + name + " cannot be read"
	case rule.kind == crm.MatchEmail:
		return "the value for " + name + " is no email address"
	}
	return "the value for " + name + " is none to find anybody by"
}

// national reports whether a text looks like a number without a country code.
func national(text string) bool {
	digits := 0
	for _, c := range text {
		if unicode.IsDigit(c) {
			digits++
		}
	}
	return digits >= 6 && !strings.HasPrefix(text, "+") && !strings.HasPrefix(text, "00")
}
