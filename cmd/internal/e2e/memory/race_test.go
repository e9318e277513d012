//go:build linux && race

package memory

// perClass is smaller where the race detector slows down the virtual cards; the
// programs that are searched are the same.
const perClass = 64
