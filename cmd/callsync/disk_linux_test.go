package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/crm/sandbox"
	"github.com/callsync/callsync/store"
)

const (
	smallDiskEnv = "CALLSYNC_TEST_DISK"  // a folder to mount a small disk on
	limitEnv     = "CALLSYNC_TEST_LIMIT" // the largest file it may write, in bytes
	ballast      = "ballast"
)

func init() {
	programs["callsync-on-small-disk"] = onSmallDisk
	programs["callsync-limited"] = limited
	programs["callsync-read-only"] = readOnly
}

// onSmallDisk is callsync with a disk of 24 MiB, half of it taken. It runs in a
// mount namespace of its own.
func onSmallDisk() {
	dir := os.Getenv(smallDiskEnv)
	err := syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, "")
	if err == nil {
		err = syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=24m,mode=0700")
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, ballast), make([]byte, 12<<20), 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(77)
	}
	main()
}

// readOnly is callsync to whom a folder is read-only, in a mount namespace of its
// own.
func readOnly() {
	dir := os.Getenv(smallDiskEnv)
	err := syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, "")
	if err == nil {
		err = syscall.Mount(dir, dir, "", syscall.MS_BIND, "")
	}
	if err == nil {
		err = syscall.Mount("", dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(77)
	}
	main()
}

// limited is callsync that may write no file larger than a limit: not a byte of
// any after SIGUSR2, as much as it likes after SIGUSR1.
func limited() {
	signal.Ignore(syscall.SIGXFSZ)
	limit := func(n uint64) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: 1 << 40}); err != nil {
			panic(err)
		}
	}
	n, err := strconv.ParseUint(os.Getenv(limitEnv), 10, 64)
	if err != nil {
		panic(err)
	}
	limit(n)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		for s := range signals {
			if s == syscall.SIGUSR1 {
				limit(1 << 40)
			} else {
				limit(0)
			}
		}
	}()
	main()
}

// startAs starts the daemon as another program, and keeps what it logs.
func (s *served) startAs(log *lockedBuffer, attr *syscall.SysProcAttr, env, program string) error {
	s.cmd = exec.Command(program, "serve", "--config", s.config)
	s.cmd.Stderr = log
	s.cmd.Env = append(os.Environ(), env)
	s.cmd.SysProcAttr = attr
	if err := s.cmd.Start(); err != nil {
		return err
	}
	cmd := s.cmd
	s.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if s.t.Failed() {
			s.t.Logf("the daemon's log:\n%s", log)
		}
	})
	return awaitReady(s.config)
}

