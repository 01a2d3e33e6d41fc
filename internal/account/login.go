package account

import (
	"context"
	"fmt"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/audit"
	"gatehouse/internal/db"
	"gatehouse/internal/session"
	"gatehouse/internal/verify"
)

// Credentials are what it takes to log in: the password, a code, or both.
type Credentials struct {
	Phone       string
	Password    string
	Code        string
	StartAfresh bool // with a code, leave an account behind in which nobody was seen for long
}

// login is one login under way.
type login struct {
	Credentials
	phone string // E.164
	from  audit.Origin
	proof *verify.Proof // nil without a code
	guess guess         // at the password, once it was taken
}

// Login checks who is there and opens a session, in the transaction that makes sure that nothing about the
// user has changed meanwhile. A user within the grace of a deletion is restored. It returns:
//   - InvalidInput, WrongCode, CodeExpired and ServerBusy;
//   - NotRegistered for an unknown phone, unless its right code registers it or Options.HideRegistered is
//     set; a code is not used up then. An unknown phone costs a hash as a known one does;
//   - WrongPassword, and TooManyFailures once there were too many;
//   - PasswordRequired for a code alone where nobody was seen for long, since the phone may have a new owner;
//   - AccountDisabled, only after the secret was right.
func (s *Service) Login(ctx context.Context, c Credentials, from audit.Origin) (User, session.Session, error) {
	phone, err := verify.ParsePhone(c.Phone)
	if err != nil {
		return User{}, session.Session{}, err
	}
	if c.Password == "" && c.Code == "" {
		return User{}, session.Session{}, errNoSecret
	}
	l := login{Credentials: c, phone: phone, from: from}
	if c.Code != "" {
		proof, err := s.options.Codes.Check(ctx, phone, verify.Login, c.Code)
		if err != nil {
			return User{}, session.Session{}, err
		}
		l.proof = &proof
	}
	var row db.User
	var opened session.Session
	err = decide(func() (err error) {
		row, opened, err = s.logIn(ctx, l)
		return err
	})
	if err != nil {
		return User{}, session.Session{}, err
	}
	user, err := userFromRow(row)
	return user, opened, err
}

// logIn decides by the user as he or she is now. It returns errChanged if that has changed by the end.
func (s *Service) logIn(ctx context.Context, l login) (db.User, session.Session, error) {
	row, err := s.userByPhone(ctx, l.phone)
	switch {
	case apperr.Is(err, apperr.NotRegistered):
		return s.logUnknownIn(ctx, l)
	case err != nil:
		return db.User{}, session.Session{}, err
	case l.proof == nil:
		return s.logInByPassword(ctx, l, row)
	case row.DisabledAt != nil:
		return db.User{}, session.Session{}, errAccountDisabled
	case !s.isAbsent(row):
		return s.enter(ctx, l, row, row.PasswordHash)
	case l.StartAfresh:
		return s.startAfresh(ctx, l, row)
	case l.Password == "":
		return db.User{}, session.Session{}, errPasswordRequired
	default:
		return s.logInByPassword(ctx, l, row)
	}
}

func (s *Service) logUnknownIn(ctx context.Context, l login) (db.User, session.Session, error) {
	switch {
	case l.proof == nil:
		_, _, err := s.checkPassword(ctx, db.User{Phone: &l.phone}, l.Password, l.from)
		if apperr.Is(err, apperr.WrongPassword) && !s.options.HideRegistered {
			err = errNotRegistered
		}
		return db.User{}, session.Session{}, err
	case !s.options.RegisterAtLogin:
		return db.User{}, session.Session{}, errNotRegistered
	}
	id := newID()
	var row db.User
	var opened session.Session
	err := s.options.Database.InTx(ctx, func(q *db.Queries) (err error) {
		if err := use(ctx, q, l.proof); err != nil {
			return err
		}
		row, opened, err = s.admit(ctx, q, l, id)
		return err
	})
	if err != nil {
		return db.User{}, session.Session{}, fmt.Errorf("register user %s at the login: %w", id, err)
	}
	s.options.Logger.InfoContext(ctx, "user registered at the login", "user", id)
	return row, opened, nil
}

func (s *Service) logInByPassword(ctx context.Context, l login, row db.User) (_ db.User, _ session.Session, err error) {
	var outdated bool
	l.guess, outdated, err = s.checkPassword(ctx, row, l.Password, l.from)
	if err != nil {
		return db.User{}, session.Session{}, err
	}
	defer func() {
		if err != nil {
			s.undo(ctx, l.guess)
		}
	}()
	if row.DisabledAt != nil {
		return db.User{}, session.Session{}, errAccountDisabled
	}
	hash := row.PasswordHash
	if outdated {
		hash = s.rehash(ctx, row, l.Password)
	}
	return s.enter(ctx, l, row, hash)
}

