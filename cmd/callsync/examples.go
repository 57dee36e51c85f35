package main

import "strings"

// An example is a command line and what it is for.
type example struct{ purpose, line string }

// examples are shown by --help and in the man page, by command.
var examples = map[string][]example{
	"serve": {
		{"Run the daemon in the foreground", "callsync serve"},
		{"See every request to the CRM", "callsync serve --log-level debug"},
	},
	"demo": {
		{"Watch eleven deliveries become records in an emulated HubSpot", "callsync demo"},
		{"Both CRMs, left running to play with", "callsync demo --crm both --keep"},
	},
	"sandbox": {
		{"An empty HubSpot on this machine", "callsync sandbox"},
		{"A Salesforce that loses every tenth answer", "callsync sandbox --crm salesforce --fault 'when=after,reset,probability=0.1'"},
	},
	"check": {
		{"After every edit of the configuration or a mapping", "callsync check"},
		{"Without asking the CRM", "callsync check --offline"},
		{"Before the first call: also try out what the account allows", "callsync check --live"},
	},
	"setup": {
		{"Show what would be created, and ask", "callsync setup"},
		{"In a script, for one account", "callsync setup hubspot --yes"},
	},
	"login": {
		{"Agree in the browser of this machine", "callsync login hubspot"},
		{"On a server, after `ssh -L 8484:localhost:8484 server`", "callsync login hubspot --no-browser"},
	},
	"status": {
		{"Is all well?", "callsync status"},
		{"For a script: calls that wait for a person", "callsync status --json | jq '.destinations[].calls.failed'"},
	},
	"calls": {
		{"What came in today", "callsync calls --since 24h"},
		{"What a person has to look at, by cause", "callsync calls --state failed"},
		{"Ids for another command", "callsync calls --result Voicemail --json | jq -r '.calls[].callId'"},
	},
	"show": {
		{"What was written where", "callsync show call.abc123"},
		{"Why it was written: the rule behind every property", "callsync show call.abc123 --explain"},
		{"What 11x sent, every revision", "callsync show call.abc123 --body --json"},
	},
	"deliveries": {
		{"What was turned away, and why", "callsync deliveries --verdict rejected --since 7d"},
		{"Everything 11x sent about one call", "callsync deliveries --call call.abc123"},
	},
	"readmit": {
		{"See what it was that could not be read", "callsync readmit 4711 --body"},
		{"Take a mended copy in, or the whole of what was too large", "callsync readmit 4711 --file mended.json"},
		{"Take it in as it came, if only its Content-Type was wrong", "callsync readmit 4711"},
	},
	"mapping": {
		{"Take an edit back", "callsync mapping b8a6d8638137 > mappings/hubspot.toml"},
	},
	"compact": {
		{"After an erasure, or when much has expired", "callsync compact"},
	},
	"plan": {
		{"What a payload would become, before anything is set up", "callsync plan --file payload.json --type hubspot"},
		{"What an edited mapping would change in the CRM", "callsync plan --all --mapping edited.toml"},
	},
	"sample": {
		{"What this agent's calls will look like", "callsync sample agent.abc123"},
		{"Keep the payload for tests", "callsync sample agent.abc123 --payload > payload.json"},
	},
	"version": {
		{"For a bug report", "callsync version"},
	},
	"resync": {
		{"After mending what made calls fail", "callsync resync --state failed"},
		{"After a mapping edit: look, then do it", "callsync resync --changed --dry-run"},
		{"Bring back what somebody deleted in the CRM", "callsync resync call.abc123 --recreate"},
	},
	"undo": {
		{"Take a call back from every CRM", "callsync undo call.abc123"},
	},
	"verify": {
		{"Compare the last month with the CRM", "callsync verify --since 30d"},
	},
	"erase": {
		{"Somebody asks to be forgotten: show what there is, and ask", "callsync erase --email somebody@example.com --crm"},
		{"One call, in the journal only", "callsync erase --call call.abc123 --yes"},
	},
	"pause": {
		{"While colleagues import contacts", "callsync pause hubspot --reason 'import until noon'"},
	},
	"unpause": {
		{"Go on, or try a blocked destination at once", "callsync unpause hubspot"},
		{"Portal 7781 takes the place of the one before, which is forgotten; it asks first", "callsync unpause hubspot --account 7781"},
	},
	"reload": {
		{"After editing webhook keys", "callsync reload"},
	},
	"export": {
		{"A month of calls", "callsync export --since 30d > calls.jsonl"},
	},
	"import": {
		{"Calls that never came as a webhook", "callsync import calls.jsonl"},
		{"From another journal", "ssh old callsync export | callsync import -"},
	},
	"backup": {
		{"Every night, from cron or a timer", "callsync backup --force /var/backups/callsync.db"},
	},
	"completion": {
		{"bash, for this user", "callsync completion bash > ~/.local/share/bash-completion/completions/callsync"},
		{"zsh, where a folder of $fpath is", "callsync completion zsh > ~/.zfunc/_callsync"},
		{"fish", "callsync completion fish > ~/.config/fish/completions/callsync.fish"},
	},
	"man": {
		{"Read it", "callsync man | man -l -"},
		{"Install it", "callsync man > /usr/local/share/man/man1/callsync.1"},
	},
}

// shown is how --help shows examples.
func shown(list []example) string {
	if len(list) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("Examples:\n")
	for _, e := range list {
		b.WriteString("\n    # " + e.purpose + "\n    " + e.line + "\n")
	}
	return b.String()
}
