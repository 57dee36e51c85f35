package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// sightings are what tasks were seen to say in a CRM: by id and title, the titles
// of the call's other tasks at that time. A person who looked at a task then, and
// worked on it, must not find another of them under its id.
type sightings map[string]map[string]map[string]bool

// look notes the tasks of a CRM as they are.
func (s sightings) look(p *portrait) {
	byCall := map[string][]crmRecord{}
	for _, r := range p.records {
		if call, _, ok := strings.Cut(r.key, "#"); ok && r.kind == "task" {
			byCall[call] = append(byCall[call], r)
		}
	}
	for _, tasks := range byCall {
		for _, t := range tasks {
			if s[t.id] == nil {
				s[t.id] = map[string]map[string]bool{}
			}
			if s[t.id][t.title] == nil {
				s[t.id][t.title] = map[string]bool{}
			}
			for _, other := range tasks {
				if other.title != t.title {
					s[t.id][t.title][other.title] = true
				}
			}
		}
	}
}

// audit finds the tasks of a call that became another of its tasks. One of which
// the call ceased to speak for a while may have been taken for new.
func (s sightings) audit(call string, revisions []json.RawMessage, p *portrait) []string {
	var found []string
	for _, r := range p.records {
		if id, _, _ := strings.Cut(r.key, "#"); r.kind != "task" || id != call || !throughout(revisions, r.title) {
			continue
		}
		for was, others := range s[r.id] {
			if others[r.title] {
				found = append(found, fmt.Sprintf("task %s (%s) was %q and says %q, which was another", r.id, r.key, was, r.title))
			}
		}
	}
	return found
}

// throughout reports whether a call spoke of a task ever since it first did.
func throughout(revisions []json.RawMessage, title string) bool {
	begun := false
	for _, body := range revisions {
		w, err := read(body)
		if err != nil || w.interim {
			return false
		}
		speaks := slices.Contains(w.tasks, title)
		if begun && !speaks {
			return false
		}
		begun = begun || speaks
	}
	return begun
}
