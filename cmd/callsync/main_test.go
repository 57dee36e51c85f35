package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	neturl "net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/config"
	"github.com/callsync/callsync/crm/sandbox"
	"github.com/callsync/callsync/crm/sandbox/hubspotsim"
	"github.com/callsync/callsync/store"
)

// programs are what tests can run as processes of their own, by name.
var programs = map[string]func(){"callsync": main, "callsync-await": awaitOutput}

// TestMain has more tests run at once than there are processors, unless -parallel
// says otherwise: most of their time they wait for other processes.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0))); err != nil {
		panic(err)
	}
	testscript.Main(m, programs)
}

// testKey is the webhook key in the tests' configurations.
const testKey = "test-key"

// TestScripts runs testdata/script. Every script has an emulated HubSpot of its
// own, a configuration for it, the shipped mapping as hubspot.toml, and the
// demo's payloads. Beside testscript's commands there are:
//
//	exec callsync-await PATTERN COMMAND…
//	                       repeat a callsync command until it prints the pattern
//	ready                  wait until the daemon takes deliveries
//	post FILE [KEY [PATH]] deliver a payload; print status and answer
//	post-many FILE N       deliver a payload as N calls of N people
//	settle                 wait until nothing is on its way to the CRM
//	requests [reset|write] print the CRM's requests by operation, all or those
//	                       that write; or forget them
//	holds                  print how many records the CRM holds
//	sent OPERATION         print the bodies of an operation's requests
//	replace OLD NEW FILE   edit a file; OLD must be in it; \n in NEW breaks the line
//	append FILE TEXT       add to a file; \n in TEXT breaks the line
//	get URL [TOKEN]        print the status and body of an answer
//	edit OBJECT KEY PROPERTY VALUE
//	                       change a record in the CRM by hand
//	trash OBJECT KEY       delete a record in the CRM by hand
//	make OBJECT NAME=VALUE…
//	                       create a record in the CRM by hand
//	value OBJECT KEY PROPERTY
//	                       print what the CRM holds
//	exits CODE COMMAND…    run a command that must end with the exit code
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   filepath.Join("testdata", "script"),
		Setup: setupScript,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"ready": func(ts *testscript.TestScript, _ bool, _ []string) {
				ts.Check(awaitReady(ts.Getenv("CALLSYNC_CONFIG")))
			},
			"settle": func(ts *testscript.TestScript, _ bool, _ []string) {
				ts.Check(awaitSettled(ts.Getenv("CALLSYNC_CONFIG"), time.Minute))
			},
			"post":      cmdPost,
			"requests":  cmdRequests,
			"sent":      cmdSent,
			"replace":   cmdReplace,
			"holds":     cmdHolds,
			"exits":     cmdExits,
			"post-many": cmdPostMany,
			"append":    cmdAppend,
			"get":       cmdGet,
			"edit":      cmdEdit,
			"trash":     cmdTrash,
			"make":      cmdMake,
			"value":     cmdValue,
		},
	})
}

type accountKey struct{}

func setupScript(env *testscript.Env) error {
	account := newAccount()
	server := httptest.NewServer(account)
	env.Defer(func() {
		account.ClearFaults()
		server.Close()
	})
	env.Values[accountKey{}] = account
	mapping, err := os.ReadFile("../../mappings/hubspot.toml")
	if err != nil {
		return err
	}
	if err := os.CopyFS(env.WorkDir, os.DirFS("testdata/demo")); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(env.WorkDir, "hubspot.toml"), mapping, 0o600); err != nil {
		return err
	}
	file, err := writeConfig(env.WorkDir, server.URL, `mapping = "hubspot.toml"`)
	if err != nil {
		return err
	}
	env.Setenv("CALLSYNC_CONFIG", file)
	env.Setenv("HUBSPOT", server.URL)
	env.Setenv("TZ", "UTC")
	port, err := freePort()
	if err != nil {
		return err
	}
	env.Setenv("PORT", port)
	// A second configuration, for a CRM on that port.
	try, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text := strings.ReplaceAll(string(try), server.URL, "http://127.0.0.1:"+port)
	return os.WriteFile(filepath.Join(env.WorkDir, "try.toml"), []byte(text), 0o600)
}

