package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/browsertest"
	"gatehouse/internal/dbtest"
)

// readme is what a README tells people to paste.
type readme struct {
	runs  []string // the ARGS of each make run
	steps []step   // the story
}

// step is a block of shell commands and what they print, with … for what is different each time.
type step struct{ script, want string }

var (
	fencedBlock = regexp.MustCompile("(?s)```sh\n(.*?)```\n(?:```\n(.*?)```\n)?")
	makeRun     = regexp.MustCompile(`^make run(?: ARGS="(.*)")?\n$`)
)

func readReadme(t *testing.T, file string) readme {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r readme
	for _, block := range fencedBlock.FindAllStringSubmatch(string(content), -1) {
		switch run := makeRun.FindStringSubmatch(block[1]); {
		case run != nil:
			r.runs = append(r.runs, run[1])
		case strings.HasPrefix(block[1], "make "): // make test, which runs this
		default:
			r.steps = append(r.steps, step{block[1], block[2]})
		}
	}
	return r
}

// TestReadmeStory pastes the story of each README into a fresh shell, once for each way in which it starts the server.
func TestReadmeStory(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		browsertest.Missing(t, "curl is not installed")
	}
	for _, file := range []string{"README.md", "README.zh-CN.md"} {
		readme := readReadme(t, file)
		if len(readme.runs) != 2 || len(readme.steps) < 6 {
			t.Errorf("%s starts the server %d times and has %d steps, want it bare and on MySQL, and the whole story", file, len(readme.runs), len(readme.steps))
		}
		for _, run := range readme.runs {
			t.Run(file+" "+run, func(t *testing.T) {
				args := append(strings.Fields(run), "--data-dir", filepath.Join(t.TempDir(), "data"))
				for i, arg := range args {
					if strings.HasPrefix(arg, "mysql://") {
						args[i] = dbtest.MySQL(t)
					}
				}
				paste(t, readme.steps, start(t, args...).url())
			})
		}
	}
}

// paste runs all steps in one shell, with more of an environment, and compares what they print.
func paste(t *testing.T, steps []step, url string, environ ...string) {
	t.Helper()
	shell := exec.Command("sh", "-eu")
	shell.Env = append(environ, "PATH="+os.Getenv("PATH"), "TMPDIR="+t.TempDir())
	pasteInto(t, shell, steps, url)
}

func pasteInto(t *testing.T, shell *exec.Cmd, steps []step, url string) {
	t.Helper()
	const endOfStep = "end of step"
	var script strings.Builder
	for _, step := range steps {
		script.WriteString(step.script + "echo; echo " + endOfStep + "\n")
	}
	there := strings.NewReplacer("http://127.0.0.1:8000", url)
	shell.Stdin = strings.NewReader(there.Replace(script.String()))
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("the shell: %v\n%s", err, out)
	}
	printed := strings.Split(string(out), endOfStep+"\n")
	for i, step := range steps {
		want := strings.TrimSpace(there.Replace(step.want))
		pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(want), "…", `[^"\s]+`) + "$"
		if got := strings.TrimSpace(printed[i]); !regexp.MustCompile(pattern).MatchString(got) {
			t.Errorf("%s\nprints\n%s\nwant\n%s", step.script, got, want)
		}
	}
}

func TestReadmesSayTheSame(t *testing.T) {
	english, chinese := readReadme(t, "README.md"), readReadme(t, "README.zh-CN.md")
	if !slices.Equal(english.runs, chinese.runs) || !slices.Equal(english.steps, chinese.steps) {
		t.Error("the two READMEs have different commands or answers")
	}
}

// TestDocsNameWhatIsThere looks up what the documents refer to: files, make commands, options.
func TestDocsNameWhatIsThere(t *testing.T) {
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	help, _, _ := call(t, "--help")
	docs, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range append(docs, "README.md", "README.zh-CN.md") {
		content, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range regexp.MustCompile(`\]\(([^):#]+)`).FindAllSubmatch(content, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(doc), string(link[1]))); err != nil {
				t.Errorf("%s links to %s, which is not there", doc, link[1])
			}
		}
		for _, command := range regexp.MustCompile("(?m)[`^]make ([a-z-]+)").FindAllSubmatch(content, -1) {
			if !strings.Contains(string(makefile), "\n"+string(command[1])+":") {
				t.Errorf("%s names make %s, which is not there", doc, command[1])
			}
		}
		for _, option := range regexp.MustCompile("`(?:gatehouse )?(--[a-z-]+)").FindAllSubmatch(content, -1) {
			if !regexp.MustCompile(string(option[1]) + `\b`).MatchString(help) {
				t.Errorf("%s names the option %s, which is not there", doc, option[1])
			}
		}
	}
}
