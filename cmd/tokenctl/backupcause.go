package main

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tokenbridge/tokend/cmd/tokenctl/transfer"
	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/ipc"
)

// fileCause is why no backup can be had from a file. Each has a remedy of its
// own, in adviceloss.go.
type fileCause string

// The causes; whole is none.
const (
	causeWhole       fileCause = "whole"
	causeMissing     fileCause = "missing"
	causeFolder      fileCause = "folder"
	causeUnreadable  fileCause = "unreadable"
	causePlaceholder fileCause = "placeholder" // a cloud service has it, and this machine has not
	causeEmpty       fileCause = "empty"
	causePage        fileCause = "web-page"
	causeExport      fileCause = "export" // of another product
	causePacked      fileCause = "packed" // a backup is in it
	causeListOnly    fileCause = "list-only"
	causeForeign     fileCause = "not-a-backup"
	causeNewer       fileCause = "newer-version"
	causeDamaged     fileCause = "damaged"
)

// causeKind is the kind of error that a cause is told as.
func causeKind(c fileCause) ipc.Kind {
	switch c {
	case causeMissing, causePlaceholder:
		return ipc.NotFound
	case causeFolder:
		return ipc.InvalidArgument
	case causeUnreadable:
		return ipc.NotAuthorized
	case causeNewer:
		return ipc.NewerVersion
	}
	return ipc.BackupDamaged
}

// fileProblem is a file from which no backup can be had.
type fileProblem struct {
	cause   fileCause
	message string
	// product is whose export it is, where that is known.
	product string
}

func (p *fileProblem) Error() string { return p.message }

func problemOf(cause fileCause, message string, args ...any) *fileProblem {
	return &fileProblem{cause: cause, message: fmt.Sprintf(message, args...)}
}

// backupFile is a file that was looked at as a backup.
type backupFile struct {
	path    string
	info    fs.FileInfo // nil where there is none
	data    []byte
	archive *archive.Archive // nil where problem is not
	problem *fileProblem
}

// lookAt reads a file and says what it is. What a cloud service keeps elsewhere
// is not read: reading would fetch it.
func (c *cli) lookAt(ctx context.Context, path string) *backupFile {
	b := &backupFile{path: path}
	if b.info, b.problem = statBackup(path); b.problem != nil {
		return b
	}
	data, err := c.readFile(path, maxBackupFile, false)
	switch {
	case errors.Is(err, fs.ErrPermission), ipc.KindOf(err) == ipc.NotAuthorized:
		b.problem = problemOf(causeUnreadable, "permission denied")
		return b
	case err != nil && b.info.Size() > maxBackupFile:
		b.problem = problemOf(causeForeign, "it is larger than any backup of tokend")
		return b
	case err != nil:
		b.problem = problemOf(causeUnreadable, "%s", reason(err))
		return b
	}
	b.data = data
	b.archive, b.problem = judge(ctx, data, filepath.Base(path))
	return b
}

// statBackup says what can be said of a file without reading it.
func statBackup(path string) (fs.FileInfo, *fileProblem) {
	base := filepath.Base(path)
	if strings.HasPrefix(base, ".") && strings.HasSuffix(base, ".icloud") {
		return nil, problemOf(causePlaceholder, "iCloud Drive has it, and this machine has its name alone")
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Lstat(filepath.Join(filepath.Dir(path), "."+base+".icloud")); err == nil {
			return nil, problemOf(causePlaceholder, "iCloud Drive has it, and this machine has its name alone")
		}
		if _, err := os.Stat(filepath.Dir(path)); err != nil {
			return nil, problemOf(causeMissing, "there is no such folder")
		}
		return nil, problemOf(causeMissing, "there is no such file")
	case errors.Is(err, fs.ErrPermission):
		return nil, problemOf(causeUnreadable, "permission denied")
	case err != nil:
		return nil, problemOf(causeUnreadable, "%s", plain(err))
	case info.IsDir():
		return info, problemOf(causeFolder, "it is a folder")
	case !info.Mode().IsRegular():
		return info, problemOf(causeForeign, "it is no regular file")
	case isPlaceholder(info):
		return info, problemOf(causePlaceholder, "a cloud service has it, and this machine has its name alone")
	case info.Size() == 0:
		return info, problemOf(causeEmpty, "the file is empty: it has not arrived yet, or was never written to the end")
	}
	return info, nil
}

