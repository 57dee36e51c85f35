package hubspotsim

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// record is one CRM record. props is replaced, never changed, on a write, so
// the search index can keep an older version by keeping the map.
type record struct {
	id         string
	typ        *objectType
	seq        int
	props      map[string]string
	created    time.Time
	updated    time.Time
	archived   bool
	archivedAt time.Time
	mergedInto *record
	links      map[string]map[string]map[int]bool // object type → id → association type ids
}

// find returns the live record behind an id, following merges, or nil.
func (t *objectType) find(id string) *record {
	r := t.records[id]
	for r != nil && r.mergedInto != nil {
		r = r.mergedInto
	}
	if r == nil || r.archived {
		return nil
	}
	return r
}

// findArchived returns an archived record, or nil.
func (t *objectType) findArchived(id string) *record {
	if r := t.records[id]; r != nil && r.archived && r.mergedInto == nil {
		return r
	}
	return nil
}

// lookup finds a live record by id or by the value of a unique property.
func (s *Server) lookup(t *objectType, id, idProperty string) (*record, *apiError) {
	if idProperty == "" {
		return t.find(id), nil
	}
	holders, ok := t.unique[idProperty]
	if !ok {
		return nil, invalid(fmt.Sprintf("Unable to perform update/upsert by non-unique %s property %s in portal ID %d", t.id, idProperty, s.opts.PortalID))
	}
	return holders[uniqueKey(idProperty, id)], nil
}

// uniqueKey is the form in which values of a unique property are compared.
func uniqueKey(name, value string) string {
	if name == "email" {
		return strings.ToLower(strings.TrimSpace(value))
	}
	return value
}

// write is a change that has been checked and can be committed.
type write struct {
	rec   *record           // nil to create
	props map[string]string // an empty value clears the property
	links []link
}

// claims remembers the unique values that earlier inputs of the same batch
// take, by property and value.
type claims map[[2]string]bool

// checkCreate checks a record to be created against everything that is there
// and, unless nil, against the claims of its batch.
func (s *Server) checkCreate(t *objectType, props map[string]*string, assoc []associationInput, taken claims) (*write, *apiError) {
	values, fail := s.checkValues(t, props)
	if fail != nil {
		return nil, fail
	}
	if lacking := s.lacking(t, values); lacking != nil {
		e := invalid(fmt.Sprintf("Error creating %s. Some required properties were not set.", t.singular))
		e.Context = map[string][]string{"properties": lacking}
		return nil, e
	}
	if fail := s.checkUnique(t, nil, values, taken); fail != nil {
		return nil, fail
	}
	links, fail := s.checkLinks(t, assoc)
	if fail != nil {
		return nil, fail
	}
	return &write{props: values, links: links}, nil
}

// lacking lists the properties a record cannot be created without. Source:
// HubSpot calls, meetings, tasks, notes and contacts guides.
func (s *Server) lacking(t *objectType, values map[string]string) []string {
	switch {
	case t.activity && values["hs_timestamp"] == "":
		return []string{"hs_timestamp"}
	case t.name != "contacts" || s.settings.NamelessContacts:
		return nil
	case values["email"] == "" && values["firstname"] == "" && values["lastname"] == "":
		return []string{"email", "firstname", "lastname"}
	}
	return nil
}

func (s *Server) checkUpdate(r *record, props map[string]*string, taken claims) (*write, *apiError) {
	values, fail := s.checkValues(r.typ, props)
	if fail != nil {
		return nil, fail
	}
	if v, ok := values["hs_timestamp"]; ok && v == "" && r.typ.activity {
		return nil, s.badValues([]badValue{{"hs_timestamp", "REQUIRED_PROPERTY", "hs_timestamp is required"}})
	}
	if fail := s.checkUnique(r.typ, r, values, taken); fail != nil {
		return nil, fail
	}
	return &write{rec: r, props: values}, nil
}

// checkUnique refuses values of unique properties that another record holds.
func (s *Server) checkUnique(t *objectType, self *record, values map[string]string, taken claims) *apiError {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		holders, unique := t.unique[name]
		value := values[name]
		if !unique || value == "" {
			continue
		}
		key := uniqueKey(name, value)
		if holder := holders[key]; holder != nil && holder != self {
			return s.conflict(t, name, value, holder)
		}
		if taken != nil {
			claim := [2]string{name, key}
			if taken[claim] {
				return s.conflict(t, name, value, nil)
			}
			taken[claim] = true
		}
	}
	return nil
}

// conflict answers a taken unique value. holder is nil when another input of
// the same batch claims it.
func (s *Server) conflict(t *objectType, name, value string, holder *record) *apiError {
	if name == "email" {
		e := &apiError{status: http.StatusConflict, Category: "CONFLICT", Message: "Contact already exists"}
		if holder != nil {
			e.Message += ". Existing ID: " + holder.id
			e.traceContext = map[string][]string{"existingId": {holder.id}}
		}
		return e
	}
	message := fmt.Sprintf("Cannot set PropertyValueCoordinates{portalId=%d, objectTypeId=%s, propertyName=%s, value=%s}.", s.opts.PortalID, t.id, name, value)
	if holder != nil {
		message += " " + holder.id + " already has that value."
	}
	e := s.badValues([]badValue{{name, "CONFLICTING_UNIQUE_VALUE", message}})
	if s.settings.ConflictStatus == http.StatusConflict {
		e.status, e.Category = http.StatusConflict, "CONFLICT"
	}
	return e
}

