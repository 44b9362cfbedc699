package resp

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// redisVersion is the version of Redis whose commands these are: clients choose by it what to send.
const redisVersion = "7.2.0"

// info is INFO [section …]: what clients and monitors look for, and nothing that is not so.
func info(c *call) error {
	wanted := map[string]bool{}
	for i := range c.args[1:] {
		wanted[strings.ToLower(c.option(i+1))] = true
	}
	all := len(wanted) == 0 || wanted["default"] || wanted["all"] || wanted["everything"]
	var b strings.Builder
	section := func(name string, lines ...string) {
		if all || wanted[strings.ToLower(name)] {
			if b.Len() > 0 {
				b.WriteString("\r\n")
			}
			fmt.Fprintf(&b, "# %s\r\n%s\r\n", name, strings.Join(lines, "\r\n"))
		}
	}
	up := time.Since(c.began)
	section("Server", "redis_version:"+redisVersion, "redis_mode:standalone", "server_name:sessiond",
		"process_id:"+itoa(int64(os.Getpid())), "uptime_in_seconds:"+itoa(int64(up.Seconds())), "uptime_in_days:"+itoa(int64(up.Hours()/24)))
	section("Clients", "connected_clients:"+itoa(int64(c.connections())), "maxclients:"+itoa(int64(c.opts.MaxConns)))
	section("Persistence", "loading:0")
	section("Replication", "role:master", "connected_slaves:0")
	section("Cluster", "cluster_enabled:0")
	c.verbatim(b.String())
	return nil
}
