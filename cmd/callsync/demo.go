package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/config"
	"github.com/callsync/callsync/store"
)

type demoCmd struct {
	CRM  string `name:"crm" default:"hubspot" placeholder:"CRM" help:"hubspot, salesforce, or both (${default})."`
	Keep bool   `help:"Leave everything running, to play with."`
}

//go:embed testdata/demo/*.json
var demoPayloads embed.FS

const (
	demoKey = "demo-key"
	// demoLag is how long the emulated CRMs' searches lag; a real one's lag for
	// seconds.
	demoLag = 200 * time.Millisecond
)

// A demoDelivery is one POST of the demo and the answer it must get.
type demoDelivery struct {
	text   string
	file   string
	status int
	answer string // verdict, or error code
	// settle waits for the CRMs before the next one, so that it meets what this
	// one left behind.
	settle bool
}

var demoDeliveries = []demoDelivery{
	{text: "a call, as 11x's guide documents it", file: "guide", status: 200, answer: "accepted"},
	{text: "the same again", file: "guide", status: 200, answer: "duplicate", settle: true},
	{text: "a corrected body for that call", file: "corrected", status: 200, answer: "revised"},
	{text: "a call with a meeting and two things to do", file: "meeting", status: 200, answer: "accepted"},
	{text: "a voicemail", file: "voicemail", status: 200, answer: "accepted"},
	{text: "somebody who does not want to be called", file: "opted-out", status: 200, answer: "accepted"},
	{text: "a call still being analysed", file: "interim", status: 200, answer: "accepted"},
	{text: "a web call, without any number", file: "web", status: 200, answer: "accepted", settle: true},
	{text: "the analysed call's result", file: "terminal", status: 200, answer: "revised"},
	{text: "the interim status, late", file: "interim", status: 200, answer: "stale"},
	{text: "a body cut off half way", file: "broken", status: 400, answer: "MALFORMED", settle: true},
}

// Run fails unless every answer is as expected and the CRMs hold exactly what
// the calls describe.
func (c *demoCmd) Run(ctx context.Context, a *app) error {
	kinds, err := sandboxKinds(c.CRM)
	if err != nil {
		return err
	}
	d, err := startDemo(ctx, kinds)
	if err != nil {
		return err
	}
	defer func() {
		d.stop()
		if _, err := os.Stat(d.dir); err == nil {
			a.err.f("callsync: the demo's folder could not be removed: %s\n", d.dir)
		}
	}()
	if err := d.play(ctx, a.out); err != nil {
		return err
	}
	if !c.Keep {
		return nil
	}
	d.invite(a.out)
	<-ctx.Done()
	return nil
}

// A demo is a daemon and the emulated CRMs it syncs to.
type demo struct {
	dir      string
	cfg      *config.Config
	daemon   *daemon
	api      *admin.Client
	accounts []demoAccount
	stop     func()
}

type demoAccount struct {
	kind, url string
	crmSandbox
}

// startDemo starts everything in a temporary folder, from a configuration file
// like any other.
func startDemo(ctx context.Context, kinds []string) (_ *demo, err error) {
	dir, err := os.MkdirTemp("", "callsync-demo-")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	d := &demo{dir: dir}
	d.stop = func() {
		cancel()
		if d.daemon != nil {
			_ = d.daemon.Wait()
		}
		_ = os.RemoveAll(dir)
	}
	defer func() {
		if err != nil {
			d.stop()
		}
	}()
	var b strings.Builder
	fmt.Fprintf(&b, "[receiver]\nlisten   = \"127.0.0.1:0\"\napi_keys = [%q]\n\n", demoKey)
	for _, kind := range kinds {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		account := demoAccount{kind: kind, url: "http://" + l.Addr().String(), crmSandbox: sandboxes[kind]}
		crm, err := account.new(demoLag, "")
		if err != nil {
			return nil, err
		}
		go serveSandbox(ctx, l, crm)
		d.accounts = append(d.accounts, account)
		fmt.Fprintf(&b, account.snippet, account.url, 2*demoLag)
	}
	file := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		return nil, err
	}
	if err := os.CopyFS(filepath.Join(dir, "payloads"), mustSub(demoPayloads, "testdata/demo")); err != nil {
		return nil, err
	}
	if d.cfg, err = config.Load(file); err != nil {
		return nil, err
	}
	logFile, err := os.OpenFile(filepath.Join(dir, "callsync.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	if d.daemon, err = start(ctx, d.cfg, logger(logFile, slog.LevelInfo)); err != nil {
		return nil, err
	}
	d.api = admin.NewClient(d.daemon.Admin, "")
	return d, nil
}

// play runs the demo and prints it.
func (d *demo) play(ctx context.Context, p *printer) error {
	began := time.Now()
	p.f("callsync takes deliveries at %s\n", styled{d.daemon.Webhook, cyan})
	for _, account := range d.accounts {
		p.f("%s is emulated at %s; its searches lag by %s\n", crmTitle(account.kind), styled{account.url, cyan}, demoLag)
		steps, err := d.api.Setup(ctx, account.kind)
		if err != nil {
			return err
		}
		used, err := requestCounts(ctx, account.url)
		if err != nil {
			return err
		}
		p.f("callsync setup created what was missing there: %s, %s\n", count(len(steps.Steps), "step"), count(used.Total, "request"))
		if err := account.resetCounters(ctx); err != nil {
			return err
		}
	}
	if err := d.deliver(ctx, p); err != nil {
		return err
	}
	for _, account := range d.accounts {
		if err := d.showAccount(ctx, p, account); err != nil {
			return err
		}
	}
	if err := d.resync(ctx, p); err != nil {
		return err
	}
	p.f("\n%s Everything the calls describe is in the CRM, once, in %s.\n", styled{"Done.", green}, span(time.Since(began)))
	return nil
}

