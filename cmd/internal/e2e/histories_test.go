//go:build linux

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/client"
)

// How many histories of backups are tried: some in every run of the tests, all of
// them where TOKEND_TEST_SWEEP is "all".
const (
	someHistories  = 16
	allHistories   = 500
	historySteps   = 16
	historiesAside = 4 // at a time: they mostly wait
)

// TestBackupHistories lives random histories of two devices with the same vault:
// changes, runs, programs and daemons killed at any moment, disks that are full,
// read-only, pulled out, or come back late, copies that somebody removes, cuts or
// changes. After each step and at the end it holds what is there against every
// state that the vaults really had:
//
//   - the newest backup that was opened has, somewhere, a whole copy, which opens
//     and is such a state, not older than the last success that was reported;
//   - a destination that reported success has a whole copy as new as that, unless
//     this test took it away;
//   - no file has a backup's name and is not a whole backup, and no file of others
//     was touched.
//
// TOKEND_TEST_SEED=N/I lives history I of seed N alone.
func TestBackupHistories(t *testing.T) {
	t.Parallel()
	if NeedRoot(t) { // file systems are mounted
		return
	}
	p := plainPrograms(t)
	tpl := newHistoryTemplate(t, p)
	count, seed, only := someHistories, uint64(20261128), -1
	if os.Getenv("TOKEND_TEST_SWEEP") == "all" {
		count = allHistories
	}
	if s, i, ok := strings.Cut(os.Getenv("TOKEND_TEST_SEED"), "/"); ok {
		n, err := strconv.ParseUint(s, 10, 64)
		m, err2 := strconv.Atoi(i)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		seed, only = n, m
	}
	tally := &happened{n: map[string]int{}}
	queue := make(chan int)
	var wg sync.WaitGroup
	for range historiesAside {
		wg.Go(func() {
			for i := range queue {
				if !t.Failed() {
					t.Run(fmt.Sprint(i), func(t *testing.T) { newHistory(t, tpl, seed, i, tally).live() })
				}
			}
		})
	}
	for i := range count {
		if only < 0 || only == i {
			queue <- i
		}
	}
	close(queue)
	wg.Wait()
	t.Logf("%d histories of seed %d: %v", count, seed, tally.n)
	if only >= 0 || t.Failed() {
		return
	}
	for _, what := range []string{"change", "run ok", "run killed", "daemon killed", "full", "read-only", "pulled out", "slow", "damaged", "told lost", "restored", "reported ok"} {
		if tally.n[what] < count/8 {
			t.Errorf("%s: %d times is too little to prove anything", what, tally.n[what])
		}
	}
}

// happened counts what happened over all histories.
type happened struct {
	mu sync.Mutex
	n  map[string]int
}

func (y *happened) add(what string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.n[what]++
}

// historyTemplate is a vault that every history begins with a copy of: making one
// costs a slow derivation.
type historyTemplate struct {
	p     Programs
	state string
	key   string // a file with the recovery key
	id    []byte // the recovery key
	conf  string
	vault string
}

