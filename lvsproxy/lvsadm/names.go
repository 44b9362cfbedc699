package lvsadm

import (
	"bufio"
	"context"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lvsession/lvsession/lvsproxy/ipvsadm"
)

// How long the look-up of all names of a listing may take, and how many run at once. What has no name by then is printed
// as a number.
const (
	lookUpTimeout = 5 * time.Second
	lookUps       = 32
)

// systemNames are the system's names.
type systemNames struct {
	hosts    map[netip.Addr]string
	services map[string]string // by "80/tcp"
}

// SystemNames looks up the names of addresses with the system's resolver, and those of ports in /etc/services.
func SystemNames(ctx context.Context, addrs []netip.Addr) ipvsadm.Names {
	ctx, cancel := context.WithTimeout(ctx, lookUpTimeout)
	defer cancel()
	n := &systemNames{map[netip.Addr]string{}, readServices("/etc/services")}
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(lookUps)
	asked := map[netip.Addr]bool{}
	for _, a := range addrs {
		if asked[a] {
			continue
		}
		asked[a] = true
		group.Go(func() error {
			names, err := net.DefaultResolver.LookupAddr(ctx, a.String())
			if err == nil && len(names) > 0 {
				mu.Lock()
				n.hosts[a] = strings.TrimSuffix(names[0], ".")
				mu.Unlock()
			}
			return nil // a number will do
		})
	}
	group.Wait()
	return n
}

func (n *systemNames) Host(a netip.Addr) string { return n.hosts[a] }

func (n *systemNames) Service(port uint16, p ipvsadm.Protocol) string {
	return n.services[strconv.Itoa(int(port))+"/"+string(p)]
}

// readServices reads a file like /etc/services. The first name of a port counts.
func readServices(path string) map[string]string {
	services := map[string]string{}
	f, err := os.Open(path)
	if err != nil {
		return services
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		if _, known := services[fields[1]]; !known {
			services[fields[1]] = fields[0]
		}
	}
	return services
}
