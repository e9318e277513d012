//go:build unix

package daemon

import "golang.org/x/sys/unix"

// freeSpace is how many bytes this process may still write at path.
func freeSpace(path string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, err
	}
	return uint64(st.Bavail) * uint64(st.Bsize), nil
}
