package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"unicode/utf8"
)

// row is a scenario on a database, and what was measured.
type row struct {
	scenario
	database string
	samples  []sample
}

type sample struct{ figure, yardstick float64 }

// progress tells of the last sample.
func (r *row) progress() string {
	last := r.samples[len(r.samples)-1]
	text := fmt.Sprintf("%-16s %-6s %9s", r.name, r.database, r.amount(last.figure))
	if r.yardstick != nil {
		text += fmt.Sprintf("  %s of %s (%s)", percent(last.figure/last.yardstick), r.amount(last.yardstick), r.yardstickName)
	}
	return text
}

// print writes the table, and how it came about.
func (b *bench) print(w io.Writer, rows []*row) error {
	table := [][]string{
		{"", "database", "measured", "yardstick", "ratio", "of the rounds", "target", ""},
		{"---", "---", "---", "---", "---", "---", "---", "---"},
	}
	for _, r := range rows {
		table = append(table, r.cells())
	}
	_, err := fmt.Fprintf(w, "\n%s\nRounds: %d of %s, of which the medians count. wrk with %d connections, %d cores, %s.\n"+
		"nginx: a worker for each core, sendfile, open_file_cache, no access log. The server: default options but --limits off, logs on.\n",
		markdown(table), b.rounds, b.duration, connections, runtime.NumCPU(), runtime.Version())
	return err
}

func (r *row) cells() []string {
	figures, yardsticks, ratios := r.columns()
	figure := median(figures)
	if r.yardstick == nil {
		return []string{r.title, r.database, r.amount(figure), "", "", r.span(figures), "≤ " + r.amount(r.target), verdict(figure <= r.target)}
	}
	ratio := median(ratios)
	cells := []string{
		r.title, r.database, r.amount(figure), r.amount(median(yardsticks)) + " " + r.yardstickName, percent(ratio),
		percent(slices.Min(ratios)) + " to " + percent(slices.Max(ratios)),
	}
	if r.target == 0 {
		return append(cells, "", "")
	}
	if r.isCost {
		return append(cells, "≤ "+percent(r.target), verdict(ratio <= r.target))
	}
	return append(cells, "≥ "+percent(r.target), verdict(ratio >= r.target))
}

func (r *row) columns() (figures, yardsticks, ratios []float64) {
	for _, s := range r.samples {
		figures = append(figures, s.figure)
		yardsticks = append(yardsticks, s.yardstick)
		ratios = append(ratios, s.figure/s.yardstick)
	}
	return figures, yardsticks, ratios
}

func (r *row) span(figures []float64) string {
	return r.amount(slices.Min(figures)) + " to " + r.amount(slices.Max(figures))
}

// amount writes a figure with three digits that mean something.
func (r *row) amount(figure float64) string {
	switch {
	case figure < 10:
		return fmt.Sprintf("%.2f%s", figure, r.unit)
	case figure < 100:
		return fmt.Sprintf("%.1f%s", figure, r.unit)
	default:
		return fmt.Sprintf("%.0f%s", figure, r.unit)
	}
}

func percent(ratio float64) string {
	return fmt.Sprintf("%.0f %%", 100*ratio)
}

func verdict(isMet bool) string {
	if isMet {
		return "met"
	}
	return "**MISSED**"
}

// median returns the middle value, and the lower one of two.
func median(values []float64) float64 {
	return slices.Sorted(slices.Values(values))[(len(values)-1)/2]
}

// markdown writes a table whose columns line up for people, too.
func markdown(table [][]string) string {
	widths := make([]int, len(table[0]))
	for _, cells := range table {
		for i, cell := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var text strings.Builder
	for _, cells := range table {
		for i, cell := range cells {
			fmt.Fprintf(&text, "| %-*s ", widths[i], cell)
		}
		text.WriteString("|\n")
	}
	return text.String()
}