// rehash returns the hash of a password with today's parameters. It is worth no failed login: without a
// turn the old hash stays, and the next login tries again.
func (s *Service) rehash(ctx context.Context, row db.User, password string) string {
	hash, err := s.options.Hasher.Hash(ctx, password)
	if err != nil {
		s.options.Logger.WarnContext(ctx, "rehash a password", "user", row.ID, "error", err)
		return row.PasswordHash
	}
	return hash
}

// enter logs a user in whose secret was right, and stores the hash of the password.
func (s *Service) enter(ctx context.Context, l login, row db.User, hash string) (db.User, session.Session, error) {
	var entered db.User
	var opened session.Session
	err := s.change(ctx, row.ID, func(q *db.Queries) (err error) {
		if err := use(ctx, q, l.proof); err != nil {
			return err
		}
		if err := s.noteLogin(ctx, q, row, hash); err != nil {
			return err
		}
		if row.EraseAt != nil {
			if err := audit.Record(ctx, q, row.ID, audit.Restored, l.from, s.now()); err != nil {
				return err
			}
		}
		if opened, err = s.open(ctx, q, l, row.ID); err != nil {
			return err
		}
		entered, err = q.GetUser(ctx, row.ID)
		return err
	})
	if err != nil {
		return db.User{}, session.Session{}, fmt.Errorf("log user %s in: %w", row.ID, err)
	}
	return entered, opened, nil
}

// farFuture is later than any time of erasure.
var farFuture = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// noteLogin stores a login of the user that was read, who must not have changed since.
func (s *Service) noteLogin(ctx context.Context, q *db.Queries, row db.User, hash string) error {
	now := s.now()
	erasedBefore := farFuture // no erasure was asked for, nor may one have been since
	if row.EraseAt != nil {
		erasedBefore = now
	}
	return oneRow(q.LogUserIn(ctx, db.LogUserInParams{
		ID: row.ID, Phone: row.Phone, CheckedHash: row.PasswordHash, NewHash: hash,
		Now: &now, UpdatedAt: now, ErasedBefore: &erasedBefore,
	}))
}

// open opens the session of a login, records the login and forgives what failed before it.
func (s *Service) open(ctx context.Context, q *db.Queries, l login, userID string) (session.Session, error) {
	opened, err := s.options.Sessions.Open(ctx, q, userID, l.from)
	if err != nil {
		return session.Session{}, err
	}
	if err := audit.Record(ctx, q, userID, audit.Login, l.from, s.now()); err != nil {
		return session.Session{}, err
	}
	return opened, s.forgive(ctx, q, l.phone, l.guess)
}

// admit creates a user without a password and logs the user in. It returns errChanged if the phone has been
// registered since.
func (s *Service) admit(ctx context.Context, q *db.Queries, l login, id string) (db.User, session.Session, error) {
	err := s.insert(ctx, q, newUser{id: id, phone: l.phone}, audit.Register, l.from)
	if apperr.Is(err, apperr.AlreadyRegistered) {
		return db.User{}, session.Session{}, errChanged
	}
	if err != nil {
		return db.User{}, session.Session{}, err
	}
	if err := s.noteLogin(ctx, q, db.User{ID: id, Phone: &l.phone}, ""); err != nil {
		return db.User{}, session.Session{}, err
	}
	opened, err := s.open(ctx, q, l, id)
	if err != nil {
		return db.User{}, session.Session{}, err
	}
	row, err := q.GetUser(ctx, id)
	return row, opened, err
}

// isAbsent reports whether a user was not seen for so long that the phone may have a new owner.
func (s *Service) isAbsent(row db.User) bool {
	return s.options.AbsentAfter > 0 && lastSeen(row).Before(s.absentSince())
}

func (s *Service) absentSince() time.Time {
	return s.now().Add(-s.options.AbsentAfter)
}

// startAfresh takes the phone from an absent user and makes a new account on it. The old one stays, out of
// everybody's reach but the administrator's.
func (s *Service) startAfresh(ctx context.Context, l login, old db.User) (db.User, session.Session, error) {
	id := newID()
	var row db.User
	var opened session.Session
	err := s.changeAndEnd(ctx, old.ID, "", func(q *db.Queries) (err error) {
		if err := use(ctx, q, l.proof); err != nil {
			return err
		}
		since := s.absentSince()
		err = oneRow(q.LeaveUserBehind(ctx, db.LeaveUserBehindParams{
			ID: old.ID, Phone: old.Phone, AbsentSince: &since, UpdatedAt: s.now(),
		}))
		if err != nil {
			return err
		}
		if err := audit.Record(ctx, q, old.ID, audit.LeftBehind, l.from, s.now()); err != nil {
			return err
		}
		row, opened, err = s.admit(ctx, q, l, id)
		return err
	})
	if err != nil {
		return db.User{}, session.Session{}, fmt.Errorf("leave user %s behind: %w", old.ID, err)
	}
	s.options.Logger.InfoContext(ctx, "user left behind", "user", old.ID, "successor", id)
	return row, opened, nil
}
