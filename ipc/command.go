package ipc

import (
	"strings"
	"unicode/utf8"
)

// ShellWord is s as one word of a POSIX shell's command line. The commands that
// findings, warnings and advice name are to be copied as they are.
func ShellWord(s string) string {
	for _, r := range s {
		if r >= utf8.RuneSelf || !strings.ContainsRune("%+,-./:=@_", r) && !('0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z') {
			return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
		}
	}
	if s == "" {
		return "''"
	}
	return s
}
