package main

import (
	"errors"
	"math"
	"regexp"
	"strconv"
	"time"

	"github.com/spf13/pflag"
)

// errNoDuration is what is said of a text that is no length of time.
var errNoDuration = errors.New("not such a time; write it as 90s, 15m, 8h or 30d")

// parseSpan reads a length of time: days, then what time.ParseDuration takes ("30d",
// "1d12h", "8h30m"). A day has 24 hours. Signs are refused.
func parseSpan(text string) (time.Duration, error) {
	m := regexp.MustCompile(`^(?:(\d+)d)?([0-9].*)?$`).FindStringSubmatch(text)
	if m == nil || text == "" {
		return 0, errNoDuration
	}
	const day = 24 * time.Hour
	var days, rest time.Duration
	if m[1] != "" {
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil || n > int64(math.MaxInt64/day) {
			return 0, errNoDuration
		}
		days = time.Duration(n) * day
	}
	if m[2] != "" {
		var err error
		if rest, err = time.ParseDuration(m[2]); err != nil || rest > math.MaxInt64-days {
			return 0, errNoDuration
		}
	}
	return days + rest, nil
}

// spanValue is a flag that takes a length of time.
type spanValue time.Duration

// Set implements pflag.Value.
func (v *spanValue) Set(text string) error {
	d, err := parseSpan(text)
	if err == nil {
		*v = spanValue(d)
	}
	return err
}

// String implements pflag.Value.
func (v *spanValue) String() string {
	if *v == 0 {
		return "" // the help names no default then
	}
	return time.Duration(*v).String()
}

// Type implements pflag.Value.
func (*spanValue) Type() string { return "duration" }

// spanFlag defines a flag that takes a length of time, days too.
func spanFlag(fl *pflag.FlagSet, into *time.Duration, name string, usual time.Duration, usage string) {
	*into = usual
	fl.Var((*spanValue)(into), name, usage)
}
