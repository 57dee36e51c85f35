package mappings

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed *.toml
var shipped embed.FS

// Builtin compiles the mapping shipped for a destination type.
func Builtin(destinationType string, o Options) (*Mapping, error) {
	source, ok := builtinSource(destinationType)
	if !ok {
		return nil, fmt.Errorf("no mapping is shipped for destinations of type %q; there are: %s", destinationType, strings.Join(builtinNames(), ", "))
	}
	return Parse(builtinName(destinationType), source, o)
}

func builtinSource(kind string) ([]byte, bool) {
	source, err := shipped.ReadFile(kind + ".toml")
	return source, err == nil
}

func builtinName(kind string) string { return kind + ".toml (built in)" }

func builtinNames() []string {
	entries, err := shipped.ReadDir(".")
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".toml"))
	}
	return names
}
