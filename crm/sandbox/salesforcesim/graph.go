package salesforcesim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// Limits of composite requests, from the REST API Developer Guide.
const (
	maxGraphs        = 75
	maxNodes         = 500
	maxDepth         = 15
	maxNodeKinds     = 15
	maxGraphFailures = 14
	maxSubrequests   = 25
)

// A node is one subrequest of a composite request or graph.
type node struct {
	Method      string         `json:"method"`
	URL         string         `json:"url"`
	ReferenceID string         `json:"referenceId"`
	Body        map[string]any `json:"body"`
}

type graphIn struct {
	GraphID          string `json:"graphId"`
	CompositeRequest []node `json:"compositeRequest"`
}

var (
	validReference = regexp.MustCompile(`^[A-Za-z0-9_]{1,40}$`)
	validGraphID   = regexp.MustCompile(`^[A-Za-z0-9][^.]{0,39}$`)
	refPattern     = regexp.MustCompile(`@\{([^{}]*)\}`)
	nodePath       = regexp.MustCompile(`^/services/data/(v\d+\.0)/sobjects/([^?]+)(?:\?(.*))?$`)
)

func (s *Server) graph(w http.ResponseWriter, r *http.Request, c *call, _ []string) {
	var in struct {
		Graphs []graphIn `json:"graphs"`
	}
	e := decodeJSON(r.Body, &in)
	if e == nil {
		e = checkGraphs(in.Graphs)
	}
	if e != nil {
		refuse(w, e)
		return
	}
	out := make([]any, len(in.Graphs))
	s.writing(r, c, func() {
		failures := 0
		for i, g := range in.Graphs {
			var results []reply
			ok := false
			if failures < maxGraphFailures {
				results, ok = c.runGraph(g.CompositeRequest)
			} else {
				results = halted(g.CompositeRequest, nil)
			}
			if !ok {
				failures++
			}
			out[i] = map[string]any{
				"graphId":       g.GraphID,
				"graphResponse": map[string]any{"compositeResponse": renderNodes(g.CompositeRequest, results)},
				"isSuccessful":  ok,
			}
		}
	})
	answer(w, http.StatusOK, map[string]any{"graphs": out})
}

// checkGraphs holds a payload against the limits, before anything runs.
func checkGraphs(graphs []graphIn) *apiError {
	invalid := func(format string, args ...any) *apiError {
		return fail(http.StatusBadRequest, "INVALID_INPUT", format, args...)
	}
	if len(graphs) == 0 {
		return invalid("graphs is a required property")
	}
	if len(graphs) > maxGraphs {
		return fail(http.StatusBadRequest, "LIMIT_EXCEEDED", "a payload can have %d graphs; this one has %d", maxGraphs, len(graphs))
	}
	nodes, kinds, seen := 0, map[string]bool{}, map[string]bool{}
	for _, g := range graphs {
		if !validGraphID.MatchString(g.GraphID) || seen[g.GraphID] {
			return invalid("graphId %q is malformed or not unique", g.GraphID)
		}
		seen[g.GraphID] = true
		if len(g.CompositeRequest) == 0 {
			return invalid("graph %s has no compositeRequest", g.GraphID)
		}
		if e := checkNodes(g.CompositeRequest); e != nil {
			return e
		}
		if d := depth(g.CompositeRequest); d > maxDepth {
			return fail(http.StatusBadRequest, "LIMIT_EXCEEDED", "graph %s has depth %d; the maximum is %d", g.GraphID, d, maxDepth)
		}
		nodes += len(g.CompositeRequest)
		for _, n := range g.CompositeRequest {
			if m := nodePath.FindStringSubmatch(n.URL); m != nil {
				name, _, _ := strings.Cut(m[2], "/")
				kinds[n.Method+" "+m[1]+" "+strings.ToLower(name)] = true
			}
		}
	}
	if nodes > maxNodes {
		return fail(http.StatusBadRequest, "LIMIT_EXCEEDED", "a payload can have %d nodes; this one has %d", maxNodes, nodes)
	}
	if len(kinds) > maxNodeKinds {
		return fail(http.StatusBadRequest, "LIMIT_EXCEEDED", "a payload can have %d different nodes; this one has %d", maxNodeKinds, len(kinds))
	}
	return nil
}

// checkNodes wants unique, well-formed reference ids.
func checkNodes(nodes []node) *apiError {
	seen := map[string]bool{}
	for _, n := range nodes {
		if !validReference.MatchString(n.ReferenceID) {
			return fail(http.StatusBadRequest, "INVALID_INPUT",
				"Provided referenceId ('%s') must start with a letter or a number, and it can contain only letters, numbers and underscores ('_').", n.ReferenceID)
		}
		if seen[n.ReferenceID] {
			return fail(http.StatusBadRequest, "INVALID_INPUT",
				"Duplicate referenceId provided: '%s'. Provide unique referenceIds.", n.ReferenceID)
		}
		seen[n.ReferenceID] = true
	}
	return nil
}

// depth is the longest chain of references. A reference can only point back,
// so one pass is enough.
func depth(nodes []node) int {
	at, deepest := map[string]int{}, 0
	for _, n := range nodes {
		d := 1
		for _, ref := range referencesOf(n) {
			d = max(d, at[ref]+1)
		}
		at[n.ReferenceID] = d
		deepest = max(deepest, d)
	}
	return deepest
}

