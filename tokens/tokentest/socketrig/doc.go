// Package socketrig starts tokend-helper for connections, as systemd does on a
// machine where it is installed.
package socketrig
