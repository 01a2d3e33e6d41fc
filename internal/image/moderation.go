package image

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
)

// The verdicts on an image; empty where no moderator is asked.
const (
	verdictHeld     = "held"
	verdictReleased = "released"
	verdictRefused  = "refused"
)

const (
	noticeTicks     = time.Second
	noticesAtOnce   = 20
	firstNoticeWait = time.Minute // before the moderator is told again; then twice as long each time
	lastNoticeWait  = time.Hour
	answerWait      = 24 * time.Hour // for the verdict, once the moderator took the notice
	moderatorLink   = 25 * time.Hour
)

// Verdict is what the moderator decided about a picture.
type Verdict struct {
	Release bool      // or else the picture is refused
	Reason  string    // of a refusal, for the owner
	At      time.Time // when it was signed
}

// Judge releases or refuses a picture. A later verdict replaces it. The refusals are ImageNotFound, and
// InvalidSignature for a verdict that is older than the last one, which somebody may have sent again.
func (s *Service) Judge(ctx context.Context, id string, v Verdict) error {
	image, err := s.get(ctx, id)
	if err != nil {
		return err
	}
	at := database.Timestamp(v.At)
	verdict := db.SetImageVerdictParams{ID: id, Verdict: verdictRefused, Reason: v.Reason, JudgedAt: &at}
	if v.Release {
		verdict.Verdict, verdict.Reason = verdictReleased, ""
	}
	var judged int64
	err = s.Database.Exec(ctx, func(ctx context.Context, q *db.Queries) (err error) {
		judged, err = q.SetImageVerdict(ctx, verdict)
		return err
	})
	if err != nil {
		return fmt.Errorf("judge image %s: %w", id, err)
	}
	s.found.Invalidate(image.Name)
	if judged == 0 {
		return errOldVerdict
	}
	s.Logger.InfoContext(ctx, "judged a picture", "name", image.Name, "verdict", verdict.Verdict)
	return nil
}

var errOldVerdict = apperr.Wrap(apperr.InvalidSignature, errors.New("a later verdict is known, or the picture was just deleted"))

// firstVerdict is that of a new image.
func (s *Service) firstVerdict() string {
	if s.Moderate == nil {
		return ""
	}
	return verdictHeld
}

// notifyAt is when the moderator is told of a new image; nil if there is no moderator.
func (s *Service) notifyAt() *time.Time {
	if s.Moderate == nil {
		return nil
	}
	now := s.timestamp()
	return &now
}

// moderate tells the moderator of what is held back, until ctx ends.
func (s *Service) moderate(ctx context.Context) {
	if s.Moderate == nil {
		return
	}
	tick := time.NewTicker(noticeTicks)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := s.Notify(ctx); err != nil && ctx.Err() == nil {
				s.Logger.ErrorContext(ctx, "tell the moderator of pictures", "error", err)
			}
		}
	}
}

// Notify tells the moderator of the pictures whose time has come. What fails is told again later.
func (s *Service) Notify(ctx context.Context) error {
	now := s.timestamp()
	rows, err := s.Database.Queries().ListImagesToNotify(ctx, db.ListImagesToNotifyParams{Now: &now, Limit: noticesAtOnce})
	if err != nil {
		return fmt.Errorf("list pictures that are held back: %w", database.Refusal(err))
	}
	for _, row := range rows {
		if err := s.notify(ctx, row); err != nil {
			return fmt.Errorf("tell of picture %s: %w", row.ID, err)
		}
	}
	return nil
}

// notify first claims the notice, so that of several processes one tells, and one that is killed
// meanwhile is followed by another.
func (s *Service) notify(ctx context.Context, row db.ListImagesToNotifyRow) error {
	wait := min(firstNoticeWait<<min(row.Notices, 16), lastNoticeWait)
	claimed, err := s.setNotice(ctx, row.ID, row.NotifyAt, wait)
	if err != nil || claimed == nil {
		return err
	}
	image, err := s.get(ctx, row.ID)
	if apperr.Is(err, apperr.ImageNotFound) { // deleted meanwhile
		return nil
	}
	if err != nil {
		return err
	}
	if err := s.Moderate(ctx, image, s.linkTo(image, forModerator, moderatorLink)); err != nil {
		s.Logger.WarnContext(ctx, "the moderator did not take a picture", "name", image.Name, "error", err)
		return nil
	}
	_, err = s.setNotice(ctx, row.ID, claimed, answerWait)
	return err
}

// setNotice puts the next notice off, and returns until when; nil if somebody else did so before.
func (s *Service) setNotice(ctx context.Context, id string, due *time.Time, wait time.Duration) (*time.Time, error) {
	next := s.timestamp().Add(wait)
	var claimed int64
	err := s.Database.Exec(ctx, func(ctx context.Context, q *db.Queries) (err error) {
		claimed, err = q.ClaimImageNotice(ctx, db.ClaimImageNoticeParams{ID: id, NotifyAt: due, NextAt: &next})
		return err
	})
	if err != nil || claimed == 0 {
		return nil, err
	}
	return &next, nil
}
