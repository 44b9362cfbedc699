// Package keepalived runs keepalived on the directors of the namespaces rig, with the configuration that operators get.
package keepalived

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"

	"github.com/lvsession/lvsession/bench/rig/child"
	"github.com/lvsession/lvsession/bench/rig/namespaces"
)

// Options are what two directors differ in.
type Options struct {
	Priority int    // 1 to 254; the higher one has the VIP when both start
	Admin    string // the path of lvsproxy's admin socket
}

// Start starts keepalived on a director of a rig that has two. Its log is in the file keepalived-HOST.log of the rig's folder.
func Start(rig *namespaces.Rig, h namespaces.Host, o Options) (*child.Process, error) {
	config, err := configure(o)
	if err != nil {
		return nil, err
	}
	base := filepath.Join(rig.Dir(), "keepalived-"+string(h))
	if err := os.WriteFile(base+".conf", config, 0o600); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(Log(rig, h), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := rig.Command(context.Background(), h, "keepalived",
		"--dont-fork", "--log-console", "--log-detail", "--vrrp", "--use-file", base+".conf", "--pid", base+".pid", "--vrrp_pid", base+"-vrrp.pid")
	cmd.Stdout, cmd.Stderr = log, log
	return child.Start(cmd)
}

// Log is the path of keepalived's log on a host.
func Log(rig *namespaces.Rig, h namespaces.Host) string {
	return filepath.Join(rig.Dir(), "keepalived-"+string(h)+".log")
}

// configure returns the operators' configuration with other definitions.
func configure(o Options) ([]byte, error) {
	_, here, _, _ := runtime.Caller(0)
	text, err := os.ReadFile(filepath.Join(filepath.Dir(here), "../../../deploy/keepalived/keepalived.conf"))
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"OUTSIDE": namespaces.ToClient, "INSIDE": namespaces.ToReals, "PRIORITY": strconv.Itoa(o.Priority), "ADMIN": o.Admin,
	} {
		definition := regexp.MustCompile(`(?m)^\$` + name + `=.*$`)
		if len(definition.FindAll(text, -1)) != 1 {
			return nil, fmt.Errorf("keepalived.conf does not define %s once", name)
		}
		text = definition.ReplaceAllLiteral(text, []byte("$"+name+"="+value))
	}
	return text, nil
}
