package main

import (
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/tokenbridge/tokend/daemon/acl"
)

// distrustOpen says why a file cannot be believed by the system's daemon: others than
// the system, administrators and itself can change it. Everybody can make folders
// where the system's configuration is, and files in a folder that he made, before
// there is a daemon. It is empty if it can be.
func distrustOpen(f *os.File, _ fs.FileInfo) string { return changedBy(acl.ChangersOf(f)) }

// distrustAt does the same for what is at a path.
func distrustAt(path string, _ fs.FileInfo) string { return changedBy(acl.Changers(path)) }

func changedBy(list []string, err error) string {
	switch {
	case err != nil:
		return fmt.Sprintf("who can change it cannot be told (%v)", err)
	case len(list) > 0:
		return "others can change it, or own it: " + strings.Join(list, ", ")
	}
	return ""
}

// exposed is never true: modes say nothing here.
func exposed(fs.FileInfo) bool { return false }

// fixDistrust is the command that makes a file or folder one that can be believed.
func fixDistrust(path string) string {
	return fmt.Sprintf(`icacls "%s" /setowner *S-1-5-32-544 && icacls "%s" /inheritance:r /grant:r *S-1-5-18:F *S-1-5-32-544:F`, path, path)
}

// mayNotRead is empty: owners say nothing here.
func mayNotRead(fs.FileInfo) string { return "" }

// giveTo is the command that shows who may read a file.
func giveTo(path string) string { return fmt.Sprintf(`icacls "%s"`, path) }

// serviceGroup is nothing: access goes by lists here.
func serviceGroup() string { return "" }

// stateTrouble says why a daemon could not have its state folder at a path, and what mends
// it; empty if it can.
func stateTrouble(path string, _ bool) (why, fix string) {
	info, err := os.Stat(path)
	if err != nil {
		return "", ""
	}
	if !info.IsDir() {
		return path + " is no folder", "write the path of a folder, or remove the line"
	}
	if why = distrustAt(path, info); why != "" {
		return why, fixDistrust(path)
	}
	return "", ""
}

// socketTrouble is nothing: a pipe is no file.
func socketTrouble(string, bool) (why, fix string) { return "", "" }

// fixHelper is nothing: modes say nothing here.
func fixHelper(string) string { return "" }
