package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
)

// Exit codes. They are what scripts rely on.
const (
	exitOK     = 0
	exitFailed = 1 // an error in the configuration, or while running
	exitUsage  = 2 // wrong arguments, or a file that cannot be read
)

// run is the whole program. It returns the exit code.
func run(args []string, env func(string) string, stdout, stderr io.Writer) int {
	command, args := split(args)
	o, rest, err := parseOptions(args, env)
	switch {
	case errors.Is(err, flag.ErrHelp):
		printUsage(stdout)
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "lvsproxy: %v\nTry 'lvsproxy --help'.\n", err)
		return exitUsage
	}
	switch {
	case command == "check" && len(rest) <= 1:
		return checkFile(o, rest, stdout, stderr)
	case command == "convert" && len(rest) <= 1:
		return convertFile(o, rest, os.Stdin, stdout, stderr)
	case command == "table" && len(rest) == 0:
		return printTable(o, stdout, stderr)
	case command == "dataplane" && slices.Equal(rest, []string{"show"}):
		return showAttached(o, stdout, stderr)
	case command == "dataplane" && slices.Equal(rest, []string{"detach"}):
		return detach(o, stdout, stderr)
	case command == "dataplane" && len(rest) > 1 && rest[0] == "decapsulate":
		return decapsulate(o, rest[1:], stdout, stderr)
	case command == "dataplane":
		fmt.Fprintf(stderr, "lvsproxy: expected lvsproxy dataplane show, detach, or decapsulate VIP...\nTry 'lvsproxy --help'.\n")
		return exitUsage
	case command == "help":
		printUsage(stdout)
		return exitOK
	case command == "" && len(rest) == 0 && o.printConfig:
		return printConfig(o, stdout, stderr)
	case command == "" && len(rest) == 0:
		return serve(o, stderr)
	}
	fmt.Fprintf(stderr, "lvsproxy: unexpected argument %q: expected options, table, check FILE, convert FILE, dataplane show, dataplane detach or help\nTry 'lvsproxy --help'.\n", rest[0])
	return exitUsage
}

// split takes the command, if there is one, from the arguments.
func split(args []string) (command string, rest []string) {
	if len(args) > 0 {
		switch args[0] {
		case "check", "convert", "table", "dataplane", "help":
			return args[0], args[1:]
		}
	}
	return "", args
}
