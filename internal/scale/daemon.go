package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

func build(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "callsync")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/callsync").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return binary, nil
}

// configuration has a CRM at an address where nobody listens.
const configuration = `receiver = { listen = "127.0.0.1:0", api_keys = ["scale"] }
destinations.hubspot = { type = "hubspot", base_url = "http://127.0.0.1:1", access_token = "scale" }
`

// measureDaemon starts callsync on the journal and asks it things. That its CRM
// does not answer costs nothing while no call is due.
func measureDaemon(ctx context.Context, binary, dir string) error {
	file := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		return err
	}
	callsync := func(args ...string) ([]byte, error) {
		out, err := exec.CommandContext(ctx, binary, append([]string{"--config", file}, args...)...).CombinedOutput()
		if err != nil {
			return out, fmt.Errorf("callsync %s: %w: %s", args[0], err, out)
		}
		return out, nil
	}
	begin := time.Now()
	daemon := exec.CommandContext(ctx, binary, "--config", file, "serve", "--log-level", "error")
	daemon.Stderr = os.Stderr
	if err := daemon.Start(); err != nil {
		return err
	}
	defer func() {
		_ = daemon.Process.Signal(os.Interrupt)
		_ = daemon.Wait()
	}()
	for {
		out, err := callsync("status", "--json")
		if err == nil && bytes.Contains(out, []byte(`"daemon": true`)) {
			break
		}
		if time.Since(begin) > time.Minute {
			return errors.Join(errors.New("the daemon does not start"), err)
		}
	}
	fmt.Printf("ready after %s\n", time.Since(begin).Round(time.Millisecond))
	time.Sleep(5 * time.Second)
	fmt.Printf("at rest: %d MiB resident, %d MiB of them its own\n", resident(daemon.Process.Pid)>>20, anonymous(daemon.Process.Pid)>>20)

	out, err := callsync("calls", "--limit", "1", "--json")
	if err != nil {
		return err
	}
	id := regexp.MustCompile(`call\.[0-9a-f]{24}`).Find(out)
	for _, args := range [][]string{
		{"status"}, {"calls"}, {"calls", "--state", "failed"}, {"calls", "--agent", "nobody"}, {"calls", "--result", "Opted Out", "--limit", "20"},
		{"calls", "--since", "1m"}, {"show", string(id)}, {"deliveries"},
	} {
		var took []time.Duration
		for range 11 {
			begin := time.Now()
			if _, err := callsync(args...); err != nil {
				return err
			}
			took = append(took, time.Since(begin))
		}
		slices.Sort(took)
		fmt.Printf("callsync %-40s %s (median of %d, process and all)\n", strings.Join(args, " "), took[len(took)/2].Round(time.Millisecond), len(took))
	}
	fmt.Printf("afterwards: %d MiB resident, %d MiB of them its own\n", resident(daemon.Process.Pid)>>20, anonymous(daemon.Process.Pid)>>20)
	return nil
}

// resident is a process's memory in bytes, the mapped journal included, and
// anonymous what of it is its own; 0 where the system does not say.
func resident(pid int) int64  { return memory(pid, "VmRSS:") }
func anonymous(pid int) int64 { return memory(pid, "RssAnon:") }

func memory(pid int, field string) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), field)
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, _ := strconv.ParseInt(number, 10, 64)
	return n << 10
}
