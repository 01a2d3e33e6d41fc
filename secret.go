package main

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

const minSecretBytes = 32

// signingKeys is the purpose of the key that seals them.
const signingKeys = "signing keys"

// secret is the one that everything secret is derived from.
type secret []byte

// key returns the 32 bytes that serve one purpose and no other.
func (s secret) key(purpose string) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, s, nil, "gatehouse "+purpose, 32)
	if err != nil {
		return nil, fmt.Errorf("derive the key of %s: %w", purpose, err)
	}
	return key, nil
}

// readSecret reads the secret file, and makes one first if it is missing and mayCreate is set.
func readSecret(path string, mayCreate bool) (secret, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && mayCreate {
		if err := createSecret(path); err != nil {
			return nil, fmt.Errorf("make the secret file %s: %w", path, err)
		}
		content, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the secret file: %w", err)
	}
	s, err := parseSecret(content)
	if err != nil {
		return nil, fmt.Errorf("the secret in %s is %w: make a new one with `openssl rand -base64 32`", path, err)
	}
	return s, nil
}

// parseSecret takes the content of a secret file.
func parseSecret(content []byte) (secret, error) {
	content = bytes.TrimSpace(content)
	if len(content) < minSecretBytes {
		return nil, fmt.Errorf("shorter than %d characters", minSecretBytes)
	}
	return content, nil
}

// createSecret makes a secret, and leaves the one of a process that was faster.
func createSecret(path string) error {
	return putSecret(path, []byte(rand.Text()+rand.Text()+"\n"))
}

// putSecret makes the file appear whole, and leaves one that is there.
func putSecret(path string, content []byte) error {
	unfinished := path + "." + rand.Text()
	if err := os.WriteFile(unfinished, content, 0o600); err != nil {
		return err
	}
	defer os.Remove(unfinished)
	err := os.Link(unfinished, path)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) { // no hard links here
		return os.Rename(unfinished, path)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func othersMayRead(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().Perm()&0o044 != 0
}
