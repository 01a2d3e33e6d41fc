package inventory

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"
)

// progressInterval is how often people are told how far it is.
const progressInterval = 5 * time.Second

// progress counts files, and tells people about it. What it fails to write is lost.
type progress struct {
	what  string // what is done to the files
	total int64  // files; 0 if that is not known
	files atomic.Int64
	bytes atomic.Int64
	quit  chan struct{}
	told  chan struct{}
}

func startProgress(output io.Writer, what string, total int64) *progress {
	p := &progress{what: what, total: total, quit: make(chan struct{}), told: make(chan struct{})}
	go p.tell(output)
	return p
}

func (p *progress) add(bytes int64) {
	p.files.Add(1)
	p.bytes.Add(bytes)
}

func (p *progress) stop() {
	close(p.quit)
	<-p.told
}

func (p *progress) tell(output io.Writer) {
	defer close(p.told)
	tick := time.NewTicker(progressInterval)
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
func (p *progress) line(done, lately int64) string {
	pace := float64(lately) / progressInterval.Seconds()
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
