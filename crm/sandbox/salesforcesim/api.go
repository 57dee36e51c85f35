package salesforcesim

import (
	"encoding/json"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/callsync/callsync/crm/sandbox"
)

// oldest and newest are the API versions served.
const (
	oldest = 46
	newest = 66
)

// maxURI is how long a request's path and query may be, in bytes.
const maxURI = 16_000

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /services/oauth2/token", s.token)
	mux.HandleFunc("/services/oauth2/revoke", s.revoke)
	mux.HandleFunc("GET /services/oauth2/authorize", s.authorize)
	mux.HandleFunc("GET /services/oauth2/userinfo", s.identity)
	mux.HandleFunc("GET /id/{org}/{user}", s.identity)
	mux.HandleFunc("GET /services/data", s.versions)
	mux.HandleFunc("GET /services/data/{$}", s.versions)
	mux.HandleFunc("/services/data/{version}/{rest...}", s.data)
	mux.Handle(sandbox.ControlPrefix, s.control())
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { refuse(w, errNotFound) })
	return mux
}

// A handler answers one API request below the version. parts are the path's
// elements after it, unescaped.
type handler func(s *Server, w http.ResponseWriter, r *http.Request, c *call, parts []string)

// A route is a resource of the REST API. In pattern, "*" stands for one
// element. name is what faults and counters know it by; "%" in it is the
// first "*".
type route struct {
	method, pattern, name string
	serve                 handler
}

var apiRoutes []route

func init() {
	apiRoutes = []route{
		{"GET", "limits", "limits", (*Server).limits},
		{"GET", "query", "query", (*Server).query},
		{"GET", "query/*", "query more", (*Server).queryMore},
		{"GET", "queryAll", "query all", (*Server).query},
		{"GET", "queryAll/*", "query more", (*Server).queryMore},
		{"GET", "search", "search", (*Server).soslSearch},
		{"GET", "parameterizedSearch", "search", (*Server).parameterizedSearch},
		{"POST", "parameterizedSearch", "search", (*Server).parameterizedSearch},
		{"GET", "sobjects", "describe global", (*Server).describeGlobal},
		{"GET", "sobjects/*", "% basic information", (*Server).basicInformation},
		{"GET", "sobjects/*/describe", "% describe", (*Server).describe},
		{"POST", "sobjects/*", "% create", (*Server).rowResource},
		{"GET", "sobjects/*/*", "% read", (*Server).rowResource},
		{"PATCH", "sobjects/*/*", "% update", (*Server).rowResource},
		{"DELETE", "sobjects/*/*", "% delete", (*Server).rowResource},
		{"GET", "sobjects/*/*/*", "% read", (*Server).rowResource},
		{"PATCH", "sobjects/*/*/*", "% upsert", (*Server).rowResource},
		{"DELETE", "sobjects/*/*/*", "% delete", (*Server).rowResource},
		{"POST", "composite", "composite", (*Server).composite},
		{"POST", "composite/graph", "composite graph", (*Server).graph},
		{"POST", "composite/sobjects", "collections create", (*Server).collectionCreate},
		{"PATCH", "composite/sobjects", "collections update", (*Server).collectionUpdate},
		{"DELETE", "composite/sobjects", "collections delete", (*Server).collectionDelete},
		{"GET", "composite/sobjects/*", "collections retrieve", (*Server).collectionRetrieve},
		{"POST", "composite/sobjects/*", "collections retrieve", (*Server).collectionRetrieve},
		{"PATCH", "composite/sobjects/*/*", "collections upsert", (*Server).collectionUpsert},
		{"GET", "tooling/query", "tooling query", (*Server).query},
		{"POST", "tooling/sobjects/CustomField", "tooling create", (*Server).createCustomField},
		{"GET", "tooling/sobjects/CustomField/*", "tooling read", (*Server).readCustomField},
		{"PATCH", "tooling/sobjects/CustomField/*", "tooling update", (*Server).updateCustomField},
		{"DELETE", "tooling/sobjects/CustomField/*", "tooling delete", (*Server).deleteCustomField},
	}
}

func (rt route) match(parts []string) bool {
	want := strings.Split(rt.pattern, "/")
	if len(want) != len(parts) {
		return false
	}
	for i, w := range want {
		if w != "*" && w != parts[i] {
			return false
		}
	}
	return true
}

