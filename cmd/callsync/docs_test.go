package main

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/callsync/callsync/config"
	"github.com/callsync/callsync/crm/sandbox"
	"github.com/callsync/callsync/crm/sandbox/salesforcesim"
	"github.com/callsync/callsync/julian"
)

// A fence is a fenced block of a document.
type fence struct {
	place    string // file:line of its first line
	language string
	text     string
}

func documents(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../deploy/*.md", "../../crm/*/README.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, files...)
	}
	if len(all) < 8 {
		t.Fatalf("only %q are there", all)
	}
	return all
}

func fences(t *testing.T, file string) []fence {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []fence
	var open *fence
	for i, line := range strings.Split(string(text), "\n") {
		switch language, fenced := strings.CutPrefix(line, "```"); {
		case fenced && open != nil:
			all = append(all, *open)
			open = nil
		case fenced:
			open = &fence{place: fmt.Sprintf("%s:%d", filepath.Base(file), i+2), language: language}
		case open != nil:
			open.text += line + "\n"
		}
	}
	if open != nil {
		t.Errorf("%s: a block is not closed", open.place)
	}
	return all
}

// TestDocumentsLoad loads every configuration that a document shows, and the
// mapping it means. Mappings are compiled by the tests of mappings.
func TestDocumentsLoad(t *testing.T) {
	n := 0
	for _, file := range documents(t) {
		if filepath.Base(file) == "mappings.md" {
			continue
		}
		for _, f := range fences(t, file) {
			if f.language != "toml" {
				continue
			}
			n++
			t.Run(f.place, func(t *testing.T) {
				text := f.text
				if !strings.Contains(text, "api_keys") {
					text = "[receiver]\napi_keys = [\"k\"]\n" + text
				}
				path := filepath.Join(t.TempDir(), "config.toml")
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				cfg, err := config.Load(path, config.WithoutSecrets())
				if err != nil {
					t.Fatal(err)
				}
				for _, d := range cfg.Destinations {
					if _, err := loadMapping(d); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	if n < 10 {
		t.Errorf("only %d configurations were found", n)
	}
}

var inlineCommand = regexp.MustCompile("`(callsync [^`]+)`")

// TestDocumentsCommands finds commands and flags that callsync does not have, in
// blocks and in running text.
func TestDocumentsCommands(t *testing.T) {
	n := 0
	for _, file := range documents(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := inlineCommand.FindAllStringSubmatch(strings.ReplaceAll(string(text), "\n", " "), -1)
		for _, f := range fences(t, file) {
			for line := range strings.Lines(f.text) {
				line = strings.TrimSpace(line)
				switch {
				case f.language == "console" && strings.HasPrefix(line, "$ "):
					line = line[2:]
				case f.language != "" && f.language != "sh":
					continue
				}
				if strings.Contains(line, "callsync ") {
					lines = append(lines, []string{line, line})
				}
			}
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			for _, m := range lines {
				n++
				if _, named := examples[strings.TrimPrefix(m[1], "callsync ")]; named {
					continue // a command's name, without the arguments it needs
				}
				understood(t, m[1])
			}
		})
	}
	if n < 60 {
		t.Errorf("only %d commands were found", n)
	}
}

// TestDocumentsListInterimResults: whoever asks why a call waits reads which results
// are not final.
func TestDocumentsListInterimResults(t *testing.T) {
	var interim []string
	for _, r := range julian.ResultTypes() {
		if r.Interim() {
			interim = append(interim, "`"+string(r)+"`")
		}
	}
	last := len(interim) - 1
	want := strings.Join(interim[:last], ", ") + " and " + interim[last]
	for _, file := range []string{"../../docs/operations.md", "../../docs/mappings.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), want) {
			t.Errorf("%s does not list %s", file, want)
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)#\s]*)(?:#([^)\s]*))?\)`)

// TestDocumentsLinks follows the links within the project.
func TestDocumentsLinks(t *testing.T) {
	for _, file := range documents(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			target := m[1]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			path := file
			if target != "" {
				path = filepath.Join(filepath.Dir(file), target)
			}
			there, err := os.ReadFile(path)
			if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
				continue
			}
			if err != nil {
				t.Errorf("%s links to %s: %v", filepath.Base(file), target, err)
				continue
			}
			if m[2] != "" && !slices.Contains(anchors(string(there)), m[2]) {
				t.Errorf("%s links to %s#%s, which is no heading", filepath.Base(file), target, m[2])
			}
		}
	}
}

// anchors are a document's headings as links name them.
func anchors(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			heading := strings.ToLower(strings.TrimSpace(strings.TrimLeft(line, "#")))
			heading = regexp.MustCompile("[^a-z0-9 _-]").ReplaceAllString(heading, "")
			all = append(all, strings.ReplaceAll(heading, " ", "-"))
		}
	}
	return all
}

// TestTranscripts types what the documents show, and compares what comes back.
func TestTranscripts(t *testing.T) {
	t.Run("getting-started", func(t *testing.T) {
		play(t, "../../docs/getting-started.md", t.TempDir())
	})
	t.Run("hubspot", func(t *testing.T) {
		account := httptest.NewServer(newAccount())
		t.Cleanup(account.Close)
		dir := t.TempDir()
		if _, err := writeConfig(dir, account.URL, ""); err != nil {
			t.Fatal(err)
		}
		play(t, "../../docs/hubspot.md", dir)
	})
	t.Run("salesforce", func(t *testing.T) {
		settings := salesforcesim.DefaultSettings()
		settings.SearchLag = sandbox.Duration(50 * time.Millisecond)
		org := httptest.NewServer(salesforcesim.New(salesforcesim.Options{Settings: &settings}))
		t.Cleanup(org.Close)
		dir := t.TempDir()
		text := "[receiver]\nlisten = \"127.0.0.1:0\"\napi_keys = [\"k\"]\n\n" + fmt.Sprintf(sandboxes["salesforce"].snippet, org.URL, "100ms")
		if err := os.WriteFile(filepath.Join(dir, "config.toml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		play(t, "../../docs/salesforce.md", dir)
	})
}

// TestReadmeDemo compares the demo with what the README shows of it: the ports,
// the time and the requests it takes differ from run to run.
func TestReadmeDemo(t *testing.T) {
	var shown string
	for _, f := range fences(t, "../../README.md") {
		for _, c := range commandsIn(f.text) {
			if c.line == "go run ./cmd/callsync demo" {
				shown = c.shown
			}
		}
	}
	if shown == "" {
		t.Fatal("the README does not show the demo")
	}
	out, err := exec.Command("callsync", "demo").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ports := regexp.MustCompile(`127\.0\.0\.1:\d+`)
	took := regexp.MustCompile(`\bin \d+(\.\d+)?m?s\b`)
	counts := regexp.MustCompile(`\d+ requests`)
	requests := regexp.MustCompile(`(?s)That took .*?\n\n`)
	same := func(s string) string {
		s = counts.ReplaceAllString(s, "… requests")
		s = requests.ReplaceAllString(ports.ReplaceAllString(s, "127.0.0.1:PORT"), "That took …\n\n")
		s = took.ReplaceAllString(s, "in …")
		return columnGap.ReplaceAllString(s, "  ")
	}
	if got, want := same(string(out)), same(shown); got != want {
		t.Errorf("%s\n\ncallsync demo shows\n%s", firstDifference(want, got), out)
	}
}

// usualPorts are those the documents use.
var usualPorts = []string{"8801", "8802", "8080"}

// play goes through a document in a folder: what is said to be a file's content
// is written, what is typed is run, and what it shows is compared. In what is
// shown, … stands for anything, on a line of its own for any lines.
func play(t *testing.T, document, dir string) {
	for _, tool := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool + " is not installed")
		}
	}
	var ports []string
	for _, usual := range usualPorts {
		port, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, usual, port)
	}
	replaced := strings.NewReplacer(ports...)
	t.Setenv("CALLSYNC_CONFIG", "")
	typed := 0
	writes := strings.Contains(document, "getting-started")
	for _, f := range fences(t, document) {
		text := replaced.Replace(f.text)
		switch file := map[string]string{"toml": "config.toml", "json": "payload.json"}[f.language]; {
		case file != "" && writes:
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		case f.language == "console":
			for _, c := range commandsIn(text) {
				typed++
				if c.line == "callsync sandbox" {
					c.line += replaced.Replace(" --listen 127.0.0.1:8801")
				}
				c.run(t, f.place, dir)
			}
		}
	}
	if typed == 0 {
		t.Error("nothing was typed")
	}
}

