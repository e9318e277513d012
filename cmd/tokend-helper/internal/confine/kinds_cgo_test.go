//go:build linux && cgo

package confine_test

// kinds are those that this build confines.
func kinds() []string { return []string{"soft", "piv", "fido2"} }
