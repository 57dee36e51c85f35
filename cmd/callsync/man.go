package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

type manCmd struct{}

func (c *manCmd) Run(a *app, k *kong.Kong) error {
	_, err := io.WriteString(a.out.w, manual(k.Model, build().Version))
	return err
}

// manual is the man page, made of the command line's own grammar.
func manual(m *kong.Application, version string) string {
	var p page
	p.f(".TH CALLSYNC 1 \"\" %s \"User Commands\"\n", quoteRoff("callsync "+version))
	p.section("NAME")
	p.f("callsync \\- %s\n", roff("keep HubSpot and Salesforce true to Julian's calls"))
	p.section("SYNOPSIS")
	p.f(".B callsync\n.I command\n[\\fIflags\\fR]\n")
	p.section("DESCRIPTION")
	p.f("%s\n", roff("callsync is a daemon. It takes the webhooks that 11x's voice agent Julian sends after each call, keeps them in a journal on disk, and sees to it that what happened stands in HubSpot, in Salesforce, or in both: on the right person, once."))
	p.text("callsync serve is the daemon. The other commands talk to it over its local socket, or open the journal themselves while no daemon runs.")
	p.section("COMMANDS")
	for _, command := range m.Children {
		if !command.Hidden {
			p.command(command)
		}
	}
	p.section("COMMON FLAGS")
	for _, f := range m.Flags {
		p.flag(f)
	}
	p.section("EXIT STATUS")
	p.term("0", "Done.")
	p.term("1", "Something failed.")
	p.term("2", "Wrong usage, or a configuration that cannot be used.")
	p.section("ENVIRONMENT")
	p.term("CALLSYNC_CONFIG", "The configuration file, where --config is not given.")
	p.term("NO_COLOR", "When set, nothing is coloured. Without a terminal nothing is either.")
	p.term("NOTIFY_SOCKET, WATCHDOG_USEC, CREDENTIALS_DIRECTORY", "Set by systemd for callsync serve, see systemd.exec(5).")
	p.section("FILES")
	p.term("config.toml", "The configuration, in the current folder unless --config says otherwise.")
	p.term("callsync.db", "The journal, beside it. It holds personal data.")
	return p.String()
}

// A page is a man page being written, in the man(7) macros.
type page struct{ strings.Builder }

func (p *page) f(format string, args ...any) { fmt.Fprintf(p, format, args...) }

func (p *page) section(title string) { p.f(".SH %s\n", title) }

func (p *page) text(s string) { p.f(".PP\n%s\n", roff(s)) }

func (p *page) term(name, text string) { p.f(".TP\n.B %s\n%s\n", quoteRoff(name), roff(text)) }

func (p *page) command(n *kong.Node) {
	p.f(".SS %s\n%s\n", quoteRoff(strings.TrimSuffix(n.Summary(), " [flags]")), roff(n.Help))
	if more := strings.TrimSpace(strings.TrimSuffix(n.Detail, strings.TrimSpace(shown(examples[n.Name])))); more != "" {
		p.text(more)
	}
	for _, a := range n.Positional {
		p.f(".TP\n.I %s\n%s\n", quoteRoff(a.Summary()), roff(a.Help))
	}
	for _, f := range n.Flags {
		if !f.Hidden {
			p.flag(f)
		}
	}
	if list := examples[n.Name]; len(list) > 0 {
		p.f(".PP\nExamples:\n.RS\n.nf\n")
		for _, e := range list {
			p.f("%s\n%s\n", roff("# "+e.purpose), roff(e.line))
		}
		p.f(".fi\n.RE\n")
	}
}

func (p *page) flag(f *kong.Flag) {
	name := "--" + f.Name
	if f.Short != 0 {
		name = "-" + string(f.Short) + ", " + name
	}
	if !f.IsBool() {
		name += "=" + f.FormatPlaceHolder()
	}
	p.term(name, f.Help)
}

// roff escapes text for a line of its own.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "\n", " ", "…", "...").Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return s
}

// quoteRoff escapes text for a macro's argument.
func quoteRoff(s string) string { return `"` + strings.ReplaceAll(roff(s), `"`, `\(dq`) + `"` }
