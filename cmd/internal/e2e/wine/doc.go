// Package wine drives the programs that are built for Windows as their users do,
// under wine, beside those of this system. packaging/wine.sh prepares what its tests
// need and runs them; they are built with the tag wine alone.
package wine
