package archive

// dialect reads the documents of one format version into today's structures.
// Older versions are migrated so: reading turns them into what this program
// knows, and the next write has today's version.
type dialect struct {
	header  func(raw []byte) (Header, error)
	keys    func(raw []byte) (*Keys, error)
	session func(raw []byte) (*Session, error)
	device  func(raw []byte) (*device, error)
}

// dialects are the versions that can be read. A new version adds its own entry
// and keeps those before it.
func dialects() map[int]dialect {
	return map[int]dialect{
		1: {header: headerV1, keys: keysV1, session: sessionV1, device: deviceV1},
	}
}

// choose finds the dialect of a version; one above all known is newer, one in
// between or below was never written by anybody.
func choose(known map[int]dialect, what string, version int) (dialect, error) {
	if d, ok := known[version]; ok {
		return d, nil
	}
	newest := 0
	for v := range known {
		newest = max(newest, v)
	}
	if version > newest {
		return dialect{}, &NewerError{what, version}
	}
	return dialect{}, damaged("%s: there is no format version %d", what, version)
}

func headerV1(raw []byte) (Header, error) {
	var h Header
	if err := decodeStrict(raw, &h); err != nil {
		return h, damaged("header: %w", err)
	}
	return h, nil
}
