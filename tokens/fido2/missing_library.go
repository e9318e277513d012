//go:build linux && (!cgo || nofido2)

package fido2

const missing = "this build cannot work with FIDO2 keys, because it was made without libfido2"
