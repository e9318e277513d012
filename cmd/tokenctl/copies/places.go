package copies

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The kinds of place. They are those of the API.
const (
	KindFolder    = "folder"
	KindSync      = "sync"
	KindRemovable = "removable"
)

// Place is a folder that suits backups.
type Place struct {
	Path    string
	Kind    string
	Service string // what syncs it
}

// Known says what a folder is by its path and by what lies in it and above it.
func Known(path string) Place {
	p := Place{Path: path, Kind: KindFolder}
	for dir := path; ; {
		if service := serviceAt(dir); service != "" {
			p.Kind, p.Service = KindSync, service
			return p
		}
		up := filepath.Dir(dir)
		if up == dir {
			break
		}
		dir = up
	}
	if removable(path) {
		p.Kind = KindRemovable
	}
	return p
}

// serviceAt says which program syncs a folder that is the top of what it syncs.
func serviceAt(dir string) string {
	name := filepath.Base(dir)
	lower := strings.ToLower(name)
	in := filepath.Base(filepath.Dir(dir))
	switch {
	case lower == "onedrive", strings.HasPrefix(lower, "onedrive - "), in == "CloudStorage" && strings.HasPrefix(name, "OneDrive"):
		return "OneDrive"
	case name == "com~apple~CloudDocs", lower == "iclouddrive", lower == "icloud drive":
		return "iCloud Drive"
	case name == "Dropbox", strings.HasPrefix(name, "Dropbox ("), has(dir, ".dropbox"):
		return "Dropbox"
	case lower == "google drive", lower == "googledrive", name == "My Drive", in == "CloudStorage" && strings.HasPrefix(name, "GoogleDrive"):
		return "Google Drive"
	case has(dir, ".stfolder"):
		return "Syncthing"
	case name == "Nextcloud", matches(dir, ".sync_*.db"), matches(dir, "._sync_*.db"), has(dir, ".nextcloudsync.log"):
		return "Nextcloud"
	case name == "ownCloud", has(dir, ".owncloudsync.log"):
		return "ownCloud"
	}
	return ""
}

func has(dir, name string) bool {
	_, err := os.Lstat(filepath.Join(dir, name))
	return err == nil
}

func matches(dir, pattern string) bool {
	found, err := fs.Glob(os.DirFS(dir), pattern)
	return err == nil && len(found) > 0
}

// removable says that a path lies where sticks are mounted.
func removable(path string) bool {
	for _, top := range []string{"/media/", "/run/media/", "/Volumes/"} {
		if strings.HasPrefix(filepath.ToSlash(path), top) {
			return true
		}
	}
	return false
}

// Find looks for sync folders and sticks of a user, whose home and login name are
// given; where tells environment variables.
func Find(home, user string, where func(string) string) []Place {
	var found []Place
	add := func(path string) {
		info, err := os.Stat(path)
		if err != nil || !info.IsDir() {
			return
		}
		if p := Known(path); p.Kind != KindFolder && !slices.ContainsFunc(found, func(o Place) bool { return o.Path == path }) {
			found = append(found, p)
		}
	}
	for _, name := range []string{"OneDrive", "OneDriveConsumer", "OneDriveCommercial"} {
		if path := where(name); filepath.IsAbs(path) {
			add(path)
		}
	}
	patterns := []string{
		filepath.Join("/media", user, "*"), filepath.Join("/run/media", user, "*"), "/Volumes/*",
	}
	if home != "" {
		for _, name := range []string{
			"OneDrive", "OneDrive - *", "iCloudDrive", "Dropbox", "Dropbox (*", "Nextcloud", "ownCloud", "Google Drive", "GoogleDrive", "My Drive", "Sync", "Syncthing",
			filepath.Join("Library", "Mobile Documents", "com~apple~CloudDocs"), filepath.Join("Library", "CloudStorage", "*"),
		} {
			patterns = append(patterns, filepath.Join(home, name))
		}
	}
	for _, pattern := range patterns {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			continue // a home with a bracket in its name
		}
		for _, path := range paths {
			// The system's own disk is among the volumes of a Mac.
			if target, err := filepath.EvalSymlinks(path); err == nil && target != "/" {
				add(path)
			}
		}
	}
	return found
}
