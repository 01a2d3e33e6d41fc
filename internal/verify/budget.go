package verify

import (
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/network"
)

// Unlimited is a budget without an end.
const Unlimited = -1

// Budgets are how many codes may be sent in a day of UTC. Zero allows none.
type Budgets struct {
	Phone   int // to one phone
	Address int // asked for by one IPv4 address, or one IPv6 network of /64
	Range   int // to one range of numbers: a country code and five digits
	Server  int // in all

	// Breaker is how many codes a range of numbers may be sent in the current hour and the one before
	// even if nobody uses them. From then on the range is stopped while less than a tenth of them is
	// used. Unlimited stops none.
	Breaker int
}

// DefaultBudgets returns the budgets of a server that nobody has said anything about.
func DefaultBudgets() Budgets {
	return Budgets{Phone: 10, Address: 20, Range: 500, Server: 10_000, Breaker: 30}
}

// NoBudgets returns budgets that never refuse a code.
func NoBudgets() Budgets {
	return Budgets{Phone: Unlimited, Address: Unlimited, Range: Unlimited, Server: Unlimited, Breaker: Unlimited}
}

const (
	day = 24 * time.Hour
	// keepBudget is how long a window's counts are kept after its end: the breaker looks back an hour,
	// and the clocks of nodes differ.
	keepBudget = 2 * time.Hour
)

// budget is what one name may be sent in one window of time.
type budget struct {
	cause    string // of its refusals
	name     string
	window   time.Duration
	startsAt time.Time
	most     int // codes
	free     int // codes that are sent without a CAPTCHA
}

// budgets returns those that a code is charged to, without the unlimited. They are always locked in
// this order, so that no two transactions wait for each other, and the one that all share comes last.
func (s *Service) budgets(phone string, client netip.Addr, now time.Time) []budget {
	limits, numbers := s.options.Budgets, numberRange(phone)
	hourly := math.MaxInt32 // counted for isStopped only
	if limits.Breaker < 0 {
		hourly = Unlimited
	}
	all := []budget{
		{cause: causePhone, name: "phone:" + hex.EncodeToString(s.hash("budget", phone)[:16]), window: day, most: limits.Phone, free: limits.Phone/2 + 1},
		{cause: causeAddress, name: "address:" + network.Of(client), window: day, most: limits.Address, free: limits.Address/2 + 1},
		{cause: causeRange, name: "range:" + numbers, window: day, most: limits.Range, free: limits.Range},
		{cause: causeBreaker, name: breakerName(numbers), window: time.Hour, most: hourly, free: hourly},
		{cause: causeServer, name: serverName, window: day, most: limits.Server, free: limits.Server*2/3 + 1},
	}
	for i := range all {
		all[i].startsAt = now.Truncate(all[i].window)
		if s.options.Captcha == nil {
			all[i].free = all[i].most
		}
	}
	return slices.DeleteFunc(all, func(b budget) bool { return b.most < 0 })
}

// serverName is the budget that all codes are charged to.
const serverName = "server"

func breakerName(numbers string) string { return "breaker:" + numbers }

func (b budget) endsAt() time.Time { return b.startsAt.Add(b.window) }

// allowance is how many codes may be sent, with or without a CAPTCHA.
func (b budget) allowance(solved bool) int {
	if solved {
		return b.most
	}
	return min(b.free, b.most)
}

// refusal is told when a budget is used up.
func (b budget) refusal(now time.Time) error {
	return refusal{b.cause, apperr.Later(apperr.TooManyCodes, b.endsAt().Sub(now), nil)}
}

// tally is what was sent so far, as rows of budgets. It is read before anything is written, so that
// a flood of requests in vain costs no lock.
type tally []db.SmsBudget