func newHistoryTemplate(t *testing.T, p Programs) *historyTemplate {
	t.Helper()
	d := NewDaemon(t, p, []string{"HOME=" + t.TempDir()})
	d.Start()
	pass := File(t, "a password for histories")
	d.OK("", "init", "--token", "none", "--recovery-password-file", pass)
	var st ipc.Status
	d.JSON(&st, "status")
	var key ipc.RecoveryKey
	d.JSON(&key, "recovery", "show-key", "--yes", "--recovery-password-file", pass)
	for i := range 4 {
		d.OK(historyURI(fmt.Sprintf("first-%d", i)), "account", "add", "--uri-file", "-")
	}
	d.Stop()
	tpl := &historyTemplate{
		p: p, state: d.State, key: File(t, string(key.Key)+"\n"), id: []byte(string(key.Key)), vault: st.Vault.ID,
		conf: File(t, "[backup]\ndebounce = \"1s\"\n"),
	}
	// Each copy is a device of its own, which has made no backup yet.
	for _, u := range globAll(t, filepath.Join(d.State, "users", "*")) {
		for _, name := range []string{"daemon.json", "backups"} {
			if err := os.RemoveAll(filepath.Join(u, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return tpl
}

func historyURI(name string) string {
	sum := sha256.Sum256([]byte(name))
	secret := strings.Map(func(r rune) rune { return 'A' + (r-'0')%26 }, hex.EncodeToString(sum[:16]))
	secret = strings.Map(func(r rune) rune {
		if r < 'A' || r > 'Z' {
			return 'A' + (r % 26)
		}
		return r
	}, secret)
	return "otpauth://totp/Ex:" + name + "?issuer=Ex&secret=" + secret
}

func globAll(t *testing.T, pattern string) []string {
	t.Helper()
	list, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// folderPlace is one destination, and what this test did to it.
type folderPlace struct {
	name    string
	path    string
	mounted bool
	tmpfs   string // its size, where it is a file system of its own
	ro      bool
	harmed  map[string]bool // paths whose files this test removed or spoilt
	emptied bool            // at any time
	spoilt  map[string]bool // at any time
}

// mayLose says that a copy can be gone or damaged there, by what this test did.
func (p *folderPlace) mayLose(path string) bool {
	return filepath.Dir(path) == p.path && (p.emptied || p.spoilt[path])
}

// device is one of the two: a daemon on a copy of the vault, and what it said.
type device struct {
	*Daemon
	name   string
	id     string // of its files
	states map[uint64]string
	user   string // its folder in the state
	full   bool
	client *client.Client
	// okAt is the generation that was the newest when a destination last reported
	// success, by the destination's name; opened the newest generation that was
	// reported opened.
	okAt   map[string]uint64
	opened uint64
	names  int
}

// history is one life of two devices.
type history struct {
	t      *testing.T
	tpl    *historyTemplate
	rng    *rand.Rand
	tally  *happened
	dir    string
	devs   []*device
	places []*folderPlace
	log    []string
	others map[string]string // files of nobody's here, with their hashes
	opened map[string]opened // what was opened already, by its hash
}

func newHistory(t *testing.T, tpl *historyTemplate, seed uint64, i int, y *happened) *history {
	dir, err := os.MkdirTemp("", "th-")
	if err != nil {
		t.Fatal(err)
	}
	h := &history{t: t, tpl: tpl, rng: rand.New(rand.NewPCG(seed, uint64(i))), tally: y, dir: dir, others: map[string]string{}, opened: map[string]opened{}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("TOKEND_TEST_SEED=%d/%d: %s", seed, i, strings.Join(h.log, "\n"))
		}
		_ = os.RemoveAll(dir)
	})
	for _, p := range []*folderPlace{{name: "shared"}, {name: "small", tmpfs: "128k"}, {name: "stick", tmpfs: "4m"}} {
		p.path, p.harmed, p.spoilt = filepath.Join(dir, p.name), map[string]bool{}, map[string]bool{}
		h.must(os.Mkdir(p.path, 0o755))
		if p.tmpfs != "" {
			h.mount(p)
		}
		h.places = append(h.places, p)
	}
	for _, name := range []string{"a", "b"} {
		h.devs = append(h.devs, h.newDevice(name))
	}
	h.foreign()
	return h
}

func (h *history) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *history) note(format string, args ...any) {
	h.log = append(h.log, fmt.Sprintf(format, args...))
}

func (h *history) command(args ...string) error {
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%v: %w: %s", args, err, out)
	}
	return nil
}

func (h *history) mount(p *folderPlace) {
	h.t.Helper()
	h.must(h.command("mount", "-t", "tmpfs", "-o", "mode=755,size="+p.tmpfs, "tokend-test", p.path))
	p.mounted = true
	h.t.Cleanup(func() { _ = exec.Command("umount", "-l", p.path).Run() })
}

// newDevice starts a daemon on a copy of the vault, on a file system of its own.
func (h *history) newDevice(name string) *device {
	state := filepath.Join(h.dir, "state-"+name)
	h.must(os.Mkdir(state, 0o700))
	h.must(h.command("mount", "-t", "tmpfs", "-o", "mode=700,size=2m", "tokend-test", state))
	h.must(h.command("cp", "-a", h.tpl.state+"/.", state))
	home := filepath.Join(h.dir, "home-"+name)
	h.must(os.Mkdir(home, 0o700))
	d := NewDaemon(h.t, h.tpl.p, []string{"HOME=" + home, "XDG_CACHE_HOME=" + home, "XDG_CONFIG_HOME=" + home}, "--config", h.tpl.conf, "--helper", "/nonexistent/tokend-helper")
	d.State = state
	h.t.Cleanup(func() {
		d.Stop()
		_ = exec.Command("umount", "-l", state).Run()
	})
	dev := &device{Daemon: d, name: name, states: map[uint64]string{}, okAt: map[string]uint64{}}
	h.start(dev)
	keep := []int{2, 3, 30}[h.rng.IntN(3)]
	for i, p := range h.places {
		if i == 0 { // one by the program, which does the first run
			r := dev.Ctl("", "backup", "destination", "add", p.path, "--keep", strconv.Itoa(keep))
			if r.Exit != 0 {
				h.t.Fatalf("%s", r)
			}
			continue
		}
		_, err := dev.client.AddDestination(h.t.Context(), ipc.AddDestinationRequest{Path: p.path, Keep: keep, Mount: p.path})
		h.must(err)
	}
	h.remember(dev)
	dev.id = deviceID(h.t, dev)
	h.run(dev)
	return dev
}

func deviceID(t *testing.T, dev *device) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dev.user, "daemon.json"))
	var n struct {
		Device string `json:"device"`
	}
	if err := errors.Join(err, json.Unmarshal(data, &n)); err != nil || n.Device == "" {
		t.Fatalf("no device id: %v", err)
	}
	return n.Device
}

