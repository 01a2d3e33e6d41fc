package session

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestRefreshTokenForm(t *testing.T) {
	id := uuid.Must(uuid.NewV7())
	token := newRefreshToken(id)
	if token.sessionID() != id.String() || token.generation() != 0 || token == newRefreshToken(id) {
		t.Errorf("token %x of session %s", token, id)
	}
	if text := token.String(); len(text) != 70 || strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		t.Errorf("its form is %q", text)
	}
}

func TestRefreshTokensFollowEachOther(t *testing.T) {
	key, first := []byte("key"), newRefreshToken(uuid.Must(uuid.NewV7()))
	step := first
	for g := range uint32(5) {
		if got := first.forward(key, g); got != step || got.generation() != g || got.sessionID() != first.sessionID() {
			t.Errorf("generation %d in one go is %x, step by step %x", g, got, step)
		}
		if got := first.forward([]byte("another key"), g); g > 0 && got == step {
			t.Error("the key makes no difference")
		}
		step = step.forward(key, g+1)
	}
	if bytes.Equal(first.hash(), step.hash()) {
		t.Error("two tokens have one hash")
	}
}

func FuzzParseRefreshToken(f *testing.F) {
	valid := newRefreshToken(uuid.Must(uuid.NewV7())).String()
	for _, seed := range []string{valid, "", valid[:69], valid + "A", valid[:69] + "\n", valid[:69] + "=", strings.Repeat("/", 70), strings.Repeat("_", 70)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		token, err := parseRefreshToken(text)
		if err == nil && token.String() != text {
			t.Errorf("%q and %q are the same token", text, token)
		}
		if err != nil && token != (refreshToken{}) {
			t.Errorf("%q is refused, but a token is returned", text)
		}
	})
}

// BenchmarkOldestToken is the most that an old or made-up token can cost.
func BenchmarkOldestToken(b *testing.B) {
	token := newRefreshToken(uuid.Must(uuid.NewV7()))
	for b.Loop() {
		token.forward([]byte("key"), maxGenerations)
	}
}
