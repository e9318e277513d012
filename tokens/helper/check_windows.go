package helper

import "io/fs"

// checkOwnership leaves the question to the access list of the folder that the
// installer made: file modes say nothing on Windows.
func checkOwnership(string, fs.FileInfo, fs.FileInfo) error { return nil }
