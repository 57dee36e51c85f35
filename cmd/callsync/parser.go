package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// newParser makes the command line's grammar. exit is called after --help.
func newParser(c *commands, stdout, stderr io.Writer, exit func(code int)) (*kong.Kong, error) {
	parser, err := kong.New(c,
		kong.Name("callsync"),
		kong.Description("Journals Julian's call results and keeps HubSpot and Salesforce true to them."),
		kong.Vars{"config": defaultConfig},
		kong.Writers(stdout, stderr),
		kong.Exit(exit),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.ExplicitGroups([]kong.Group{
			{Key: "run", Title: "Run"}, {Key: "setup", Title: "Set up"},
			{Key: "look", Title: "Look"}, {Key: "act", Title: "Act"},
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("command line: %w", err)
	}
	for _, command := range parser.Model.Children {
		command.Detail = strings.TrimSpace(command.Detail + "\n\n" + shown(examples[command.Name]))
	}
	return parser, nil
}
