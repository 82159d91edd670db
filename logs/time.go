package logs

import (
	"strconv"
	"strings"
	"time"

	"github.com/rl-containers/rl/hint"
)

// ParseTime reads docker's --since and --until: a date or a part of RFC 3339 (local without a zone), seconds since 1970 with a
// fraction, or a span before now (10m, 1h30m). "" is the zero time.
func ParseTime(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	if t, ok := parseUnix(s); ok {
		return t, nil
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02T15", "2006-01-02"} {
		for _, zone := range []string{"", "Z07:00"} {
			// A fraction of the seconds is read without being in the layout.
			if t, err := time.ParseInLocation(layout+zone, s, now.Location()); err == nil {
				return t, nil
			}
		}
	}
	return time.Time{}, hint.Errorf("a span before now (10m), a time (2026-01-02T15:04:05, also shorter, also with a zone), or seconds since 1970",
		"time %q: not understood", s)
}

func parseUnix(s string) (t time.Time, ok bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || len(fraction) > 9 || seconds > 1<<40 || seconds < -1<<40 {
		return t, false
	}
	nano := int64(0)
	if fraction != "" {
		u, err := strconv.ParseUint(fraction+strings.Repeat("0", 9-len(fraction)), 10, 32)
		if err != nil {
			return t, false
		}
		nano = int64(u)
	}
	if strings.HasPrefix(whole, "-") {
		nano = -nano
	}
	return time.Unix(seconds, nano), true
}
