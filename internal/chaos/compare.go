package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Meddling is what people did in a CRM.
type meddling struct {
	joined  map[string]bool            // people, as who returns them, whose properties may have been lost
	deleted map[string]bool            // keys of records that were deleted, and stay so
	parted  map[string]map[string]bool // deleted people, and the calls sent by then
}

// sentBefore reports whether a call was sent before its person was deleted.
func (m meddling) sentBefore(w want) bool { return m.parted[w.who()][w.id] }

// audit compares a CRM with what the newest revisions say, and with what people
// did there.
func (p *portrait) audit(wants map[string]want, everybody []person, m meddling) []string {
	var found []string
	wrong := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }

	known := map[string]bool{}
	for _, x := range everybody {
		known[digits(x.phone)], known[x.email] = true, true
	}
	ids := map[string][]string{} // of the people with a number or email
	persons := map[string]crmPerson{}
	there := map[string]bool{} // ids
	for _, x := range p.people {
		who := x.who()
		there[x.id] = true
		if !known[who] || who == "" {
			wrong("%s %s is nobody who was called", x.object, x.id)
		}
		ids[who] = append(ids[who], x.id)
		persons[who] = x
	}
	for who, list := range ids {
		if len(list) > 1 {
			wrong("%s is doubled: %v", who, list)
		}
	}

	byKey := map[string]crmRecord{}
	for _, r := range p.records {
		if r.key == "" {
			wrong("%s %s has no key", r.kind, r.id)
			continue
		}
		if other, doubled := byKey[r.key]; doubled {
			wrong("%s is doubled: %s %s and %s %s", r.key, other.kind, other.id, r.kind, r.id)
		}
		byKey[r.key] = r
	}
	made := maps.Clone(byKey)
	optedOut := map[string]bool{}
	mailed := map[string]string{}
	for id, w := range wants {
		mine := map[string][]crmRecord{}
		for key, r := range byKey {
			if call, _, ok := strings.Cut(key, "#"); ok && call == id {
				mine[r.kind] = append(mine[r.kind], r)
				delete(byKey, key)
			}
		}
		if w.interim {
			for kind, list := range mine {
				wrong("%s has no result yet and has %d of kind %s", id, len(list), kind)
			}
			continue
		}
		optedOut[w.who()] = optedOut[w.who()] || w.doNotCall
		if w.email != "" {
			mailed[w.who()] = w.email
		}
		if len(ids[w.who()]) == 0 && !m.sentBefore(w) {
			wrong("%s: nobody has %s", id, w.who())
		}
		if m.sentBefore(w) {
			mine = orphaned(mine, ids[w.who()], there)
		}
		for _, text := range w.audit(mine, ids[w.who()], lacks(id, m.deleted)) {
			wrong("%s: %s", id, text)
		}
	}
	for key := range m.deleted {
		if r, back := made[key]; back {
			wrong("%s %s (%s) was deleted in the CRM and is there again", r.kind, r.id, key)
		}
	}
	for key, r := range byKey {
		wrong("%s %s (%s) belongs to no call", r.kind, r.id, key)
	}
	for who, out := range optedOut {
		x, there := persons[who]
		if _, parted := m.parted[who]; !there || parted || m.joined[who] {
			continue
		}
		if x.doNotCall != out {
			wrong("%s: do not call is %t, should be %t", who, x.doNotCall, out)
		}
		if email := mailed[who]; email != "" && !strings.EqualFold(x.email, email) {
			wrong("%s: the email is %q, should be %q", who, x.email, email)
		}
		if !x.named {
			wrong("%s has no name", who)
		}
	}
	return found
}

// audit compares the records of one call with what its newest revision says.
func (w want) audit(mine map[string][]crmRecord, person []string, lacks bool) []string {
	var found []string
	wrong := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	for _, list := range mine {
		for _, r := range list {
			if !slices.Equal(r.who, person) {
				wrong("%s %s is linked to %v, should be to %v", r.kind, r.key, r.who, person)
			}
		}
	}
	if lacks { // the rest says nothing about what was deleted
		return found
	}
	if n := len(mine["call"]); n != 1 {
		wrong("%d calls, should be 1", n)
	} else if c := mine["call"][0]; !strings.Contains(plain(c.text), w.token) || strings.Count(plain(c.text), "matter ") != 1 {
		wrong("the call does not say %q: %q", w.token, c.text)
	} else if c.seconds != w.seconds {
		wrong("the call took %d s, should be %d", c.seconds, w.seconds)
	}
	meetings := 1
	if w.meeting.IsZero() {
		meetings = 0
	}
	if n := len(mine["meeting"]); n != meetings {
		wrong("%d meetings, should be %d", n, meetings)
	} else if meetings == 1 {
		m := mine["meeting"][0]
		if !m.start.Equal(w.meeting) {
			wrong("the meeting is at %s, should be at %s", m.start, w.meeting)
		}
		if !strings.Contains(plain(m.text), w.token) {
			wrong("the meeting does not say %q: %q", w.token, m.text)
		}
	}
	var titles []string
	for _, t := range mine["task"] {
		titles = append(titles, t.title)
	}
	slices.Sort(titles)
	should := slices.Sorted(slices.Values(w.tasks))
	if !slices.Equal(titles, should) {
		wrong("the tasks are %q, should be %q", titles, should)
	}
	return found
}

// orphaned are the records of a call, of which those that lost their person to a
// deletion count as linked well.
func orphaned(mine map[string][]crmRecord, person []string, there map[string]bool) map[string][]crmRecord {
	out := map[string][]crmRecord{}
	for kind, list := range mine {
		for _, r := range list {
			if !slices.ContainsFunc(r.who, func(id string) bool { return there[id] }) {
				r.who = person
			}
			out[kind] = append(out[kind], r)
		}
	}
	return out
}

// lacks says whether something of a call was deleted in the CRM.
func lacks(id string, deleted map[string]bool) bool {
	for key := range deleted {
		if call, _, _ := strings.Cut(key, "#"); call == id {
			return true
		}
	}
	return false
}

// plain undoes what HTML does to the tokens.
func plain(s string) string { return strings.ReplaceAll(s, "&#47;", "/") }

// auditStanding compares the journal's view of a call at a CRM with the CRM.
func auditStanding(destination string, j journalled, w want, p *portrait, deleted map[string]bool) []string {
	i := slices.IndexFunc(j.Destinations, func(s standing) bool { return s.Destination == destination })
	if i < 0 {
		return []string{"the journal does not say where it stands"}
	}
	s := j.Destinations[i]
	var found []string
	wrong := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	should := "synced"
	if w.interim {
		should = "waiting"
	}
	if s.Status != should {
		text := s.Reason
		if s.Problem != nil {
			text += " " + s.Problem.Text
		}
		wrong("%s, should be %s: %s", s.Status, should, text)
	}
	if s.Status == "synced" && s.Revision != j.Revision {
		wrong("synced is revision %d, newest is %d", s.Revision, j.Revision)
	}
	for _, r := range s.Records {
		switch {
		case !r.Gone.IsZero(), deleted[r.Key]:
		case r.ID == "" || !r.Intent.IsZero() || r.Relink:
			wrong("the journal does not know what became of %s", r.Key)
		case !slices.ContainsFunc(p.records, func(x crmRecord) bool { return x.id == r.ID && x.key == r.Key }):
			wrong("the journal knows %s as %s, and the CRM has no such record", r.Key, r.ID)
		}
	}
	return found
}

// written counts the requests that wrote something.
func (w *world) written() int {
	n := 0
	for _, a := range w.accounts {
		n += int(a.wrote.Load())
	}
	return n
}
