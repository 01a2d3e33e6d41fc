package doctor

import (
	"bufio"
	"context"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"
)

const (
	lowSpace  = 1 << 30 // bytes, or a twentieth of the disk where that is less
	lowInodes = 10_000
	lowFiles  = 10_000 // that a process may open
	lowMemory = 512 << 20
	manyLogs  = 1000 // files; 30 days of each module are kept
)

// Clock says whether the kernel's clock follows a time server.
func Clock(context.Context) []Finding {
	var state unix.Timex
	if _, err := unix.Adjtimex(&state); err != nil {
		return []Finding{warn("see timedatectl", "it is unknown whether the clock follows a time server: %v", err)}
	}
	if state.Status&unix.STA_UNSYNC != 0 {
		return []Finding{warn("install chrony, or run timedatectl set-ntp true; in a container, the host does it", "the clock does not follow a time server")}
	}
	return []Finding{ok("the clock follows a time server")}
}

// User compares the user of this process with the one of the data folder. Root may write what a server may not, and
// what root makes there, no server can use.
func User(dataDir string) func(context.Context) []Finding {
	return func(context.Context) []Finding {
		var info unix.Stat_t
		if err := unix.Stat(dataDir, &info); err != nil { // which Disk reports
			return nil
		}
		owner := strconv.Itoa(int(info.Uid))
		if found, err := user.LookupId(owner); err == nil {
			owner = found.Username
		}
		if int(info.Uid) == os.Geteuid() {
			return []Finding{ok("the data folder belongs to %s, who runs this", owner)}
		}
		return []Finding{warn("run it as that user, and all commands: runuser -u "+owner+" -- gatehouse doctor",
			"the data folder belongs to %s, and this is run by somebody else: a server may not do what was done here", owner)}
	}
}

// Disk looks at the disks of folders, and at the logs.
func Disk(folders []string, logs string) func(context.Context) []Finding {
	return func(context.Context) (found []Finding) {
		for _, folder := range folders {
			found = append(found, space(folder)...)
		}
		files, err := filepath.Glob(filepath.Join(logs, "*", "*"))
		if err == nil && len(files) > manyLogs {
			found = append(found, warn("remove the old ones", "%s has %d files", logs, len(files)))
		}
		return found
	}
}

func space(folder string) []Finding {
	var disk unix.Statfs_t
	if err := unix.Statfs(folder, &disk); err != nil {
		return []Finding{problem("make it, or see --data-dir and --storage", "%s: %v", folder, err)}
	}
	free, all := disk.Bavail*uint64(disk.Bsize), disk.Blocks*uint64(disk.Bsize)
	if err := writable(folder); err != nil {
		return []Finding{problem("make room, let this user write, or mount it for writing", "%s can't be written: %v", folder, err)}
	}
	if free < min(lowSpace, all/20) {
		return []Finding{problem("make room, or grow the disk", "%s has %s free of %s", folder, humanize.Bytes(free), humanize.Bytes(all))}
	}
	if disk.Files > 0 && disk.Ffree < lowInodes {
		return []Finding{problem("remove files; each picture takes some", "%s has room for %d more files", folder, disk.Ffree)}
	}
	return []Finding{ok("%s has %s free of %s", folder, humanize.Bytes(free), humanize.Bytes(all))}
}

func writable(folder string) error {
	f, err := os.CreateTemp(folder, ".doctor-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(make([]byte, 4096))
	if failed := f.Close(); err == nil {
		err = failed
	}
	return err
}

// Limits look at how many files this user may open, and at the memory.
func Limits(context.Context) (found []Finding) {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err == nil {
		if files.Max < lowFiles {
			found = append(found, warn("set LimitNOFILE=65536 in the unit, or ulimit -n", "a process may open %d files, and each connection is one", files.Max))
		} else {
			found = append(found, ok("a process may open %d files", files.Max))
		}
	}
	if available := availableMemory(); available > 0 && available < lowMemory {
		return append(found, warn("add memory, or lower --image-memory, --image-cache and --password-memory", "%s of memory are available", humanize.Bytes(available)))
	} else if available > 0 {
		found = append(found, ok("%s of memory are available", humanize.Bytes(available)))
	}
	return found
}

// availableMemory is 0 where the kernel does not say.
func availableMemory() uint64 {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "MemAvailable:"); ok {
			kilobytes, _ := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(text, "kB")), 10, 64)
			return kilobytes << 10
		}
	}
	return 0
}
