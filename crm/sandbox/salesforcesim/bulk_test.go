package salesforcesim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/callsync/callsync/crm/sandbox/salesforcesim"
)

// codes are the statusCodes of a collection's answer; "" is success.
func codes(a answer) []string {
	out := []string{}
	for i := range a.body.([]any) {
		code, _ := a.at(i, "errors", 0, "statusCode").(string)
		if (code == "") != (a.at(i, "success") == true) {
			code = "success and errors disagree"
		}
		out = append(out, code)
	}
	return out
}

func TestCollections(t *testing.T) {
	o := newOrg(t)
	mixed := append(records("Contact",
		map[string]any{"LastName": "A"}, map[string]any{"FirstName": "B"}, map[string]any{"LastName": "C"}),
		records("Lead", map[string]any{"LastName": "D", "Company": "E"})...)
	made := o.ok("POST", "composite/sobjects", map[string]any{"records": mixed})
	if got := codes(made); !slices.Equal(got, []string{"", "REQUIRED_FIELD_MISSING", "", ""}) || made.status != 200 {
		t.Fatalf("create: %d %s", made.status, made.raw)
	}
	if made.at(1, "id") != nil || made.at(1, "errors", 0, "fields", 0) != "LastName" {
		t.Errorf("the failed record: %v", made.at(1))
	}
	a, c := made.at(0, "id").(string), made.at(2, "id").(string)
	gone := o.contact("Gone")
	o.ok("DELETE", "sobjects/Contact/"+gone, nil)
	updates := records("Contact",
		map[string]any{"id": a, "Phone": "1"}, map[string]any{"Id": "003Ws0000000zzz", "Phone": "1"}, map[string]any{"Phone": "1"},
		map[string]any{"id": "jane", "Phone": "1"}, map[string]any{"id": made.at(3, "id"), "Phone": "1"}, map[string]any{"id": gone, "Phone": "1"},
		map[string]any{"id": c, "Phone": "1"}, map[string]any{"id": c[:15], "Phone": "2"})
	got := o.ok("PATCH", "composite/sobjects", map[string]any{"records": updates})
	if want := []string{"", "INVALID_CROSS_REFERENCE_KEY", "MISSING_ARGUMENT", "MALFORMED_ID", "MALFORMED_ID", "ENTITY_IS_DELETED", "DUPLICATE_VALUE", "DUPLICATE_VALUE"}; !slices.Equal(codes(got), want) {
		t.Errorf("update: %v; want %v", codes(got), want)
	}
	read := o.ok("POST", "composite/sobjects/Contact", map[string]any{"ids": []string{c, gone, a}, "fields": []string{"LastName", "Phone"}})
	if read.at(0, "LastName") != "C" || read.at(1) != nil || read.at(2, "Phone") != "1" || read.at(0, "Phone") != nil {
		t.Errorf("retrieve: %s", read.raw)
	}
	if read := o.ok("GET", "composite/sobjects/Contact?ids="+a+"&fields=LastName", nil); read.at(0, "LastName") != "A" {
		t.Errorf("retrieve by GET: %s", read.raw)
	}
	o.refused(400, "INVALID_FIELD", "POST", "composite/sobjects/Contact", map[string]any{"ids": []string{a}, "fields": []string{"Nope"}})
	del := o.ok("DELETE", "composite/sobjects?ids="+a+","+gone+",003Ws0000000zzz,jane", nil)
	if want := []string{"", "ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY", "MALFORMED_ID"}; !slices.Equal(codes(del), want) {
		t.Errorf("delete: %v; want %v", codes(del), want)
	}
}

