// Command mkdict writes the dictionary that the journal packs values with: text
// that is likely to occur in them, the likeliest at the end, where references to
// it are shortest. It holds nothing but what package payload made up.
//
// A dictionary that was released is never changed, since journals need it to be
// read: a better one gets a file and a codec of its own.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/internal/payload"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
)

const (
	seed     = 1
	payloads = 9
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: mkdict FILE")
		os.Exit(2)
	}
	data, err := dictionary()
	if err == nil {
		err = os.WriteFile(os.Args[1], data, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mkdict:", err)
		os.Exit(1)
	}
}

func dictionary() ([]byte, error) {
	var out bytes.Buffer
	source := payload.New(seed, 500)
	var last []byte
	for n := 0; n < payloads; {
		body := source.Next()
		if len(body) > 5000 { // with a conversation
			n++
		}
		last = body
		out.Write(body)
	}
	call, err := julian.Parse(last)
	if err != nil {
		return nil, err
	}
	for _, row := range rows(call) {
		data, err := json.Marshal(row)
		if err != nil {
			return nil, err
		}
		out.Write(data)
	}
	return out.Bytes(), nil
}

// rows are examples of what the journal keeps about a call, with the property
// names of the shipped mappings.
func rows(c *julian.Call) []any {
	at := payload.Start
	contact := crm.Ref{Object: "contacts", ID: "101"}
	person := store.Person{Properties: map[string]store.Applied{}, Claims: map[string][]store.Claim{}, Created: c.CallID}
	for name, v := range map[string]string{
		"firstname": "Ada", "lastname": "Lindqvist", "phone": c.PhoneNumber, "email": "ada@example.com", "company": "Northwind",
		"callsync_do_not_call": "false", "callsync_last_call_result": string(c.Result.ResultType), "hs_timezone": c.Timezone,
		"FirstName": "Ada", "LastName": "Lindqvist", "Phone": c.PhoneNumber, "Email": "ada@example.com", "Company": "Northwind",
	} {
		person.Properties[name] = store.Applied{Value: crm.Str(v), Call: c.CallID, At: at, BeforeKnown: true}
		person.Claims[name] = []store.Claim{{Value: crm.Str(v), Write: crm.IfEmpty, Call: c.CallID, At: at}}
	}
	record := func(block, object string, names ...string) store.Record {
		r := store.Record{
			Key: c.CallID + "#" + block, Block: block, Object: object, ID: "201",
			Properties: map[string]store.Applied{}, Links: []crm.Ref{contact},
		}
		for _, name := range names {
			r.Properties[name] = store.Applied{Value: crm.Str(c.Result.Summary)}
		}
		return r
	}
	sum := "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	return []any{
		person,
		record("call", "Task", "ActivityDate", "CallDisposition", "CallDurationInSeconds", "CallType", "Description", "OwnerId", "Priority", "Status", "Subject", "TaskSubtype", "WhoId", "WhatId"),
		record("meeting", "meetings", "hs_meeting_title", "hs_meeting_body", "hs_meeting_start_time", "hs_meeting_end_time", "hs_meeting_outcome", "hs_timestamp", "hubspot_owner_id"),
		record("action/0", "tasks", "hs_task_subject", "hs_task_body", "hs_task_status", "hs_task_priority", "hs_task_type", "hs_timestamp", "hubspot_owner_id"),
		record("call", "calls", "hs_call_title", "hs_call_body", "hs_call_direction", "hs_call_disposition", "hs_call_duration", "hs_call_from_number", "hs_call_to_number", "hs_call_status", "hs_timestamp", "hubspot_owner_id"),
		store.Identity{Ref: contact, How: "created", At: at},
		store.State{
			Status: store.Synced, Wanted: 1, Done: 1, Since: at, SyncedAt: at, Revision: 1, Mapping: sum[:12],
			Person: &store.Choice{Ref: contact, How: "found by rule 2, phone"},
		},
		store.State{Status: store.Pending, Wanted: 1, Since: at, Next: at},
		store.Delivery{At: time.Time{}, Peer: "203.0.113.7", RequestID: "81e613e16d24da1fb4a30f7c", Status: 200, CallID: c.CallID, Size: 9000, Hash: sum},
		store.Call{
			ID: c.CallID, AgentID: c.AgentID, Direction: c.Direction, ResultType: c.Result.ResultType, ScheduledAt: at,
			ReceivedAt: at, RevisedAt: at, Revision: 1, Hash: sum, Size: 9000,
		},
	}
}
