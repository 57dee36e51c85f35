package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/config"
	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/store/bolt"
)

// An app is what subcommands share.
type app struct {
	configPath string
	stdin      io.Reader
	out, err   *printer
}

// output is the flag of commands that print.
type output struct {
	JSON bool `help:"Print JSON."`
}

// input opens a file that a command is given; "-" is standard input.
func (a *app) input(file string) (io.ReadCloser, error) {
	if file == "-" {
		return io.NopCloser(a.stdin), nil
	}
	return os.Open(file)
}

// loadConfig reads a configuration as strictly as it can be judged: destinations
// have a type that there is a connector for.
func loadConfig(path string, options ...config.Option) (*config.Config, error) {
	return config.Load(path, append(options, config.WithTypes(crm.Types()))...)
}

// config reads the configuration with its secrets.
func (a *app) config() (*config.Config, error) {
	cfg, err := loadConfig(a.configPath, checkAlertURLs)
	return cfg, a.explainConfig(err)
}

func (a *app) explainConfig(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return usagef("there is no configuration at %s: copy config.toml.example, or name one with --config or $CALLSYNC_CONFIG", a.configPath)
	}
	return err
}

// offlineConfig reads the configuration and does without secrets that cannot be
// read: an operator's shell need not have the service's environment. lacking is
// then why.
func (a *app) offlineConfig() (cfg *config.Config, lacking error, err error) {
	cfg, lacking = loadConfig(a.configPath, checkAlertURLs)
	if lacking == nil {
		return cfg, nil, nil
	}
	cfg, err = loadConfig(a.configPath, config.WithoutSecrets())
	return cfg, lacking, a.explainConfig(err)
}

// A session is a connection to the admin API: the daemon's, or one over the
// journal's file when no daemon runs.
type session struct {
	*admin.Client
	cfg    *config.Config
	daemon bool
	close  func()
}

// A newJournal says what a session does that finds neither a daemon nor a journal.
type newJournal int

const (
	refuseNew newJournal = iota
	asIfEmpty            // work as if on an empty one, and leave none
	createNew
)

// connect opens a session. mayBeNew lets it do without a journal: the command
// then works as if on an empty one.
func (a *app) connect(ctx context.Context, mayBeNew bool) (*session, error) {
	if mayBeNew {
		return a.connectTo(ctx, asIfEmpty)
	}
	return a.connectTo(ctx, refuseNew)
}

func (a *app) connectTo(ctx context.Context, missing newJournal) (*session, error) {
	cfg, lacking, err := a.offlineConfig()
	if err != nil {
		return nil, err
	}
	if network, _ := cfg.Admin.Address(); network == "tcp" && lacking != nil {
		return nil, lacking
	}
	client := admin.NewClient(cfg.Admin.Listen, cfg.Admin.Token.Reveal())
	probe, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err = client.Version(probe)
	switch {
	case err == nil:
		return &session{Client: client, cfg: cfg, daemon: true, close: func() {}}, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("a daemon listens on %s, but this user may not speak to it: run the command as the user callsync runs as", cfg.Admin.Listen)
	case !errors.Is(err, admin.ErrNoDaemon):
		return nil, fmt.Errorf("the daemon on %s: %w", cfg.Admin.Listen, err)
	}
	return a.open(ctx, cfg, missing)
}

// open serves a session from the journal's file.
func (a *app) open(ctx context.Context, cfg *config.Config, missing newJournal) (*session, error) {
	path, cleanup, create := cfg.Store.Path, func() {}, false
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		create = missing == createNew
		if missing == refuseNew {
			return nil, fmt.Errorf("no daemon is running and there is no journal at %s yet: start `callsync serve`", path)
		}
		if missing == asIfEmpty {
			dir, err := os.MkdirTemp("", "callsync-")
			if err != nil {
				return nil, err
			}
			path, cleanup = filepath.Join(dir, "empty.db"), func() { _ = os.RemoveAll(dir) }
		}
	}
	quiet := slog.New(slog.DiscardHandler)
	journal, err := openJournal(path, quiet)
	if err != nil {
		cleanup()
		if errors.Is(err, store.ErrLocked) {
			return nil, fmt.Errorf("no daemon answers on %s, but another process holds the journal %s: it may be starting or stopping, or use another [admin] address", cfg.Admin.Listen, path)
		}
		return nil, err
	}
	closeAll := func() {
		_ = journal.Close()
		cleanup()
	}
	if create {
		err = errors.Join(giveToFolder(path), journal.Enroll(ctx, cfg.Names()))
		a.err.f("no daemon is running; the journal %s is new\n", path)
	}
	var d *parts
	if err == nil {
		d, err = assemble(ctx, cfg, journal, assembly{logger: quiet})
	}
	if err != nil {
		closeAll()
		return nil, err
	}
	return &session{Client: admin.InProcess(d.api), cfg: cfg, close: closeAll}, nil
}

func openJournal(path string, log *slog.Logger) (store.Journal, error) {
	j, err := bolt.Open(path, bolt.Options{Logger: log})
	if err != nil {
		return nil, err // not a nil Journal in an interface
	}
	return j, nil
}

// destinations returns the ones a command is meant for: those named, or all.
func (s *session) destinations(names []string) ([]string, error) {
	if len(s.cfg.Destinations) == 0 {
		return nil, usagef("%s has no [destinations.…] table", s.cfg.File)
	}
	if len(names) == 0 {
		return s.cfg.Names(), nil
	}
	for _, name := range names {
		if _, ok := s.cfg.Destinations[name]; !ok {
			return nil, usagef("there is no destination %q; there are: %s", name, join(s.cfg.Names()))
		}
	}
	return names, nil
}

// oneDestination is the one with a name, or the only one there is. unnamed asks
// for a name where it takes one.
func oneDestination(cfg *config.Config, name, unnamed string) (config.Destination, error) {
	if name == "" && len(cfg.Destinations) == 1 {
		name = cfg.Names()[0]
	}
	d, ok := cfg.Destinations[name]
	switch {
	case ok:
		return d, nil
	case name == "":
		return d, usagef("%s: one of %s", unnamed, join(cfg.Names()))
	}
	return d, usagef("there is no destination %q; there are: %s", name, join(cfg.Names()))
}

// logger logs to w: text for a person, JSON for machines.
func logger(w io.Writer, level slog.Level) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if newPrinter(w).width > 0 {
		return slog.New(slog.NewTextHandler(w, options))
	}
	// Lines may still end up on a terminal, by way of journalctl for one.
	return slog.New(slog.NewJSONHandler(harmless(w), options))
}

// hintOf is what to do about an error, if it says so.
func hintOf(err error) string {
	var c *crm.Error
	if errors.As(err, &c) {
		return c.Hint
	}
	var e *admin.Error
	if errors.As(err, &e) {
		return e.Hint
	}
	return ""
}

func build() admin.Build {
	b := admin.Build{Version: "devel", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		b.Version = v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Revision = s.Value
		}
	}
	return b
}
