package erasure

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/store/bolt"
)

func TestSubject(t *testing.T) {
	for _, s := range []Subject{
		{}, {Phone: "+14155550123", Email: "a@example.com"}, {Call: "c", Email: "a@example.com"},
		{Phone: "4155550123"}, {Phone: "call me"}, {Email: "nobody"}, {Email: "@example.com"}, {Email: "a b@example.com"},
	} {
		if err := s.Check(); !errors.Is(err, ErrSubject) {
			t.Errorf("%+v: %v, want ErrSubject", s, err)
		}
	}
	for _, s := range []Subject{{Phone: "+1 (415) 555-0123"}, {Email: " Jane@Example.com "}, {Call: "call.1"}} {
		if err := s.Check(); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

func TestSight(t *testing.T) {
	phone, email := Subject{Phone: "+1 415 555 0123"}, Subject{Email: "Jane@example.com"}
	tests := []struct {
		subject Subject
		body    string
		want    sight
	}{
		{phone, `{"callId":"c","phoneNumber":"+14155550123"}`, theirs},
		{phone, `{"callId":"c","phoneNumber":"(415) 555-0123 ext. 7"}`, theirs},
		{phone, `{"callId":"c","phoneNumber":"\u002b1 415\u2013555\u20130123"}`, theirs},
		{phone, `{"callId":"c","customInputVariables":{"mobile":14155550123}}`, theirs},
		{phone, `{"callId":"c","phoneNumber":"+14155550124"}`, absent},
		{phone, `{"callId":"c","phoneNumber":"+444155550123"}`, mentioned},
		{phone, `{"callId":"c","fromPhoneNumber":"+14155550123"}`, mentioned},
		{phone, `{"callId":"c","callResult":{"summary":"Call 415-555-0123 after five."}}`, mentioned},
		{phone, `{"callId":"c","callResult":{"summary":"In 415 cases of 555, 0123 was dialled."}}`, absent},
		{phone, `{"phoneNumber":"+1 415 555`, absent},
		{phone, `{"phoneNumber":"+1 415 555 0123`, mentioned},
		{email, `{"callId":"c","customInputVariables":{"email":"JANE@Example.com"}}`, theirs},
		{email, `{"callId":"c","customInputVariables":{"email":"jane\u0040example.com"}}`, theirs},
		{email, `{"callId":"c","crmSchedulingDetails":{"to":["x@example.com","jane@example.com"]}}`, theirs},
		{email, `{"callId":"c","customInputVariables":{"email":"mary-jane@example.com"}}`, absent},
		{email, `{"callId":"c","customInputVariables":{"email":"jane@example.community"}}`, absent},
		{email, `{"callId":"c","callResult":{"transcription":"It is jane@example.com."}}`, mentioned},
		{email, `{"callId":"c","callResult":{"followUpMeetingDetails":{"hostEmail":"jane@example.com"}}}`, mentioned},
		{email, `{"callId":"c","jane@example.com":true}`, mentioned},
		{email, `["jane@example.com"]`, theirs},
		{phone, `[14155550123]`, theirs},
		{Subject{Call: "call.1"}, `{"callId":"call.1"`, mentioned},
		{Subject{Call: "call.1"}, `{"callId":"call.10"`, absent},
	}
	for _, x := range tests {
		m, err := x.subject.matcher()
		if err != nil {
			t.Fatal(err)
		}
		if got := m.body([]byte(x.body)); got != x.want {
			t.Errorf("%+v in %s: %d, want %d", x.subject, x.body, got, x.want)
		}
	}
}

var start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// A world is a journal whose helpers fail the test.
type world struct {
	*bolt.Journal
	t *testing.T
}

func open(t *testing.T) *world {
	j, err := bolt.Open(filepath.Join(t.TempDir(), "journal.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{j, t}
	w.ok(j.Enroll(t.Context(), []string{"hubspot", "salesforce"}))
	return w
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) call(id, body string) {
	w.t.Helper()
	c, err := julian.Parse([]byte(body))
	w.ok(err)
	_, err = w.Deliver(w.t.Context(), store.Delivery{At: start, Status: 200, CallID: id, Hash: body, Body: []byte(body), Call: c})
	w.ok(err)
}

// attach syncs a call to a person, with one record.
func (w *world) attach(destination, id string, person crm.Ref) {
	w.t.Helper()
	works, err := w.Load(w.t.Context(), destination, []string{id})
	w.ok(err)
	s := works[0].State
	s.Status, s.Done, s.Next = store.Synced, s.Wanted, time.Time{}
	s.Person = &store.Choice{Ref: person}
	w.ok(w.Apply(w.t.Context(), destination, store.Update{
		States:  map[string]store.State{id: s},
		Records: map[string][]store.Record{id: {{Key: id + "#call", Object: "calls", ID: "of " + id}}},
	}))
}

func (w *world) find(s Subject) *Finding {
	w.t.Helper()
	f, err := Find(w.t.Context(), w, s, nil)
	w.ok(err)
	return f
}

func numbered(id, phone string) string {
	return fmt.Sprintf(`{"callId":%q,"phoneNumber":%q}`, id, phone)
}

func contact(id string) crm.Ref { return crm.Ref{Object: "contacts", ID: id} }

// Everything that leads to a person is found: other numbers, other
// destinations, who they were before a merge; and nothing of others.
func TestFindFollows(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	w.call("by number", numbered("by number", "+14155550101"))
	w.call("by their other number", numbered("by their other number", "+14155550102"))
	w.call("before the merge", numbered("before the merge", "+14155550103"))
	w.call("at salesforce alone", numbered("at salesforce alone", "+14155550104"))
	w.call("of another", numbered("of another", "+14155550105"))
	w.attach("hubspot", "by number", contact("jane"))
	w.attach("hubspot", "by their other number", contact("jane"))
	w.attach("hubspot", "before the merge", contact("old jane"))
	w.attach("hubspot", "of another", contact("joe"))
	w.attach("salesforce", "before the merge", contact("Jane"))
	w.attach("salesforce", "at salesforce alone", contact("Jane"))
	w.ok(w.Apply(ctx, "hubspot", store.Update{
		Moved: map[crm.Ref]crm.Ref{contact("old jane"): contact("jane")},
		Identities: map[string]store.Identity{
			"phone:+14155550101": {Ref: contact("jane")}, "email:jane@example.com": {Ref: contact("jane")},
			"phone:+14155550105": {Ref: contact("joe")},
		},
		People: map[crm.Ref]store.Person{contact("joe"): {Claims: map[string][]store.Claim{
			"phone": {{Call: "by number", Value: crm.Str("+14155550101")}, {Call: "of another", Value: crm.Str("+14155550105")}},
		}}},
	}))
	f := w.find(Subject{Phone: "+14155550101"})
	if want := []string{"at salesforce alone", "before the merge", "by number", "by their other number"}; !slices.Equal(f.Calls, want) {
		t.Errorf("calls %q, want %q", f.Calls, want)
	}
	want := map[string][]crm.Ref{"hubspot": {contact("jane"), contact("old jane")}, "salesforce": {contact("Jane")}}
	if diff := cmp.Diff(want, f.People); diff != "" {
		t.Error(diff)
	}
	sum, err := f.FromJournal(ctx, w)
	w.ok(err)
	if sum.Calls != 4 || sum.Records != 5 || sum.Identities != 2 {
		t.Errorf("erased %+v", sum)
	}
	left, err := w.People(ctx, "hubspot", []crm.Ref{contact("jane"), contact("old jane"), contact("joe")})
	w.ok(err)
	rest := map[crm.Ref]store.Person{contact("joe"): {Claims: map[string][]store.Claim{"phone": {{Call: "of another", Value: crm.Str("+14155550105")}}}}}
	if diff := cmp.Diff(rest, left, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("people left: %s", diff)
	}
	if again := w.find(Subject{Email: "jane@example.com"}); len(again.Calls)+len(again.Identities) != 0 {
		t.Errorf("found again: %+v", again)
	}
}

// A body that has expired is made up for by what was written of it.
func TestFindByRecords(t *testing.T) {
	w := open(t)
	w.call("old", numbered("old", "+14155550101"))
	w.attach("hubspot", "old", contact("unknown"))
	w.attach("salesforce", "old", crm.Ref{})
	w.ok(w.Apply(t.Context(), "hubspot", store.Update{Records: map[string][]store.Record{"old": {
		{Key: "old#call", Properties: map[string]store.Applied{"hs_call_to_number": {Value: crm.Str("+14155550101")}}},
	}}}))
	out, err := w.Expire(t.Context(), store.Expiry{Bodies: start.Add(time.Hour), Limit: 10})
	w.ok(err)
	if out.Bodies != 1 {
		t.Fatalf("%d bodies expired, want 1", out.Bodies)
	}
	if f := w.find(Subject{Phone: "+14155550101"}); !slices.Equal(f.Calls, []string{"old"}) {
		t.Errorf("found %q", f.Calls)
	}
}

// A torn journal cannot read some of its calls.
type torn struct {
	*world
	ids []string
}

func (j torn) Calls(ctx context.Context, f store.CallFilter) iter.Seq2[store.CallView, error] {
	return func(yield func(store.CallView, error) bool) {
		for c, err := range j.world.Calls(ctx, f) {
			if slices.Contains(j.ids, c.ID) {
				if !f.Damaged {
					yield(c, store.ErrDamaged)
					return
				}
				c.States, c.Damaged = nil, store.ErrDamaged
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

// What cannot be read may be anybody's: it is told, and nobody is forgotten who may
// have other calls.
func TestFindTellsWhatItCannotRead(t *testing.T) {
	w := open(t)
	w.call("theirs", numbered("theirs", "+14155550101"))
	w.call("torn", numbered("torn", "+14155550101"))
	w.attach("hubspot", "theirs", contact("jane"))
	for _, x := range []struct {
		subject Subject
		people  int
	}{{Subject{Phone: "+14155550101"}, 1}, {Subject{Call: "theirs"}, 0}} {
		f, err := Find(t.Context(), torn{w, []string{"torn"}}, x.subject, nil)
		w.ok(err)
		if !slices.Equal(f.Calls, []string{"theirs"}) || len(f.People["hubspot"]) != x.people || len(f.Unread) != 1 || f.Unread[0].ID != "torn" {
			t.Errorf("%+v: calls %q, people %v, unread %+v", x.subject, f.Calls, f.People, f.Unread)
		}
		if f, err = Find(t.Context(), w, x.subject, nil); err != nil || len(f.People["hubspot"]) != 1 || len(f.Unread) != 0 {
			t.Errorf("%+v in a whole journal: %+v, %v", x.subject, f, err)
		}
	}
}

// Somebody under creation is nobody yet in the journal, but may be there.
func TestFindCreating(t *testing.T) {
	w := open(t)
	w.call("new", numbered("new", "+14155550101"))
	intent := store.Identity{Ref: crm.Ref{Object: "contacts"}, Key: "+14155550101", Intent: start}
	unborn := store.Unborn("contacts", "+14155550101")
	w.ok(w.Apply(t.Context(), "hubspot", store.Update{
		Identities: map[string]store.Identity{"phone:+14155550101": intent, "email:jane@example.com": intent},
		People:     map[crm.Ref]store.Person{unborn: {Created: "new"}},
	}))
	f := w.find(Subject{Phone: "+14155550101"})
	d := &account{found: crm.Location{State: crm.Unknown, RetryAfter: time.Minute}}
	if _, err := f.FromCRM(t.Context(), "hubspot", d); !errors.Is(err, ErrLater) {
		t.Errorf("while it may turn up: %v, want ErrLater", err)
	}
	d.found = crm.Location{State: crm.Found, ID: "77"}
	got, err := f.FromCRM(t.Context(), "hubspot", d)
	w.ok(err)
	if got.People != 1 || !got.Restorable || !slices.Equal(d.archived, []crm.Ref{contact("77")}) {
		t.Errorf("erased %+v: %v", got, d.archived)
	}
	sum, err := f.FromJournal(t.Context(), w)
	w.ok(err)
	if sum.Identities != 2 || sum.People != 1 {
		t.Errorf("erased %+v, want 2 identities and the person under creation", sum)
	}
}

// A creation is somebody's as soon as their calls have a part in it, whatever it
// is under, and leaves nothing behind when the CRM refused it.
func TestFindCreatingForTheirCalls(t *testing.T) {
	byMail := func(id, phone string) string {
		return fmt.Sprintf(`{"callId":%q,"phoneNumber":%q,"customInputVariables":{"email":"jane@example.com"}}`, id, phone)
	}
	w := open(t)
	w.call("open", byMail("open", "+14155550101"))
	w.call("refused", byMail("refused", "+14155550102"))
	w.call("of another", numbered("of another", "+14155550103"))
	under := func(phone string) store.Identity {
		return store.Identity{Ref: crm.Ref{Object: "contacts"}, Key: phone, Intent: start}
	}
	sent := func(call string) map[string]store.Applied {
		return map[string]store.Applied{"phone": {Sent: crm.Str("a number"), Unsure: true, Call: call}}
	}
	w.ok(w.Apply(t.Context(), "hubspot", store.Update{
		Identities: map[string]store.Identity{"phone:+14155550101": under("+14155550101"), "phone:+14155550103": under("+14155550103")},
		People: map[crm.Ref]store.Person{
			store.Unborn("contacts", "+14155550101"): {Created: "of another", Properties: sent("open")},
			store.Unborn("contacts", "+14155550102"): {Created: "refused"},
			store.Unborn("contacts", "+14155550103"): {Created: "of another", Properties: sent("of another")},
		},
	}))
	f := w.find(Subject{Email: "jane@example.com"})
	d := &account{found: crm.Location{State: crm.Found, ID: "77"}}
	if _, err := f.FromCRM(t.Context(), "hubspot", d); err != nil || !slices.Equal(d.archived, []crm.Ref{contact("77")}) {
		t.Errorf("archived %v, %v; want the one whose creation is open", d.archived, err)
	}
	_, err := f.FromJournal(t.Context(), w)
	w.ok(err)
	w.left("phone:+14155550103", store.Unborn("contacts", "+14155550103"))
	one := w.find(Subject{Call: "of another"})
	_, err = one.FromJournal(t.Context(), w)
	w.ok(err)
	w.left()
}

// What a call taught goes with it, not the person whom it was taught of.
func TestFindTaught(t *testing.T) {
	w := open(t)
	w.call("one", numbered("one", "+14155550101"))
	w.call("two", numbered("two", "+14155550102"))
	w.attach("hubspot", "one", contact("jane"))
	w.attach("hubspot", "two", contact("jane"))
	unborn := store.Unborn("contacts", "jane")
	w.ok(w.Apply(t.Context(), "hubspot", store.Update{
		Identities: map[string]store.Identity{
			"phone:+14155550101": {Ref: contact("jane"), Call: "one"}, "phone:+14155550102": {Ref: contact("jane"), Call: "two"},
			"email:jane@example.com": {Ref: contact("jane")},
		},
		People: map[crm.Ref]store.Person{unborn: {Created: "one", Properties: map[string]store.Applied{"phone": {Call: "two"}}}},
	}))
	_, err := w.find(Subject{Call: "one"}).FromJournal(t.Context(), w)
	w.ok(err)
	w.left("email:jane@example.com", "phone:+14155550102", unborn)
}

// left fails unless what the journal knows of people are these identities, by
// their keys, and then these people.
func (w *world) left(want ...any) {
	w.t.Helper()
	var got []any
	for i, err := range w.AllIdentities(w.t.Context()) {
		w.ok(err)
		got = append(got, i.Key)
	}
	for p, err := range w.AllPeople(w.t.Context()) {
		w.ok(err)
		got = append(got, p.Ref)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Error("left (-want +got):\n", diff)
	}
}

func TestFromCRM(t *testing.T) {
	w := open(t)
	for _, id := range []string{"one", "two"} {
		w.call(id, numbered(id, "+14155550101"))
		w.attach("hubspot", id, contact("jane"))
	}
	f := w.find(Subject{Phone: "+14155550101"})
	for name, kind := range map[string]crm.ErrorKind{"gone already": crm.Gone, "down": crm.Transient} {
		d := &eraser{account: account{refuse: map[crm.Ref]crm.ErrorKind{{Object: "calls", ID: "of one"}: kind}}}
		got, err := f.FromCRM(t.Context(), "hubspot", d)
		if down := kind == crm.Transient; down != (err != nil) {
			t.Errorf("%s: error %v", name, err)
		}
		if got.Restorable || got.People != 1 || !slices.Equal(d.erased, []crm.Ref{contact("jane")}) {
			t.Errorf("%s: %+v, for good: %v", name, got, d.erased)
		}
		if got.RestorableRecords != 1 { // of two: the other was gone, or is refused
			t.Errorf("%s: %d records in the recycle bin, want 1", name, got.RestorableRecords)
		}
		if !slices.Contains(d.archived, crm.Ref{Object: "calls", ID: "of two"}) {
			t.Errorf("%s: archived %v", name, d.archived)
		}
	}
	one := w.find(Subject{Call: "one"})
	d := &eraser{}
	if _, err := one.FromCRM(t.Context(), "hubspot", d); err != nil || len(d.erased) != 0 || len(d.archived) != 1 {
		t.Errorf("one call: %v, erased %v, archived %v", err, d.erased, d.archived)
	}
	if len(one.People["hubspot"]) != 0 {
		t.Errorf("one of two calls took its person along: %v", one.People)
	}
}

// An account is a CRM that remembers what it was asked to remove.
type account struct {
	crm.Destination
	found    crm.Location
	refuse   map[crm.Ref]crm.ErrorKind
	archived []crm.Ref
}

func (a *account) Locate(_ context.Context, keys []crm.KeyRef) ([]crm.Location, error) {
	return slices.Repeat([]crm.Location{a.found}, len(keys)), nil
}

func (a *account) Write(_ context.Context, changes []crm.Change) []crm.Result {
	results := make([]crm.Result, len(changes))
	for i, ch := range changes {
		ref := crm.Ref{Object: ch.Object, ID: ch.ID}
		a.archived = append(a.archived, ref)
		if kind, ok := a.refuse[ref]; ok || ch.Op != crm.Archive {
			results[i].Err = &crm.Error{Kind: kind, Op: "archive"}
		}
	}
	return results
}

type eraser struct {
	account
	erased []crm.Ref
}

func (e *eraser) Erase(_ context.Context, people []crm.Ref) []crm.Result {
	e.erased = append(e.erased, people...)
	return make([]crm.Result, len(people))
}

// A portioned journal notes the largest erasure it was handed.
type portionedJournal struct {
	*world
	most int
}

func (p *portionedJournal) Erase(ctx context.Context, e store.Erasure) (store.Erased, error) {
	p.most = max(p.most, len(e.Calls)+len(e.Deliveries))
	return p.world.Erase(ctx, e)
}

// Deliveries wait for each transaction, however often somebody was refused.
func TestErasureLetsDeliveriesThrough(t *testing.T) {
	w := open(t)
	var refused sync.WaitGroup
	for range 1200 {
		refused.Go(func() {
			body := []byte(`{"email":"jane@example.com"}`)
			_, err := w.Deliver(t.Context(), store.Delivery{At: start, Status: 400, Verdict: store.Rejected, Size: len(body), Body: body})
			if err != nil {
				t.Error(err)
			}
		})
	}
	refused.Wait()
	p := &portionedJournal{world: w}
	out, err := w.find(Subject{Email: "jane@example.com"}).FromJournal(t.Context(), p)
	if err != nil || out.Deliveries != 1200 || out.Bodies != 1200 {
		t.Errorf("erased %+v, %v", out, err)
	}
	if p.most > 500 {
		t.Errorf("%d rows were erased at once", p.most)
	}
}
