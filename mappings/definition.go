package mappings

import (
	"slices"
	"strings"

	"github.com/callsync/callsync/crm"
)

// A definition is what one mapping file says, compiled.
type definition struct {
	options  map[string]any
	contact  *contactRule
	blocks   []blockRule
	routes   []routeRule
	declared []crm.Property
	compared []comparison
	usesRaw  bool
}

type contactRule struct {
	objects  []string
	match    []matchRule
	create   *createRule
	fields   []fieldRule
	unlinked bool
	pos      crm.Pos // of `object`
}

type matchRule struct {
	property string
	kind     crm.MatchKind
	value    source
	pos      crm.Pos
}

// A createRule is `create`: a constant when when is nil.
type createRule struct {
	object string // "" means nobody
	when   *program
	pos    crm.Pos
}

type fieldRule struct {
	name   string
	object string
	value  source
	write  crm.WriteMode
	pos    crm.Pos
}

// A source gives a value: an expression, or a constant of the file.
type source struct {
	expr     *program
	constant any
	text     string // as written, for explanations
}

// ofItem reports whether the value is made of the item of a list.
func (s source) ofItem() bool {
	return s.expr != nil && slices.ContainsFunc(s.expr.reads, func(name string) bool { return name == "item" || strings.HasPrefix(name, "item.") })
}

type blockRule struct {
	key     string
	object  string
	when    *program
	forEach *program
	fields  []fieldRule
	links   []crm.Relation
	// What becomes of a record that the mapping no longer yields; see [crm.Record].
	keep, keepEdited bool
	pos              crm.Pos
}

type routeRule struct {
	when    *program
	mapping *node
	to      *Mapping
	skip    string
	pos     crm.Pos
}