func (s *Service) tally(ctx context.Context, budgets []budget, now time.Time) (tally, error) {
	if len(budgets) == 0 {
		return nil, nil
	}
	names := make([]string, len(budgets))
	for i, b := range budgets {
		names[i] = b.name
	}
	since := lastHour(now)
	if today := now.Truncate(day); today.Before(since) {
		since = today
	}
	rows, err := s.options.Database.Queries().ListSMSBudgets(ctx, db.ListSMSBudgetsParams{Names: names, StartsAt: since})
	if err != nil {
		return nil, fmt.Errorf("list the budgets of a code: %w", database.Refusal(err))
	}
	return rows, nil
}

// find returns the row of a window; ok is false where nothing was counted in it yet.
func (t tally) find(b budget) (row db.SmsBudget, ok bool) {
	i := slices.IndexFunc(t, func(row db.SmsBudget) bool {
		return row.Name == b.name && row.StartsAt.Equal(b.startsAt)
	})
	if i < 0 {
		return db.SmsBudget{}, false
	}
	return t[i], true
}

// isStopped reports whether the breaker is open: many codes were sent to a range of numbers in this
// hour and the last, and almost none was used.
func (s *Service) isStopped(t tally, phone string, now time.Time) bool {
	name, sent, verified := breakerName(numberRange(phone)), 0, 0
	for _, row := range t {
		if row.Name == name && !row.StartsAt.Before(lastHour(now)) {
			sent += int(row.Sent)
			verified += int(row.Verified)
		}
	}
	return s.options.Budgets.stops(sent, verified)
}

// stops reports whether a range of numbers is stopped to which so many codes were sent.
func (b Budgets) stops(sent, verified int) bool {
	return b.Breaker >= 0 && sent >= b.Breaker && verified*10 < sent
}

// lastHour returns when the hour before this one began.
func lastHour(now time.Time) time.Time { return now.Truncate(time.Hour).Add(-time.Hour) }

// openBudgets makes the rows of windows that nothing was counted in yet. It does so in a transaction
// of its own: a duplicate leaves a shared lock, and two nodes that both hold one cannot both go on to charge.
func (s *Service) openBudgets(ctx context.Context, budgets []budget, t tally) error {
	missing := slices.DeleteFunc(slices.Clone(budgets), func(b budget) bool {
		_, ok := t.find(b)
		return ok
	})
	if len(missing) == 0 {
		return nil
	}
	return s.options.Database.InTx(ctx, func(q *db.Queries) error {
		for _, b := range missing {
			err := q.InsertSMSBudget(ctx, db.InsertSMSBudgetParams{
				Name: b.name, StartsAt: b.startsAt, ExpiresAt: b.endsAt().Add(keepBudget),
			})
			if err != nil && !database.IsDuplicate(err) {
				return fmt.Errorf("insert budget %s: %w", b.cause, err)
			}
		}
		return nil
	})
}

// chargeBudgets counts a code in every budget, or returns the refusal of the first that is used up.
func chargeBudgets(ctx context.Context, q *db.Queries, budgets []budget, solved bool, now time.Time) error {
	for _, b := range budgets {
		charged, err := q.ChargeSMSBudget(ctx, db.ChargeSMSBudgetParams{
			Name: b.name, StartsAt: b.startsAt, Most: int32(min(b.allowance(solved), math.MaxInt32)),
		})
		if err != nil {
			return fmt.Errorf("charge budget %s: %w", b.cause, err)
		}
		if charged > 0 {
			continue
		}
		if b.allowance(solved) < b.most {
			return errCaptchaRequired // others came first since the tally
		}
		return b.refusal(now)
	}
	return nil
}

// refundBudgets undoes chargeBudgets.
func refundBudgets(ctx context.Context, q *db.Queries, budgets []budget) error {
	for _, b := range budgets {
		if err := q.RefundSMSBudget(ctx, db.RefundSMSBudgetParams{Name: b.name, StartsAt: b.startsAt}); err != nil {
			return fmt.Errorf("refund budget %s: %w", b.cause, err)
		}
	}
	return nil
}