// bulky is a call with half a megabyte that does not compress.
func bulky(t *testing.T, n int) []byte {
	t.Helper()
	noise := make([]byte, 400<<10)
	random := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = random.Read(noise)
	body, err := json.Marshal(map[string]any{
		"callId": fmt.Sprintf("call.bulky-%d", n), "name": "Ada Lindqvist", "phoneNumber": phoneOf(n),
		"callResult": map[string]any{"resultType": "Goal Completed", "transcription": base64.StdEncoding.EncodeToString(noise)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// TestDiskFull fills the disk while the CRM is down, lets the CRM come back while
// the journal cannot be written at all, and makes room: nothing that was
// acknowledged is lost, nothing is in the CRM twice, and nobody has to start
// anything again.
func TestDiskFull(t *testing.T) {
	t.Run("a disk of its own", func(t *testing.T) {
		t.Parallel()
		s := newServed(t, "hubspot")
		disk := filepath.Join(filepath.Dir(s.config), "disk")
		if err := os.Mkdir(disk, 0o700); err != nil {
			t.Fatal(err)
		}
		s.configure("[store]\npath = \"disk/callsync.db\"\n")
		attr := mounting(t, "callsync-on-small-disk", disk)
		log := &lockedBuffer{}
		if err := s.startAs(log, attr, smallDiskEnv+"="+disk, "callsync-on-small-disk"); err != nil {
			t.Fatal(err)
		}
		s.fillUp(log, func() {}, func() {
			// The daemon's own view of the disk.
			seen := fmt.Sprintf("/proc/%d/root%s/%s", s.cmd.Process.Pid, disk, ballast)
			if err := os.Remove(seen); err != nil {
				t.Fatal(err)
			}
		})
	})
	t.Run("a journal that cannot be written", func(t *testing.T) {
		t.Parallel()
		s := newServed(t, "hubspot")
		log := &lockedBuffer{}
		if err := s.startAs(log, nil, fmt.Sprint(limitEnv, "=", 18<<20), "callsync-limited"); err != nil {
			t.Fatal(err)
		}
		tell := func(sig syscall.Signal) func() {
			return func() {
				if err := s.cmd.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
			}
		}
		worse := func() {
			tell(syscall.SIGUSR2)()
			s.until("the status to tell of it", func(now admin.Status) bool {
				return !now.Ready && len(now.Reasons) > 0 && strings.HasPrefix(now.Reasons[0], "the journal cannot be written: ")
			})
		}
		s.fillUp(log, worse, tell(syscall.SIGUSR1))
	})
}

// A resync does not wait for what cannot come: its calls were asked for, and then the
// journal could not be written any more.
func TestResyncWhileTheJournalCannotBeWritten(t *testing.T) {
	t.Parallel()
	s := newServed(t, "hubspot")
	log := &lockedBuffer{}
	if err := s.startAs(log, nil, fmt.Sprint(limitEnv, "=", 1<<40), "callsync-limited"); err != nil {
		t.Fatal(err)
	}
	s.take(1, 0, "some words")
	s.settle(time.Minute)
	held := sandbox.Fault{Operation: "calls batch update", Delay: sandbox.Duration(time.Hour)}
	if _, err := s.account.AddFault(held); err != nil {
		t.Fatal(err)
	}
	var out, stderr lockedBuffer
	code := make(chan int, 1)
	go func() {
		code <- run(t.Context(), []string{"resync", "call.of-1-0", "--force", "--config", s.config}, strings.NewReader(""), &out, &stderr)
	}()
	err := await("the request to the CRM", time.Minute, func(context.Context) (bool, error) { return s.account.Faults()[0].Struck > 0, nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	if status, answer, err := deliver(s.webhook(), bulky(t, 1)); err != nil || status != http.StatusServiceUnavailable {
		t.Fatalf("a delivery is answered %d %s %v, want 503", status, answer, err)
	}
	if n := <-code; n != exitFailed || !strings.Contains(stderr.String(), "callsync: the journal cannot be written: ") || !strings.Contains(stderr.String(), "; 1 call left, to be synced when it can") {
		t.Errorf("exit code %d: %s%s", n, &out, &stderr)
	}
}

// mounting is how to start a program that mounts something. The test is skipped
// where that is not allowed.
func mounting(t *testing.T, program, dir string) *syscall.SysProcAttr {
	t.Helper()
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	try := exec.Command(program, "version")
	try.Env, try.SysProcAttr = append(os.Environ(), smallDiskEnv+"="+dir), attr
	if out, err := try.CombinedOutput(); err != nil {
		t.Skipf("nothing can be mounted here: %v %s", err, out)
	}
	return attr
}

// TestReadOnlyJournal starts a daemon that may read its journal and not write to
// it: it must say so and end, not take deliveries that it cannot keep.
func TestReadOnlyJournal(t *testing.T) {
	s := newServed(t, "hubspot")
	disk := filepath.Join(filepath.Dir(s.config), "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	s.configure("[store]\npath = \"disk/callsync.db\"\n")
	s.start()
	s.take(1, 0, "some words")
	s.settle(time.Minute)
	s.stop()

	attr := mounting(t, "callsync-read-only", disk)
	for _, args := range [][]string{{"serve"}, {"calls"}} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, "callsync-read-only", append(args, "--config", s.config)...)
		cmd.Env, cmd.SysProcAttr = append(os.Environ(), smallDiskEnv+"="+disk), attr
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != exitFailed || !strings.Contains(string(out), "callsync.db: ") || !strings.Contains(string(out), "read-only") {
			t.Errorf("%s: %v: %s", args, err, out)
		}
	}
	s.start()
	s.take(1, 1, "other words")
	s.settle(time.Minute)
	s.stop()
	s.hasOnce(map[int][]string{1: {"some words", "other words"}})
}

func (s *served) fillUp(log *lockedBuffer, worse, better func()) {
	t, account := s.t, s.account.(changeable)
	down, err := account.AddFault(sandbox.Fault{Status: 503})
	if err != nil {
		t.Fatal(err)
	}
	url := s.webhook()
	acknowledged := map[int]bool{}
	n, refused := 0, 0
	for ; refused < 5; n++ {
		if n == 200 {
			t.Fatal("the disk does not fill up")
		}
		status, answer, err := deliver(url, bulky(t, n))
		switch {
		case err != nil:
			t.Fatal(err)
		case status == http.StatusOK:
			acknowledged[n] = true
		case status == http.StatusServiceUnavailable && strings.Contains(answer, `"error":"UNAVAILABLE"`):
			refused++
		default:
			t.Fatalf("a full disk is answered %d %s", status, answer)
		}
	}
	if len(acknowledged) == 0 {
		t.Fatal("nothing was taken at all")
	}
	if !strings.Contains(log.String(), "delivery not journalled") {
		t.Error("the log does not tell of it")
	}
	worse()
	account.RemoveFault(down)
	// Reading goes on; the loop is at it, and at no moment ahead of the journal.
	s.until("the loop to meet the disk, or to be done", func(now admin.Status) bool {
		return strings.Contains(log.String(), "the journal does not answer") || now.Destinations[0].Calls[store.Synced] == int64(len(acknowledged))
	})
	better()
	s.until("the journal to be written again", func(now admin.Status) bool { return now.Ready })
	s.settle(2 * time.Minute)
	for i := range n {
		status, answer, err := deliver(url, bulky(t, i))
		want := `"accepted"`
		if acknowledged[i] {
			want = `"duplicate"`
		}
		if err != nil || status != http.StatusOK || !strings.Contains(answer, want) {
			t.Errorf("call %d comes again and is answered %d %s %v, want %s", i, status, answer, err, want)
		}
	}
	s.settle(time.Minute)
	seen := s.portrait()
	if len(seen.people) != n || len(seen.loose) > 0 {
		t.Errorf("the CRM holds %d people and %d activities of nobody, want %d people", len(seen.people), len(seen.loose), n)
	}
	for _, p := range seen.people {
		if len(p.records) != 1 {
			t.Errorf("somebody has %d records, want one", len(p.records))
		}
	}
	s.stop()
}
