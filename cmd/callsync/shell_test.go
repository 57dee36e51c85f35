package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

func grammar(t *testing.T) *kong.Kong {
	t.Helper()
	parser, err := newParser(&commands{}, io.Discard, io.Discard, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	return parser
}

// understood checks that callsync knows the command, flags and arguments of a
// line as a person types it, with whatever a shell does around them.
func understood(t *testing.T, line string) {
	t.Helper()
	exited := false
	parser, err := newParser(&commands{}, io.Discard, io.Discard, func(int) { exited = true })
	if err != nil {
		t.Fatal(err)
	}
	for _, words := range callsyncWords(line) {
		if _, err := parser.Parse(words); err != nil && !exited {
			t.Errorf("%s\n  %v", line, err)
		}
	}
}

// callsyncWords finds the callsync commands in a line of shell, and their words.
func callsyncWords(line string) (found [][]string) {
	var words []string
	add := func() {
		i := 0
		if len(words) > 0 && slices.Contains([]string{"sudo", "ssh", "docker"}, words[0]) {
			for n, w := range words { // their own arguments come first
				if w == "callsync" {
					i = n
				}
			}
		}
		if len(words) > i && words[i] == "callsync" {
			found = append(found, words[i+1:])
		}
		words = nil
	}
	var word strings.Builder
	quote, inWord := rune(0), false
	flush := func() {
		if inWord {
			words = append(words, word.String())
		}
		word.Reset()
		inWord = false
	}
	runes := []rune(line)
	for i := 0; i < len(runes); i++ {
		r := runes[i]
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, inWord = r, true
		case r == ' ':
			flush()
		case r == '#' && !inWord:
			add()
			return found
		case strings.ContainsRune("|;&", r):
			flush()
			add()
		case r == '>' || r == '<':
			flush()
			for i++; i < len(runes) && runes[i] == ' '; i++ { // the file is the shell's
			}
			for i < len(runes) && runes[i] != ' ' {
				i++
			}
		default:
			inWord = true
			word.WriteRune(r)
		}
	}
	flush()
	add()
	return found
}

func TestEveryCommandHasExamples(t *testing.T) {
	known := map[string]bool{}
	for _, command := range grammar(t).Model.Children {
		known[command.Name] = true
		list := examples[command.Name]
		if len(list) == 0 && !command.Hidden {
			t.Errorf("`callsync %s --help` shows no example: add one to examples", command.Name)
		}
		for _, e := range list {
			if !strings.Contains(e.line, "callsync "+command.Name) {
				t.Errorf("an example of %s is of another command: %s", command.Name, e.line)
			}
			understood(t, e.line)
		}
	}
	for name := range examples {
		if !known[name] {
			t.Errorf("there are examples of %s, which is no command", name)
		}
	}
	var out bytes.Buffer
	if code := run(context.Background(), []string{"plan", "--help"}, nil, &out, io.Discard); code != 0 {
		t.Fatal("exit code", code)
	}
	if !strings.Contains(out.String(), examples["plan"][0].line) {
		t.Errorf("--help shows no examples:\n%s", out.String())
	}
}

func TestManualHasEverything(t *testing.T) {
	page := manual(grammar(t).Model, "v1.2.3")
	for _, command := range grammar(t).Model.Children {
		if !strings.Contains(page, "\n.SS \""+command.Name) {
			t.Errorf("the man page lacks %s", command.Name)
		}
		for _, f := range command.Flags {
			if !strings.Contains(page, roff("--"+f.Name)) {
				t.Errorf("the man page lacks --%s of %s", f.Name, command.Name)
			}
		}
	}
	for _, tool := range [][]string{{"mandoc", "-T", "lint", "-W", "warning"}, {"groff", "-man", "-ww", "-z"}} {
		t.Run(tool[0], func(t *testing.T) {
			path, err := exec.LookPath(tool[0])
			if err != nil {
				t.Skip("not installed")
			}
			cmd := exec.Command(path, tool[1:]...)
			cmd.Stdin = strings.NewReader(page)
			out, err := cmd.CombinedOutput()
			for line := range strings.Lines(string(out)) {
				if !strings.Contains(line, "missing date") { // the same build gives the same page
					t.Errorf("%s (%v)", line, err)
				}
			}
		})
	}
}

