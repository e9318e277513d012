package helper

import "io/fs"

// checkFile and checkFolder leave the question to the access list of the folder
// that the installer made: file modes say nothing on Windows.
func checkFile(string, fs.FileInfo) error { return nil }

func checkFolder(string, fs.FileInfo) error { return nil }
