package main

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/callsync/callsync/crm/sandbox/hubspotsim"
)

// cmdTrash deletes a record by hand.
func cmdTrash(ts *testscript.TestScript, _ bool, args []string) {
	req, err := http.NewRequest(http.MethodDelete, ts.Getenv("HUBSPOT")+findByKey(ts, args[0], args[1]), nil)
	ts.Check(err)
	req.Header.Set("Authorization", "Bearer "+hubspotsim.DefaultToken)
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		ts.Fatalf("HubSpot answered %s", resp.Status)
	}
}

// cmdMake creates a record by hand, of NAME=VALUE.
func cmdMake(ts *testscript.TestScript, _ bool, args []string) {
	properties := map[string]string{}
	for _, arg := range args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		properties[name] = value
	}
	inputs := map[string]any{"inputs": []any{map[string]any{"properties": properties}}}
	body, err := json.Marshal(inputs)
	ts.Check(err)
	req, err := http.NewRequest(http.MethodPost, ts.Getenv("HUBSPOT")+"/crm/v3/objects/"+args[0]+"/batch/create", strings.NewReader(string(body)))
	ts.Check(err)
	req.Header.Set("Authorization", "Bearer "+hubspotsim.DefaultToken)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		ts.Fatalf("HubSpot answered %s", resp.Status)
	}
}
