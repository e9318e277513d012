package main

import "unicode/utf8"

// keyKind is what a key does in the list of accounts.
type keyKind int

const (
	keyNone keyKind = iota // one that does nothing here
	keyText                // a character for the filter
	keyEnter
	keyEsc
	keyQuit
	keyEOF // Ctrl-D: leaves where the filter is empty, as in a shell
	keyUp
	keyDown
	keyPageUp
	keyPageDown
	keyHome
	keyEnd
	keyErase
	keyEraseWord
	keyEraseAll
	keyRedraw
	keySuspend
)

// key is one key that was pressed.
type key struct {
	kind keyKind
	text rune // of keyText
}

// keyReader makes keys of what a terminal sends. A key may be several bytes, and
// those may come one by one.
type keyReader struct{ pending []byte }

// maxSequence bounds a control sequence, in bytes. The longest that a keyboard
// sends has about ten.
const maxSequence = 32

const escape = 0x1b

// feed takes bytes and returns the keys that are complete.
func (k *keyReader) feed(b []byte) []key {
	k.pending = append(k.pending, b...)
	var keys []key
	for len(k.pending) > 0 {
		got, n := nextKey(k.pending)
		if n == 0 {
			break
		}
		k.pending = k.pending[n:]
		if got.kind != keyNone {
			keys = append(keys, got)
		}
	}
	return keys
}

// waiting says that what came last may be the beginning of a longer key.
func (k *keyReader) waiting() bool { return len(k.pending) > 0 }

// flush ends the wait for more: an escape character that nothing follows is the
// key Esc.
func (k *keyReader) flush() []key {
	esc := len(k.pending) == 1 && k.pending[0] == escape
	k.pending = nil
	if esc {
		return []key{{kind: keyEsc}}
	}
	return nil
}

// nextKey is the key that b begins with and how many bytes it has; 0 when some of
// them are missing yet.
func nextKey(b []byte) (key, int) {
	if b[0] == escape {
		return escapeKey(b)
	}
	if b[0] < ' ' || b[0] == 0x7f {
		return key{kind: controlKey(b[0])}, 1
	}
	if !utf8.FullRune(b) {
		return key{}, 0
	}
	r, n := utf8.DecodeRune(b)
	if r == utf8.RuneError && n == 1 || unsafeRune(r) {
		return key{}, n
	}
	return key{kind: keyText, text: r}, n
}

func controlKey(b byte) keyKind {
	switch b {
	case '\r', '\n':
		return keyEnter
	case 'C' - '@':
		return keyQuit
	case 'D' - '@':
		return keyEOF
	case 'H' - '@', 0x7f:
		return keyErase
	case 'L' - '@':
		return keyRedraw
	case 'N' - '@':
		return keyDown
	case 'P' - '@':
		return keyUp
	case 'U' - '@':
		return keyEraseAll
	case 'W' - '@':
		return keyEraseWord
	case 'Z' - '@':
		return keySuspend
	}
	return keyNone
}

// escapeKey is nextKey for what begins with an escape character (ECMA-48, and
// what xterm makes of it).
func escapeKey(b []byte) (key, int) {
	if len(b) == 1 {
		return key{}, 0
	}
	switch b[1] {
	case escape: // Esc, and perhaps something else after it
		return key{kind: keyEsc}, 1
	case 'O':
		if len(b) == 2 {
			return key{}, 0
		}
		return key{kind: finalKey(b[2])}, 3
	case '[':
		return sequenceKey(b)
	}
	// Alt with a character.
	if !utf8.FullRune(b[1:]) {
		return key{}, 0
	}
	_, n := utf8.DecodeRune(b[1:])
	return key{}, 1 + n
}

// sequenceKey is nextKey for "ESC [": parameters, intermediates, one final byte.
func sequenceKey(b []byte) (key, int) {
	for i := 2; i < len(b); i++ {
		switch c := b[i]; {
		case i > maxSequence, c < ' ', c > '~':
			return key{}, i // no such sequence; what follows stands for itself
		case c == '[' && i == 2:
			// The function keys of Linux's console: one more byte.
			if len(b) == 3 {
				return key{}, 0
			}
			return key{}, 4
		case c == '~':
			return key{kind: numberedKey(b[2:i])}, i + 1
		case c >= '@':
			return key{kind: finalKey(c)}, i + 1
		}
	}
	return key{}, 0
}

// finalKey is the key of a sequence that its last byte names.
func finalKey(c byte) keyKind {
	switch c {
	case 'A':
		return keyUp
	case 'B':
		return keyDown
	case 'H':
		return keyHome
	case 'F':
		return keyEnd
	case 'M': // Enter of the keypad
		return keyEnter
	}
	return keyNone
}

// numberedKey is the key of a sequence that its parameter names.
func numberedKey(parameter []byte) keyKind {
	number := parameter
	for i, c := range parameter {
		if c == ';' { // what follows are Shift, Alt and Ctrl
			number = parameter[:i]
			break
		}
	}
	switch string(number) {
	case "1", "7":
		return keyHome
	case "4", "8":
		return keyEnd
	case "5":
		return keyPageUp
	case "6":
		return keyPageDown
	}
	return keyNone
}
