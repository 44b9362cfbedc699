package main

import (
	"flag"
	"fmt"
	"io"
)

const usageHead = `lvsproxy is a layer-4 director: it reads an ldirectord.cf and spreads the connections of its virtual services
over the real servers that are alive.

Usage:
  lvsproxy [OPTION]...              run, in the foreground
  lvsproxy table [--admin PATH]     print the table of the running director, as lvsadm -L -n does
  lvsproxy check [FILE]             validate a file (default: that of --config) and explain what is wrong with it
  lvsproxy help                     print this

Options, each also as an environment variable; an option on the command line wins:
`

const usageTail = `
Signals:
  HUP         read the file again; connections and check results stay, and a bad file changes nothing
  TERM, INT   take no more connections, let those there are finish, and exit; a second one exits at once

Exit codes:
  0  all is well
  1  the configuration has errors, or running failed
  2  wrong arguments, or a file that cannot be read
`

func printUsage(w io.Writer) {
	fmt.Fprint(w, usageHead)
	newFlags(new(options)).VisitAll(func(f *flag.Flag) {
		argument, text := flag.UnquoteUsage(f)
		if argument != "" {
			argument = " " + argument
		}
		fmt.Fprintf(w, "  --%s%s, %s\n        %s", f.Name, argument, envName(f.Name), text)
		if f.DefValue != "" && f.DefValue != "false" {
			fmt.Fprintf(w, " (default %s)", f.DefValue)
		}
		fmt.Fprintln(w)
	})
	fmt.Fprint(w, usageTail)
}
