package image

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/storage"
)

// What makes the test's program an uploader, see uploadUntilKilled.
const (
	uploaderFolder   = "GATEHOUSE_TEST_UPLOADER_FOLDER"
	uploaderDatabase = "GATEHOUSE_TEST_UPLOADER_DATABASE"
)

// TestKill kills processes at random moments under uploads. Afterwards nothing that was answered
// is lost, and rows and files are the same.
func TestKill(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		folder := t.TempDir()
		openDatabaseIn(t, url, folder).Close()
		var answered []string
		for range 10 {
			answered = append(answered, killUploader(t, url, folder)...)
		}
		if len(answered) == 0 {
			t.Fatal("no upload was answered")
		}
		d := openDatabaseIn(t, url, folder)
		defer d.Close()
		disk := openDisk(t, filepath.Join(folder, "images"))
		if err := New(Options{Database: d, Disk: disk}).Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		rows := imageRows(t, url, folder)
		wantFiles(t, filepath.Join(folder, "images"), rows...)
		for _, name := range answered {
			if !slices.Contains(rows, name) {
				t.Errorf("%s was answered and is lost", name)
			}
		}
		t.Logf("%d answered, %d kept", len(answered), len(rows))
	})
}

// killUploader runs an uploader, kills it after a random number of answers and a random pause,
// and returns the names that it answered.
func killUploader(t *testing.T, url, folder string) (answered []string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), uploaderFolder+"="+folder, uploaderDatabase+"="+url)
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(output)
	kill := sync.OnceFunc(func() { time.AfterFunc(rand.N(20*time.Millisecond), func() { command.Process.Kill() }) })
	for {
		line, err := answers.ReadString('\n')
		if err != nil { // a line that is cut off was not answered
			break
		}
		answered = append(answered, line[:len(line)-1])
		kill()
	}
	command.Wait() // killed
	return answered
}

// uploadUntilKilled sweeps, then uploads without end and prints the name of each picture kept.
func uploadUntilKilled() {
	folder := os.Getenv(uploaderFolder)
	ctx, log := context.Background(), slog.New(slog.DiscardHandler)
	d, err := database.Open(ctx, database.Options{URL: os.Getenv(uploaderDatabase), DataDir: folder, Logger: log})
	exitOn(err)
	disk, err := storage.OpenDisk(filepath.Join(folder, "images"))
	exitOn(err)
	s := New(Options{Database: d, Disk: disk, Logger: log})
	exitOn(s.Sweep(ctx))
	data, err := os.ReadFile(filepath.Join("testdata", "progressive.jpg"))
	exitOn(err)
	for range 4 {
		go func() {
			for {
				one := &Upload{Content: bytes.NewReader(data)}
				two := &Upload{Content: io.MultiReader(bytes.NewReader(data), bytes.NewReader(make([]byte, 100_000)))}
				images, err := s.Upload(ctx, "", each(one, two))
				exitOn(err)
				fmt.Printf("%s\n%s\n", images[0].Name, images[1].Name)
			}
		}()
	}
	select {}
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
