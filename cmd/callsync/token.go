package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/oauth2"
)

// A tokenFile keeps the token that `callsync login` obtained in a file that only
// its owner can read.
type tokenFile string

// Load implements [crm.TokenStore].
func (f tokenFile) Load() (*oauth2.Token, error) {
	b, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t := new(oauth2.Token)
	if err := json.Unmarshal(b, t); err != nil {
		return nil, fmt.Errorf("%s is no token file; run `callsync login` again", string(f))
	}
	return t, nil
}

// Save implements [crm.TokenStore]. The file is replaced whole, so that a crash
// never leaves half a refresh token.
func (f tokenFile) Save(t *oauth2.Token) error {
	b, err := json.Marshal(t)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(string(f)), ".callsync-token-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(b)
	if err == nil {
		err = tmp.Sync()
	}
	if closing := tmp.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), string(f))
}
