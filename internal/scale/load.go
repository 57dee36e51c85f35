package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/callsync/callsync/internal/payload"
)

const loadSenders = 64

// measureLoad sends calls to a daemon whose CRM does not answer, and says what
// memory it takes meanwhile.
func measureLoad(ctx context.Context, binary, dir string, calls int) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	file := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		return err
	}
	daemon := exec.CommandContext(ctx, binary, "--config", file, "serve")
	out, err := daemon.StderrPipe()
	if err != nil {
		return err
	}
	if err := daemon.Start(); err != nil {
		return err
	}
	defer func() {
		_ = daemon.Process.Signal(os.Interrupt)
		_ = daemon.Wait()
	}()
	url, err := listening(out)
	if err != nil {
		return err
	}
	go io.Copy(io.Discard, out)

	source := payload.New(11, 1000)
	var bodies [][]byte
	for range 1000 {
		bodies = append(bodies, source.Next())
	}
	ids := regexp.MustCompile(`call\.[0-9a-f]{24}`)
	begin := time.Now()
	var memory []string
	for part := range 10 {
		g, ctx := errgroup.WithContext(ctx)
		for range loadSenders {
			g.Go(func() error {
				for n := range calls / 10 / loadSenders {
					body := bodies[(n*7+part)%len(bodies)]
					var id [12]byte
					for i := range id {
						id[i] = byte(rand.Uint32())
					}
					body = bytes.ReplaceAll(body, ids.Find(body), []byte("call."+hex.EncodeToString(id[:])))
					if err := post(ctx, url, body); err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		memory = append(memory, fmt.Sprint(anonymous(daemon.Process.Pid)>>20))
	}
	fmt.Printf("%d calls over HTTP in %s; memory of its own after each tenth: %s MiB\n",
		calls, time.Since(begin).Round(time.Second), strings.Join(memory, " "))
	return nil
}

func post(ctx context.Context, url string, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Api-Key", "scale")
	res, err := client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("a delivery was answered %s", res.Status)
	}
	return err
}

var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: loadSenders}}

// listening reads the webhook's address from what the daemon logs.
func listening(log io.Reader) (string, error) {
	var read strings.Builder
	address := regexp.MustCompile(`https?://127\.0\.0\.1:\d+/webhooks/\w+`)
	buf := make([]byte, 4096)
	for {
		n, err := log.Read(buf)
		read.Write(buf[:n])
		if url := address.FindString(read.String()); url != "" {
			return url, nil
		}
		if err != nil {
			return "", fmt.Errorf("the daemon does not say where it listens: %s", read.String())
		}
	}
}
