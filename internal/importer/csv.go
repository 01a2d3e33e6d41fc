package importer

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"

	"gatehouse/internal/account"
)

var csvColumns = []string{"phone", "password", "password_hash", "nickname", "created_at"}

// CSV returns the users of a CSV file with a header: phone, password or password_hash, nickname,
// created_at, in any order; only phone is required.
func CSV(path string) (Source, error) {
	header, err := readHeader(path)
	if err != nil {
		return Source{}, err
	}
	for _, column := range header {
		if !slices.Contains(csvColumns, column) {
			return Source{}, fmt.Errorf("%s: unknown column %q; the columns are %s", path, column, strings.Join(csvColumns, ", "))
		}
	}
	return openCSV(path, header, userFromCSV)
}

func userFromCSV(r record) User {
	createdAt, err := parseTime(r.get("created_at"))
	return User{Problem: err, Imported: account.Imported{
		Phone: r.get("phone"), Password: r.get("password"), PasswordHash: r.get("password_hash"),
		Nickname: r.get("nickname"), CreatedAt: createdAt,
	}}
}

// Supabase returns the users of a CSV dump of the table auth.users of Supabase.
func Supabase(path string) (Source, error) {
	header, err := readHeader(path)
	if err != nil {
		return Source{}, err
	}
	if !slices.Contains(header, "encrypted_password") {
		return Source{}, fmt.Errorf("%s: there is no column encrypted_password; it must be a dump of auth.users", path)
	}
	return openCSV(path, header, userFromSupabase)
}

// userFromSupabase keeps the id, which apps have in their own tables.
func userFromSupabase(r record) User {
	createdAt, err := parseTime(r.get("created_at"))
	seenAt, seenErr := parseTime(r.get("last_sign_in_at"))
	err = cmp.Or(err, seenErr)
	if r.get("deleted_at") != "" {
		err = errDeleted
	}
	phone := r.get("phone")
	if phone != "" {
		phone = "+" + strings.TrimPrefix(phone, "+") // which Supabase drops
	}
	var metadata struct {
		FullName string `json:"full_name"`
		Name     string `json:"name"`
	}
	_ = json.Unmarshal([]byte(r.get("raw_user_meta_data")), &metadata) // another form of it holds no name
	return User{Problem: err, Imported: account.Imported{
		ID: r.get("id"), Phone: phone, PasswordHash: r.get("encrypted_password"), Nickname: cmp.Or(metadata.FullName, metadata.Name),
		CreatedAt: createdAt, LastSeenAt: seenAt,
	}}
}

// record is one row of a CSV file.
type record struct {
	header []string
	fields []string
}

// get returns a field, which is empty where there is no such column.
func (r record) get(column string) string {
	if i := slices.Index(r.header, column); i >= 0 {
		return r.fields[i]
	}
	return ""
}

func readHeader(path string) ([]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the users: %w", err)
	}
	defer file.Close()
	header, err := newCSVReader(file).Read()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the header of %s: %w", path, err)
	}
	for i, column := range header {
		header[i] = strings.ToLower(strings.TrimSpace(column))
	}
	if !slices.Contains(header, "phone") {
		return nil, fmt.Errorf("%s: the first line must be a header with the column phone", path)
	}
	return header, nil
}

// newCSVReader drops the byte order mark that spreadsheets write.
func newCSVReader(file *os.File) *csv.Reader {
	buffered := bufio.NewReader(file)
	if mark, err := buffered.Peek(3); err == nil && bytes.Equal(mark, []byte("\ufeff")) {
		_, _ = buffered.Discard(len(mark)) // which Peek has read
	}
	return csv.NewReader(buffered)
}

func openCSV(path string, header []string, convert func(record) User) (Source, error) {
	source := Source{Users: readCSV(path, header, convert)}
	for _, err := range source.Users {
		if err != nil {
			return Source{}, err
		}
		source.Total++
	}
	return source, nil
}

// readCSV reads the file once each time it is ranged over. A row that is no CSV is a user with a problem.
func readCSV(path string, header []string, convert func(record) User) iter.Seq2[User, error] {
	return func(yield func(User, error) bool) {
		file, err := os.Open(path)
		if err != nil {
			yield(User{}, fmt.Errorf("open the users: %w", err))
			return
		}
		defer file.Close()
		reader := newCSVReader(file)
		_, err = reader.Read() // the header
		for err == nil {
			var user User
			if user, err = readRow(reader, header, convert); err == nil && !yield(user, nil) {
				return
			}
		}
		if !errors.Is(err, io.EOF) {
			yield(User{}, fmt.Errorf("read %s: %w", path, err))
		}
	}
}

func readRow(reader *csv.Reader, header []string, convert func(record) User) (User, error) {
	fields, err := reader.Read()
	var malformed *csv.ParseError
	if errors.As(err, &malformed) {
		return User{Where: fmt.Sprintf("line %d", malformed.StartLine), Problem: malformed.Err}, nil
	}
	if err != nil {
		return User{}, err
	}
	line, _ := reader.FieldPos(0)
	user := convert(record{header, fields})
	user.Where = fmt.Sprintf("line %d", line)
	return user, nil
}
