package corpus

import (
	"bytes"
	"image"
	_ "image/gif"
	_ "image/jpeg"
	_ "image/png"
	"regexp"
	"slices"
	"strings"
	"testing"

	_ "golang.org/x/image/webp"
)

func TestPicturesAreTheSameEachTime(t *testing.T) {
	first, second := Pictures(), Pictures()
	if len(first) < 150 {
		t.Errorf("%d pictures, want 150 at least", len(first))
	}
	for i, p := range first {
		if p.Name != second[i].Name || !bytes.Equal(p.Data, second[i].Data) {
			t.Errorf("%s differs from one call to the next", p.Name)
		}
	}
}

func TestPicturesAreWellDescribed(t *testing.T) {
	const largest = 1 << 20
	names, contents := map[string]bool{}, map[string]string{}
	pattern := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	for _, p := range Pictures() {
		if names[p.Name] || !pattern.MatchString(p.Name) {
			t.Errorf("%s: the name is taken, or not one", p.Name)
		}
		if other := contents[string(p.Data)]; other != "" && p.Extension == string(p.Format) {
			t.Errorf("%s: the same bytes as %s", p.Name, other)
		}
		names[p.Name], contents[string(p.Data)] = true, p.Name
		isRefused, hasSize := p.Outcome == Refused, p.Width > 0 && p.Height > 0
		if p.Why == "" || isRefused == hasSize || isRefused != (p.Code != 0) {
			t.Errorf("%s: %s with code %d, %d × %d pixels, because %q", p.Name, p.Outcome, p.Code, p.Width, p.Height, p.Why)
		}
		if len(p.Data) > largest {
			t.Errorf("%s has %d bytes", p.Name, len(p.Data))
		}
		for _, planted := range slices.Concat(p.Secrets, p.Kept) {
			if !bytes.Contains(p.Data, []byte(planted)) {
				t.Errorf("%s: %q is not in it", p.Name, planted)
			}
		}
	}
}

func TestEveryFormatMeetsEveryOutcome(t *testing.T) {
	counts := map[Format]map[Outcome]int{}
	for _, p := range Pictures() {
		if counts[p.Format] == nil {
			counts[p.Format] = map[Outcome]int{}
		}
		counts[p.Format][p.Outcome]++
	}
	for _, format := range []Format{JPEG, PNG, GIF, WebP} {
		for _, outcome := range []Outcome{Stored, Refused, Withdrawn} {
			if counts[format][outcome] == 0 {
				t.Errorf("no %s is %s", format, outcome)
			}
		}
	}
	for _, format := range []Format{HEIC, AVIF, Other} {
		if counts[format][Refused] == 0 {
			t.Errorf("no %s is refused", format)
		}
	}
	t.Log(counts)
}

// undecided are pictures that Go's own decoders judge otherwise: they know nothing of some formats and most
// animations, refuse blocks that nobody knows, and make up what a JPEG lacks.
func undecided(p Picture) bool {
	switch p.Name {
	case "jpeg-missing-scan", "jpeg-no-quantization":
		return true
	}
	return p.Format == HEIC || p.Format == AVIF || strings.Contains(p.Name, "-animated") || strings.Contains(p.Name, "-unknown")
}

// TestGoDecodersAgree asks judges who know nothing of this server.
func TestGoDecodersAgree(t *testing.T) {
	for _, p := range Pictures() {
		if p.Outcome == Refused || undecided(p) {
			continue
		}
		_, _, err := image.Decode(bytes.NewReader(p.Data))
		if (err == nil) != (p.Outcome == Stored) {
			t.Errorf("%s is to be %s, but decodes with %v", p.Name, p.Outcome, err)
		}
		if err != nil {
			continue
		}
		config, _, err := image.DecodeConfig(bytes.NewReader(p.Data))
		got := image.Pt(config.Width, config.Height)
		if err != nil || got != image.Pt(p.Width, p.Height) && got != image.Pt(p.Height, p.Width) {
			t.Errorf("%s has %v pixels, want %d × %d, %v", p.Name, got, p.Width, p.Height, err)
		}
	}
}
