// Package doctor looks at what a server depends on, says what it found, and what to do about it. It works
// while servers run and while they don't.
package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Status is how something is.
type Status int

// A Warning may become a Problem, or is none for those who meant it so.
const (
	OK Status = iota
	Warning
	Problem
)

func (s Status) String() string { return [...]string{"ok", "warning", "problem"}[s] }

// Finding is one thing that was looked at.
type Finding struct {
	Status Status
	Found  string
	Do     string // what to do; empty if that is nothing
}

func ok(format string, args ...any) Finding { return Finding{Found: fmt.Sprintf(format, args...)} }

func warn(do, format string, args ...any) Finding {
	return Finding{Warning, fmt.Sprintf(format, args...), do}
}

func problem(do, format string, args ...any) Finding {
	return Finding{Problem, fmt.Sprintf(format, args...), do}
}

// Check looks at one thing.
type Check struct {
	Name string
	Look func(ctx context.Context) []Finding
}

// Report is what a check has found.
type Report struct {
	Name     string
	Findings []Finding
}

// Worst returns the worst status of a report.
func (r Report) Worst() (worst Status) {
	for _, finding := range r.Findings {
		worst = max(worst, finding.Status)
	}
	return worst
}

// String is a line for each finding.
func (r Report) String() string {
	var text strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&text, "%-8s %-13s %s\n", f.Status, r.Name, f.Found)
		if f.Do != "" {
			fmt.Fprintf(&text, "%-8s %-13s → %s\n", "", "", f.Do)
		}
	}
	return text.String()
}

// patience is how long each check may take.
const patience = 10 * time.Second

// Examine runs all checks at the same time, and calls report in their order. One that does not come back
// keeps no other from it.
func Examine(ctx context.Context, checks []Check, report func(Report)) (worst Status) {
	return examine(ctx, checks, patience, report)
}

func examine(ctx context.Context, checks []Check, patience time.Duration, report func(Report)) (worst Status) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	found := make([]chan []Finding, len(checks))
	for i, check := range checks {
		found[i] = make(chan []Finding, 1)
		go func() { found[i] <- check.Look(ctx) }()
	}
	for i, check := range checks {
		r := Report{Name: check.Name}
		select {
		case r.Findings = <-found[i]:
		case <-time.After(patience + time.Second): // it does not heed its context
			r.Findings = []Finding{problem("see why it hangs", "no answer within %s", patience)}
		}
		report(r)
		worst = max(worst, r.Worst())
	}
	return worst
}

// Configuration reports options that are valid and risky. Those that are not valid end every command.
func Configuration(risky []Finding) func(context.Context) []Finding {
	return func(context.Context) []Finding {
		if len(risky) > 0 {
			return risky
		}
		return []Finding{ok("the options are valid")}
	}
}

// NoBackups is what is found where no place for them is named.
func NoBackups(context.Context) []Finding {
	return []Finding{warn("use --backup-to and --backup-every, or look after them yourself", "it is not known where backups are")}
}
