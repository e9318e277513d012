package confine_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tokenbridge/tokend/cmd/tokend-helper/internal/confine"
	"github.com/tokenbridge/tokend/cmd/tokend-helper/internal/confine/confinetest"
)

// prey is what a process that was taken over would go for.
type prey struct {
	Dir      string // with all below
	Vault    string // a file in it
	Socket   string // tokend's, listening
	Abstract string // an abstract socket, listening
	Datagram string // a unix datagram socket
	TCP, UDP string // addresses, listening
	Victim   int    // another process of the same user
	Service  string // the PC/SC service's socket, listening
	Device   string // a configured device, a symbolic link
	Terminal string // another terminal
}

// report is what a probe found: by attempt why it failed, "" where it did not.
type report struct {
	Held    []string
	Results map[string]string
}

// attempt is one thing that no helper needs. Landlock is the version from which
// Landlock refuses it, 0 where it never does; Seccomp says whether the filter
// refuses it, of a helper for FIDO2 and of others.
type attempt struct {
	name     string
	landlock int
	seccomp  bool
	fido2    bool
	do       func(p prey) error
}

func attempts() []attempt {
	return append(fileAttempts(), append(socketAttempts(), processAttempts()...)...)
}

func fileAttempts() []attempt {
	file := func(name string, landlock int, fido2 bool, do func(p prey) error) attempt {
		return attempt{name, landlock, true, fido2, do}
	}
	return []attempt{
		file("read the vault", 1, false, func(p prey) error { _, err := os.ReadFile(p.Vault); return err }),
		file("list the state folder", 1, false, func(p prey) error { _, err := os.ReadDir(p.Dir); return err }),
		file("read a key of ssh", 1, false, func(p prey) error { _, err := os.ReadFile(filepath.Join(p.Dir, ".ssh", "id")); return err }),
		file("read of the kernel", 1, false, func(prey) error { _, err := os.ReadFile("/proc/version"); return err }),
		file("write the vault", 1, true, func(p prey) error {
			f, err := os.OpenFile(p.Vault, os.O_WRONLY, 0)
			if err == nil {
				f.Close()
			}
			return err
		}),
		file("make a file", 1, true, func(p prey) error { return os.WriteFile(filepath.Join(p.Dir, "new"), nil, 0o600) }),
		file("truncate a file", 3, true, func(p prey) error { return os.Truncate(filepath.Join(p.Dir, "spare"), 0) }),
		file("remove a file", 1, true, func(p prey) error { return os.Remove(filepath.Join(p.Dir, "spare")) }),
		file("make a folder", 1, true, func(p prey) error { return os.Mkdir(filepath.Join(p.Dir, "folder"), 0o700) }),
		file("make a link", 1, true, func(p prey) error { return os.Symlink("/", filepath.Join(p.Dir, "link")) }),
		file("change a mode", 0, true, func(p prey) error { return os.Chmod(p.Vault, 0o644) }),
		file("read another's memory", 1, false, func(p prey) error {
			f, err := os.Open(fmt.Sprintf("/proc/%d/mem", p.Victim))
			if err == nil {
				f.Close()
			}
			return err
		}),
		file("use a terminal", 1, false, func(p prey) error {
			fd, err := unix.Open(p.Terminal, unix.O_RDWR|unix.O_NOCTTY, 0)
			if err == nil {
				unix.Close(fd)
			}
			return err
		}),
	}
}

func dial(network, address string) error {
	c, err := net.Dial(network, address)
	if err == nil {
		c.Close()
	}
	return err
}

const fromC = "connect to tokend from C"

func socketAttempts() []attempt {
	return []attempt{
		{"connect to tokend", 0, true, true, func(p prey) error { return dial("unix", p.Socket) }},
		{fromC, 0, true, true, func(p prey) error { return confinetest.Connect(p.Socket) }},
		{"connect to an abstract socket", 6, true, true, func(p prey) error { return dial("unix", p.Abstract) }},
		{"send a datagram", 0, true, true, func(p prey) error { return dial("unixgram", p.Datagram) }},
		{"connect by TCP", 4, true, true, func(p prey) error { return dial("tcp", p.TCP) }},
		{"send by UDP", 0, true, true, func(p prey) error { return dial("udp", p.UDP) }},
		{"listen", 1, true, true, func(p prey) error {
			l, err := net.Listen("unix", filepath.Join(p.Dir, "listener"))
			if err == nil {
				l.Close()
			}
			return err
		}},
	}
}

func errno(e syscall.Errno) error {
	if e == 0 {
		return nil
	}
	return e
}

