//go:build !linux && !windows

package fido2

const missing = "this build cannot work with FIDO2 keys, because tokend drives them on Linux alone so far"
