package crm

import "context"

// An Inspector is a Destination that can describe its account. `callsync check`
// and `callsync setup` use it; the sync loop does not.
type Inspector interface {
	// Schema describes an object type. A type the CRM does not have answers an
	// error of kind Permanent.
	Schema(ctx context.Context, object string) (*Schema, error)

	// SetupPlan lists what the account lacks: callsync's own key properties and
	// those a mapping declares. Where [KeyProperty] is declared the connector puts
	// its key as the CRM wants it; an object that the CRM does not have, and of
	// which nothing else is declared, is left out. Nothing is written.
	SetupPlan(ctx context.Context, declared []Property) ([]SetupStep, error)

	// Setup carries out steps in order and stops at the first error. A step
	// that turns out to be done already is no error.
	Setup(ctx context.Context, steps []SetupStep) error

	// Probe finds out, with a record that it removes again, what documents
	// cannot tell. Each line of the answer is for people.
	Probe(ctx context.Context) ([]Finding, error)
}

// A Schema describes an object type in one account.
type Schema struct {
	Object     string
	Properties map[string]Property
}

// A Property describes one property, or one that should be created.
type Property struct {
	Object  string
	Name    string
	Label   string
	Type    PropertyType
	Unique  bool
	MaxLen  int      // in characters; 0 when unlimited or unknown
	Options []Option // for Enum
	// OpenOptions means values outside Options are accepted as well.
	OpenOptions bool
	ReadOnly    bool // never writable
	CreateOnly  bool // writable only when the record is created
	Required    bool // must be given when the record is created
	Description string
	Pos         Pos // where a mapping declares it
}

// An Option is one allowed value.
type Option struct {
	Value string
	Label string
}

// A PropertyType is a neutral property type.
type PropertyType string

const (
	TypeString   PropertyType = "string"
	TypeText     PropertyType = "text" // several lines
	TypeNumber   PropertyType = "number"
	TypeBool     PropertyType = "bool"
	TypeDate     PropertyType = "date"
	TypeDateTime PropertyType = "datetime"
	TypeEnum     PropertyType = "enum"
	TypeRef      PropertyType = "reference" // the id of another record
)

// A SetupStep is one thing `callsync setup` would create.
type SetupStep struct {
	Kind     string   `json:"kind"` // "group", "property", "permission"
	Object   string   `json:"object"`
	Name     string   `json:"name"`
	Text     string   `json:"text"` // for people: "unique text property callsync_key on calls"
	Property Property `json:"-"`
}

// A Finding is something a probe learnt.
type Finding struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Text string `json:"text"`
}

// KeyProperty and PersonKeyProperty name the custom properties that carry
// callsync's keys, on activities and on people. Connectors whose CRM wants a
// suffix add it.
const (
	KeyProperty       = "callsync_key"
	PersonKeyProperty = "callsync_contact_key"
)