func TestCollectionsAllOrNone(t *testing.T) {
	o := newOrg(t)
	kept := o.create("Contact", map[string]any{"LastName": "Kept", "Email": "kept@example.com"})
	got := o.ok("POST", "composite/sobjects", map[string]any{"allOrNone": true, "records": records("Contact",
		map[string]any{"LastName": "A", "Email": "a@example.com"}, map[string]any{"FirstName": "B"})})
	if want := []string{"ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUIRED_FIELD_MISSING"}; !slices.Equal(codes(got), want) {
		t.Errorf("create: %v; want %v", codes(got), want)
	}
	if left := o.soql("SELECT Id FROM Contact WHERE Email IN ('a@example.com', 'kept@example.com')", "Id"); !slices.Equal(left, []string{kept}) {
		t.Errorf("after the rollback: %v", left)
	}
	o.ok("PATCH", "composite/sobjects", map[string]any{"allOrNone": true, "records": records("Contact",
		map[string]any{"id": kept, "Email": "new@example.com"}, map[string]any{"id": "003Ws0000000zzz"})})
	if left := o.soql("SELECT Email FROM Contact WHERE Email = 'kept@example.com'", "Email"); len(left) != 1 {
		t.Errorf("after the rolled back update the index finds %v", left)
	}
	o.ok("DELETE", "composite/sobjects?allOrNone=true&ids="+kept+",jane", nil)
	if o.get("Contact", kept)["IsDeleted"] != false {
		t.Error("the delete was not rolled back")
	}
}

func TestCollectionLimits(t *testing.T) {
	o := newOrg(t)
	many := func(n int, object string) []map[string]any {
		list := make([]map[string]any, n)
		for i := range list {
			list[i] = map[string]any{"LastName": "A", "Company": "B"}
			if object == "Contact" {
				delete(list[i], "Company")
			}
		}
		return records(object, list...)
	}
	var chunky []map[string]any
	for i := range 11 {
		chunky = append(chunky, many(1, []string{"Contact", "Lead"}[i%2])...)
	}
	o.refused(400, "EXCEEDED_ID_LIMIT", "POST", "composite/sobjects", map[string]any{"records": many(201, "Contact")})
	o.refused(400, "LIMIT_EXCEEDED", "POST", "composite/sobjects", map[string]any{"records": chunky})
	if got := codes(o.ok("POST", "composite/sobjects", map[string]any{"records": chunky[:10]})); len(got) != 10 || slices.Max(got) != "" {
		t.Errorf("ten chunks: %v", got)
	}
	o.refused(400, "REQUIRED_FIELD_MISSING", "POST", "composite/sobjects", map[string]any{"records": []any{}})
	o.refused(400, "INVALID_TYPE", "POST", "composite/sobjects", map[string]any{"records": []any{map[string]any{"LastName": "A"}}})
	o.refused(400, "MIXED_DML_OPERATION", "POST", "composite/sobjects", map[string]any{
		"records": append(many(1, "Contact"), records("PermissionSet", map[string]any{"Name": "a", "Label": "a"})...)})
	bad := append(many(1, "Contact"), records("Contact", map[string]any{"LastName": "A", "Nope": 1})...)
	before := len(o.sim.Records("Contact"))
	o.refused(400, "INVALID_FIELD", "POST", "composite/sobjects", map[string]any{"records": bad})
	if n := len(o.sim.Records("Contact")); n != before {
		t.Errorf("a refused request wrote %d records", n-before)
	}
	o.sim.Configure(func(s *salesforcesim.Settings) { s.UnknownFieldFailsRequest = false })
	if got := codes(o.ok("POST", "composite/sobjects", map[string]any{"records": bad})); !slices.Equal(got, []string{"", "INVALID_FIELD"}) {
		t.Errorf("per record: %v", got)
	}
	o.refused(400, "JSON_PARSER_ERROR", "POST", "composite/sobjects", map[string]any{"records": records("Contact", map[string]any{"LastName": 1})})
}

