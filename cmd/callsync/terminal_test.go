package main

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
)

// TestColoursAreForTerminals runs a command on a terminal of its own, which
// script(1) makes: colours are there, and only there, and not against a person's
// wish (no-color.org).
func TestColoursAreForTerminals(t *testing.T) {
	script, err := exec.LookPath("script")
	if err != nil {
		t.Skip("script is not installed")
	}
	file := settledDaemon(t)
	coloured := func(cmd *exec.Cmd, env ...string) bool {
		t.Helper()
		cmd.Env = append(append(os.Environ(), "CALLSYNC_CONFIG="+file, "TERM=xterm", "NO_COLOR="), env...)
		out, err := cmd.CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("call.abc123")) {
			t.Skipf("this script does not run commands so: %v\n%s", err, out)
		}
		return bytes.Contains(out, []byte("\x1b["))
	}
	typed := func() *exec.Cmd { return exec.Command(script, "-qec", "callsync calls", os.DevNull) }
	if !coloured(typed()) {
		t.Error("a terminal shows no colours")
	}
	if coloured(typed(), "NO_COLOR=1") {
		t.Error("NO_COLOR is not respected")
	}
	if coloured(typed(), "TERM=dumb") {
		t.Error("a dumb terminal gets colours")
	}
	if coloured(exec.Command("callsync", "calls")) {
		t.Error("a pipe gets colours")
	}
}
