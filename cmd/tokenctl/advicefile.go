package main

import "github.com/tokenbridge/tokend/ipc"

// Advice about files of the user's; see advice.go.

// adviceForFile is what to do when one of the user's files cannot be used.
func adviceForFile(k ipc.Kind) []string {
	switch k {
	case ipc.NotFound:
		return []string{"check the path; tokenctl reads files with your own rights"}
	case ipc.AlreadyExists:
		return []string{"the file was left as it is; choose another name, or move it away first"}
	case ipc.NotAuthorized:
		return []string{"your user may not open it; check the permissions of the file and of its folder"}
	case ipc.DiskFull:
		return []string{"the unfinished file was removed; free some space and repeat"}
	}
	return []string{"nothing was changed"}
}

// adviceForWriting is about a file that could not be written.
func adviceForWriting(k ipc.Kind, readOnly bool) []string {
	switch {
	case readOnly:
		return []string{"nothing was written: name a file or folder elsewhere, or make that file system writable (a disk or stick with errors becomes read-only)"}
	case k == ipc.NotFound:
		return []string{"nothing was written: make the folder first, or name one that is there"}
	case k == ipc.NotAuthorized:
		return []string{"nothing was written: your user may not write there; name a file or folder elsewhere, or have the permissions changed"}
	}
	return adviceForFile(k)
}
