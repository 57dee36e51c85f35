package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/mappings"
	"github.com/callsync/callsync/store"
)

// printExplained prints for every rule of a mapping where it stands, what it
// read and gave, and why the CRM was not given it if it was not.
func printExplained(p *printer, call admin.CallDetail, e admin.Explained) error {
	var x mappings.Explanation
	if err := json.Unmarshal(e.Explanation, &x); err != nil {
		return fmt.Errorf("%s: the explanation cannot be read: %w", e.Destination, err)
	}
	p.f("\n%s by %s, version %s\n", styled{e.Destination, bold}, x.Mapping, x.Version)
	fates := fatesOf(call, e.Destination)
	of, rule := "", 0
	for _, r := range x.Rules {
		if r.Record != of {
			of = r.Record
			p.f("  record %s%s\n", styled{of, cyan}, fates.keptAs(of))
		}
		name := r.Name
		if name == "" {
			name = string(r.Kind)
		} else if r.Kind == mappings.RuleMatch {
			name = "match " + name
		}
		p.f("    %s = %s", styled{name, bold}, p.lines(r.Result, maxRule))
		if r.Kind == mappings.RuleField && r.Write != "" && r.Write != crm.Always {
			p.f(" %s", styled{"(" + string(r.Write) + ")", dim})
		}
		p.f("\n")
		p.f("      %s  %s\n", styled{r.Pos.String(), dim}, p.lines(strings.Join(strings.Fields(r.Text), " "), maxRule))
		for _, in := range r.Inputs {
			p.f("      %s is %s\n", in.Name, p.lines(inputText(in.Value), maxInput))
		}
		if r.Note != "" {
			p.f("      %s\n", styled{r.Note, yellow})
		}
		switch r.Kind {
		case mappings.RuleField:
			fate := fates.of(r)
			p.f("      %s\n", styled{p.lines(fate.text, maxInput), fate.c})
		case mappings.RuleMatch:
			fates.printMatch(p, rule, r)
			rule++
		case mappings.RuleCreate:
			if c := fates.at.Person; c != nil && c.How == "created" {
				p.f("      %s\n", styled{"nobody was found: created " + c.Ref.String(), green})
			}
		}
	}
	if e.Problem != "" {
		p.f("    %s\n", styled{e.Problem, red})
	}
	return nil
}

// fates is what became of a call's values at one destination.
type fates struct {
	call    string
	at      admin.CallAt
	records map[string]store.Record
}

func fatesOf(call admin.CallDetail, destination string) fates {
	f := fates{call: call.ID, records: map[string]store.Record{}}
	for _, at := range call.Destinations {
		if at.Destination == destination {
			f.at = at
		}
	}
	for _, r := range f.at.Records {
		f.records[r.MappedKey()] = r
	}
	return f
}

// keptAs names the record that stands for an item, where a correction moved the
// item since its record was made.
func (f fates) keptAs(mapped string) string {
	if key := f.records[mapped].Key; key != "" && key != mapped {
		return ", kept as " + key
	}
	return ""
}

// of says whether a field's value was written, and why not.
func (f fates) of(r mappings.Rule) styled {
	applied, known := f.at.Contact[r.Name]
	if r.Record != "" {
		rec := f.records[r.Record]
		if !rec.Gone.IsZero() {
			return styled{"not in the CRM: the record was archived or deleted there", yellow}
		}
		applied, known = rec.Properties[r.Name]
	}
	wanted := applied.Value.String() == r.Result || applied.Value.IsNull() && r.Result == "nothing"
	switch {
	case !known && r.Result == "nothing":
		return styled{"not written: there is nothing to write", dim}
	case !known:
		return styled{"not written yet", yellow}
	case r.Record == "" && applied.Call != "" && applied.Call != f.call:
		return styled{"not written: the value of call " + applied.Call + " stands, which is newer", yellow}
	case applied.Unsure:
		return styled{"sent; the CRM has not answered yet", yellow}
	case applied.Kept != "":
		return styled{"not written: " + applied.Kept, yellow}
	case !wanted:
		return styled{"last written: " + valueText(applied.Value, applied.Wire) + "; the mapping has changed since", yellow}
	case applied.Value.IsNull():
		return styled{"empty, as callsync left it", dim}
	case applied.Wire != "":
		return styled{"written, as " + applied.Wire, green}
	default:
		return styled{"written", green}
	}
}

// printMatch says of the rule that led to the person that it did, and whom else
// it found.
func (f fates) printMatch(p *printer, n int, r mappings.Rule) {
	c := f.at.Person
	if c == nil || c.IsZero() {
		return
	}
	label := r.Name
	if label == "" {
		label = "id"
	}
	if r.Note != "" || !strings.HasPrefix(c.How, fmt.Sprintf("found by rule %d,", n+1)) && c.How != "known by "+label {
		return
	}
	p.f("      %s\n", styled{"led to " + c.Ref.String() + ": " + c.How, green})
	printCandidates(p, "      ", c.Ref, c.Candidates)
}

// How much of a value and of a rule's text is shown on a terminal, in lines.
const (
	maxInput = 2
	maxRule  = 3
)

func inputText(v any) string {
	if v == nil {
		return "missing"
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}