func TestUpsert(t *testing.T) {
	o := newOrg(t)
	o.customField("Contact.key__c", keyField("Key"))
	o.customField("Contact.loose__c", map[string]any{"label": "Loose", "type": "Text", "length": 20, "externalId": true})
	made := o.ok("PATCH", "sobjects/Contact/key__c/tel%3A%2F1", map[string]any{"LastName": "A"})
	if made.status != 201 || made.at("created") != true {
		t.Fatalf("upsert: %d %s", made.status, made.raw)
	}
	id := made.at("id").(string)
	if o.get("Contact", id)["key__c"] != "tel:/1" {
		t.Errorf("the key is %v", o.get("Contact", id)["key__c"])
	}
	if again := o.ok("PATCH", "sobjects/Contact/KEY__C/TEL%3A%2F1", map[string]any{"LastName": "B"}); again.status != 200 || again.at("id") != id || again.at("created") != false {
		t.Errorf("upsert again: %d %s", again.status, again.raw)
	}
	if got := o.ok("GET", "sobjects/Contact/key__c/tel%3A%2F1", nil); got.at("LastName") != "B" {
		t.Errorf("read by key: %s", got.raw)
	}
	o.refused(404, "NOT_FOUND", "PATCH", "sobjects/Contact/Email/a@example.com", map[string]any{"LastName": "B"})
	o.refused(400, "INVALID_FIELD", "PATCH", "sobjects/Contact/key__c/2", map[string]any{"LastName": "B", "key__c": "2"})
	o.refused(400, "REQUIRED_FIELD_MISSING", "PATCH", "sobjects/Contact/key__c/2", map[string]any{"Phone": "1"})
	dup := o.refused(400, "DUPLICATE_VALUE", "POST", "sobjects/Contact", map[string]any{"LastName": "C", "key__c": "TEL:/1"})
	if want := "duplicate value found: key__c duplicates value on record with id: " + id[:15]; dup.at(0, "message") != want {
		t.Errorf("message is %q; want %q", dup.at(0, "message"), want)
	}
	o.ok("PATCH", "sobjects/Contact/"+id, map[string]any{"key__c": "tel:/1"})
	one := o.create("Contact", map[string]any{"LastName": "X", "loose__c": "same"})
	two := o.create("Contact", map[string]any{"LastName": "Y", "loose__c": "same"})
	several := o.do("PATCH", "sobjects/Contact/loose__c/same", map[string]any{"Phone": "1"})
	if several.status != 300 || several.at(0) != "/services/data/v66.0/sobjects/Contact/"+one || several.at(1) != "/services/data/v66.0/sobjects/Contact/"+two {
		t.Errorf("several: %d %s", several.status, several.raw)
	}
	got := o.ok("PATCH", "composite/sobjects/Contact/key__c", map[string]any{"records": records("Contact",
		map[string]any{"key__c": "tel:/1", "Phone": "7"}, map[string]any{"key__c": "n1", "LastName": "N"},
		map[string]any{"key__c": "d", "LastName": "D"}, map[string]any{"key__c": "D", "LastName": "D"}, map[string]any{"LastName": "D"})})
	if want := []string{"", "", "DUPLICATE_VALUE", "DUPLICATE_VALUE", "MISSING_ARGUMENT"}; !slices.Equal(codes(got), want) {
		t.Errorf("collection: %v; want %v", codes(got), want)
	}
	if got.at(0, "created") != false || got.at(1, "created") != true || got.at(0, "id") != id {
		t.Errorf("collection: %s", got.raw)
	}
	creates := o.ok("POST", "composite/sobjects", map[string]any{"records": records("Contact",
		map[string]any{"key__c": "twin", "LastName": "A"}, map[string]any{"key__c": "Twin", "LastName": "B"}, map[string]any{"key__c": "single", "LastName": "C"})})
	if want := []string{"DUPLICATE_VALUE", "DUPLICATE_VALUE", ""}; !slices.Equal(codes(creates), want) {
		t.Errorf("twins: %v; want %v", codes(creates), want)
	}
	o.ok("DELETE", "sobjects/Contact/key__c/tel%3A%2F1", nil)
	if made := o.ok("PATCH", "sobjects/Contact/key__c/tel%3A%2F1", map[string]any{"LastName": "A"}); made.status != 201 {
		t.Errorf("a deleted record holds its key: %d %s", made.status, made.raw)
	}
}

type m = map[string]any

func node(method, url, ref string, body m) m {
	n := m{"method": method, "url": "/services/data/v66.0/" + url, "referenceId": ref}
	if body != nil {
		n["body"] = body
	}
	return n
}

func graphOf(id string, nodes ...m) m { return m{"graphId": id, "compositeRequest": nodes} }

func (o *org) graphs(list ...m) answer {
	o.t.Helper()
	return o.ok("POST", "composite/graph", m{"graphs": list})
}

func nodeOf(a answer, graph, i int) any {
	return a.at("graphs", graph, "graphResponse", "compositeResponse", i)
}

