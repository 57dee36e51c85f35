package julian

import "encoding/json"

// A tape is a JSON value, each part followed by its own parts. It costs one
// allocation where maps and lists take one for nearly every part.
type tape []part

type part struct {
	key  string // of an object's member
	text string // of a string or a number
	next uint32 // the index behind the part and its own parts
	kind kind
}

type kind uint8

const (
	null kind = iota
	yes
	no
	number
	text
	list
	object
)

func (k kind) String() string {
	return [...]string{"null", "true or false", "true or false", "a number", "a string", "a list", "an object"}[k]
}

func (t tape) add(key string, k kind, text string) tape {
	return append(t, part{key: key, text: text, next: uint32(len(t) + 1), kind: k})
}

// end closes the list or object at i.
func (t tape) end(i int) { t[i].next = uint32(len(t)) }

// find returns where the member of the object at i is, 0 when it has none: what
// is at 0 is no member.
func (t tape) find(i int, key string) int {
	found := 0
	for c := i + 1; c < int(t[i].next); c = int(t[c].next) {
		if t[c].key == key {
			found = c
		}
	}
	return found
}

// parts counts those of the list or object at i.
func (t tape) parts(i int) int {
	n := 0
	for c := i + 1; c < int(t[i].next); c = int(t[c].next) {
		n++
	}
	return n
}

// value returns what is at i as encoding/json does with UseNumber.
func (t tape) value(i int) any {
	switch p := &t[i]; p.kind {
	case yes, no:
		return p.kind == yes
	case number:
		return json.Number(p.text)
	case text:
		return p.text
	case list:
		items := make([]any, 0, t.parts(i))
		for c := i + 1; c < int(p.next); c = int(t[c].next) {
			items = append(items, t.value(c))
		}
		return items
	case object:
		return t.members(i)
	default:
		return nil
	}
}

func (t tape) members(i int) map[string]any {
	m := make(map[string]any, t.parts(i))
	for c := i + 1; c < int(t[i].next); c = int(t[c].next) {
		m[t[c].key] = t.value(c)
	}
	return m
}
