package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/lvsession/lvsession/bench/rig/qemu/recording"
)

// director plays scenarios of ldirectord: a configuration, real servers that come and go, and the tables that follow.
type director struct {
	dir     string
	cmd     *exec.Cmd
	ended   chan struct{}
	servers map[string]io.Closer
}

func newDirector() (player, error) {
	dir, err := os.MkdirTemp("", "ldirectord-")
	if err != nil {
		return nil, err
	}
	return &director{dir: dir, servers: map[string]io.Closer{}}, network6()
}

// end leaves no ldirectord behind, however the scenario ended.
func (d *director) end() error {
	for _, server := range d.servers {
		server.Close()
	}
	if d.cmd != nil {
		syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL) // an error means that it is gone already
		<-d.ended
	}
	return os.RemoveAll(d.dir)
}

func (d *director) play(step *recording.Step) error {
	args := step.Args()
	switch args[0] {
	case "ipvsadm":
		return command(args, step)
	case "ldirectord":
		return d.start(step)
	case "config":
		return d.reload(step)
	case "settle":
		rounds := 2
		if len(args) > 1 {
			var err error
			if rounds, err = strconv.Atoi(args[1]); err != nil {
				return err
			}
		}
		err := d.settle(rounds)
		if errors.Is(err, errEnded) {
			step.Code, err = d.cmd.ProcessState.ExitCode(), nil
			step.Stderr = d.lastWords()
		}
		return err
	case "quit":
		return d.quit(step)
	case "web":
		return d.web(args[1], args[2:])
	case "tcp":
		return d.tcp(args[1], strings.Join(args[2:], " "))
	case "stop":
		server := d.servers[args[1]]
		delete(d.servers, args[1])
		if server == nil {
			return errors.New("there is no such server")
		}
		return server.Close()
	case "maintain", "release":
		return d.maintenance(args[0], args[1])
	}
	return errors.New("unknown action")
}

func (d *director) config() string { return filepath.Join(d.dir, "ldirectord.cf") }

// write writes the configuration. DIR in it is the folder of the scenario.
func (d *director) write(config string) error {
	return os.WriteFile(d.config(), []byte(strings.ReplaceAll(config, "DIR", d.dir)), 0o644)
}

// start starts ldirectord with the configuration that is the step's standard input and waits until it ends, or until it
// has made its first round of checks.
func (d *director) start(step *recording.Step) error {
	if err := d.write(step.Stdin); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(d.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	d.cmd = exec.Command("ldirectord", "-d", d.config(), "start")
	d.cmd.Dir, d.cmd.Stdout, d.cmd.Stderr = d.dir, log, log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		return err
	}
	d.ended = make(chan struct{})
	go func() {
		d.cmd.Wait() // its error is the exit code, which is in ProcessState
		close(d.ended)
	}()
	err = d.rounds(1)
	if errors.Is(err, errEnded) {
		step.Code, err = d.cmd.ProcessState.ExitCode(), nil
	}
	if err != nil {
		return err
	}
	step.Stderr, err = d.complaints()
	return err
}

// complaints returns what ldirectord said of its configuration so far.
func (d *director) complaints() (string, error) {
	b, err := os.ReadFile(filepath.Join(d.dir, "log"))
	if err != nil {
		return "", err
	}
	var said strings.Builder
	for line := range strings.Lines(string(b)) {
		if about.MatchString(line) {
			line = strings.ReplaceAll(line, d.dir+"/", "")
			said.WriteString(process.ReplaceAllString(line, "[pid]"))
		}
	}
	return said.String(), nil
}

// lastWords returns the last line of the log.
func (d *director) lastWords() string {
	b, _ := os.ReadFile(filepath.Join(d.dir, "log"))
	text := strings.TrimRight(string(b), "\n")
	return strings.ReplaceAll(text[strings.LastIndexByte(text, '\n')+1:], d.dir+"/", "") + "\n"
}

var (
	about   = regexp.MustCompile(`^(Error|Warning) \[[0-9]+\]`)
	process = regexp.MustCompile(`\[[0-9]+\]`)
)

// reload replaces the configuration and tells ldirectord.
func (d *director) reload(step *recording.Step) error {
	if err := errors.Join(d.write(step.Stdin), d.cmd.Process.Signal(syscall.SIGHUP)); err != nil {
		return err
	}
	err := d.rounds(1)
	if err == nil {
		step.Stderr, err = d.complaints()
	}
	return err
}

var errEnded = errors.New("ldirectord ended")

// rounds waits until ldirectord has finished so many rounds of checks from now on. It sleeps after each
// (clock_nanosleep), and only then.
func (d *director) rounds(n int) error {
	deadline := time.Now().Add(10 * time.Minute)
	for sleeping := true; n > 0; {
		state, _ := os.ReadFile( // nothing, once it has ended
			fmt.Sprintf("/proc/%d/syscall", d.cmd.Process.Pid))
		select {
		case <-d.ended:
			return errEnded
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return errors.New("ldirectord makes no rounds of checks")
		}
		now := strings.HasPrefix(string(state), strconv.Itoa(syscall.SYS_CLOCK_NANOSLEEP)+" ")
		if now && !sleeping {
			n--
		}
		sleeping = now
	}
	return nil
}

// settle waits until the table has stayed the same for some rounds of checks.
func (d *director) settle(rounds int) error {
	for range 30 {
		before, err := os.ReadFile("/proc/net/ip_vs")
		if err != nil {
			return err
		}
		if err := d.rounds(rounds); err != nil {
			return err
		}
		after, err := os.ReadFile("/proc/net/ip_vs")
		if err != nil || string(after) == string(before) {
			return err
		}
	}
	return errors.New("the table keeps changing")
}

// quit ends ldirectord as a stop of the service does.
func (d *director) quit(step *recording.Step) error {
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-d.ended:
	case <-time.After(time.Minute):
		return errors.New("ldirectord does not end")
	}
	step.Code = d.cmd.ProcessState.ExitCode()
	return nil
}

// web starts a web server that answers every request with a status, 200 if not said, and what was asked for.
func (d *director) web(addr string, args []string) error {
	status := http.StatusOK
	if len(args) > 0 {
		var err error
		if status, err = strconv.Atoi(args[0]); err != nil {
			return err
		}
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		fmt.Fprintf(w, "It works: method=%s path=%s host=%s server=%s\n", r.Method, r.URL.Path, r.Host, addr)
	})}
	go server.Serve(l)
	d.servers[addr] = server
	return nil
}

// tcp starts a server that says a line to each client and returns what it gets.
func (d *director) tcp(addr, line string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if line != "" {
					io.WriteString(conn, line+"\r\n")
				}
				io.Copy(conn, conn)
			}()
		}
	}()
	d.servers[addr] = l
	return nil
}

// maintenance makes or removes a file of the folder DIR/maintenance.
func (d *director) maintenance(action, name string) error {
	file := filepath.Join(d.dir, "maintenance", name)
	if action == "release" {
		return os.Remove(file)
	}
	return errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, nil, 0o644))
}
