package hubspotsim

import (
	"net/http"
	"strings"

	"github.com/callsync/callsync/crm/sandbox"
)

// families maps the prefixes of both path families to one canonical form, so
// that each operation is routed once. Source: HubSpot developer documentation,
// date-versioned API paths, and the v3 and v4 reference.
var families = []struct{ prefix, canonical string }{
	{"/crm/objects/2026-03", "/objects"},
	{"/crm/v3/objects", "/objects"},
	{"/crm/v4/objects", "/objects"},
	{"/crm/properties/2026-03", "/properties"},
	{"/crm/v3/properties", "/properties"},
	{"/crm/owners/2026-03", "/owners"},
	{"/crm/v3/owners", "/owners"},
	{"/crm/associations/2026-03", "/associations"},
	{"/crm/v4/associations", "/associations"},
	{"/calling/v1/dispositions", "/dispositions"},
	{"/account-info/v3/details", "/account"},
	{"/oauth/2026-03/token", "/oauth/token"},
	{"/oauth/v3/token", "/oauth/token"},
	{"/oauth/v1/token", "/oauth/token"},
}

func canonical(path string) string {
	path = strings.TrimRight(path, "/")
	for _, f := range families {
		if rest, ok := strings.CutPrefix(path, f.prefix); ok && (rest == "" || rest[0] == '/') {
			return f.canonical + rest
		}
	}
	switch path {
	case "":
		return "/"
	case "/oauth/authorize":
		return path
	}
	return "/unknown" + path // a canonical path is no path of HubSpot's
}

func (s *Server) routes(mux *http.ServeMux) {
	read, write := access{}, access{write: true}
	handle := func(pattern string, need access, h handler) { mux.HandleFunc(pattern, s.serve(need, h)) }

	handle("GET /objects/{type}", read, s.list)
	handle("POST /objects/{type}", write, s.create)
	handle("GET /objects/{type}/{id}", read, s.get)
	handle("PATCH /objects/{type}/{id}", write, s.update)
	handle("DELETE /objects/{type}/{id}", write, s.archive)
	handle("POST /objects/{type}/batch/create", write, s.batchCreate)
	handle("POST /objects/{type}/batch/read", read, s.batchRead)
	handle("POST /objects/{type}/batch/update", write, s.batchUpdate)
	handle("POST /objects/{type}/batch/upsert", write, s.batchUpsert)
	handle("POST /objects/{type}/batch/archive", write, s.batchArchive)
	handle("POST /objects/{type}/search", access{search: true}, s.search)
	handle("POST /objects/{type}/merge", write, s.merge)
	handle("POST /objects/{type}/gdpr-delete", write, s.gdprDelete)

	handle("GET /objects/{type}/{id}/associations/{to}", read, s.listAssociations)
	handle("PUT /objects/{type}/{id}/associations/{to}/{toID}", write, s.putAssociation)
	handle("DELETE /objects/{type}/{id}/associations/{to}/{toID}", write, s.deleteAssociation)
	handle("PUT /objects/{type}/{id}/associations/default/{to}/{toID}", write, s.putDefaultAssociation)
	handle("POST /associations/{type}/{to}/batch/create", write, s.batchAssociate)
	handle("POST /associations/{type}/{to}/batch/associate/default", write, s.batchAssociateDefault)
	handle("POST /associations/{type}/{to}/batch/archive", write, s.batchDissociate)
	handle("POST /associations/{type}/{to}/batch/read", read, s.batchReadAssociations)
	handle("GET /associations/{type}/{to}/labels", read, s.associationLabels)

	readSchema, writeSchema := access{schema: true}, access{schema: true, write: true}
	handle("GET /properties/{type}", readSchema, s.listProperties)
	handle("POST /properties/{type}", writeSchema, s.createProperty)
	handle("GET /properties/{type}/{name}", readSchema, s.getProperty)
	handle("PATCH /properties/{type}/{name}", writeSchema, s.updateProperty)
	handle("DELETE /properties/{type}/{name}", writeSchema, s.archiveProperty)
	handle("POST /properties/{type}/batch/create", writeSchema, s.batchCreateProperties)
	handle("POST /properties/{type}/batch/read", readSchema, s.batchReadProperties)
	handle("GET /properties/{type}/groups", readSchema, s.listGroups)
	handle("POST /properties/{type}/groups", writeSchema, s.createGroup)
	handle("GET /properties/{type}/groups/{name}", readSchema, s.getGroup)

	owners := access{scope: "crm.objects.owners.read"}
	handle("GET /owners", owners, s.listOwners)
	handle("GET /owners/{id}", owners, s.getOwner)
	handle("GET /dispositions", access{scope: "crm.objects.contacts.read"}, s.listDispositions)
	handle("GET /account", access{}, s.accountDetails)

	mux.HandleFunc("POST /oauth/token", s.token)
	mux.HandleFunc("GET /oauth/authorize", s.authorize)
	mux.HandleFunc("GET /{$}", s.index)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		send(w, http.StatusNotFound, notFound("resource not found"))
	})
}

