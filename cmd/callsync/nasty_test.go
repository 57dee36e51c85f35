package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/callsync/callsync/store"
)

// A nasty is a body that nobody should send.
type nasty struct {
	name   string
	body   string
	header []string // instead of those of a well-behaved sender
	status int
}

// nasties are bodies that are refused, and those that are calls all the same. The
// calls have one person each.
func nasties(t *testing.T) []nasty {
	t.Helper()
	n := 0
	call := func(fields string) string {
		n++
		return fmt.Sprintf(`{"callId":"call.nasty-%d","phoneNumber":%q,"name":"Ada Lindqvist","callResult":{"resultType":"Goal Completed"}%s}`, n, phoneOf(n), fields)
	}
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	zipped := func(s string) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = io.WriteString(z, s)
		_ = z.Close()
		return b.String()
	}
	long := strings.Repeat("long ", 20_000)
	all := []nasty{
		{name: "nothing", body: "", status: 400},
		{name: "null", body: "null", status: 400},
		{name: "a list", body: "[" + call("") + "]", status: 400},
		{name: "a string", body: `"call"`, status: 400},
		{name: "HTML", body: "<html></html>", status: 400},
		{name: "torn", body: call("")[:50], status: 400},
		{name: "something behind", body: call("") + "}", status: 400},
		{name: "two of them", body: call("") + call(""), status: 400},
		{name: "a comment", body: call("") + "// hello", status: 400},
		{name: "NaN", body: call(`,"duration":NaN`), status: 400},
		{name: "a raw NUL", body: call(",\"name\":\"a\x00b\""), status: 400},
		{name: "a raw escape", body: call(",\"name\":\"a\x1bb\""), status: 400},
		{name: "UTF-16", body: "\xff\xfe{\x00}\x00", status: 400},
		{name: "an unknown escape", body: call(`,"name":"\x41"`), status: 400},
		{name: "nested without end", body: call(`,"x":` + strings.Repeat(`{"a":`, 100_000)), status: 400},
		{name: "nested lists without end", body: call(`,"x":` + strings.Repeat(`[`, 1_000_000)), status: 400},
		{name: "nested deeper than anybody needs", body: call(`,"x":` + nested(5000)), status: 400},
		{name: "no callId", body: `{"name":"Ada"}`, status: 400},
		{name: "a callId of nothing", body: `{"callId":" "}`, status: 400},
		{name: "a callId that is a list", body: `{"callId":["call.1"]}`, status: 400},
		{name: "a callId with a line break", body: `{"callId":"call.1\n"}`, status: 200},
		{name: "a callId with a line break within", body: `{"callId":"call\n1"}`, status: 400},
		{name: "a callId with half a character", body: `{"callId":"call.\ud800"}`, status: 400},
		{name: "a callId without end", body: `{"callId":"` + long + `"}`, status: 400},
		{name: "no gzip", body: call(""), header: []string{"Content-Encoding", "gzip"}, status: 400},
		{name: "half of a gzip", body: zipped(call(""))[:30], header: []string{"Content-Encoding", "gzip"}, status: 400},
		{name: "a gzip bomb", body: zipped(call(`,"x":"` + strings.Repeat("0", 100<<20) + `"`)), header: []string{"Content-Encoding", "gzip"}, status: 413},
		{name: "a gzip bomb of nothing", body: strings.Repeat(zipped(""), 200_000), header: []string{"Content-Encoding", "gzip"}, status: 413},
		{name: "too large", body: call(`,"x":"` + strings.Repeat("0", 4<<20) + `"`), status: 413},
		{name: "another encoding", body: call(""), header: []string{"Content-Encoding", "br"}, status: 415},
		{name: "another type", body: call(""), header: []string{"Content-Type", "text/xml"}, status: 415},
		{name: "no key", body: call(""), header: []string{"X-Api-Key", ""}, status: 401},

		{name: "gzip", body: zipped(call("")), header: []string{"Content-Encoding", "gzip"}},
		{name: "a byte order mark", body: "\ufeff" + call("")},
		{name: "nested deep", body: call(`,"x":` + nested(498) + `,"customInputVariables":{"a":` + nested(490) + `}`)},
		{name: "doubled keys", body: call(`,"name":"Eve","name":"Ada Lindqvist","callResult":{"resultType":"Busy"},"callResult":{"resultType":"Voicemail"}`)},
		{name: "keys that differ by case", body: call(`,"Name":"Eve","PHONENUMBER":"1","callID":"2"`)},
		{name: "an empty key", body: call(`,"":1,"\u0000":2,"a.b":3,"$ref":4,"__proto__":{}`)},
		{name: "ten thousand keys", body: call(`,"customInputVariables":{` + keys(10_000) + `},"callResult":{"resultType":"Busy","extractedVariables":{` + keys(10_000) + `}}`)},
	}
	for _, number := range []string{"1e999999999", "-1e999999999", "1e-999999999", strings.Repeat("9", 100_000), "-0", "0.1e1", "2147483648", "1e400"} {
		all = append(all, nasty{name: "the number " + number[:min(len(number), 12)], body: call(`,"duration":` + number + `,"x":` + number + `,"customInputVariables":{"employees":` + number + `}`)})
	}
	for name, text := range map[string]string{
		"half a character": `\ud800`, "halves in the wrong order": `\udc00\ud800`, "NUL": `\u0000`, "an escape sequence": `\u001b[2J\u009b1m\u0007`,
		"directions": `\u202e\u2066`, "nothing to see": `\u200b\ufeff`, "broken UTF-8": "\xff\xc3(\xed\xa0\x80", "markup": `<script>alert(1)</script>&amp;]]>`,
		"quotes": `'\"\\`, "SOQL": `%' OR Name LIKE '%`, "SOSL": `?&|!{}[]()^~*:+-`, "a path": `../../../etc/passwd`, "a reference": `@{r0.id}`,
		"a template": `{{7*7}}${7*7}`, "long": long, "marks upon marks": "Z" + strings.Repeat(`\u0301`, 3000), "emoji": `👩‍👩‍👧‍👦🏳️‍🌈`, "spaces": `   `, "line breaks": `\r\n\r\n`,
	} {
		n++
		all = append(all, nasty{name: "text: " + name, body: fmt.Sprintf(`{"callId":"call.nasty-%d","phoneNumber":%q,"name":"%[3]s","agentId":"%[3]s","agentName":"%[3]s","timezone":"%[3]s","direction":"%[3]s","callUrl":"%[3]s",
			"fromPhoneNumber":"%[3]s","phoneNumberExt":"%[3]s","scheduledAt":"%[3]s","customInputVariables":{"email":"%[3]s","company":"%[3]s","%[3]s":"%[3]s"},"crmSchedulingDetails":{"contactId":"%[3]s"},"sequence":{"sequenceId":"%[3]s"},
			"callResult":{"resultType":"%[3]s","summary":"%[3]s","transcription":"%[3]s","extractedVariables":{"email":"%[3]s","%[3]s":"%[3]s"},"outcomes":[{"name":"%[3]s","reasoning":"%[3]s"}],
			"humanActions":[{"description":"%[3]s","status":"%[3]s","actionKey":"%[3]s"}],"agentActions":[{"description":"%[3]s","status":"%[3]s"}],
			"followUpMeetingDetails":{"startTime":"2026-03-05T08:00:00Z","endTime":"%[3]s","hostEmail":"%[3]s"}}}`, n, phoneOf(n), text)})
	}
	for _, phone := range []string{"+4670" + strings.Repeat("1", 1000), "tel:+46701239998", "0046 (0)70-123 99 97", "call me", "+", "()", "1", "+999999999999999"} {
		n++
		all = append(all, nasty{name: "the number called " + phone[:min(len(phone), 20)], body: fmt.Sprintf(`{"callId":"call.nasty-%d","phoneNumber":%q,"name":"Ada","callResult":{"resultType":"Goal Completed"}}`, n, phone)})
	}
	for _, id := range []string{"a b", "ü👩", `a/b?c#d%00`, `quote'\"\\`, "#call", "../..", strings.Repeat("x", 200)} {
		n++
		all = append(all, nasty{name: "the callId " + id[:min(len(id), 20)], body: fmt.Sprintf(`{"callId":"%s","phoneNumber":%q,"name":"Ada","callResult":{"resultType":"Goal Completed"}}`, id, phoneOf(n))})
	}
	for name, fields := range map[string]string{
		"a meeting that ends before it begins": `,"callResult":{"resultType":"Goal Completed","followUpMeetingDetails":{"startTime":"2026-03-05T08:00:00Z","endTime":"2025-03-05T08:00:00Z","hostEmail":"a@b@c"}}`,
		"a meeting in the year 9999":           `,"callResult":{"resultType":"Goal Completed","followUpMeetingDetails":{"startTime":"9999-12-31T23:59:59Z"}}`,
		"a call in 1970":                       `,"scheduledAt":"1970-01-01T00:00:00Z"`,
		"an email that is none":                `,"customInputVariables":{"email":"ada@example.com@@"}`,
		"an email without end":                 `,"customInputVariables":{"email":"` + strings.Repeat("a", 5000) + `@example.com"}`,
		"things to do without end":             `,"callResult":{"resultType":"Goal Completed","humanActions":[` + strings.Repeat(`{"description":"call"},`, 400) + `{}]}`,
		"outcomes without end":                 `,"callResult":{"resultType":"Goal Completed","outcomes":[` + strings.Repeat(`{"name":"n","reasoning":"r"},7,`, 20_000) + `{}]}`,
	} {
		all = append(all, nasty{name: name, body: call(fields)})
	}
	for field, typed := range mistyped(t) {
		for _, value := range typed {
			all = append(all, nasty{name: field + " " + value, body: call("," + value)})
		}
	}
	for i := range all {
		if all[i].status == 0 {
			all[i].status = http.StatusOK
		}
	}
	return all
}

