package seeds

import (
	"context"
	"strings"
)

// pskc is the Portable Symmetric Key Container of RFC 6030, and of its drafts as far
// as makers have used them.
type pskc struct{}

// Name implements format.
func (pskc) Name() string { return "PSKC" }

// Detect implements format.
func (pskc) Detect(f *file) confidence {
	if f.root == "KeyContainer" || f.root == "SecretContainer" {
		return sure
	}
	return no
}

// Read implements format.
func (pskc) Read(ctx context.Context, f *file, c *collector) error {
	r := &container{c: c, lock: lock{format: c.format, options: c.options}}
	defer r.lock.wipe()
	err := walk(ctx, f, c.format, r.begin, func(e *element) error { return r.each(ctx, e) })
	if err != nil {
		return err
	}
	return r.finish()
}

// container is a PSKC file while it is read.
type container struct {
	c    *collector
	lock lock
	held []held
}

// held is a skip that waits for the proof that the key is right.
type held struct {
	line   int
	serial string
	wrong  *fault
}

// maxHeld is how many values a key may fail to open before it is called wrong.
const maxHeld = 20

func (r *container) begin(root *element) error {
	v := root.attr("Version")
	if major, _, _ := strings.Cut(v, "."); v != "" && major != "1" {
		return problem(NewerVersion, r.c.format, "version %s of this format is not known", clean(v))
	}
	return nil
}

// each reads a child of the container.
func (r *container) each(ctx context.Context, e *element) error {
	switch e.name {
	case "EncryptionKey", "EncryptionMethod":
		r.lock.setKey(e)
	case "MACMethod", "DigestMethod", "MACAlgorithm":
		r.lock.setMAC(e)
	case "Signature":
		r.c.note("the file is signed, and the signature was not checked: it does not tell whether the file is as its maker wrote it")
	case "KeyPackage", "Device":
		for _, k := range e.children {
			if k.name != "Key" && k.name != "Secret" {
				continue
			}
			if err := r.key(ctx, e, k); err != nil {
				return err
			}
		}
	}
	return nil
}

// key reads a key of a package.
func (r *container) key(ctx context.Context, pack, k *element) error {
	before := r.lock.opened
	e, wrong, err := r.entry(ctx, pack, k)
	if err != nil {
		e.wipe()
		return err
	}
	if before == 0 && r.lock.opened > 0 {
		if err := r.release(); err != nil {
			e.wipe()
			return err
		}
	}
	switch {
	case wrong == nil:
		return r.c.add(e)
	case wrong.sealed && r.lock.opened == 0:
		e.wipe()
		if r.held = append(r.held, held{e.line, e.serial, wrong}); len(r.held) >= maxHeld {
			return r.wrongKey()
		}
		return nil
	}
	e.wipe()
	return r.c.skip(e.line, e.serial, wrong)
}

// release hands on the skips that waited: the key has opened something.
func (r *container) release() error {
	for _, h := range r.held {
		if err := r.c.skip(h.line, h.serial, h.wrong); err != nil {
			return err
		}
	}
	r.held = nil
	return nil
}

// finish tells a wrong key from values that were changed.
func (r *container) finish() error {
	if len(r.held) == 0 {
		return nil
	}
	if r.lock.certain {
		return r.release() // the key is right: it opened the MAC's
	}
	return r.wrongKey()
}

func (r *container) wrongKey() error {
	if r.lock.certain {
		return problem(Damaged, r.c.format, "the key is right, but no encrypted value of the file is as it was written (line %d: %s)", r.held[0].line, r.held[0].wrong.reason)
	}
	return problem(WrongKey, r.c.format, "the %s opens no value of the file (line %d: %s)", r.lock.what(), r.held[0].line, r.held[0].wrong.reason)
}
