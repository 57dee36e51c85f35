package salesforce

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/simpleforce/simpleforce"

	"github.com/callsync/callsync/crm"
)

// maxHops bounds a chain of merges and conversions.
const maxHops = 8

// A row is a record as a query returned it.
type row struct {
	ref      crm.Ref
	deleted  bool
	modified time.Time
	created  time.Time
	// next is the record that took this one's place, if one did.
	next   crm.Ref
	fields simpleforce.SObject
}

// current is the record that answers for r now, as far as r knows.
func (r row) current() crm.Ref {
	if r.next.IsZero() {
		return r.ref
	}
	return r.next
}

// The columns that rows are read with, where the object has them: all rows, and
// those of people, who may become others.
var (
	rowColumns    = []string{"IsDeleted", "LastModifiedDate", "CreatedDate"}
	personColumns = []string{"MasterRecordId", "IsConverted", "ConvertedContactId", "IsPersonAccount", "AccountId"}
)

// selectColumns are the columns to read an object's rows with, the named
// properties among them as far as the object has them.
func selectColumns(d *description, properties ...string) []string {
	names := slices.Concat(properties, rowColumns)
	if isPerson(d.object) {
		names = append(names, personColumns...)
	}
	cols := []string{"Id"}
	for _, name := range d.columns(names...) {
		if name != "Id" {
			cols = append(cols, name)
		}
	}
	return cols
}

func newRow(d *description, fields simpleforce.SObject) row {
	id, _ := id18(stringOf(fields["Id"]))
	r := row{ref: crm.Ref{Object: d.object, ID: id}, fields: fields}
	r.deleted = truth(fields["IsDeleted"])
	r.modified = instant(fields["LastModifiedDate"])
	r.created = instant(fields["CreatedDate"])
	if master, ok := id18(stringOf(fields["MasterRecordId"])); ok && r.deleted {
		r.next = crm.Ref{Object: d.object, ID: master}
	}
	if person, ok := id18(stringOf(fields["ConvertedContactId"])); ok && truth(fields["IsConverted"]) {
		r.next = crm.Ref{Object: contact, ID: person}
	}
	// The contact inside a Person Account is written through its account.
	if account, ok := id18(stringOf(fields["AccountId"])); ok && d.object == contact && truth(fields["IsPersonAccount"]) && !r.deleted {
		r.next = crm.Ref{Object: personAccount, ID: account}
	}
	return r
}

// load reads records by id and follows merges and conversions to the record
// that answers now. A record that is deleted, or not there, is absent from the
// answer.
func (c *Connector) load(ctx context.Context, refs []crm.Ref, properties []string) (map[crm.Ref]row, error) {
	at := map[crm.Ref]crm.Ref{} // where each ref's chain has got to
	for _, r := range refs {
		if id, ok := id18(r.ID); ok {
			at[r] = crm.Ref{Object: r.Object, ID: id}
		}
	}
	seen := map[crm.Ref]row{}
	out := map[crm.Ref]row{}
	for hop := 0; hop < maxHops && len(at) > 0; hop++ {
		if err := c.loadInto(ctx, seen, at, properties); err != nil {
			return nil, err
		}
		for asked, current := range at {
			r, ok := seen[current]
			switch {
			case !ok:
				delete(at, asked)
			case !r.next.IsZero():
				at[asked] = r.next
			default:
				if !r.deleted {
					out[asked] = r
				}
				delete(at, asked)
			}
		}
	}
	return out, nil
}

// loadInto reads the rows that at points to and seen lacks.
func (c *Connector) loadInto(ctx context.Context, seen map[crm.Ref]row, at map[crm.Ref]crm.Ref, properties []string) error {
	wanted := map[string][]string{}
	for _, r := range at {
		if _, ok := seen[r]; !ok {
			wanted[r.Object] = append(wanted[r.Object], r.ID)
		}
	}
	for object, ids := range wanted {
		d, err := c.catalog.get(ctx, object, nil)
		if isAbsent(err) {
			continue
		}
		if err != nil {
			return err
		}
		s := selection{columns: selectColumns(d, properties...), from: d.table}
		found, err := c.query(ctx, object+" query", s, idConditions("Id", ids), true)
		if err != nil {
			return err
		}
		for _, fields := range found {
			r := newRow(d, fields)
			if object == personAccount && !truth(fields["IsPersonAccount"]) {
				continue
			}
			seen[r.ref] = r
		}
	}
	return nil
}

// query runs a selection, in as many statements as it takes. With all set,
// deleted and archived rows are among the answers. A field that is refused was
// taken away since the object was described: the descriptions are dropped, and
// the error is one that passes.
func (c *Connector) query(ctx context.Context, op string, s selection, conditions []condition, all bool) ([]simpleforce.SObject, error) {
	var out []simpleforce.SObject
	for _, statement := range s.statements(conditions) {
		rows, err := c.client.query(ctx, op, statement, all)
		if err != nil {
			return nil, c.stale(err)
		}
		out = append(out, rows...)
	}
	return out, nil
}

func (c *Connector) stale(err error) error {
	var e *crm.Error
	if errors.As(err, &e) && e.Code == "INVALID_FIELD" {
		c.catalog.forget()
		e.Kind = crm.Transient
	}
	return err
}

// Read implements [crm.Destination].
func (c *Connector) Read(ctx context.Context, refs []crm.Ref, properties []string) ([]crm.Snapshot, error) {
	rows, err := c.load(ctx, refs, properties)
	if err != nil {
		return nil, err
	}
	out := make([]crm.Snapshot, len(refs))
	for i, ref := range refs {
		r, ok := rows[ref]
		if !ok {
			out[i].Gone = true
			continue
		}
		d, err := c.catalog.get(ctx, r.ref.Object, nil)
		if err != nil {
			return nil, err
		}
		out[i] = crm.Snapshot{Ref: r.ref, Modified: r.modified, Properties: map[string]string{}}
		for _, p := range properties {
			if f, ok := d.fields[p]; ok {
				if v := text(r.fields[f.Name]); v != "" {
					out[i].Properties[p] = v
				}
			}
		}
	}
	return out, nil
}

// text is a JSON value as crm.Same understands it.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return ""
	}
}

func stringOf(v any) string {
	s, _ := v.(string)
	return s
}

func truth(v any) bool {
	b, _ := v.(bool)
	return b
}

func instant(v any) time.Time {
	t, err := crm.ParseTime(stringOf(v))
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