func (h *history) start(dev *device) {
	dev.Start()
	if dev.client != nil {
		dev.client.Close()
	}
	dev.client = client.New(dev.Socket)
	dev.user = filepath.Join(dev.State, "users", strconv.Itoa(os.Geteuid()))
}

// foreign puts files into the folders that are none of these devices'.
func (h *history) foreign() {
	backup, err := os.ReadFile(filepath.Join(h.devs[0].user, "vault.tokend"))
	h.must(err)
	for _, p := range h.places {
		for name, data := range map[string][]byte{
			"holiday.jpg": []byte("a picture"), "notes.tokend": []byte("not a backup"),
			"tokend-" + h.tpl.vault[:8] + "-phone-deadbeef-20200101T000000Z.tokend": backup,
		} {
			path := filepath.Join(p.path, name)
			if os.WriteFile(path, data, 0o600) == nil {
				h.others[path] = hexOf(data)
			}
		}
	}
}

func hexOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// opened is what a container holds, or why it does not open.
type opened struct {
	generation uint64
	digest     string
	err        error
}

// content is what a container holds; each is opened once.
func (h *history) content(data []byte) (generation uint64, digest string, err error) {
	sum := hexOf(data)
	o, ok := h.opened[sum]
	if !ok {
		o.generation, o.digest, o.err = h.open(data)
		h.opened[sum] = o
	}
	return o.generation, o.digest, o.err
}

// open opens a container with the recovery key; its digest is of every account
// with its secret.
func (h *history) open(data []byte) (generation uint64, digest string, err error) {
	a, err := archive.Parse(data)
	if err != nil {
		return 0, "", err
	}
	c, err := a.OpenRecoveryKey(h.tpl.id)
	if err != nil {
		return 0, "", err
	}
	defer c.Wipe()
	sum := sha256.New()
	for _, r := range c.Session().Records {
		fmt.Fprintf(sum, "%s %q %q %x %d\n", r.ID, r.Issuer, r.Name, r.Secret, r.Digits)
	}
	return a.Manifest.Generation, hex.EncodeToString(sum.Sum(nil)), nil
}

