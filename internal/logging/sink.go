package logging

import (
	"bytes"
	"io"
	"sync"
	"time"
)

const (
	flushInterval = 100 * time.Millisecond
	flushSize     = 256 << 10 // bytes after which it does not wait for the interval
	sinkLimit     = 4 << 20   // most bytes in memory; further lines are lost
)

// sink collects lines in memory and writes them in the background, so that callers never wait for an output.
type sink struct {
	out    io.Writer
	report func(w io.Writer, lost int, cause error)

	mu      sync.Mutex
	waiting []byte
	lost    int   // lines, since the last report
	cause   error // why they were lost; nil if there was no room
	closed  bool

	torn bool // the output ends in the middle of a line; used only by run

	wake   chan struct{} // there is a first line
	urgent chan struct{} // it must be written now
	ended  chan struct{}
	done   chan struct{}
}

// newSink starts a sink that writes to out. report writes a line about lost lines, in the format of the others.
func newSink(out io.Writer, report func(w io.Writer, lost int, cause error)) *sink {
	s := &sink{
		out: out, report: report,
		wake: make(chan struct{}, 1), urgent: make(chan struct{}, 1),
		ended: make(chan struct{}), done: make(chan struct{}),
	}
	go s.run()
	return s
}

// append adds one line, which may be in several parts.
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

// stop makes the sink write its lines and end. It closes done when it has ended.
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

// flush writes the waiting lines. New lines go to spare; the written buffer is returned as the next spare.
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
		return nil // do not keep the memory of a burst
	}
	return lines
}

// write starts a new line if a full disk has truncated the last one.
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

// keepCount adds the unwritten lines to those lost before.
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

// signalTo sends a signal to a goroutine, unless one is already pending.
func signalTo(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