func keys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"key %d":%d,`, i, i)
	}
	return b.String() + `"last":null`
}

// mistyped has every documented field hold every type.
func mistyped(t *testing.T) map[string][]string {
	t.Helper()
	b, err := os.ReadFile("../../julian/testdata/callresults-reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var template map[string]any
	if err := json.Unmarshal(b, &template); err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	values := []string{`null`, `true`, `-1.5e3`, `"x"`, `[]`, `[[1],null,{}]`, `{}`, `{"a":{"b":[null]}}`}
	var walk func(path []string, m map[string]any)
	walk = func(path []string, m map[string]any) {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			here := append(slices.Clone(path), name)
			if name == "callId" || len(here) == 1 && name == "phoneNumber" {
				continue
			}
			for _, v := range values {
				for _, outer := range slices.Backward(here[1:]) {
					v = fmt.Sprintf(`{%q:%s}`, outer, v)
				}
				all[strings.Join(here, ".")] = append(all[strings.Join(here, ".")], fmt.Sprintf("%q:%s", here[0], v))
			}
			switch inner := m[name].(type) {
			case map[string]any:
				walk(here, inner)
			case []any:
				for _, field := range slices.Sorted(maps.Keys(inner[0].(map[string]any))) {
					for _, v := range values {
						item := fmt.Sprintf(`[{%q:%s}]`, field, v)
						for _, outer := range slices.Backward(here[1:]) {
							item = fmt.Sprintf(`{%q:%s}`, outer, item)
						}
						all[strings.Join(append(here, field), ".")] = append(all[strings.Join(append(here, field), ".")], fmt.Sprintf("%q:%s", here[0], item))
					}
				}
			}
		}
	}
	walk(nil, template)
	return all
}

// send delivers a nasty thing, and reports what the answer was if it is not what
// it should be.
func (n nasty) send(t *testing.T, url string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(n.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Api-Key", testKey)
	for i := 0; i < len(n.header); i += 2 {
		req.Header.Set(n.header[i], n.header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Errorf("%s: %v", n.name, err)
		return
	}
	defer resp.Body.Close()
	n.judge(t, resp)
}

func (n nasty) judge(t *testing.T, resp *http.Response) {
	t.Helper()
	var answer struct{ Status, Error, Message string }
	err := json.NewDecoder(resp.Body).Decode(&answer)
	if err != nil || resp.StatusCode != n.status || (n.status == http.StatusOK) != (answer.Error == "") || (n.status == http.StatusOK) != (answer.Message == "") {
		t.Errorf("%s: answered %d %+v %v, want %d", n.name, resp.StatusCode, answer, err, n.status)
	}
}

// TestBadInput sends everything that nobody should send to a running daemon. What
// is refused gets an error in JSON. Whatever is taken for a call is usable as one:
// it reaches the CRM. Afterwards the daemon is no larger than before.
func TestBadInput(t *testing.T) {
	for kind := range sandboxes {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newServed(t, kind)
			config, err := os.ReadFile(s.config)
			if err != nil {
				t.Fatal(err)
			}
			overwrite(t, s.config, []byte(strings.Replace(string(config), "[receiver]\n", "[receiver]\nmax_body = \"3MiB\"\nheader_timeout = \"1s\"\nbody_timeout = \"3s\"\n", 1)))
			s.env = []string{"GOGC=10"} // what is not garbage is what counts
			s.start()
			all := nasties(t)
			round := func() {
				url := s.webhook()
				for _, n := range all {
					n.send(t, url)
				}
				badSenders(t, url)
				s.settle(time.Minute)
			}
			round()
			before := s.footprint()
			round()
			after := s.footprint()
			if after.goroutines > before.goroutines+10 || after.heap > before.heap*3/2+8<<20 {
				t.Errorf("it grew from %+v to %+v", before, after)
			}
			if calls := s.status().Destinations[0].Calls; calls[store.Failed] > 0 {
				t.Errorf("%v: %s", calls, s.command("calls", "--state", "failed"))
			}
			s.stop()
		})
	}
}

// badSenders do not keep to HTTP, or to any pace. All are there at once.
func badSenders(t *testing.T, url string) {
	t.Helper()
	address, path, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	head := func(extra string) string {
		return "POST /" + path + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Api-Key: " + testKey + "\r\n" + extra + "\r\n"
	}
	var headers strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&headers, "X-%d: x\r\n", i)
	}
	type sender struct {
		nasty
		conn net.Conn
	}
	var senders []sender
	for _, n := range []nasty{
		{name: "a body that ends early", body: head("Content-Length: 100\r\n") + `{"callId":`, status: 400},
		{name: "a body that stops", body: head("Content-Length: 100\r\n") + `{"callId":`, status: 408},
		{name: "a length that cannot be", body: head("Content-Length: 1099511627776\r\n") + "{", status: 413},
		{name: "chunks without end", body: head("Transfer-Encoding: chunked\r\n") + strings.Repeat("10000\r\n"+strings.Repeat(" ", 0x10000)+"\r\n", 60), status: 413},
		{name: "ten thousand headers", body: head(headers.String()+"Content-Length: 2\r\n") + "{}", status: 431},
		{name: "another method", body: "PUT /" + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", status: 405},
		{name: "another path", body: "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", status: 404},
		// What is no HTTP gets no answer in JSON: that it ends is enough.
		{name: "a header that stops", body: "POST /" + path + " HTTP/1.1\r\nHost:"},
		{name: "nothing at all"},
		{name: "TLS", body: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"},
		{name: "a negative length", body: head("Content-Length: -1\r\n")},
		{name: "two lengths", body: head("Content-Length: 2\r\nContent-Length: 3\r\n") + "{}"},
		{name: "a length and chunks", body: head("Content-Length: 2\r\nTransfer-Encoding: chunked, chunked\r\n") + "{}"},
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		senders = append(senders, sender{n, conn})
		go func() {
			_, _ = io.WriteString(conn, n.body) // the daemon may hang up meanwhile
			if strings.Contains(n.name, "early") {
				_ = conn.(*net.TCPConn).CloseWrite()
			}
		}()
	}
	for _, s := range senders {
		if err := s.conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(s.conn)
		if s.status != 0 {
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Errorf("%s: %v", s.name, err)
				continue
			}
			s.judge(t, resp)
		}
		if _, err := io.Copy(io.Discard, r); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: the connection stays open: %v", s.name, err)
		}
	}
}

// A footprint is what a process takes.
type footprint struct{ goroutines, heap int }

// footprint reads what the daemon's metrics say of it, when it has come to rest.
func (s *served) footprint() (least footprint) {
	s.t.Helper()
	for range 20 {
		now := footprint{s.metric("go_goroutines"), s.metric("go_memstats_heap_inuse_bytes")}
		if least.goroutines == 0 || now.goroutines < least.goroutines {
			least.goroutines = now.goroutines
		}
		if least.heap == 0 || now.heap < least.heap {
			least.heap = now.heap
		}
		time.Sleep(50 * time.Millisecond)
	}
	return least
}

func (s *served) metric(name string) int {
	s.t.Helper()
	match := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(s.askAdmin("/metrics"))
	if match == nil {
		s.t.Fatalf("there is no metric %s", name)
	}
	v, err := strconv.ParseFloat(match[1], 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return int(v)
}