// remember reads every state that the vault of a device has or had lately.
func (h *history) remember(dev *device) {
	for _, path := range append(globAll(h.t, filepath.Join(dev.user, "generations", "*.tokend")), filepath.Join(dev.user, "vault.tokend")) {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // pruned meanwhile
		}
		g, digest, err := h.content(data)
		if err != nil {
			h.t.Fatalf("%s: %v", path, err)
		}
		if was, ok := dev.states[g]; ok && was != digest {
			h.t.Fatalf("generation %d of %s has two contents", g, dev.name)
		}
		dev.states[g] = digest
	}
}

// newest is the newest generation that the vault is known to have had.
func (d *device) newest() (g uint64) {
	for n := range d.states {
		g = max(g, n)
	}
	return g
}

// live takes the steps.
func (h *history) live() {
	for range historySteps {
		dev := h.devs[h.rng.IntN(2)]
		steps := []func(*device){
			h.change, h.change, h.change, h.run, h.run, h.run, h.runKilled, h.runKilled, h.killDaemon, h.lock,
			h.fill, h.empty, h.readOnly, h.pull, h.slow, h.spoil,
		}
		steps[h.rng.IntN(len(steps))](dev)
		h.check()
	}
	for _, p := range h.places { // all is well again
		h.writable(p)
		if !p.mounted && p.tmpfs != "" {
			h.mount(p)
			p.harmAll(h)
		}
		_ = os.Remove(filepath.Join(p.path, "ballast"))
	}
	for _, dev := range h.devs {
		h.drain(dev)
		if !h.unlocked(dev) {
			h.t.Fatalf("%s: the vault does not unlock", dev.name)
		}
		h.run(dev)
		h.check()
		for _, p := range h.places {
			if dev.okAt[p.name] != dev.newest() {
				h.t.Errorf("%s: with every disk well again, %s did not get the newest backup", dev.name, p.name)
			}
		}
	}
	h.restore(h.devs[h.rng.IntN(2)])
}

// unlocked unlocks a device's vault, if its disk lets it.
func (h *history) unlocked(dev *device) bool {
	_, err := dev.client.Unlock(h.t.Context(), ipc.UnlockRequest{Auth: ipc.Auth{RecoveryKey: ipc.Secret(slices.Clone(h.tpl.id))}})
	return err == nil
}

func (h *history) change(dev *device) {
	if !h.unlocked(dev) {
		return
	}
	list, err := dev.client.Accounts(h.t.Context())
	h.must(err)
	if n := len(list.Accounts); n > 0 && h.rng.IntN(4) == 0 {
		id := list.Accounts[h.rng.IntN(n)].ID
		_, err = dev.client.RemoveAccount(h.t.Context(), id, ipc.RemoveAccountRequest{Confirm: id})
	} else {
		err = h.addAccount(dev)
	}
	h.note("%s: change: %v", dev.name, err)
	if err != nil && ipc.KindOf(err) != ipc.DiskFull {
		h.t.Fatal(err)
	}
	h.remember(dev)
	h.tally.add("change")
}

func (h *history) addAccount(dev *device) error {
	dev.names++
	uri := historyURI(fmt.Sprintf("%s-%d", dev.name, dev.names))
	_, err := dev.client.AddAccounts(h.t.Context(), ipc.AddAccountsRequest{Accounts: []ipc.NewAccount{{URI: ipc.Secret(uri)}}})
	return err
}

// run copies backups, and takes its word for it.
func (h *history) run(dev *device) {
	h.remember(dev)
	before := dev.newest()
	r := dev.Ctl("", "--json", "backup", "run", "--timeout", "20s")
	if r.Exit != 0 && r.Exit != 22 {
		h.t.Fatalf("%s", r)
	}
	h.remember(dev)
	h.note("%s: run at generation %d: exit %d: %s", dev.name, before, r.Exit, r.Stdout)
	h.took(dev, r, before)
	if r.Exit == 0 {
		h.tally.add("run ok")
	}
}

