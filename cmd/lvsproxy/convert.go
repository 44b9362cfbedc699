package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/convert"
	"github.com/lvsession/lvsession/lvsproxy/ipvsadm"
)

// Values of --from and --state.
const (
	fromLdirectord = "ldirectord"
	fromIpvsadm    = "ipvsadm"
	stateUp        = "up"
	stateDown      = "down"
)

// convertFile is "lvsproxy convert": an ldirectord.cf becomes rules for "ipvsadm -R", or such rules an ldirectord.cf. What
// neither the director nor this machine can do does not matter here.
func convertFile(o options, rest []string, stdin io.Reader, stdout, stderr io.Writer) int {
	path := o.config
	if len(rest) == 1 {
		path = rest[0]
	} else if o.from == fromIpvsadm {
		path = "-"
	}
	var err error
	if o.from == fromIpvsadm {
		err = fromRules(path, stdin, stdout)
	} else {
		err = toRules(o, path, stdout, stderr)
	}
	if err != nil {
		return explain(err, stderr, stderr)
	}
	return exitOK
}

func toRules(o options, path string, stdout, stderr io.Writer) error {
	file, err := config.Load(path, config.SystemResolver{})
	if err != nil {
		return err
	}
	for _, w := range file.Warnings {
		fmt.Fprintf(stderr, "warning: %v\n", w)
	}
	state := convert.Up
	if o.state == stateDown {
		state = convert.Down
	}
	return ipvsadm.WriteArgs(stdout, convert.Rules(file.Spec, state))
}

// fromRules reads rules from a file, or from standard input where the path is "-".
func fromRules(path string, stdin io.Reader, stdout io.Writer) error {
	name := path
	if path == "-" {
		name = "standard input"
	} else {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		stdin = f
	}
	spec, err := convert.Read(stdin, config.SystemResolver{})
	var wrong *convert.LineError
	if errors.As(err, &wrong) {
		return config.Problems{{File: name, Line: wrong.Line, Message: wrong.Err.Error()}}
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	_, err = io.WriteString(stdout, config.Format(spec))
	return err
}
