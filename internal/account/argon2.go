package account

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	_ "unsafe" // for go:linkname

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/blake2b"
)

// argon2.IDKey allocates the memory of each hash anew: at 19 MiB a hash, a flood of logins keeps the
// garbage collector running, which takes a third of the hashes and makes every other request wait.
// Until golang.org/issue/36634 is settled, this file is IDKey over memory that is used again, made of
// x/crypto's own steps. TestKeyIsThatOfXCrypto holds the two together, and a version of x/crypto
// without these steps does not link.

//go:linkname initHash golang.org/x/crypto/argon2.initHash
func initHash(password, salt, key, data []byte, time, memory, threads, keyLen uint32, mode int) [blake2b.Size + 8]byte

//go:linkname blake2bHash golang.org/x/crypto/argon2.blake2bHash
func blake2bHash(out, in []byte)

//go:linkname processBlocks golang.org/x/crypto/argon2.processBlocks
func processBlocks(blocks []block, time, memory, threads uint32, mode int)

//go:linkname extractKey golang.org/x/crypto/argon2.extractKey
func extractKey(blocks []block, memory, threads, keyLen uint32) []byte

const (
	modeArgon2id = 2
	syncPoints   = 4
)

// block is 1 KiB of the memory of a hash.
type block [128]uint64

// memory keeps what hashes have used, all zero, for the next ones.
type memory chan []block

func (m memory) take(blocks uint32) []block {
	select {
	case used := <-m:
		if len(used) == int(blocks) {
			return used
		}
	default:
	}
	return make([]block, blocks)
}

// put leaves no trace of a password behind.
func (m memory) put(blocks []block) {
	clear(blocks)
	select {
	case m <- blocks:
	default:
	}
}

// key is argon2.IDKey.
func (m memory) key(password string, salt []byte, p argon2id.Params) []byte {
	lanes := uint32(p.Parallelism)
	laneBlocks := max(p.Memory/(syncPoints*lanes), 2) * syncPoints
	blocks := m.take(laneBlocks * lanes)
	defer m.put(blocks)
	h0 := initHash([]byte(password), salt, nil, nil, p.Iterations, p.Memory, lanes, p.KeyLength, modeArgon2id)
	for lane := range lanes {
		for i := range uint32(2) {
			fillFirst(&blocks[lane*laneBlocks+i], &h0, i, lane)
		}
	}
	processBlocks(blocks, p.Iterations, laneBlocks*lanes, lanes, modeArgon2id)
	return extractKey(blocks, laneBlocks*lanes, lanes, p.KeyLength)
}

// fillFirst fills one of the first two blocks of a lane.
func fillFirst(b *block, h0 *[blake2b.Size + 8]byte, index, lane uint32) {
	binary.LittleEndian.PutUint32(h0[blake2b.Size:], index)
	binary.LittleEndian.PutUint32(h0[blake2b.Size+4:], lane)
	var bytes [len(b) * 8]byte
	blake2bHash(bytes[:], h0[:])
	for i := range b {
		b[i] = binary.LittleEndian.Uint64(bytes[8*i:])
	}
}

// hash returns the hash of a password in PHC form.
func (m memory) hash(password string, p argon2id.Params) string {
	salt := make([]byte, p.SaltLength)
	rand.Read(salt) // never fails
	base64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.Memory, p.Iterations, p.Parallelism,
		base64.EncodeToString(salt), base64.EncodeToString(m.key(password, salt, p)))
}

// check reports whether a password has a hash, and the parameters of that hash.
func (m memory) check(password, hash string) (matches bool, params argon2id.Params, err error) {
	p, salt, key, err := argon2id.DecodeHash(hash)
	if err != nil {
		return false, argon2id.Params{}, err
	}
	return subtle.ConstantTimeCompare(key, m.key(password, salt, *p)) == 1, *p, nil
}
