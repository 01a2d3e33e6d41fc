package verify

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/captcha"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/sms"
	"gatehouse/internal/trace"
)

var (
	errRegionNotServed = refusal{causeRegion, apperr.New(apperr.RegionNotServed)}
	errCaptchaRequired = refusal{causeCaptcha, apperr.New(apperr.CaptchaRequired)}
)

// captchaRetry is when to come back while the CAPTCHA's provider is away.
const captchaRetry = 5 * time.Second

// Request asks for a code.
type Request struct {
	Phone   string
	Purpose Purpose
	Client  netip.Addr // who asks
	Captcha string     // the response of the CAPTCHA's script, after CaptchaRequired
}

// Sent says when the next code may be asked for, and how long this one is valid.
type Sent struct {
	NextIn, ExpiresIn time.Duration
}

var errNoSender = errors.New("no sender of codes is configured (--sms none)")

// Send sends a code to a phone, which replaces the one before. It returns InvalidInput (no such phone,
// or none that can be reached), RegionNotServed, CodeTooSoon, TooManyCodes, CaptchaRequired,
// SendingFailed and ServerBusy. Nothing depends on whether the phone is registered.
func (s *Service) Send(ctx context.Context, r Request) (Sent, error) {
	phone, err := ParsePhone(r.Phone)
	if err != nil {
		return Sent{}, err
	}
	if s.options.FormOnly && r.Purpose == Register { // any code will do
		return Sent{NextIn: rest, ExpiresIn: lifetime}, nil
	}
	if s.options.FormOnly {
		return Sent{}, apperr.Wrap(apperr.SendingFailed, errNoSender)
	}
	r.Phone = phone
	sent, err := s.send(ctx, r)
	if err != nil {
		s.note(ctx, r, err)
		return Sent{}, err
	}
	s.counts.add(countSent)
	return sent, nil
}

// send claims the right to send, and charges for it, before the message goes out, outside of any
// transaction. The new code is stored only afterwards, so that a message that fails leaves the old
// code as it was, with the tries that it had; until then there is no new code to guess.
func (s *Service) send(ctx context.Context, r Request) (Sent, error) {
	if !slices.ContainsFunc(s.options.Prefixes, func(prefix string) bool { return strings.HasPrefix(r.Phone, prefix) }) {
		return Sent{}, errRegionNotServed
	}
	claimedAt := s.now()
	budgets := s.budgets(r.Phone, r.Client, claimedAt)
	solved, err := s.admit(ctx, r, budgets, claimedAt)
	if err != nil {
		return Sent{}, err
	}
	if err := s.claim(ctx, r, budgets, solved, claimedAt); err != nil {
		return Sent{}, err
	}
	// Who hangs up now does not get the budget back for a message that may be on its way.
	ctx = context.WithoutCancel(ctx)
	code, err := s.deliver(ctx, r)
	if err != nil {
		if err := s.giveBack(ctx, r, budgets, claimedAt); err != nil {
			s.options.Logger.ErrorContext(ctx, "a failed message costs its budget", "purpose", string(r.Purpose), "error", err)
		}
		return Sent{}, err
	}
	return s.store(ctx, r, code, claimedAt)
}

// admit refuses what can be known to be in vain before anything is written or a CAPTCHA is spent on
// it, and reports whether a CAPTCHA was solved. What passes is decided by claim.
func (s *Service) admit(ctx context.Context, r Request, budgets []budget, now time.Time) (solved bool, err error) {
	last, err := s.code(ctx, r.Phone, r.Purpose)
	if err != nil {
		return false, err
	}
	if wait := last.SentAt.Add(rest).Sub(now); wait > 0 {
		return false, tooSoon(wait)
	}
	sent, err := s.tally(ctx, budgets, now)
	if err != nil {
		return false, err
	}
	suspicious := s.isStopped(sent, r.Phone, now)
	if suspicious && s.options.Captcha == nil {
		nextHour := now.Truncate(time.Hour).Add(time.Hour)
		return false, refusal{causeBreaker, apperr.Later(apperr.TooManyCodes, nextHour.Sub(now), nil)}
	}
	for _, b := range budgets {
		row, _ := sent.find(b)
		if int(row.Sent) >= b.most {
			return false, b.refusal(now)
		}
		suspicious = suspicious || int(row.Sent) >= b.free
	}
	if suspicious {
		if err := s.verifyCaptcha(ctx, r); err != nil {
			return false, err
		}
	}
	return suspicious, s.openBudgets(ctx, budgets, sent)
}

