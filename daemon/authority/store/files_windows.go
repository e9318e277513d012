package store

import (
	"os"

	"golang.org/x/sys/windows"
)

// modes: Go makes them up here; who may read a file is the folder's matter.
const modes = false

// errQuota: there is no space.
const errQuota = windows.ERROR_DISK_FULL

// syncFolderOf has nothing to do: NTFS keeps names in its journal.
func syncFolderOf(string) error { return nil }

func checkPrivate(os.FileInfo) error { return nil }
