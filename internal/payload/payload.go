// Package payload makes believable callResults payloads, transcripts included, to
// measure the journal with and to train its dictionary. The same seed makes the
// same payloads.
//
// Of ten calls, three reach nobody (voicemail, busy, no conversation) and have a
// transcript of a line or none; the others have one of 2 to 20 KB, evenly spread.
// It is made of words and of groups of words that often stand together, both drawn
// by their frequency. Without a dictionary it compresses as well as English prose
// does. Nothing in the product imports this package.
package payload

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/callsync/callsync/julian"
)

// A Source makes payloads one after the other. It is not safe for concurrent use.
type Source struct {
	r      *rand.Rand
	chacha *rand.ChaCha8
	people int
	n      int
	words  urn
	groups urn
}

// An urn is a list to draw from; what comes first is drawn more often.
type urn struct {
	list []string
	sums []float64
}

func newUrn(list []string, flatness int, skew float64) urn {
	u := urn{list: list}
	sum := 0.0
	for i := range list {
		sum += 1 / math.Pow(float64(i+flatness), skew)
		u.sums = append(u.sums, sum)
	}
	return u
}

func (u urn) draw(r *rand.Rand) string {
	x := r.Float64() * u.sums[len(u.sums)-1]
	i, _ := slices.BinarySearch(u.sums, x)
	return u.list[i]
}

// groupsOfWords are the same for all sources, as a language is.
func groupsOfWords(words urn) urn {
	r := rand.New(rand.NewPCG(7, 7))
	var list []string
	for range 3000 {
		group := words.draw(r)
		for range 1 + r.IntN(4) {
			group += " " + words.draw(r)
		}
		list = append(list, group)
	}
	return newUrn(list, 20, 0.8)
}

// Start is when a source's first call takes place.
var Start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// New returns a source of calls with so many people.
func New(seed uint64, people int) *Source {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	c := rand.NewChaCha8(key)
	s := &Source{r: rand.New(c), chacha: c, people: people, words: newUrn(words, 4, 0.9)}
	s.groups = groupsOfWords(s.words)
	return s
}

// Next makes the next call's payload. Its callId is unique within the source and
// unlikely in another.
func (s *Source) Next() []byte {
	s.n++
	who := s.person()
	at := Start.Add(time.Duration(s.n) * 20 * time.Second)
	id := "call." + s.hex(12)
	agent := s.r.IntN(4)
	p := map[string]any{
		"agentId": fmt.Sprintf("agent.7f3c%dd", agent), "agentName": []string{"Outbound Agent", "Inbound Agent", "Renewals", "Event Follow-up"}[agent],
		"callId": id, "name": who.name, "phoneNumber": who.phone, "phoneNumberExt": "",
		"fromPhoneNumber": fmt.Sprintf("+1415555010%d", agent),
		"scheduledAt":     at.Format("2006-01-02T15:04:05.000Z"), "timezone": s.pick(zones), "direction": "outbound",
		"customInputVariables": who.variables, "duration": 0,
		"callUrl": "https://julian.11x.ai/calls/" + id, "rescheduledAt": nil,
		"sequence": map[string]any{"sequenceId": fmt.Sprintf("call-sequence.%d", agent), "lifecycleStatus": "in progress"},
	}
	p["callResult"], p["duration"] = s.result(who, at)
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // maps of plain values
	}
	return body
}

type person struct {
	name, phone string
	variables   map[string]any
}

// person draws somebody; the same number always is the same person.
func (s *Source) person() person {
	n := s.r.IntN(s.people)
	first, last := firstNames[n%len(firstNames)], lastNames[n/len(firstNames)%len(lastNames)]
	company := companies[n%len(companies)] + " " + kinds[n/7%len(kinds)]
	p := person{name: first + " " + last, phone: fmt.Sprintf("+1%010d", 2120000000+n*13)}
	p.variables = map[string]any{"prospect_name": first, "prospect_surname": last, "company": company}
	if n%10 < 7 {
		p.variables["email"] = fmt.Sprintf("%s.%s%d@%s.example.com", strings.ToLower(first), strings.ToLower(last), n, strings.ToLower(companies[n%len(companies)]))
	}
	return p
}

