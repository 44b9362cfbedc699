package lvsproxy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lvsession/lvsession/lvsproxy"
	"github.com/lvsession/lvsession/lvsproxy/config"
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