// judge says what bytes are that should be a backup.
func judge(ctx context.Context, data []byte, name string) (*archive.Archive, *fileProblem) {
	a, err := archive.Parse(data)
	switch {
	case err == nil:
		return a, nil
	case errors.Is(err, archive.ErrNewer):
		return nil, problemOf(causeNewer, "%s", err)
	case errors.Is(err, archive.ErrDamaged):
		return nil, problemOf(causeDamaged, "%s", err)
	}
	return nil, identify(ctx, data, name)
}

// identify says what else a file is that is no backup.
func identify(ctx context.Context, data []byte, name string) *fileProblem {
	if archive.IsList(data) {
		return listProblem()
	}
	if inside := packedBackup(data); inside != "" {
		return problemOf(causePacked, "it is a packed file with a backup in it (%s)", inside)
	}
	res, err := transfer.Read(ctx, data, name, transfer.Options{})
	res.Wipe()
	if err == nil {
		return exportProblem(res.Format)
	}
	var e *transfer.Error
	if !errors.As(err, &e) {
		return problemOf(causeForeign, "not a vault or backup")
	}
	switch e.Kind {
	case transfer.PasswordNeeded, transfer.WrongPassword, transfer.NoAccounts, transfer.TooCostly, transfer.Damaged:
		if e.Format != "" {
			return exportProblem(e.Format)
		}
	case transfer.Placeholder:
		return problemOf(causePlaceholder, "%s", e.Message)
	case transfer.WebPage:
		return problemOf(causePage, "it is no backup but a web page, perhaps of a log-in")
	case transfer.ListOnly:
		return listProblem()
	case transfer.Empty:
		return problemOf(causeEmpty, "%s", e.Message)
	case transfer.Unsupported:
		return problemOf(causeForeign, "not a vault or backup: %s", e.Message)
	}
	return problemOf(causeForeign, "not a vault or backup")
}

func listProblem() *fileProblem {
	return problemOf(causeListOnly, "it is a list of accounts without their secrets, and no code can be made from it")
}

func exportProblem(product string) *fileProblem {
	p := problemOf(causeExport, "it is no backup of tokend but an export of another product (%s)", product)
	p.product = product
	return p
}

// maxPacked is how many members of a packed file are looked at.
const maxPacked = 100

// packedBackup names the backup that a ZIP archive or a gzip file has in it;
// empty where there is none.
func packedBackup(data []byte) string {
	if r, err := gzip.NewReader(bytes.NewReader(data)); err == nil {
		if isBackupHead(r) {
			return "gzip"
		}
		return ""
	}
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return ""
	}
	for _, f := range r.File[:min(len(r.File), maxPacked)] {
		if f.FileInfo().IsDir() {
			continue
		}
		if in, err := f.Open(); err == nil {
			is := isBackupHead(in)
			_ = in.Close()
			if is {
				return clean(f.Name)
			}
		}
	}
	return ""
}

// isBackupHead says whether what r begins with is a backup's first member.
func isBackupHead(r io.Reader) bool {
	head := make([]byte, 512)
	n, _ := io.ReadFull(r, head)
	return archive.IsHead(head[:n])
}

// failure is the problem as a command fails with it.
func (b *backupFile) failure(doing string) error {
	if b.problem == nil {
		return nil
	}
	return failWith(doing, &ipc.Error{Kind: causeKind(b.problem.cause), Message: b.problem.message}, adviceCause(b)...)
}
