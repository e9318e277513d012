package radius

import (
	"errors"
	"unicode/utf8"
)

// tokenVersion begins every token.
const tokenVersion = 1

// errToken says that bytes are no token. It quotes none of them.
var errToken = errors.New("not a token of a RADIUS challenge")

// token is what a challenge is continued with:
//
//	1 byte   version
//	1 byte   how often the server has challenged, 1 to maxRounds
//	8 bytes  the server's id
//	1 byte   length of the user's name, 1 to 253, and the name
//	1 byte   length of the State, 0 to 253, and the State
//
// A State of no bytes is none: a challenge need not have one.
type token struct {
	rounds int
	server serverID
	user   string
	state  []byte
}

func (t token) encode() []byte {
	b := []byte{tokenVersion, byte(t.rounds)}
	b = append(b, t.server[:]...)
	b = append(append(b, byte(len(t.user))), t.user...)
	return append(append(b, byte(len(t.state))), t.state...)
}

// decodeToken reads what encode would have written, and nothing else.
func decodeToken(b []byte) (token, error) {
	var t token
	if len(b) < 2+len(t.server) || b[0] != tokenVersion || b[1] < 1 || b[1] > maxRounds {
		return token{}, errToken
	}
	t.rounds = int(b[1])
	b = b[2:]
	t.server = serverID(b[:len(t.server)])
	user, b, ok := counted(b[len(t.server):])
	if !ok || !isText(string(user)) {
		return token{}, errToken
	}
	state, b, ok := counted(b)
	if !ok || len(b) > 0 {
		return token{}, errToken
	}
	t.user = string(user)
	t.state = append([]byte(nil), state...)
	return t, nil
}

// counted splits off bytes that are preceded by how many they are.
func counted(b []byte) (value, rest []byte, ok bool) {
	if len(b) == 0 || int(b[0]) > maxValue || len(b) < 1+int(b[0]) {
		return nil, nil, false
	}
	n := 1 + int(b[0])
	return b[1:n], b[n:], true
}

// isText says whether s can be the value of an attribute that is text: not empty,
// UTF-8, no control characters.
func isText(s string) bool {
	if s == "" || len(s) > maxValue || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r < ' ' || r == 0x7f {
			return false
		}
	}
	return true
}
