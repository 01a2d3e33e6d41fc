package seal_test

import (
	"bytes"
	"testing"

	"gatehouse/internal/seal"
)

func TestSealedOpensOnlyUnderItsNameAndKey(t *testing.T) {
	key := bytes.Repeat([]byte{1}, 32)
	s, err := seal.New(key)
	if err != nil {
		t.Fatal(err)
	}
	sealed := s.Seal(nil, nil, []byte("secret"), []byte("name"))
	if again := s.Seal(nil, nil, []byte("secret"), []byte("name")); bytes.Equal(sealed, again) {
		t.Error("sealed twice to the same bytes, want a nonce of its own each time")
	}
	tests := []struct {
		name   string
		key    []byte
		bound  string
		wantOK bool
	}{
		{"same name and key", key, "name", true},
		{"another name", key, "other", false},
		{"another key", bytes.Repeat([]byte{2}, 32), "name", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, err := seal.New(test.key)
			if err != nil {
				t.Fatal(err)
			}
			opened, err := s.Open(nil, nil, sealed, []byte(test.bound))
			if ok := err == nil && string(opened) == "secret"; ok != test.wantOK {
				t.Errorf("opened %q, %v, want success %v", opened, err, test.wantOK)
			}
		})
	}
}

func TestKeyOfWrongLength(t *testing.T) {
	for _, length := range []int{0, 16, 31, 33} {
		if _, err := seal.New(make([]byte, length)); err == nil {
			t.Errorf("a key of %d bytes was taken", length)
		}
	}
}
