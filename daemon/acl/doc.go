// Package acl tells who may change or read a file on Windows, where modes say
// nothing, and keeps a folder from everybody but its owner. On other systems it
// is empty.
package acl
