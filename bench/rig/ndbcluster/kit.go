package ndbcluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Kit is an installation of MySQL NDB Cluster.
type Kit struct {
	home     string // empty where the programs are on PATH, with the paths that their packages compiled in
	programs map[string]string
}

var programs = []string{"ndb_mgmd", "ndbmtd", "mysqld"}

// ErrNoKit says that there is no NDB Cluster on this machine, and how to get one.
var ErrNoKit = errors.New("MySQL NDB Cluster is not here: set NDB_HOME, or install mysql-cluster-community-{management-server,data-node,server}")

// Find looks for NDB Cluster: under $NDB_HOME/bin, on PATH, and in an archive ../shared/ndb/ndb-*.tar.xz beside the
// checkout, which it unpacks once into the user's cache. The error is [ErrNoKit] if there is none.
func Find() (*Kit, error) {
	if home := os.Getenv("NDB_HOME"); home != "" {
		return kitIn(home)
	}
	if kit := kitOnPath(); kit != nil {
		return kit, nil
	}
	archive, err := findArchive()
	if err != nil {
		return nil, err
	}
	home, err := unpack(archive)
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", archive, err)
	}
	return kitIn(home)
}

func kitIn(home string) (*Kit, error) {
	kit := &Kit{home: home, programs: map[string]string{}}
	for _, name := range programs {
		path, err := exec.LookPath(filepath.Join(home, "bin", name))
		if err != nil {
			return nil, fmt.Errorf("NDB Cluster in %s: %w", home, err)
		}
		kit.programs[name] = path
	}
	return kit, nil
}

func kitOnPath() *Kit {
	kit := &Kit{programs: map[string]string{}}
	for _, name := range programs {
		for _, candidate := range []string{name, "/usr/sbin/" + name} {
			if path, err := exec.LookPath(candidate); err == nil {
				kit.programs[name] = path
				break
			}
		}
		if kit.programs[name] == "" {
			return nil
		}
	}
	return kit
}

// findArchive looks for the kit's archive beside the checkout that the working directory lies in.
func findArchive() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			found, _ := filepath.Glob(filepath.Join(dir, "..", "shared", "ndb", "ndb-*.tar.xz"))
			if len(found) > 0 {
				return found[len(found)-1], nil
			}
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", ErrNoKit
		}
		dir = parent
	}
}

// unpack unpacks the archive into the user's cache, unless it is there, and returns the folder. Several processes may
// do so at once.
func unpack(archive string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "lvsession-ndb")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	lock, err := os.Create(filepath.Join(cache, "lock"))
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	base := filepath.Base(archive)
	home := filepath.Join(cache, base[:len(base)-len(".tar.xz")])
	if fresh(home, archive) {
		return home, nil
	}
	part := home + ".new"
	if err := errors.Join(os.RemoveAll(home), os.RemoveAll(part), os.Mkdir(part, 0o755)); err != nil {
		return "", err
	}
	if out, err := exec.Command("tar", "-xJf", archive, "-C", part, "--strip-components=1").CombinedOutput(); err != nil {
		return "", fmt.Errorf("tar: %w: %s", err, out)
	}
	// tar gave the folder the time it has in the archive; it must look newer than the archive.
	if err := exec.Command("touch", part).Run(); err != nil {
		return "", err
	}
	return home, os.Rename(part, home)
}

// fresh tells whether home was unpacked after the archive was made.
func fresh(home, archive string) bool {
	if _, err := os.Stat(filepath.Join(home, "bin", "mysqld")); err != nil {
		return false
	}
	to, err1 := os.Stat(home)
	from, err2 := os.Stat(archive)
	return err1 == nil && err2 == nil && to.ModTime().After(from.ModTime())
}

// Command returns a command that runs one of the kit's programs: ndb_mgmd, ndbmtd or mysqld.
func (k *Kit) Command(program string, args ...string) *exec.Cmd {
	if program == "mysqld" && k.home != "" {
		args = append([]string{args[0], "--basedir=" + k.home, "--lc-messages-dir=" + filepath.Join(k.home, "share")}, args[1:]...)
	}
	cmd := exec.Command(k.programs[program], args...)
	if k.home != "" {
		cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+filepath.Join(k.home, "lib")+":"+os.Getenv("LD_LIBRARY_PATH"))
	}
	return cmd
}
