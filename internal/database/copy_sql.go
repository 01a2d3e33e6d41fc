package database

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
)

// statements returns the statements of a dump. The slices are valid until the next one. A dump ends no
// line within a string: it writes \n there.
func statements(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		lines := bufio.NewReaderSize(r, 1<<20)
		var statement []byte
		for {
			line, err := lines.ReadSlice('\n')
			isComment := len(statement) == 0 && (bytes.HasPrefix(line, []byte("--")) || len(bytes.TrimSpace(line)) == 0)
			if !isComment || errors.Is(err, bufio.ErrBufferFull) {
				statement = append(statement, line...)
			}
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			if bytes.HasSuffix(bytes.TrimRight(statement, "\r\n"), []byte(";")) {
				if !yield(statement, nil) {
					return
				}
				statement = statement[:0]
			}
			if err != nil {
				if err == io.EOF && len(statement) > 0 {
					err = io.ErrUnexpectedEOF
				}
				if err != io.EOF {
					yield(nil, err)
				}
				return
			}
		}
	}
}

// subject returns the table of a statement that begins with verb, and what follows it.
func subject(statement []byte, verb string) (table string, rest []byte) {
	rest, ok := bytes.CutPrefix(statement, []byte(verb+" `"))
	if !ok {
		return "", nil
	}
	name, rest, _ := bytes.Cut(rest, []byte("`"))
	return string(name), rest
}

// readInsert calls see with the named columns of every row of an INSERT that names its columns.
func readInsert(statement []byte, names []string, see func(row [][]byte) error) error {
	_, rest := subject(statement, "INSERT INTO")
	list, rest, ok := bytes.Cut(rest, []byte(") VALUES"))
	if !ok {
		return errors.New("an INSERT without columns")
	}
	columns := bytes.Split(bytes.Trim(list, " (`"), []byte("`, `"))
	var positions []int
	for _, name := range names {
		i := slices.IndexFunc(columns, func(column []byte) bool { return string(column) == name })
		if i < 0 {
			return fmt.Errorf("an INSERT without column %s", name)
		}
		positions = append(positions, i)
	}
	s := &scanner{rest}
	row := make([][]byte, len(names))
	for s.next() == '(' {
		values, err := s.tuple()
		if err != nil || len(values) != len(columns) {
			return fmt.Errorf("an INSERT that can't be read: %w", errors.Join(err, errIncomplete))
		}
		for i, position := range positions {
			row[i] = values[position]
		}
		if err := see(row); err != nil {
			return err
		}
	}
	return nil
}

var errIncomplete = errors.New("a row is not complete")

// scanner reads the rows of an INSERT.
type scanner struct{ rest []byte }

// next skips what is between rows and values, and returns the first byte after that; 0 at the end.
func (s *scanner) next() byte {
	s.rest = bytes.TrimLeft(s.rest, " ,;\r\n")
	if len(s.rest) == 0 {
		return 0
	}
	return s.rest[0]
}

func (s *scanner) tuple() (values [][]byte, err error) {
	s.rest = s.rest[1:]
	for s.next() != ')' {
		if len(s.rest) == 0 {
			return nil, errIncomplete
		}
		value, err := s.value()
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	s.rest = s.rest[1:]
	return values, nil
}

// value reads NULL, which is nil, a string, a number, or bytes in hexadecimal.
func (s *scanner) value() ([]byte, error) {
	s.rest = bytes.TrimPrefix(s.rest, []byte("_binary "))
	if s.rest[0] == '\'' {
		return s.text()
	}
	end := bytes.IndexAny(s.rest, ",)")
	if end < 0 {
		return nil, errIncomplete
	}
	word := s.rest[:end]
	s.rest = s.rest[end:]
	if digits, ok := bytes.CutPrefix(word, []byte("0x")); ok {
		return hex.AppendDecode(nil, digits)
	}
	if string(word) == "NULL" {
		return nil, nil
	}
	return word, nil
}

// escaped are the bytes that a backslash and a letter stand for. Others stand for themselves.
var escaped = map[byte]byte{'0': 0, 'n': '\n', 'r': '\r', 't': '\t', 'b': '\b', 'Z': 26}

func (s *scanner) text() ([]byte, error) {
	text := []byte{}
	for i := 1; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == '\\' && i+1 < len(s.rest):
			i++
			if meant, ok := escaped[s.rest[i]]; ok {
				text = append(text, meant)
			} else {
				text = append(text, s.rest[i])
			}
		case c == '\'' && i+1 < len(s.rest) && s.rest[i+1] == '\'':
			i++
			text = append(text, '\'')
		case c == '\'':
			s.rest = s.rest[i+1:]
			return text, nil
		default:
			text = append(text, c)
		}
	}
	return nil, errIncomplete
}
