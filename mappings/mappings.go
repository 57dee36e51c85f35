// Package mappings turns calls into the CRM records that should exist, by rules
// that users edit: it loads a mapping file, compiles and type-checks its
// expressions, and renders calls with it.
//
// Rendering is deterministic and offline: the same call and the same mapping
// version give the same records, whatever a CRM holds; what only the CRM knows
// (an owner's id) is rendered as a lookup. Nothing here sends a request, reads
// the journal or knows what was applied before.
package mappings

import (
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
)

// Options are switches from the configuration that a mapping's [options] table
// declares with defaults, such as transcript = true.
type Options map[string]any

// A Mapping is a compiled mapping file. It is immutable and safe for concurrent
// use.
type Mapping struct {
	// to be filled in
}

// Render says what should stand in the CRM because of c. received is when the
// call was first delivered; it orders calls that have no scheduledAt. The error
// names the place in the file and the call.
func (m *Mapping) Render(c *julian.Call, received time.Time) (*crm.Desired, error) {
	panic("not yet")
}

// Version identifies the mapping: a short hash of its source and options.
func (m *Mapping) Version() string { panic("not yet") }

// Name is the file's path as given, or "hubspot.toml (built in)".
func (m *Mapping) Name() string { panic("not yet") }

// Source is the file's content.
func (m *Mapping) Source() []byte { panic("not yet") }

// Declared lists the custom properties that the file declares in [[property]]
// tables, for `callsync setup` to create.
func (m *Mapping) Declared() []crm.Property { panic("not yet") }

// Load reads and compiles a file.
func Load(path string, o Options) (*Mapping, error) { panic("not yet") }

// Parse compiles source; name stands for the file in errors.
func Parse(name string, source []byte, o Options) (*Mapping, error) { panic("not yet") }

// Builtin compiles the mapping shipped for a destination type.
func Builtin(destinationType string, o Options) (*Mapping, error) { panic("not yet") }
