// Package progress tells people how far something is that goes through many files.
package progress

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"
)

// interval is how often people are told.
const interval = 5 * time.Second

// Progress counts files, and tells people about it. What it fails to write is lost.
type Progress struct {
	what  string // what is done to the files
	total int64  // files; 0 if that is not known
	files atomic.Int64
	bytes atomic.Int64
	quit  chan struct{}
	told  chan struct{}
}

// Start tells the output, until Stop, what is done to how many files of the total; 0 if that is not known.
func Start(output io.Writer, what string, total int64) *Progress {
	p := &Progress{what: what, total: total, quit: make(chan struct{}), told: make(chan struct{})}
	go p.tell(output)
	return p
}

// Add counts a file.
func (p *Progress) Add(bytes int64) {
	p.files.Add(1)
	p.bytes.Add(bytes)
}

// Stop ends the telling.
func (p *Progress) Stop() {
	close(p.quit)
	<-p.told
}

func (p *Progress) tell(output io.Writer) {
	defer close(p.told)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var before int64
	for {
		select {
		case <-p.quit:
			return
		case <-tick.C:
			done := p.files.Load()
			_, _ = fmt.Fprintln(output, p.line(done, done-before))
			before = done
		}
	}
}

// line reckons with the pace of the last interval: what is there already goes faster than the rest.
func (p *Progress) line(done, lately int64) string {
	pace := float64(lately) / interval.Seconds()
	line := p.what + " " + humanize.Comma(done)
	if p.total > 0 {
		line += " of " + humanize.Comma(p.total)
	}
	line += fmt.Sprintf(" files, %s, %.0f/s", humanize.Bytes(uint64(p.bytes.Load())), pace)
	if left := p.total - done; pace > 0 && left > 0 {
		remaining := time.Duration(float64(left) / pace * float64(time.Second))
		line += fmt.Sprintf(", %s left", max(remaining.Round(time.Second), time.Second))
	}
	return line
}
