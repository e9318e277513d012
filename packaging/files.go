// Package packaging holds what is installed beside the programs: units, users, folders,
// rules. Packages take the files as they are; tokenctl has them built in, to install
// them where there is no package.
package packaging

import "embed"

// Files are these files, by their paths in this folder.
//
//go:embed systemd sysusers.d tmpfiles.d polkit dbus launchd
var Files embed.FS
