package desktop

// descriptors are none on a system that passes none.
func descriptors([]byte) []int { return nil }