func TestGraph(t *testing.T) {
	o := newOrg(t)
	got := o.graphs(
		graphOf("1", node("POST", "sobjects/Contact", "who", m{"LastName": "A"}),
			node("POST", "sobjects/Task", "call", m{"Subject": "Call", "WhoId": "@{who.id}", "Description": "of @{who.id}"}),
			node("PATCH", "sobjects/Task/@{call.id}", "done", m{"Status": "Completed"}),
			node("GET", "sobjects/Contact/@{who.id}", "read", nil)),
		graphOf("2", node("POST", "sobjects/Contact", "who", m{"LastName": "B"}),
			node("POST", "sobjects/Task", "call", m{"WhoId": "@{who.id}", "CallType": "Up"}),
			node("POST", "sobjects/Task", "more", m{"WhoId": "@{who.id}"})),
	)
	if got.at("graphs", 0, "isSuccessful") != true || got.at("graphs", 1, "isSuccessful") != false {
		t.Fatalf("%s", got.raw)
	}
	first := nodeOf(got, 0, 0)
	who := at(first, "body", "id").(string)
	if at(first, "httpStatusCode") != 201.0 || at(first, "referenceId") != "who" || at(first, "httpHeaders", "Location") != "/services/data/v66.0/sobjects/Contact/"+who {
		t.Errorf("node: %v", first)
	}
	task := o.get("Task", at(nodeOf(got, 0, 1), "body", "id").(string))
	if task["WhoId"] != who || task["Description"] != "of "+who || task["IsClosed"] != true {
		t.Errorf("task: %v", task)
	}
	if at(nodeOf(got, 0, 3), "body", "LastName") != "A" {
		t.Errorf("read: %v", nodeOf(got, 0, 3))
	}
	for i, want := range []string{"PROCESSING_HALTED", "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "PROCESSING_HALTED"} {
		if n := nodeOf(got, 1, i); at(n, "body", 0, "errorCode") != want || at(n, "httpStatusCode") != 400.0 {
			t.Errorf("node %d: %v; want %s", i, n, want)
		}
	}
	if left := o.soql("SELECT LastName FROM Contact", "LastName"); !slices.Equal(left, []string{"A"}) {
		t.Errorf("the failed graph left %v", left)
	}
	typed := o.graphs(graphOf("1", node("POST", "sobjects/Task", "one", m{"CallDurationInSeconds": 61}),
		node("GET", "sobjects/Task/@{one.id}", "read", nil),
		node("POST", "sobjects/Task", "two", m{"CallDurationInSeconds": "@{read.CallDurationInSeconds}"})))
	if typed.at("graphs", 0, "isSuccessful") != true {
		t.Errorf("a number by reference: %s", typed.raw)
	}
	odd := o.graphs(graphOf("1", node("POST", "sobjects/Task", "one", m{"CallDurationInSeconds": 61}),
		node("GET", "sobjects/Task/@{one.id}", "read", nil),
		m{"method": "GET", "url": "@{read.CallDurationInSeconds}", "referenceId": "odd"}))
	if at(nodeOf(odd, 0, 2), "body", 0, "errorCode") != "NOT_FOUND" {
		t.Errorf("a number as URL: %s", odd.raw)
	}
	unknown := o.graphs(graphOf("1", node("POST", "sobjects/Task", "call", m{"WhoId": "@{nobody.id}"})))
	if at(nodeOf(unknown, 0, 0), "body", 0, "errorCode") != "PROCESSING_HALTED" {
		t.Errorf("an unknown reference: %s", unknown.raw)
	}
}

func TestGraphHaltsAfterFailures(t *testing.T) {
	o := newOrg(t)
	var list []m
	for i := range 20 {
		body := m{"LastName": "Good"}
		if i < 14 {
			body = m{"FirstName": "Bad"}
		}
		list = append(list, graphOf(fmt.Sprintf("g%d", i), node("POST", "sobjects/Contact", "who", body)))
	}
	got := o.graphs(list...)
	if c := at(nodeOf(got, 13, 0), "body", 0, "errorCode"); c != "REQUIRED_FIELD_MISSING" {
		t.Errorf("graph 13: %v", c)
	}
	for i := 14; i < 20; i++ {
		if c := at(nodeOf(got, i, 0), "body", 0, "errorCode"); c != "PROCESSING_HALTED" || got.at("graphs", i, "isSuccessful") != false {
			t.Errorf("graph %d: %v", i, c)
		}
	}
	got = o.graphs(list[1:]...)
	if got.at("graphs", 18, "isSuccessful") != true {
		t.Errorf("after 13 failures: %s", got.raw)
	}
}