// operation names a request for counters and faults: the object type, then
// what is done to it ("contacts batch create", "calls search", "contacts
// get"); "associations calls contacts batch create", "properties contacts
// create", "owners list", "oauth token".
func operation(method, path string) string {
	seg := strings.Split(strings.Trim(path, "/"), "/")
	switch seg[0] {
	case "objects":
		if len(seg) < 2 {
			break
		}
		typ, rest := plural(seg[1]), seg[2:]
		switch {
		case len(rest) == 0:
			return typ + " " + verb(method, true)
		case len(rest) >= 5 && rest[1] == "associations" && rest[2] == "default":
			return "associations " + typ + " " + plural(rest[3]) + " " + verb(method, false) + " default"
		case len(rest) >= 3 && rest[1] == "associations":
			return "associations " + typ + " " + plural(rest[2]) + " " + verb(method, len(rest) == 3)
		case rest[0] == "batch" || len(rest) == 1 && method == http.MethodPost:
			return typ + " " + strings.Join(rest, " ")
		}
		return typ + " " + verb(method, false)
	case "associations":
		if len(seg) < 4 {
			break
		}
		return "associations " + plural(seg[1]) + " " + plural(seg[2]) + " " + strings.Join(seg[3:], " ")
	case "properties":
		if len(seg) < 2 {
			break
		}
		typ, rest := "properties "+plural(seg[1]), seg[2:]
		switch {
		case len(rest) == 0:
			return typ + " " + verb(method, true)
		case rest[0] == "batch":
			return typ + " " + strings.Join(rest, " ")
		case rest[0] == "groups":
			return typ + " groups " + verb(method, len(rest) == 1)
		}
		return typ + " " + verb(method, false)
	case "owners", "dispositions":
		return seg[0] + " " + verb(method, len(seg) == 1)
	case "account":
		return "account read"
	case "oauth":
		return strings.Join(seg, " ")
	}
	return method + " " + path
}

func verb(method string, collection bool) string {
	switch method {
	case http.MethodGet:
		if collection {
			return "list"
		}
		return "get"
	case http.MethodPost:
		return "create"
	case http.MethodPatch:
		return "update"
	case http.MethodPut:
		return "put"
	case http.MethodDelete:
		return "archive"
	}
	return method
}

func (s *Server) index(w http.ResponseWriter, _ *http.Request) {
	send(w, http.StatusOK, map[string]any{
		"sandbox": "HubSpot",
		"paths": []string{
			"/crm/objects/2026-03/{type}", "/crm/properties/2026-03/{type}", "/crm/owners/2026-03",
			"/crm/associations/2026-03/{from}/{to}", "/crm/v3/objects/{type}", "/crm/v3/properties/{type}",
			"/crm/v3/owners", "/crm/v4/associations/{from}/{to}", "/calling/v1/dispositions",
			"/account-info/v3/details",
			"/oauth/authorize", "/oauth/v1/token",
		},
		"control": sandbox.ControlPrefix,
	})
}
