package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/helper"
)

// places is about what is at the paths that the settings name, as serve will find it.
func (l *lint) places() {
	if l.StateDir != "" {
		if why, fix := stateTrouble(l.StateDir, l.system); why != "" {
			l.fail("state_dir", fix, "the state folder cannot be used: %s", why)
		}
	}
	if l.Socket != "" {
		if why, fix := socketTrouble(l.Socket, l.system); why != "" {
			l.fail("socket", fix, "nothing can listen at the socket: %s", why)
		}
	}
	l.program()
	l.textfile()
	l.devices()
}

// program is about the helper, without which tokend starts, and has no tokens.
func (l *lint) program() {
	if l.Helper == "" {
		return
	}
	err := helper.Trust(l.Helper)
	if err == nil {
		return
	}
	const remove = "write the path of tokend-helper, or remove the line: it is looked for beside tokend"
	switch fix := fixHelper(l.Helper); {
	case errors.Is(err, fs.ErrNotExist):
		l.warn("helper", "remove the line: it is looked for beside tokend", "there is no program %s, and no token can be used without", l.Helper)
	case fix == "" || filepath.Base(l.Helper) != helperName():
		l.warn("helper", remove, "no token can be used: %v", err)
	default:
		l.warn("helper", fix, "no token can be used: %v", err)
	}
}

// textfile is about the file of the figures, which is replaced in one step.
func (l *lint) textfile() {
	path := l.Metrics.Textfile
	if path == "" {
		if l.d.line("metrics.interval") > 0 && !l.flaws.blame("metrics.textfile") {
			l.warn("metrics.interval", "write metrics.textfile, too", "metrics.interval has no effect without metrics.textfile")
		}
		return
	}
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	file, missing := os.Stat(path)
	switch {
	case err != nil:
		l.warn("metrics.textfile", makeFolder(dir, l.system), "there is no folder %s", dir)
	case !info.IsDir():
		l.warn("metrics.textfile", "name a file in a folder; what is there: ls -ld "+ipc.ShellWord(dir), "the figures cannot be written: %s is no folder", dir)
	case missing == nil && file.IsDir():
		l.warn("metrics.textfile", "name a file, such as one in it: textfile = "+strconv.Quote(filepath.Join(path, "tokend.prom")), "the figures cannot be written: %s is a folder", path)
	}
}

// devices is about the FIDO2 keys that are named.
func (l *lint) devices() {
	for _, path := range slices.Compact(slices.Sorted(slices.Values(l.Tokens.FIDO2Devices))) {
		switch info, err := os.Stat(path); {
		case strings.Contains(path, "*"):
		case err != nil:
			l.warn("tokens.fido2_devices", "plug the key in, or write its right place"+whatIsAt(filepath.Dir(path)), "nothing is at %s now", path)
		case info.Mode()&fs.ModeCharDevice == 0:
			l.warn("tokens.fido2_devices", "name the device of a key, such as /dev/hidraw3, or remove it; what is there: ls -ld "+ipc.ShellWord(path), "%s is no device, and so no FIDO2 key", path)
		}
	}
}
