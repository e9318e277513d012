package daemon

// checkOwner leaves the question to the folder's access list, which the system
// or the installer made.
func checkOwner(string) error { return nil }
