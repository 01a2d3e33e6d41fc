package main

import (
	"bytes"
	"context"
	"image/jpeg"
	"io"
	"mime"
	"mime/multipart"
	"slices"
	"strings"
	"testing"
)

func TestCells(t *testing.T) {
	yardstick := func(context.Context, *bench, string) (float64, error) { return 0, nil }
	tests := []struct {
		name string
		row  row
		want []string
	}{
		{
			name: "median of the ratios, not ratio of the medians",
			row: row{
				scenario: scenario{title: "load", unit: "/s", yardstick: yardstick, yardstickName: "nginx", target: 0.45},
				database: sqlite,
				samples:  []sample{{50, 100}, {40, 100}, {900, 1000}},
			},
			want: []string{"load", "sqlite", "50.0/s", "100/s nginx", "50 %", "40 % to 90 %", "≥ 45 %", "met"},
		},
		{
			name: "below the target",
			row: row{
				scenario: scenario{title: "load", unit: "/s", yardstick: yardstick, yardstickName: "nginx", target: 0.45},
				database: mysql,
				samples:  []sample{{44, 100}},
			},
			want: []string{"load", "mysql", "44.0/s", "100/s nginx", "44 %", "44 % to 44 %", "≥ 45 %", "**MISSED**"},
		},
		{
			name: "no target",
			row: row{
				scenario: scenario{title: "me", unit: "/s", yardstick: yardstick, yardstickName: "net/http"},
				database: sqlite,
				samples:  []sample{{1, 2}},
			},
			want: []string{"me", "sqlite", "1.00/s", "2.00/s net/http", "50 %", "50 % to 50 %", "", ""},
		},
		{
			name: "no yardstick",
			row: row{
				scenario: scenario{title: "p99", unit: " ms", target: 10},
				database: sqlite,
				samples:  []sample{{figure: 12}, {figure: 9}, {figure: 11}},
			},
			want: []string{"p99", "sqlite", "11.0 ms", "", "", "9.00 ms to 12.0 ms", "≤ 10.0 ms", "**MISSED**"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.row.cells(); !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestPictureHasItsSize(t *testing.T) {
	b := &bench{dir: t.TempDir()}
	if err := b.writePicture(); err != nil {
		t.Fatal(err)
	}
	if got := len(b.picture); got < pictureBytes || got > pictureBytes+4<<10 {
		t.Errorf("the picture has %d bytes, want about %d", got, pictureBytes)
	}
	if _, err := jpeg.Decode(bytes.NewReader(b.picture)); err != nil {
		t.Errorf("the picture is no JPEG: %v", err)
	}
}

func TestBigFormHasItsSize(t *testing.T) {
	b := &bench{picture: []byte("a picture")}
	contentType, form, err := b.form()
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		t.Fatal(err)
	}
	big := bigForm(form, b.picture, strings.NewReader("."))
	part, err := multipart.NewReader(big, params["boundary"]).NextPart()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.Copy(io.Discard, part); err != nil || got < bigUploadBytes-1 || got > bigUploadBytes {
		t.Errorf("the picture has %d bytes (%v), want %d", got, err, bigUploadBytes)
	}
}
