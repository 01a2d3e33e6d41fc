// Command write puts all odd and hostile pictures into a folder, with an index of what becomes of each here, so that
// other servers can be tried with them: go run ./internal/corpus/write DIR
package main

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"gatehouse/internal/corpus"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: write DIR")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// write writes the pictures and index.csv.
func write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	rows := [][]string{{"name", "outcome", "code", "width", "height", "why"}}
	for _, p := range corpus.Pictures() {
		name := p.Name + "." + p.Extension
		if err := os.WriteFile(filepath.Join(dir, name), p.Data, 0o644); err != nil {
			return fmt.Errorf("write a picture: %w", err)
		}
		rows = append(rows, []string{name, string(p.Outcome), strconv.Itoa(int(p.Code)), strconv.Itoa(p.Width), strconv.Itoa(p.Height), p.Why})
	}
	return writeIndex(filepath.Join(dir, "index.csv"), rows)
}

func writeIndex(file string, rows [][]string) error {
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("create the index: %w", err)
	}
	if err := csv.NewWriter(f).WriteAll(rows); err != nil {
		f.Close()
		return fmt.Errorf("write the index: %w", err)
	}
	return f.Close()
}
