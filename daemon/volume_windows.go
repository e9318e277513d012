package daemon

import (
	"path/filepath"
	"strings"

	"golang.org/x/sys/windows"
)

// maxVolume bounds the path of a volume's root, in UTF-16 units.
const maxVolume = 1024

// volumeOf names the volume that a folder is on, the same way as tokenctl does: by
// its own name, for it can have several letters, or none and be mounted in a folder.
func volumeOf(dir string) string {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return ""
	}
	var root [maxVolume]uint16
	if err := windows.GetVolumePathName(name, &root[0], maxVolume); err != nil {
		return strings.ToUpper(filepath.VolumeName(dir))
	}
	var id [maxVolume]uint16
	if err := windows.GetVolumeNameForVolumeMountPoint(&root[0], &id[0], maxVolume); err != nil {
		return strings.ToUpper(windows.UTF16ToString(root[:])) // a share, or a drive that stands for a folder
	}
	return windows.UTF16ToString(id[:])
}
