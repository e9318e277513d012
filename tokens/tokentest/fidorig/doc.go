// Package fidorig has libfido2 enumerate virtual FIDO2 keys of package vfido,
// so that finding keys can be tested without hardware: under umockdev, libudev
// finds them in a sysfs of their own and libfido2 opens them as /dev/hidraw0
// and so on. Real keys of the machine are not seen there.
//
// umockdev works by LD_PRELOAD: it reaches C code in programs started with the
// environment of Rig.Env, and nothing that scrubs it. A key that is put in or
// pulled out comes and goes in the next enumeration; udev announces nothing.
//
// It needs Linux and umockdev, and no rights.
package fidorig
