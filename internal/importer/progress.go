package importer

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"gatehouse/internal/apperr"
)

// progressInterval is how often people are told how far a long import is.
const progressInterval = 5 * time.Second

// Summary counts what became of users or pictures.
type Summary struct {
	Imported int64 // or would be, in a dry run
	Skipped  int64 // were there already
	Refused  int64
}

func (s Summary) done() int64 { return s.Imported + s.Skipped + s.Refused }

// progress counts, and tells people about it. What it fails to write is lost: the summary has the numbers.
type progress struct {
	output io.Writer
	noun   string
	total  int64

	mu      sync.Mutex
	counted Summary

	quit    chan struct{}
	telling sync.WaitGroup
}

func startProgress(options Options, noun string, total int64) *progress {
	p := &progress{output: options.Output, noun: noun, total: total, quit: make(chan struct{})}
	p.telling.Go(func() { p.tell(options.Now) })
	return p
}

func (p *progress) stop() {
	close(p.quit)
	p.telling.Wait()
}

// tell writes a line at each interval.
func (p *progress) tell(now func() time.Time) {
	tick := time.NewTicker(progressInterval)
	defer tick.Stop()
	before, since := Summary{}, now()
	for {
		select {
		case <-p.quit:
			return
		case <-tick.C:
			counted, at := p.summary(), now()
			p.write(progressLine(p.noun, counted.done(), p.total, counted.done()-before.done(), at.Sub(since)))
			before, since = counted, at
		}
	}
}

// progressLine reckons with the pace of the last interval: users who are skipped go much faster than others.
func progressLine(noun string, done, total, lately int64, interval time.Duration) string {
	pace := float64(lately) / interval.Seconds()
	line := fmt.Sprintf("%s of %s %s, %.0f/s", humanize.Comma(done), humanize.Comma(total), noun, pace)
	if left := total - done; pace > 0 && left > 0 {
		remaining := time.Duration(float64(left) / pace * float64(time.Second))
		line += fmt.Sprintf(", %s left", max(remaining.Round(time.Second), time.Second))
	}
	return line
}

func (p *progress) summary() Summary {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counted
}

func (p *progress) takeOver() { p.count(func(s *Summary) { s.Imported++ }) }

func (p *progress) skip() { p.count(func(s *Summary) { s.Skipped++ }) }

func (p *progress) refuse(where string, reason error) {
	p.count(func(s *Summary) { s.Refused++ })
	p.write(where + ": " + explain(reason))
}

func (p *progress) count(add func(*Summary)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	add(&p.counted)
}

func (p *progress) write(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = fmt.Fprintln(p.output, line)
}

// explain says why something was refused, in words that never repeat what was sent.
func explain(err error) string {
	var refusal *apperr.Error
	if !errors.As(err, &refusal) {
		return err.Error()
	}
	if len(refusal.Details) == 0 {
		return refusal.Code.Text().English
	}
	var reasons []string
	for _, detail := range refusal.Details {
		field := strings.ReplaceAll(strings.TrimPrefix(detail.Field, "/"), "/", " ")
		reasons = append(reasons, field+" "+detail.Reason.English)
	}
	return strings.Join(reasons, "; ")
}