// A typedCommand is a line after a $ and what follows it.
type typedCommand struct{ line, shown string }

func commandsIn(text string) (all []typedCommand) {
	for line := range strings.Lines(text) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			all = append(all, typedCommand{line: strings.TrimSpace(command)})
		} else if n := len(all); n > 0 {
			all[n-1].shown += line
		}
	}
	return all
}

// columnGap is between columns, whose widths differ from day to day.
var columnGap = regexp.MustCompile("  +")

// pattern matches what a document shows.
func (c typedCommand) pattern() *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`^`)
	for line := range strings.Lines(c.shown) {
		line = strings.TrimRight(line, " \n")
		if line == "…" {
			b.WriteString(`(?:.*\n)*?`)
			continue
		}
		line = columnGap.ReplaceAllString(regexp.QuoteMeta(line), " +")
		b.WriteString(strings.ReplaceAll(line, "…", ".*?") + ` *\n`)
	}
	b.WriteString(`$`)
	return regexp.MustCompile(b.String())
}

func (c typedCommand) run(t *testing.T, place, dir string) {
	t.Helper()
	want := c.pattern()
	if strings.HasPrefix(c.line, "callsync sandbox") || strings.HasPrefix(c.line, "callsync serve") {
		c.stay(t, place, dir, want)
		return
	}
	var out string
	once := func() bool {
		cmd := exec.Command("bash", "-c", c.line)
		cmd.Dir = dir
		b, _ := cmd.CombinedOutput()
		out = string(b)
		if out != "" && !strings.HasSuffix(out, "\n") {
			out += "\n"
		}
		return want.MatchString(out)
	}
	// What only looks may have to look again.
	looks := regexp.MustCompile(`^callsync (status|calls|show|check)`).MatchString(c.line)
	for limit := time.Now().Add(30 * time.Second); !once(); time.Sleep(50 * time.Millisecond) {
		if !looks || time.Now().After(limit) {
			t.Fatalf("%s: $ %s\nshows\n%s\nand not\n%s", place, c.line, out, c.shown)
		}
	}
}

// stay runs what is left running in a terminal of its own.
func (c typedCommand) stay(t *testing.T, place, dir string, want *regexp.Regexp) {
	t.Helper()
	log, err := os.Create(filepath.Join(dir, strings.ReplaceAll(c.line, " ", "-")+".log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "-c", "exec "+c.line)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %s ended with %v", place, c.line, err)
		}
		log.Close()
	})
	err = await(c.line, 30*time.Second, func(context.Context) (bool, error) {
		out, err := os.ReadFile(log.Name())
		return len(out) > 0 && want.Match(out), fmt.Errorf("it shows\n%s (%v)", out, err)
	})
	if err == nil && strings.HasPrefix(c.line, "callsync serve") {
		err = awaitReady(filepath.Join(dir, "config.toml"))
	}
	if err != nil {
		t.Fatalf("%s: %v", place, err)
	}
}
