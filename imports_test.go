package main

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mayImport says which of our packages a package may import, and which packages of the standard
// library are closed to it. It is the house's plan; a package that is not in it fails the test.
var mayImport = map[string]struct {
	ours   []string
	closed []string
}{
	".":                         {ours: []string{"internal/doctor", "internal/trace", "internal/backup", "internal/admin", "internal/metrics", "internal/apperr", "internal/certificate", "internal/config", "internal/handover", "internal/httpapi", "internal/site", "internal/account", "internal/audit", "internal/captcha", "internal/idempotency", "internal/importer", "internal/inventory", "internal/limit", "internal/redis", "internal/session", "internal/sms", "internal/verify", "internal/image", "internal/codec", "internal/upload", "internal/webhook", "internal/database", "internal/storage", "internal/threads", "internal/logging"}},
	"bench":                     {ours: []string{"internal/dbtest"}},
	"internal/account":          {ours: []string{"internal/trace", "internal/threads", "internal/db", "internal/database", "internal/apperr", "internal/audit", "internal/network", "internal/session", "internal/verify"}, closed: []string{"net/http"}},
	"internal/admin":            {},
	"internal/api":              {},
	"internal/apperr":           {},
	"internal/audit":            {ours: []string{"internal/db", "internal/database"}, closed: []string{"net/http"}},
	"internal/backup":           {ours: []string{"internal/lease", "internal/database", "internal/db", "internal/image", "internal/progress", "internal/storage"}, closed: []string{"net/http"}},
	"internal/browsertest":      {},
	"internal/captcha":          {ours: []string{"internal/webhook"}},
	"internal/certificate":      {ours: []string{"internal/db", "internal/database", "internal/lease", "internal/seal"}},
	"internal/codec":            {ours: []string{"internal/apperr", "internal/jpeg"}, closed: []string{"net/http"}},
	"internal/config":           {ours: []string{"internal/limit", "internal/logging", "internal/storage"}, closed: []string{"net/http"}},
	"internal/corpus":           {ours: []string{"internal/apperr"}},
	"internal/corpus/write":     {ours: []string{"internal/corpus"}},
	"internal/database":         {ours: []string{"internal/trace", "internal/db", "internal/apperr", "sql"}, closed: []string{"net/http"}},
	"internal/db":               {},
	"internal/dbtest":           {ours: []string{"internal/database", "internal/servertest"}},
	"internal/dbtest/withmysql": {ours: []string{"internal/dbtest"}},
	"internal/doctor":           {ours: []string{"internal/backup", "internal/database", "internal/redis", "internal/storage", "internal/verify"}},
	"internal/export":           {ours: []string{"internal/apperr", "internal/image"}, closed: []string{"net/http"}},
	"internal/handover":         {closed: []string{"net/http"}},
	"internal/httpapi":          {ours: []string{"internal/trace", "internal/api", "internal/account", "internal/session", "internal/image", "internal/codec", "internal/upload", "internal/audit", "internal/export", "internal/idempotency", "internal/limit", "internal/network", "internal/verify", "internal/site", "internal/logging", "internal/apperr"}},
	"internal/idempotency":      {ours: []string{"internal/seal", "internal/db", "internal/database", "internal/apperr"}, closed: []string{"net/http"}},
	"internal/image":            {ours: []string{"internal/trace", "internal/threads", "internal/db", "internal/database", "internal/apperr", "internal/codec", "internal/storage"}, closed: []string{"net/http"}},
	"internal/importer":         {ours: []string{"internal/apperr", "internal/db", "internal/database", "internal/account", "internal/audit", "internal/image", "internal/verify"}, closed: []string{"net/http"}},
	"internal/inventory":        {ours: []string{"internal/image", "internal/progress", "internal/storage", "internal/upload"}, closed: []string{"net/http"}},
	"internal/jpeg":             {closed: []string{"net/http"}},
	"internal/lease":            {ours: []string{"internal/db", "internal/database"}, closed: []string{"net/http"}},
	"internal/limit":            {ours: []string{"internal/redis"}, closed: []string{"net/http"}},
	"internal/logging":          {closed: []string{"net/http"}},
	"internal/metrics":          {ours: []string{"internal/account", "internal/backup", "internal/apperr", "internal/database", "internal/image", "internal/redis", "internal/session", "internal/verify"}},
	"internal/network":          {closed: []string{"net/http"}},
	"internal/progress":         {closed: []string{"net/http"}},
	"internal/redis":            {ours: []string{"internal/trace"}, closed: []string{"net/http"}},
	"internal/seal":             {closed: []string{"net/http"}},
	"internal/servertest":       {},
	"internal/session":          {ours: []string{"internal/seal", "internal/db", "internal/database", "internal/apperr", "internal/audit", "internal/redis"}, closed: []string{"net/http"}},
	"internal/site":             {ours: []string{"internal/apperr", "web"}},
	"internal/sms":              {ours: []string{"internal/webhook"}},
	"internal/storage":          {ours: []string{"internal/trace"}, closed: []string{"net/http"}},
	"internal/threads":          {closed: []string{"net/http"}},
	"internal/trace":            {},
	"internal/upload":           {ours: []string{"internal/db", "internal/database", "internal/apperr", "internal/image", "internal/storage"}, closed: []string{"net/http"}},
	"internal/verify":           {ours: []string{"internal/trace", "internal/db", "internal/database", "internal/apperr", "internal/captcha", "internal/network", "internal/sms"}, closed: []string{"net/http"}},
	"internal/webhook":          {ours: []string{"internal/trace"}},
	"sql":                       {},
	"web":                       {},
}

func TestImportRules(t *testing.T) {
	for _, dir := range packages(t) {
		rule, planned := mayImport[dir]
		if !planned {
			t.Errorf("package %s is not in the plan of who may import whom; give it a place there", dir)
			continue
		}
		pkg, err := build.ImportDir(dir, 0)
		if err != nil {
			t.Fatalf("read package %s: %v", dir, err)
		}
		for _, imported := range pkg.Imports {
			if ours, ok := strings.CutPrefix(imported, "gatehouse/"); ok && !slices.Contains(rule.ours, ours) {
				t.Errorf("%s imports %s, which the plan does not allow", dir, ours)
			}
			if slices.Contains(rule.closed, imported) {
				t.Errorf("%s imports %s, which is closed to it", dir, imported)
			}
		}
	}
}

func TestGeneratedPackagesHoldNothingByHand(t *testing.T) {
	for _, dir := range []string{"internal/api", "internal/db"} {
		pkg, err := build.ImportDir(dir, build.ImportComment)
		if err != nil {
			t.Fatalf("read package %s: %v", dir, err)
		}
		for _, file := range slices.Concat(pkg.GoFiles, pkg.TestGoFiles, pkg.XTestGoFiles) {
			if !isGenerated(t, filepath.Join(dir, file)) {
				t.Errorf("%s/%s is written by hand", dir, file)
			}
		}
	}
}

func packages(t *testing.T) []string {
	t.Helper()
	var dirs []string
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") && file != "." || slices.Contains([]string{"node_modules", "testdata", "data"}, entry.Name())) {
			return filepath.SkipDir
		}
		isSource := strings.HasSuffix(file, ".go") && !strings.HasSuffix(file, "_test.go")
		if dir := filepath.ToSlash(path.Dir(file)); isSource && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("walk the tree: %v", err)
	}
	return dirs
}

func isGenerated(t *testing.T, file string) bool {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
	if err != nil {
		t.Fatalf("read %s: %v", file, err)
	}
	return ast.IsGenerated(parsed)
}
