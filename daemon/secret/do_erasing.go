//go:build goexperiment.runtimesecret && linux && (amd64 || arm64)

package secret

import "runtime/secret"

// Hardened says whether Do erases what its function leaves behind.
const Hardened = true

// Do calls f and, before it returns, erases the registers and the stack that f
// used; heap memory allocated in f is erased when the garbage collector finds
// it unreachable (see Collect).
//
// It covers f's own goroutine only, and not what f writes to memory that was
// allocated outside: a result that is itself secret belongs into a Buffer or a
// slice of the caller's that the caller wipes. A result that f allocates and
// that outlives Do is safe to use; it is erased when it becomes garbage. A panic
// in f passes through.
func Do(f func()) { secret.Do(f) }