func TestCompletion(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "callsync.toml")
	text := "[receiver]\napi_keys = [\"k\"]\n[destinations.eu]\ntype = \"hubspot\"\naccess_token = \"env:NOT_IN_THIS_SHELL\"\n[destinations.us]\ntype = \"hubspot\"\naccess_token = \"t\"\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		shell string
		words []string
		want  []string
	}{
		{"zsh", []string{"re"}, []string{"resync", "reload", "readmit"}},
		{"zsh", []string{"calls", "--st"}, []string{"--state"}},
		{"zsh", []string{"calls", "--state", "s"}, []string{"synced", "skipped"}},
		{"zsh", []string{"calls", "--state=s"}, []string{"--state=synced", "--state=skipped"}},
		{"bash", []string{"calls", "--state", "=", "s"}, []string{"synced", "skipped"}},
		{"bash", []string{"calls", "--state", "="}, []string{"pending", "synced", "waiting", "retrying", "failed", "skipped"}},
		{"zsh", []string{"calls", "--result", "\"Goal"}, []string{"Goal Completed", "Goal Not Completed"}},
		{"zsh", []string{"-c", file, "pause", ""}, []string{"eu", "us"}},
		{"zsh", []string{"--config=" + file, "calls", "--destination", "u"}, []string{"us"}},
		{"zsh", []string{"setup", "--config", file, "eu", "u"}, []string{"us"}},
		{"zsh", []string{"sandbox", "--crm", ""}, []string{"hubspot", "salesforce", "both"}},
		{"zsh", []string{"completion", ""}, []string{"bash", "zsh", "fish"}},
		{"zsh", []string{"completion", "bash", ""}, nil},
		{"zsh", []string{"plan", "--file", ""}, []string{filesFit}},
		{"zsh", []string{"plan", "--file="}, []string{filesFit}},
		{"zsh", []string{"plan", "-f", ""}, []string{filesFit}},
		{"zsh", []string{"backup", "--force", ""}, []string{filesFit}},
		{"zsh", []string{"--config", ""}, []string{filesFit}},
		{"zsh", []string{"show", ""}, nil},
		{"zsh", []string{"nonsense", "--state", ""}, []string{"serve"}}, // a wrong word is passed over
		{"zsh", []string{"pause", "--config", file, "--", "e"}, []string{"eu"}},
		{"zsh", nil, nil},
	} {
		t.Run(strings.Join(c.words, " "), func(t *testing.T) {
			var out bytes.Buffer
			args := append([]string{completeCommand, c.shell}, c.words...)
			if code := run(context.Background(), args, nil, &out, io.Discard); code != 0 {
				t.Fatal("exit code", code)
			}
			var got []string
			for line := range strings.Lines(out.String()) {
				value, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
				got = append(got, value)
			}
			if slices.Equal(c.want, []string{"serve"}) {
				if !slices.Contains(got, "serve") {
					t.Errorf("%q does not offer the commands", got)
				}
				return
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%q, not %q", got, c.want)
			}
		})
	}
}

// TestShells asks the shells themselves.
func TestShells(t *testing.T) {
	for _, c := range []struct{ shell, script string }{
		{"bash", `source <(callsync completion bash)
COMP_WORDS=(callsync calls --state = f) COMP_CWORD=4; _callsync; printf '%s\n' "${COMPREPLY[@]}"
COMP_WORDS=(callsync calls --result G) COMP_CWORD=3; _callsync; printf '%s\n' "${COMPREPLY[@]}"
COMP_WORDS=(callsync backup "") COMP_CWORD=2; _callsync; echo "files: ${#COMPREPLY[@]}"
complete -p callsync`},
		{"fish", `callsync completion fish | source
complete -C 'callsync calls --state f'
complete -C 'callsync calls --result "Goal C'
complete -C 'callsync status --j'
complete -C 'callsync backup ./fi'`},
		// zsh completes only where somebody types.
		{"zsh", `zmodload zsh/zpty
zpty typed zsh -f -i
zpty -w typed 'PROMPT=; PROMPT2=; autoload -U compinit; compinit -u -D; zstyle ":completion:*" list-colors; source <(callsync completion zsh); echo rea''dy'
until [[ $line == *ready* ]]; do zpty -r typed line || exit 1; done
zpty -w -n typed $'echo got: callsync \b\b\b\b\b\b\b\b\b\b'
zpty -w -n typed $'\C-ucallsync calls --state fa\t\C-aecho got: \C-e\n'
until [[ $line == *got:*failed* ]]; do zpty -r typed line || exit 1; print -r -- $line; done`},
	} {
		t.Run(c.shell, func(t *testing.T) {
			shell, err := exec.LookPath(c.shell)
			if err != nil {
				t.Skip("not installed")
			}
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "file.db"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			script := filepath.Join(dir, "script")
			if err := os.WriteFile(script, []byte(c.script), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(ctx, shell, script)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "HOME="+dir, "TERM=dumb")
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, want := range map[string][]string{
				"bash": {"failed\n", `Goal\ Completed`, "files: 0", "-o default -F _callsync"},
				"fish": {"failed", "Goal Completed", "--json\tPrint JSON.", "file.db"},
				"zsh":  {"got: callsync calls --state failed"},
			}[c.shell] {
				if !strings.Contains(string(out), want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
		})
	}
}
