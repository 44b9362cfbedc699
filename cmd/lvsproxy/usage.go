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
  lvsproxy check [--json] [FILE]    validate a file (default: that of --config); explain what will be done and what is wrong
  lvsproxy convert [--state down] [FILE]
                                    print the table of a file as rules for ipvsadm -R: all servers up, or all down
  lvsproxy convert --from ipvsadm [FILE]
                                    print what rules of ipvsadm -S (default: standard input) say as an ldirectord.cf
  lvsproxy dataplane show           print what of the ebpf dataplane is in the kernel, where it outlives the program
  lvsproxy dataplane detach         take all of it away, with the connections that it carries
  lvsproxy dataplane decapsulate VIP...
                                    on a real server whose kernel has no tunnels: take packets to these VIPs out of ipip
  lvsproxy help                     print this

Options, each also as an environment variable; an option on the command line wins:
`

const usageTail = `
Signals:
  HUP         read the file again; connections and check results stay, and a bad file changes nothing
  USR2        start the program anew and hand the sockets over to it; no connection is lost
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