func fork() error {
	child, _, e := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if e == 0 && child == 0 {
		for {
			_, _, _ = syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	return errno(e)
}

// readMemory asks for memory of another; nothing is there, so the kernel's answer
// is EFAULT where it would have looked.
func readMemory(pid int) error {
	b := make([]byte, 1)
	_, err := unix.ProcessVMReadv(pid, []unix.Iovec{{Base: &b[0], Len: 1}}, []unix.RemoteIovec{{Base: 1, Len: 1}}, 0)
	if err == unix.EFAULT {
		return nil
	}
	return err
}

func processAttempts() []attempt {
	return []attempt{
		{"fork", 0, true, true, func(prey) error { return fork() }},
		{"start a program", 1, true, true, func(prey) error {
			child, err := os.StartProcess("/bin/true", []string{"true"}, &os.ProcAttr{})
			if err == nil {
				_, err = child.Wait()
			}
			return err
		}},
		{"signal another", 6, true, true, func(p prey) error { return unix.Kill(p.Victim, 0) }},
		{"signal a thread of another", 6, true, true, func(p prey) error { return unix.Tgkill(p.Victim, p.Victim, 0) }},
		{"have another signalled", 0, true, true, func(p prey) error {
			_, err := unix.FcntlInt(0, unix.F_SETOWN, p.Victim)
			return err
		}},
		{"read another's memory directly", 1, true, true, func(p prey) error { return readMemory(p.Victim) }},
		{"limit another", 0, true, true, func(p prey) error {
			var old unix.Rlimit
			return unix.Prlimit(p.Victim, unix.RLIMIT_CORE, nil, &old)
		}},
		{"debug another", 1, true, true, func(p prey) error {
			_, _, e := syscall.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(p.Victim), 0, 0, 0, 0)
			return errno(e)
		}},
		{"leave the process group", 0, true, true, func(prey) error { _, err := unix.Setsid(); return err }},
		{"be debugged again", 0, true, true, func(prey) error { return unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) }},
		{"make memory executable", 0, true, false, func(prey) error {
			b, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
			if err != nil {
				return err
			}
			return unix.Mprotect(b, unix.PROT_READ|unix.PROT_EXEC)
		}},
	}
}

// nonsense are system calls with arguments that make no sense, so that a kernel
// that looks at them refuses them for another reason than the filter.
func nonsense() map[string][]uintptr {
	const none = ^uintptr(0)
	calls := map[string][]uintptr{
		"execve": {unix.SYS_EXECVE, 0, 0, 0}, "execveat": {unix.SYS_EXECVEAT, none, 0, 0, 0},
		"process_vm_writev": {unix.SYS_PROCESS_VM_WRITEV, none, 0, 0, 0, 0, none}, "pidfd_open": {unix.SYS_PIDFD_OPEN, 1, none},
		"pidfd_getfd": {unix.SYS_PIDFD_GETFD, none, 0, 0}, "pidfd_send_signal": {unix.SYS_PIDFD_SEND_SIGNAL, none, 0, 0, 0},
		"bpf": {unix.SYS_BPF, none, 0, 0}, "perf_event_open": {unix.SYS_PERF_EVENT_OPEN, 0, 0, none, none, none},
		"io_uring_setup": {unix.SYS_IO_URING_SETUP, 0, 0}, "userfaultfd": {unix.SYS_USERFAULTFD, none},
		"keyctl": {unix.SYS_KEYCTL, none}, "add_key": {unix.SYS_ADD_KEY, 0, 0, 0, 0, 0}, "request_key": {unix.SYS_REQUEST_KEY, 0, 0, 0, 0},
		"mount": {unix.SYS_MOUNT, 1, 1, 1, 0, 0}, "setns": {unix.SYS_SETNS, none, 0}, "unshare": {unix.SYS_UNSHARE, 1},
		"init_module": {unix.SYS_INIT_MODULE, 0, 1 << 20, 0}, "open_by_handle_at": {unix.SYS_OPEN_BY_HANDLE_AT, none, 0, 0},
		"setresuid": {unix.SYS_SETRESUID, none, none, none}, "setgroups": {unix.SYS_SETGROUPS, none, 0},
		"chroot": {unix.SYS_CHROOT, 1}, "personality": {unix.SYS_PERSONALITY, none}, "tkill": {unix.SYS_TKILL, none, 0},
		"rt_sigqueueinfo": {unix.SYS_RT_SIGQUEUEINFO, none, 0, 0}, "shmat": {unix.SYS_SHMAT, none, 0, 0},
		"ioctl TIOCSTI": {unix.SYS_IOCTL, 0, unix.TIOCSTI, 0}, "mq_open": {unix.SYS_MQ_OPEN, 1, 0, 0, 0},
		"bind": {unix.SYS_BIND, none, 0, 0}, "sendmsg": {unix.SYS_SENDMSG, none, 0, 0}, "memfd_create": {unix.SYS_MEMFD_CREATE, 1, 0},
	}
	if runtime.GOARCH == "amd64" {
		calls["getpid of x32"] = []uintptr{0x40000000 | unix.SYS_GETPID}
	}
	return calls
}