// verifyCaptcha returns CaptchaRequired, or ServerBusy where the provider does not tell: to let
// everybody pass then would be worth an attack on the provider.
func (s *Service) verifyCaptcha(ctx context.Context, r Request) error {
	if r.Captcha == "" {
		return errCaptchaRequired
	}
	asking, span := trace.StartCall(ctx, "verify CAPTCHA")
	err := s.options.Captcha.Verify(asking, r.Captcha, r.Client)
	span.End(err)
	if errors.Is(err, captcha.ErrRefused) {
		return errCaptchaRequired
	}
	if err != nil {
		return refusal{causeCaptcha, apperr.Later(apperr.ServerBusy, captchaRetry, err)}
	}
	return nil
}

// claim makes this request the only one that sends a code to the phone for a minute, and charges all
// budgets or none. Of several requests, on any node, one succeeds.
func (s *Service) claim(ctx context.Context, r Request, budgets []budget, solved bool, now time.Time) error {
	err := s.options.Database.InTx(ctx, func(q *db.Queries) error {
		if err := claimCode(ctx, q, r, now); err != nil {
			return err
		}
		return chargeBudgets(ctx, q, budgets, solved, now)
	})
	if err != nil {
		return fmt.Errorf("claim a %s code: %w", r.Purpose, err)
	}
	return nil
}

func claimCode(ctx context.Context, q *db.Queries, r Request, now time.Time) error {
	claimed, err := q.ClaimVerificationCode(ctx, db.ClaimVerificationCodeParams{
		ClaimedAt: now, Phone: r.Phone, Purpose: string(r.Purpose), LastSentAt: now.Add(-rest),
	})
	if err != nil || claimed > 0 {
		return err
	}
	err = q.InsertVerificationCode(ctx, db.InsertVerificationCodeParams{
		Phone: r.Phone, Purpose: string(r.Purpose), Hash: make([]byte, 32), Tries: usedUp, SentAt: now, ExpiresAt: now,
	})
	if database.IsDuplicate(err) {
		return tooSoon(rest) // somebody else has just claimed it
	}
	return err
}

func tooSoon(wait time.Duration) error {
	return refusal{causeTooSoon, apperr.Later(apperr.CodeTooSoon, wait, nil)}
}

// deliver makes a code and sends it, except to a test phone.
func (s *Service) deliver(ctx context.Context, r Request) (string, error) {
	code, err := s.newCode(r.Phone)
	if err != nil {
		return "", err
	}
	if _, fixed := s.options.Fixed[r.Phone]; fixed {
		return code, nil
	}
	sending, span := trace.StartCall(ctx, "send code")
	err = s.options.Sender.Send(sending, sms.Message{Phone: r.Phone, Code: code, Purpose: string(r.Purpose), Lifetime: lifetime})
	span.End(err)
	switch {
	case err == nil:
		return code, nil
	case errors.Is(err, sms.ErrPhone):
		return "", refusal{causeSender, apperr.Wrap(apperr.InvalidInput, err, apperr.Detail{
			Field:  "/phone",
			Reason: apperr.Text{Chinese: "无法接收短信", English: "cannot be reached by text message"},
		})}
	case errors.Is(err, sms.ErrLimited):
		return "", refusal{causeSender, apperr.Later(apperr.TooManyCodes, rest, err)}
	default:
		return "", refusal{causeSender, apperr.Later(apperr.SendingFailed, time.Second, err)}
	}
}

// giveBack undoes claim after a failed message: it costs no budget, and no minute's wait.
func (s *Service) giveBack(ctx context.Context, r Request, budgets []budget, claimedAt time.Time) error {
	err := s.options.Database.InTx(ctx, func(q *db.Queries) error {
		err := q.ReleaseVerificationCode(ctx, db.ReleaseVerificationCodeParams{
			LastSentAt: claimedAt.Add(-rest), Phone: r.Phone, Purpose: string(r.Purpose), ClaimedAt: claimedAt,
		})
		if err != nil {
			return err
		}
		return refundBudgets(ctx, q, budgets)
	})
	if err != nil {
		return fmt.Errorf("give back the budget of a %s code: %w", r.Purpose, err)
	}
	return nil
}

// store makes a code that was sent the one that is valid.
func (s *Service) store(ctx context.Context, r Request, code string, claimedAt time.Time) (Sent, error) {
	now := s.now()
	var stored int64
	err := s.options.Database.Exec(ctx, func(ctx context.Context, q *db.Queries) (err error) {
		stored, err = q.SetVerificationCode(ctx, db.SetVerificationCodeParams{
			Hash: s.codeHash(r.Phone, r.Purpose, code), ExpiresAt: now.Add(lifetime),
			Phone: r.Phone, Purpose: string(r.Purpose), ClaimedAt: claimedAt,
		})
		return err
	})
	if err != nil {
		return Sent{}, fmt.Errorf("store a %s code: %w", r.Purpose, err)
	}
	if stored == 0 {
		return Sent{}, fmt.Errorf("store a %s code: the claim of %s is gone", r.Purpose, claimedAt)
	}
	return Sent{NextIn: max(0, claimedAt.Add(rest).Sub(now)), ExpiresIn: lifetime}, nil
}
