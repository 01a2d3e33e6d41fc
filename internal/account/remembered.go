package account

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/maypok86/otter/v2/stats"
)

const (
	rememberedUsers = 10_000
	rememberedFor   = time.Second
)

// remembered holds users for a moment, so that those who ask often cost no database read each time.
// A change on this node is seen at once, one on another node within rememberedFor. Nothing that guards
// an account may rely on it: who may no longer be here has no session any more.
type remembered struct {
	mu      sync.Mutex
	users   *simplelru.LRU[string, rememberedUser]
	changes uint64 // grows with each change of a user, so that what was read before it is not kept
	lookups *stats.Counter
}

type rememberedUser struct {
	user   User
	readAt time.Time
}

func newRemembered() *remembered {
	users, err := simplelru.NewLRU[string, rememberedUser](rememberedUsers, nil)
	if err != nil {
		panic(err) // only a size below one is refused
	}
	return &remembered{users: users, lookups: stats.NewCounter()}
}

// get returns a user who was read a moment ago, and otherwise what keep must be told after reading.
func (r *remembered) get(id string, now time.Time) (user User, ok bool, changes uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	entry, ok := r.users.Get(id)
	if age := now.Sub(entry.readAt); !ok || age < 0 || age >= rememberedFor {
		r.lookups.RecordMisses(1)
		return User{}, false, r.changes
	}
	r.lookups.RecordHits(1)
	return entry.user, true, r.changes
}

// size is how many users are remembered, fresh or not.
func (r *remembered) size() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.users.Len()
}

// keep remembers a user, unless any has changed since get was asked. readAt is when the reading began.
func (r *remembered) keep(user User, readAt time.Time, changes uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changes == changes {
		r.users.Add(user.ID, rememberedUser{user, readAt})
	}
}

// forget drops a user who has changed.
func (r *remembered) forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes++
	r.users.Remove(id)
}
