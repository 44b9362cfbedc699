package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/lvsession/lvsession/lvsproxy"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/service"
)

// checkFile is "lvsproxy check": it says what will be done for each virtual service and where that was said, and every
// error and warning about the file, what lvsproxy cannot do among them.
func checkFile(o options, rest []string, stdout, stderr io.Writer) int {
	path := o.config
	if len(rest) == 1 {
		path = rest[0]
	}
	dataplane := o.newDataplane(nil, nil)
	file, warnings, err := loadFile(path, dataplane)
	var problems config.Problems
	if err != nil && !errors.As(err, &problems) {
		fmt.Fprintf(stderr, "lvsproxy: %v\n", err)
		return exitUsage
	}
	r := report{File: path, Good: err == nil, Errors: findings(problems), Warnings: findings(warnings), Virtuals: []explained{}}
	if file != nil {
		r.Virtuals = explainFile(file, o.rise, dataplane)
	}
	if o.json {
		e := json.NewEncoder(stdout)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(r); err != nil {
			fmt.Fprintf(stderr, "lvsproxy: %v\n", err)
			return exitFailed
		}
	} else {
		r.print(stdout)
	}
	if !r.Good {
		return exitFailed
	}
	if !o.json {
		reals := 0
		for _, v := range file.Spec.Virtuals {
			reals += len(v.Reals)
		}
		fmt.Fprintf(stdout, "%s is good: virtual services: %d, real servers: %d, warnings: %d\n", path, len(file.Spec.Virtuals), reals, len(warnings))
	}
	return exitOK
}

// loadFile loads a file and checks it against what a director with this dataplane can do. With an error of the latter
// kind, it returns the file and its warnings all the same.
func loadFile(path string, dataplane service.Dataplane) (*config.File, []config.Problem, error) {
	file, err := load(path)
	if err != nil {
		return nil, nil, err
	}
	return file, slices.Concat(file.Warnings, lvsproxy.Ignored(file, dataplane)), lvsproxy.Check(file, dataplane)
}

// load loads a file, or the empty one that stands for none.
func load(path string) (*config.File, error) {
	if path == noConfig {
		return config.Parse(path, nil, config.SystemResolver{})
	}
	return config.Load(path, config.SystemResolver{})
}

// explain prints what is wrong with a file and returns the exit code.
func explain(err error, stdout, stderr io.Writer) int {
	var problems config.Problems
	if !errors.As(err, &problems) {
		fmt.Fprintf(stderr, "lvsproxy: %v\n", err)
		return exitUsage
	}
	for _, p := range problems {
		fmt.Fprintf(stdout, "error: %v\n", p)
	}
	return exitFailed
}

// printConfig is --print-config: all options, and the file with nothing left to defaults.
func printConfig(o options, stdout, stderr io.Writer) int {
	fmt.Fprintf(stdout, "# options in force\n")
	for _, line := range o.lines() {
		fmt.Fprintf(stdout, "# %s\n", line)
	}
	file, _, err := loadFile(o.config, o.newDataplane(nil, nil))
	if err != nil {
		return explain(err, stderr, stderr)
	}
	fmt.Fprintf(stdout, "\n# %s with its defaults\n%s", o.config, config.Format(file.Spec))
	return exitOK
}

// lines returns the options as NAME=VALUE lines of their environment variables.
func (o options) lines() []string {
	return []string{
		fmt.Sprintf("%s=%s", envName("config"), o.config),
		fmt.Sprintf("%s=%s", envName("admin"), o.admin),
		fmt.Sprintf("%s=%s", envName("state-file"), o.stateFile),
		fmt.Sprintf("%s=%s", envName("metrics"), o.metrics),
		fmt.Sprintf("%s=%s", envName("dataplane"), o.dataplane),
		fmt.Sprintf("%s=%v", envName("connect-timeout"), o.connectTimeout),
		fmt.Sprintf("%s=%d", envName("max-conns"), o.maxConns),
		fmt.Sprintf("%s=%s", envName("interface"), o.interfaces),
		fmt.Sprintf("%s=%s", envName("tunnel-source"), o.tunnelSources),
		fmt.Sprintf("%s=%v", envName("sloppy-tcp"), o.sloppyTCP),
		fmt.Sprintf("%s=%s", envName("xdp"), o.xdp),
		fmt.Sprintf("%s=%s", envName("bpf-pin"), o.bpfPin),
		fmt.Sprintf("%s=%d", envName("bpf-max-conns"), o.bpfMaxConns),
		fmt.Sprintf("%s=%d", envName("bpf-max-servers"), o.bpfMaxServers),
		fmt.Sprintf("%s=%d", envName("max-checks"), o.maxChecks),
		fmt.Sprintf("%s=%d", envName("rise"), o.rise),
		fmt.Sprintf("%s=%v", envName("drain-timeout"), o.drainTimeout),
		fmt.Sprintf("%s=%v", envName("log-level"), o.logLevel),
		fmt.Sprintf("%s=%s", envName("log-format"), o.logFormat),
	}
}
