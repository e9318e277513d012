//go:build !race

package vault

// faultStride is 1: a fault at every single operation.
const faultStride = 1
