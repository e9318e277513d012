// Package rig runs a private pcscd with virtual readers, so that PC/SC programs
// can be tested without hardware: the real daemon with the real client library,
// and cards of package vpiv in its readers.
//
// The daemon lives in mount and network namespaces of its own. Programs find it
// by the environment of Rig.Env; other daemons and real tokens on the machine
// are neither seen nor disturbed, and no port is open on the host. Everything
// ends with the process that started it, however that ends.
//
// It needs Linux, pcscd, vsmartcard-vpcd, and root, or user namespaces, or sudo
// without a password.
package rig
