package daemon

// syncDir does nothing: on Windows a rename needs no sync of its folder, and a
// folder cannot be synced.
func syncDir(string) error { return nil }
