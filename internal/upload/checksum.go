package upload

import (
	"crypto/sha1"
	"crypto/sha256"
	"hash"
	"maps"
	"slices"

	"gatehouse/internal/apperr"
)

var hashes = map[string]func() hash.Hash{"sha1": sha1.New, "sha256": sha256.New}

// Algorithms returns the names of those by which pieces may be summed up.
func Algorithms() []string {
	return slices.Sorted(maps.Keys(hashes))
}

// Checksum is what a piece must add up to.
type Checksum struct {
	newHash func() hash.Hash
	sum     []byte
}

// NewChecksum returns InvalidInput for an algorithm that is not one of Algorithms, and for a sum that
// is not one of it.
func NewChecksum(algorithm string, sum []byte) (*Checksum, error) {
	newHash, known := hashes[algorithm]
	if !known || len(sum) != newHash().Size() {
		return nil, apperr.New(apperr.InvalidInput)
	}
	return &Checksum{newHash, sum}, nil
}
