package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/maypok86/otter/v2"

	"gatehouse/internal/database"
)

// hiding is whether what a user made public is hidden, as it was a moment ago.
type hiding struct {
	hidden bool
	readAt time.Time
}

func newHidings() *otter.Cache[string, hiding] {
	return otter.Must(&otter.Options[string, hiding]{MaximumSize: rememberedUsers})
}

// IsHidden reports whether a user has asked to be deleted, so that nobody sees any more what the user
// made public. Who is no user is not hidden. The answer may be a second old.
func (s *Service) IsHidden(ctx context.Context, id string) (bool, error) {
	now := s.options.Now()
	known, ok := s.hidings.GetIfPresent(id)
	if age := now.Sub(known.readAt); ok && age >= 0 && age < rememberedFor {
		s.hidingLookups.RecordHits(1)
		return known.hidden, nil
	}
	s.hidingLookups.RecordMisses(1)
	row, err := s.options.Database.Queries().GetUser(ctx, id)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, fmt.Errorf("get user %s: %w", id, database.Refusal(err))
	}
	hidden := err == nil && row.EraseAt != nil
	s.hidings.Set(id, hiding{hidden, now})
	return hidden, nil
}