// took believes what a run reported.
func (h *history) took(dev *device, r Result, before uint64) {
	var doc struct {
		Destinations []struct {
			Path  string         `json:"path"`
			State string         `json:"state"`
			Lost  []ipc.LostCopy `json:"lost"`
		} `json:"destinations"`
		Problems []ipc.BackupProblem `json:"problems"`
	}
	if err := json.Unmarshal([]byte(r.Stdout), &doc); err != nil {
		h.t.Fatalf("no JSON: %v: %s", err, r)
	}
	// Where the daemon could make no backup of the newest state, it says so; then
	// success is about the one before.
	behind := slices.ContainsFunc(doc.Problems, func(p ipc.BackupProblem) bool { return p.Code == ipc.BackupSpool })
	for _, d := range doc.Destinations {
		for _, l := range d.Lost {
			if h.tally.add("told lost"); !slices.ContainsFunc(h.places, func(p *folderPlace) bool { return p.mayLose(l.Path) }) {
				h.t.Errorf("%s: nobody touched %s, and it is told: %s", dev.name, l.Path, l.What)
			}
		}
		if d.State == "ok" && !behind {
			dev.okAt[filepath.Base(d.Path)] = before
			h.tally.add("reported ok")
		}
	}
}

// runKilled kills a run at any moment.
func (h *history) runKilled(dev *device) {
	h.interrupt(dev, func(cmd *exec.Cmd) { h.must(cmd.Process.Kill()) })
	h.note("%s: run killed", dev.name)
	h.tally.add("run killed")
}

// interrupt starts a run, and does something to it after a moment.
func (h *history) interrupt(dev *device, what func(*exec.Cmd)) {
	cmd := exec.Command(dev.Programs.Path("tokenctl"), "--socket", dev.Socket, "backup", "run", "--timeout", "300ms")
	cmd.Env = append(os.Environ(), dev.Env...)
	h.must(cmd.Start())
	time.Sleep(time.Duration(h.rng.IntN(40_000)) * time.Microsecond)
	what(cmd)
	_ = cmd.Wait()
}

// slow stops a run for longer than a destination may take: for it, every disk is
// slow.
func (h *history) slow(dev *device) {
	h.interrupt(dev, func(cmd *exec.Cmd) {
		_ = cmd.Process.Signal(syscall.SIGSTOP)
		time.Sleep(350 * time.Millisecond)
		_ = cmd.Process.Signal(syscall.SIGCONT)
	})
	h.note("%s: slow run", dev.name)
	h.tally.add("slow")
}

// killDaemon kills the daemon, half of the times in the middle of a change or a
// run.
func (h *history) killDaemon(dev *device) {
	var wg sync.WaitGroup
	pause := time.Duration(h.rng.IntN(40_000)) * time.Microsecond
	switch h.rng.IntN(3) {
	case 0:
		wg.Go(func() { dev.Ctl("", "backup", "run", "--timeout", "2s") })
	case 1:
		if h.unlocked(dev) {
			wg.Go(func() { _ = h.addAccount(dev) })
		}
	}
	time.Sleep(pause)
	dev.Kill()
	wg.Wait()
	h.remember(dev)
	h.start(dev)
	h.note("%s: daemon killed", dev.name)
	h.tally.add("daemon killed")
}

func (h *history) lock(dev *device) {
	h.must(dev.client.Lock(h.t.Context()))
	h.note("%s: locked", dev.name)
}

// fill fills a disk: the device's own or a destination.
func (h *history) fill(dev *device) {
	dir := dev.State
	if h.rng.IntN(3) > 0 {
		p := h.places[1+h.rng.IntN(2)]
		if !p.mounted || p.ro {
			return
		}
		dir = p.path
	} else {
		dev.full = true
	}
	_ = exec.Command("dd", "if=/dev/zero", "of="+filepath.Join(dir, "ballast"), "bs=4k").Run()
	h.note("%s: %s filled", dev.name, filepath.Base(dir))
	h.tally.add("full")
}

// drain gives room again.
func (h *history) drain(dev *device) {
	_ = os.Remove(filepath.Join(dev.State, "ballast"))
	dev.full = false
}

func (h *history) empty(dev *device) {
	h.drain(dev)
	for _, p := range h.places {
		if p.mounted && !p.ro {
			_ = os.Remove(filepath.Join(p.path, "ballast"))
		}
	}
	h.note("%s: room again", dev.name)
}

