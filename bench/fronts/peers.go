package main

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/lvsession/lvsession/bench/peers"
	"github.com/lvsession/lvsession/bench/rig/namespaces"
)

// The ports of the fronts on the VIP. Direct routing cannot change a port: it has the real servers' own.
const (
	portGate      = "80"
	portHAProxy   = "8001"
	portNginx     = "8002"
	portUserspace = "8003"
	portNftables  = "8004"
	portMasq      = "8005"
	portPages     = "8006" // on the real servers
)

const bodySize = 10 << 20

// settings are what the configurations are told.
type settings struct {
	Dir, VIP, Real1, Real2   string
	HAProxy, Nginx, Nftables string // ports
	Cores, Conns, Files      int
	Host                     namespaces.Host // of real.conf
	Port, Forward            string          // of ldirectord.cf
	Pages                    string          // port of PHP's pages on each real server
}

// writeFiles writes what is served and all configurations.
func writeFiles(dir string) error {
	body := make([]byte, bodySize)
	rand.Read(body)
	for name, text := range map[string]string{"index.html": strings.Repeat("0123456789", 100), "body": string(body)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	conns := mostConns() + 100
	s := settings{
		Dir: dir, VIP: namespaces.VIP, Real1: namespaces.Real1IP, Real2: namespaces.Real2IP,
		HAProxy: portHAProxy, Nginx: portNginx, Nftables: portNftables, Pages: portPages,
		Cores: runtime.NumCPU(), Conns: conns, Files: 2*conns + 500,
	}
	for _, name := range []string{"haproxy.cfg", "stream.conf", "nftables.nft", "direct.lua"} {
		if err := s.write(name, name); err != nil {
			return err
		}
	}
	straight := s
	straight.Real1, straight.Real2 = past1, past2
	if err := straight.write("direct.lua", "nohop.lua"); err != nil {
		return err
	}
	for _, s.Host = range []namespaces.Host{namespaces.Real1, namespaces.Real2} {
		if err := s.write("real.conf", string(s.Host)+".conf"); err != nil {
			return err
		}
	}
	for _, f := range []struct{ port, forward, file string }{
		{portUserspace, "masq", "userspace.cf"}, {portMasq, "masq", "masq.cf"}, {portGate, "gate", "gate.cf"},
	} {
		s.Port, s.Forward = f.port, f.forward
		if err := s.write("ldirectord.cf", f.file); err != nil {
			return err
		}
	}
	return nil
}

func (s settings) write(name, file string) error {
	out, err := os.Create(filepath.Join(s.Dir, file))
	if err != nil {
		return err
	}
	defer out.Close()
	if err := peers.Write(out, "fronts/"+name, s); err != nil {
		return err
	}
	return out.Close()
}
