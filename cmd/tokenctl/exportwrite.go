package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tokenbridge/tokend/cmd/tokenctl/transfer"
	"github.com/tokenbridge/tokend/ipc"
)

func exportAegis(rows []transfer.Row, password []byte) ([]byte, []transfer.Skip, error) {
	data, err := transfer.WriteAegis(rows, password, rand.Reader)
	return data, nil, err
}

func exportBitwarden(rows []transfer.Row, _ []byte) ([]byte, []transfer.Skip, error) {
	return transfer.WriteBitwarden(rows, rand.Reader)
}

func exportGoogle(rows []transfer.Row, limit int) ([]drawn, []transfer.Skip, error) {
	texts, refused, err := transfer.WriteMigration(rows, limit, rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	codes := make([]drawn, len(texts))
	for i, text := range texts {
		codes[i] = drawn{text, fmt.Sprintf("part %d of %d", i+1, len(texts)), fmt.Sprintf("google-export-%02d-of-%02d", i+1, len(texts))}
	}
	return codes, refused, nil
}

// exportQR makes a code of each account. What is too long for a code that phones
// can scan is refused.
func exportQR(rows []transfer.Row, limit int) ([]drawn, []transfer.Skip, error) {
	var codes []drawn
	var refused []transfer.Skip
	for i, r := range rows {
		text := r.Address()
		if len(text) > limit {
			refused = append(refused, transfer.Skip{Where: r.Where, Issuer: r.Issuer, Name: r.Name,
				Reason: fmt.Sprintf("its name and secret are too long for a QR code of %d bytes", limit)})
			continue
		}
		codes = append(codes, drawn{text, r.What(), fmt.Sprintf("%03d-%s", i+1, fileName(r.What()))})
	}
	return codes, refused, nil
}

// fileName makes a name that every file system takes.
func fileName(s string) string {
	const longest = 60
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("._@+-", r):
			return r
		}
		return '_'
	}, s)
	return strings.Trim(s[:min(len(s), longest)], ".")
}

// checkNewOutput refuses what is there already, before anybody touches a token
// for nothing. A folder can be there.
func checkNewOutput(path string, folder bool) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return writeFailure("write "+path, err)
	case folder && info.IsDir():
		return nil
	case info.IsDir():
		return failWith("write "+path, &ipc.Error{Kind: ipc.InvalidArgument, Message: "it is a folder"}, adviceExportOutput(false)...)
	}
	return writeFailure("write "+path, fs.ErrExist)
}

// writeExport writes what leaves, and reads it back.
func (c *cli) writeExport(ctx context.Context, f *exportFlags, e exporter, doc *exportDocument, password []byte) error {
	if err := doc.nothingLeft(); err != nil {
		return err
	}
	if e.pictures {
		return c.writeCodes(ctx, f, e, doc)
	}
	stop := func() {}
	if e.sealed {
		stop = c.sayIfSlow("working: deriving a key from the password takes a moment …")
	}
	data, refused, err := e.file(doc.rows, password)
	stop()
	if err != nil {
		return exportFailure(err)
	}
	defer clear(data)
	doc.refuse(refused)
	if err := doc.nothingLeft(); err != nil {
		return err
	}
	if f.output == "-" {
		// Checked as well as can be: who reads it is not known.
		if err := transfer.Check(ctx, doc.rows, password, data); err != nil {
			return exportFailure(err)
		}
		_, err := c.out.Write(data)
		if err != nil {
			return problem(ipc.Internal, "write the export", err)
		}
		return nil
	}
	if err := writeNew(f.output, data); err != nil {
		return writeFailure("write "+f.output, err)
	}
	if err := c.checkWritten(ctx, doc.rows, password, f.output); err != nil {
		return err
	}
	doc.Files = append(doc.Files, f.output)
	return nil
}

// checkWritten reads the files back as any importer would. What is not right, or cannot
// be read, is removed: it may hold the secrets in the clear.
func (c *cli) checkWritten(ctx context.Context, rows []transfer.Row, password []byte, paths ...string) (err error) {
	defer func() {
		if err != nil {
			removeAll(paths)
		}
	}()
	var files [][]byte
	defer func() {
		for _, data := range files {
			clear(data)
		}
	}()
	for _, path := range paths {
		data, err := c.readFile(path, maxImportFile, false)
		if err != nil {
			return err
		}
		files = append(files, data)
	}
	if err := transfer.Check(ctx, rows, password, files...); err != nil {
		return failWith("write the export", &ipc.Error{Kind: ipc.BackupDamaged, Message: err.Error()}, adviceBadDisk()...)
	}
	return nil
}

// removeAll removes files that this program has just made.
func removeAll(paths []string) {
	for _, path := range paths {
		_ = os.Remove(path)
	}
}

// writeCodes draws QR codes: into a folder, or into the terminal.
func (c *cli) writeCodes(ctx context.Context, f *exportFlags, e exporter, doc *exportDocument) error {
	limit := transfer.MaxCode
	if f.output == "" {
		limit = codeRoom(c.outWidth())
	}
	codes, refused, err := e.codes(doc.rows, limit)
	if err != nil {
		return exportFailure(err)
	}
	doc.refuse(refused)
	if err := doc.nothingLeft(); err != nil {
		return err
	}
	if f.output == "" {
		return c.showCodes(ctx, codes)
	}
	if err := os.MkdirAll(f.output, 0o700); err != nil {
		return writeFailure("make the folder "+f.output, err)
	}
	for i, code := range codes {
		data, err := transfer.DrawCode(code.text)
		if err != nil {
			removeAll(doc.Files)
			doc.Files = []string{}
			return exportFailure(err)
		}
		path := filepath.Join(f.output, code.file+".png")
		err = writeNew(path, data)
		clear(data)
		if err != nil {
			removeAll(doc.Files)
			doc.Files = []string{}
			return writeFailure("write "+path, err)
		}
		doc.Files = append(doc.Files, path)
		if c.errTTY && len(codes) > 20 && (i+1)%20 == 0 {
			c.say("%d of %d drawn …", i+1, len(codes))
		}
	}
	return c.checkWritten(ctx, doc.rows, nil, doc.Files...)
}

// codeRoom is the longest text, in bytes, of a QR code that a terminal of so many
// columns has room for: what versions 1 to 20 hold at the level M of error
// correction (ISO/IEC 18004, table 7). 0 columns is a terminal of unknown size.
func codeRoom(columns int) int {
	holds := []int{14, 26, 42, 62, 84, 106, 122, 152, 180, 213, 251, 287, 331, 362, 412, 450, 504, 560, 624, 666}
	if columns == 0 {
		columns = 80
	}
	version := (columns - 2*quietZone - 17) / 4
	switch {
	case version < 1:
		return 0
	case version > len(holds):
		version = len(holds)
	}
	return holds[version-1]
}

// showCodes draws one code after the other; Enter goes on.
func (c *cli) showCodes(ctx context.Context, codes []drawn) error {
	for i, code := range codes {
		lines, err := drawQR(code.text, c.outTTY)
		if err != nil {
			return exportFailure(err)
		}
		c.say("%s", clean(code.title))
		for _, l := range lines {
			c.print("%s", l)
		}
		if i+1 < len(codes) && c.canAsk() {
			if _, err := c.ask(ctx, "Enter for the next", "", "--output FOLDER"); err != nil {
				return err
			}
		}
	}
	return nil
}
