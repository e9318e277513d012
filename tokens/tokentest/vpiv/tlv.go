package vpiv

// tlv encodes one BER-TLV (SP 800-73-4 part 2, ISO/IEC 7816-4 section 5.2.2)
// of the concatenated parts; a tag above 0xFF takes two bytes.
func tlv(tag int, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	b := make([]byte, 0, n+6)
	if tag > 0xFF {
		b = append(b, byte(tag>>8))
	}
	b = append(b, byte(tag))
	switch {
	case n < 0x80:
		b = append(b, byte(n))
	case n < 0x100:
		b = append(b, 0x81, byte(n))
	default:
		b = append(b, 0x82, byte(n>>8), byte(n))
	}
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// splitTLV takes the first TLV off b; ok is false when b does not start with a
// whole one.
func splitTLV(b []byte) (tag int, value, rest []byte, ok bool) {
	if len(b) < 2 {
		return 0, nil, nil, false
	}
	tag, b = int(b[0]), b[1:]
	if tag&0x1F == 0x1F {
		tag, b = tag<<8|int(b[0]), b[1:]
	}
	if len(b) == 0 {
		return 0, nil, nil, false
	}
	n := int(b[0])
	b = b[1:]
	switch {
	case n < 0x80:
	case n == 0x81 && len(b) >= 1:
		n, b = int(b[0]), b[1:]
	case n == 0x82 && len(b) >= 2:
		n, b = int(b[0])<<8|int(b[1]), b[2:]
	default:
		return 0, nil, nil, false
	}
	if n > len(b) {
		return 0, nil, nil, false
	}
	return tag, b[:n], b[n:], true
}

// findTLV is the value of the first TLV of that tag at the top level of b. A
// present but empty value is distinguished from a missing one by ok.
func findTLV(b []byte, want int) (value []byte, ok bool) {
	for {
		tag, v, rest, whole := splitTLV(b)
		if !whole {
			return nil, false
		}
		if tag == want {
			return v, true
		}
		b = rest
	}
}
