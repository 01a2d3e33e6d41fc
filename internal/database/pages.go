package database

import "iter"

// Pages returns the rows that read returns page by page. read is told the last row of the page before,
// nil for the first page, and returns at most limit rows; fewer are the last. The last pair has an error
// if there is one.
func Pages[Row any](limit int, read func(last *Row) ([]Row, error)) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		var last *Row
		for {
			rows, err := read(last)
			if err != nil {
				yield(*new(Row), err)
				return
			}
			for _, row := range rows {
				if !yield(row, nil) {
					return
				}
			}
			if len(rows) < limit {
				return
			}
			last = &rows[len(rows)-1]
		}
	}
}
