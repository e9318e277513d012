//go:build linux

package helper_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/helper"
)

// watched runs a program that watches for so long, and returns what it told.
func watched(t *testing.T, c *helper.Client, d time.Duration) []tokens.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var told []tokens.Event
	if err := c.Watch(ctx, func(e tokens.Event) { told = append(told, e) }); ctx.Err() == nil {
		t.Fatalf("the watch ended: %v", err)
	}
	return told
}

// watchedUntil is what a watch tells until enough says so of what was just told.
func watchedUntil(t *testing.T, c *helper.Client, enough func(tokens.Event) bool) []tokens.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var told []tokens.Event
	err := c.Watch(ctx, func(e tokens.Event) {
		if told = append(told, e); enough(e) {
			cancel()
		}
	})
	if ctx.Err() == nil {
		t.Fatalf("the watch ended: %v", err)
	}
	return told
}

// TestAWatchWithoutEnd: what reports without end is heard as fast as anybody can
// plug, and no faster.
func TestAWatchWithoutEnd(t *testing.T) {
	path := script(t, `while :; do
echo '{"watch":{"type":"inserted","kind":"piv","token":{"kind":"piv","locator":"a"}}}'
echo '{"watch":{"type":"removed","kind":"piv","token":{"kind":"piv","locator":"a"}}}'
done`)
	const seconds = 3
	told := watched(t, client(path, tokens.KindPIV), seconds*time.Second)
	if n := len(told); n < 256 || n > 256+seconds*110 {
		t.Errorf("%d events in %d s", n, seconds)
	}
}

// TestAWatchOfTooMany: no more tokens than a machine can have are believed in.
func TestAWatchOfTooMany(t *testing.T) {
	var lines strings.Builder
	for i := range 100 {
		fmt.Fprintf(&lines, `echo '{"watch":{"type":"inserted","kind":"piv","token":{"kind":"piv","locator":"%d"}}}'`+"\n", i)
	}
	givenUp := func(e tokens.Event) bool {
		return e.Type == tokens.EventServiceLost && strings.Contains(e.Detail, "too many")
	}
	told := watchedUntil(t, client(script(t, lines.String()+"exec sleep 600"), tokens.KindPIV), givenUp)
	in, lost := 0, false
	for _, e := range told {
		if e.Type == tokens.EventInserted && !lost {
			in++
		}
		lost = lost || givenUp(e)
	}
	if in != 64 || !lost {
		t.Errorf("%d tokens before the watch was given up (%t)", in, lost)
	}
}

// TestALyingWatch: a FIDO2 key proves what it holds, and does not claim it; and a
// path that is no key's does not become a device of the next helper.
func TestALyingWatch(t *testing.T) {
	const point = "CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	for token, fine := range map[string]bool{
		`"locator":"/dev/hidraw3"`:           true,
		`"locator":"/dev/pts/3"`:             false,
		`"locator":"/dev/configured"`:        true,
		`"locator":"/dev/hidraw3/../tty"`:    false,
		`"locator":"/home/user/.ssh/id_rsa"`: false,
		`"locator":"/dev/hidraw3","keys":[{"slot":"session","algorithm":"X25519","public":"` + point + `","pin_policy":"unknown","touch_policy":"unknown"}]`: false,
	} {
		path := script(t, `echo '{"watch":{"type":"inserted","kind":"fido2","token":{"kind":"fido2",`+token+`}}}'
exec sleep 600`)
		c := helper.New(helper.Config{Path: path, Kind: tokens.KindFIDO2, Devices: []string{"/dev/configured"}})
		told := watchedUntil(t, c, func(tokens.Event) bool { return true })
		if len(told) == 0 || (told[0].Type == tokens.EventInserted) != fine || fine && !told[0].Token.Unlisted {
			t.Errorf("%s: told %+v", token, told)
		}
	}
}

// TestAnAnswerAboutAnotherToken is not believed.
func TestAnAnswerAboutAnotherToken(t *testing.T) {
	for at, fine := range map[string]bool{"/dev/hidraw1": true, "/dev/hidraw2": false, "": false} {
		path := script(t, `read a; read b
echo '{"result":{"token":{"kind":"fido2","locator":"`+at+`"},"pin_tries":8,"puk_tries":-1}}'`)
		_, err := client(path, tokens.KindFIDO2).Inspect(t.Context(), "/dev/hidraw1")
		if (err == nil) != fine {
			t.Errorf("told of %q: %v", at, err)
		}
		path = script(t, `read a; read b
echo '{"result":{"token":{"kind":"fido2","locator":"`+at+`"},"keys":[{"kind":"fido2","class":"touch","algorithm":"X25519","public":"CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}]}}'`)
		_, err = client(path, tokens.KindFIDO2).Enroll(t.Context(), tokens.EnrollRequest{Locator: "/dev/hidraw1", Classes: []tokens.Class{tokens.ClassTouch}})
		if (err == nil) != fine {
			t.Errorf("enrolled %q: %v", at, err)
		}
	}
}

// TestASoftwareTokenHasNoPlace that an answer could be held against.
func TestASoftwareTokenHasNoPlace(t *testing.T) {
	_, err := client(program, tokens.KindSoft).Enroll(t.Context(), tokens.EnrollRequest{
		Classes: []tokens.Class{tokens.ClassSession}, PIN: []byte("a long passphrase"),
	})
	if err != nil {
		t.Error(err)
	}
}
