package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/crm/sandbox/hubspotsim"
)

// cmdEdit changes a property of a record by hand: as a person in HubSpot would,
// without callsync.
func cmdEdit(ts *testscript.TestScript, _ bool, args []string) {
	path, property, value := findByKey(ts, args[0], args[1]), args[2], args[3]
	body, err := json.Marshal(map[string]any{"properties": map[string]string{property: value}})
	ts.Check(err)
	askHubSpot(ts, http.MethodPatch, path, body, nil)
}

// cmdValue prints a property of a record as HubSpot has it.
func cmdValue(ts *testscript.TestScript, _ bool, args []string) {
	path, property := findByKey(ts, args[0], args[1]), args[2]
	var record struct {
		Properties map[string]string `json:"properties"`
	}
	askHubSpot(ts, http.MethodGet, path+"?properties="+property, nil, &record)
	fmt.Fprintln(ts.Stdout(), record.Properties[property])
}

// findByKey is the path of the record with one of callsync's keys.
func findByKey(ts *testscript.TestScript, object, key string) string {
	query, err := json.Marshal(map[string]any{
		"filterGroups": []any{map[string]any{"filters": []any{map[string]string{"propertyName": crm.KeyProperty, "operator": "EQ", "value": key}}}},
	})
	ts.Check(err)
	var found struct {
		Results []struct {
			ID string `json:"id"`
		} `json:"results"`
	}
	path := "/crm/v3/objects/" + object
	askHubSpot(ts, http.MethodPost, path+"/search", query, &found)
	if len(found.Results) != 1 {
		ts.Fatalf("HubSpot has %d %s with the key %s", len(found.Results), object, key)
	}
	return path + "/" + found.Results[0].ID
}

func askHubSpot(ts *testscript.TestScript, method, path string, body []byte, into any) {
	req, err := http.NewRequest(method, ts.Getenv("HUBSPOT")+path, bytes.NewReader(body))
	ts.Check(err)
	req.Header.Set("Authorization", "Bearer "+hubspotsim.DefaultToken)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if resp.StatusCode != http.StatusOK {
		ts.Fatalf("HubSpot answered %s: %s", resp.Status, answer)
	}
	if into != nil {
		ts.Check(json.Unmarshal(answer, into))
	}
}
