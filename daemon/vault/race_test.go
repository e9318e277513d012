//go:build race

package vault

// faultStride is how many operations are passed over between two faults: the
// fault tests have one goroutine, so the race detector only makes them slow.
const faultStride = 7
