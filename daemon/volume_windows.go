package daemon

import (
	"path/filepath"
	"strings"
)

// volumeOf names the volume that a folder is on, the same way as tokenctl does.
func volumeOf(dir string) string { return strings.ToUpper(filepath.VolumeName(dir)) }
