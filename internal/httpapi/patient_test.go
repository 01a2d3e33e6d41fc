package httpapi

import (
	"bytes"
	"io"
	"net/http/httptest"
	"testing"
	"time"
)

func TestPatience(t *testing.T) {
	for _, test := range []struct {
		size       int64
		wantPieces int // each with a time of its own
	}{{0, 0}, {pieceBytes, 0}, {pieceBytes + 1, 2}, {5 * pieceBytes, 5}} {
		content := bytes.Repeat([]byte("x"), int(test.size))
		for way, send := range map[string]func(w io.Writer) (int64, error){
			"write":     func(w io.Writer) (int64, error) { n, err := w.Write(content); return int64(n), err },
			"read from": func(w io.Writer) (int64, error) { return io.Copy(w, struct{ io.Reader }{bytes.NewReader(content)}) },
			"some of":   func(w io.Writer) (int64, error) { return io.CopyN(w, bytes.NewReader(append(content, 'y')), test.size) },
		} {
			recorder := httptest.NewRecorder()
			connection := &deadlines{ResponseWriter: recorder}
			n, err := send(patientWith(connection, test.size))
			if err != nil || n != test.size || !bytes.Equal(recorder.Body.Bytes(), content) {
				t.Errorf("%s %d bytes: sent %d, %v", way, test.size, n, err)
			}
			if test.wantPieces == 0 && connection.writes > 0 || connection.writes < test.wantPieces {
				t.Errorf("%s %d bytes: %d deadlines, want %d", way, test.size, connection.writes, test.wantPieces)
			}
			if left := time.Until(connection.write); test.wantPieces > 0 && (left < answerTimeout/2 || left > answerTimeout) {
				t.Errorf("%s %d bytes: the last deadline is in %s, want %s", way, test.size, left, answerTimeout)
			}
		}
	}
}
