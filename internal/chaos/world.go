package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A binary is callsync, built once for all seeds, with the module's root, where
// the shipped mappings are.
type binary struct{ dir, path, root string }

func build(ctx context.Context, race bool) (*binary, error) {
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOMOD: %w", err)
	}
	b := &binary{root: filepath.Dir(strings.TrimSpace(string(mod)))}
	if b.dir, err = os.MkdirTemp("", "chaos-bin-"); err != nil {
		return nil, err
	}
	b.path = filepath.Join(b.dir, "callsync")
	args := []string{"build", "-o", b.path}
	if race {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./cmd/callsync")...)
	cmd.Dir, cmd.Stderr = b.root, os.Stderr
	if err := cmd.Run(); err != nil {
		b.remove()
		return nil, fmt.Errorf("build callsync: %w", err)
	}
	return b, nil
}

func (b *binary) remove() { _ = os.RemoveAll(b.dir) }

const webhookKey = "chaos-key"

// A world is one callsync with its journal, its CRMs and its callers.
type world struct {
	bin      *binary
	seed     uint64
	dir      string
	config   string
	accounts []*account
	log      *os.File
	api      *http.Client
	callers  *http.Client
	ledger   *ledger
	trap     trap

	mu      sync.Mutex
	process *process
	webhook string // "" while nobody takes deliveries
	kills   int
	gone    map[int]bool // leavers who asked to be erased
	starved int          // times the disk was full
}

// A process is one life of callsync.
type process struct {
	cmd    *exec.Cmd
	ended  chan struct{} // closed when it has
	err    error         // set before ended is closed
	wanted bool          // we ended it; guarded by the world's mu
}

func newWorld(b *binary, kinds []string, seed uint64) (_ *world, err error) {
	w := &world{bin: b, seed: seed, ledger: newLedger(), gone: map[int]bool{}}
	// A socket's path has to be short.
	if w.dir, err = os.MkdirTemp("", "chaos-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			w.close()
			w.discard()
		}
	}()
	text := fmt.Sprintf("[receiver]\nlisten = \"127.0.0.1:0\"\napi_keys = [%q]\n\n", webhookKey)
	for i, kind := range kinds {
		a, err := newAccount(w, kind, i, seed)
		if err != nil {
			return nil, err
		}
		w.accounts = append(w.accounts, a)
		text += a.table(a)
		if err := a.edit(shipped); err != nil {
			return nil, err
		}
	}
	w.config = filepath.Join(w.dir, "config.toml")
	if err := os.WriteFile(w.config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	if w.log, err = os.OpenFile(filepath.Join(w.dir, "callsync.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return nil, err
	}
	socket := filepath.Join(w.dir, "callsync.sock")
	w.api = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	w.callers = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: senders}}
	return w, nil
}

// close ends the process and the CRMs; the folder stays.
func (w *world) close() {
	w.mu.Lock()
	p := w.process
	if p != nil {
		p.wanted = true
		_ = p.cmd.Process.Kill()
	}
	w.mu.Unlock()
	if p != nil {
		<-p.ended
	}
	for _, a := range w.accounts {
		a.close()
	}
	if w.log != nil {
		_ = w.log.Close()
	}
	if w.callers != nil {
		w.callers.CloseIdleConnections()
	}
}

func (w *world) discard() { _ = os.RemoveAll(w.dir) }

// launch starts callsync without waiting for it to be ready.
func (w *world) launch() (*process, error) {
	cmd := exec.Command(w.bin.path, "serve", "--config", w.config, "--log-level", "info")
	cmd.Stderr = w.log
	// Whatever becomes of this process, that one shall not outlive it.
	cmd.SysProcAttr = childAttr()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	w.mu.Lock()
	w.process, w.webhook = p, ""
	w.mu.Unlock()
	go func() {
		p.err = cmd.Wait()
		w.mu.Lock()
		if w.process == p {
			w.webhook = ""
		}
		w.mu.Unlock()
		close(p.ended)
	}()
	return p, nil
}

// errKilled: the process was killed while it started.
var errKilled = errors.New("killed while starting")

// start starts callsync and waits until it takes deliveries.
func (w *world) start(ctx context.Context) error {
	p, err := w.launch()
	if err != nil {
		return err
	}
	return w.ready(ctx, p)
}

func (w *world) ready(ctx context.Context, p *process) error {
	deadline := time.Now().Add(30 * time.Second)
	for {
		select {
		case <-p.ended:
			return w.verdict(p)
		default:
		}
		s, err := w.status(ctx)
		if err == nil && s.Daemon && len(s.Receivers) > 0 {
			w.mu.Lock()
			if w.process == p && !p.wanted {
				w.webhook = s.Receivers[0]
			}
			w.mu.Unlock()
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("callsync is not ready 30 s after its start: %v", err)
		}
		if err := pause(ctx, 4*time.Millisecond); err != nil {
			return err
		}
	}
}

// verdict says whether a process that ended was meant to.
func (w *world) verdict(p *process) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.wanted {
		return errKilled
	}
	return fmt.Errorf("callsync ended by itself: %v", p.err)
}

// kill ends callsync as a power failure would. It may be called from anywhere,
// and does nothing when it is dead already.
func (w *world) kill() { w.end(w.current(), syscall.SIGKILL) }

// end sends a signal to one life of callsync, unless it is over already.
func (w *world) end(p *process, s syscall.Signal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p == nil || p.wanted {
		return
	}
	p.wanted = true
	if p == w.process {
		w.webhook = ""
	}
	if s == syscall.SIGKILL {
		w.kills++
	}
	_ = p.cmd.Process.Signal(s)
}

func (w *world) current() *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.process
}

// address is where deliveries are taken now.
func (w *world) address() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.webhook
}

// ask calls callsync's local API.
func (w *world) ask(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://callsync"+path, body)
	if err != nil {
		return err
	}
	resp, err := w.api.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 2000))
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	if out == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// A status is what the harness wants of /api/v1/status.
type status struct {
	Daemon       bool     `json:"daemon"`
	Receivers    []string `json:"receivers"`
	Destinations []struct {
		Destination string         `json:"destination"`
		Phase       string         `json:"phase"`
		Reason      string         `json:"reason"`
		Calls       map[string]int `json:"calls"`
		NextAttempt time.Time      `json:"nextAttempt"`
	} `json:"destinations"`
}

func (w *world) status(ctx context.Context) (s status, err error) {
	return s, w.ask(ctx, http.MethodGet, "/api/v1/status", nil, &s)
}

func (w *world) tally() *tally {
	t := &tally{seeds: 1}
	w.mu.Lock()
	t.kills, t.starved = w.kills, w.starved
	w.mu.Unlock()
	t.deliveries, t.acked = w.ledger.counts()
	for _, a := range w.accounts {
		requests, struck := a.counts()
		t.requests += requests
		t.deleted += int(a.removed.Load())
		t.parted += a.parted.total()
		t.refusals += struck
	}
	return t
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
