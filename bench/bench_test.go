package main

import (
	"bufio"
	"bytes"
	"context"
	"image/jpeg"
	"io"
	"mime"
	"mime/multipart"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/internal/codec"
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
			name: "a cost",
			row: row{
				scenario: scenario{title: "thumbnail", unit: " ms", yardstick: yardstick, yardstickName: "vips", target: 1.3, isCost: true},
				database: sqlite,
				samples:  []sample{{130, 100}},
			},
			want: []string{"thumbnail", "sqlite", "130 ms", "100 ms vips", "130 %", "130 % to 130 %", "≤ 130 %", "met"},
		},
		{
			name: "too high a cost",
			row: row{
				scenario: scenario{title: "thumbnail", unit: " ms", yardstick: yardstick, yardstickName: "vips", target: 1.3, isCost: true},
				database: sqlite,
				samples:  []sample{{140, 100}},
			},
			want: []string{"thumbnail", "sqlite", "140 ms", "100 ms vips", "140 %", "140 % to 140 %", "≤ 130 %", "**MISSED**"},
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

// TestNumberedPicturesDiffer holds what the uploads rely on: the server stores each of them.
func TestNumberedPicturesDiffer(t *testing.T) {
	b := &bench{dir: t.TempDir()}
	if err := b.writePicture(); err != nil {
		t.Fatal(err)
	}
	first := clean(t, numbered(b.picture, 1))
	if bytes.Equal(first, clean(t, numbered(b.picture, 2))) {
		t.Error("without metadata, two numbers make the same picture")
	}
	got, err := jpeg.Decode(bytes.NewReader(first))
	if err != nil {
		t.Fatal(err)
	}
	want, err := jpeg.Decode(bytes.NewReader(b.picture))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("the number can be seen (%v)", err)
	}
}

func clean(t *testing.T, picture []byte) []byte {
	t.Helper()
	var cleaned bytes.Buffer
	in := bufio.NewReaderSize(bytes.NewReader(picture), codec.BufferSize)
	limits := codec.Limits{Pixels: 1 << 20, Side: 1 << 10, Frames: 1}
	if _, _, err := codec.Clean(&cleaned, in, codec.JPEG, limits); err != nil {
		t.Fatal(err)
	}
	return cleaned.Bytes()
}

func TestBigPictureHasItsSize(t *testing.T) {
	picture, err := bigPicture()
	if err != nil {
		t.Fatal(err)
	}
	if got := len(picture); got < 49_000_000 || got > 51_000_000 {
		t.Errorf("the picture has %d bytes, want about 50 MB", got)
	}
}

func TestNumberedForm(t *testing.T) {
	b := &bench{dir: t.TempDir()}
	if err := b.writePicture(); err != nil {
		t.Fatal(err)
	}
	contentType, body, err := form(numbered(b.picture, 0))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		t.Fatal(err)
	}
	sent := numberedForm(body, 7, strings.NewReader(""))
	part, err := multipart.NewReader(sent, params["boundary"]).NextPart()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(part); err != nil || !bytes.Equal(got, numbered(b.picture, 7)) {
		t.Errorf("the form has another picture (%v)", err)
	}
}

func TestProcessorTime(t *testing.T) {
	var before, after syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &before); err != nil {
		t.Fatal(err)
	}
	got, err := processorTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &after); err != nil {
		t.Fatal(err)
	}
	const tick = 10 * time.Millisecond // to which each of the two times is cut
	if got < computed(before)-2*tick || got > computed(after)+2*tick {
		t.Errorf("got %v, want what lies between %v and %v", got, computed(before), computed(after))
	}
}

func computed(usage syscall.Rusage) time.Duration {
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
