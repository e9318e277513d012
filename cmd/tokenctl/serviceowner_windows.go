package main

// rootsAlone leaves the question to the access list of the folder that the installer
// made.
func rootsAlone(string) error { return nil }
