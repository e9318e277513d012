package piv

import (
	"errors"
	"iter"
)

var errTLV = errors.New("malformed TLV")

// tlv encodes one BER-TLV object (SP 800-73-4 part 1, 4.1) of a one-byte tag.
func tlv(tag byte, value []byte) []byte {
	out := []byte{tag}
	switch n := len(value); {
	case n < 0x80:
		out = append(out, byte(n))
	case n < 0x100:
		out = append(out, 0x81, byte(n))
	default:
		out = append(out, 0x82, byte(n>>8), byte(n))
	}
	return append(out, value...)
}

// next splits the first object off b. Lengths are of at most three bytes.
func next(b []byte) (tag int, value, rest []byte, err error) {
	if len(b) < 2 {
		return 0, nil, nil, errTLV
	}
	tag, b = int(b[0]), b[1:]
	if tag&0x1f == 0x1f {
		tag, b = tag<<8|int(b[0]), b[1:]
	}
	if len(b) == 0 {
		return 0, nil, nil, errTLV
	}
	n := int(b[0])
	b = b[1:]
	if n >= 0x80 {
		size := n & 0x7f
		if size == 0 || size > 3 || len(b) < size {
			return 0, nil, nil, errTLV
		}
		n = 0
		for _, c := range b[:size] {
			n = n<<8 | int(c)
		}
		b = b[size:]
	}
	if n > len(b) {
		return 0, nil, nil, errTLV
	}
	return tag, b[:n], b[n:], nil
}

// objects yields the objects in b up to the first malformed one.
func objects(b []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		for len(b) > 0 {
			tag, value, rest, err := next(b)
			if err != nil || !yield(tag, value) {
				return
			}
			b = rest
		}
	}
}

// find returns the value of the first object with that tag.
func find(b []byte, tag int) ([]byte, bool) {
	for t, v := range objects(b) {
		if t == tag {
			return v, true
		}
	}
	return nil, false
}
