package database_test

import (
	"errors"
	"slices"
	"testing"

	"gatehouse/internal/database"
)

func TestPages(t *testing.T) {
	const limit = 3
	broken := errors.New("the database is gone")
	for _, rows := range []int{0, 1, 3, 4, 6, 7} {
		var all []int
		for i := range rows {
			all = append(all, i)
		}
		read := func(last *int) ([]int, error) {
			from := 0
			if last != nil {
				from = *last + 1
			}
			return all[from:min(from+limit, rows)], nil
		}
		var got []int
		for row, err := range database.Pages(limit, read) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, row)
		}
		if !slices.Equal(got, all) {
			t.Errorf("got %v of %v", got, all)
		}
	}
	var last error
	for _, err := range database.Pages(limit, func(*int) ([]int, error) { return nil, broken }) {
		last = err
	}
	if !errors.Is(last, broken) {
		t.Errorf("the error is %v, want %v", last, broken)
	}
}
