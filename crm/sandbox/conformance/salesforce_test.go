package conformance

import (
	"bytes"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"

	"github.com/callsync/callsync/crm/sandbox/salesforcesim"
)

// TestJSForce drives the Salesforce sandbox with jsforce. It runs when
// CALLSYNC_CONFORMANCE is set, and then fails without node or an installed
// jsforce.
func TestJSForce(t *testing.T) {
	if os.Getenv("CALLSYNC_CONFORMANCE") == "" {
		t.Skip("CALLSYNC_CONFORMANCE is not set")
	}
	srv := httptest.NewServer(salesforcesim.New(salesforcesim.Options{}))
	defer srv.Close()
	cmd := exec.CommandContext(t.Context(), "node", "salesforce.mjs")
	cmd.Env = append(os.Environ(), "SALESFORCE_URL="+srv.URL)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", bytes.TrimSpace(out))
	if err != nil {
		t.Fatalf("node salesforce.mjs: %v", err)
	}
}
