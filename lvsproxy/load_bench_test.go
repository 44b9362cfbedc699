package lvsproxy_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/lvsession/lvsession/lvsproxy"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/dataplane/none"
)

// largeFile is a configuration of 1,000 virtual services with 100 real servers each, most lines of which a director of
// that size would have.
func largeFile() []byte {
	var b strings.Builder
	b.WriteString("checkinterval=5\nquiescent=yes\nfallback=127.0.0.1:80 masq\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "virtual=172.16.%d.%d:80\n\tservice=http\n\tscheduler=wlc\n\trequest=\"/health\"\n\treceive=\"OK\"\n", i/250, i%250+1)
		for j := range 100 {
			fmt.Fprintf(&b, "\treal=10.%d.%d.%d:8080 masq %d\n", i/250, i%250, j+1, j%10+1)
		}
	}
	return []byte(b.String())
}

// BenchmarkLoad reads a large file and makes a director of it.
func BenchmarkLoad(b *testing.B) {
	data := largeFile()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		file, err := config.Parse("large.cf", data, config.SystemResolver{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := lvsproxy.New(file, lvsproxy.Options{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/file")
}

// BenchmarkStart reads a large file and runs a director on it: loaded/ms is when its table stands and its services are open,
// ready/ms when each of the 100,000 servers has had its first result, which checktype=on gives at once.
func BenchmarkStart(b *testing.B) {
	data := bytes.ReplaceAll(largeFile(), []byte("\treal="), []byte("\tchecktype=on\n\treal="))
	var loaded, ready time.Duration
	for b.Loop() {
		began := time.Now()
		file, err := config.Parse("large.cf", data, config.SystemResolver{})
		if err != nil {
			b.Fatal(err)
		}
		d, err := lvsproxy.New(file, lvsproxy.Options{Dataplane: none.Dataplane{}})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		ended := make(chan error, 1)
		go func() { ended <- d.Run(ctx) }()
		for len(d.Table()) == 0 { // it waits while the table is made
			runtime.Gosched()
		}
		loaded += time.Since(began)
		<-d.Ready()
		ready += time.Since(began)
		cancel()
		if err := <-ended; err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(loaded.Milliseconds())/float64(b.N), "loaded/ms")
	b.ReportMetric(float64(ready.Milliseconds())/float64(b.N), "ready/ms")
}
