package qemu

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// packages are the Debian packages whose files, with those of all that they depend on, are the guest's.
var packages = []string{"linux-image-cloud-amd64", "busybox-static", "bash", "ipvsadm", "ldirectord", "netbase", "iproute2"}

// edition changes whenever an image must be made anew though packages and modules did not change.
const edition = 1

// image is the guest's kernel and first root file system. The agent, which is built at each boot, comes on top.
type image struct {
	kernel string
	root   string
}

// findImage returns the image in the user's cache, which it makes there if it is missing. Several processes may do so at
// once.
func findImage(ctx context.Context) (*image, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	cache = filepath.Join(cache, "lvsession-qemu")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, err
	}
	lock, err := os.Create(filepath.Join(cache, "lock"))
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return nil, err
	}
	recipe := sha256.Sum256(fmt.Append(nil, edition, packages, modules, hosts))
	dir := filepath.Join(cache, fmt.Sprintf("%x", recipe[:6]))
	made := &image{kernel: filepath.Join(dir, "vmlinuz"), root: filepath.Join(dir, "root.cpio")}
	if _, err := os.Stat(dir); err == nil {
		return made, nil
	}
	work, err := os.MkdirTemp(cache, "new-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	if err := makeImage(ctx, work); err != nil {
		return nil, fmt.Errorf("make an image of Debian packages: %w", err)
	}
	return made, os.Rename(filepath.Join(work, "image"), dir)
}

// makeImage makes the files of an image in the folder image below work.
func makeImage(ctx context.Context, work string) error {
	debs, err := download(ctx, work)
	if err != nil {
		return err
	}
	tree, out := filepath.Join(work, "tree"), filepath.Join(work, "image")
	if err := errors.Join(os.Mkdir(tree, 0o755), os.Mkdir(out, 0o755)); err != nil {
		return err
	}
	for _, deb := range debs {
		if err := run(ctx, work, "dpkg", "-x", deb, tree); err != nil {
			return err
		}
	}
	kernel, err := theOne(filepath.Join(tree, "boot", "vmlinuz-*"))
	if err != nil {
		return err
	}
	if err := os.Rename(kernel, filepath.Join(out, "vmlinuz")); err != nil {
		return err
	}
	root, err := os.Create(filepath.Join(out, "root.cpio"))
	if err != nil {
		return err
	}
	return errors.Join(writeRoot(newCPIOWriter(root), tree), root.Close())
}

// download brings the packages and all that they depend on into work and returns their files. To apt-get it pretends a
// machine on which nothing is installed, so it needs neither root nor the machine's package database.
func download(ctx context.Context, work string) ([]string, error) {
	archives := filepath.Join(work, "archives")
	if err := os.MkdirAll(filepath.Join(archives, "partial"), 0o755); err != nil {
		return nil, err
	}
	status := filepath.Join(work, "status")
	if err := os.WriteFile(status, nil, 0o644); err != nil {
		return nil, err
	}
	args := []string{"-q", "-y", "-o", "Dir::State::status=" + status, "-o", "Dir::Cache::archives=" + archives,
		"-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=", "-o", "Debug::NoLocking=1", "--download-only",
		"--no-install-recommends", "install"}
	if err := run(ctx, work, "apt-get", append(args, packages...)...); err != nil {
		return nil, fmt.Errorf("%w: download Debian packages: %w (apt-get update first?)", ErrUnavailable, err)
	}
	return filepath.Glob(filepath.Join(archives, "*.deb"))
}

// hosts are the names that the guest knows beside localhost.
const hosts = `127.0.0.1 localhost
::1 localhost
10.0.0.1 vip.example
10.0.0.2 vip2.example
10.1.0.1 rs1.example
10.1.0.2 rs2.example
10.1.0.3 rs3.example
fd00::1 vip6.example
fd00:1::1 rs6.example
`

// writeRoot writes the guest's root file system: the files of the tree, without what only people read and the modules
// that it does not load, and some configuration.
func writeRoot(c *cpioWriter, tree string) error {
	order, err := moduleOrder(filepath.Join(tree, "lib", "modules"), modules)
	if err != nil {
		return err
	}
	if err := c.tree(tree, notForTheGuest); err != nil {
		return err
	}
	var names []string
	for _, file := range order {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		c.file("modules/"+filepath.Base(file), 0o644, data)
		names = append(names, filepath.Base(file))
	}
	c.file("modules/order", 0o644, []byte(strings.Join(names, "\n")+"\n"))
	for _, dir := range []string{"dev", "proc", "sys", "run", "tmp", "root", "var/run", "var/lock", "var/log"} {
		c.dir(dir)
	}
	c.file("etc/hosts", 0o644, []byte(hosts))
	c.file("etc/nsswitch.conf", 0o644, []byte("passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n"))
	c.file("etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\n"))
	c.file("etc/group", 0o644, []byte("root:x:0:\n"))
	c.symlink("bin/sh", "busybox")
	c.symlink("etc/mtab", "/proc/mounts")
	return c.close()
}

// notForTheGuest tells whether a file of the packages stays out of the image.
func notForTheGuest(name string) bool {
	switch name {
	case "boot", "lib/modules", "lib/udev", "lib/systemd", "usr/share/doc", "usr/share/man", "usr/share/locale",
		"usr/share/info", "usr/share/lintian", "usr/share/bash-completion", "usr/lib/x86_64-linux-gnu/gconv",
		"usr/share/initramfs-tools", "bin/sh":
		return true
	}
	return false
}

func theOne(pattern string) (string, error) {
	found, err := filepath.Glob(pattern)
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("%d files match %s, not one", len(found), pattern)
	}
	if err != nil {
		return "", err
	}
	return found[0], nil
}

func run(ctx context.Context, dir, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, bytes.TrimSpace(out))
	}
	return nil
}