// readOnly makes a disk read-only, or writable again.
func (h *history) readOnly(*device) {
	p := h.places[1+h.rng.IntN(2)]
	if !p.mounted {
		return
	}
	if p.ro {
		h.writable(p)
		h.note("%s: writable", p.name)
		return
	}
	if h.command("mount", "-o", "remount,ro", p.path) == nil {
		p.ro = true
		h.note("%s: read-only", p.name)
		h.tally.add("read-only")
	}
}

func (h *history) writable(p *folderPlace) {
	if p.ro && p.mounted {
		h.must(h.command("mount", "-o", "remount,rw", p.path))
	}
	p.ro = false
}

// harmAll says that nothing of what was there is there any more.
func (p *folderPlace) harmAll(h *history) {
	for _, dev := range h.devs {
		dev.okAt[p.name] = 0
	}
	for path := range h.others {
		if filepath.Dir(path) == p.path {
			delete(h.others, path)
		}
	}
	p.harmed, p.emptied = map[string]bool{}, true
}

// pull pulls the stick out, at times in the middle of a run, or puts one in; what
// was on a file system in memory is gone with it.
func (h *history) pull(dev *device) {
	p := h.places[2]
	if !p.mounted {
		h.mount(p)
		h.note("stick put in, empty")
		return
	}
	pull := func(*exec.Cmd) { h.must(h.command("umount", "-l", p.path)) }
	if h.rng.IntN(2) == 0 {
		h.interrupt(dev, pull)
	} else {
		pull(nil)
	}
	p.mounted, p.ro = false, false
	p.harmAll(h)
	h.note("stick pulled out")
	h.tally.add("pulled out")
}

// spoil removes, cuts, empties or changes a backup in a destination, or all there.
func (h *history) spoil(*device) {
	p := h.places[h.rng.IntN(len(h.places))]
	if p.tmpfs != "" && !p.mounted || p.ro {
		return
	}
	var own []string
	for _, path := range globAll(h.t, filepath.Join(p.path, "tokend-*.tokend")) {
		if _, other := h.others[path]; !other && !p.harmed[path] {
			own = append(own, path)
		}
	}
	if len(own) == 0 {
		return
	}
	path := own[h.rng.IntN(len(own))]
	data, err := os.ReadFile(path)
	h.must(err)
	how := h.rng.IntN(4)
	switch how {
	case 0:
		h.must(os.Remove(path))
	case 1:
		h.must(os.Truncate(path, 0))
	case 2:
		h.must(os.Truncate(path, int64(len(data)/2)))
	case 3:
		data[h.rng.IntN(len(data))] ^= 1 << h.rng.IntN(8)
		_ = os.WriteFile(path, data, 0o600)
	}
	p.harmed[path], p.spoilt[path] = true, true
	for _, dev := range h.devs { // which of both it was is not worth knowing
		dev.okAt[p.name] = 0
	}
	h.note("%s: %s spoilt (%d)", p.name, filepath.Base(path), how)
	h.tally.add("damaged")
}

// ownName is the name of a device's backup.
var ownName = regexp.MustCompile(`^tokend-[0-9a-f]{8}-[a-z0-9-]+-([0-9a-f]{8})-\d{8}T\d{6}Z(-\d+)?\.tokend$`)

// check holds everything that is there against what was.
func (h *history) check() {
	h.t.Helper()
	for _, dev := range h.devs {
		h.remember(dev)
	}
	for _, p := range h.places {
		if p.tmpfs == "" || p.mounted {
			h.checkPlace(p)
		}
	}
	for path, sum := range h.others {
		if data, err := os.ReadFile(path); err != nil || hexOf(data) != sum {
			h.t.Fatalf("%s, which is nobody's here, was touched: %v", path, err)
		}
	}
	for _, dev := range h.devs {
		h.checkOpened(dev)
	}
}