func referencesOf(n node) []string {
	var refs []string
	collect := func(s string) {
		for _, m := range refPattern.FindAllStringSubmatch(s, -1) {
			name, _, _ := strings.Cut(m[1], ".")
			name, _, _ = strings.Cut(name, "[")
			refs = append(refs, name)
		}
	}
	collect(n.URL)
	for _, v := range n.Body {
		if s, ok := v.(string); ok {
			collect(s)
		}
	}
	return refs
}

// runGraph carries out all nodes of a graph or none.
func (c *call) runGraph(nodes []node) ([]reply, bool) {
	c.tx = new(tx)
	results := make([]reply, 0, len(nodes))
	done := map[string]any{}
	for i, n := range nodes {
		p := c.runNode(n, done)
		if p.status >= 300 {
			c.tx.rollback()
			return halted(nodes, map[int]reply{i: p}), false
		}
		results = append(results, p)
		done[n.ReferenceID] = p.body
	}
	return results, true
}

// halted is the answer of nodes that were not carried out, or taken back.
func halted(nodes []node, except map[int]reply) []reply {
	results := make([]reply, len(nodes))
	for i := range nodes {
		p, ok := except[i]
		if !ok {
			p = refusal(fail(http.StatusBadRequest, "PROCESSING_HALTED",
				"The transaction was rolled back since another operation in the same transaction failed."))
		}
		results[i] = p
	}
	return results
}

// runNode resolves a node's references and carries it out.
func (c *call) runNode(n node, done map[string]any) reply {
	target, _, e := resolve(n.URL, done)
	if e != nil {
		return refusal(e)
	}
	body := make(map[string]any, len(n.Body))
	for k, v := range n.Body {
		body[k] = v
		if s, ok := v.(string); ok {
			if _, body[k], e = resolve(s, done); e != nil {
				return refusal(e)
			}
		}
	}
	m := nodePath.FindStringSubmatch(target)
	if m == nil {
		return refusal(errNotFound)
	}
	query, err := url.ParseQuery(m[3])
	if err != nil {
		return refusal(errNotFound)
	}
	method := strings.ToUpper(n.Method)
	if (method == http.MethodPost || method == http.MethodPatch) && n.Body == nil {
		return refusal(bad("INVALID_INPUT", "the subrequest needs a body"))
	}
	return c.row(method, pathParts(m[2]), query, body)
}

// resolve puts the results of earlier nodes into s, as text and as a value:
// text that is one reference and nothing else takes the result's type.
func resolve(s string, done map[string]any) (text string, value any, e *apiError) {
	var whole any
	text = refPattern.ReplaceAllStringFunc(s, func(ref string) string {
		name, fieldName, _ := strings.Cut(ref[2:len(ref)-1], ".")
		body, ok := done[name]
		if !ok {
			e = bad("PROCESSING_HALTED", fmt.Sprintf("Invalid reference specified. No value for %s found in %s", fieldName, name))
			return ""
		}
		whole = lookIn(body, fieldName)
		if whole == nil {
			e = bad("PROCESSING_HALTED", fmt.Sprintf("Invalid reference specified. No value for %s found in %s. Fields are case-sensitive.", fieldName, name))
		}
		return toText(whole)
	})
	if e != nil || whole == nil || refPattern.FindString(s) != s {
		return text, text, e
	}
	if n, ok := whole.(float64); ok {
		whole = json.Number(toText(n)) // as the rest of the body has numbers
	}
	return text, whole, nil
}

func lookIn(body any, name string) any {
	m, _ := body.(map[string]any)
	return m[name]
}

func renderNodes(nodes []node, results []reply) []any {
	out := make([]any, len(results))
	for i, p := range results {
		headers := map[string]string{}
		if p.location != "" {
			headers["Location"] = p.location
		}
		out[i] = map[string]any{
			"body": p.body, "httpHeaders": headers, "httpStatusCode": p.status, "referenceId": nodes[i].ReferenceID,
		}
	}
	return out
}

// composite serves the plain composite resource: sObject rows and queries.
func (s *Server) composite(w http.ResponseWriter, r *http.Request, c *call, _ []string) {
	var in struct {
		AllOrNone        bool   `json:"allOrNone"`
		CompositeRequest []node `json:"compositeRequest"`
	}
	e := decodeJSON(r.Body, &in)
	if e == nil && (len(in.CompositeRequest) == 0 || len(in.CompositeRequest) > maxSubrequests) {
		e = bad("LIMIT_EXCEEDED", "compositeRequest has 1 to 25 subrequests")
	}
	if e == nil {
		e = checkNodes(in.CompositeRequest)
	}
	if e != nil {
		refuse(w, e)
		return
	}
	var results []reply
	s.writing(r, c, func() {
		if in.AllOrNone {
			results, _ = c.runGraph(in.CompositeRequest)
			return
		}
		done := map[string]any{}
		for _, n := range in.CompositeRequest {
			c.tx = new(tx)
			p := c.runNode(n, done)
			if p.status < 300 {
				done[n.ReferenceID] = p.body
			}
			results = append(results, p)
		}
	})
	answer(w, http.StatusOK, map[string]any{"compositeResponse": renderNodes(in.CompositeRequest, results)})
}