// freePort is a port nobody listens on just now.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// newAccount is an emulated HubSpot without limits on the rate, whose searches
// lag a little.
func newAccount() *hubspotsim.Server {
	settings := hubspotsim.DefaultSettings()
	settings.SearchLag = sandbox.Duration(50 * time.Millisecond)
	settings.TenSecondLimit, settings.SearchesPerSecond = 0, 0
	return hubspotsim.New(hubspotsim.Options{Settings: settings})
}

// writeConfig writes a configuration for an emulated HubSpot into dir.
func writeConfig(dir, url, extra string) (file string, err error) {
	text := fmt.Sprintf(`[receiver]
listen   = "127.0.0.1:0"
api_keys = [%q]

[destinations.hubspot]
type              = "hubspot"
base_url          = %q
access_token      = %q
search_lag        = "100ms"
rate_per_second   = 1000
search_per_second = 1000
%s
`, testKey, url, hubspotsim.DefaultToken, extra)
	file = filepath.Join(dir, "config.toml")
	return file, os.WriteFile(file, []byte(text), 0o600)
}

// daemonAt is a client of the daemon that a configuration describes.
func daemonAt(file string) (*admin.Client, error) {
	cfg, err := config.Load(file)
	if err != nil {
		return nil, err
	}
	return admin.NewClient(cfg.Admin.Listen, cfg.Admin.Token.Reveal()), nil
}

// await polls until done reports true.
func await(what string, limit time.Duration, done func(ctx context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for {
		ok, err := done(ctx)
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited %s for %s: %v", limit, what, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func awaitReady(file string) error {
	client, err := daemonAt(file)
	if err != nil {
		return err
	}
	return await("the daemon", 30*time.Second, func(ctx context.Context) (bool, error) {
		s, err := client.Status(ctx)
		return err == nil && s.Daemon, err
	})
}

func awaitSettled(file string, limit time.Duration) error {
	client, err := daemonAt(file)
	if err != nil {
		return err
	}
	return await("the CRM to take everything", limit, func(ctx context.Context) (bool, error) {
		s, err := client.Status(ctx)
		if err != nil {
			return false, err
		}
		for _, d := range s.Destinations {
			if n := d.Calls[store.Pending] + d.Calls[store.Retrying]; n > 0 {
				return false, fmt.Errorf("%d calls on their way; %s %s", n, d.Phase, d.Reason)
			}
		}
		return true, nil
	})
}

// webhookAt is where the daemon of a configuration takes deliveries.
func webhookAt(file string) (string, error) {
	client, err := daemonAt(file)
	if err != nil {
		return "", err
	}
	s, err := client.Status(context.Background())
	if err != nil {
		return "", err
	}
	if len(s.Receivers) == 0 {
		return "", errors.New("the daemon takes no deliveries")
	}
	return s.Receivers[0], nil
}

func deliver(url string, body []byte) (status int, answer string, err error) {
	return deliverAs(testKey, url, body)
}

func deliverAs(key, url string, body []byte) (status int, answer string, err error) {
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Api-Key", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, strings.TrimSpace(string(b)), err
}

func cmdPost(ts *testscript.TestScript, _ bool, args []string) {
	url, err := webhookAt(ts.Getenv("CALLSYNC_CONFIG"))
	ts.Check(err)
	key := testKey
	if len(args) > 1 {
		key = args[1]
	}
	if len(args) > 2 {
		at, err := neturl.Parse(url)
		ts.Check(err)
		at.Path = args[2]
		url = at.String()
	}
	status, answer, err := deliverAs(key, url, []byte(ts.ReadFile(args[0])))
	ts.Check(err)
	fmt.Fprintln(ts.Stdout(), status, answer)
}

func cmdPostMany(ts *testscript.TestScript, _ bool, args []string) {
	url, err := webhookAt(ts.Getenv("CALLSYNC_CONFIG"))
	ts.Check(err)
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	var payload map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &payload))
	id, phone := payload["callId"].(string), payload["phoneNumber"].(string)
	for i := range n {
		payload["callId"] = fmt.Sprintf("%s-%d", id, i)
		payload["phoneNumber"] = fmt.Sprintf("%s%04d", phone[:len(phone)-4], i)
		body, err := json.Marshal(payload)
		ts.Check(err)
		status, answer, err := deliver(url, body)
		ts.Check(err)
		if status != http.StatusOK {
			ts.Fatalf("call %d: %d %s", i, status, answer)
		}
	}
}

