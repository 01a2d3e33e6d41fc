package logging

import (
	"bytes"
	"io"
	"sync"
	"time"
)

const (
	flushInterval = 100 * time.Millisecond
	flushSize     = 256 << 10 // bytes that are written without waiting for the interval
	sinkLimit     = 4 << 20   // bytes that wait at most; what comes on top is lost
)

// sink collects lines in memory and writes them in the background, so that no caller waits for an output.
type sink struct {
	out    io.Writer
	report func(w io.Writer, lost int, cause error)

	mu      sync.Mutex
	waiting []byte
	lost    int   // lines, since the last report
	cause   error // why they were lost; nil where there was no room
	closed  bool

	torn bool // the output ends in half a line; only run knows it

	wake   chan struct{} // the first line waits
	urgent chan struct{} // it should not wait long
	ended  chan struct{}
	done   chan struct{}
}

// newSink starts a sink that writes to out. The report of lost lines has the form of the others.
func newSink(out io.Writer, report func(w io.Writer, lost int, cause error)) *sink {
	s := &sink{
		out: out, report: report,
		wake: make(chan struct{}, 1), urgent: make(chan struct{}, 1),
		ended: make(chan struct{}), done: make(chan struct{}),
	}
	go s.run()
	return s
}

// append takes one line, in one part or several.
func (s *sink) append(parts ...[]byte) {
	s.mu.Lock()
	first := len(s.waiting) == 0
	room := sinkLimit - len(s.waiting)
	for _, part := range parts {
		room -= len(part)
	}
	if room < 0 || s.closed {
		s.lost++
	} else {
		for _, part := range parts {
			s.waiting = append(s.waiting, part...)
		}
	}
	full := len(s.waiting) >= flushSize
	s.mu.Unlock()
	if first {
		signalTo(s.wake)
	}
	if full {
		signalTo(s.urgent)
	}
}

// stop makes the sink write what waits and end; done is closed then.
func (s *sink) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.ended)
	}
}

func (s *sink) run() {
	defer close(s.done)
	var spare []byte
	for {
		select {
		case <-s.wake:
		case <-s.ended:
			s.flush(spare)
			return
		}
		select {
		case <-time.After(flushInterval):
		case <-s.urgent:
		case <-s.ended:
		}
		spare = s.flush(spare)
	}
}

// flush writes what waits. Callers go on with spare; the buffer that was written is returned as the next spare.
func (s *sink) flush(spare []byte) []byte {
	s.mu.Lock()
	lines, lost, cause := s.waiting, s.lost, s.cause
	s.waiting, s.lost, s.cause = spare[:0], 0, nil
	s.mu.Unlock()
	if lost > 0 {
		var report bytes.Buffer
		s.report(&report, lost, cause)
		lines = append(lines, report.Bytes()...)
	}
	if len(lines) == 0 {
		return lines
	}
	if n, err := s.write(lines); err != nil {
		s.keepCount(lost, lines[n:], err)
	}
	if cap(lines) > 4*flushSize {
		return nil // a burst shall not hold its memory
	}
	return lines
}

// write begins a new line where a full disk has cut the last one off.
func (s *sink) write(lines []byte) (int, error) {
	if s.torn {
		if _, err := s.out.Write([]byte("\n")); err != nil {
			return 0, err
		}
	}
	n, err := s.out.Write(lines)
	s.torn = n > 0 && lines[n-1] != '\n'
	return n, err
}

// keepCount adds the lines that were not written to those that were lost before.
func (s *sink) keepCount(before int, unwritten []byte, cause error) {
	count := bytes.Count(unwritten, []byte("\n"))
	if before > 0 {
		count += before - 1 // one of them is the report
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost += count
	s.cause = cause
}

// signalTo leaves a signal for a goroutine, unless one is there already.
func signalTo(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
