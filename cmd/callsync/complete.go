package main

import (
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/callsync/callsync/config"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

var (
	//go:embed shell/callsync.bash
	bashScript string
	//go:embed shell/callsync.zsh
	zshScript string
	//go:embed shell/callsync.fish
	fishScript string
)

func (c *completionCmd) Run(a *app) error {
	_, err := io.WriteString(a.out.w, map[string]string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}[c.Shell])
	return err
}

// completeCommand is the hidden command the shells' scripts ask: its arguments
// are the shell's name and the words of the command line up to the cursor, the
// last of which is being typed. It answers a line for each that fits, its
// meaning after a tab; or filesFit alone.
const (
	completeCommand = "__complete"
	filesFit        = ":files"
)

func printCompletions(w io.Writer, args []string) {
	if len(args) < 2 {
		return
	}
	parser, err := newParser(&commands{}, io.Discard, io.Discard, func(int) {})
	if err != nil {
		return
	}
	shell, words := args[0], args[1:]
	if shell == "bash" {
		words = joinAssignments(words)
	}
	fitting, files := complete(parser.Model.Node, words)
	if files {
		fmt.Fprintln(w, filesFit)
		return
	}
	for _, f := range fitting {
		if shell == "bash" { // replaces only what is behind the =
			_, f.value, _ = cutFlag(f.value)
		}
		fmt.Fprintf(w, "%s\t%s\n", f.value, clean(f.help))
	}
}

// joinAssignments undoes bash's breaking of words at =.
func joinAssignments(words []string) []string {
	var out []string
	for i := 0; i < len(words); i++ {
		switch n := len(out); {
		case words[i] == "=" && n > 0 && strings.HasPrefix(out[n-1], "--"):
			out[n-1] += "="
			if i+1 < len(words) {
				i++
				out[n-1] += words[i]
			}
		default:
			out = append(out, words[i])
		}
	}
	return out
}

// cutFlag splits --name=value; a word that is none comes back as the value.
func cutFlag(word string) (prefix, value string, ok bool) {
	if name, value, ok := strings.Cut(word, "="); ok && strings.HasPrefix(name, "--") {
		return name + "=", value, true
	}
	return "", word, false
}

// A completion is a word that fits at the cursor.
type completion struct{ value, help string }

// complete finds what the last word can become. files means that any file does.
func complete(root *kong.Node, words []string) (fitting []completion, files bool) {
	at := cursor{node: root, config: defaultConfig}
	for _, word := range words[:len(words)-1] {
		at.pass(word)
	}
	word := strings.TrimLeft(words[len(words)-1], `"'`)
	switch prefix, value, assigned := cutFlag(word); {
	case at.open != nil:
		fitting, files = at.values(at.open.Value)
	case assigned && !at.literal:
		if f := at.flag(strings.TrimSuffix(prefix, "=")); f != nil {
			fitting, files = at.values(f.Value)
		}
		if files {
			return nil, true
		}
		fitting = startingWith(fitting, value)
		for i := range fitting {
			fitting[i].value = prefix + fitting[i].value
		}
		return fitting, false
	case strings.HasPrefix(word, "-") && !at.literal:
		fitting = at.flags()
	case len(at.node.Children) > 0:
		fitting = subcommands(at.node)
	default:
		fitting, files = at.arguments()
	}
	return startingWith(fitting, word), files
}

func startingWith(all []completion, word string) []completion {
	return slices.DeleteFunc(all, func(c completion) bool { return !strings.HasPrefix(c.value, word) })
}

// A cursor is what the words before the one being typed mean.
type cursor struct {
	node    *kong.Node
	open    *kong.Flag // waits for its value
	args    int        // positional arguments so far
	literal bool       // after --
	config  string
}

func (c *cursor) pass(word string) {
	name, value, assigned := cutFlag(word)
	switch {
	case c.open != nil:
		c.note(c.open, word)
		c.open = nil
	case c.literal:
		c.args++
	case word == "--":
		c.literal = true
	case assigned:
		if f := c.flag(strings.TrimSuffix(name, "=")); f != nil {
			c.note(f, value)
		}
	case len(word) > 1 && word[0] == '-':
		if f := c.flag(word); f != nil && !f.IsBool() {
			c.open = f
		}
	default:
		for _, child := range c.node.Children {
			if child.Name == word {
				c.node = child
				return
			}
		}
		c.args++
	}
}

func (c *cursor) note(f *kong.Flag, value string) {
	if f.Name == "config" {
		c.config = value
	}
}

// flag finds --name or -n.
func (c *cursor) flag(word string) *kong.Flag {
	for _, group := range c.node.AllFlags(true) {
		for _, f := range group {
			if word == "--"+f.Name || f.Short != 0 && word == "-"+string(f.Short) {
				return f
			}
		}
	}
	return nil
}

func (c *cursor) flags() []completion {
	var out []completion
	groups := c.node.AllFlags(true)
	slices.Reverse(groups) // the command's own first
	for _, group := range groups {
		for _, f := range group {
			out = append(out, completion{"--" + f.Name, f.Help})
		}
	}
	return out
}

func subcommands(n *kong.Node) []completion {
	var out []completion
	for _, child := range n.Children {
		if !child.Hidden {
			out = append(out, completion{child.Name, child.Help})
		}
	}
	return out
}

func (c *cursor) arguments() ([]completion, bool) {
	list := c.node.Positional
	if len(list) == 0 {
		return nil, false
	}
	last := list[len(list)-1]
	if c.args < len(list) {
		return c.values(list[c.args])
	}
	if last.IsSlice() {
		return c.values(last)
	}
	return nil, false
}

// values lists what an argument or a flag can be.
func (c *cursor) values(v *kong.Value) (list []completion, files bool) {
	var words []string
	switch {
	case v.Enum != "":
		words = v.EnumSlice()
	case v.Name == "file", v.Flag != nil && v.Flag.PlaceHolder == "FILE":
		return nil, true
	case v.Name == "destination":
		words = c.destinations()
	case v.Name == "crm":
		words = append(sandboxNames(), "both")
	case v.Name == "type":
		words = sandboxNames()
	case v.Name == "result":
		for _, t := range julian.ResultTypes() {
			words = append(words, string(t))
		}
	case v.Name == "verdict":
		for _, v := range store.Verdicts() {
			words = append(words, string(v))
		}
	case v.Name == "log-level":
		words = []string{"debug", "info", "warn", "error"}
	}
	for _, w := range words {
		if w != "" {
			list = append(list, completion{value: w})
		}
	}
	return list, false
}

// destinations are those of the configuration, if it can be read.
func (c *cursor) destinations() []string {
	cfg, err := config.Load(c.config, config.WithoutSecrets())
	if err != nil {
		return nil
	}
	return cfg.Names()
}
