// Package conformance holds the sandboxes against software that knows the real
// CRMs. See README.md; nothing here runs in a plain go test.
package conformance

import (
	"bytes"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"

	"github.com/callsync/callsync/crm/sandbox/hubspotsim"
)

// TestHubSpotNodeSDK drives the HubSpot sandbox with HubSpot's official Node
// SDK. It runs when CALLSYNC_CONFORMANCE is set, and then fails without node
// or an installed SDK.
func TestHubSpotNodeSDK(t *testing.T) {
	if os.Getenv("CALLSYNC_CONFORMANCE") == "" {
		t.Skip("CALLSYNC_CONFORMANCE is not set")
	}
	srv := httptest.NewServer(hubspotsim.New(hubspotsim.Options{}))
	defer srv.Close()
	cmd := exec.CommandContext(t.Context(), "node", "hubspot.mjs")
	cmd.Env = append(os.Environ(), "HUBSPOT_URL="+srv.URL, "HUBSPOT_TOKEN="+hubspotsim.DefaultToken)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", bytes.TrimSpace(out))
	if err != nil {
		t.Fatalf("node hubspot.mjs: %v", err)
	}
}
