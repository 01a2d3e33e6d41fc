package verify

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gatehouse/internal/database"
	"gatehouse/internal/db"
)

// Strain is how near codes are to their limits.
type Strain struct {
	Sent    int      // today, by all servers
	Stopped []string // ranges of numbers whose breaker is open
}

// MeasureStrain reads what was counted in a database.
func MeasureStrain(ctx context.Context, d *database.Database, b Budgets, now time.Time) (Strain, error) {
	now = database.Timestamp(now)
	var s Strain
	days, err := d.Queries().ListSMSBudgets(ctx, db.ListSMSBudgetsParams{Names: []string{serverName}, StartsAt: now.Truncate(day)})
	if err != nil {
		return s, fmt.Errorf("list the budgets of codes: %w", database.Refusal(err))
	}
	for _, row := range days {
		s.Sent += int(row.Sent)
	}
	ranges, err := d.Queries().SumSMSBreakers(ctx, lastHour(now))
	if err != nil {
		return s, fmt.Errorf("sum the codes of ranges: %w", database.Refusal(err))
	}
	for _, row := range ranges {
		if b.stops(int(row.Sent), int(row.Verified)) {
			s.Stopped = append(s.Stopped, strings.TrimPrefix(row.Name, breakerName("")))
		}
	}
	return s, nil
}
