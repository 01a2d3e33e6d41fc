package account

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"gatehouse/internal/audit"
	"gatehouse/internal/db"
)

const (
	maxMetadata    = 8192 // bytes of JSON
	oldestBirthday = 1900
	seenEvery      = 24 * time.Hour // a user who comes often costs no write each time
)

var (
	errNickname = invalid("/nickname", "不能包含控制字符或隐形字符", "must not contain control or invisible characters")
	errBirthday = invalid("/birthday", "不是有效的出生日期", "is not a possible day of birth")
	errMetadata = invalid("/metadata", "超过 8 KiB", "is larger than 8 KiB")
)

// Change is what a member of a profile shall become, if it is set: a value, or nothing where Value is nil.
type Change[T any] struct {
	Set   bool
	Value *T
}

// Avatar is a picture of the user's own, which the caller has made sure of.
type Avatar struct {
	ID   string
	Name string
}

// Changes are what a user changes of the profile.
type Changes struct {
	Nickname Change[string] // nothing: one made from the phone
	Avatar   Change[Avatar]
	Birthday Change[string] // as 2006-01-02
	Gender   Change[string]
	Bio      Change[string]
	Metadata Change[map[string]any] // replaced as a whole
}

// Get returns a logged-in user, or NotLoggedIn where the user is gone. It remembers users for a second, so
// that changes on another node may be seen so much later. Nothing that guards an account relies on it: the
// sessions of who may no longer be here have ended.
func (s *Service) Get(ctx context.Context, id string) (User, error) {
	now := s.options.Now()
	user, ok, changes := s.remembered.get(id, now)
	if ok {
		return user, nil
	}
	row, err := visibleUser(ctx, s.options.Database.Queries(), id)
	if err != nil {
		return User{}, err
	}
	if user, err = userFromRow(row); err != nil {
		return User{}, err
	}
	s.remembered.keep(user, now, changes)
	return user, nil
}

// Seen returns the user of a session that goes on, and notes about once a day that the user was here. It
// returns NotLoggedIn and AccountDisabled.
func (s *Service) Seen(ctx context.Context, id string) (User, error) {
	row, err := visibleUser(ctx, s.options.Database.Queries(), id)
	if err != nil {
		return User{}, err
	}
	if row.DisabledAt != nil {
		return User{}, errAccountDisabled
	}
	now := s.now()
	if lastSeen(row).Before(now.Add(-seenEvery)) {
		err := s.options.Database.Exec(ctx, func(ctx context.Context, q *db.Queries) error {
			return q.SetUserSeen(ctx, db.SetUserSeenParams{ID: id, LastSeenAt: &now})
		})
		if err != nil {
			return User{}, fmt.Errorf("note that user %s was seen: %w", id, err)
		}
	}
	return userFromRow(row)
}

// lastSeen is when a user last logged in or was there.
func lastSeen(row db.User) time.Time {
	last := row.CreatedAt
	for _, seen := range []*time.Time{row.LastLoginAt, row.LastSeenAt} {
		if seen != nil && seen.After(last) {
			last = *seen
		}
	}
	return last
}

// VisitHome counts a visit of the home page and returns its user; NotLoggedIn where the user is gone.
func (s *Service) VisitHome(ctx context.Context, id string) (User, error) {
	var row db.User
	err := s.change(ctx, id, func(q *db.Queries) error {
		visits, err := q.AddHomeVisit(ctx, db.AddHomeVisitParams{UpdatedAt: s.now(), ID: id})
		if err != nil {
			return err
		}
		if visits == 0 {
			return errNotLoggedIn
		}
		row, err = q.GetUser(ctx, id)
		return err
	})
	if err != nil {
		return User{}, fmt.Errorf("count a home visit of user %s: %w", id, err)
	}
	return userFromRow(row)
}

// Update changes what is set of a profile, and leaves the rest to whoever changes that at the same time. It
// returns InvalidInput and NotLoggedIn.
func (s *Service) Update(ctx context.Context, id string, c Changes, from audit.Origin) (User, error) {
	if c == (Changes{}) {
		return s.Get(ctx, id)
	}
	update, err := s.profileUpdate(c)
	if err != nil {
		return User{}, err
	}
	update.ID = id
	var row db.User
	err = decide(func() error {
		return s.change(ctx, id, func(q *db.Queries) (err error) {
			row, err = s.update(ctx, q, update, from)
			return err
		})
	})
	if err != nil {
		return User{}, fmt.Errorf("update user %s: %w", id, err)
	}
	return userFromRow(row)
}

func (s *Service) update(ctx context.Context, q *db.Queries, update db.UpdateUserProfileParams, from audit.Origin) (db.User, error) {
	row, err := visibleUser(ctx, q, update.ID)
	if err != nil {
		return db.User{}, err
	}
	if update.NewNickname == "" {
		update.NewNickname = defaultNickname(*row.Phone)
	}
	if err := oneRow(q.UpdateUserProfile(ctx, update)); err != nil {
		return db.User{}, err
	}
	if err := audit.RecordSeldom(ctx, q, update.ID, audit.ProfileChanged, from, s.now()); err != nil {
		return db.User{}, err
	}
	return q.GetUser(ctx, update.ID)
}

// profileUpdate checks changes and returns the statement's parameters for them.
func (s *Service) profileUpdate(c Changes) (db.UpdateUserProfileParams, error) {
	update := db.UpdateUserProfileParams{
		SetNickname: c.Nickname.Set, SetAvatar: c.Avatar.Set, SetBirthday: c.Birthday.Set,
		SetGender: c.Gender.Set, SetBio: c.Bio.Set, SetMetadata: c.Metadata.Set,
		NewBirthday: c.Birthday.Value, NewGender: c.Gender.Value, NewBio: c.Bio.Value, UpdatedAt: s.now(),
	}
	if nickname := c.Nickname.Value; nickname != nil {
		if *nickname == "" || strings.ContainsFunc(*nickname, audit.IsHidden) {
			return update, errNickname
		}
		update.NewNickname = *nickname
	}
	if avatar := c.Avatar.Value; avatar != nil {
		update.NewAvatarID, update.NewAvatarName = &avatar.ID, &avatar.Name
	}
	if birthday := c.Birthday.Value; birthday != nil && !s.isBirthday(*birthday) {
		return update, errBirthday
	}
	if metadata := c.Metadata.Value; metadata != nil {
		text, err := marshalMetadata(*metadata)
		if err != nil {
			return update, err
		}
		update.NewMetadata = &text
	}
	return update, nil
}

// isBirthday reports whether somebody may be born on a day. Where it is tomorrow already, today may be that day.
func (s *Service) isBirthday(text string) bool {
	day, err := time.Parse(time.DateOnly, text)
	return err == nil && day.Year() >= oldestBirthday && !day.After(s.now().Add(24*time.Hour))
}

func marshalMetadata(metadata map[string]any) (string, error) {
	if metadata == nil {
		metadata = map[string]any{}
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(metadata); err != nil {
		return "", fmt.Errorf("write metadata as JSON: %w", err)
	}
	compact := bytes.TrimSuffix(text.Bytes(), []byte("\n"))
	if len(compact) > maxMetadata {
		return "", errMetadata
	}
	return string(compact), nil
}
