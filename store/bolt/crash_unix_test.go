//go:build unix

package bolt

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

// Some tests need a process of their own to kill or to starve. They start this
// binary again with childEnv saying what to do to which file.
const childEnv = "CALLSYNC_BOLT_TEST_CHILD"

func TestMain(m *testing.M) {
	if what, path, ok := strings.Cut(os.Getenv(childEnv), ":"); ok {
		j, err := Open(path, Options{Logger: slog.New(slog.DiscardHandler), bundle: 10_000, renew: 1 << 20})
		if err == nil {
			switch what {
			case "load":
				err = childLoad(j)
			case "full":
				err = childFull(j)
			}
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(t *testing.T, what, path string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0])
	c.Env = append(os.Environ(), childEnv+"="+what+":"+path)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewScanner(out)
}

func crashBody(callID string) []byte {
	return []byte(callID + strings.Repeat(" and so on", len(callID)*10))
}

// childLoad delivers, applies and compacts for ever, and says what was acknowledged.
func childLoad(j *Journal) error {
	ctx := context.Background()
	if err := j.Enroll(ctx, []string{"hubspot"}); err != nil {
		return err
	}
	run := strconv.FormatInt(time.Now().UnixNano(), 36)
	errs := make(chan error)
	go func() {
		for {
			if _, _, err := j.Compact(ctx); err != nil { // which packs first
				errs <- err
				return
			}
			fmt.Println("compacted", j.path)
		}
	}()
	for sender := range 16 {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%s-%d-%d", run, sender, i)
				if _, err := j.Deliver(ctx, testDelivery(id, crashBody(id))); err != nil {
					errs <- err
					return
				}
				fmt.Println("delivered " + id)
				if i%4 != 0 {
					continue
				}
				s := store.State{Status: store.Synced, Wanted: 1, Done: 1}
				err := j.Apply(ctx, "hubspot", store.Update{
					States:  map[string]store.State{id: s},
					Records: map[string][]store.Record{id: {{Key: id + "#call", ID: "id of " + id}}},
					People:  map[crm.Ref]store.Person{{Object: "contacts", ID: id}: {Created: id}},
				})
				if err != nil {
					errs <- err
					return
				}
				fmt.Println("applied " + id)
			}
		}()
	}
	return <-errs
}

// What was acknowledged is there, whole, after a SIGKILL at any moment.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "callsync.db")
	var delivered, applied []string
	compacted := 0
	for round := range 4 {
		c, out := child(t, "load", path)
		lines := 0
		for limit := 200 + rand.IntN(300); out.Scan(); lines++ {
			if lines == limit {
				if err := c.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			// What the dead process had still to say was acknowledged too.
			what, id, _ := strings.Cut(out.Text(), " ")
			switch what {
			case "delivered":
				delivered = append(delivered, id)
			case "applied":
				applied = append(applied, id)
			case "compacted":
				compacted++
			}
		}
		if err := c.Wait(); err == nil || c.ProcessState.Exited() {
			t.Fatalf("round %d: the child was not killed: %v", round, err)
		}
	}

	j := openPath(t, path, Options{})
	for _, id := range delivered {
		r, err := j.Revisions(t.Context(), id)
		if err != nil || len(r) != 1 || string(r[0].Body) != string(crashBody(id)) {
			t.Fatalf("acknowledged call %s: %d revisions, %v", id, len(r), err)
		}
	}
	for _, id := range applied {
		works, err := j.Load(t.Context(), "hubspot", []string{id})
		if err != nil || len(works) != 1 {
			t.Fatalf("%s: %d calls, %v", id, len(works), err)
		}
		ref := crm.Ref{Object: "contacts", ID: id}
		people, err := j.People(t.Context(), "hubspot", []crm.Ref{ref})
		if err != nil || people[ref].Created != id || works[0].State.Status != store.Synced || works[0].Records[id+"#call"].ID == "" {
			t.Fatalf("what was applied to %s is not there: %+v, %v", id, works[0].State, err)
		}
	}
	if len(delivered)+len(applied) < 800 || len(applied) == 0 || compacted == 0 {
		t.Errorf("only %d deliveries, %d updates and %d compactions were tried", len(delivered), len(applied), compacted)
	}
}

// childFull fills the file up to a limit that stands for a full disk, then lifts
// the limit.
func childFull(j *Journal) error {
	ctx := context.Background()
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	whole := limit.Cur
	limit.Cur = 512 << 10
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	n := 0
	deliver := func() error {
		id := fmt.Sprint("call ", n)
		_, err := j.Deliver(ctx, testDelivery(id, noise(n, 5000)))
		if err == nil {
			fmt.Println(id)
			n++
		}
		return err
	}
	for n < 1000 {
		if err := deliver(); err != nil {
			break
		}
	}
	if n == 0 || n == 1000 {
		return fmt.Errorf("the disk was full after %d deliveries", n)
	}
	for refused := 0; refused < 20; {
		switch err := deliver(); {
		case err == nil && n < 1000: // pages within the file had become free
			continue
		case !errors.Is(err, store.ErrUnavailable):
			return fmt.Errorf("a full disk: %v, want ErrUnavailable", err)
		}
		refused++
		if c, err := j.Call(ctx, fmt.Sprint("call ", n-1)); err != nil {
			return fmt.Errorf("reading %v while the disk is full: %w", c, err)
		}
	}
	limit.Cur = whole
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	for range 50 {
		if err := deliver(); err != nil {
			return fmt.Errorf("after there was room again: %w", err)
		}
	}
	return j.Close()
}

func TestDiskFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "callsync.db")
	c, out := child(t, "full", path)
	var acknowledged []string
	for out.Scan() {
		acknowledged = append([]string{out.Text()}, acknowledged...)
	}
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	j := openPath(t, path, Options{})
	if got := callIDs(t, j); fmt.Sprint(got) != fmt.Sprint(acknowledged) {
		t.Errorf("the journal has %d calls, %d were acknowledged, or in another order", len(got), len(acknowledged))
	}
}
