// Package salesforce is the connector to one Salesforce org. It turns batches
// of neutral changes into few REST calls and Salesforce's answers into neutral
// results; it keeps no journal, reads no mapping file and never retries a write
// whose outcome is unknown.
//
// # The client
//
// Requests go through github.com/simpleforce/simpleforce, behind the adapter in
// client.go and nowhere else. That library builds the requests and decodes
// query results, but it has no contexts, hides headers, and writes request
// paths and error bodies, which here hold email addresses and phone numbers, to
// the standard logger. So the adapter makes a client per request (its fields
// are plain and mutable, and sharing one would race) and injects a
// RoundTripper that carries the context, an x/oauth2 transport and the pacing,
// keeps the real status and headers, and shows the library nothing but
// success: what it never sees fail, it never logs. SOQL runs through its Query;
// what it cannot express (collections, composite graphs, SOSL, queryAll,
// Tooling) goes through its ApexREST.
//
// # Facts relied upon
//
// From Salesforce's public documents: the REST API Developer Guide (sObject
// Collections, Composite Graph, Query, Search, Describe, API limit headers,
// status codes), the SOQL and SOSL Reference (reserved characters, lengths), the
// Object Reference (Task, Event, Contact, Lead, FieldPermissions) and the
// Tooling API guide (CustomField). What they leave open about a given org, such
// as whether a field of Activity may be unique, is read from describe or probed.
package salesforce
