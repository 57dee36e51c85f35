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
	kept := keptReasons(call, e.Destination)
	of := ""
	for _, r := range x.Rules {
		if r.Record != of {
			of = r.Record
			p.f("  record %s\n", styled{of, cyan})
		}
		name := r.Name
		if name == "" {
			name = string(r.Kind)
		} else if r.Kind == mappings.RuleMatch {
			name = "match " + name
		}
		p.f("    %s = %s", styled{name, bold}, r.Result)
		if r.Kind == mappings.RuleField && r.Write != "" && r.Write != crm.Always {
			p.f(" %s", styled{"(" + string(r.Write) + ")", dim})
		}
		p.f("\n")
		p.f("      %s  %s\n", styled{r.Pos.String(), dim}, cut(strings.Join(strings.Fields(r.Text), " "), maxRule))
		for _, in := range r.Inputs {
			p.f("      %s is %s\n", in.Name, inputText(in.Value))
		}
		for _, n := range []string{r.Note, kept[r.Record+" "+r.Name]} {
			if n != "" {
				p.f("      %s\n", styled{n, yellow})
			}
		}
	}
	if e.Problem != "" {
		p.f("    %s\n", styled{e.Problem, red})
	}
	return nil
}

// keptReasons is why properties were not written, by record and name.
func keptReasons(call admin.CallDetail, destination string) map[string]string {
	reasons := map[string]string{}
	add := func(r store.Record) {
		for name, v := range r.Properties {
			if v.Kept != "" {
				reasons[r.Key+" "+name] = "not written: " + v.Kept
			}
		}
	}
	for _, at := range call.Destinations {
		if at.Destination == destination {
			for _, r := range at.Records {
				add(r)
			}
		}
	}
	return reasons
}

// How much of an input and of a rule's text is shown, in columns.
const (
	maxInput = 120
	maxRule  = 240
)

func inputText(v any) string {
	if v == nil {
		return "missing"
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return cut(string(b), maxInput)
}