func TestGraphLimits(t *testing.T) {
	o := newOrg(t)
	contact := func(ref string) m { return node("POST", "sobjects/Contact", ref, m{"LastName": "A"}) }
	chain := func(n int) []m {
		nodes := []m{contact("r0")}
		for i := 1; i < n; i++ {
			nodes = append(nodes, node("POST", "sobjects/Contact", fmt.Sprintf("r%d", i), m{"LastName": "A", "ReportsToId": fmt.Sprintf("@{r%d.id}", i-1)}))
		}
		return nodes
	}
	many := func(n int) []m {
		var nodes []m
		for i := range n {
			nodes = append(nodes, contact(fmt.Sprintf("r%d", i)))
		}
		return nodes
	}
	kinds := func(n int) []m {
		var nodes []m
		for i := range n {
			nodes = append(nodes, m{"method": "POST", "url": fmt.Sprintf("/services/data/v%d.0/sobjects/Contact", 66-i), "referenceId": fmt.Sprintf("r%d", i), "body": m{"LastName": "A"}})
		}
		return nodes
	}
	var graphs []m
	for i := range 76 {
		graphs = append(graphs, graphOf(fmt.Sprintf("g%d", i), contact("r")))
	}
	for name, tc := range map[string]struct {
		code string // "" is success
		list []m
	}{
		"75 graphs":        {"", graphs[:75]},
		"76 graphs":        {"LIMIT_EXCEEDED", graphs},
		"500 nodes":        {"", []m{graphOf("1", many(250)...), graphOf("2", many(250)...)}},
		"501 nodes":        {"LIMIT_EXCEEDED", []m{graphOf("1", many(250)...), graphOf("2", many(251)...)}},
		"depth 15":         {"", []m{graphOf("1", chain(15)...)}},
		"depth 16":         {"LIMIT_EXCEEDED", []m{graphOf("1", chain(16)...)}},
		"15 kinds":         {"", []m{graphOf("1", kinds(15)...)}},
		"16 kinds":         {"LIMIT_EXCEEDED", []m{graphOf("1", kinds(16)...)}},
		"same graphId":     {"INVALID_INPUT", []m{graphs[0], graphs[0]}},
		"graphId":          {"INVALID_INPUT", []m{graphOf("a.b", contact("r"))}},
		"long graphId":     {"INVALID_INPUT", []m{graphOf(strings.Repeat("a", 41), contact("r"))}},
		"same referenceId": {"INVALID_INPUT", []m{graphOf("1", contact("r"), contact("r"))}},
		"referenceId":      {"INVALID_INPUT", []m{graphOf("1", contact("r-1"))}},
		"no nodes":         {"INVALID_INPUT", []m{graphOf("1")}},
		"no graphs":        {"INVALID_INPUT", nil},
	} {
		t.Run(name, func(t *testing.T) {
			o.t = t
			if tc.code == "" {
				got := o.graphs(tc.list...)
				for i := range tc.list {
					if got.at("graphs", i, "isSuccessful") != true {
						t.Fatalf("graph %d: %.300s", i, got.raw)
					}
				}
				return
			}
			o.refused(400, tc.code, "POST", "composite/graph", m{"graphs": tc.list})
		})
	}
}

func TestComposite(t *testing.T) {
	o := newOrg(t)
	list := []m{
		node("POST", "sobjects/Contact", "who", m{"LastName": "A"}),
		node("POST", "sobjects/Contact", "bad", m{"FirstName": "B"}),
		node("POST", "sobjects/Task", "call", m{"WhoId": "@{who.id}"}),
	}
	got := o.ok("POST", "composite", m{"compositeRequest": list})
	if got.at("compositeResponse", 1, "body", 0, "errorCode") != "REQUIRED_FIELD_MISSING" || got.at("compositeResponse", 2, "httpStatusCode") != 201.0 {
		t.Errorf("%s", got.raw)
	}
	o.ok("POST", "composite", m{"allOrNone": true, "compositeRequest": list})
	if n := len(o.soql("SELECT Id FROM Contact", "Id")); n != 1 {
		t.Errorf("%d contacts; want 1", n)
	}
}
