package qemu

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// cpioWriter writes what the kernel unpacks as its first root file system: archives in the "newc" format
// (Documentation/driver-api/early-userspace/buffer-format.rst). Archives may follow each other in one file.
type cpioWriter struct {
	w     io.Writer
	inode int
	dirs  map[string]bool
	err   error
}

func newCPIOWriter(w io.Writer) *cpioWriter {
	return &cpioWriter{w: w, dirs: map[string]bool{".": true, "/": true}}
}

const (
	modeDir     = 0o040000
	modeRegular = 0o100000
	modeSymlink = 0o120000
)

func (c *cpioWriter) dir(name string) {
	if c.dirs[name] {
		return
	}
	c.dirs[name] = true
	c.dir(path.Dir(name))
	c.entry(name, modeDir|0o755, nil)
}

func (c *cpioWriter) file(name string, perm fs.FileMode, data []byte) {
	c.dir(path.Dir(name))
	c.entry(name, modeRegular|int(perm.Perm()), data)
}

func (c *cpioWriter) symlink(name, target string) {
	c.dir(path.Dir(name))
	c.entry(name, modeSymlink|0o777, []byte(target))
}

// tree adds the files below root, but those for which skip, given the path below root, says so.
func (c *cpioWriter) tree(root string, skip func(name string) bool) error {
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || file == root {
			return err
		}
		name, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		switch {
		case skip(name) && d.IsDir():
			return fs.SkipDir
		case skip(name):
			return nil
		case d.IsDir():
			c.dir(name)
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(file)
			if err != nil {
				return err
			}
			c.symlink(name, target)
		case d.Type().IsRegular():
			data, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			c.file(name, info.Mode(), data)
		}
		return c.err
	})
	return err
}

// close ends the archive.
func (c *cpioWriter) close() error {
	c.entry("TRAILER!!!", 0, nil)
	return c.err
}

func (c *cpioWriter) entry(name string, mode int, data []byte) {
	if c.err != nil {
		return
	}
	c.inode++
	links := 1
	header := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		c.inode, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(name)+1, 0)
	record := pad([]byte(header + name + "\x00"))
	if _, c.err = c.w.Write(record); c.err == nil {
		_, c.err = c.w.Write(pad(data))
	}
}

// pad returns b with zeros up to a multiple of four bytes.
func pad(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b[:len(b):len(b)], 0)
	}
	return b
}
