package database

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// TestReadSQL reads what both programs write: rows in a line, and each in one of its own.
func TestReadSQL(t *testing.T) {
	const dump = "-- MySQL dump\n/*M!999999\\- enable the sandbox mode */ \n/*!40101 SET NAMES utf8mb4 */;\n\n" +
		"CREATE TABLE `t` (\n  `a` int,\n  `b` text COMMENT 'x;'\n);\n" +
		"INSERT INTO `t` (`a`, `b`, `c`) VALUES (1,'it\\'s; (2,\\'x\\'),',0xAB),(-2,NULL,_binary '\\0');\n" +
		"INSERT INTO `t` (`a`, `b`, `c`) VALUES\n(3,'','a'''),\n(4,'\\n\\\\','');\n" +
		"INSERT INTO `other` (`a`) VALUES (5);\n-- Dump completed\n"
	tests := []struct {
		name, dump string
		want       []string
		wantError  string
	}{
		{"whole", dump, []string{`it's; (2,'x'),|` + "\xab|1", "|\x00|-2", "|a'|3", "\n\\||4"}, ""},
		{"cut off in a row", strings.Replace(dump, "'it\\'s; (2,\\'x\\'),',0xAB),(-2,NULL,_binary '\\0')", "'it", 1), nil, "a row is not complete"},
		{"cut off in a statement", dump[:strings.Index(dump, ",0xAB")], nil, "unexpected EOF"},
		{"without a column", strings.ReplaceAll(dump, "`c`", "`d`"), nil, "an INSERT without column c"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "dump")
			if err := os.WriteFile(file, []byte(test.dump), 0o600); err != nil {
				t.Fatal(err)
			}
			var got []string
			err := readSQL(t.Context(), file, []Columns{{Table: "t", Names: []string{"b", "c", "a"}}}, func(_ string, row [][]byte) error {
				got = append(got, string(row[0])+"|"+string(row[1])+"|"+string(row[2]))
				return nil
			})
			if test.wantError != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantError) {
					t.Errorf("got %v, want %q", err, test.wantError)
				}
				return
			}
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

func TestCheckDumpEnd(t *testing.T) {
	for _, test := range []struct {
		dump string
		want bool
	}{
		{"INSERT …;\n-- Dump completed on 2026-01-31 12:00:00\n", true},
		{"INSERT …;\n", false},
		{"", false},
		{"-- Dump completed\n" + strings.Repeat("INSERT …;\n", 100), false},
	} {
		file := filepath.Join(t.TempDir(), "dump")
		if err := os.WriteFile(file, []byte(test.dump), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := checkDumpEnd(file); (err == nil) != test.want {
			t.Errorf("a dump of %d bytes: %v, want it complete: %t", len(test.dump), err, test.want)
		}
	}
}

func TestDumpDefaults(t *testing.T) {
	for _, test := range []struct {
		name      string
		config    mysql.Config
		isMariaDB bool
		want      []string
	}{
		{"MariaDB without TLS", mysql.Config{Net: "tcp", Addr: "[::1]:3307"}, true, []string{"protocol=tcp", `host="::1"`, "port=3307", "skip-ssl"}},
		{"MySQL without TLS", mysql.Config{Net: "tcp", Addr: "db:3306"}, false, []string{`host="db"`, "ssl-mode=DISABLED"}},
		{"MariaDB with TLS", mysql.Config{Net: "tcp", Addr: "db:3306", TLSConfig: "true"}, true, []string{"ssl", "ssl-verify-server-cert"}},
		{"MySQL with TLS", mysql.Config{Net: "tcp", Addr: "db:3306", TLSConfig: "true"}, false, []string{"ssl-mode=VERIFY_IDENTITY"}},
		{"MariaDB unverified", mysql.Config{Net: "tcp", Addr: "db:3306", TLSConfig: "skip-verify"}, true, []string{"ssl", "skip-ssl-verify-server-cert"}},
		{"MySQL if it can", mysql.Config{Net: "tcp", Addr: "db:3306", TLSConfig: "preferred"}, false, []string{"ssl-mode=PREFERRED"}},
		{"a socket", mysql.Config{Net: "unix", Addr: "/run/db.sock", User: "u", Passwd: `p"\`}, true, []string{`socket="/run/db.sock"`, `user="u"`, `password="p\"\\"`}},
	} {
		lines := strings.Split(string(dumpDefaults(&test.config, test.isMariaDB)), "\n")
		for _, want := range test.want {
			if !slices.Contains(lines, want) {
				t.Errorf("%s: lines %q lack %q", test.name, lines, want)
			}
		}
	}
}