// checkPlace reads every file in a destination that has a backup's name.
func (h *history) checkPlace(p *folderPlace) {
	newest := map[string]uint64{}
	names, err := os.ReadDir(p.path)
	h.must(err)
	for _, e := range names {
		m := ownName.FindStringSubmatch(e.Name())
		path := filepath.Join(p.path, e.Name())
		if _, other := h.others[path]; m == nil || other {
			continue
		}
		data, err := os.ReadFile(path)
		h.must(err)
		g, digest, err := h.content(data)
		if err != nil {
			if p.harmed[path] {
				continue
			}
			h.t.Fatalf("%s has the name of a backup and is none: %v (%d bytes)", path, err, len(data))
		}
		for _, dev := range h.devs {
			if dev.id != m[1] {
				continue
			}
			if dev.states[g] != digest {
				h.t.Fatalf("%s is generation %d of %s, and is no state that its vault had", path, g, dev.name)
			}
			newest[dev.name] = max(newest[dev.name], g)
		}
		if info, err := e.Info(); err == nil && info.Mode().Perm() != 0o600 {
			h.t.Fatalf("%s has the mode %o", path, info.Mode().Perm())
		}
	}
	for _, dev := range h.devs {
		if newest[dev.name] < dev.okAt[p.name] {
			h.t.Fatalf("%s reported success at generation %d, and the newest whole backup at %s is %d", dev.name, dev.okAt[p.name], p.name, newest[dev.name])
		}
	}
}

// checkOpened takes the newest backup that the daemon calls opened, and sees that a
// whole copy of it is somewhere, is a state that was, and is not older than what was
// called opened before.
func (h *history) checkOpened(dev *device) {
	list, err := dev.client.BackupList(h.t.Context())
	h.must(err)
	for _, b := range list.Backups {
		if b.Opened.IsZero() {
			continue
		}
		if b.Generation < dev.opened {
			h.t.Fatalf("%s: generation %d was called opened, and the newest one that is, is %d", dev.name, dev.opened, b.Generation)
		}
		dev.opened = b.Generation
		data := h.find(dev, b)
		if data == nil {
			h.t.Fatalf("%s: of the newest opened backup, generation %d, no copy is left: %+v", dev.name, b.Generation, b)
		}
		g, digest, err := h.content(data)
		if err != nil || g != b.Generation || dev.states[g] != digest {
			h.t.Fatalf("%s: the newest opened backup is generation %d, and no state that was (%v)", dev.name, g, err)
		}
		return
	}
	if dev.opened > 0 {
		h.t.Fatalf("%s: generation %d was called opened, and none is now", dev.name, dev.opened)
	}
}

// find reads a copy of a backup, wherever it is.
func (h *history) find(dev *device, b ipc.KnownBackup) []byte {
	paths := globAll(h.t, filepath.Join(dev.user, "backups", "*.tokend"))
	for _, c := range b.Copies {
		paths = append(paths, c.Path)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err == nil && hexOf(data) == b.SHA256 {
			return data
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			h.t.Fatal(err)
		}
	}
	return nil
}

// restore makes a vault from the newest opened backup on a third machine.
func (h *history) restore(dev *device) {
	list, err := dev.client.BackupList(h.t.Context())
	h.must(err)
	at := slices.IndexFunc(list.Backups, func(b ipc.KnownBackup) bool { return !b.Opened.IsZero() })
	if at < 0 {
		h.t.Fatalf("%s: no backup was ever opened", dev.name)
	}
	data := h.find(dev, list.Backups[at])
	path := File(h.t, string(data))
	d := NewDaemon(h.t, h.tpl.p, []string{"HOME=" + h.t.TempDir()}, "--helper", "/nonexistent/tokend-helper")
	d.Start()
	defer d.Stop()
	d.OK("", "backup", "restore", path, "--recovery-key-file", h.tpl.key)
	restored, err := os.ReadFile(filepath.Join(d.State, "users", strconv.Itoa(os.Geteuid()), "vault.tokend"))
	h.must(err)
	_, got, err := h.content(restored)
	if err != nil || got != dev.states[list.Backups[at].Generation] {
		h.t.Fatalf("%s: what was restored is not what the vault had: %v", dev.name, err)
	}
	h.tally.add("restored")
}
