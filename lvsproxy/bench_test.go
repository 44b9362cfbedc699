package lvsproxy_test

import (
	"io"
	"net"
	"testing"

	"github.com/lvsession/lvsession/lvsproxy"
)

// Each benchmark runs straight to the server and through the director, everything in one process, so that the
// difference is what the director costs. Allocations are those of all three parties together.

var (
	question = make([]byte, 200)
	answer   = make([]byte, 2000)
)

// answering reads a question and answers it, until the client ends.
func answering(c *net.TCPConn) {
	b := make([]byte, len(question))
	for {
		if _, err := io.ReadFull(c, b); err != nil {
			return
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

// ways runs a benchmark straight to a server and through a director.
func ways(b *testing.B, serve func(*net.TCPConn), run func(b *testing.B, addr string)) {
	b.Run("direct", func(b *testing.B) {
		s := startServer(b, "127.0.0.2", serve)
		run(b, s.addr)
	})
	b.Run("director", func(b *testing.B) {
		vip, d := single(b, serve, lvsproxy.Options{})
		run(b, vip)
		b.StopTimer()
		d.stop()
	})
}

// exchange asks once and reports whether there was an answer.
func exchange(b *testing.B, c net.Conn, buffer []byte) bool {
	if _, err := c.Write(question); err != nil {
		b.Error(err)
		return false
	}
	if _, err := io.ReadFull(c, buffer); err != nil {
		b.Error(err)
		return false
	}
	return true
}

// BenchmarkShortConnections is a connection for each request: accept, pick, connect, both splices, close.
func BenchmarkShortConnections(b *testing.B) {
	ways(b, answering, func(b *testing.B, addr string) {
		b.ReportAllocs()
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			buffer := make([]byte, len(answer))
			for pb.Next() {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					b.Error(err)
					return
				}
				ok := exchange(b, c, buffer)
				c.Close()
				if !ok {
					return
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "conns/s")
	})
}

// BenchmarkKeptConnections is many requests on each connection.
func BenchmarkKeptConnections(b *testing.B) {
	ways(b, answering, func(b *testing.B, addr string) {
		b.ReportAllocs()
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				b.Error(err)
				return
			}
			defer c.Close()
			buffer := make([]byte, len(answer))
			for pb.Next() && exchange(b, c, buffer) {
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
	})
}

// BenchmarkBodies is bodies of 10 MB from the server to the client.
func BenchmarkBodies(b *testing.B) {
	const size = 10 << 20
	body := make([]byte, size)
	serve := func(c *net.TCPConn) { c.Write(body) }
	ways(b, serve, func(b *testing.B, addr string) {
		b.SetBytes(size)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					b.Error(err)
					return
				}
				if n, err := io.Copy(io.Discard, c); n != size {
					b.Errorf("%d bytes, %v", n, err)
				}
				c.Close()
			}
		})
	})
}
