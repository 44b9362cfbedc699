package redis_test

import (
	"bufio"
	"fmt"
	"net"
	"testing"

	"github.com/lvsession/lvsession/bench/rig/redis"
)

func TestStart(t *testing.T) {
	for _, fsync := range []redis.Fsync{redis.Always, redis.EverySec} {
		t.Run(string(fsync), func(t *testing.T) {
			s := redis.Start(t, fsync)
			for _, at := range [][2]string{{"tcp", s.Addr()}, {"unix", s.Socket()}} {
				conn, err := net.Dial(at[0], at[1])
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if _, err := fmt.Fprintf(conn, "CONFIG GET appendfsync\r\n"); err != nil {
					t.Fatal(err)
				}
				answer := bufio.NewScanner(conn)
				for range 5 {
					answer.Scan()
				}
				if answer.Text() != string(fsync) {
					t.Errorf("over %s: appendfsync is %q, want %q", at[0], answer.Text(), fsync)
				}
			}
			s.Stop()
			if conn, err := net.Dial("tcp", s.Addr()); err == nil {
				conn.Close()
				t.Error("a stopped server answers")
			}
		})
	}
}