// commit carries out a checked write and returns the record.
func (s *Server) commit(t *objectType, w *write, now time.Time) *record {
	r := w.rec
	if r == nil {
		r = s.newRecord(t, now)
	}
	props := maps.Clone(r.props)
	for name, value := range w.props {
		if name == "lifecyclestage" && !advances(props[name], value) {
			continue
		}
		if holders, unique := t.unique[name]; unique {
			if old := props[name]; old != "" {
				delete(holders, uniqueKey(name, old))
			}
			if value != "" {
				holders[uniqueKey(name, value)] = r
			}
		}
		if value == "" {
			delete(props, name)
		} else {
			props[name] = value
		}
		if name == "email" {
			promote(props)
		}
	}
	s.store(r, props, now)
	for _, l := range w.links {
		s.link(r, l.to, l.typeID)
	}
	return r
}

// promote takes a contact's email off its additional ones.
func promote(props map[string]string) {
	rest := slices.DeleteFunc(additionalEmails(props), func(e string) bool { return e == props["email"] })
	if len(rest) == 0 {
		delete(props, "hs_additional_emails")
	} else {
		props["hs_additional_emails"] = strings.Join(rest, ";")
	}
}

func (s *Server) newRecord(t *objectType, now time.Time) *record {
	s.seq++
	r := &record{
		id: strconv.Itoa(t.nextID), typ: t, seq: s.seq, created: now,
		props: map[string]string{}, links: map[string]map[string]map[int]bool{},
	}
	t.nextID++
	t.records[r.id] = r
	r.props["hs_object_id"] = r.id
	r.props[t.created()] = stamp(now)
	return r
}

// store gives r its new properties, computes those HubSpot computes, and tells
// the search index.
func (s *Server) store(r *record, props map[string]string, now time.Time) {
	r.updated = now
	props[r.typ.modified()] = stamp(now)
	compute(r.typ, props)
	r.props = props
	s.enqueue(r, now)
}

// compute derives the calculated properties. Source: HubSpot CRM search guide
// for the searchable phone numbers.
func compute(t *objectType, props map[string]string) {
	set := func(name, value string) {
		if value == "" {
			delete(props, name)
		} else {
			props[name] = value
		}
	}
	switch t.name {
	case "contacts":
		set("hs_searchable_calculated_phone_number", searchablePhone(props["phone"]))
		set("hs_searchable_calculated_mobile_number", searchablePhone(props["mobilephone"]))
		_, domain, _ := strings.Cut(props["email"], "@")
		set("hs_email_domain", domain)
	case "deals":
		stage := props["dealstage"]
		set("hs_is_closed", strconv.FormatBool(stage == "closedwon" || stage == "closedlost"))
		set("hs_is_closed_won", strconv.FormatBool(stage == "closedwon"))
	}
}

// advances reports whether a lifecycle stage may replace another: it may be
// cleared, and otherwise only move forward. A write that would move it back is
// ignored without an error. Source: HubSpot contacts guide.
func advances(from, to string) bool {
	return from == "" || to == "" || slices.Index(lifecycle, to) >= slices.Index(lifecycle, from)
}

// remove archives a record: it keeps its id, and gives up its unique values
// and its associations.
func (s *Server) remove(r *record, now time.Time) {
	r.archived, r.archivedAt = true, now
	s.release(r)
	s.unlinkAll(r)
	s.enqueue(r, now)
}

// release gives up the unique values a record holds.
func (s *Server) release(r *record) {
	for name, holders := range r.typ.unique {
		if v := r.props[name]; v != "" && holders[uniqueKey(name, v)] == r {
			delete(holders, uniqueKey(name, v))
		}
	}
	if r.typ.name == "contacts" {
		for _, email := range additionalEmails(r.props) {
			delete(r.typ.unique["email"], email)
		}
	}
}

func additionalEmails(props map[string]string) []string {
	if v := props["hs_additional_emails"]; v != "" {
		return strings.Split(v, ";")
	}
	return nil
}

// searchablePhone is area code and local number: the digits without the
// country code of a number in international form, and without the leading 1
// of a North American one.
func searchablePhone(s string) string {
	if i := strings.IndexAny(strings.ToLower(s), "xe#;,"); i >= 0 {
		s = s[:i] // an extension
	}
	international := strings.HasPrefix(strings.TrimSpace(s), "+")
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
	if rest, ok := strings.CutPrefix(digits, "00"); ok && !international {
		digits, international = rest, true
	}
	if !international {
		if len(digits) == 11 && digits[0] == '1' {
			return digits[1:]
		}
		return digits
	}
	n := countryCodeLength(digits)
	if len(digits) <= n {
		return digits
	}
	code, local := digits[:n], digits[n:]
	if code != "39" { // Italy's leading zero is part of the number
		local = strings.TrimPrefix(local, "0") // +44 (0)20 …
	}
	return local
}

// countryCodeLength follows ITU-T E.164's list of assigned country codes.
func countryCodeLength(digits string) int {
	const two = " 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58" +
		" 60 61 62 63 64 65 66 81 82 84 86 90 91 92 93 94 95 98 "
	switch {
	case digits == "":
		return 0
	case digits[0] == '1' || digits[0] == '7':
		return 1
	case len(digits) >= 2 && strings.Contains(two, " "+digits[:2]+" "):
		return 2
	}
	return 3
}
