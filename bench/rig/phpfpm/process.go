package phpfpm

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Logs in a server's folder.
const (
	outputLog = "output.log"
	nginxLog  = "nginx.log"
	fpmLog    = "php-fpm.log"
)

// programs are the paths of what a server runs.
type programs struct {
	fpm, nginx, shell string
}

// supervise runs nginx, php-fpm and a watchdog in one process group, which php-fpm must head: it would leave any other by
// setsid. The watchdog ends all of it with SIGKILL when standard input ends: then the test process is gone, however it
// went. The same happens when nginx ends. File descriptor 3 is the socket for nginx, which takes it over as from a
// predecessor (nginx: "Upgrading Executable on the Fly"); 4 is inherited by all and tells when the last is gone.
const supervise = `
fpm=$1; nginx=$2; shift 2
exec 5<&0
(read -r end <&5; kill -s KILL 0) 3<&- &
(NGINX="3;" "$nginx" -p "$PWD/" -e ` + nginxLog + ` -c "$PWD/nginx.conf" 5<&-; kill -s KILL 0) &
exec "$fpm" --nodaemonize --fpm-config php-fpm.conf "$@" 3<&- 5<&-
`

// command returns the shell that becomes php-fpm.
func (p programs) command(dir string, o Options) *exec.Cmd {
	args := []string{"-c", supervise, "sh", p.fpm, p.nginx}
	if os.Geteuid() == 0 {
		args = append(args, "--allow-to-run-as-root")
	}
	for name, value := range o.INI {
		args = append(args, "-d", name+"="+value)
	}
	cmd := exec.Command(p.shell, args...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	for name, value := range o.Env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

// find looks for the programs. The name of php-fpm has PHP's version on Debian.
func find() (p programs, err error) {
	for _, f := range []struct {
		path  *string
		pkg   string
		names []string
	}{
		{&p.fpm, "php-fpm", []string{"php-fpm", "php-fpm8.4", "php-fpm8.3", "php-fpm8.2", "php-fpm8.1", "php-fpm8.0", "php-fpm7.4"}},
		{&p.nginx, "nginx-light", []string{"nginx"}},
		{&p.shell, "dash", []string{"sh"}},
	} {
		if *f.path = lookUp(f.names); *f.path == "" {
			return p, fmt.Errorf("%s is not installed: apt-get install %s", f.names[0], f.pkg)
		}
	}
	return p, nil
}

// Installed reports what is missing on this machine, and how to get it.
func Installed() error {
	_, err := find()
	return err
}

func lookUp(names []string) string {
	for _, name := range names {
		for _, dir := range []string{"", "/usr/sbin/"} {
			if path, err := exec.LookPath(dir + name); err == nil {
				return path
			}
		}
	}
	return ""
}

// maxLog is how much of each log's end is shown, in bytes.
const maxLog = 16 << 10

// logs returns the logs of a server's folder, each under its name.
func logs(dir string) string {
	var b strings.Builder
	for _, name := range []string{outputLog, nginxLog, fpmLog} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			continue // not begun
		}
		b.WriteString("--- " + name + "\n")
		b.Write(text[max(0, len(text)-maxLog):])
	}
	return b.String()
}
