package httpapi

import (
	"io"
	"net/http"
	"time"
)

const (
	// answerTimeout is how long a client may take over an answer of no great size, and over each piece of a large one.
	answerTimeout = 60 * time.Second
	pieceBytes    = slowestTransfer * int64(answerTimeout/time.Second)
)

// patientWith returns a writer for an answer of a size, which the server's own limit may be too short for.
func patientWith(w http.ResponseWriter, size int64) http.ResponseWriter {
	if size <= pieceBytes {
		return w
	}
	return patient{w}
}

// patient gives a client time for each piece of a large answer, so that one that is slow has all of it, and only one
// that stops reading is given up.
type patient struct{ http.ResponseWriter }

// Unwrap lets http.ResponseController reach the connection.
func (p patient) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func (p patient) Write(b []byte) (written int, err error) {
	for len(b) > 0 && err == nil {
		var n int
		p.grantTime()
		n, err = p.ResponseWriter.Write(b[:min(int64(len(b)), pieceBytes)])
		written, b = written+n, b[n:]
	}
	return written, err
}

// ReadFrom sends a file in pieces that the kernel copies: it does that for an *os.File itself only, and for so many
// bytes of one, as http.ServeContent asks for.
func (p patient) ReadFrom(from io.Reader) (sent int64, err error) {
	limited, ok := from.(*io.LimitedReader)
	if !ok {
		limited = &io.LimitedReader{R: from, N: 1<<63 - 1}
	}
	for limited.N > 0 && err == nil {
		var n int64
		p.grantTime()
		n, err = io.CopyN(p.ResponseWriter, limited.R, min(limited.N, pieceBytes))
		sent, limited.N = sent+n, limited.N-n
	}
	if err == io.EOF { // before the limit
		err = nil
	}
	return sent, err
}

// grantTime does nothing for a connection that knows no deadlines.
func (p patient) grantTime() {
	_ = http.NewResponseController(p.ResponseWriter).SetWriteDeadline(time.Now().Add(answerTimeout))
}
