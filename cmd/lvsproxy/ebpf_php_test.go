package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lvsession/lvsession/bench/rig/namespaces"
	"github.com/lvsession/lvsession/bench/rig/phpfpm"
	"github.com/lvsession/lvsession/lvsproxy/config"
)

// phpPort is the virtual services' and the real servers'.
const phpPort = 80

// phpPage says who serves it and whom it sees, and sends back what it gets.
const phpPage = `<?php
header('Content-Type: application/octet-stream');
header('X-Server: ' . getenv('SERVER'));
header('X-Client: ' . $_SERVER['REMOTE_ADDR']);
readfile('php://input');
`

// servePHP has both real servers serve the page with nginx and php-fpm, at all their addresses.
func (r *kernelRig) servePHP() {
	r.t.Helper()
	root := r.t.TempDir()
	write(r.t, filepath.Join(root, "index.php"), phpPage)
	for _, h := range []namespaces.Host{namespaces.Real1, namespaces.Real2} {
		phpfpm.Start(r.t, phpfpm.Options{
			Addr: at("::", phpPort), Root: root, Index: "index.php", Children: 2,
			Env: map[string]string{"SERVER": string(h)}, INI: map[string]string{"post_max_size": "20M"},
			Within: func(f func() error) error { return r.Do(h, f) },
		})
	}
}

// TestKernelPHP: pages of real PHP servers reach clients by every method, on a path that is narrow on the servers' side: each
// server in its turn, who sees the client, and 10 MB there and back are those that were sent. The method changes while lvsproxy
// runs.
func TestKernelPHP(t *testing.T) {
	r := needKernelRig(t, namespaces.Options{MTU: 1400})
	r.servePHP()
	r.takeOutOfTunnels()
	p := r.start(phpServices(matrixForwards[0]))
	for i, forward := range matrixForwards {
		if i > 0 {
			r.reload(p, phpServices(forward))
		}
		for _, f := range families {
			t.Run(fmt.Sprintf("%s/%s", forward, f.name), func(t *testing.T) { r.testPHP(t, f) })
		}
	}
	r.end(p)
	r.lvsproxy("dataplane", "detach")
}

// takeOutOfTunnels has the real servers do so until the test ends.
func (r *kernelRig) takeOutOfTunnels() {
	r.t.Helper()
	for _, h := range []namespaces.Host{namespaces.Real1, namespaces.Real2} {
		r.lvsproxyOn(h, r.pin+string(h), "dataplane", "decapsulate", namespaces.VIP, namespaces.VIP6)
		r.t.Cleanup(func() { r.lvsproxyOn(h, r.pin+string(h), "dataplane", "detach") })
	}
}

// phpServices returns an ldirectord.cf of a virtual service for each version of IP, whose check is a page of PHP.
func phpServices(forward config.Forward) string {
	text := new(strings.Builder)
	for _, f := range families {
		fmt.Fprintf(text, "virtual%s=%s\n\tprotocol=tcp\n\tscheduler=rr\n\tchecktype=negotiate\n\tservice=http\n\trequest=\"index.php\"\n",
			six(f), at(f.vip, phpPort))
		for _, real := range []string{f.real1, f.real2} {
			fmt.Fprintf(text, "\treal%s=%s %s\n", six(f), at(real, phpPort), forward)
		}
	}
	return text.String()
}

func (r *kernelRig) testPHP(t *testing.T, f family) {
	url := "http://" + at(f.vip, phpPort) + "/"
	got := map[string]int{}
	for range 4 {
		response, err := r.browser(true).Post(url, "application/octet-stream", bytes.NewReader(big)) // a connection each
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || !bytes.Equal(body, big) {
			t.Fatalf("got %s, %v, and %d bytes, which are not the %d that were sent", response.Status, err, len(body), len(big))
		}
		client := strings.TrimPrefix(response.Header.Get("X-Client"), "::ffff:") // one socket takes both versions of IP
		if client != f.client {
			t.Errorf("PHP sees %s, want %s", client, f.client)
		}
		got[response.Header.Get("X-Server")]++
	}
	if got[string(namespaces.Real1)] != 2 || got[string(namespaces.Real2)] != 2 {
		t.Errorf("got %v, want each server twice", got)
	}
}
