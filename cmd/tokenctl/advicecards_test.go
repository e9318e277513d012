package main

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tokenbridge/tokend/tokens/remedy"
)

// TestAdviceCardService: the command is one that the machine has.
func TestAdviceCardService(t *testing.T) {
	systemd := fstest.MapFS{"run/systemd/system/x": &fstest.MapFile{}}
	for _, c := range []struct {
		m    remedy.Machine
		want string
	}{
		{remedy.Machine{System: "linux", Root: systemd}, "(`sudo systemctl enable --now pcscd.socket`)"},
		{remedy.Machine{System: "linux", Root: fstest.MapFS{}}, "(`sudo pcscd`)"},
		{remedy.Machine{System: "darwin", Root: fstest.MapFS{}}, "(it starts when a reader is plugged in)"},
		{remedy.Machine{System: "freebsd", Root: fstest.MapFS{}}, "(as the system has it)"},
	} {
		if got := adviceCardService(c.m); !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q lacks %q", c.m, got, c.want)
		}
	}
}
