//go:build linux && !cgo

package confine_test

// kinds are those that this build works with.
func kinds() []string { return []string{"soft"} }