func (s *Source) result(who person, at time.Time) (result map[string]any, duration int) {
	kind := []julian.ResultType{
		julian.GoalCompleted, julian.GoalCompleted, julian.GoalNotCompleted, julian.GoalNotCompleted, julian.GoalNotCompleted,
		julian.GoalNotCompleted, julian.OptedOut, julian.Voicemail, julian.NoConversation, julian.Busy,
	}[s.r.IntN(10)]
	res := map[string]any{
		"resultType": kind, "extractedVariables": map[string]any{}, "agentActions": []any{}, "humanActions": []any{},
		"transcription": "", "outcomes": []any{}, "summary": "Nobody answered.",
	}
	switch kind {
	case julian.Voicemail:
		res["summary"], res["transcription"] = "Nobody answered; Julian left a message.", "User: Please leave a message after the tone.\nAgent: "+s.sentence(20)
		return res, 20 + s.r.IntN(20)
	case julian.NoConversation, julian.Busy:
		return res, s.r.IntN(8)
	}
	size := 2000 + s.r.IntN(18_000)
	res["transcription"] = s.transcript(size)
	res["summary"] = fmt.Sprintf("Julian spoke with %s. ", who.name) + s.sentence(18) + " " + s.sentence(22)
	res["extractedVariables"] = map[string]any{"team_size": fmt.Sprint(s.r.IntN(400)), "current_tool": s.word(), "notes": s.sentence(12)}
	res["outcomes"] = []any{
		map[string]any{"name": "interested", "reasoning": s.sentence(20)},
		map[string]any{"name": "budget_confirmed", "reasoning": s.sentence(16)},
	}
	if kind == julian.GoalCompleted {
		meeting := at.Add(time.Duration(24+s.r.IntN(200)) * time.Hour).Truncate(time.Hour)
		res["followUpMeetingDetails"] = map[string]any{
			"startTime": meeting.Format(time.RFC3339), "endTime": meeting.Add(30 * time.Minute).Format(time.RFC3339), "hostEmail": "host@example.com",
		}
		res["agentActions"] = []any{map[string]any{
			"description": "Scheduled follow-up meeting", "status": "completed", "actionKey": "schedule_meeting",
			"completedAt": at.Add(3 * time.Minute).Format(time.RFC3339), "metadata": map[string]any{},
		}}
	}
	if s.r.IntN(3) == 0 {
		res["humanActions"] = []any{map[string]any{
			"description": "Send " + s.sentence(6), "status": "pending", "actionKey": "send_information", "completedAt": nil, "metadata": map[string]any{},
		}}
	}
	return res, size / 14
}

func (s *Source) transcript(size int) string {
	var b strings.Builder
	for turn := 0; b.Len() < size; turn++ {
		b.WriteString([]string{"Agent: ", "User: "}[turn%2])
		for range 1 + s.r.IntN(3) {
			b.WriteString(s.sentence(3 + s.r.IntN(18)))
			b.WriteByte(' ')
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// sentence is about n words.
func (s *Source) sentence(n int) string {
	var parts []string
	for len(parts) < n {
		switch s.r.IntN(50) {
		case 0, 1, 2:
			parts = append(parts, s.pick(phrases))
		case 3:
			parts = append(parts, fmt.Sprint(s.r.IntN(5000)))
		case 4:
			parts = append(parts, s.pick(firstNames))
		case 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19:
			parts = append(parts, s.groups.draw(s.r))
		default:
			parts = append(parts, s.word())
		}
		if s.r.IntN(12) == 0 {
			parts[len(parts)-1] += ","
		}
	}
	text := strings.Join(parts, " ")
	return strings.ToUpper(text[:1]) + text[1:] + s.pick([]string{".", ".", ".", "?"})
}

func (s *Source) word() string { return s.words.draw(s.r) }

func (s *Source) pick(list []string) string { return list[s.r.IntN(len(list))] }

func (s *Source) hex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = s.chacha.Read(b) // never fails
	return hex.EncodeToString(b)
}
