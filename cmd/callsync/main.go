// Command callsync receives Julian's call results, journals them, and keeps
// CRMs true to the journal.
//
// This file reads the command line; every subcommand has a file of its own. A
// subcommand parses flags, asks the admin API, and prints: what it can do, any
// other client of the API can do too.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/callsync/callsync/config"
)

// Exit codes, part of the contract with scripts.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // wrong usage or configuration
)

// defaultConfig is where the configuration is unless --config or
// $CALLSYNC_CONFIG says otherwise.
const defaultConfig = "config.toml"

type commands struct {
	Config string `short:"c" default:"${config}" env:"CALLSYNC_CONFIG" placeholder:"FILE" help:"Configuration file (${default})."`

	Serve   serveCmd   `cmd:"" group:"run" help:"Receive deliveries and keep the CRMs true to them."`
	Demo    demoCmd    `cmd:"" group:"run" help:"See it work: sandbox, daemon and deliveries, in a temporary folder."`
	Sandbox sandboxCmd `cmd:"" group:"run" help:"Emulate a CRM's API on this machine, to try callsync on."`

	Check checkCmd `cmd:"" group:"setup" help:"Check the configuration, the mappings and the CRM accounts."`
	Setup setupCmd `cmd:"" group:"setup" help:"Create the properties callsync needs in the CRM; shows them first."`
	Login loginCmd `cmd:"" group:"setup" help:"Let callsync into a CRM through the browser, where it uses OAuth."`

	Completion completionCmd `cmd:"" group:"setup" help:"Print the script that completes callsync's commands in a shell."`

	Status     statusCmd     `cmd:"" group:"look" help:"Say how the daemon and its destinations are doing."`
	Calls      callsCmd      `cmd:"" group:"look" help:"List calls, newest first."`
	Show       showCmd       `cmd:"" group:"look" help:"Explain one call: deliveries, revisions, what was written where and why."`
	Deliveries deliveriesCmd `cmd:"" group:"look" help:"List deliveries, accepted or not, newest first."`
	Plan       planCmd       `cmd:"" group:"look" help:"Show what syncing would do, without doing it."`
	Sample     sampleCmd     `cmd:"" group:"look" help:"Fetch an agent's sample payload from 11x and plan it."`
	Mapping    mappingCmd    `cmd:"" group:"look" help:"Print a version of a mapping file that was in force once."`
	Version    versionCmd    `cmd:"" group:"look" help:"Print the version."`
	Man        manCmd        `cmd:"" group:"look" help:"Print the man page."`

	Resync  resyncCmd  `cmd:"" group:"act" help:"Sync calls again; only differences are sent."`
	Undo    undoCmd    `cmd:"" group:"act" help:"Take a call back from the CRM: archive what it created, restore what it changed."`
	Verify  verifyCmd  `cmd:"" group:"look" help:"Compare the CRM with what callsync wrote there: missing, changed by hand, merged."`
	Pause   pauseCmd   `cmd:"" group:"act" help:"Stop syncing to a destination; deliveries are still journalled."`
	Unpause unpauseCmd `cmd:"" group:"act" help:"Let a paused destination go on."`
	Reload  reloadCmd  `cmd:"" group:"act" help:"Let the daemon read its configuration again, as SIGHUP does."`
	Export  exportCmd  `cmd:"" group:"act" help:"Write calls with every revision as JSON lines."`
	Import  importCmd  `cmd:"" group:"act" help:"Take calls in from JSON lines, as if they had been delivered."`
	Readmit readmitCmd `cmd:"" group:"act" help:"Look at a delivery that was turned away, and take it in after all."`
	Backup  backupCmd  `cmd:"" group:"act" help:"Write a consistent copy of the journal."`
	Erase   eraseCmd   `cmd:"" group:"act" help:"Remove a person, or one call, from the journal and, if asked, from the CRMs."`
	Compact compactCmd `cmd:"" group:"act" help:"Give the journal's free space back to the disk, while it is in use."`
}

func main() {
	collectLess()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == completeCommand {
		printCompletions(stdout, args[1:])
		return exitDone
	}
	var c commands
	exited := -1
	parser, err := newParser(&c, stdout, stderr, func(code int) { exited = code })
	if err != nil {
		fmt.Fprintln(stderr, "callsync:", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	kctx, err := parser.Parse(args)
	if exited >= 0 { // --help has been printed
		return exited
	}
	if c.Config == "" { // from an empty variable
		c.Config = defaultConfig
	}
	a := &app{configPath: c.Config, stdin: stdin, out: newPrinter(stdout), err: newPrinter(stderr)}
	if err != nil {
		a.err.f("callsync: %s\nTry `callsync --help`.\n", withoutEmpty(err))
		return exitUsage
	}
	kctx.BindTo(ctx, (*context.Context)(nil))
	return a.exit(kctx.Run(a))
}

// withoutEmpty is what the parser says of a flag's value, without the empty one of a
// flag that is left out, which it lists among those there are.
func withoutEmpty(err error) string {
	return strings.Replace(err.Error(), `must be one of "",`, "must be one of ", 1)
}

// errSilent is a failure that has been reported already.
var errSilent = errors.New("failed")

// A usageError is a mistake in the command line or the configuration.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exit reports err and chooses the exit code.
func (a *app) exit(err error) int {
	if err == nil {
		return exitDone
	}
	if !errors.Is(err, errSilent) {
		a.err.f("callsync: %s\n", err)
		if hint := hintOf(err); hint != "" {
			a.err.f("  %s\n", hint)
		}
	}
	var usage usageError
	var cfg *config.Error
	if errors.As(err, &usage) || errors.As(err, &cfg) {
		return exitUsage
	}
	return exitFailed
}
