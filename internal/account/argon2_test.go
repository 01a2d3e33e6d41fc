package account

import (
	"bytes"
	"slices"
	"testing"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/argon2"
)

func TestKeyIsThatOfXCrypto(t *testing.T) {
	tests := []struct {
		name   string
		params argon2id.Params
	}{
		{"ours", argon2id.Params{Memory: 19456, Iterations: 2, Parallelism: 1, KeyLength: 32}},
		{"several lanes", argon2id.Params{Memory: 256, Iterations: 3, Parallelism: 4, KeyLength: 32}},
		{"memory that no lanes divide", argon2id.Params{Memory: 101, Iterations: 1, Parallelism: 3, KeyLength: 16}},
		{"the least memory", argon2id.Params{Memory: 8, Iterations: 1, Parallelism: 1, KeyLength: 4}},
		{"less than the least memory", argon2id.Params{Memory: 9, Iterations: 1, Parallelism: 2, KeyLength: 64}},
		{"a long key", argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, KeyLength: 200}},
	}
	memory := make(memory, 1)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, password := range []string{"correct horse", "", "口令"} { // the second and third over used memory
				salt := []byte("a salt of sixteen")
				p := test.params
				want := argon2.IDKey([]byte(password), salt, p.Iterations, p.Memory, p.Parallelism, p.KeyLength)
				if got := memory.key(password, salt, p); !bytes.Equal(got, want) {
					t.Errorf("%q has the key %x, want %x", password, got, want)
				}
			}
		})
	}
}

func TestMemoryIsUsedAgainAndHoldsNothing(t *testing.T) {
	memory := make(memory, 1)
	p := argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, KeyLength: 32}
	memory.key("secret", []byte("salt of 8"), p)
	used := <-memory
	if i := slices.IndexFunc(used, func(b block) bool { return b != block{} }); i >= 0 {
		t.Errorf("block %d of %d still holds something", i, len(used))
	}
	memory <- used
	memory.key("secret", []byte("salt of 8"), p)
	if again := <-memory; &again[0] != &used[0] {
		t.Error("the second hash had other memory than the first")
	}
}
