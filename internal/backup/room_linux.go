package backup

import "golang.org/x/sys/unix"

// freeRoom returns how many bytes this user may still write into a folder, where that is known.
func freeRoom(folder string) (bytes int64, known bool) {
	var disk unix.Statfs_t
	err := unix.Statfs(folder, &disk)
	return int64(disk.Bavail * uint64(disk.Bsize)), err == nil
}