// page is where the addresses of the PC/SC service lie; see confine.h.
const page = 0x10_8000_0000

// sealAttempts would put another address in the page's place, or connect with
// one that lies elsewhere.
func sealAttempts(p prey) map[string]error {
	call := func(nr uintptr, a ...uintptr) error {
		a = append(a, 0, 0, 0, 0, 0, 0)
		_, _, e := syscall.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
		return errno(e)
	}
	const rw, size = unix.PROT_READ | unix.PROT_WRITE, 4096
	const fixed = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_FIXED
	spare, err := unix.Mmap(-1, 0, size, rw, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return map[string]error{"mmap": err}
	}
	own := uintptr(unsafe.Pointer(&spare[0]))
	address := unix.RawSockaddrUnix{Family: unix.AF_UNIX}
	for i, c := range []byte(p.Service) {
		address.Path[i] = int8(c)
	}
	*(*unix.RawSockaddrUnix)(unsafe.Pointer(&spare[0])) = address
	socket := func() uintptr {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err != nil {
			return ^uintptr(0)
		}
		return uintptr(fd)
	}
	const length = unix.SizeofSockaddrUnix
	if err := call(unix.SYS_MPROTECT, page, size, rw); err == nil {
		// Nothing guards it; what follows would pull it away from under the process.
		return map[string]error{"mprotect": nil, "a copy of the address": call(unix.SYS_CONNECT, socket(), own, length)}
	}
	return map[string]error{
		"write into it by the kernel": call(unix.SYS_GETCWD, page, size),
		"mprotect":                    call(unix.SYS_MPROTECT, page, size, rw),
		"mprotect from before":        call(unix.SYS_MPROTECT, page-size, 2*size, rw),
		"munmap":                      call(unix.SYS_MUNMAP, page, size),
		"munmap of much":              call(unix.SYS_MUNMAP, page-1<<34, 1<<35),
		"mmap over it":                call(unix.SYS_MMAP, page, size, rw, fixed, ^uintptr(0), 0),
		"mmap of much over it":        call(unix.SYS_MMAP, page-1<<33, 1<<34, rw, fixed|unix.MAP_NORESERVE, ^uintptr(0), 0),
		"mremap of it":                call(unix.SYS_MREMAP, page, size, size, unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED, own+1<<30),
		"mremap onto it":              call(unix.SYS_MREMAP, own, size, size, unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED, page),
		"remap_file_pages":            call(unix.SYS_REMAP_FILE_PAGES, page, size, 0, 0, 0),
		"a copy of the address":       call(unix.SYS_CONNECT, socket(), own, length),
		"the middle of the address":   call(unix.SYS_CONNECT, socket(), page+2, length),
		"half of the address":         call(unix.SYS_CONNECT, socket(), page, length/2),
		"permitted: the address":      call(unix.SYS_CONNECT, socket(), page, length),
		"permitted: from C":           confinetest.Connect(p.Service),
	}
}

// probe is what a confined process does in the tests: all that it should not.
func probe() int {
	held, err := confine.Start(os.Args[1:])
	if err != nil {
		return 1
	}
	var p prey
	if err := json.NewDecoder(os.Stdin).Decode(&p); err != nil {
		return 1
	}
	r := report{Held: held, Results: map[string]string{}}
	say := func(name string, err error) {
		r.Results[name] = ""
		if err != nil {
			r.Results[name] = err.Error()
		}
	}
	for _, a := range attempts() {
		say(a.name, a.do(p))
	}
	for name, a := range nonsense() {
		a = append(a, 0, 0, 0, 0, 0, 0)
		_, _, e := syscall.RawSyscall6(a[0], a[1], a[2], a[3], a[4], a[5], a[6])
		if e == unix.EPERM {
			say("nonsense: "+name, e)
		} else {
			say("nonsense: "+name, nil)
		}
	}
	if p.Service != "" {
		for name, err := range sealAttempts(p) {
			say("seal: "+name, err)
		}
	}
	if p.Device != "" {
		fd, err := confinetest.Open(p.Device)
		if err == nil {
			_, err = unix.IoctlGetTermios(fd, unix.TCGETS)
		}
		if err == nil {
			if flags, e := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); e != nil || flags&unix.O_NONBLOCK == 0 {
				err = errors.New("it is opened so that reading waits")
			}
		}
		say("permitted: the device", err)
		_, err = confinetest.Open(p.Terminal)
		say("another device from C", err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		return 1
	}
	return 0
}
