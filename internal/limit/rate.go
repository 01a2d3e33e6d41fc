package limit

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Rate is how many requests are allowed in a period, spread as the client likes: all of them may
// come at once, and then one for each Count-th part of the period.
type Rate struct {
	Count  int
	Period time.Duration
}

// maxCount leaves each request a microsecond, which is what Redis measures in.
const maxCount = 1_000_000

var units = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}

// ParseRate reads a rate like 20/m: a number up to a million per s, m, h or d.
func ParseRate(text string) (Rate, error) {
	number, unit, _ := strings.Cut(text, "/")
	count, err := strconv.Atoi(number)
	period, known := units[unit]
	if err != nil || !known || count < 1 || count > maxCount {
		return Rate{}, fmt.Errorf("%q is not a rate like 20/m: a number from 1 to %d, a slash, and s, m, h or d", text, maxCount)
	}
	return Rate{Count: count, Period: period}, nil
}

// String returns the rate as ParseRate reads it.
func (r Rate) String() string {
	for unit, period := range units {
		if r.Period == period {
			return fmt.Sprintf("%d/%s", r.Count, unit)
		}
	}
	return fmt.Sprintf("%d/%s", r.Count, r.Period)
}

// interval is the time from one request to the next at an even pace, in whole microseconds.
func (r Rate) interval() time.Duration {
	if r.Count < 1 {
		return 0
	}
	return (r.Period / time.Duration(r.Count)).Truncate(time.Microsecond)
}

// The classes of routes, which are counted by network.
const (
	Credentials = "credentials" // register, log in, codes, passwords: what costs a hash or a message
	Refresh     = "refresh"     // new tokens for old
	Write       = "write"       // uploads and changes
	Read        = "read"        // pages, and one's own data
	Load        = "load"        // pictures
)

// UserSuffix makes Write and Read the classes that are counted by logged-in user.
const UserSuffix = "-user"

// Limits is the value of --limits: the rate of each class. A class that is missing has no limit.
type Limits map[string]Rate

// Defaults returns the limits for a server of one or two cores.
//
// Those by address only keep one client from taking the whole server, and have room for a school, an
// office or a carrier's customers behind one address, which are thousands. What guards passwords
// and messages against guessing and spending is counted elsewhere, by phone, in the database.
// Those by user are for one person with a few devices, and apps that fetch a screen all at once.
func Defaults() Limits {
	return Limits{
		Credentials:        {120, time.Minute},    // a class that registers at once: 40 people, 3 requests each; 2 hashes a second
		Refresh:            {600, time.Minute},    // 9,000 apps that are open, one refresh in 15 minutes each
		Write:              {1_200, time.Minute},  // ten users at their limit
		Write + UserSuffix: {120, time.Minute},    // an album of a hundred pictures, one by one
		Read:               {6_000, time.Minute},  // a hundred requests a second
		Read + UserSuffix:  {600, time.Minute},    // ten requests a second
		Load:               {30_000, time.Minute}, // a hundred pictures a screen, five screens a second
	}
}

// UnmarshalText reads "off", or "default", which may be followed by classes that differ:
// "default,credentials=20/m,load=off". Its errors name the item and say what is wanted.
func (l *Limits) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		*l = Limits{}
		return nil
	}
	items := strings.Split(string(text), ",")
	if items[0] != "default" {
		return fmt.Errorf("%q must be off or default, or begin with default, as in default,credentials=20/m", text)
	}
	limits := Defaults()
	for _, item := range items[1:] {
		if err := limits.set(item); err != nil {
			return err
		}
	}
	*l = limits
	return nil
}

// set changes one class as an item like credentials=20/m says.
func (l Limits) set(item string) error {
	class, value, _ := strings.Cut(item, "=")
	if _, known := Defaults()[class]; !known {
		return fmt.Errorf("%q must be a class and its rate, as in credentials=20/m; the classes are %s",
			item, strings.Join(slices.Sorted(maps.Keys(Defaults())), ", "))
	}
	if value == "off" {
		delete(l, class)
		return nil
	}
	rate, err := ParseRate(value)
	if err != nil {
		return fmt.Errorf("class %s: %w, or off", class, err)
	}
	l[class] = rate
	return nil
}

// MarshalText returns the limits as UnmarshalText reads them, in the shortest form.
func (l Limits) MarshalText() ([]byte, error) {
	return []byte(l.String()), nil
}

// String returns the same as MarshalText.
func (l Limits) String() string {
	if len(l) == 0 {
		return "off"
	}
	items := []string{"default"}
	defaults := Defaults()
	for _, class := range slices.Sorted(maps.Keys(defaults)) {
		switch rate, limited := l[class]; {
		case !limited:
			items = append(items, class+"=off")
		case rate != defaults[class]:
			items = append(items, class+"="+rate.String())
		}
	}
	return strings.Join(items, ",")
}
