package main

import (
	"testing"
	"time"
)

func TestParseSpan(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "90s": 90 * time.Second, "15m": 15 * time.Minute, "8h": 8 * time.Hour, "8h30m": 8*time.Hour + 30*time.Minute, "1.5h": 90 * time.Minute,
		"100d": 100 * day, "0d": 0, "1d12h": 36 * time.Hour, "106751d": 106751 * day,
	} {
		if got, err := parseSpan(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "d", "h", "30", "-1d", "+1d", "-1h", "1d-1h", "1d+1h", "1d1d", "1.5d", " 1d", "1d ", "12h1d", "100y", "106752d", "106751d24h", "99999999999999999999d", "9999999h", "１d"} {
		if got, err := parseSpan(text); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}
