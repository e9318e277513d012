package dbus

import (
	"crypto/rand"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"

	"github.com/tokenbridge/tokend/ipc"
)

// options reads a dictionary that a caller sent: every key known, of its type.
type options struct {
	given map[string]dbus.Variant
	known []string
	err   error
}

// options is the argument i of the call.
func (c *call) options(i int) *options {
	given, _ := c.args[i].(map[string]dbus.Variant)
	return &options{given: given}
}

// str is the argument i of the call.
func (c *call) str(i int) string {
	s, _ := c.args[i].(string)
	return s
}

func (o *options) take(key string) (any, bool) {
	o.known = append(o.known, key)
	v, ok := o.given[key]
	return v.Value(), ok
}

func (o *options) wrong(key, want string) {
	if o.err == nil {
		o.err = ipc.Errorf(ipc.InvalidArgument, "the option %s must be %s", key, want)
	}
}

func (o *options) str(key string) *string {
	v, ok := o.take(key)
	if !ok {
		return nil
	}
	s, ok := v.(string)
	if !ok {
		o.wrong(key, "a string")
	}
	return &s
}

func (o *options) bool(key string) bool {
	v, ok := o.take(key)
	if !ok {
		return false
	}
	b, ok := v.(bool)
	if !ok {
		o.wrong(key, "a boolean")
	}
	return b
}

// number takes an integer of any size: what a language makes of "30" differs.
func (o *options) number(key string) *int {
	v, ok := o.take(key)
	if !ok {
		return nil
	}
	var n int
	switch v := v.(type) {
	case byte:
		n = int(v)
	case int16:
		n = int(v)
	case uint16:
		n = int(v)
	case int32:
		n = int(v)
	case uint32:
		n, ok = int(v), int64(v) <= math.MaxInt
	case int64:
		n, ok = int(v), int64(int(v)) == v
	case uint64:
		n, ok = int(v), v <= math.MaxInt
	default:
		ok = false
	}
	if !ok {
		o.wrong(key, "a whole number")
	}
	return &n
}

// done returns what is wrong, a key that nobody asked for included.
func (o *options) done() error {
	if o.err != nil {
		return o.err
	}
	for key := range o.given {
		if !slices.Contains(o.known, key) {
			slices.Sort(o.known)
			return ipc.Errorf(ipc.InvalidArgument, "there is no option %s; there are %s", quote(key), strings.Join(o.known, ", "))
		}
	}
	return nil
}

// quote keeps a foreign word in a message short and printable.
func quote(word string) string {
	if len(word) > 40 {
		word = strings.ToValidUTF8(word[:40], "") + "…"
	}
	return fmt.Sprintf("%q", word)
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// name is what the caller calls this call, or else a name that nobody knows.
func (o *options) name() string {
	given := o.str("request")
	if given == nil {
		return rand.Text()
	}
	odd := func(c rune) bool {
		return c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	}
	if *given == "" || len(*given) > ipc.MaxRequestName || strings.ContainsFunc(*given, odd) {
		o.wrong("request", fmt.Sprintf("up to %d letters, digits and dashes", ipc.MaxRequestName))
	}
	return *given
}
