package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

// confirm asks a person, unless yes was said. A script has to say --yes: so is
// nothing, which says that nothing was done, and then what --yes does.
func (a *app) confirm(ctx context.Context, yes bool, question, nothing, does string) error {
	if yes {
		return nil
	}
	f, ok := a.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return usagef("%s: say --yes to %s", nothing, does)
	}
	a.out.f("%s [y/N] ", question)
	typed := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(f).ReadString('\n') // what is typed before an error counts
		typed <- line
	}()
	var answer string
	select {
	case answer = <-typed:
	case <-ctx.Done(): // Ctrl-C
		a.out.f("\n")
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return fmt.Errorf("%s", nothing)
	}
	return nil
}