// deliver sends the deliveries and prints what was answered.
func (d *demo) deliver(ctx context.Context, p *printer) error {
	p.f("\n%s\n", styled{"What was delivered, and the answers", bold})
	t := newTable("", "delivery", "call", "http", "answer")
	t.right[0] = true
	var wrong error
	for i, x := range demoDeliveries {
		status, answer, err := d.post(ctx, x.file)
		if err != nil {
			return err
		}
		if status != x.status || answer.verdict() != x.answer {
			wrong = errors.Join(wrong, fmt.Errorf("%s: answered %d %s, not %d %s", x.text, status, answer.verdict(), x.status, x.answer))
		}
		text := verdictText(store.Verdict(answer.Status))
		if answer.Error != "" {
			text = styled{answer.Error, red}
		}
		t.row(number(i+1), x.text, orDash(answer.CallID), number(status), text)
		if x.settle {
			if err := d.settle(ctx); err != nil {
				return err
			}
		}
	}
	t.indent = "  "
	t.print(p)
	return wrong
}

// A demoAnswer is what the receiver says.
type demoAnswer struct {
	Status string `json:"status"`
	CallID string `json:"callId"`
	Error  string `json:"error"`
}

func (a demoAnswer) verdict() string { return a.Status + strings.ToUpper(a.Error) }

func (d *demo) post(ctx context.Context, file string) (int, demoAnswer, error) {
	var answer demoAnswer
	body, err := demoPayloads.ReadFile("testdata/demo/" + file + ".json")
	if err != nil {
		return 0, answer, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.daemon.Webhook, bytes.NewReader(body))
	if err != nil {
		return 0, answer, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("x-api-key", demoKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, answer, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return resp.StatusCode, answer, fmt.Errorf("the answer to %s: %w", file, err)
	}
	return resp.StatusCode, answer, nil
}

// settle waits until nothing is on its way to a CRM any more.
func (d *demo) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		status, err := d.api.Status(ctx)
		if err != nil {
			return err
		}
		busy := slices.ContainsFunc(status.Destinations, func(d admin.DestinationStatus) bool {
			return d.Calls[store.Pending]+d.Calls[store.Retrying] > 0
		})
		if !busy {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the CRMs have not taken everything after a minute; the log is %s", filepath.Join(d.dir, "callsync.log"))
		case <-tick.C:
		}
	}
}

// showAccount prints what stands in an account, read back from it, and fails
// when that is not what the calls describe.
func (d *demo) showAccount(ctx context.Context, p *printer, account demoAccount) error {
	used, err := requestCounts(ctx, account.url)
	if err != nil {
		return err
	}
	seen, err := account.portrait(ctx, account.url)
	if err != nil {
		return fmt.Errorf("read back from %s: %w", account.kind, err)
	}
	p.f("\n%s\n", styled{"What stands in " + crmTitle(account.kind) + " now, read back from it", bold})
	seen.print(p)
	p.f("That took %s:\n", count(used.Total, "request"))
	p.list(operationList(used.counts()))
	return seen.verify()
}

// resync asks for everything to be synced again and fails when anything was
// written.
func (d *demo) resync(ctx context.Context, p *printer) error {
	before := map[string]requestLog{}
	for _, account := range d.accounts {
		var err error
		if before[account.kind], err = requestCounts(ctx, account.url); err != nil {
			return err
		}
	}
	answer, err := d.api.Resync(ctx, admin.ResyncRequest{})
	if err != nil {
		return err
	}
	if err := d.settle(ctx); err != nil {
		return err
	}
	p.f("\n%s\n", styled{"callsync resync --all", bold})
	for _, account := range d.accounts {
		after, err := requestCounts(ctx, account.url)
		if err != nil {
			return err
		}
		extra := after.since(before[account.kind])
		if writes := extra.writes(); len(writes) > 0 {
			return fmt.Errorf("resync of unchanged calls wrote to %s: %s", account.kind, operations(writes))
		}
		p.f("  %s compared with what stands in %s: nothing to write, %s sent\n",
			count(answer.Requested[account.kind], "call"), crmTitle(account.kind), count(extra.Total, "request"))
	}
	return nil
}

// invite prints what can be done with a demo that keeps running.
func (d *demo) invite(p *printer) {
	exe := "callsync"
	if self, err := os.Executable(); err == nil && !strings.Contains(self, "go-build") {
		exe = self
	} else if err == nil {
		exe = "go run ./cmd/callsync"
	}
	p.f("\n%s until you press Ctrl-C, or end it otherwise. Its files are in\n%s, which is removed then. To play with it:\n\n", styled{"Everything keeps running", bold}, d.dir)
	p.f("  curl -H 'x-api-key: %s' -H 'content-type: application/json' \\\n       --data-binary @%s %s\n\n", demoKey, filepath.Join(d.dir, "payloads", "meeting.json"), d.daemon.Webhook)
	p.f("  export CALLSYNC_CONFIG=%s\n", d.cfg.File)
	for _, line := range []string{"status", "calls", "show call.demo-meeting", "deliveries", "resync --all --dry-run"} {
		p.f("  %s %s\n", exe, line)
	}
	for _, account := range d.accounts {
		p.f("\n  what %s holds, its request log and faults:\n    %s/_sandbox/state\n    %s/_sandbox/requests\n", crmTitle(account.kind), account.url, account.url)
	}
}

func crmTitle(kind string) string {
	switch kind {
	case "hubspot":
		return "HubSpot"
	case "salesforce":
		return "Salesforce"
	default:
		return kind
	}
}
