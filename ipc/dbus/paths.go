package dbus

import (
	"strings"

	"github.com/godbus/dbus/v5"
)

// Name is what tokend is called on a bus.
const Name = "io.github.tokenbridge.Tokend1"

// Root is the path of the object with Manager and ObjectManager.
const Root = dbus.ObjectPath("/io/github/tokenbridge/Tokend1")

const (
	vaultPath  = Root + "/vault"
	tokenDir   = Root + "/token"
	accountDir = Root + "/account"
)

// kind says what can be at a path.
type kind string

const (
	kindRoot    kind = "root"
	kindVault   kind = "vault"
	kindToken   kind = "token"
	kindAccount kind = "account"
	kindDir     kind = "folder" // above or between objects
	kindNone    kind = "none"
)

// node is what a path means: its kind, and the id of a token or an account.
type node struct {
	path dbus.ObjectPath
	kind kind
	id   string
}

// longestID is the longest id of a token or account in bytes.
const longestID = 256

// noID is looked for in the place of what can be no id. It is none, so that a
// path which cannot be read takes the way, and the time, of one to nothing.
const noID = "0000000000000000"

// locate says what a path means. For what cannot be an account or a token it
// gives noID.
func locate(path dbus.ObjectPath) node {
	n := node{path: path, kind: kindNone}
	switch path {
	case Root:
		n.kind = kindRoot
	case vaultPath:
		n.kind = kindVault
	case tokenDir, accountDir:
		n.kind = kindDir
	default:
		for dir, k := range map[dbus.ObjectPath]kind{tokenDir: kindToken, accountDir: kindAccount} {
			if rest, ok := strings.CutPrefix(string(path), string(dir)+"/"); ok {
				n.kind, n.id = k, decodeID(rest)
			}
		}
		if n.kind == kindNone && (path == "/" || strings.HasPrefix(string(Root), string(path)+"/")) {
			n.kind = kindDir
		}
	}
	return n
}

func accountPath(id string) dbus.ObjectPath {
	return accountDir + "/" + dbus.ObjectPath(encodeID(id))
}

func tokenPath(id string) dbus.ObjectPath { return tokenDir + "/" + dbus.ObjectPath(encodeID(id)) }

// encodeID writes an id as one element of a path: letters and digits are as they
// are, every other byte is "_" and two hexadecimal digits; "_" is no id at all.
func encodeID(id string) string {
	const hex = "0123456789abcdef"
	if id == "" {
		return "_"
	}
	var b strings.Builder
	for i := range len(id) {
		if c := id[i]; alphanumeric(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'_', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

// decodeID reads what encodeID writes, and nothing else: each id has one path.
func decodeID(element string) string {
	if len(element) > 3*longestID {
		return noID
	}
	id := make([]byte, 0, len(element))
	for i := 0; i < len(element); i++ {
		c := element[i]
		if c == '_' && i+2 < len(element) {
			c = unhex(element[i+1])<<4 | unhex(element[i+2])
			i += 2
		}
		id = append(id, c)
	}
	if s := string(id); s != "" && len(s) <= longestID && encodeID(s) == element {
		return s
	}
	return noID
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// unhex is the value of a hexadecimal digit, anything for what is none: the caller
// compares.
func unhex(c byte) byte {
	if c >= 'a' {
		return (c - 'a' + 10) & 15
	}
	return (c - '0') & 15
}