func cmdRequests(ts *testscript.TestScript, _ bool, args []string) {
	account, out := ts.Value(accountKey{}).(*hubspotsim.Server), ts.Stdout()
	if len(args) == 1 && args[0] == "reset" {
		account.ResetCounters()
		return
	}
	counts := demoDifference{counts: map[string]int{}}
	for op, n := range account.Counts() {
		counts.counts[op] = n.Requests
	}
	shown := counts.counts
	if len(args) == 1 && args[0] == "write" {
		shown = counts.writes()
	}
	for _, op := range slices.Sorted(maps.Keys(shown)) {
		fmt.Fprintln(out, op, shown[op])
	}
}

func cmdHolds(ts *testscript.TestScript, _ bool, _ []string) {
	seen, err := portrayHubSpot(context.Background(), ts.Getenv("HUBSPOT"))
	ts.Check(err)
	kinds := map[string]int{}
	for _, p := range seen.people {
		for _, r := range p.records {
			kinds[r.kind]++
		}
	}
	fmt.Fprintf(ts.Stdout(), "%d contacts, %d calls, %d meetings, %d tasks, %d of nobody\n",
		len(seen.people), kinds["call"], kinds["meeting"], kinds["task"], len(seen.loose))
}

func cmdSent(ts *testscript.TestScript, _ bool, args []string) {
	account, out := ts.Value(accountKey{}).(*hubspotsim.Server), ts.Stdout()
	for _, r := range account.Requests() {
		if r.Operation == args[0] {
			var body bytes.Buffer
			ts.Check(json.Indent(&body, []byte(r.Body), "", " "))
			fmt.Fprintln(out, body.String())
		}
	}
}

// awaitOutput is the program callsync-await: it runs a callsync command until it
// prints what a pattern describes.
func awaitOutput() {
	pattern := regexp.MustCompile(os.Args[1])
	err := await(os.Args[1], 30*time.Second, func(context.Context) (bool, error) {
		out, err := exec.Command("callsync", os.Args[2:]...).CombinedOutput()
		return pattern.Match(out), fmt.Errorf("%s: %v", out, err)
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func cmdExits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, not %s", code, args[0])
	}
}

func cmdAppend(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0]) + strings.ReplaceAll(args[1], `\n`, "\n")
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

func cmdGet(ts *testscript.TestScript, _ bool, args []string) {
	req, err := http.NewRequest(http.MethodGet, args[0], nil)
	ts.Check(err)
	if len(args) > 1 {
		req.Header.Set("Authorization", "Bearer "+args[1])
	}
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	fmt.Fprintln(ts.Stdout(), resp.StatusCode, string(body))
}

func cmdReplace(ts *testscript.TestScript, _ bool, args []string) {
	file := ts.MkAbs(args[2])
	text := ts.ReadFile(args[2])
	if !strings.Contains(text, args[0]) {
		ts.Fatalf("%s does not have %q", args[2], args[0])
	}
	ts.Check(os.WriteFile(file, []byte(strings.Replace(text, args[0], strings.ReplaceAll(args[1], `\n`, "\n"), 1)), 0o600))
}