// find returns the route of a request, and whether its path exists at all.
func find(method string, parts []string) (rt route, known bool) {
	for _, rt := range apiRoutes {
		if !rt.match(parts) {
			continue
		}
		if known = true; rt.method == method {
			return rt, true
		}
	}
	return route{}, known
}

var dataPath = regexp.MustCompile(`^/services/data/v(\d+)\.0/(.*)$`)

// operation names a request for faults and counters: "query",
// "collections create", "Contact describe", "token".
func operation(r *http.Request) string {
	m := dataPath.FindStringSubmatch(r.URL.Path)
	if m == nil {
		return strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/services/"), "oauth2/")
	}
	parts := strings.Split(strings.Trim(m[2], "/"), "/")
	rt, _ := find(r.Method, parts)
	if rt.name == "" {
		return r.Method + " " + strings.Join(parts, "/")
	}
	if len(parts) > 1 {
		return strings.Replace(rt.name, "%", parts[1], 1)
	}
	return rt.name
}

func (s *Server) versions(w http.ResponseWriter, _ *http.Request) {
	var list []any
	for v := oldest; v <= newest; v++ {
		n := strconv.Itoa(v) + ".0"
		list = append(list, map[string]string{"label": "Release " + n, "url": "/services/data/v" + n, "version": n})
	}
	answer(w, http.StatusOK, list)
}

// data serves everything that needs a session: it checks the version, the
// session and the daily limit, then hands over to the resource.
func (s *Server) data(w http.ResponseWriter, r *http.Request) {
	version, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(r.PathValue("version"), "v"), ".0"))
	if err != nil || r.PathValue("version") != "v"+strconv.Itoa(version)+".0" || version < oldest || version > newest {
		refuse(w, errNotFound)
		return
	}
	if len(r.RequestURI) > maxURI {
		http.Error(w, "URI Too Long", http.StatusRequestURITooLong)
		return
	}
	if e := s.authenticate(r); e != nil {
		refuse(w, e)
		return
	}
	if e := s.spend(w); e != nil {
		refuse(w, e)
		return
	}
	if e := checkMediaType(r); e != nil {
		refuse(w, e)
		return
	}
	c := &call{
		g: s.org, tx: new(tx),
		base:            "/services/data/" + r.PathValue("version"),
		allowDuplicates: allowsDuplicates(r.Header),
	}
	if strings.Trim(r.PathValue("rest"), "/") == "" {
		s.resources(w, c)
		return
	}
	parts := pathParts(r.URL.EscapedPath())[3:]
	rt, known := find(r.Method, parts)
	switch {
	case !known:
		refuse(w, errNotFound)
	case rt.serve == nil:
		refuse(w, fail(http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED",
			"HTTP Method '%s' not allowed. Allowed are %s", r.Method, allowed(parts)))
	default:
		rt.serve(s, w, r, c, parts)
	}
}

// checkMediaType refuses a body that does not say it is JSON.
func checkMediaType(r *http.Request) *apiError {
	if r.Method != http.MethodPost && r.Method != http.MethodPatch {
		return nil
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return fail(http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE", "Content-Type header is missing or not supported; use application/json")
	}
	return nil
}

func (s *Server) resources(w http.ResponseWriter, c *call) {
	list := map[string]string{}
	for _, name := range []string{"limits", "query", "queryAll", "search", "parameterizedSearch", "sobjects", "composite", "tooling"} {
		list[name] = c.base + "/" + name
	}
	answer(w, http.StatusOK, list)
}

func allowed(parts []string) string {
	var methods []string
	for _, rt := range apiRoutes {
		if rt.match(parts) {
			methods = append(methods, rt.method)
		}
	}
	return strings.Join(methods, ", ")
}

// allowsDuplicates reads Sforce-Duplicate-Rule-Header.
func allowsDuplicates(h http.Header) bool {
	for _, part := range strings.Split(h.Get("Sforce-Duplicate-Rule-Header"), ",") {
		name, value, _ := strings.Cut(part, "=")
		if strings.EqualFold(strings.TrimSpace(name), "allowSave") {
			return strings.EqualFold(strings.TrimSpace(value), "true")
		}
	}
	return false
}

func answer(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`[{"errorCode":"UNKNOWN_EXCEPTION","message":"the answer could not be encoded"}]`)
	}
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that left needs no answer
}

func refuse(w http.ResponseWriter, e *apiError) { answer(w, statusOf(e), e.body()) }
