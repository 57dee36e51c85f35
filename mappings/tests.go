package mappings

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
)

// Endings of the files of a mapping test: the payload, and the outline of the
// records it should give.
const (
	payloadEnding = ".json"
	wantEnding    = ".want"
)

// testReceived is when the calls of mapping tests come in.
var testReceived = time.Date(2025, 1, 1, 12, 0, 0, 0, time.UTC)

// A TestResult is the outcome of one mapping test.
type TestResult struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Text says what is wrong: lines that are missing begin with "-", lines
	// that are too many with "+".
	Text string `json:"text,omitempty"`
}

// RunTests renders the payloads of a folder (NAME.json) and compares the
// outlines with the expected ones beside them: NAME.hubspot.want for a mapping
// hubspot.toml, else NAME.want. A payload for which only other mappings expect
// something is left out. A folder that does not exist holds no tests.
func (m *Mapping) RunTests(dir string) ([]TestResult, error) {
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the mapping tests: %w", err)
	}
	var results []TestResult
	for _, e := range entries {
		name, isPayload := strings.CutSuffix(e.Name(), payloadEnding)
		if !isPayload || e.IsDir() {
			continue
		}
		path := filepath.Join(dir, name)
		want := m.wantFile(path)
		if others, _ := filepath.Glob(path + ".*" + wantEnding); want == "" && len(others) > 0 {
			continue
		}
		r := TestResult{Name: name}
		if r.Text, err = m.runTest(path+payloadEnding, cmp.Or(want, path+wantEnding)); err != nil {
			r.Text = err.Error()
		}
		r.OK = r.Text == ""
		results = append(results, r)
	}
	return results, nil
}

// ownWant is where what this mapping in particular should give is kept.
func (m *Mapping) ownWant(path string) string {
	base := filepath.Base(m.name)
	return path + "." + strings.TrimSuffix(base, filepath.Ext(base)) + wantEnding
}

// wantFile is where what the mapping should give is kept; "" when it is nowhere.
func (m *Mapping) wantFile(path string) string {
	for _, file := range []string{m.ownWant(path), path + wantEnding} {
		if _, err := os.Stat(file); err == nil {
			return file
		}
	}
	return ""
}

func (m *Mapping) runTest(payloadFile, wantFile string) (difference string, err error) {
	payload, err := os.ReadFile(payloadFile)
	if err != nil {
		return "", err
	}
	got, err := m.outlineOf(payload)
	if err != nil {
		return "", err
	}
	want, err := os.ReadFile(wantFile)
	if err != nil {
		return "", err
	}
	return differenceOf(strings.ReplaceAll(string(want), "\r\n", "\n"), got), nil
}

func (m *Mapping) outlineOf(payload []byte) (string, error) {
	c, err := julian.Parse(payload)
	if err != nil {
		return "", err
	}
	d, err := m.Render(c, testReceived)
	if err != nil {
		return "", err
	}
	return Outline(d), nil
}

// WriteTest makes a test of a payload, with what the mapping gives now as what
// it should give, and returns where that is written. It replaces a test of that
// name; of the same payload, other mappings may expect something else.
func (m *Mapping) WriteTest(dir, name string, payload []byte) (wantFile string, err error) {
	if name == "" || name != filepath.Base(name) {
		return "", fmt.Errorf("%q cannot be the name of a test", name)
	}
	want, err := m.outlineOf(payload)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	// The payload holds personal data.
	if err := os.WriteFile(path+payloadEnding, payload, 0o600); err != nil {
		return "", err
	}
	return m.ownWant(path), os.WriteFile(m.ownWant(path), []byte(want), 0o600)
}

// Outline writes what d wants, a property a line, for people to read and to
// compare. It does not hold places in the mapping file, so that an edit that
// changes no record changes no outline.
func Outline(d *crm.Desired) string {
	var b strings.Builder
	fmt.Fprintf(&b, "call %s at %s", d.CallID, d.At.Format(time.RFC3339Nano))
	if d.Interim {
		b.WriteString(", interim")
	}
	b.WriteByte('\n')
	if d.Skip != "" {
		fmt.Fprintf(&b, "skipped: %s\n", d.Skip)
	}
	if p := d.Person; len(p.Objects) > 0 {
		outlinePerson(&b, p)
	}
	for _, r := range d.Records {
		fmt.Fprintf(&b, "\n%s in %s\n", r.Key, r.Object)
		for _, l := range r.Links {
			fmt.Fprintf(&b, "  linked to %s:%s\n", l.Object, l.Which)
		}
		if r.Keep {
			b.WriteString("  kept when no longer wanted\n")
		}
		if r.KeepEdited {
			b.WriteString("  kept when no longer wanted, if a person has changed it\n")
		}
		outlineFields(&b, r.Fields)
	}
	for _, w := range d.Warnings {
		fmt.Fprintf(&b, "\nwarning: %s\n", w)
	}
	return b.String()
}

func outlinePerson(b *strings.Builder, p crm.Person) {
	fmt.Fprintf(b, "\nperson in %s\n", strings.Join(p.Objects, " or "))
	for _, m := range p.Match {
		name := m.Property
		if m.Kind == crm.MatchID {
			name = "id"
		}
		fmt.Fprintf(b, "  found by %s %s\n", name, strconv.QuoteToGraphic(m.Value))
	}
	if p.Create != "" {
		fmt.Fprintf(b, "  else created in %s with key %s\n", p.Create, strconv.QuoteToGraphic(p.Key))
	} else {
		fmt.Fprintf(b, "  not created: %s\n", whyNot(p.WhyNot))
	}
	if p.Unlinked {
		b.WriteString("  records are written without a person, if need be\n")
	}
	outlineFields(b, p.Fields)
}

// whyNot leaves the place in the file out of a reason.
func whyNot(reason string) string {
	if strings.HasPrefix(reason, "`create` at ") {
		return "`create` says no"
	}
	return reason
}

func outlineFields(b *strings.Builder, fields []crm.Field) {
	for _, f := range fields {
		name := f.Name
		if f.Object != "" {
			name = f.Object + "." + name
		}
		value := f.Value.String()
		switch f.Value.Kind {
		case crm.Null:
			value = "nothing"
		case crm.String:
			value = strconv.QuoteToGraphic(value)
		}
		fmt.Fprintf(b, "  %s (%s) = %s\n", name, f.Write, value)
	}
}

// differenceOf lists the lines that two texts do not share; "" when they are the
// same.
func differenceOf(want, got string) string {
	if want == got {
		return ""
	}
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	// common[i][j] is how many lines a[i:] and b[j:] share in order.
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := range slices.Backward(a) {
		for j := range slices.Backward(b) {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out strings.Builder
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			fmt.Fprintf(&out, "- %s\n", a[i])
			i++
		default:
			fmt.Fprintf(&out, "+ %s\n", b[j])
			j++
		}
	}
	return out.String()
}
