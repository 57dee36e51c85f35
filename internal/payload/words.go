package payload

import "strings"

// words are common words of spoken English, roughly from the most to the least
// frequent, with those of sales calls among them.
var words = strings.Fields(`
the I to you and a it that of we is in so yeah for have that's on okay just it's
with do was but be know like what not this at think would can they right are our
if one your about get there all or going don't as from me some up out more time
my then them when how really we're want I'm need could now had because has well
see good an make been use did who which by make things also will say way thing
where into team other people sure mean lot were only here let actually kind even
over work back look two want those than something first any much very take next
day call give still before these should through come day today week got work find
maybe after every probably help working down system point why never while too
month three year does same put part talk talking little great course question
looking being start last trying used their most tell send ask before email able
again around set number week data company business keep different price another
half hour call might meeting believe end already someone made since bit run show
problem process always try pretty plan thank thanks customer sales couple change
manage feel big new second support better place side add using both old top next
almost together exactly four whole enough best real far move five off pay left
issue product check later morning afternoon calendar budget contract renewal sign
account manager director office agree sense either without currently each person
information anything everything anyone nothing couldn't wouldn't doesn't haven't
we've they're you're I've I'd you'd I'll we'll it'll what's there's let's he she
his her him us during under against between until whether though however instead
Monday Tuesday Wednesday Thursday Friday January February March April quarter
invoice license seat users rollout pilot trial demo integration security review
legal procurement vendor supplier competitor spreadsheet dashboard report pipeline
lead leads deal deals prospect prospects opportunity territory quota forecast
marketing finance operations engineering hiring onboarding training documentation
voicemail callback reschedule appointment available availability quarter-hour
honestly basically obviously definitely absolutely perfectly especially generally
eventually usually sometimes often rarely quickly slowly simply directly roughly
understand explain describe discuss decide consider compare evaluate implement
migrate connect configure automate improve reduce increase replace measure follow
approve confirm cancel extend upgrade purchase negotiate recommend introduce share
forward remember forget expect hope wish wonder worry notice realize assume depend
matter happen handle deal cover include require provide offer receive deliver
expensive cheap simple complex difficult easy important urgent useful reliable
flexible manual automatic internal external existing previous current upcoming
several various certain similar common typical particular specific general final
percent thousand hundred dollars euros annual monthly weekly daily per minimum
maximum average total discount volume tier package bundle option feature workflow
patient clinic warehouse factory store branch region country market industry
agency partner reseller distributor customer-service headquarters department board
`)

// openers and asides are the phrases people repeat.
var phrases = []string{
	"you know", "I mean", "to be honest", "at the moment", "a little bit", "sort of",
	"that makes sense", "sounds good", "no problem", "of course", "let me check",
	"as far as I know", "in the end", "at the end of the day", "right now",
	"what I would say is", "the thing is", "if that works for you", "does that make sense",
	"thanks for taking the time", "is this a good time to talk", "I will send you an email",
	"how does that sound", "who else would be involved", "what are you using today",
}

var (
	firstNames = strings.Fields("Ada Ben Carla Dev Elif Femi Greta Hugo Ines Jonas Kemi Lars Mei Nadia Omar Petra Quinn Rosa Sven Tara Uma Viktor Wen Ximena Yusuf Zoe")
	lastNames  = strings.Fields("Abara Brandt Costa Dietz Engström Fofana Garner Hale Ivers Jansen Kowal Lindqvist Moreau Nakamura Okafor Pereira Quist Rossi Sharma Tanaka Ueda Varga Weber Xu Yilmaz Zeller")
	companies  = strings.Fields("Northwind Halden Brightline Kestrel Lumen Ostara Pinecrest Quarry Redwood Solberg Tidewater Umbra Vantage Westgate Yarrow")
	kinds      = strings.Fields("Logistics Clinics Software Foods Energy Partners Systems Retail Labs Group")
	zones      = []string{"America/New_York", "America/Chicago", "America/Los_Angeles", "Europe/London", "Europe/Berlin"}
)
