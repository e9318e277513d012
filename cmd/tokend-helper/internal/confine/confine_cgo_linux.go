//go:build linux && cgo

package confine

/*
#cgo LDFLAGS: -ldl -lpthread
#include "confine.h"
*/
import "C"

import "strings"

// Start says what holds since start_bare has run.
func Start([]string) ([]string, error) {
	return strings.Fields(C.GoString(C.confine_held())), nil
}
