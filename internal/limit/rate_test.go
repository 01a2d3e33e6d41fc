package limit

import (
	"maps"
	"strings"
	"testing"
	"time"
)

func TestParseRate(t *testing.T) {
	for text, want := range map[string]Rate{
		"20/m":      {20, time.Minute},
		"1/s":       {1, time.Second},
		"1000000/s": {1_000_000, time.Second},
		"5/h":       {5, time.Hour},
		"100/d":     {100, 24 * time.Hour},
	} {
		got, err := ParseRate(text)
		if err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
		if got.String() != text {
			t.Errorf("%s becomes %s", text, got)
		}
	}
	for _, text := range []string{"", "20", "/m", "20/", "20/w", "20/m/s", "0/m", "-1/m", "1.5/m", "1000001/s", " 20/m", "20/M"} {
		if rate, err := ParseRate(text); err == nil || !strings.Contains(err.Error(), "like 20/m") {
			t.Errorf("%q: %v, %v; want an error that says what is wanted", text, rate, err)
		}
	}
}

func TestLimits(t *testing.T) {
	with := func(change func(Limits)) Limits {
		l := Defaults()
		change(l)
		return l
	}
	for _, tt := range []struct {
		text     string
		want     Limits
		wantText string // if it is not the same
	}{
		{text: "off", want: Limits{}},
		{text: "default", want: Defaults()},
		{text: "default,credentials=20/m,read-user=50/s", want: with(func(l Limits) {
			l[Credentials] = Rate{20, time.Minute}
			l[Read+UserSuffix] = Rate{50, time.Second}
		})},
		{text: "default,load=off", want: with(func(l Limits) { delete(l, Load) })},
		{text: "default,write=1/s,write=2/s", want: with(func(l Limits) { l[Write] = Rate{2, time.Second} }), wantText: "default,write=2/s"},
		{text: "default,credentials=120/m", want: Defaults(), wantText: "default"},
	} {
		var got Limits
		if err := got.UnmarshalText([]byte(tt.text)); err != nil {
			t.Errorf("%s: %v", tt.text, err)
		}
		if !maps.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.text, got, tt.want)
		}
		if tt.wantText == "" {
			tt.wantText = tt.text
		}
		if text, err := got.MarshalText(); string(text) != tt.wantText || err != nil {
			t.Errorf("%s becomes %s, %v; want %s", tt.text, text, err, tt.wantText)
		}
	}
}

func TestBadLimits(t *testing.T) {
	for text, wants := range map[string][]string{
		"":                            {"off or default"},
		"on":                          {`"on"`, "off or default"},
		"off,load=1/s":                {"off or default"},
		"credentials=20/m":            {"begin with default"},
		"default,":                    {`""`, "classes are credentials, load, read"},
		"default, load=1/s":           {`" load=1/s"`},
		"default,pictures=1/s":        {`"pictures=1/s"`, "classes are"},
		"default,load":                {"class load", "like 20/m"},
		"default,load=":               {"class load", "like 20/m"},
		"default,load=fast":           {"class load", `"fast"`, "or off"},
		"default,load=1/s,read=0/m":   {"class read", `"0/m"`},
		"default,default,load=20/m":   {`"default"`, "classes are"},
		"default,credentials=20/m=20": {"class credentials", `"20/m=20"`},
	} {
		limits := Limits{Load: {1, time.Second}}
		err := limits.UnmarshalText([]byte(text))
		for _, want := range wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: error %v, want one with %s", text, err, want)
			}
		}
		if len(limits) != 1 {
			t.Errorf("%q: the limits changed to %v", text, limits)
		}
	}
}
